package state

// index finds slots by hash: open addressing with linear probing over words of
// 32 bits of hash and 32 bits of ref. An empty word is 0. The upper bits of the
// hash choose the place, so that growing keeps the order and runs through
// memory once, and it needs no look at the slots.
type index struct {
	words []uint64
	shift uint8 // 32 - log2(len(words))
	count int
}

const indexMin = 16

func newIndex() index { return index{words: make([]uint64, indexMin), shift: 32 - 4} }

func (x *index) bytes() int64 { return int64(len(x.words)) * 8 }

// insert adds a ref that is not in the index.
func (x *index) insert(tag uint32, r ref) {
	if x.count >= len(x.words)/4*3 {
		x.grow()
	}
	x.place(uint64(tag)<<32 | uint64(r))
	x.count++
}

func (x *index) place(word uint64) {
	mask := uint32(len(x.words) - 1)
	i := uint32(word>>32) >> x.shift
	for x.words[i&mask] != 0 {
		i++
	}
	x.words[i&mask] = word
}

func (x *index) grow() {
	old := x.words
	x.words = make([]uint64, 2*len(old))
	adviseWords(x.words)
	x.shift--
	for _, w := range old {
		if w != 0 {
			x.place(w)
		}
	}
}

// find is the place of a ref that is in the index.
func (x *index) find(tag uint32, r ref) uint32 {
	mask := uint32(len(x.words) - 1)
	word := uint64(tag)<<32 | uint64(r)
	i := tag >> x.shift
	for x.words[i&mask] != word {
		i++
	}
	return i & mask
}

// replace puts another ref in the place of one that is in the index.
func (x *index) replace(tag uint32, old, r ref) {
	x.words[x.find(tag, old)] = uint64(tag)<<32 | uint64(r)
}

// remove takes a ref out and closes the gap, so that probing needs no marks of
// deleted words.
func (x *index) remove(tag uint32, r ref) {
	mask := uint32(len(x.words) - 1)
	i := x.find(tag, r)
	for j := (i + 1) & mask; x.words[j] != 0; j = (j + 1) & mask {
		home := uint32(x.words[j]>>32) >> x.shift
		if (j-home)&mask >= (j-i)&mask {
			x.words[i] = x.words[j]
			i = j
		}
	}
	x.words[i] = 0
	x.count--
}
