package main

import (
	"encoding/json"
	"runtime"
	"slices"
	"testing"
	"time"
)

// meter compares what a benchmark does with the reference unit, json.Valid of a
// bid: turns of both alternate, in CPU time of the thread, so that whatever else
// the machine does falls on both. Of the turns' ratios the median counts.
type meter struct {
	reference []byte
	at        time.Duration // end of the last turn
	ratios    []float64
	work      []float64 // nanoseconds per record
}

// A turn is so many records, and then so many reference units.
const (
	turnRecords = 512
	turnUnits   = 256
)

func newMeter() *meter {
	runtime.LockOSThread()
	return &meter{reference: bid(newRandom(), 0), at: threadTime()}
}

// tick is called behind the i-th record.
func (m *meter) tick(i int) {
	if i%turnRecords != turnRecords-1 {
		return
	}
	worked := threadTime()
	for range turnUnits {
		if !json.Valid(m.reference) {
			panic("the bid is not JSON")
		}
	}
	end := threadTime()
	work := float64(worked-m.at) / turnRecords
	m.work = append(m.work, work)
	m.ratios = append(m.ratios, work/(float64(end-worked)/turnUnits))
	m.at = threadTime()
}

func (m *meter) report(b *testing.B) {
	runtime.UnlockOSThread()
	if len(m.ratios) == 0 {
		return
	}
	slices.Sort(m.ratios)
	slices.Sort(m.work)
	b.ReportMetric(m.work[len(m.work)/2], "cpu-ns/rec")
	b.ReportMetric(m.ratios[len(m.ratios)/2], "units/rec")
	b.ReportMetric(0, "ns/op") // half of it is the reference unit
}
