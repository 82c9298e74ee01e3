package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/iosxe"
)

func TestSameRouter(t *testing.T) {
	for _, tt := range []struct {
		first, now identity
		want       bool
	}{
		{identity{"R1", "9A", "k1"}, identity{"R1", "9A", "k1"}, true},
		{identity{"R1", "9A", "k1"}, identity{"r1", "9A", "k1"}, true},
		{identity{"R1", "9A", "k1"}, identity{"R9", "9A", "k1"}, true},  // renamed
		{identity{"R1", "9A", ""}, identity{"R9", "9A", ""}, true},      // renamed
		{identity{"R1", "", "k1"}, identity{"R9", "", "k1"}, true},      // renamed
		{identity{"R1", "9A", "k1"}, identity{"R1", "9B", "k1"}, false}, // a copy with the same configuration
		{identity{"R1", "9A", "k1"}, identity{"R1", "9A", "k2"}, false}, // a clone
		{identity{"R1", "9A", "k1"}, identity{"R2", "9B", "k2"}, false}, // another one
		{identity{"R1", "", ""}, identity{"R2", "9B", ""}, false},       // nothing else is known of the first
		{identity{"R1", "", ""}, identity{"R1", "9B", "k2"}, true},      // a bundle of before
		{identity{"R1", "9A", "k1"}, identity{"", "", "k1"}, true},      // its version is not shown any more
		{identity{"R1", "9A", "k1"}, identity{"R1", "", ""}, true},      // all that can be known agrees
	} {
		if got := tt.first.same(tt.now); got != tt.want {
			t.Errorf("%v and %v: %v", tt.first, tt.now, got)
		}
	}
}

// failover is a host behind whose name another router answers from some command on.
type failover struct {
	first, second *fakeRouter
	at            int
	n             atomic.Int64 // a transfer is prepared beside the commands
	done          bool         // the command with which the session is lost was still carried out
}

func (h *failover) now() *fakeRouter { return h.nowFor(int(h.n.Load())) }

func (h *failover) Exec(ctx context.Context, cmd iosxe.Command) (string, error) {
	n := int(h.n.Add(1)) - 1
	if n != h.at {
		return h.nowFor(n).Exec(ctx, cmd)
	}
	if h.done {
		_, _ = h.first.Exec(ctx, cmd) // its answer is what is lost
	}
	return "", lostError{}
}

func (h *failover) Stream(ctx context.Context, cmd iosxe.Command, w io.Writer) error {
	out, err := h.Exec(ctx, cmd)
	_, _ = io.WriteString(w, out)
	return err
}

func (h *failover) nowFor(n int) *fakeRouter {
	if n > h.at {
		return h.second
	}
	return h.first
}

func (h *failover) ExecAll(ctx context.Context, cmds []iosxe.Command, each func(i int, out string, err error)) {
	for i, cmd := range cmds {
		out, err := h.Exec(ctx, cmd)
		each(i, out, err)
	}
}

func (h *failover) ProbeFile(ctx context.Context, file string, beside bool) error {
	return h.now().ProbeFile(ctx, file, beside)
}

func (h *failover) Prepare(ctx context.Context) error { return h.now().Prepare(ctx) }

func (h *failover) Fetch(ctx context.Context, file string, w io.Writer,
	progress func(done, total int64)) (int64, error) {
	return h.now().Fetch(ctx, file, w, progress)
}

// TestAnotherRouterIsNotTheOne has the session with side A lost at every command, and another
// router answer from then on. It may be one of another name, one of the same name, or the one of
// the other side.
func TestAnotherRouterIsNotTheOne(t *testing.T) {
	settings := matrix["full"]
	calls := trace(t, settings)
	for name, make := range map[string]func(l *lab) *fakeRouter{
		"another name":   func(*lab) *fakeRouter { f := newFake("R7", "192.168.1.1"); f.serial = "9CCC"; return f },
		"the same name":  func(*lab) *fakeRouter { f := newFake("R1", "192.168.1.1"); f.serial = "9CCC"; return f },
		"the other side": func(l *lab) *fakeRouter { f := l.b.clone(); f.address = "192.168.1.1"; return f },
	} {
		for _, at := range points(calls) {
			for _, done := range []bool{false, true} {
				if done && reads(calls[at]) {
					continue
				}
				t.Run(fmt.Sprintf("%s/%02d %s/%v", name, at, calls[at], done), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						l := newLab(t, settings)
						l.a.serial, l.b.serial = "9AAA", "9BBB"
						host := &failover{first: l.a, second: make(l), at: at, done: done}
						elsewhere := host.second.state()
						failedOver(t, l, host, elsewhere)
					})
				})
			}
		}
	}
}

