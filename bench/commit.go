package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"kstream/testcontainers/broker"
)

// The load under which commits are timed.
const (
	paceRate = 20_000 // records per second
	paceTick = 10 * time.Millisecond
	paceFor  = 15 * time.Second
)

// commit runs a copy and a windowed count at a steady rate and reads from the
// job's own metrics what its commits took.
func (b *bench) commit(ctx context.Context, br *broker.Broker) error {
	cl, err := producer(br)
	if err != nil {
		return err
	}
	defer cl.Close()
	fmt.Printf("\n%s %s: commits at %d records/s for %v; ms\n", br.Name, br.Version, paceRate, paceFor)
	fmt.Printf("%-10s %8s %8s   %s\n", "interval", "commits", "stall", "mean of each part")
	for _, interval := range []time.Duration{100 * time.Millisecond, time.Second} {
		if err := b.pace(ctx, br, cl, interval); err != nil {
			return err
		}
	}
	return nil
}

// pace measures one interval.
func (b *bench) pace(ctx context.Context, br *broker.Broker, cl *kgo.Client, interval time.Duration) error {
	name := fmt.Sprintf("%s-commit-%d", br.Name, interval.Milliseconds())
	if err := createTopic(ctx, cl, name, name+"-out"); err != nil {
		return err
	}
	ports, err := broker.FreePorts(1)
	if err != nil {
		return err
	}
	listen := "127.0.0.1:" + strconv.Itoa(ports[0])
	file, err := b.writePipeline(name, paceYAML, "INTERVAL", interval.String(), "METRICS", listen, "IN", name, "OUT", name+"-out")
	if err != nil {
		return err
	}
	j := &job{bin: b.bin("kstream"), file: file, name: name, topic: name, addrs: br.Addrs, adm: kadm.NewClient(cl), log: filepath.Join(b.dir, name+".log")}
	if err := j.start(); err != nil {
		return err
	}
	if err := feed(ctx, cl, name, paceRate, paceFor); err != nil {
		return err
	}
	m, err := scrape(ctx, "http://"+listen+"/metrics")
	if err != nil {
		return fmt.Errorf("%w\n%s", err, tail(j.log))
	}
	commits := m["count end"]
	fmt.Printf("%-10v %8.0f %7.2f%%  ", interval, commits, 100*m["stall"]/paceFor.Seconds())
	for _, part := range []string{"align", "flush", "offsets", "record", "end", "apply"} {
		if n := m["count "+part]; n > 0 {
			fmt.Printf(" %s %.1f", part, 1000*m["sum "+part]/n)
		}
	}
	fmt.Println()
	if err := j.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := <-j.ended; err != nil {
		return fmt.Errorf("stop: %w\n%s", err, tail(j.log))
	}
	return nil
}

// feed produces at a steady rate.
func feed(ctx context.Context, cl *kgo.Client, topic string, rate int, length time.Duration) error {
	random := newRandom()
	tick := time.NewTicker(paceTick)
	defer tick.Stop()
	perTick := rate * int(paceTick) / int(time.Second)
	for n := 0; n < rate*int(length/time.Second); n += perTick {
		for i := range perTick {
			cl.Produce(ctx, &kgo.Record{Topic: topic, Partition: int32(i % partitions), Value: bid(random, n+i)}, nil)
		}
		<-tick.C
	}
	return cl.Flush(ctx)
}

// scrape reads the metrics of a job: "sum PART" and "count PART" of the commit's
// duration, and "stall", all in seconds.
func scrape(ctx context.Context, url string) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	m := map[string]float64{}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, value, ok := cutLast(lines.Text())
		if !ok {
			continue
		}
		for prefix, kind := range map[string]string{"kstream_checkpoint_duration_seconds_sum": "sum ", "kstream_checkpoint_duration_seconds_count": "count "} {
			if strings.HasPrefix(name, prefix) {
				m[kind+label(name, "part")] = value
			}
		}
		if strings.HasPrefix(name, "kstream_commit_stall_seconds") {
			m["stall"] = value
		}
	}
	return m, nil
}

// cutLast splits a line of the text format into series and value.
func cutLast(line string) (series string, value float64, ok bool) {
	i := strings.LastIndexByte(line, ' ')
	if i < 0 || strings.HasPrefix(line, "#") {
		return "", 0, false
	}
	value, err := strconv.ParseFloat(line[i+1:], 64)
	return line[:i], value, err == nil
}

// label reads one label of a series.
func label(series, name string) string {
	_, rest, _ := strings.Cut(series, name+`="`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}
