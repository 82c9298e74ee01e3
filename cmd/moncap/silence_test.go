package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/device"
	"github.com/moncap/moncap/device/inventory"
	"github.com/moncap/moncap/device/simulator"
	"github.com/moncap/moncap/testdata"
)

// bubble is two simulated routers that are reached in memory, so that time passes at once; and what
// the network between them and moncap does.
type bubble struct {
	*testLab
	silences [2]*silence
}

// silence is the network to one router, which turns bad from a moment on.
type silence struct {
	router *simulator.Router
	kind   string
	mu     sync.Mutex
	since  time.Time // zero: all is well
	until  time.Time // zero: for ever
	heard  time.Time // when something came from the router last
}

// What a router may do that stops answering.
const (
	isGone      = "gone"      // no connection carries anything any more, and no new one comes about
	refuses     = "refuses"   // connections are reset, and refused
	noBanner    = "no banner" // new connections come about, and say nothing
	fallsSilent = "logs in"   // logins are accepted, and nothing that is typed is answered
	echoesOnly  = "echoes"    // what is typed is echoed, and not answered
	hangs       = "hangs"     // the session hangs, and no other is let in
)

func (s *silence) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.since.IsZero() {
		return
	}
	s.since = time.Now()
	switch s.kind {
	case fallsSilent:
		s.router.AddFault(simulator.Fault{Action: simulator.Silence, Times: -1})
	case echoesOnly:
		s.router.AddFault(simulator.Fault{Action: simulator.NeverAnswer, Times: -1})
	}
}

// beginFor begins what passes after d. It says whether nothing had begun before.
func (s *silence) beginFor(d time.Duration) bool {
	if !s.began().IsZero() {
		return false
	}
	s.mu.Lock()
	s.until = time.Now().Add(d)
	s.mu.Unlock()
	s.begin()
	return true
}

// began is when the network turned bad, and zero before.
func (s *silence) began() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.since
}

// bad says whether it is.
func (s *silence) bad() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.since.IsZero() && (s.until.IsZero() || time.Now().Before(s.until))
}

func (s *silence) dial(ctx context.Context) (net.Conn, error) {
	if s.bad() {
		switch s.kind {
		case isGone:
			<-ctx.Done()
			return nil, context.Cause(ctx)
		case refuses:
			return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
		case noBanner, hangs:
			near, _ := simulator.Pipe()
			return near, nil
		}
	}
	near, far := simulator.Pipe()
	s.router.Serve(far)
	return &lossy{Conn: near, s: s}, nil
}

// lossy is a connection that loses all that comes, and all that goes, while the network is bad.
type lossy struct {
	net.Conn
	s *silence
}

func (l *lossy) lost() bool { return l.s.bad() && l.s.kind != fallsSilent && l.s.kind != echoesOnly }

func (l *lossy) Write(p []byte) (int, error) {
	if l.lost() && l.s.kind == refuses {
		return 0, syscall.ECONNRESET
	}
	if l.lost() {
		return len(p), nil
	}
	return l.Conn.Write(p)
}

func (l *lossy) Read(p []byte) (int, error) {
	for {
		n, err := l.Conn.Read(p)
		switch {
		case l.lost() && l.s.kind == refuses:
			return 0, syscall.ECONNRESET
		case l.lost() && err == nil:
			continue
		case n > 0:
			l.s.mu.Lock()
			l.s.heard = time.Now()
			l.s.mu.Unlock()
		}
		return n, err
	}
}

// newBubble makes the routers. It is called in a bubble of testing/synctest.
func newBubble(t *testing.T, kind string, change ...func(*simulator.Config)) *bubble {
	t.Helper()
	return newBubbleOf(t, kind, "healthy", 0, change...)
}

