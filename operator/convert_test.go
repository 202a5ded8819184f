package operator

import (
	"bytes"
	"testing"

	"kstream/codec"
	"kstream/record"
)

func part(text string, size, beside int) ConvertedPart {
	return ConvertedPart{text, PartLayout{size, beside}}
}

func TestConversionOfMainEntries(t *testing.T) {
	old := []ConvertedPart{part("a", 2, 0), part("b", 3, 1), part("c", 1, 2)}
	for name, c := range map[string]struct {
		now        []ConvertedPart
		main, want string
	}{
		"the same":           {old, "HHaabbbc", "HHaabbbc"},
		"without a header":   {old, "aabbbc", "aabbbc"},
		"another order":      {[]ConvertedPart{old[2], old[0], old[1]}, "HHaabbbc", "HHcaabbb"},
		"one is gone":        {[]ConvertedPart{old[0], old[2]}, "HHaabbbc", "HHaac"},
		"one is new":         {[]ConvertedPart{old[0], part("d", 2, 0), old[1], old[2]}, "HHaabbbc", "HHaa\x00\x00bbbc"},
		"another size":       {[]ConvertedPart{part("a", 4, 0), old[1]}, "HHaabbbc", "HH\x00\x00\x00\x00bbb"},
		"nothing is left":    {nil, "aabbbc", "\x00"},
		"all are new":        {[]ConvertedPart{part("x", 1, 0)}, "HHaabbbc", "HH\x00"},
		"header is all left": {nil, "HHaabbbc", "HH"},
	} {
		got, err := NewConversion(old, c.now).Main([]byte(c.main))
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
	if _, err := NewConversion(old, old).Main([]byte("aab")); err == nil {
		t.Error("an entry that is too short is converted")
	}
	if got, err := NewConversion(nil, old[:1]).Main([]byte{0}); err != nil || !bytes.Equal(got, make([]byte, 2)) {
		t.Errorf("an entry without accumulators: %q, %v", got, err)
	}
}

func TestConversionOfKeys(t *testing.T) {
	key, err := codec.AppendKey(nil, record.String("k"))
	if err != nil {
		t.Fatal(err)
	}
	c := NewConversion([]ConvertedPart{part("a", 0, 1), part("b", 0, 2), part("c", 0, 1)}, []ConvertedPart{part("c", 0, 1), part("a", 0, 1)})
	with := func(rest string) []byte { return append(bytes.Clone(key), rest...) }
	if got, main, keep, err := c.Key(key); err != nil || !main || !keep || !bytes.Equal(got, key) {
		t.Errorf("main entry: %x %v %v %v", got, main, keep, err)
	}
	for _, k := range []struct {
		rest, want string
		keep       bool
	}{{"\x00x", "\x01x", true}, {"\x01x", "", false}, {"\x02", "", false}, {"\x03yz", "\x00yz", true}} {
		before := with(k.rest)
		got, main, keep, err := c.Key(before)
		if err != nil || main || keep != k.keep || keep && !bytes.Equal(got, with(k.want)) {
			t.Errorf("%q: %x %v %v %v", k.rest, got, main, keep, err)
		}
		if !bytes.Equal(before, with(k.rest)) {
			t.Error("the old key was changed")
		}
	}
	if _, _, _, err := c.Key(with("\x09")); err == nil {
		t.Error("a part that does not exist is converted")
	}
	if _, _, _, err := c.Key([]byte{0xfe}); err == nil {
		t.Error("a key that is none is converted")
	}
}
