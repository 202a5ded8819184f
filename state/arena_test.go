package state

import (
	"math/rand/v2"
	"testing"
)

// TestArenasGiveBack: memory follows what is in use, however slots of different
// sizes came and went, and no two slots share bytes.
func TestArenasGiveBack(t *testing.T) {
	s := newSlab()
	r := rand.New(rand.NewPCG(1, 2))
	live := map[ref]uint32{}
	var want, peak int64
	grow := func(upTo int64) {
		for s.used < upTo {
			at, err := s.alloc(headerSize + r.IntN(3000))
			if err != nil {
				t.Fatal(err)
			}
			sl := s.at(at)
			sl.write(1, 2, nil, 0, 0)
			mark := r.Uint32()
			sl.setValueLen(int(mark))
			if _, twice := live[at]; twice {
				t.Fatalf("slot %x is handed out twice", at)
			}
			live[at] = mark
			peak = max(peak, s.total())
		}
	}
	shrink := func(downTo int64) {
		for at, mark := range live {
			if s.used <= downTo {
				break
			}
			if got := uint32(s.at(at).valueLen()); got != mark {
				t.Fatalf("slot %x was overwritten", at)
			}
			delete(live, at)
			s.free(at)
		}
	}
	for range 4 {
		grow(40 << 20)
		shrink(20 << 20)
	}
	for at := range live {
		want += int64(s.size(at))
	}
	if s.used != want || peak > 100<<20 {
		t.Fatalf("%d bytes in use, want %d; %d at most", s.used, want, peak)
	}
	shrink(0)
	if left := s.total(); left > 3*arenaBlocks*blockSize || s.used != 0 {
		t.Errorf("%d bytes are kept for nothing, %d in use", left, s.used)
	}
	if spare := s.memory.spare(); spare != s.total() {
		t.Errorf("%d bytes are spare of %d that are not in use", spare, s.total())
	}
}
