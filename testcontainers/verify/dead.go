package verify

import "fmt"

// DeadEvery is which records fail in the chaos pipeline: those whose value is a
// multiple of it.
const DeadEvery = 7

// checkDead demands a dead letter of every record that fails and of no other,
// exactly once, as it was read, with the place it was read at; those of one key
// and one input partition in their order.
func checkDead(v *verdict, h History) {
	want := map[string]Rec{}
	where := map[string]place{}
	for p, recs := range h.In {
		for i, r := range recs {
			if r.Value.N%DeadEvery == 0 {
				at := fmt.Sprintf("%s eval-failed %s/%d/%d", h.DeadNode, h.Input, p, r.Offset)
				want[at], where[at] = r, place{p, i}
			}
		}
	}
	type line struct {
		k         string
		partition int
	}
	seen := map[string]bool{}
	newest := map[line]int{}
	for _, recs := range h.Dead {
		for _, r := range recs {
			w, ok := want[r.Error]
			at := where[r.Error]
			of := line{w.Value.K, at.partition}
			switch {
			case !ok:
				v.bad("dead letters: %q at offset %d has no input that fails", r.Error, r.Offset)
			case seen[r.Error]:
				v.bad("dead letters: %q is there twice, again at offset %d", r.Error, r.Offset)
			case r.Value != w.Value || r.Key != w.Key:
				v.bad("dead letters: %q is %+v with the key %q, want %+v", r.Error, r.Value, r.Key, w.Value)
			case at.index < newest[of]:
				v.bad("dead letters: %q at offset %d comes after a later one of its key and partition", r.Error, r.Offset)
			}
			seen[r.Error] = true
			newest[of] = max(newest[of], at.index)
		}
	}
	v.compared.Dead = len(seen)
	for at := range want {
		if !seen[at] {
			v.bad("dead letters: %q is missing", at)
		}
	}
}
