package checkpoint

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"kstream/record"
)

// Owner is one incarnation: one pass through start-up that has fenced and
// claimed. Number counts the incarnations of a slot and grows with every claim
// that was committed; Random tells two attempts apart that saw the same number
// and only one of which committed.
type Owner struct {
	Number  uint64
	Random  uint64
	Host    string
	PID     int
	Start   record.Timestamp
	Version string // of kstream
}

// ID is the owner id, <number>-<16 hex digits>: part of the lineage, of handles
// and of the names of staged work.
func (o Owner) ID() string {
	return strconv.FormatUint(o.Number, 10) + "-" + fmt.Sprintf("%016x", o.Random)
}

// ParseOwnerID is the inverse of Owner.ID. The number decides whether staged
// work may be removed, so nothing but the exact form is accepted.
func ParseOwnerID(id string) (number, random uint64, ok bool) {
	left, right, found := strings.Cut(id, "-")
	number, ok = parseCounter(left)
	if !found || !ok || len(right) != 16 || strings.ToLower(right) != right {
		return 0, 0, false
	}
	random, err := strconv.ParseUint(right, 16, 64)
	return number, random, err == nil
}

// Claim says who owns a slot. It is committed in a small transaction of its own
// right after the fence, so numbers grow in the order of fences; reading it
// without fencing answers the question an error code cannot: was it somebody
// else who fenced us?
type Claim struct {
	Owner
	API       string        // address of the control API, if there is one
	Directory string        // random id of the state directory
	Interval  time.Duration // of checkpoints; how long to watch for a sign of life
	Released  bool          // written again by a clean stop
}

// claimVersion is the first byte of a stored claim.
const claimVersion = 1

// maxClaim bounds what a reader looks at. Every text of a claim is short.
const maxClaim = 64 << 10

// The tags of a claim and of an owner within a message.
const (
	claimOwner = iota + 1
	claimAPI
	claimDirectory
	claimInterval
	claimReleased
)

const (
	ownerNumber = iota + 1
	ownerRandom
	ownerHost
	ownerPID
	ownerStart
	ownerVersion
)

// EncodeClaim writes the value stored under ClaimKey: the format version (one
// byte), then the fields
//
//	1 owner message: 1 number counter, 2 random counter, 3 host text, 4 pid
//	  whole number, 5 start whole number (ms), 6 version text
//	2 API text   3 directory text   4 interval whole number (ns)   5 released yes
func EncodeClaim(c Claim) []byte {
	b := []byte{claimVersion}
	b = appendField(b, claimOwner, appendOwner(nil, c.Owner))
	b = appendText(b, claimAPI, c.API)
	b = appendText(b, claimDirectory, c.Directory)
	b = appendInt(b, claimInterval, int64(c.Interval))
	return appendYes(b, claimReleased, c.Released)
}

// DecodeClaim reads what EncodeClaim wrote. Errors: *CorruptError,
// *NewerFormatError.
func DecodeClaim(b []byte) (Claim, error) {
	const what = "claim"
	if len(b) == 0 || b[0] == 0 || len(b) > maxClaim {
		return Claim{}, &CorruptError{What: what, Reason: fmt.Sprintf("it has %d bytes and no version", len(b))}
	}
	if b[0] > claimVersion {
		return Claim{}, &NewerFormatError{What: what, Version: int(b[0]), Known: claimVersion}
	}
	var c Claim
	r := fieldReader{what: what, rest: b[1:]}
	for r.next() {
		switch r.tag {
		case claimOwner:
			c.Owner = readOwner(&r)
		case claimAPI:
			c.API = r.text()
		case claimDirectory:
			c.Directory = r.text()
		case claimInterval:
			c.Interval = time.Duration(r.intIn(0, math.MaxInt64))
		case claimReleased:
			c.Released = r.yes()
		}
	}
	if r.err != nil {
		return Claim{}, r.err
	}
	return c, nil
}

func appendOwner(dst []byte, o Owner) []byte {
	dst = appendUint(dst, ownerNumber, o.Number)
	dst = appendUint(dst, ownerRandom, o.Random)
	dst = appendText(dst, ownerHost, o.Host)
	dst = appendInt(dst, ownerPID, int64(o.PID))
	dst = appendInt(dst, ownerStart, int64(o.Start))
	return appendText(dst, ownerVersion, o.Version)
}

func readOwner(outer *fieldReader) (o Owner) {
	r := outer.message()
	for r.next() {
		switch r.tag {
		case ownerNumber:
			o.Number = r.uint64()
		case ownerRandom:
			o.Random = r.uint64()
		case ownerHost:
			o.Host = r.text()
		case ownerPID:
			o.PID = r.count()
		case ownerStart:
			o.Start = record.Timestamp(r.int64())
		case ownerVersion:
			o.Version = r.text()
		}
	}
	outer.done(r)
	return o
}
