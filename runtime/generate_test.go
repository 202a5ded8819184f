package runtime

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"kstream/expr"
	"kstream/record"
	"kstream/source"
	"kstream/source/nexmark"
	"kstream/topology"
)

const nexmarkPipeline = `version: 1
name: nx
source: {nexmark: {count: 3000, rate: 1000/s, seed: 42, out_of_order: 100, escapes: true}}
steps:
  - map:
      kind: event_type
      person: person.id
      city: person.city
      auction: auction.id
      ends: auction.expires
      bidder: bid.bidder
      price: bid.price
      at: bid.dateTime
      extra: bid.extra
sink: {stdout: {}}
`

func nexmarkSource(t *testing.T, text string) (*topology.Source, *nexmarkMaker, *record.Row, *expr.Env) {
	t.Helper()
	spec, plan, found := topology.Validate("nx.yaml", []byte(text), topology.Options{})
	if plan == nil {
		t.Fatalf("refused:\n%s", topology.RenderText(found, spec.Lines))
	}
	src := plan.Sources[0]
	env := &expr.Env{Arena: &record.Arena{}}
	row := &record.Row{Slots: make([]record.Value, src.Chain.Slots)}
	env.Row = row
	events, err := NewNexmark(src.Spec.Nexmark)
	if err != nil {
		t.Fatal(err)
	}
	decoder := source.NewDecoder(src, source.Options{Time: "event", Expr: env})
	return src, &nexmarkMaker{events: events, decoder: decoder, count: src.Spec.Nexmark.Count, name: src.Spec.Name}, row, env
}

// TestNexmarkRows compares the rows of the source with the generator's lines as
// the standard library reads them.
func TestNexmarkRows(t *testing.T) {
	src, m, row, env := nexmarkSource(t, nexmarkPipeline)
	lines, err := NewNexmark(src.Spec.Nexmark)
	if err != nil {
		t.Fatal(err)
	}
	n := int64(0)
	for ; !m.Ended(n); n++ {
		env.Arena.Reset()
		if ok, err := m.Generate(n, row); err != nil || !ok {
			t.Fatalf("event %d: %v, %v", n, ok, err)
		}
		line, at := lines.Append(nil, n)
		var want map[string]any
		if err := json.Unmarshal(line, &want); err != nil {
			t.Fatal(err)
		}
		for _, w := range src.Wants {
			if got, want := row.Slots[w.Slot], field(want, w.Path); printed(got, w.Type) != want {
				t.Fatalf("event %d %v: %s, want %s", n, w.Path, printed(got, w.Type), want)
			}
		}
		if row.Time != at || row.Origin.Time != at || row.Origin.Topic != "source" || row.Origin.Offset != record.Offset(n) || !row.Key.IsNull() {
			t.Fatalf("event %d: time %d, origin %+v, want %d", n, row.Time, row.Origin, at)
		}
	}
	if n != 3000 {
		t.Errorf("the source ended at %d", n)
	}
}

// field is what is written at a path, as text; "null" if there is nothing.
func field(v any, path []string) string {
	for _, p := range path {
		o, _ := v.(map[string]any)
		v = o[p]
	}
	switch v := v.(type) {
	case nil:
		return "null"
	case float64:
		return fmt.Sprintf("%.0f", v)
	case map[string]any:
		return "object"
	}
	return fmt.Sprint(v)
}

func printed(v record.Value, t record.Type) string {
	switch {
	case v.IsNull():
		return "null"
	case t.Kind == record.TypeObject:
		return "object"
	case t.Kind == record.TypeTimestamp:
		return time.Unix(0, v.Int()).UTC().Format("2006-01-02 15:04:05.000")
	case t.Kind == record.TypeInt:
		return fmt.Sprint(v.Int())
	}
	return v.Text()
}

// TestNexmarkReplays asks for events in any order, as restarts do.
func TestNexmarkReplays(t *testing.T) {
	src, m, row, _ := nexmarkSource(t, nexmarkPipeline)
	read := func(n int64) string {
		if _, err := m.Generate(n, row); err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprint(row.Time)
		for _, w := range src.Wants {
			text += " " + printed(row.Slots[w.Slot], w.Type)
		}
		return text
	}
	first := map[int64]string{}
	for n := range int64(500) {
		first[n] = read(n)
	}
	for n, want := range first { // in no order
		if got := read(n); got != want {
			t.Fatalf("event %d again: %s, want %s", n, got, want)
		}
	}
}

func TestNexmarkDoesNotAllocate(t *testing.T) {
	_, m, row, env := nexmarkSource(t, nexmarkPipeline)
	n := int64(0)
	make := func() {
		env.Arena.Reset()
		if _, err := m.Generate(n, row); err != nil {
			t.Fatal(err)
		}
		n++
	}
	for range 2000 {
		make()
	}
	if got := testing.AllocsPerRun(500, make); got > 0 {
		t.Errorf("%v allocations per event", got)
	}
}

// TestNexmarkGroups holds the check of the file to what the generator refuses.
func TestNexmarkGroups(t *testing.T) {
	for _, size := range []int64{1, 2, nexmark.Stride - 1, nexmark.Stride, nexmark.Stride + 1, 3 * nexmark.Stride} {
		text := fmt.Sprintf("version: 1\nname: nx\nsource: {nexmark: {out_of_order: %d}}\nsink: {stdout: {}}\n", size)
		_, found := topology.Load("nx.yaml", []byte(text), topology.Options{})
		o := nexmark.Defaults()
		o.OutOfOrder = size
		if _, err := nexmark.New(o); (err == nil) != (len(found) == 0) {
			t.Errorf("groups of %d: the file gives %v, the generator %v", size, found, err)
		}
	}
}

// TestNexmarkDefaults: a source that says nothing is the published stream.
func TestNexmarkDefaults(t *testing.T) {
	spec, _ := topology.Load("nx.yaml", []byte("version: 1\nname: nx\nsource: {nexmark: {}}\nsink: {stdout: {}}\n"), topology.Options{})
	a, err := NewNexmark(spec.Sources[0].Nexmark)
	if err != nil {
		t.Fatal(err)
	}
	b, err := nexmark.New(nexmark.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	for p := range int64(100) {
		x, at := a.Append(nil, p)
		y, bt := b.Append(nil, p)
		if string(x) != string(y) || at != bt {
			t.Fatalf("event %d differs:\n%s\n%s", p, x, y)
		}
	}
	if spec.Sources[0].Nexmark.Count >= 0 {
		t.Error("a source without count ends")
	}
}
