package verify

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// partitions and perPartition size the right history the wrong ones are made of.
const (
	partitions   = 3
	perPartition = 40
	size         = 1000
	gap          = 150
)

// right makes a history without a fault: three input partitions whose keys mix,
// the outputs as a correct run may write them.
func right() History {
	h := History{In: make(Log, partitions), Copy: make(Log, partitions), Counts: make(Log, 2), Windows: make(Log, 2), Dead: make(Log, 2), WindowSize: size,
		Sessions: make(Log, 2), Table: make(Log, 2), Gap: gap, Input: "in", DeadNode: "s/x", HasFiles: true}
	n, total, panes := map[string]int64{}, map[string]int64{}, map[pane]Value{}
	for i := range perPartition {
		for p := range partitions {
			k := fmt.Sprintf("k%d", (i+p)%4)
			v := Value{ID: fmt.Sprintf("%d-%d", p, i), K: k, N: int64(i*partitions + p + 1), TS: Millis(i * 100)}
			h.In[p] = append(h.In[p], Rec{Offset: int64(i), Key: k, Value: v})
			h.file(p%2, 1+i/10, v)
			h.Copy[p] = append(h.Copy[p], Rec{Offset: int64(2 * i), Key: k, Value: v})
			if v.N%DeadEvery == 0 {
				h.Dead[home(k)] = append(h.Dead[home(k)], Rec{Offset: int64(i*partitions + p), Key: k, Value: v,
					Error: fmt.Sprintf("s/x eval-failed in/%d/%d", p, i)})
			}
			n[k]++
			total[k] += v.N
			at := n[k] * 3
			h.Counts[home(k)] = append(h.Counts[home(k)], Rec{Offset: at, Key: k, Value: Value{K: k, N: n[k], Total: total[k]}})
			h.tableRow(Rec{Offset: at, Key: k, Value: Value{K: k, N: n[k], Total: total[k]}})
			w := panes[pane{k, int64(v.TS) / size * size}]
			w.N, w.Total = w.N+1, w.Total+v.N
			panes[pane{k, int64(v.TS) / size * size}] = w
		}
	}
	for start := int64(0); start+size <= (perPartition-1)*100; start += size {
		for i := range 4 {
			k := fmt.Sprintf("k%d", i)
			w := panes[pane{k, start}]
			h.Windows[home(k)] = append(h.Windows[home(k)], Rec{Offset: start, Key: k, Value: Value{K: k, Start: Millis(start), N: w.N, Total: w.Total}})
		}
	}
	for i := range 4 {
		h.sessionsOf(fmt.Sprintf("k%d", i))
	}
	return h
}

// tableRow adds a row of the table, or its end.
func (h *History) tableRow(r Rec) {
	if r.Value.N%GoneEvery == 0 {
		r.Value, r.Gone = Value{}, true
	}
	h.Table[home(r.Key)] = append(h.Table[home(r.Key)], r)
}

// sessionsOf adds the sessions of a key that are over. Keys go round every 400 ms
// and meet for 200 ms, partition after partition.
func (h *History) sessionsOf(k string) {
	var s Value
	for i := range perPartition {
		for p := range partitions {
			v := h.In[p][i].Value
			if v.K != k {
				continue
			}
			if s.N > 0 && v.TS > s.End {
				h.Sessions[home(k)] = append(h.Sessions[home(k)], Rec{Offset: int64(s.Start), Key: k, Value: s})
				s = Value{}
			}
			if s.N == 0 {
				s = Value{K: k, Start: v.TS}
			}
			s.N, s.Total, s.End = s.N+1, s.Total+v.N, v.TS+gap
		}
	}
	if reached := Millis((perPartition - 1) * 100); s.N > 0 && s.End < reached {
		h.Sessions[home(k)] = append(h.Sessions[home(k)], Rec{Offset: int64(s.Start), Key: k, Value: s})
	}
}

// file adds a line to the file of a subtask and an epoch.
func (h *History) file(subtask, epoch int, v Value) {
	for i := range h.Files {
		if f := &h.Files[i]; f.Subtask == subtask && f.Epoch == epoch {
			f.Values = append(f.Values, v)
			return
		}
	}
	h.Files = append(h.Files, File{Name: fmt.Sprintf("copy-%d-%d.jsonl.gz", subtask, epoch), Subtask: subtask, Epoch: epoch, Values: []Value{v}})
}

func home(k string) int { return int(k[1]-'0') % 2 }