// newBubbleOf is for another incident, whose packets come so long after both routers capture.
func newBubbleOf(t *testing.T, kind, of string, later time.Duration, change ...func(*simulator.Config)) *bubble {
	t.Helper()
	incident, err := testdata.Load(of)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "password"), []byte(labPassword+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tunnel, err := demoTunnel(incident, dir)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := simulator.NewPair(incident.A, incident.B, 1000)
	if err != nil {
		t.Fatal(err)
	}
	pair.Quiet(later)
	l := &lab{tunnel: tunnel}
	b := &bubble{testLab: &testLab{lab: l, dir: dir, inventory: filepath.Join(dir, "inventory.yaml")}}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	sources := [2]simulator.Source{pair.A(), pair.B()}
	for i, peer := range []*inventory.Peer{tunnel.A, tunnel.B} {
		peer.Port = 2201 + i
		key, err := simulator.HostKey(filepath.Join(dir, peer.Name+"_host_key"))
		if err != nil {
			t.Fatal(err)
		}
		c := simulator.Config{Hostname: peer.ExpectHostname, Username: labUser, Password: labPassword, Packets: sources[i],
			Interfaces: []simulator.Interface{{Name: labInterface, Address: peer.WAN.Address}}}
		c.HostKeys = append(c.HostKeys, key)
		for _, f := range change {
			f(&c)
		}
		if l.routers[i], err = simulator.New(c); err != nil {
			t.Fatal(err)
		}
		b.silences[i] = &silence{router: l.routers[i], kind: kind}
		info, err := device.ScanHostKey(t.Context(), *peer, device.Options{Dial: b.dial})
		if err == nil {
			err = device.AcceptHostKey(*peer, info)
		}
		if err != nil {
			t.Fatal(err)
		}
		b.before[i] = stateOf(l.routers[i])
	}
	if err := os.WriteFile(b.inventory, []byte(inventoryText(tunnel)), 0o600); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bubble) dial(ctx context.Context, _, to string) (net.Conn, error) {
	if strings.HasSuffix(to, ":2201") {
		return b.silences[0].dial(ctx)
	}
	return b.silences[1].dial(ctx)
}

// moncap runs with the waits that it has in earnest.
func (b *bubble) moncap(ctx context.Context, events func(capture.Event), args ...string) result {
	return b.moncapTuned(ctx, func(*device.Options) {}, events, args...)
}

// moncapTuned has the ways to the routers changed.
func (b *bubble) moncapTuned(ctx context.Context, tune func(*device.Options), events func(capture.Event),
	args ...string) result {
	var stdout, stderr lockedBuffer
	code := run(ctx, environment{args: args, stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr,
		getenv: func(k string) string {
			if k == "XDG_STATE_HOME" {
				return b.dir
			}
			return ""
		}, width: func() int { return 0 },
		tune: func(d *device.Options, c *capture.Options) {
			if d != nil {
				d.Dial = b.dial
				tune(d)
			}
			if c != nil && events != nil {
				show := c.Events
				c.Events = func(e capture.Event) { show(e); events(e) }
			}
		}})
	return result{code, stdout.String(), stderr.String()}
}

func (b *bubble) runArgs(out string) []string {
	return append(b.matrixRun(out), "--color", "never")
}

// lastWord is when one of the routers said something last that it was asked for. Of one that is bad
// nothing counts any more: to log in is no answer.
func (b *bubble) lastWord() time.Time {
	var last time.Time
	for _, s := range b.silences {
		s.mu.Lock()
		at := s.heard
		if !s.since.IsZero() {
			at = s.since
		}
		s.mu.Unlock()
		if at.After(last) {
			last = at
		}
	}
	return last
}

// A router stops answering as a command of each phase is sent, or both routers do, in each way in
// which they may. The run ends within half a minute after the last answer. What is left then is
// said, and is taken back when the routers are there again.
func TestARunEndsSoonAfterTheLastAnswer(t *testing.T) {
	for _, phase := range capture.Phases() {
		for _, kind := range []string{isGone, refuses, noBanner, fallsSilent, echoesOnly, hangs} {
			for _, both := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/%t", phase, kind, both), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) { fallSilent(t, phase, kind, both) })
				})
			}
		}
	}
}

