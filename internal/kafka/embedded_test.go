package kafka

import (
	"os"
	"path/filepath"
	"testing"

	"kstream/record"
)

func startEmbedded(t *testing.T, cfg EmbeddedConfig) (*Embedded, *fixture) {
	t.Helper()
	e, err := StartEmbedded(cfg)
	must(t, err)
	return e, &fixture{e.cluster, connect(t, Config{Brokers: []string{e.Addr()}})}
}

func TestEmbedded(t *testing.T) {
	e, f := startEmbedded(t, EmbeddedConfig{Topics: map[string]int32{"two": 2, "default": 0}})
	must(t, e.EnsureTopics(map[string]int32{"two": 7, "later": 1}))
	got, err := f.Topics(t.Context(), []string{"two", "default", "later"})
	must(t, err)
	if got["two"].Partitions != 2 || got["default"].Partitions != 4 || got["later"].Partitions != 1 {
		t.Errorf("%v", got)
	}
	commit(t, f.fenced(t, nil), "two", "a")
	wantStrings(t, f.read(t, "two"), "a")
	must(t, e.Close())
}

func TestEmbeddedDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "broker")
	cfg := EmbeddedConfig{Dir: dir, Topics: map[string]int32{"t": 1}}
	e, f := startEmbedded(t, cfg)
	s := f.fenced(t, nil)
	commit(t, s, "t", "a")
	s.Close()
	must(t, e.Close())
	// A clean end keeps the data.
	e, f = startEmbedded(t, cfg)
	wantStrings(t, f.read(t, "t"), "a")
	// While it runs, and after it was killed, there is no mark.
	if _, err := StartEmbedded(cfg); true {
		if e := wantError(t, err, record.ClassRefuse, CodeUncleanEnd); e.Exit != 5 {
			t.Error(e)
		}
	}
	must(t, e.Close())
	must(t, os.Remove(filepath.Join(dir, embeddedMark)))
	_, err := StartEmbedded(cfg)
	wantError(t, err, record.ClassRefuse, CodeUncleanEnd)
}

func TestEmbeddedPortTaken(t *testing.T) {
	e, f := startEmbedded(t, EmbeddedConfig{})
	defer func() { must(t, e.Close()) }()
	port := f.fake.ListenAddrs()[0]
	_, err := StartEmbedded(EmbeddedConfig{Port: portOf(t, port)})
	wantError(t, err, record.ClassRefuse, CodeUnreachable)
}
