package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/simulator"
	"github.com/moncap/moncap/testdata"
)

// flow is ESP of the tunnel, all of it at once.
type flow struct{ packets, size int }

type flowing struct {
	flow
	from  time.Time
	given bool
}

func (f flow) Open(now time.Time, _ func()) simulator.Stream { return &flowing{flow: f, from: now} }

func (f *flowing) Due(now time.Time) (all []simulator.Packet) {
	if f.given {
		return nil
	}
	f.given = true
	for i := range f.packets {
		frame := espFrame(testdata.A4, testdata.B4, uint32(i), f.size)
		all = append(all, simulator.Packet{Arrives: now, Stamp: f.from.Add(time.Duration(i) * 20 * time.Microsecond),
			Frame: frame, Length: len(frame)})
	}
	return all
}

func (f *flowing) Next() (time.Time, bool) { return f.from, !f.given }
func (f *flowing) Close()                  {}

func espFrame(from, to netip.Addr, n uint32, size int) []byte {
	b := make([]byte, 14+20+size)
	b[12], b[13] = 8, 0
	ip := b[14:]
	ip[0], ip[8], ip[9] = 0x45, 64, 50
	binary.BigEndian.PutUint16(ip[2:], uint16(20+size))
	copy(ip[12:], from.AsSlice())
	copy(ip[16:], to.AsSlice())
	binary.BigEndian.PutUint32(ip[20:], 0xc0ffee01)
	binary.BigEndian.PutUint32(ip[24:], n+1)
	rng := rand.New(rand.NewPCG(uint64(n), 4))
	for at := 28; at < len(ip); at++ {
		ip[at] = byte(rng.Uint32())
	}
	return b
}

// waitFor has the inventory say how long a router may take.
func (l *testLab) waitFor(t *testing.T, d time.Duration) {
	t.Helper()
	b, err := os.ReadFile(l.inventory)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(b), "defaults: {",
		fmt.Sprintf("defaults: {timeouts: {dial: %[1]s, command: %[1]s, idle: %[1]s}, ", d), 1)
	if err := os.WriteFile(l.inventory, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// peakOf runs moncap as a process of its own and returns the most memory that it had resident, in
// bytes, and its exit code. The kernel's own high-water mark is read until the process is gone.
func peakOf(t *testing.T, program string, args ...string) (peak int64, r result) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stderr = &lockedBuffer{}
	cmd.Env = append(os.Environ(), "GOMEMLIMIT=", "GOGC=")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	status := fmt.Sprintf("/proc/%d/status", cmd.Process.Pid)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait() // its exit code is looked at
	}()
	for {
		if b, err := os.ReadFile(status); err == nil {
			if _, rest, ok := strings.Cut(string(b), "VmHWM:"); ok {
				kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
				peak = max(peak, kb<<10)
			}
		}
		select {
		case <-done:
			return peak, result{code: cmd.ProcessState.ExitCode(), stderr: fmt.Sprint(cmd.Stderr)}
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// However much routers say, and whatever they hold, moncap needs 64 MB and twice the capture at
// most. The whole process is measured, as the kernel does.
func TestMemoryIsBoundedForAnyRouter(t *testing.T) {
	t.Parallel()
	if testing.Short() || patience > 1 {
		t.Skip("it takes some seconds, and the race detector takes memory of its own")
	}
	program := filepath.Join(t.TempDir(), "moncap")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Skipf("moncap cannot be built here: %v: %s", err, out)
	}
	const mb = 1 << 20
	long := strings.Repeat("nothing that anybody would read, again and again, to the end of the line\n", 11*mb/4/73)
	everyShow := map[string]string{}
	for _, s := range []string{"crypto map", "crypto ikev2 proposal", "crypto ikev2 policy", "crypto ikev2 profile",
		"crypto isakmp policy",
		"crypto ipsec transform-set", "crypto ipsec profile", "crypto isakmp sa", "crypto ikev2 stats", "ntp status",
		"interfaces"} {
		everyShow["show "+s] = long
	}
	shows := func(c *simulator.Config) { c.Show = everyShow }
	traffic := func(packets, size int) func(*simulator.Config) {
		return func(c *simulator.Config) { c.Packets = flow{packets, size} }
	}
	run := []string{"--until", "packets=4", "--duration", "20s", "--quiet", "--pps", "1000000"}
	for _, tt := range []struct {
		name   string
		change func(*simulator.Config)
		args   []string
		code   []int // that are right
	}{
		{"an ordinary one", nil, run, []int{0}},
		{"long shows", shows, run, []int{0, 1}},
		{"a long greeting", func(c *simulator.Config) { c.Knobs.MOTD = long[:900<<10] }, run, []int{0, 1}},
		{"an endless greeting", func(c *simulator.Config) { c.Knobs.MOTD = strings.Repeat(long, 16) }, run, []int{4}},
		{"a full buffer of 100 MB", traffic(68_000, 1400), append([]string{"--buffer", "100", "--packets", "100000"}, run...),
			[]int{1, 2, 3}},
		{"many small packets", traffic(100_000, 60), append([]string{"--buffer", "20", "--packets", "100000"}, run...),
			[]int{1, 2, 3}},
		{"a dump of 60 MB", traffic(10_000, 1400), append([]string{"--buffer", "16", "--packets", "100000", "--zero-config"},
			run...), []int{1, 2, 3}},
		{"a dump of small packets", traffic(20_000, 60), append([]string{"--buffer", "16", "--zero-config"}, run...),
			[]int{1, 2, 3}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLabWith(t, "healthy", tt.change)
			l.waitFor(t, 5*time.Minute) // a machine that is busy is late with 60 MB
			out := filepath.Join(l.dir, "bundle")
			began := time.Now()
			peak, r := peakOf(t, program, append([]string{"run", "demo", "-i", l.inventory, "--out", out}, tt.args...)...)
			var largest int64
			for _, side := range bundle.Sides() {
				if info, err := os.Stat(filepath.Join(out, bundle.CaptureFile(side))); err == nil {
					largest = max(largest, info.Size())
				}
			}
			t.Logf("%3d MB resident at most, %3d MB of capture, exit %d, %s", peak/mb, largest/mb, r.code,
				time.Since(began).Round(time.Second))
			if limit := 64*mb + 2*largest; peak > limit || peak == 0 {
				t.Errorf("%d MB resident, the limit is %d MB", peak/mb, limit/mb)
			}
			right := false
			for _, c := range tt.code {
				right = right || c == r.code
			}
			if !right {
				t.Errorf("exit %d\n%s", r.code, r.stderr)
			}
		})
	}
}
