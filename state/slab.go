package state

import "errors"

// ref names a slot: number of the block, and the offset in it in steps of 16
// bytes. 0 is no slot.
type ref uint32

const (
	granule      = 16
	blockSize    = 64 << 10
	granuleBits  = 12 // log2(blockSize / granule)
	granuleMask  = 1<<granuleBits - 1
	blocksMax    = 1 << (32 - granuleBits)
	largest      = blockSize / 4 // a larger slot has a block of its own
	linearUpTo   = 256
	noClass      = 255
	noBlock      = int32(-1)
	smallestSlot = headerSize + granule
)

var errTableFull = errors.New("hot table has no block left")

// slab hands out slots of a few sizes, cut from blocks of one size. A block
// that becomes empty is given back, so memory follows the mix of sizes.
type slab struct {
	blocks  []block
	mem     [][]byte // the memory of blocks, beside them: a read of a slot needs no more
	unused  []int32  // numbers of blocks given back
	memory  arenas
	partial []int32 // per class: the first block with room, linked
	used    int64   // bytes in slots handed out
	large   int64   // bytes in blocks that are one large slot
}

// block is 64 KiB cut into slots of one class, or one large slot.
type block struct {
	arena      int32
	class      uint8
	used       uint16 // slots handed out
	bump       uint32 // offset of the first slot never handed out
	free       ref    // first of the slots given back
	next, prev int32  // blocks of the class with room
}

// slotSizes are the sizes of the classes: steps of 16 bytes at first, then of a
// quarter. classOf finds the class by the number of granules.
var slotSizes, classOf = makeClasses()

func makeClasses() ([]int, [largest/granule + 1]uint8) {
	var sizes []int
	for n := smallestSlot; n <= linearUpTo; n += granule {
		sizes = append(sizes, n)
	}
	for n := linearUpTo; n < largest; {
		n = min((n+n/4)&^(granule-1), largest)
		sizes = append(sizes, n)
	}
	var of [largest/granule + 1]uint8
	class := 0
	for g := range of {
		for sizes[class] < g*granule {
			class++
		}
		of[g] = uint8(class)
	}
	return sizes, of
}

func newSlab() slab {
	s := slab{blocks: make([]block, 1), mem: make([][]byte, 1), partial: make([]int32, len(slotSizes))}
	for i := range s.partial {
		s.partial[i] = noBlock
	}
	return s
}

// at is the memory of a slot, and what lies behind it in its block.
func (s *slab) at(r ref) slot {
	return slot(s.mem[r>>granuleBits][(r&granuleMask)*granule:])
}

// size is the number of bytes of a slot.
func (s *slab) size(r ref) int {
	b := &s.blocks[r>>granuleBits]
	if b.class == noClass {
		return len(s.mem[r>>granuleBits])
	}
	return slotSizes[b.class]
}

// alloc hands out a slot of at least n bytes with unspecified contents.
func (s *slab) alloc(n int) (ref, error) {
	if n > largest {
		return s.allocLarge(n)
	}
	class := classOf[(n+granule-1)/granule]
	size := slotSizes[class]
	i := s.partial[class]
	if i == noBlock {
		data, arena := s.memory.take()
		var err error
		if i, err = s.addBlock(class, data); err != nil {
			s.memory.give(data, arena)
			return 0, err
		}
		s.blocks[i].arena = arena
		s.link(class, i)
	}
	b := &s.blocks[i]
	r := b.free
	if r != 0 {
		b.free = s.at(r).next()
	} else {
		r = ref(i)<<granuleBits | ref(b.bump/granule)
		b.bump += uint32(size)
	}
	b.used++
	if b.free == 0 && int(b.bump)+size > blockSize {
		s.unlink(class, i)
	}
	s.used += int64(size)
	return r, nil
}

func (s *slab) allocLarge(n int) (ref, error) {
	data := make([]byte, (n+4095)&^4095)
	i, err := s.addBlock(noClass, data)
	if err != nil {
		return 0, err
	}
	s.large += int64(len(data))
	s.used += int64(len(data))
	s.blocks[i].used = 1
	return ref(i) << granuleBits, nil
}

// total is the memory in blocks, spares included.
func (s *slab) total() int64 { return s.memory.total + s.large }

func (s *slab) addBlock(class uint8, data []byte) (int32, error) {
	b := block{class: class, next: noBlock, prev: noBlock}
	if n := len(s.unused); n > 0 {
		i := s.unused[n-1]
		s.unused = s.unused[:n-1]
		s.blocks[i], s.mem[i] = b, data
		return i, nil
	}
	if len(s.blocks) == blocksMax {
		return 0, errTableFull
	}
	s.blocks, s.mem = append(s.blocks, b), append(s.mem, data)
	return int32(len(s.blocks) - 1), nil
}

// free takes a slot back, and its block when that becomes empty.
func (s *slab) free(r ref) {
	i := int32(r >> granuleBits)
	b := &s.blocks[i]
	size := s.size(r)
	s.used -= int64(size)
	sl := s.at(r)
	sl[atFlags] = 0
	full := b.class != noClass && b.free == 0 && int(b.bump)+size > blockSize
	b.used--
	if b.used == 0 {
		if b.class != noClass && !full {
			s.unlink(b.class, i)
		}
		s.release(i)
		return
	}
	sl.setNext(b.free)
	b.free = r
	if full {
		s.link(b.class, i)
	}
}

// release gives an empty block back.
func (s *slab) release(i int32) {
	b := &s.blocks[i]
	if b.class != noClass {
		s.memory.give(s.mem[i], b.arena)
	} else {
		s.large -= int64(len(s.mem[i]))
	}
	s.mem[i] = nil
	*b = block{next: noBlock, prev: noBlock}
	s.unused = append(s.unused, i)
}

func (s *slab) link(class uint8, i int32) {
	b := &s.blocks[i]
	b.prev, b.next = noBlock, s.partial[class]
	if b.next != noBlock {
		s.blocks[b.next].prev = i
	}
	s.partial[class] = i
}

func (s *slab) unlink(class uint8, i int32) {
	b := &s.blocks[i]
	if b.prev != noBlock {
		s.blocks[b.prev].next = b.next
	} else {
		s.partial[class] = b.next
	}
	if b.next != noBlock {
		s.blocks[b.next].prev = b.prev
	}
	b.prev, b.next = noBlock, noBlock
}

// each calls fn with the slots in use of one block. fn may free the slot it was
// given, but no other.
func (s *slab) each(i int32, fn func(r ref, sl slot)) {
	b := &s.blocks[i]
	if s.mem[i] == nil {
		return
	}
	if b.class == noClass {
		fn(ref(i)<<granuleBits, slot(s.mem[i]))
		return
	}
	size, end := slotSizes[b.class], b.bump
	for off := uint32(0); off < end && s.mem[i] != nil; off += uint32(size) {
		if sl := slot(s.mem[i][off:]); sl.is(flagUsed) {
			fn(ref(i)<<granuleBits|ref(off/granule), sl)
		}
	}
}