func fallSilent(t *testing.T, phase capture.Phase, kind string, both bool) {
	b := newBubble(t, kind)
	out := filepath.Join(b.dir, "bundle")
	re := regexp.MustCompile(struck[phase])
	ended := make(chan struct{})
	watch := func(i int) {
		for n := 0; ; {
			for commands := b.routers[i].Commands(); n < len(commands); n++ {
				if re.MatchString(commands[n]) {
					b.silences[i].begin()
					return
				}
			}
			select {
			case <-time.After(time.Millisecond):
			case <-ended:
				return
			}
		}
	}
	// The answer is late enough for the router to be silent before it comes.
	b.routers[0].AddFault(simulator.Fault{Match: re, Action: simulator.Delay, Delay: 50 * time.Millisecond, Times: -1})
	go watch(0)
	if both {
		b.routers[1].AddFault(simulator.Fault{Match: re, Action: simulator.Delay, Delay: 50 * time.Millisecond, Times: -1})
		go watch(1)
	}
	r := b.moncap(t.Context(), nil, b.runArgs(out)...)
	close(ended)
	last := b.lastWord()
	if b.silences[0].began().IsZero() {
		t.Fatalf("the router never fell silent\n%s", r.stderr)
	}
	limit := 30 * time.Second
	switch { // what was asked for takes its time
	case phase == capture.PhaseStart && both:
		limit += 20 * time.Second // of the trigger, which one of the routers is sent; nothing is asked of the other meanwhile
	case phase == capture.PhaseWait || phase == capture.PhaseTrigger:
		limit += 6 * time.Second
	}
	if took := time.Since(last); took > limit {
		t.Errorf("exit %d, %s after the last answer\n%s", r.code, took, r.stderr)
	}
	if dirty := b.dirty(); r.code != exitDirty && len(dirty) > 0 {
		t.Errorf("exit %d, and %v is not as it was\n%s", r.code, dirty, r.stderr)
	}
	for i := range b.routers {
		b.silences[i].end(time.Now())
		b.routers[i].ClearFaults()
	}
	if r.code != exitDirty {
		return
	}
	if r := b.moncap(t.Context(), nil, "clean", out, "-i", b.inventory); r.code != exitOK || len(b.dirty()) > 0 {
		t.Errorf("clean: exit %d, dirty: %v\n%s", r.code, b.dirty(), r.stderr)
	}
}

// What goes on with a run ends as soon when the routers do not answer, and so does an interruption.
func TestNothingIsWaitedForLonger(t *testing.T) {
	for _, kind := range []string{isGone, refuses, noBanner, fallsSilent, echoesOnly} {
		for _, step := range []string{"check demo", "status", "stop", "collect", "clean"} {
			t.Run(kind+"/"+step, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					b := newBubble(t, kind)
					out := filepath.Join(b.dir, "bundle")
					args := []string{step, out, "-i", b.inventory}
					if step == "check demo" {
						args = []string{"check", "demo", "-i", b.inventory}
					}
					if r := b.moncap(t.Context(), nil, "start", "demo", "-i", b.inventory, "--out", out); r.code != exitOK {
						t.Fatalf("start: exit %d\n%s", r.code, r.stderr)
					}
					b.silences[0].begin()
					b.silences[1].begin()
					began := time.Now()
					r := b.moncap(t.Context(), nil, args...)
					if took := time.Since(began); took > 30*time.Second || r.code < exitFailed ||
						step == "clean" && r.code != exitDirty {
						t.Errorf("exit %d after %s\n%s", r.code, took, r.stderr)
					}
				})
			})
		}
	}
	t.Run("interrupted", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBubble(t, isGone)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var began time.Time
			r := b.moncap(ctx, func(e capture.Event) {
				if e.Phase == capture.PhaseExport && e.Kind == capture.Began && began.IsZero() {
					began = time.Now()
					b.silences[0].begin()
					time.AfterFunc(9*time.Second, cancel)
				}
			}, b.runArgs(filepath.Join(b.dir, "bundle"))...)
			if took := time.Since(began); took > 30*time.Second || r.code != exitDirty {
				t.Errorf("exit %d after %s\n%s", r.code, took, r.stderr)
			}
		})
	})
}

// Who says --patience has a router that is away for a minute cleaned by the run itself.
func TestPatienceOutlivesAnOutage(t *testing.T) {
	for _, kind := range []string{isGone, refuses, noBanner, fallsSilent, echoesOnly} {
		for _, phase := range []capture.Phase{capture.PhaseACL, capture.PhaseDefine, capture.PhaseStop, capture.PhaseFetch,
			capture.PhaseClean} {
			for _, patient := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/%t", kind, phase, patient), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) { outage(t, kind, phase, patient) })
				})
			}
		}
	}
}

func outage(t *testing.T, kind string, phase capture.Phase, patient bool) {
	b := newBubble(t, kind)
	args := b.runArgs(filepath.Join(b.dir, "bundle"))
	if patient {
		args = append(args, "--patience", "3m")
	}
	s := b.silences[0]
	r := b.moncap(t.Context(), func(e capture.Event) {
		if e.Phase == phase && e.Kind == capture.Began && s.beginFor(time.Minute) {
			time.AfterFunc(time.Minute, b.routers[0].ClearFaults)
		}
	}, args...)
	changed := phase != capture.PhaseACL // the first change may have been the first that was not answered
	if dirty := b.dirty(); patient && (r.code == exitDirty || len(dirty) > 0) || !patient && changed &&
		r.code != exitDirty {
		t.Errorf("exit %d, dirty: %v\n%s", r.code, dirty, r.stderr)
	}
}
