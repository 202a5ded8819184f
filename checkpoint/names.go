package checkpoint

import (
	"strconv"
	"strings"

	"kstream/record"
)

// A pipeline's name is of the form [a-z0-9][a-z0-9-]*. The names below rest on
// that: the last "-" of a transactional id splits off the slot, and a "." ends
// the part of a topic name that belongs to one pipeline.

// TransactionalID is the id of the one producer of a slot. Fencing works by
// this name: whoever initialises it ends every older producer.
func TransactionalID(name string, slot int) string {
	return "kstream-" + name + "-" + strconv.Itoa(slot)
}

// GroupID is the consumer group that shows positions to lag tools, unless the
// source names its own. Nothing is read back from it.
func GroupID(name string) string { return "kstream-" + name }

// CheckpointTopic holds records and claims; compacted, one partition.
func CheckpointTopic(prefix, name string) string { return prefix + name + ".checkpoints" }

// ChangelogTopic holds the state; compacted, one partition per key group. The
// first generation has no number in its name.
func ChangelogTopic(prefix, name string, generation int) string {
	topic := prefix + name + ".changelog"
	if generation <= 1 {
		return topic
	}
	return topic + "." + strconv.Itoa(generation)
}

// RecordKey is the key of one part of a checkpoint record: r/<slot>/<part>.
func RecordKey(slot, part int) string {
	return "r/" + strconv.Itoa(slot) + "/" + strconv.Itoa(part)
}

// ClaimKey is the key of a slot's claim: o/<slot>.
func ClaimKey(slot int) string { return "o/" + strconv.Itoa(slot) }

// The offset mark is the metadata of every offset that is committed to the
// consumer group. It tells a later start that the group belongs to a pipeline
// that has run, and which epoch wrote it.
const (
	markPrefix  = "kstream/"
	markVersion = 1
)

// FormatMark is the offset mark of an epoch: kstream/1 epoch=12.
func FormatMark(epoch Epoch) string {
	return markPrefix + strconv.Itoa(markVersion) + " epoch=" + strconv.FormatUint(uint64(epoch), 10)
}

// ParseMark reads the metadata of a committed offset. Metadata of others is not
// ours and no error. What begins like a mark and is none is a *CorruptError, and
// a mark of a later release is a *NewerFormatError; both are ours.
func ParseMark(metadata string) (epoch Epoch, ours bool, err error) {
	rest, ours := strings.CutPrefix(metadata, markPrefix)
	if !ours {
		return 0, false, nil
	}
	version, rest, _ := strings.Cut(rest, " ")
	v, ok := parseCounter(version)
	switch {
	case !ok || v == 0:
		return 0, true, &CorruptError{What: "offset mark", Reason: "it has no version"}
	case v > markVersion:
		return 0, true, &NewerFormatError{What: "offset mark", Version: int(min(v, 1<<31-1)), Known: markVersion}
	}
	text, found := strings.CutPrefix(rest, "epoch=")
	n, ok := parseCounter(text)
	if !found || !ok {
		return 0, true, &CorruptError{What: "offset mark", Reason: "it has no epoch"}
	}
	return Epoch(n), true, nil
}

// parseCounter reads a whole text of digits in its shortest form, so that every
// number has one spelling.
func parseCounter(text string) (uint64, bool) {
	n, width, ok := record.ParseUint(text)
	return n, ok && width > 0 && width == len(text) && (text[0] != '0' || width == 1)
}
