package main

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/device/simulator"
)

// fullRun is the matrix's run with all that a run can make on a router.
func (l *testLab) fullRun(out string) []string {
	return append(l.matrixRun(out), "--packet-trace", "64", "--debug", "--control-plane")
}

// TestOneStuckThingKeepsNothingElse has a router hang at one command of the clean-up, ask a
// question there, or answer in words that nobody can read, for good. All else is taken back, and
// the advice does not say that the router cannot be reached.
func TestOneStuckThingKeepsNothingElse(t *testing.T) {
	how := map[string]simulator.Fault{
		"hangs":    {Action: simulator.NeverAnswer},
		"asks":     {Action: simulator.UnknownDialog, Text: "Proceed with it? [confirm]"},
		"mumbles":  {Action: simulator.OtherWords, Text: "The request was handed to the platform."},
		"is slow":  {Action: simulator.Delay, Delay: 25 * time.Second}, // longer than anybody waits
		"declines": {Action: simulator.ErrorText, Text: "% The platform is busy"},
	}
	for at, c := range map[string]struct{ command, only string }{
		"control plane":     {`^no monitor capture \S{8}p$`, "at the control plane"},
		"its read-back":     {`^show monitor capture \S{8}p$`, "at the control plane"},
		"packet trace":      {`^no debug platform packet-trace`, "packet trace of"},
		"debug":             {`^no debug crypto ikev2$`, "debug"}, // and its condition, which limits it
		"capture point":     {`^no monitor capture \S{8}$`, "capture point"},
		"started":           {`^debug platform condition stop$`, "platform condition"},
		"debug's look":      {`^show debug`, "debug"},
		"trace's read-back": {`^show platform packet-trace configuration`, "packet trace of"},
	} {
		for name, fault := range how {
			t.Run(at+"/"+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { oneStuckThing(t, c.command, c.only, fault) })
			})
		}
	}
}

func oneStuckThing(t *testing.T, command, only string, fault simulator.Fault) {
	l := newBubble(t, isGone)
	out := filepath.Join(l.dir, "bundle")
	fault.Match, fault.Times, fault.Skip = regexp.MustCompile(command), -1, checked(command)
	l.routers[0].AddFault(fault)
	r := l.moncap(t.Context(), nil, l.fullRun(out)...)
	dirty := l.dirty()
	if r.code != exitDirty {
		if len(dirty) > 0 {
			t.Errorf("exit %d, and %v is not as it was\n%s", r.code, dirty, r.stderr)
		}
		return
	}
	for _, left := range readTestRun(t, out).Left {
		if !strings.Contains(left.What, only) {
			t.Errorf("%s is left, too: %s", left.What, left.Why)
		}
	}
	if strings.Contains(r.stderr, "when the router can be reached again") {
		t.Errorf("the router was reached all the time:\n%s", r.stderr)
	}
	l.routers[0].ClearFaults()
	if later := l.moncap(t.Context(), nil, "clean", out, "-i", l.inventory); later.code != exitOK || len(l.dirty()) > 0 {
		t.Errorf("moncap clean: exit %d, dirty %v\n%s\nthe run had said:\n%s", later.code, l.dirty(), later.stderr, r.stderr)
	}
}

// checked is how often check types the command, or what it begins with, before anything is made.
func checked(command string) int {
	for _, proof := range []string{`^no monitor capture \S{8}$`, `^no debug`, `^debug platform condition stop`,
		`^show debug`, `^show platform packet-trace`} {
		if strings.HasPrefix(command, proof) {
			return 1
		}
	}
	return 0
}

// TestADebugIsNotLeftWithoutItsLimit has a router refuse to turn the debug off that the account
// could turn off before: the condition stays, without which the debug is of every peer of a hub.
func TestADebugIsNotLeftWithoutItsLimit(t *testing.T) {
	t.Parallel()
	l := newTestLab(t, "healthy")
	out := filepath.Join(l.dir, "bundle")
	l.routers[0].AddFault(simulator.Fault{Match: regexp.MustCompile(`^no debug crypto ikev2$`), Skip: 1, Times: -1,
		Action: simulator.ErrorText, Text: "Command authorization failed."})
	r := program{}.run(t.Context(), l.fullRun(out)...)
	typed := l.routers[0].Commands()
	on := slices.Index(typed, "debug crypto ikev2")
	uncondition := func(c string) bool { return strings.HasPrefix(c, "no debug crypto condition") }
	if on < 0 || slices.ContainsFunc(typed[on:], uncondition) {
		t.Errorf("the condition was taken off a debug that is on:\n%s", strings.Join(typed[max(on, 0):], "\n"))
	}
	if r.code != exitDirty || !strings.Contains(r.stderr, "debug condition for peer") ||
		!strings.Contains(r.stderr, "this limits it") {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
	l.cleanLater(t, out, r)
}

// newLabWithAnother has somebody else type a command at side A just before the first one that is
// due.
func newLabWithAnother(t *testing.T, theirs string, due func(command string) bool) *testLab {
	t.Helper()
	var router atomic.Pointer[simulator.Router]
	var typed sync.Once
	l := newLabWith(t, "healthy", func(c *simulator.Config) {
		if c.Hostname == "site-A" {
			c.Authorize = func(command string) bool {
				if command != theirs && due(command) {
					typed.Do(func() { router.Load().Type(theirs) })
				}
				return true
			}
		}
	})
	router.Store(l.routers[0])
	return l
}

// Somebody who begins to debug, or to trace, while the router is checked is not ended by what
// proves that the account could.
func TestProofsEndNothingOfOthers(t *testing.T) {
	for name, theirs := range map[string]string{
		"debug": "debug crypto ikev2", "trace": "debug platform packet-trace packet 1024 fia-trace",
		"conditions": "debug platform condition start",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var looked atomic.Bool
			l := newLabWithAnother(t, theirs, func(command string) bool {
				last := "show platform packet-trace configuration" // of the first look
				if command == last {
					return looked.Swap(true)
				}
				return looked.Load()
			})
			r := program{}.run(t.Context(), l.fullRun(filepath.Join(l.dir, "bundle"))...)
			if r.code != exitFailed || !strings.Contains(r.stderr, "somebody ") {
				t.Errorf("exit %d\n%s", r.code, r.stderr)
			}
			typed := strings.Join(l.routers[0].Commands(), "\n")
			if strings.Contains(typed, "no debug") || strings.Contains(typed, "condition stop") {
				t.Errorf("it was ended:\n%s", typed)
			}
		})
	}
}

