package state

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"kstream/record"
)

// cpuTime is the processor time of the process, which suffers less than the wall
// time from what else runs on the machine.
func cpuTime(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// reportCPU reports the processor time since began for each of n operations.
func reportCPU(b *testing.B, began int64, n int) {
	b.ReportMetric(float64(cpuTime(b)-began)/float64(n), "cpu-ns/op")
}

// benchKeys are n keys of 16 bytes, and a long random sequence of them, one
// after the other in memory as the records of a batch are.
func benchKeys(n int) (keys, visits [][]byte) {
	rng := rand.New(rand.NewPCG(1, 2))
	keys = make([][]byte, n)
	for i := range keys {
		keys[i] = binary.BigEndian.AppendUint64(nil, rng.Uint64())
		keys[i] = binary.BigEndian.AppendUint64(keys[i], uint64(i))
	}
	visits = make([][]byte, 1<<20)
	memory := make([]byte, 0, 16<<20)
	for i := range visits {
		memory = append(memory, keys[rng.IntN(n)]...)
		visits[i] = memory[16*i:]
	}
	return keys, visits
}

func benchTable(b testing.TB, memory int64) (*DB, *Table) {
	db, err := Open(Options{Backend: BackendMemory, Memory: 256 << 20})
	if err != nil {
		b.Fatal(err)
	}
	table, err := db.Table(TableOptions{Store: 1, First: 0, Last: 31, Memory: memory, Complete: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	return db, table
}

func count(b testing.TB, table *Table, key []byte) {
	v, _, err := table.Upsert(record.KeyGroup(key[0]%32), 60_000, key, 16)
	if err != nil {
		b.Fatal(err)
	}
	binary.LittleEndian.PutUint64(v, binary.LittleEndian.Uint64(v)+1)
}

// BenchmarkTable is one update of an accumulator in memory.
func BenchmarkTable(b *testing.B) {
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			keys, visits := benchKeys(n)
			_, table := benchTable(b, 0)
			for _, k := range keys {
				count(b, table, k)
			}
			b.ReportAllocs()
			i, began := 0, cpuTime(b)
			for b.Loop() {
				count(b, table, visits[i&(1<<20-1)])
				i++
			}
			reportCPU(b, began, i)
		})
	}
}

// BenchmarkInsert is the first update of a key, a million of them at a time.
func BenchmarkInsert(b *testing.B) {
	keys, _ := benchKeys(1_000_000)
	n, cpu := 0, int64(0)
	for b.Loop() {
		_, table := benchTable(b, 0)
		began := cpuTime(b)
		for _, k := range keys {
			count(b, table, k)
		}
		cpu += cpuTime(b) - began
		n += len(keys)
	}
	b.ReportMetric(float64(cpu)/float64(n), "cpu-ns/key")
}

// BenchmarkEpoch is the write-back of one dirty key: freeze, batch, commit.
func BenchmarkEpoch(b *testing.B) {
	const n = 100_000
	keys, _ := benchKeys(n)
	db, table := benchTable(b, 0)
	epoch, began := uint64(0), cpuTime(b)
	b.ReportAllocs()
	for b.Loop() {
		epoch++
		for _, k := range keys {
			count(b, table, k)
		}
		d := table.Freeze(epoch)
		if err := db.Apply(Meta{Epoch: epoch}, []*Delta{d}); err != nil {
			b.Fatal(err)
		}
		table.Applied(epoch)
	}
	reportCPU(b, began, n*int(epoch))
}

// BenchmarkMiss is a key that neither memory nor disk has, in a namespace that
// the disk has entries of.
func BenchmarkMiss(b *testing.B) {
	keys, _ := benchKeys(400_000)
	db, table := benchTable(b, 1<<20)
	for _, k := range keys[:200_000] {
		count(b, table, k)
	}
	if err := db.Apply(Meta{Epoch: 1}, []*Delta{table.Freeze(1)}); err != nil {
		b.Fatal(err)
	}
	if err := db.Flush(); err != nil {
		b.Fatal(err)
	}
	table.Applied(1)
	b.ReportAllocs()
	i, began := 0, cpuTime(b)
	for b.Loop() {
		k := keys[200_000+i%200_000]
		if _, ok, err := table.Get(record.KeyGroup(k[0]%32), 60_000, k); ok || err != nil {
			b.Fatal(ok, err)
		}
		i++
	}
	reportCPU(b, began, i)
}

// BenchmarkSpill is one update, with its share of the epochs, of state that has
// so many times the memory of its table.
func BenchmarkSpill(b *testing.B) {
	for _, times := range []int64{0, 1, 4} {
		b.Run(fmt.Sprintf("times=%d", times), func(b *testing.B) {
			const n, epoch = 200_000, 50_000
			keys, visits := benchKeys(n)
			memory := int64(0)
			if times > 0 {
				memory = n * 72 / times // 64 of a slot, 8 of the index
			}
			db, table := benchTable(b, memory)
			commit := func(e uint64) {
				if err := db.Apply(Meta{Epoch: e}, []*Delta{table.Freeze(e)}); err != nil {
					b.Fatal(err)
				}
				table.Applied(e)
			}
			e := uint64(1)
			for i, k := range keys {
				count(b, table, k)
				if i%epoch == epoch-1 {
					commit(e)
					e++
				}
			}
			i, began := 0, cpuTime(b)
			for b.Loop() {
				count(b, table, visits[i&(1<<20-1)])
				if i++; i%epoch == 0 {
					commit(e)
					e++
				}
			}
			reportCPU(b, began, i)
		})
	}
}