func failedOver(t *testing.T, l *lab, host *failover, elsewhere string) {
	before := l.state()
	_, err := Run(t.Context(), l.plan, Hosts{host, l.b}, l.bundle, l.opts)
	if diff := cmp.Diff(elsewhere, host.second.state()); diff != "" && host.at > 0 {
		t.Errorf("the other router was changed: %s", diff)
	}
	var dirty *DirtyError
	isDirty := errors.As(err, &dirty)
	if diff := cmp.Diff(before, l.state()); diff != "" && !isDirty && host.at > 0 {
		t.Errorf("the run ended with %v, and left: %s", err, diff)
	}
	if !isDirty {
		return
	}
	if !slices.ContainsFunc(dirty.Left, func(l Leftover) bool { return l.Reason == ReasonOtherRouter }) {
		t.Errorf("no reason is the other router: %v", err)
	}
	if !strings.Contains(err.Error(), "R1 (serial number 9AAA)") ||
		!strings.Contains(err.Error(), "(serial number "+host.second.serial+")") {
		t.Errorf("the two routers are not named: %v", err)
	}
	// The bundle does not believe the other router either, and cleans when the right one answers.
	b := reopen(t, snapshot(t, l.bundle.Dir()))
	if _, err := Clean(t.Context(), b, Hosts{host.second, l.b}, l.opts); !errors.As(err, &dirty) ||
		dirty.Left[0].Reason != ReasonOtherRouter {
		t.Errorf("clean on the other router: %v", err)
	}
	if diff := cmp.Diff(elsewhere, host.second.state()); diff != "" {
		t.Errorf("clean changed the other router: %s", diff)
	}
	if err := honest(t, "later", before, l, b, l.opts); err != nil {
		t.Error(err)
	}
}

// TestABundleWithoutAnIdentityGetsOne: whoever answers first has to be the one that answers to the
// end. The other has the same things, as a standby with a copied configuration may.
func TestABundleWithoutAnIdentityGetsOne(t *testing.T) {
	for at := 1; at < 6; at++ {
		synctest.Test(t, func(t *testing.T) {
			l, _ := started(t, Settings{})
			run, err := l.bundle.Run()
			if err != nil {
				t.Fatal(err)
			}
			run.A.Hostname = ""
			if err := l.bundle.SaveRun(run); err != nil {
				t.Fatal(err)
			}
			host := &failover{first: l.a, second: l.a.clone(), at: at}
			host.second.host = "R7"
			elsewhere := host.second.state()
			var dirty *DirtyError
			if _, err := Clean(t.Context(), l.bundle, Hosts{host, l.b}, l.opts); !errors.As(err, &dirty) ||
				!strings.Contains(err.Error(), "this is R7") {
				t.Errorf("at %d: %v", at, err)
			}
			if diff := cmp.Diff(elsewhere, host.second.state()); diff != "" {
				t.Errorf("at %d: the other router was changed: %s", at, diff)
			}
		})
	}
}

// TestARenamedRouterIsTheSame: its serial number says so, in a run and afterwards.
func TestARenamedRouterIsTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, Settings{})
		l.a.serial = "9AAA"
		before := l.state()
		l.a.fault = func(_ int, c iosxe.Command) *fault {
			if c.Name == "stop-capture" && l.a.host == "R1" {
				l.a.host = "R1-new"
				return &fault{before: lostError{}}
			}
			return nil
		}
		result, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
		if err != nil || l.state() != before || result.Run.A.Source != bundle.SourceSCP {
			t.Errorf("%v", err)
		}
		if notes := strings.Join(result.Notes, "\n"); !strings.Contains(notes,
			"it calls itself R1-new now, and was R1 before") {
			t.Errorf("notes %q", notes)
		}
	})
}
