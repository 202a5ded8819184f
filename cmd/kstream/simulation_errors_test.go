//go:build harness

package main

// failed demands each record that fails once, as it was read, and no other; those
// of one key and partition in their order.
func (v *verdict) failed(what string, in, out []row, fails func(*row) bool) {
	type line struct {
		k         string
		partition int
	}
	index := map[string]int{}
	left := 0
	for i := range in {
		if fails(&in[i]) {
			index[in[i].ID] = i
			left++
		}
	}
	if left == 0 {
		v.badf("%s: no record fails, nothing is compared", what)
	}
	newest := map[line]int{}
	seen := map[string]bool{}
	for i := range out {
		r := &out[i]
		at, ok := index[r.ID]
		if !ok || seen[r.ID] || !r.same(&in[at]) {
			v.badf("%s: %+v at offset %d was not to come, or not again, or is not as it was read", what, *r, r.offset)
			return
		}
		of := line{r.K, in[at].partition}
		if at < newest[of] {
			v.badf("%s: %s at offset %d comes after a later one of its key and partition", what, r.ID, r.offset)
		}
		seen[r.ID], newest[of] = true, at
		left--
	}
	if left > 0 {
		v.badf("%s: %d records are missing", what, left)
	}
}
