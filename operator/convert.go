package operator

import (
	"fmt"

	"kstream/codec"
	"kstream/expr"
	"kstream/topology"
)

// PartLayout is where an accumulator keeps its state: bytes of the main entry,
// and kinds of entries beside it.
type PartLayout struct {
	Size, Beside int
}

// PartLayouts are those of the calls of an aggregate, in their order.
func PartLayouts(n *topology.Node) []PartLayout {
	p := parts{env: &expr.Env{}, changing: n.Aggregate.Changing}
	var all []PartLayout
	for _, k := range n.Aggregate.Calls {
		before := p.next
		_, size, err := p.accumulator(k)
		if err != nil {
			size = 0 // Build refuses it
		}
		all = append(all, PartLayout{Size: size, Beside: p.next - before})
	}
	return all
}

// Conversion writes the entries of an aggregate anew for other accumulators: one
// that both have keeps its state, one that is new starts empty.
type Conversion struct {
	old, new int // bytes of all accumulators
	moves    []move
	beside   []int // old number of a kind of entry -> new one, -1 drops it
}

// move is an accumulator's place in the main entry before and after.
type move struct{ from, to, size int }

// ConvertedPart is an accumulator that is known by its text.
type ConvertedPart struct {
	Text string
	PartLayout
}

// NewConversion makes one.
func NewConversion(old, now []ConvertedPart) *Conversion {
	c := &Conversion{}
	for _, q := range old {
		at, besideAt, to := 0, 0, -1
		for _, p := range now {
			if p.Text == q.Text && p.PartLayout == q.PartLayout {
				to = at
				break
			}
			at, besideAt = at+p.Size, besideAt+p.Beside
		}
		if to >= 0 {
			c.moves = append(c.moves, move{c.old, to, q.Size})
		}
		for i := range q.Beside {
			if to < 0 {
				c.beside = append(c.beside, -1)
			} else {
				c.beside = append(c.beside, besideAt+i)
			}
		}
		c.old += q.Size
	}
	for _, p := range now {
		c.new += p.Size
	}
	return c
}

// Main is the main entry anew; what stands before the accumulators is kept.
func (c *Conversion) Main(main []byte) ([]byte, error) {
	header := len(main) - c.old
	if c.old == 0 && len(main) == 1 {
		header = 0 // an entry has at least one byte
	}
	if header < 0 {
		return nil, fmt.Errorf("convert state: an entry of %d bytes has no room for its accumulators of %d", len(main), c.old)
	}
	out := make([]byte, max(1, header+c.new))
	copy(out, main[:header])
	for _, m := range c.moves {
		copy(out[header+m.to:header+m.to+m.size], main[header+m.from:])
	}
	return out, nil
}

// Key is the key of an entry anew, and whether it is a main one; keep is false
// for what belongs to an accumulator that is gone.
func (c *Conversion) Key(key []byte) (anew []byte, main, keep bool, err error) {
	_, rest, err := codec.DecodeKey(key)
	switch {
	case err != nil:
		return nil, false, false, fmt.Errorf("convert state: key of an entry: %w", err)
	case len(rest) == 0:
		return key, true, true, nil
	case int(rest[0]) >= len(c.beside):
		return nil, false, false, fmt.Errorf("convert state: an entry of part %d, there are %d", rest[0], len(c.beside))
	case c.beside[rest[0]] < 0:
		return nil, false, false, nil
	}
	anew = append([]byte(nil), key...)
	anew[len(key)-len(rest)] = byte(c.beside[rest[0]])
	return anew, false, true, nil
}
