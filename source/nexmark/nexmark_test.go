package nexmark

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"kstream/record"
)

func generator(t testing.TB, change func(*Options)) *Generator {
	t.Helper()
	o := Defaults()
	if change != nil {
		change(&o)
	}
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func hash(g *Generator, lines int64) string {
	h := sha256.New()
	var buf []byte
	for p := range lines {
		buf, _ = g.Append(buf[:0], p)
		h.Write(append(buf, '\n'))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// The hashes and numbers here were made by other programs from the same rules.

func TestStreamsHaveThePublishedBytes(t *testing.T) {
	datasetA := func(o *Options) { o.Seed, o.Rate = 42, 1000 }
	datasetB := func(o *Options) { o.Seed, o.Rate, o.OutOfOrder, o.Escapes = 7, 1000, 1000, true }
	for _, c := range []struct {
		name   string
		change func(*Options)
		lines  int64
		want   string
	}{
		{"thousand", nil, 1000, "5b1d6bed7c752f70d6685eadcad051a55d5f0d26270154428162a44d7d6cd0cb"},
		{"million", nil, 1_000_000, "016c68a3cd9a0814c71730d46c7f9b26af16721d09ea0b40d968ab187beb3590"},
		{"escapes", func(o *Options) { o.Escapes = true }, 1000, "edaf7259d81bfec4436a295325a4199d877575044a0c27df0a6cc1963938389a"},
		{"dataset A", datasetA, 100_000, "9b35214e640311d04686841248b215543fff4aa4a90e6311d0c027c5092e1f7d"},
		{"dataset B", datasetB, 20_000, "69c458e88e8ea85097de7c3f8744a30e5b1d59a9265085bcda44be0b7851052a"},
	} {
		if got := hash(generator(t, c.change), c.lines); got != c.want {
			t.Errorf("%s: SHA-256 %s, want %s", c.name, got, c.want)
		}
	}
}

func TestSampleIsMadeLineByLine(t *testing.T) {
	sample, err := os.ReadFile("testdata/generator-sample.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	g := generator(t, nil)
	for i, want := range strings.Split(strings.TrimSuffix(string(sample), "\n"), "\n") {
		if got, _ := g.Append(nil, int64(i)); string(got) != want {
			t.Fatalf("event %d:\n got %s\nwant %s", i, got, want)
		}
	}
}

func TestNumbers(t *testing.T) {
	if mix(1) != 0x5692161d100b05e5 || mix(gamma) != 0xe220a8397b1dcdaf {
		t.Error("mix differs")
	}
	g := generator(t, nil)
	if g.eventKey != 0x910a2dec89025cc1 {
		t.Errorf("key of events %x", g.eventKey)
	}
	s := stream(mix(g.eventKey + 4))
	if s != 0x03eadebf1047050f {
		t.Errorf("stream of event 4: %x", uint64(s))
	}
	for _, want := range []uint64{0x15e3435b5294fdad, 0xb8aa63b1cc193868, 0x300d41b5a2701c72} {
		if got := s.next(); got != want {
			t.Errorf("event 4 draws %x, want %x", got, want)
		}
	}
	for u, want := range map[uint64]int64{0: 100, 1 << 63: 100000, 1<<64 - 1: 99999990, 0x5555555555555555: 9999} {
		if got := price(u); got != want {
			t.Errorf("price(%x) = %d, want %d", u, got, want)
		}
	}
	if channelID(1) != 2147483648 || channelID(7) != 536870912 {
		t.Errorf("channel ids %d, %d", channelID(1), channelID(7))
	}
}

func TestPools(t *testing.T) {
	seed := uint64(1)
	for _, c := range []struct {
		escapes bool
		want    string
	}{
		{false, "3d2af579b69302c74ebccf4462b6a27a56faf26ec8cbebad42d23dffcf6c774b"},
		{true, "8ce9fff9ea72f8bb97d81458c6a862624e8ce803b117bade7deaa67556e11510"},
	} {
		pool := makePool(mix(seed+tripleGamma), c.escapes)
		sum := sha256.Sum256(pool)
		if got := hex.EncodeToString(sum[:]); got != c.want || len(pool) != poolSize {
			t.Errorf("escapes %v: %d characters, SHA-256 %s, want %s", c.escapes, len(pool), got, c.want)
		}
	}
}

// event is the data model, read with the standard library.
type event struct {
	Type    int `json:"event_type"`
	Person  *struct{ ID int64 }
	Auction *struct {
		ID, Seller        int64
		DateTime, Expires string
	}
	Bid *struct {
		Auction, Bidder, Price int64
		DateTime               string
	}
}

func TestEveryPositionIsReadOnceWhateverTheOrder(t *testing.T) {
	inOrder := generator(t, func(o *Options) { o.Rate = 1000 })
	mixed := generator(t, func(o *Options) { o.Rate, o.OutOfOrder = 1000, 500 })
	ordered, shuffled := map[string]bool{}, map[string]bool{}
	moved := 0
	for p := range int64(2000) {
		a, at := inOrder.Append(nil, p)
		b, bt := mixed.Append(nil, p)
		ordered[string(a)], shuffled[string(b)] = true, true
		if d := int64(at - bt); d <= -500 || d >= 500 {
			t.Fatalf("position %d moved by %d ms", p, d)
		}
		if !bytes.Equal(a, b) {
			moved++
		}
	}
	if moved < 1900 || len(ordered) != 2000 || len(shuffled) != 2000 {
		t.Errorf("%d moved, %d and %d different events of 2000", moved, len(ordered), len(shuffled))
	}
	for line := range ordered {
		if !shuffled[line] {
			t.Fatalf("missing in the mixed stream: %s", line)
		}
	}
}

// Readers share the positions in blocks, and each gives what a single one would.
func TestReadersShareTheWork(t *testing.T) {
	g := generator(t, nil)
	readers := []*Generator{g.Reader(), g.Reader(), g.Reader()}
	counts := make([]int, len(readers))
	for p := range int64(3000) {
		k := Partition(p, int32(len(readers)))
		counts[k]++
		want, _ := g.Append(nil, p)
		if got, _ := readers[k].Append(nil, p); !bytes.Equal(got, want) {
			t.Fatalf("position %d differs at reader %d", p, k)
		}
	}
	if counts[0] != 1000 || counts[1] != 1000 || counts[2] != 1000 {
		t.Errorf("the readers took %v", counts)
	}
	if Partition(99, 3) != 0 || Partition(100, 3) != 1 || Partition(300, 3) != 0 {
		t.Error("blocks are not of 100 positions")
	}
}

// Other proportions, rates and times are valid events of the same data model.
func TestAnyOptionsGiveValidEvents(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		o := Options{Seed: r.Uint64(), Rate: float64(1+r.IntN(1_000_000)) / 60, BaseTime: record.Timestamp(r.Int64N(1<<41) - 1<<40),
			OutOfOrder: 1 + r.Int64N(100), Escapes: r.IntN(2) == 0,
			PersonProportion: 1 + r.Int64N(5), AuctionProportion: 1 + r.Int64N(5), BidProportion: r.Int64N(50)}
		g, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		kinds := map[int]int64{}
		total := o.PersonProportion + o.AuctionProportion + o.BidProportion
		groups := total * o.OutOfOrder // whole cycles of both
		for p := range groups {
			line, at := g.Append(nil, p)
			var e event
			if err := json.Unmarshal(line, &e); err != nil {
				t.Fatalf("%+v position %d: %v\n%s", o, p, err, line)
			}
			kinds[e.Type]++
			checkEvent(t, &e, at, line)
		}
		if kinds[0] != o.PersonProportion*o.OutOfOrder || kinds[1] != o.AuctionProportion*o.OutOfOrder || kinds[2] != o.BidProportion*o.OutOfOrder {
			t.Errorf("%+v: %v", o, kinds)
		}
	}
}

func checkEvent(t *testing.T, e *event, at record.Timestamp, line []byte) {
	t.Helper()
	var when string
	switch {
	case e.Type == 0 && e.Person != nil && e.Auction == nil && e.Bid == nil:
		return
	case e.Type == 1 && e.Auction != nil && e.Person == nil && e.Bid == nil:
		when = e.Auction.DateTime
		if e.Auction.Expires <= when {
			t.Fatalf("an auction ends before it begins: %s", line)
		}
	case e.Type == 2 && e.Bid != nil && e.Person == nil && e.Auction == nil:
		when = e.Bid.DateTime
		if e.Bid.Price < 100 || e.Bid.Price > 99_999_999 || e.Bid.Auction < 999 || e.Bid.Bidder < 1000 {
			t.Fatalf("a bid out of range: %s", line)
		}
	default:
		t.Fatalf("not one object: %s", line)
	}
	if want := time.UnixMilli(int64(at)).UTC().Format("2006-01-02 15:04:05.000"); when != want {
		t.Fatalf("time %s, want %s", when, want)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"no rate":       func(o *Options) { o.Rate = 0 },
		"huge rate":     func(o *Options) { o.Rate = 1e300 },
		"no group":      func(o *Options) { o.OutOfOrder = 0 },
		"stride":        func(o *Options) { o.OutOfOrder = 2 * Stride },
		"no persons":    func(o *Options) { o.PersonProportion = 0 },
		"no auctions":   func(o *Options) { o.AuctionProportion = 0 },
		"negative bids": func(o *Options) { o.BidProportion = -1 },
	} {
		o := Defaults()
		change(&o)
		if _, err := New(o); err == nil || !strings.HasPrefix(err.Error(), "nexmark: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	for _, escapes := range []bool{false, true} {
		g := generator(t, func(o *Options) { o.Escapes, o.OutOfOrder = escapes, 1000 })
		buf := make([]byte, 0, 4096)
		p := int64(0)
		if n := testing.AllocsPerRun(5000, func() {
			buf, _ = g.Append(buf[:0], p)
			p++
		}); n != 0 {
			t.Errorf("escapes %v: %v allocations per event", escapes, n)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	g := generator(b, nil)
	buf := make([]byte, 0, 4096)
	var bytes int64
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		buf, _ = g.Append(buf[:0], int64(i))
		bytes += int64(len(buf))
	}
	b.SetBytes(bytes / int64(b.N))
}