func TestRightHistoryPasses(t *testing.T) {
	compared, problems := Check(right())
	if len(problems) > 0 {
		t.Fatalf("a right history was refused: %s", strings.Join(problems, "\n"))
	}
	want := Compared{Inputs: 120, Records: 120 + 120 + 12 + 38 + 120 + 17, Partitions: 3, Keys: 4, Windows: 12, Dead: 17,
		Sessions: 38, Deletes: 28, Files: 8}
	if compared != want {
		t.Errorf("compared %+v, want %+v", compared, want)
	}
}

func TestMillisReadsBothForms(t *testing.T) {
	for text, want := range map[string]Millis{"1500": 1500, `"1970-01-01T00:00:01.5Z"`: 1500} {
		var m Millis
		if err := json.Unmarshal([]byte(text), &m); err != nil || m != want {
			t.Errorf("%s is %d (%v), want %d", text, m, err, want)
		}
	}
	var m Millis
	if err := json.Unmarshal([]byte(`"yesterday"`), &m); err == nil {
		t.Error("a time that is none was read")
	}
}

// TestWrongHistoriesAreCaught is the verifier's own test: each fault an engine
// can have must be named.
func TestWrongHistoriesAreCaught(t *testing.T) {
	for _, c := range []struct {
		name, want string
		break_     func(h *History)
	}{
		{"copy lost in the middle", "copy: partition 1 record 7", func(h *History) { h.Copy[1] = slices.Delete(h.Copy[1], 7, 8) }},
		{"copy lost at the end", "39 of 40 records, 2-39 is lost", func(h *History) { h.Copy[2] = h.Copy[2][:39] }},
		{"copy doubled", "copy: partition 0 record 6", func(h *History) { h.Copy[0] = slices.Insert(h.Copy[0], 6, h.Copy[0][5]) }},
		{"copy doubled at the end", "copy: partition 0 has a record too many", func(h *History) { h.Copy[0] = append(h.Copy[0], h.Copy[0][39]) }},
		{"copy swapped", "copy: partition 0 record 3", func(h *History) { h.Copy[0][3], h.Copy[0][4] = h.Copy[0][4], h.Copy[0][3] }},
		{"copy in another partition", "copy: partition 0", func(h *History) { h.Copy[0], h.Copy[1] = h.Copy[1], h.Copy[0] }},
		{"copy with another value", "copy: partition 0 record 3", func(h *History) { h.Copy[0][3].Value.N++ }},
		{"copy with another key", "copy: partition 0 record 3", func(h *History) { h.Copy[0][3].Key = "x" }},
		{"copy missing whole", "0 of 40", func(h *History) { h.Copy = nil }},
		{"count skipped", "has count 7 at offset 21, want 6", func(h *History) { h.Counts[0] = slices.Delete(h.Counts[0], 9, 10) }},
		{"count doubled", "has count", func(h *History) { h.Counts[1] = slices.Insert(h.Counts[1], 9, h.Counts[1][8]) }},
		{"input counted twice", "again or too late", countTwice},
		{"input left out of the counts", "lacks 1 results", func(h *History) { h.Counts[0] = h.Counts[0][:len(h.Counts[0])-1] }},
		{"sum that no record explains", "grows by", func(h *History) { h.Counts[0][4].Value.Total += 1000 }},
		{"inputs of one partition reordered", "again or too late", reorder},
		{"key in two partitions", "is in the partitions", func(h *History) {
			last := len(h.Counts[0]) - 1
			h.Counts[1] = append(h.Counts[1], h.Counts[0][last])
			h.Counts[0] = h.Counts[0][:last]
		}},
		{"record key wrong", "record key", func(h *History) { h.Counts[0][0].Key = "other" }},
		{"counts beyond the input", "lacks -1 results", func(h *History) {
			r := h.Counts[0][len(h.Counts[0])-1]
			r.Value.N++
			h.Counts[0] = append(h.Counts[0], r)
		}},
		{"window lost", "is missing", func(h *History) { h.Windows[0] = h.Windows[0][1:] }},
		{"window doubled", "there twice", func(h *History) { h.Windows[0] = append(h.Windows[0], h.Windows[0][5]) }},
		{"window with another count", "want 7 and", func(h *History) { h.Windows[0][0].Value.N-- }},
		{"window with another sum", "is count 7 sum 104, want 7 and 103", func(h *History) { h.Windows[0][0].Value.Total++ }},
		{"window without input", "has no input", func(h *History) { h.Windows[0][0].Value.K = "k9" }},
		{"window too early", "came before its end", func(h *History) {
			r := h.Windows[0][0]
			r.Value.Start = 3000
			h.Windows[0] = append(h.Windows[0], r)
		}},
		{"windows of a key swapped", "comes after a later one", func(h *History) {
			h.Windows[0][0], h.Windows[0][2] = h.Windows[0][2], h.Windows[0][0]
		}},
		{"session lost", "is missing", func(h *History) { h.Sessions[0] = h.Sessions[0][1:] }},
		{"session doubled", "there twice", func(h *History) { h.Sessions[0] = append(h.Sessions[0], h.Sessions[0][5]) }},
		{"session with another count", "is count 2 sum", func(h *History) { h.Sessions[0][3].Value.N = 2 }},
		{"session cut in two", "has no input that begins it", func(h *History) { h.Sessions[1][2].Value.Start += 100 }},
		{"session with another end", "ends at", func(h *History) { h.Sessions[1][2].Value.End++ }},
		{"session too early", "is not over", func(h *History) {
			r := h.In[2][perPartition-1]
			h.Sessions[0] = append(h.Sessions[0], Rec{Key: r.Key, Value: Value{K: r.Value.K, Start: r.Value.TS, N: 1}})
		}},
		{"sessions of a key swapped", "comes after a later one", func(h *History) {
			h.Sessions[0][1], h.Sessions[0][2] = h.Sessions[0][2], h.Sessions[0][1]
		}},
		{"no sessions", "compared nothing", func(h *History) { h.Sessions = nil }},
		{"row lost", "table: key k0", func(h *History) { h.Table[0] = slices.Delete(h.Table[0], 4, 5) }},
		{"row doubled", "table: key k0", func(h *History) { h.Table[0] = slices.Insert(h.Table[0], 4, h.Table[0][0]) }},
		{"row after its end", "table: key k0 is a row", func(h *History) { breakRow(h, true, Rec{Key: "k0", Value: Value{K: "k0", N: 4}}) }},
		{"row that ended too early", "table: key k0 ends", func(h *History) { breakRow(h, false, Rec{Key: "k0", Gone: true}) }},
		{"row with a sum that no record explains", "grows by", func(h *History) {
			for i := range h.Table[0] {
				if h.Table[0][i].Value.N == 2 {
					h.Table[0][i].Value.Total += 1000
				}
			}
		}},
		{"row in another partition", "is in the partitions", func(h *History) { h.Table[1] = append(h.Table[1], h.Table[0][0]) }},
		{"last row lost", "lacks 1 results", func(h *History) { h.Table[0] = h.Table[0][:len(h.Table[0])-1] }},
		{"last sum wrong", "in the end", func(h *History) {
			for i := range h.Table[0] {
				if r := &h.Table[0][i]; r.Value.N >= 29 {
					r.Value.Total += 1000
				}
			}
		}},
		{"no table", "compared nothing", func(h *History) { h.Table = nil }},
		{"dead letter lost", "is missing", func(h *History) { h.Dead[0] = h.Dead[0][1:] }},
		{"dead letter doubled", "there twice", func(h *History) { h.Dead[0] = append(h.Dead[0], h.Dead[0][0]) }},
		{"dead letter of a good record", "has no input that fails", func(h *History) { h.Dead[0][1].Error = "s/x eval-failed in/0/0" }},
		{"dead letter of another node", "has no input that fails", func(h *History) { h.Dead[0][1].Error = strings.Replace(h.Dead[0][1].Error, "s/x", "s/y", 1) }},
		{"dead letter with another value", "with the key", func(h *History) { h.Dead[0][1].Value.TS++ }},
		{"dead letter with another key", "with the key", func(h *History) { h.Dead[0][1].Key = "x" }},
		{"dead letters swapped", "comes after a later one", func(h *History) { slices.Reverse(h.Dead[0]) }},
		{"no dead letters", "compared nothing", func(h *History) { h.Dead = nil }},
		{"file lost", "is not before it", func(h *History) { h.Files = slices.Delete(h.Files, 2, 3) }},
		{"last file lost", "30 of 40 records, 1-30 is lost", func(h *History) { h.Files = h.Files[:7] }},
		{"file shown twice", "a second time", func(h *History) {
			f := h.Files[3]
			f.Epoch = 9
			h.Files = append(h.Files, f)
		}},
		{"line lost", "is not before it", func(h *History) { h.Files[2].Values = slices.Delete(h.Files[2].Values, 3, 4) }},
		{"line doubled", "a second time", func(h *History) { h.Files[2].Values = slices.Insert(h.Files[2].Values, 4, h.Files[2].Values[3]) }},
		{"line of an attempt", "not in the input", func(h *History) { h.Files[1].Values = append(h.Files[1].Values, Value{ID: "x", N: 9999}) }},
		{"line with another value", "want {ID:0-0", func(h *History) { h.Files[0].Values[0].K = "x" }},
		{"file without lines", "is empty", func(h *History) { h.Files = append(h.Files, File{Name: "copy-0-9.jsonl.gz", Epoch: 9}) }},
		{"file of another name", "is no name of a result", func(h *History) { h.Files[0].Subtask = -1 }},
		{"no files", "compared nothing", func(h *History) { h.Files = nil }},
		{"driver wrote a value twice", "the driver is wrong", func(h *History) { h.In[0][3].Value.N = h.In[0][2].Value.N }},
		{"driver went back in time", "the driver is wrong", func(h *History) { h.In[0][3].Value.TS = 0 }},
		{"nothing at all", "compared nothing", func(h *History) { *h = History{WindowSize: size} }},
		{"no windows", "compared nothing", func(h *History) {
			for p := range h.In {
				for i := range h.In[p] {
					h.In[p][i].Value.TS, h.Copy[p][i].Value.TS = 0, 0
				}
			}
			h.Windows, h.HasFiles = nil, false
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := right()
			c.break_(&h)
			_, problems := Check(h)
			if text := strings.Join(problems, "\n"); !strings.Contains(text, c.want) {
				t.Errorf("the fault was not named %q:\n%s", c.want, text)
			}
		})
	}
}

