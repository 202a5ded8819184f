package state

import "unsafe"

// arenas hand out the memory of blocks. A small table gets them one by one; a
// table that has grown takes many at once, in memory that the kernel may back
// with huge pages: most of the cost of a large table is memory that is not in a
// cache, and a page of 4 KiB adds the walk to its address.
//
// A block that was given back is used again for slots of any size. An arena all
// of whose blocks were given back is dropped, if enough others are left.
type arenas struct {
	total  int64 // bytes in blocks handed out and in spares
	spares []spareBlock
	rest   []byte // of the newest arena
	idle   map[int32]int
	number int32 // of the newest arena
}

type spareBlock struct {
	data  []byte
	arena int32
}

const (
	arenaBlocks = 128          // 8 MiB
	arenaFrom   = 4 * hugePage // a table below this has no arenas
	noArena     = int32(-1)    // the block was allocated alone
	sparesMax   = 4            // kept of those
	hugePage    = 2 << 20      // of the machines that have them
	adviseFrom  = 2 * hugePage // less memory may not hold a whole one
	adviseMask  = hugePage - 1 // of addresses
)

// take is a block's worth of memory with unspecified contents, and its arena.
func (a *arenas) take() ([]byte, int32) {
	if n := len(a.spares); n > 0 {
		s := a.spares[n-1]
		a.spares = a.spares[:n-1]
		if s.arena != noArena {
			a.idle[s.arena]--
		}
		return s.data, s.arena
	}
	a.total += blockSize
	if a.total < arenaFrom {
		return make([]byte, blockSize), noArena
	}
	if len(a.rest) == 0 {
		a.rest = make([]byte, arenaBlocks*blockSize)
		adviseHuge(a.rest)
		a.number++
		if a.idle == nil {
			a.idle = map[int32]int{}
		}
	}
	data := a.rest[:blockSize:blockSize]
	a.rest = a.rest[blockSize:]
	return data, a.number
}

// give takes the memory of a block back.
func (a *arenas) give(data []byte, arena int32) {
	if arena == noArena {
		if len(a.spares) < sparesMax {
			a.spares = append(a.spares, spareBlock{data, arena})
		} else {
			a.total -= blockSize
		}
		return
	}
	a.spares = append(a.spares, spareBlock{data, arena})
	a.idle[arena]++
	if a.idle[arena] < arenaBlocks || len(a.spares) < 2*arenaBlocks {
		return
	}
	kept := a.spares[:0]
	for _, s := range a.spares {
		if s.arena != arena {
			kept = append(kept, s)
		}
	}
	clear(a.spares[len(kept):])
	a.spares = kept
	a.total -= arenaBlocks * blockSize
	delete(a.idle, arena)
}

// spare is the memory that is kept and not in use.
func (a *arenas) spare() int64 { return int64(len(a.spares)) * blockSize }

// adviseHuge asks for huge pages behind memory that is large enough.
func adviseHuge(b []byte) {
	if len(b) < adviseFrom {
		return
	}
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) & adviseMask)
	if n := (len(b) - skip) &^ adviseMask; n > 0 {
		advise(b[skip : skip+n])
	}
}

// adviseWords does the same for the words of an index.
func adviseWords(words []uint64) {
	adviseHuge(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), 8*len(words)))
}
