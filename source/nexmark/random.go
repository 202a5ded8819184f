package nexmark

import "math/bits"

const gamma = 0x9e3779b97f4a7c15

// mix is the finalizer of SplitMix64.
func mix(z uint64) uint64 {
	z ^= z >> 30
	z *= 0xbf58476d1ce4e5b9
	z ^= z >> 27
	z *= 0x94d049bb133111eb
	return z ^ z>>31
}

// stream is one sequence of random numbers.
type stream uint64

func (s *stream) next() uint64 {
	*s += gamma
	return mix(uint64(*s))
}

// below is a number from 0 to k - 1.
func (s *stream) below(k int64) int64 {
	high, _ := bits.Mul64(s.next(), uint64(k))
	return int64(high)
}

// decade holds 10 to the powers 6, 6 + 1/16, …, 7.
var decade = [17]uint64{1000000, 1154782, 1333521, 1539927, 1778279, 2053525, 2371374, 2738420, 3162278,
	3651741, 4216965, 4869675, 5623413, 6493816, 7498942, 8659643, 10000000}

var powers = [6]uint64{1, 10, 100, 1000, 10000, 100000}

// price is 100 to 99,999,999 cents, each power of ten as likely as the next.
func (s *stream) price() int64 { return price(s.next()) }

func price(u uint64) int64 {
	x := (u >> 32) * 96
	i, f := x>>32, x&0xffffffff
	d, j := i/16, i%16
	v := decade[j] + (decade[j+1]-decade[j])*f>>32
	return int64(v * powers[d] / 10000)
}

// appendText adds 3 to max - 1 letters, one in 13 of them special, without the
// blanks at both ends.
func (s *stream) appendText(dst []byte, max int64, special byte) []byte {
	size := 3 + s.below(max-3)
	begin := len(dst)
	for range size {
		if s.below(13) == 0 {
			dst = append(dst, special)
			continue
		}
		dst = append(dst, 'a'+byte(s.below(26)))
	}
	for len(dst) > begin && dst[len(dst)-1] == ' ' {
		dst = dst[:len(dst)-1]
	}
	blanks := 0
	for begin+blanks < len(dst) && dst[begin+blanks] == ' ' {
		blanks++
	}
	if blanks > 0 {
		dst = dst[:begin+copy(dst[begin:], dst[begin+blanks:])]
	}
	return dst
}

const poolSize = 1 << 20

// makePool makes the text that `extra` is cut from.
func makePool(key uint64, escapes bool) []byte {
	s := stream(key)
	pool := make([]byte, 0, poolSize)
	if !escapes {
		for range poolSize {
			pool = append(pool, 'a'+byte(s.below(26)))
		}
		return pool
	}
	// Groups of six count up from 'a' or down from it; down there is a
	// backslash, so a reader has to undo escapes.
	for len(pool) < poolSize {
		down := s.below(2) == 1
		for i := 0; i < 6 && len(pool) < poolSize; i++ {
			c := byte(s.below(26))
			if down {
				c = -c
			}
			pool = append(pool, 'a'+c)
		}
	}
	return pool
}
