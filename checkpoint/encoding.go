package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"kstream/codec"
	"kstream/record"
)

// A stored record is its message (the tags are below), compressed as one zstd
// stream and cut into parts, because brokers limit the size of a record. Part i
// is the value of the key r/<slot>/<i>:
//
//	offset  bytes
//	0       1      format version, 1
//	1       8      epoch, big endian
//	9       2      number of the part, big endian
//	11      2      part 0 only: how many parts there are, big endian
//	13      4      part 0 only: CRC-32C of the epoch's 8 bytes and all pieces
//	11, 17  rest   a piece of the stream
//
// Every part tells its epoch so that a mixture of two records is seen before
// anything is decompressed.
const (
	recordVersion  = 1
	maxPart        = 512 << 10
	partHeader     = 11
	firstHeader    = 17
	maxRecordParts = 32 // zstd grows what it cannot compress by a fraction of a percent
	recordWhat     = "checkpoint record"
)

// The tags of a record.
const (
	recordPipeline  = iota + 1 // text
	recordSlot                 // whole number
	recordEpoch                // counter
	recordWall                 // whole number, ms
	recordOwner                // message, as in a claim
	recordLineage              // list: 1 owner id text, 2 first epoch counter
	recordPlan                 // message: 1 max_parallelism whole number, 2 list of nodes
	recordSources              // list, tags below
	recordStores               // list: 1 uid text, 2 id whole number, 3 retired yes
	recordChangelog            // message: 1 generation whole number, 2 topic text, 3 topic id 16 bytes, 4 ends numbers
	recordHandles              // list: 1 sink text, 2 epoch counter, 3 owner id text, 4 data bytes
	recordOrigin               // text
	recordChains               // list: 1 chain name text, 2 watermark whole number, ms
)

// The tags of a source position.
const (
	sourceUID         = iota + 1 // text
	sourceTopic                  // text
	sourceTopicID                // 16 bytes
	sourcePartition              // whole number
	sourceOffset                 // whole number
	sourceLeaderEpoch            // whole number
	sourceWatermark              // whole number, ms
	sourceIdle                   // yes
	sourceStop                   // whole number
	sourceEnded                  // yes
	sourceLastTime               // whole number, ms
)

// ErrNoRecord says that a slot has no checkpoint record: nothing was committed
// yet, or what was committed is gone.
var ErrNoRecord = errors.New("there is no checkpoint record")

// Part is one record of the checkpoint topic. A nil Value is a tombstone.
type Part struct {
	Key, Value []byte
}

// EncodeRecord gives the parts to write, as a new RecordEncoder does.
func EncodeRecord(r *Record) ([]Part, error) {
	var e RecordEncoder
	return e.Encode(r)
}

// RecordEncoder writes records with a compressor that is made once: making one
// costs a millisecond. The zero value is ready; it belongs to one goroutine.
type RecordEncoder struct{ zstd *codec.Zstd }

// Encode gives the parts to write. Errors: *TooLargeError, or a value that breaks
// another limit of Record.
func (e *RecordEncoder) Encode(r *Record) ([]Part, error) {
	message, fields, err := appendRecord(nil, r)
	if err != nil {
		return nil, fmt.Errorf("encode checkpoint record of epoch %d: %w", r.Epoch, err)
	}
	if len(message) > MaxRecordSize {
		return nil, &TooLargeError{Epoch: r.Epoch, Size: len(message), Limit: MaxRecordSize, Fields: fields}
	}
	if e.zstd == nil {
		if e.zstd, err = codec.NewZstd(MaxRecordSize); err != nil {
			return nil, fmt.Errorf("compress checkpoint record of epoch %d: %w", r.Epoch, err)
		}
	}
	return split(r, e.zstd.Compress(nil, message)), nil
}

// Surplus gives the tombstones for the parts that an earlier record of the slot
// left behind: count parts are being written, stored parts are there.
func Surplus(slot, count, stored int) []Part {
	var parts []Part
	for i := max(count, 1); i < stored; i++ {
		parts = append(parts, Part{Key: []byte(RecordKey(slot, i))})
	}
	return parts
}

// StoredParts tells how many part keys of a slot have a value in newest, counted
// up to the last one.
func StoredParts(slot int, newest map[string][]byte) int {
	for i := maxRecordParts; i > 0; i-- {
		if newest[RecordKey(slot, i-1)] != nil {
			return i
		}
	}
	return 0
}

