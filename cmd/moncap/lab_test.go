package main

import (
	"bytes"
	"context"
	"flag"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/device"
	"github.com/moncap/moncap/device/simulator"
)

// TestMain lets the test binary be moncap itself, for tests that need a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv("MONCAP_TEST_AS_PROGRAM") == "1" {
		main()
		return
	}
	// The cases of the matrix mostly wait, so many of them run at once, however few
	// the processors are.
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	state, err := os.MkdirTemp("", "moncap-state-")
	if err == nil {
		err = os.Setenv("XDG_STATE_HOME", state)
	}
	if err != nil {
		panic(err)
	}
	code := m.Run()
	if err := os.RemoveAll(state); err != nil {
		panic(err)
	}
	os.Exit(code)
}

// tooLong is after how long a test ends that waits for what is bound to come.
const tooLong = 10 * time.Minute

// testLab is two simulated routers with an incident between them, an inventory that leads to them,
// and what they were like at first.
type testLab struct {
	*lab
	dir       string
	inventory string
	before    [2]routerState
}

type routerState struct {
	config   string
	flash    map[string]string
	captures []string
	debugs   []string
}

func stateOf(r *simulator.Router) routerState {
	s := routerState{config: r.RunningConfig(), flash: map[string]string{}, captures: r.CapturePoints(),
		debugs: r.PlatformDebugs()}
	for name, b := range r.FlashFiles() {
		s.flash[name] = string(b)
	}
	return s
}

func (s routerState) equal(o routerState) bool {
	return s.config == o.config && maps.Equal(s.flash, o.flash) && slices.Equal(s.captures, o.captures) &&
		slices.Equal(s.debugs, o.debugs)
}

func newTestLab(t testing.TB, incident string) *testLab {
	t.Helper()
	return newLabWith(t, incident, nil)
}

// dirty says which routers are not as they were at first.
func (l *testLab) dirty() []string {
	var all []string
	for i, r := range l.routers {
		if now := stateOf(r); !now.equal(l.before[i]) {
			all = append(all, string(rune('A'+i)))
		}
	}
	return all
}

// result is what a run of the program left.
type result struct {
	code           int
	stdout, stderr string
}

// program runs moncap in this process. It looks at the routers often, and waits for them for long:
// most tests have none that is silent, and a machine that is busy does other things in between.
// Where one is, tune is hasty.
type program struct {
	tune   func(*device.Options, *capture.Options)
	events func(capture.Event)
	env    map[string]string
	stdin  string

	operator string // who the operator is; empty: whoever runs the tests
}

func (p program) run(ctx context.Context, args ...string) result {
	var stdout, stderr lockedBuffer
	code := run(ctx, environment{
		args: args, stdin: strings.NewReader(p.stdin), stdout: &stdout, stderr: &stderr,
		getenv: func(k string) string {
			if v, ok := p.env[k]; ok || k != "XDG_STATE_HOME" {
				return v
			}
			return os.Getenv(k)
		}, width: func() int { return 0 }, operator: p.operator,
		tune: func(d *device.Options, c *capture.Options) {
			if d != nil {
				d.Timeouts = device.Timeouts{Dial: tooLong, Command: tooLong, Idle: tooLong}
			}
			if c != nil {
				c.Poll, c.Retry = 20*time.Millisecond, 10*time.Millisecond
				if show := c.Events; p.events != nil {
					c.Events = func(e capture.Event) { show(e); p.events(e) }
				}
			}
			if p.tune != nil {
				p.tune(d, c)
			}
		},
	})
	return result{code, stdout.String(), stderr.String()}
}

// hasty waits for the answer to a command no longer than it must. A login is many turns of both
// sides, with cryptography in them; a router that is silent is met with a command first.
func hasty(d *device.Options, _ *capture.Options) {
	if d != nil {
		d.Timeouts = device.Timeouts{Dial: patience * 20 * time.Second, Command: patience * 1600 * time.Millisecond,
			Idle: patience * 1600 * time.Millisecond}
	}
}

func moncap(t testing.TB, args ...string) result {
	t.Helper()
	return program{}.run(t.Context(), args...)
}

// lockedBuffer is written by the program and its logger at once.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// checkBundle looks for what must never be in a bundle, and at its modes.
func checkBundle(t *testing.T, dir string, secrets ...string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: mode %v", path, info.Mode())
		}
		if d.IsDir() {
			return nil
		}
		if strings.Contains(d.Name(), ".part") || strings.Contains(d.Name(), ".tmp") {
			t.Errorf("%s: a partial file was left", path)
		}
		b, err := os.ReadFile(path)
		for _, s := range secrets {
			if bytes.Contains(b, []byte(s)) {
				t.Errorf("%s: a secret is in it", path)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
