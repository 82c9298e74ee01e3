//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// benchLong names the variable that adds the ten-million-packet captures, which take 3.2 GB of disk: make bench-long sets it.
const benchLong = "MONCAP_BENCH_LONG"

// BenchmarkAnalyze measures the whole program, start to exit, on two captures that analysis/packet/gen makes: packets of both files a
// second, and the most memory that the process took. It fails where the losses reported are not the losses made.
func BenchmarkAnalyze(b *testing.B) {
	bin, gen := built(b, "."), built(b, "../../analysis/packet/gen")
	for _, c := range []struct {
		name string
		long bool
		args []string
	}{
		{"mixed-500k", false, []string{"-kind", "mixed", "-packets", "500000", "-nat", "0.5", "-offset", "2h", "-drift", "20"}},
		{"esp-100k", false, []string{"-kind", "esp", "-packets", "100000", "-tunnels", "4"}},
		{"esp-1M", false, []string{"-kind", "esp", "-packets", "1000000", "-tunnels", "4"}},
		{"esp-10M", true, []string{"-kind", "esp", "-packets", "10000000", "-tunnels", "4"}},
		{"tunnels-2000", false, []string{"-kind", "mixed", "-packets", "500000", "-tunnels", "2000", "-nat", "0.5"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			if c.long && os.Getenv(benchLong) == "" {
				b.Skip("set " + benchLong + "=1, or make bench-long")
			}
			pair := [2]string{filepath.Join(b.TempDir(), "a.pcap"), filepath.Join(b.TempDir(), "b.pcap")}
			made := generated(b, gen, append(c.args, "-loss", "0.02", "-a", pair[0], "-b", pair[1]))
			largest := int64(0)
			for b.Loop() {
				largest = max(largest, analysed(b, bin, pair, made))
			}
			packets := 2*(made.Sent[0]+made.Sent[1]) - made.LostAtoB - made.LostBtoA
			b.ReportMetric(float64(packets)*float64(b.N)/b.Elapsed().Seconds(), "packets/s")
			b.ReportMetric(float64(largest)/1024, "peak-MB")
		})
	}
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

// analysed runs the program once and returns the most memory that it took, in KiB. Reading its report is not measured.
func analysed(b *testing.B, bin string, pair [2]string, made madeTraffic) int64 {
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
	if r.Pairs.LostAtoB != made.LostAtoB || r.Pairs.LostBtoA != made.LostBtoA {
		b.Fatalf("lost %d and %d, made %d and %d", r.Pairs.LostAtoB, r.Pairs.LostBtoA, made.LostAtoB, made.LostBtoA)
	}
	u, ok := c.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	return int64(u.Maxrss)
}
