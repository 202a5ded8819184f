package record

import "testing"

// The vectors are those of the Java client's own test of its hash.
func TestMurmur2(t *testing.T) {
	for in, want := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		if got := Murmur2([]byte(in)); got != want {
			t.Errorf("Murmur2(%q) = %d, want %d", in, got, want)
		}
	}
}

func TestPlacement(t *testing.T) {
	if got := ToPositive(-1 << 31); got != 0 {
		t.Errorf("ToPositive(min) = %d, want 0", got)
	}
	if got := ToPositive(-973932308); got != 1173551340 {
		t.Errorf("ToPositive = %d, want 1173551340", got)
	}
	if got := PartitionOf([]byte("21"), 7); got != 1173551340%7 {
		t.Errorf("PartitionOf = %d, want %d", got, 1173551340%7)
	}
	if got := KeyGroupOf([]byte("21"), 32); got != KeyGroup(1173551340%32) {
		t.Errorf("KeyGroupOf = %d, want %d", got, 1173551340%32)
	}
}

func BenchmarkHash(b *testing.B) {
	for _, key := range []string{"auction", "0123456789abcdef"} {
		b.Run(key, func(b *testing.B) {
			k := []byte(key)
			b.ReportAllocs()
			for b.Loop() {
				Murmur2(k)
			}
		})
	}
}