func split(r *Record, stream []byte) []Part {
	count := 1
	if rest := len(stream) - (maxPart - firstHeader); rest > 0 {
		count += (rest + maxPart - partHeader - 1) / (maxPart - partHeader)
	}
	parts := make([]Part, 0, count)
	for i := range count {
		value := []byte{recordVersion}
		value = binary.BigEndian.AppendUint64(value, uint64(r.Epoch))
		value = binary.BigEndian.AppendUint16(value, uint16(i))
		if i == 0 {
			value = binary.BigEndian.AppendUint16(value, uint16(count))
			value = binary.BigEndian.AppendUint32(value, checksum(r.Epoch, stream))
		}
		n := min(maxPart-len(value), len(stream))
		parts = append(parts, Part{Key: []byte(RecordKey(r.Slot, i)), Value: append(value, stream[:n]...)})
		stream = stream[n:]
	}
	return parts
}

func checksum(epoch Epoch, stream []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(binary.BigEndian.AppendUint64(nil, uint64(epoch)), table), table, stream)
}

// DecodeRecord puts the record of a slot together from the newest value of every
// key of the checkpoint topic; keys of others are not looked at. Errors:
// ErrNoRecord, *CorruptError, *NewerFormatError.
func DecodeRecord(slot int, newest map[string][]byte) (*Record, error) {
	epoch, stream, err := join(slot, newest)
	if err != nil {
		return nil, err
	}
	z, err := codec.NewZstd(MaxRecordSize)
	if err != nil {
		return nil, err
	}
	message, err := z.Decompress(stream)
	if err != nil {
		return nil, &CorruptError{What: recordWhat, Reason: err.Error()}
	}
	rec, err := readRecord(message)
	if err != nil {
		return nil, err
	}
	if rec.Epoch != epoch || rec.Slot != slot {
		return nil, &CorruptError{What: recordWhat, Reason: fmt.Sprintf("the parts of slot %d epoch %d hold slot %d epoch %d", slot, epoch, rec.Slot, rec.Epoch)}
	}
	return rec, nil
}

// join checks the parts and gives the stream they were cut from.
func join(slot int, newest map[string][]byte) (Epoch, []byte, error) {
	first := newest[RecordKey(slot, 0)]
	if first == nil {
		if n := StoredParts(slot, newest); n > 0 {
			return 0, nil, &CorruptError{What: recordWhat, Reason: fmt.Sprintf("part %d is there and part 0 is not", n-1)}
		}
		return 0, nil, ErrNoRecord
	}
	epoch, piece, err := openPart(first, 0)
	if err != nil {
		return 0, nil, err
	}
	count := int(binary.BigEndian.Uint16(first[partHeader:]))
	if count == 0 || count > maxRecordParts {
		return 0, nil, &CorruptError{What: recordWhat, Reason: fmt.Sprintf("it has %d parts", count)}
	}
	stream := append([]byte(nil), piece...)
	for i := 1; i < count; i++ {
		e, piece, err := openPart(newest[RecordKey(slot, i)], i)
		if err != nil {
			return 0, nil, err
		}
		if e != epoch {
			return 0, nil, &CorruptError{What: recordWhat, Reason: fmt.Sprintf("part %d is of epoch %d, part 0 of epoch %d", i, e, epoch)}
		}
		stream = append(stream, piece...)
	}
	if checksum(epoch, stream) != binary.BigEndian.Uint32(first[partHeader+2:]) {
		return 0, nil, &CorruptError{What: recordWhat, Reason: "the checksum is wrong"}
	}
	return epoch, stream, nil
}

// openPart reads the header of part i and gives what is behind it.
func openPart(value []byte, i int) (Epoch, []byte, error) {
	header := partHeader
	if i == 0 {
		header = firstHeader
	}
	switch {
	case len(value) > 0 && value[0] > recordVersion:
		return 0, nil, &NewerFormatError{What: recordWhat, Version: int(value[0]), Known: recordVersion}
	case len(value) < header || len(value) > maxPart || value[0] == 0:
		return 0, nil, &CorruptError{What: recordWhat, Reason: fmt.Sprintf("part %d is missing or has no header (%d bytes)", i, len(value))}
	case int(binary.BigEndian.Uint16(value[9:])) != i:
		return 0, nil, &CorruptError{What: recordWhat, Reason: fmt.Sprintf("part %d says it is part %d", i, binary.BigEndian.Uint16(value[9:]))}
	}
	return Epoch(binary.BigEndian.Uint64(value[1:])), value[header:], nil
}

