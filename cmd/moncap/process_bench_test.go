package main

import (
	"bytes"
	"cmp"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/testdata"
)

// peerProcesses are a process of moncap each, and the one of somebody else that does the same or,
// for a start, nothing.
var peerProcesses = []struct {
	name    string
	args    []string // of moncap; CAPTURE is the large file, SMALL the small one
	peer    []string
	program string // the peer's program, where that is not part of the benchmark
}{
	{"list-tcpdump", []string{"decode", "CAPTURE"}, []string{"tcpdump", "-nr", "CAPTURE"}, "tcpdump"},
	{"ndjson-tshark-fields", []string{"decode", "CAPTURE", "-f", "ndjson"}, tsharkFields("CAPTURE"), "tshark"},
	{"tree-tshark-V", []string{"decode", "CAPTURE", "-V"}, []string{"tshark", "-n", "-V", "-r", "CAPTURE"}, "tshark"},
	{"stats-capinfos", []string{"decode", "CAPTURE", "--stats"}, []string{"capinfos", "CAPTURE"}, "capinfos"},
	{"start-version", []string{"--version"}, []string{"HELLO"}, ""},
	{"start-help", []string{"--help"}, []string{"HELLO"}, ""},
	{"start-decode", []string{"decode", "SMALL"}, []string{"HELLO"}, ""},
}

func tsharkFields(file string) []string {
	args := []string{"tshark", "-n", "-r", file, "-T", "fields"}
	for _, f := range []string{"frame.number", "frame.time_epoch", "ip.src", "ip.dst", "udp.srcport", "udp.dstport",
		"frame.len", "isakmp.ispi", "isakmp.rspi",
		"isakmp.exchangetype", "isakmp.flags", "isakmp.messageid", "isakmp.length", "isakmp.typepayload",
		"isakmp.notify.msgtype"} {
		args = append(args, "-e", f)
	}
	return args
}

// BenchmarkPeerProcesses runs whole processes of moncap and of the peer in turns, and reports the
// processor time of both and the ratio of it and of the clock, in which the noise of a busy machine
// cancels out; for a start the page faults, too.
func BenchmarkPeerProcesses(b *testing.B) {
	dir := b.TempDir()
	places := map[string]string{
		"CAPTURE": filepath.Join(dir, "large.pcap"), "SMALL": filepath.Join(dir, "small.pcap"),
		"HELLO": filepath.Join(dir, "hello"),
	}
	moncap := filepath.Join(dir, "moncap")
	buildForBench(b, moncap, ".")
	source := filepath.Join(dir, "hello.go")
	writeForBench(b, source,
		[]byte("package main\n\nimport \"os\"\n\nfunc main() { os.Stdout.WriteString(\"hello, world\\n\") }\n"))
	buildForBench(b, places["HELLO"], source)
	i, err := testdata.Load("healthy")
	if err != nil {
		b.Fatal(err)
	}
	writeForBench(b, places["SMALL"], i.A)
	writeForBench(b, places["CAPTURE"], slices.Concat(i.A[:24], bytes.Repeat(i.A[24:], 10_000)))
	fill := func(args []string) []string {
		args = slices.Clone(args)
		for n, a := range args {
			if place, ok := places[a]; ok {
				args[n] = place
			}
		}
		return args
	}
	for _, p := range peerProcesses {
		b.Run(p.name, func(b *testing.B) {
			if p.program != "" {
				if _, err := exec.LookPath(p.program); err != nil {
					b.Skip(err)
				}
			}
			var ours, theirs spent
			for b.Loop() {
				ours.by(b, append([]string{moncap}, fill(p.args)...))
				theirs.by(b, fill(p.peer))
			}
			b.ReportMetric(ours.cpu.Seconds()*1000/float64(b.N), "cpu-ms")
			b.ReportMetric(theirs.cpu.Seconds()*1000/float64(b.N), "peer-cpu-ms")
			b.ReportMetric(ours.cpu.Seconds()/theirs.cpu.Seconds(), "of-peer")
			b.ReportMetric(ours.clock.Seconds()/theirs.clock.Seconds(), "clock-of-peer")
			if p.program == "" {
				b.ReportMetric(float64(ours.faults)/float64(b.N), "page-faults")
			}
		})
	}
}

// BenchmarkStartByPackage reports what the packages do before main, moncap's own apart, and names
// the ten that take longest.
func BenchmarkStartByPackage(b *testing.B) {
	moncap := filepath.Join(b.TempDir(), "moncap")
	buildForBench(b, moncap, ".")
	took := map[string]float64{} // milliseconds
	for b.Loop() {
		for _, i := range initializations(b, moncap, "--version") {
			took[i.of] += i.ms
		}
	}
	var all, own float64
	for of, ms := range took {
		all += ms
		if strings.HasPrefix(of, ownPath) || of == "main" {
			own += ms
		}
	}
	b.ReportMetric(all/float64(b.N), "init-ms")
	b.ReportMetric(own/float64(b.N), "own-init-ms")
	longest := slices.SortedFunc(maps.Keys(took), func(x, y string) int { return cmp.Compare(took[y], took[x]) })
	for _, of := range longest[:min(len(longest), 10)] {
		b.Logf("%.3f ms %s", took[of]/float64(b.N), of)
	}
}

func buildForBench(b *testing.B, to, from string) {
	b.Helper()
	build := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w -buildid=",
		"-o", to, from)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
}

func writeForBench(b *testing.B, file string, content []byte) {
	b.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		b.Fatal(err)
	}
}

// spent is what whole processes took.
type spent struct {
	cpu, clock time.Duration
	faults     int64 // of pages; 0 where the system does not tell
}

// by adds a program's run to its end, its output thrown away.
func (u *spent) by(b *testing.B, args []string) {
	b.Helper()
	c := exec.CommandContext(b.Context(), args[0], args[1:]...)
	began := time.Now()
	if err := c.Run(); err != nil {
		b.Fatal(err)
	}
	u.clock += time.Since(began)
	u.cpu += c.ProcessState.UserTime() + c.ProcessState.SystemTime()
	u.faults += pageFaults(c.ProcessState)
}
