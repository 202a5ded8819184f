package testcontainers

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"kstream/testcontainers/broker"
	"kstream/testcontainers/report"
)

var seed = flag.Uint64("seed", 0, "seed of the random choices; 0 draws one")

// fleet is the brokers of this test process, each started when it is first used
// and shared by the tests that do not stop it.
type fleet struct {
	dir      string
	kfaked   string
	kstream  string
	buildErr error // of kstream; the tests that need it fail with it

	mu      sync.Mutex
	started map[string]*start
	missed  map[string]*report.Report
}

// start is the one attempt to start a broker.
type start struct {
	once   sync.Once
	broker *broker.Broker
	err    error
}

// brokers is set by TestMain before any test runs.
var brokers *fleet

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	dir, err := os.MkdirTemp("", "kstream-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	f := &fleet{
		dir: dir, kfaked: filepath.Join(dir, "bin", "kfaked"), kstream: filepath.Join(dir, "bin", "kstream"),
		started: map[string]*start{}, missed: map[string]*report.Report{},
	}
	if err := build(f.kfaked, "./kfaked"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	f.buildErr = build(f.kstream, "kstream/cmd/kstream", "-tags", "harness")
	brokers = f
	code := m.Run()
	if !f.close() && code == 0 {
		code = 1
	}
	return code
}

// build compiles a program.
func build(to, pkg string, flags ...string) error {
	args := append([]string{"build", "-o", to}, flags...)
	if out, err := exec.Command("go", append(args, pkg)...).CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return nil
}

// close ends the brokers and writes the reports; it returns false if a required
// broker did not run.
func (f *fleet) close() bool {
	required := strings.Split(os.Getenv("KSTREAM_TEST_REQUIRE"), ",")
	ok := true
	for _, name := range report.Brokers() {
		r := report.Report{Broker: name}
		if m := f.missed[name]; m != nil {
			r = *m
		}
		if s := f.started[name]; s != nil && s.err == nil {
			r.Version = s.broker.Version
			if err := s.broker.Close(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				ok = false
			}
		}
		if r.Version == "" && r.NotRun == "" {
			continue // no test asked for it
		}
		if err := r.Write(os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		if r.NotRun != "" && slices.Contains(required, name) {
			fmt.Fprintf(os.Stderr, "%s is required and did not run: %s\n", name, r.NotRun)
			ok = false
		}
	}
	return ok
}

// get starts the broker, once.
func (f *fleet) get(name string) (*broker.Broker, error) {
	if only := os.Getenv("KSTREAM_TEST_BROKERS"); only != "" && !slices.Contains(strings.Split(only, ","), name) {
		return nil, fmt.Errorf("not among KSTREAM_TEST_BROKERS=%s", only)
	}
	f.mu.Lock()
	s := f.started[name]
	if s == nil {
		s = &start{}
		f.started[name] = s
	}
	f.mu.Unlock()
	s.once.Do(func() { s.broker, s.err = f.start(name) })
	return s.broker, s.err
}

func (f *fleet) start(name string) (*broker.Broker, error) {
	dir := filepath.Join(f.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return broker.Start(context.Background(), name, f.options(dir))
}

// options are those of a broker in dir. The JVM stops at its quick compiler: a
// broker of the suite lives too short for the other to pay.
func (f *fleet) options(dir string) broker.Options {
	return broker.Options{Dir: dir, KfakedBin: f.kfaked, JVM: []string{"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"}}
}

// miss counts a test that does not run for want of a broker.
func (f *fleet) miss(name string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.missed[name]
	if r == nil {
		r = &report.Report{Broker: name}
		f.missed[name] = r
	}
	r.Missed++
	r.NotRun = strings.Join(strings.Fields(err.Error()), " ")
}

// outside are the brokers that live on when kstream is killed, which is all the
// kill tests need.
func outside() []string { return []string{broker.Kfaked, broker.Kafka1, broker.Redpanda} }

// each runs fn as a subtest on every named broker that runs and can what the
// test needs.
func each(t *testing.T, names []string, need broker.Capabilities, fn func(t *testing.T, b *broker.Broker)) {
	t.Helper()
	for _, name := range names {
		b, err := brokers.get(name)
		switch {
		case err != nil:
			brokers.miss(name, err)
		case !b.Can.Covers(need):
			t.Logf("%s: not applicable, the test needs %+v", name, need)
		default:
			t.Run(name, func(t *testing.T) { fn(t, b) })
		}
	}
}
