//go:build unix

package fleet

import (
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/capture/bundle"
)

// far is a TCP proxy whose bytes take a while either way.
func far(t *testing.T, port int, delay time.Duration) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				_ = in.Close()
				continue
			}
			go late(out, in, delay)
			go late(in, out, delay)
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

type piece struct {
	at   time.Time
	data []byte
}

func late(to, from net.Conn, delay time.Duration) {
	pieces := make(chan piece, 1000)
	go func() {
		defer close(pieces)
		buffer := make([]byte, 64<<10)
		for {
			n, err := from.Read(buffer)
			if n > 0 {
				pieces <- piece{time.Now().Add(delay), slices.Clone(buffer[:n])}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range pieces {
		time.Sleep(time.Until(p.at))
		if _, err := to.Write(p.data); err != nil {
			break
		}
	}
	_ = to.Close()
	_, _ = io.Copy(io.Discard, from)
}

// TestMeasureASlowDatabase says what a database that is 50 ms away costs a run
// (MONCAP_FLEET_MEASURE=1). It judges nothing: times depend on the machine.
func TestMeasureASlowDatabase(t *testing.T) {
	if os.Getenv("MONCAP_FLEET_MEASURE") == "" {
		t.Skip("MONCAP_FLEET_MEASURE is not set")
	}
	pg := ownServer(t)
	for _, delay := range []time.Duration{0, 25 * time.Millisecond} {
		f := newField(t, 1)
		url := pg.database(t, nil)
		s := openStore(t, url)
		port := far(t, pg.port, delay)
		f.worker(t, strings.Replace(url, strconv.Itoa(pg.port), strconv.Itoa(port), 1), nil)
		var gaps, took []float64
		for range 7 {
			ids := submit(t, s, f.request(t, 0, 1, capture.Settings{Duration: time.Second}))
			await(t, s, ids...)
			_, doc, err := s.plan(t.Context(), ids[0])
			if err != nil {
				t.Fatal(err)
			}
			run := decode(t, doc)
			gaps = append(gaps, run.StartGapMS)
			took = append(took, run.Ended.Sub(run.Started).Seconds())
		}
		slices.Sort(gaps)
		slices.Sort(took)
		t.Logf("round trip %s: start gap ms %.2f; run s %.2f", 2*delay, gaps, took)
	}
}

// TestMeasureIdle says what a worker with nothing to do takes, and how long 500 submitted runs do.
func TestMeasureIdle(t *testing.T) {
	if os.Getenv("MONCAP_FLEET_MEASURE") == "" {
		t.Skip("MONCAP_FLEET_MEASURE is not set")
	}
	for _, kind := range []string{"sqlite", "postgres"} {
		url := "sqlite:" + t.TempDir() + "/moncap.db"
		if kind == "postgres" {
			url = ownServer(t).database(t, nil)
		}
		f, s := newField(t, 1), openStore(t, url)
		began := time.Now()
		w := f.worker(t, url, func(c *workerConfig) { c.Lease = DefaultLease })
		ready := time.Since(began)
		time.Sleep(5 * time.Second)
		before := cpu(t, w.cmd.Process.Pid)
		time.Sleep(30 * time.Second)
		t.Logf("%s: ready after %s, %.2f %% of a core, %s", kind, ready, (cpu(t, w.cmd.Process.Pid)-before)/0.3,
			rss(t, w.cmd.Process.Pid))
		var reqs []Request
		for i := range 500 {
			q := Request{Plan: testPlan(t, fmt.Sprint("t", i), runID(i)), Site: "nowhere", A: Slot{fmt.Sprint("x", i, ":22"), 1},
				B: Slot{fmt.Sprint("y", i, ":22"), 1}}
			reqs = append(reqs, q)
		}
		began = time.Now()
		if err := s.Submit(t.Context(), reqs...); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: 500 submitted in %s", kind, time.Since(began))
	}
}

func decode(t *testing.T, doc string) *bundle.Run {
	t.Helper()
	b, err := bundle.Create(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.WriteFile("run.json", []byte(doc)); err != nil {
		t.Fatal(err)
	}
	run, err := b.Run()
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// cpu is what a process used, in seconds (proc(5), stat).
func cpu(t *testing.T, pid int) float64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')'):]))
	user, err1 := strconv.ParseFloat(fields[12], 64)
	system, err2 := strconv.ParseFloat(fields[13], 64)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return (user + system) / 100
}

func rss(t *testing.T, pid int) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "VmRSS") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// TestMeasureKill says how long the routers of a worker that is killed or frozen wait, with the
// lease that workers have.
func TestMeasureKill(t *testing.T) {
	if os.Getenv("MONCAP_FLEET_MEASURE") == "" {
		t.Skip("MONCAP_FLEET_MEASURE is not set")
	}
	eachDatabase(t, func(t *testing.T, url string) {
		for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP} {
			f, s := newField(t, 3), openStore(t, url)
			usual := func(c *workerConfig) { c.Lease = DefaultLease }
			dying := f.worker(t, url, usual)
			ids := submit(t, s, f.request(t, 0, 1, long), f.request(t, 2, 3, long), f.request(t, 4, 5, long))
			for _, id := range ids {
				running(t, f, s, id)
			}
			other := f.worker(t, url, usual)
			dying.signal(t, sig)
			began := time.Now()
			eventually(t, "clean", func() bool { return len(f.dirty()) == 0 })
			t.Logf("%s: three runs' routers clean after %s", sig, time.Since(began).Round(10*time.Millisecond))
			await(t, s, ids...)
			_, _ = dying.cmd.Process.Kill(), other.cmd.Process.Kill()
		}
	})
}

// TestMeasureNight says what 500 tunnels cost one worker, 16 at a time.
func TestMeasureNight(t *testing.T) {
	if os.Getenv("MONCAP_FLEET_MEASURE") == "" {
		t.Skip("MONCAP_FLEET_MEASURE is not set")
	}
	url := "sqlite:" + t.TempDir() + "/moncap.db"
	f, s := newField(t, 16), openStore(t, url)
	w := f.worker(t, url, func(c *workerConfig) { c.Lease, c.Workers = DefaultLease, 16 })
	var reqs []Request
	for i := range 500 {
		reqs = append(reqs, f.request(t, 2*(i%16), 2*(i%16)+1, capture.Settings{Duration: 2 * time.Second}))
	}
	began := time.Now()
	ids := submit(t, s, reqs...)
	t.Logf("500 submitted in %s", time.Since(began))
	runs, err := s.Wait(t.Context(), nil, ids...)
	if err != nil {
		t.Fatal(err)
	}
	states := map[State]int{}
	for _, r := range runs {
		states[r.State]++
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "VmHWM") {
			t.Logf("%v in %s, %.0f s of processor time, %s", states, time.Since(began), cpu(t, w.cmd.Process.Pid),
				strings.TrimSpace(line))
		}
	}
	f.check(t)
}