// appendRecord writes the message and notes what each field took.
func appendRecord(b []byte, r *Record) ([]byte, []FieldSize, error) {
	if err := checkLimits(r); err != nil {
		return nil, nil, err
	}
	var sizes []FieldSize
	from := len(b)
	note := func(name string, count int) {
		sizes = append(sizes, FieldSize{Name: name, Count: count, Size: len(b) - from})
		from = len(b)
	}
	b = appendText(b, recordPipeline, r.Pipeline)
	b = appendInt(b, recordSlot, int64(r.Slot))
	b = appendUint(b, recordEpoch, uint64(r.Epoch))
	b = appendInt(b, recordWall, int64(r.Wall))
	b = appendField(b, recordOwner, appendOwner(nil, r.Owner))
	b = appendText(b, recordOrigin, r.Origin)
	note("head", 0)
	b = appendList(b, recordLineage, r.Lineage, appendLineage)
	note("lineage", len(r.Lineage))
	b = appendField(b, recordPlan, appendPlan(nil, r.Plan))
	note("plan", len(r.Plan.Nodes))
	b = appendList(b, recordSources, r.Sources, appendSource)
	note("sources", len(r.Sources))
	b = appendList(b, recordStores, r.Stores, appendStore)
	note("stores", len(r.Stores))
	b = appendField(b, recordChangelog, appendChangelog(nil, r.Changelog))
	note("changelog", len(r.Changelog.Ends))
	b = appendList(b, recordHandles, r.Handles, appendHandle)
	note("handles", len(r.Handles))
	b = appendList(b, recordChains, r.Chains, appendChain)
	note("chains", len(r.Chains))
	return b, sizes, nil
}

// checkLimits refuses what readRecord would refuse.
func checkLimits(r *Record) error {
	for _, l := range []struct {
		name         string
		count, limit int
	}{
		{"lineage", len(r.Lineage), MaxLineage}, {"nodes", len(r.Plan.Nodes), maxNodes},
		{"sources", len(r.Sources), maxSources}, {"stores", len(r.Stores), maxStores},
		{"changelog partitions", len(r.Changelog.Ends), maxEnds}, {"handles", len(r.Handles), maxHandles},
		{"chains", len(r.Chains), maxChains},
	} {
		if l.count > l.limit {
			return fmt.Errorf("%d %s, at most %d are possible", l.count, l.name, l.limit)
		}
	}
	for i := range r.Handles {
		if n := len(r.Handles[i].Data); n > MaxHandleSize {
			return fmt.Errorf("a handle of sink %q has %d bytes, at most %d are possible", r.Handles[i].Sink, n, MaxHandleSize)
		}
	}
	if r.Slot < 0 {
		return fmt.Errorf("slot %d", r.Slot)
	}
	return nil
}

// appendList writes one field per element.
func appendList[T any](b []byte, tag uint64, list []T, one func([]byte, T) []byte) []byte {
	var tmp []byte
	for _, e := range list {
		tmp = one(tmp[:0], e)
		b = appendField(b, tag, tmp)
	}
	return b
}

func appendLineage(b []byte, l Lineage) []byte {
	return appendUint(appendText(b, 1, l.Owner), 2, uint64(l.First))
}

func appendSource(b []byte, s SourcePosition) []byte {
	b = appendText(b, sourceUID, s.UID)
	b = appendText(b, sourceTopic, s.Topic)
	b = appendTopicID(b, sourceTopicID, s.TopicID)
	b = appendInt(b, sourcePartition, int64(s.Partition))
	b = appendInt(b, sourceOffset, int64(s.Offset))
	b = appendInt(b, sourceLeaderEpoch, int64(s.LeaderEpoch))
	b = appendInt(b, sourceWatermark, int64(s.Watermark))
	b = appendYes(b, sourceIdle, s.Idle)
	b = appendInt(b, sourceStop, int64(s.Stop))
	b = appendYes(b, sourceEnded, s.Ended)
	return appendInt(b, sourceLastTime, int64(s.LastTime))
}

func appendStore(b []byte, s StoreEntry) []byte {
	return appendYes(appendInt(appendText(b, 1, s.UID), 2, int64(s.ID)), 3, s.Retired)
}

func appendChangelog(b []byte, c Changelog) []byte {
	b = appendInt(b, 1, int64(c.Generation))
	b = appendText(b, 2, c.Topic)
	b = appendTopicID(b, 3, c.TopicID)
	return appendOffsets(b, 4, c.Ends)
}