// breakRow puts a record in the place of the first of k0 that is an end, or none.
func breakRow(h *History, gone bool, r Rec) {
	for i := range h.Table[0] {
		if h.Table[0][i].Key == "k0" && h.Table[0][i].Gone == gone {
			h.Table[0][i] = r
			return
		}
	}
}

// countTwice puts an input that was counted into the place of the next one, as
// a run that reads it again after a crash would, with sums to match.
func countTwice(h *History) {
	recs := h.Counts[0]
	for i := 12; i < len(recs); i++ {
		if recs[i].Value.K == recs[0].Value.K {
			recs[i].Value.Total += recs[0].Value.Total - (recs[i].Value.Total - before(recs, i))
			return
		}
	}
}

// before is the sum of the key of record i before it.
func before(recs []Rec, i int) int64 {
	for j := i - 1; j >= 0; j-- {
		if recs[j].Value.K == recs[i].Value.K {
			return recs[j].Value.Total
		}
	}
	return 0
}

// reorder swaps the contributions of two inputs of one partition.
func reorder(h *History) {
	k := h.Counts[0][0].Value.K
	var own []*Rec
	for i := range h.Counts[0] {
		if h.Counts[0][i].Value.K == k {
			own = append(own, &h.Counts[0][i])
		}
	}
	// In the right history the inputs of a key come from one partition after the
	// other in turn; 0 and 3 or 0 and 4 are of one partition. Swap 0 and the first
	// later one of its partition by moving the sums between them.
	v := make([]int64, len(own))
	for i := range own {
		v[i] = own[i].Value.Total
		if i > 0 {
			v[i] -= own[i-1].Value.Total
		}
	}
	for i := 1; i < len(v); i++ {
		if (v[i]-1)%partitions == (v[0]-1)%partitions {
			v[0], v[i] = v[i], v[0]
			break
		}
	}
	total := int64(0)
	for i := range own {
		total += v[i]
		own[i].Value.Total = total
	}
}

