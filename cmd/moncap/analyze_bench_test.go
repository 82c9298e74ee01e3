//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// benchLong names the variable that adds the captures of a million packets and more, which take 5
// GB of disk: make bench-long sets it.
const benchLong = "MONCAP_BENCH_LONG"

// BenchmarkAnalyze measures the whole program, start to exit, on two captures that
// analysis/packet/gen makes, of every kind of traffic and in sizes a decade apart: packets of both
// files a second of CPU, and the most memory that the process took, in all and by packet that was
// sent. It fails where more losses are reported than were made; what was lost at a capture's ends
// nobody can tell.
func BenchmarkAnalyze(b *testing.B) {
	bin, gen := built(b, "."), built(b, "../../analysis/packet/gen")
	for _, c := range []struct {
		name string
		args []string
		most int // packets; larger sizes tell nothing more
	}{
		{"ike", []string{"-kind", "ike"}, 1_000_000},
		{"long", []string{"-kind", "ike", "-exchanges", "10000000", "-tunnels", "1"}, 1_000_000},
		{"short", []string{"-kind", "ike", "-exchanges", "2"}, 1_000_000},
		{"hub", []string{"-kind", "ike", "-exchanges", "2", "-tunnels", "10000"}, 1_000_000},
		{"mixed", []string{"-kind", "mixed"}, 1_000_000},
		{"tunnels", []string{"-kind", "mixed", "-tunnels", "2000"}, 1_000_000},
		{"retransmit", []string{"-kind", "ike", "-loss", "0.5"}, 1_000_000},
		{"esp", []string{"-kind", "esp", "-tunnels", "4", "-snap", "96"}, 10_000_000},
	} {
		for packets := 10_000; packets <= c.most; packets *= 10 {
			b.Run(fmt.Sprintf("%s-%dk", c.name, packets/1000), func(b *testing.B) {
				if packets > 100_000 && os.Getenv(benchLong) == "" {
					b.Skip("set " + benchLong + "=1, or make bench-long")
				}
				pair := [2]string{filepath.Join(b.TempDir(), "a.pcap"), filepath.Join(b.TempDir(), "b.pcap")}
				made := generated(b, gen, slices.Concat([]string{"-packets", strconv.Itoa(packets), "-nat", "0.5", "-offset", "3s",
					"-drift", "25", "-loss", "0.02", "-a", pair[0], "-b", pair[1]}, c.args))
				var took used
				for b.Loop() {
					one := analysed(b, bin, pair, made)
					took.cpu += one.cpu
					took.kib = max(took.kib, one.kib)
				}
				sent := made.Sent[0] + made.Sent[1]
				read := float64(2*sent - made.LostAtoB - made.LostBtoA)
				b.ReportMetric(read*float64(b.N)/took.cpu.Seconds(), "packets/cpu-s")
				b.ReportMetric(took.cpu.Seconds()/float64(b.N), "cpu-s")
				b.ReportMetric(float64(took.kib)/1024, "peak-MiB")
				b.ReportMetric(float64(took.kib)*1024/float64(sent), "B/msg")
			})
		}
	}
}

// used is what a process took.
type used struct {
	cpu time.Duration
	kib int64 // of memory, at most
}

func built(b *testing.B, pkg string) string {
	b.Helper()
	bin := filepath.Join(b.TempDir(), "bin")
	if out, err := exec.Command("go", "build", "-o", bin, pkg).CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// madeTraffic is what the generator says that it made.
type madeTraffic struct {
	Sent     [2]int `json:"sent"`
	LostAtoB int    `json:"lost_a_to_b"`
	LostBtoA int    `json:"lost_b_to_a"`
}

func generated(b *testing.B, gen string, args []string) (made madeTraffic) {
	b.Helper()
	out, err := exec.Command(gen, args...).Output()
	if err == nil {
		err = json.Unmarshal(out, &made)
	}
	if err != nil {
		b.Fatal(err)
	}
	return made
}

// analysed runs the program once and returns what it took. Reading its report is not measured.
func analysed(b *testing.B, bin string, pair [2]string, made madeTraffic) used {
	b.Helper()
	var out bytes.Buffer
	c := exec.Command(bin, "analyze", "--format", "json", pair[0], pair[1])
	c.Stdout = &out
	_ = c.Run() // the exit code is the verdict
	b.StopTimer()
	defer b.StartTimer()
	var r struct{ Pairs madeTraffic }
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		b.Fatal(err)
	}
	if r.Pairs.LostAtoB > made.LostAtoB || r.Pairs.LostBtoA > made.LostBtoA {
		b.Fatalf("lost %d and %d, made %d and %d", r.Pairs.LostAtoB, r.Pairs.LostBtoA, made.LostAtoB, made.LostBtoA)
	}
	took := used{cpu: c.ProcessState.UserTime() + c.ProcessState.SystemTime()}
	if u, ok := c.ProcessState.SysUsage().(*syscall.Rusage); ok {
		took.kib = int64(u.Maxrss)
	}
	return took
}