// What was debugged and traced ends with `stop`, not days later when somebody collects; what it
// wrote is collected all the same.
func TestStopEndsTheDebug(t *testing.T) {
	t.Parallel()
	l := newTestLab(t, "healthy")
	out := filepath.Join(l.dir, "bundle")
	run := func(args ...string) result {
		return program{}.run(t.Context(), append(args, "-i", l.inventory, "--quiet")...)
	}
	start := run("start", "demo", "--out", out, "--debug", "--packet-trace", "64", "--duration", "30s")
	stop := run("stop", out)
	if start.code != exitOK || stop.code != exitOK {
		t.Fatalf("exit %d, %d\n%s%s", start.code, stop.code, start.stderr, stop.stderr)
	}
	for i, router := range l.routers {
		typed, on := router.Commands(), router.Type("show debugging")
		if slices.Index(typed, "debug crypto ikev2") < 0 || strings.Contains(strings.ToLower(on), "ikev2") ||
			strings.Contains(on, "192.168.") {
			t.Errorf("router %d debugs after stop:\n%s", i, on)
		}
	}
	collect := run("collect", out)
	if dirty := l.dirty(); collect.code > exitInconclusive || len(dirty) > 0 {
		t.Errorf("collect: exit %d, %v is not as it was\n%s", collect.code, dirty, collect.stderr)
	}
	if logs, err := filepath.Glob(filepath.Join(out, "*", "debug*")); err != nil || len(logs) == 0 {
		t.Errorf("what the debug wrote is not collected: %v", err)
	}
}

// Somebody who begins to debug after the check is not ended by this run, and the run does not take
// a debug for whole that somebody ended.
func TestTheDebugOfOthersGoesOn(t *testing.T) {
	t.Parallel()
	l := newLabWithAnother(t, "debug crypto ikev2",
		func(command string) bool { return strings.HasPrefix(command, "ip access-list extended") })
	out := filepath.Join(l.dir, "bundle")
	r := program{}.run(t.Context(), append(l.matrixRun(out), "--debug")...)
	typed, shown := l.routers[0].Commands(), l.routers[0].Type("show debugging")
	made := slices.IndexFunc(typed, func(c string) bool { return strings.HasPrefix(c, "ip access-list extended") })
	if r.code != exitFailed || !strings.Contains(r.stderr, "define: somebody debugs already") || len(l.dirty()) > 0 {
		t.Errorf("exit %d, dirty %v\n%s", r.code, l.dirty(), r.stderr)
	}
	if !strings.Contains(strings.ToLower(shown), "ikev2") ||
		slices.Contains(typed[max(made, 0):], "no debug crypto ikev2") {
		t.Errorf("their debug was ended:\n%s\n%s", shown, strings.Join(typed, "\n"))
	}
}

// A debug that another hand turned off while it captured is told: the log lacks what came after.
func TestADebugThatSomebodyEndedIsTold(t *testing.T) {
	t.Parallel()
	l := newTestLab(t, "healthy")
	out := filepath.Join(l.dir, "bundle")
	p := program{events: func(e capture.Event) {
		if e.Kind == capture.Began && e.Phase == capture.PhaseWait {
			l.routers[0].Type("no debug crypto ikev2")
		}
	}}
	r := p.run(t.Context(), append(l.matrixRun(out), "--debug")...)
	if notes := strings.Join(readTestRun(t, out).Notes, "\n"); r.code > exitInconclusive || len(l.dirty()) > 0 ||
		strings.Count(notes, "somebody turned the debug off") != 1 {
		t.Errorf("exit %d, dirty %v, notes %q\n%s", r.code, l.dirty(), notes, r.stderr)
	}
}