func TestEpochMark(t *testing.T) {
	for metadata, want := range map[string]int64{"kstream/1 epoch=12": 12, "": 0, "kstream/1 epoch=0": 0, "kstream/2 epoch=1": 0, "kstream/1 epoch=x": 0} {
		got, err := EpochOf(metadata)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("the mark of %q is %d (%v), want %d", metadata, got, err, want)
		}
	}
}

func TestReaderThatSawAnotherHistoryIsCaught(t *testing.T) {
	log := []Rec{{Offset: 0}, {Offset: 1}, {Offset: 4}, {Offset: 5}}
	for _, c := range []struct {
		name string
		got  []Rec
		bad  bool
	}{
		{"the same", log, false},
		{"a beginning", log[:2], false},
		{"nothing yet", nil, false},
		{"taken back later", []Rec{{Offset: 0}, {Offset: 1}, {Offset: 2}}, true},
		{"led past one", []Rec{{Offset: 0}, {Offset: 4}}, true},
		{"another value", []Rec{{Offset: 0, Key: "x"}}, true},
		{"went back", []Rec{{Offset: 0}, {Offset: 0}}, true},
		{"beyond the end", append(slices.Clone(log), Rec{Offset: 9}), true},
	} {
		if problems := compareSeen("t/0", c.got, log); (len(problems) > 0) != c.bad {
			t.Errorf("%s: problems %v", c.name, problems)
		}
	}
}