func appendChain(b []byte, c ChainWatermark) []byte {
	b = appendText(b, 1, c.Chain)
	return appendInt(b, 2, int64(c.Watermark))
}

func readChain(r *fieldReader) (c ChainWatermark) {
	for r.next() {
		switch r.tag {
		case 1:
			c.Chain = r.text()
		case 2:
			c.Watermark = record.Timestamp(r.int64())
		}
	}
	return c
}

func appendHandle(b []byte, h Handle) []byte {
	b = appendText(b, 1, h.Sink)
	b = appendUint(b, 2, uint64(h.Epoch))
	b = appendText(b, 3, h.Owner)
	return appendText(b, 4, h.Data)
}

func readRecord(message []byte) (*Record, error) {
	rec := new(Record)
	r := fieldReader{what: recordWhat, rest: message}
	for r.next() {
		switch r.tag {
		case recordPipeline:
			rec.Pipeline = r.text()
		case recordSlot:
			rec.Slot = r.count()
		case recordEpoch:
			rec.Epoch = Epoch(r.uint64())
		case recordWall:
			rec.Wall = record.Timestamp(r.int64())
		case recordOwner:
			rec.Owner = readOwner(&r)
		case recordLineage:
			rec.Lineage = readInto(&r, rec.Lineage, MaxLineage, readLineage)
		case recordPlan:
			readPlan(&r, &rec.Plan)
		case recordSources:
			rec.Sources = readInto(&r, rec.Sources, maxSources, readSource)
		case recordStores:
			rec.Stores = readInto(&r, rec.Stores, maxStores, readStore)
		case recordChangelog:
			rec.Changelog = readChangelog(&r)
		case recordHandles:
			rec.Handles = readInto(&r, rec.Handles, maxHandles, readHandle)
		case recordOrigin:
			rec.Origin = r.text()
		case recordChains:
			rec.Chains = readInto(&r, rec.Chains, maxChains, readChain)
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	return rec, nil
}

// readInto reads the current field as one more element of list.
func readInto[T any](outer *fieldReader, list []T, limit int, one func(*fieldReader) T) []T {
	if !outer.room(len(list), limit) {
		return list
	}
	r := outer.message()
	e := one(r)
	outer.done(r)
	return append(list, e)
}

func readLineage(r *fieldReader) (l Lineage) {
	for r.next() {
		switch r.tag {
		case 1:
			l.Owner = r.text()
		case 2:
			l.First = Epoch(r.uint64())
		}
	}
	return l
}

func readSource(r *fieldReader) (s SourcePosition) {
	for r.next() {
		switch r.tag {
		case sourceUID:
			s.UID = r.text()
		case sourceTopic:
			s.Topic = r.text()
		case sourceTopicID:
			s.TopicID = r.topicID()
		case sourcePartition:
			s.Partition = r.int32()
		case sourceOffset:
			s.Offset = record.Offset(r.int64())
		case sourceLeaderEpoch:
			s.LeaderEpoch = r.int32()
		case sourceWatermark:
			s.Watermark = record.Timestamp(r.int64())
		case sourceIdle:
			s.Idle = r.yes()
		case sourceStop:
			s.Stop = record.Offset(r.int64())
		case sourceEnded:
			s.Ended = r.yes()
		case sourceLastTime:
			s.LastTime = record.Timestamp(r.int64())
		}
	}
	return s
}

func readStore(r *fieldReader) (s StoreEntry) {
	for r.next() {
		switch r.tag {
		case 1:
			s.UID = r.text()
		case 2:
			s.ID = uint16(r.intIn(0, math.MaxUint16))
		case 3:
			s.Retired = r.yes()
		}
	}
	return s
}

func readChangelog(outer *fieldReader) (c Changelog) {
	r := outer.message()
	for r.next() {
		switch r.tag {
		case 1:
			c.Generation = r.count()
		case 2:
			c.Topic = r.text()
		case 3:
			c.TopicID = r.topicID()
		case 4:
			c.Ends = r.offsets(maxEnds)
		}
	}
	outer.done(r)
	return c
}

func readHandle(r *fieldReader) (h Handle) {
	for r.next() {
		switch r.tag {
		case 1:
			h.Sink = r.text()
		case 2:
			h.Epoch = Epoch(r.uint64())
		case 3:
			h.Owner = r.text()
		case 4:
			if len(r.content) > MaxHandleSize {
				r.fail("a handle has %d bytes", len(r.content))
				return h
			}
			h.Data = r.bytes()
		}
	}
	return h
}
