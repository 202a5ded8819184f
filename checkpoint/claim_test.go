package checkpoint

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func sampleClaim() Claim {
	return Claim{Owner: sample().Owner, API: "127.0.0.1:7670", Directory: "d1f0", Interval: time.Second, Released: true}
}

func TestClaimRoundTrip(t *testing.T) {
	for _, want := range []Claim{{}, sampleClaim(), {Owner: Owner{Random: 1<<64 - 1}}} {
		got, err := DecodeClaim(EncodeClaim(want))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v: got %+v, want %+v", err, got, want)
		}
	}
}

func TestClaimDamage(t *testing.T) {
	for _, c := range []struct {
		name, want string
		value      []byte
	}{
		{"empty", "0 bytes and no version", nil},
		{"version 0", "no version", []byte{0, 1, 0}},
		{"oversized", "65537 bytes", append([]byte{1}, make([]byte, maxClaim)...)},
		{"a length beyond the end", "longer than what is left", []byte{1, 1, 50, 0}},
		{"negative interval", "field 4 is -1", append([]byte{1}, appendInt(nil, claimInterval, -1)...)},
		{"damage inside of the owner", "field 4 is no number", append([]byte{1}, appendField(nil, claimOwner, []byte{ownerPID, 0})...)},
	} {
		_, err := DecodeClaim(c.value)
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func TestNewerClaim(t *testing.T) {
	_, err := DecodeClaim([]byte{9, 1, 2, 3})
	var newer *NewerFormatError
	if !errors.As(err, &newer) || newer.Version != 9 || !strings.Contains(err.Error(), "the claim has format 9") {
		t.Errorf("got %v", err)
	}
}

func TestClaimUnknownField(t *testing.T) {
	b := appendField(EncodeClaim(sampleClaim()), 77, []byte("later"))
	if got, err := DecodeClaim(b); err != nil || got != sampleClaim() {
		t.Errorf("%v: %+v", err, got)
	}
}

func TestOwnerID(t *testing.T) {
	o := Owner{Number: 12, Random: 0xab}
	if o.ID() != "12-00000000000000ab" {
		t.Error(o.ID())
	}
	if n, r, ok := ParseOwnerID(o.ID()); n != 12 || r != 0xab || !ok {
		t.Error(n, r, ok)
	}
	for _, bad := range []string{
		"", "12", "-00000000000000ab", "12-ab", "12-00000000000000AB", "012-00000000000000ab", "+1-00000000000000ab",
		"12-00000000000000ab-", "12-+0000000000000ab", "18446744073709551616-00000000000000ab", "12-0x000000000000ab",
	} {
		if _, _, ok := ParseOwnerID(bad); ok {
			t.Errorf("%q is an owner id", bad)
		}
	}
}

func TestNames(t *testing.T) {
	for _, c := range [][2]string{
		{TransactionalID("page-views", 0), "kstream-page-views-0"},
		{GroupID("page-views"), "kstream-page-views"},
		{CheckpointTopic("kstream.", "page-views"), "kstream.page-views.checkpoints"},
		{ChangelogTopic("kstream.", "page-views", 1), "kstream.page-views.changelog"},
		{ChangelogTopic("x-", "page-views", 12), "x-page-views.changelog.12"},
		{RecordKey(1, 23), "r/1/23"},
		{ClaimKey(1), "o/1"},
	} {
		if c[0] != c[1] {
			t.Errorf("got %s, want %s", c[0], c[1])
		}
	}
}

func TestMark(t *testing.T) {
	if got := FormatMark(12); got != "kstream/1 epoch=12" {
		t.Error(got)
	}
	for _, c := range []struct {
		text  string
		epoch Epoch
		ours  bool
		err   string
	}{
		{"kstream/1 epoch=12", 12, true, ""},
		{"kstream/1 epoch=18446744073709551615", 1<<64 - 1, true, ""},
		{"", 0, false, ""},
		{"kstream", 0, false, ""},
		{"somebody else's", 0, false, ""},
		{"kstream/2 position=x", 0, true, "the offset mark has format 2"},
		{"kstream/18446744073709551615", 0, true, "format 2147483647"},
		{"kstream/", 0, true, "no version"},
		{"kstream/0 epoch=1", 0, true, "no version"},
		{"kstream/01 epoch=1", 0, true, "no version"},
		{"kstream/1", 0, true, "no epoch"},
		{"kstream/1 epoch=", 0, true, "no epoch"},
		{"kstream/1 epoch=-1", 0, true, "no epoch"},
		{"kstream/1 epoch=012", 0, true, "no epoch"},
		{"kstream/1 epoch=12 more", 0, true, "no epoch"},
		{"kstream/1 epoch=18446744073709551616", 0, true, "no epoch"},
	} {
		epoch, ours, err := ParseMark(c.text)
		if epoch != c.epoch || ours != c.ours || (err == nil) != (c.err == "") || (err != nil && !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%q: %d %v %v", c.text, epoch, ours, err)
		}
	}
}

func FuzzClaim(f *testing.F) {
	f.Add(EncodeClaim(sampleClaim()))
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := DecodeClaim(b)
		var corrupt *CorruptError
		var newer *NewerFormatError
		switch {
		case err == nil:
			again := EncodeClaim(c)
			if got, err := DecodeClaim(again); err != nil || got != c || !bytes.Equal(EncodeClaim(got), again) {
				t.Fatalf("%v: %+v is read again as %+v", err, c, got)
			}
		case errors.As(err, &corrupt), errors.As(err, &newer):
		default:
			t.Fatalf("an error without a type: %v", err)
		}
	})
}

func FuzzMark(f *testing.F) {
	f.Add("kstream/1 epoch=12")
	f.Add("kstream/2 epoch=12")
	f.Fuzz(func(t *testing.T, text string) {
		epoch, ours, err := ParseMark(text)
		if ours != strings.HasPrefix(text, "kstream/") {
			t.Fatalf("%q: ours is %v", text, ours)
		}
		if ours && err == nil && FormatMark(epoch) != text {
			t.Fatalf("%q is read as epoch %d, written %q", text, epoch, FormatMark(epoch))
		}
	})
}

func FuzzOwnerID(f *testing.F) {
	f.Add("12-00000000000000ab")
	f.Fuzz(func(t *testing.T, text string) {
		n, r, ok := ParseOwnerID(text)
		if ok && (Owner{Number: n, Random: r}).ID() != text {
			t.Fatalf("%q is read as %d, %x", text, n, r)
		}
	})
}
