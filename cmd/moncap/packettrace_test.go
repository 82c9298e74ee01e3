package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/device/simulator"
)

// tracedRun is the matrix's run with a packet trace.
func (l *testLab) tracedRun(out string) []string {
	return append(l.matrixRun(out), "--packet-trace", "64")
}

func TestPacketTraceIsReadAndTakenBack(t *testing.T) {
	l := newTestLab(t, "healthy")
	out := filepath.Join(l.dir, "bundle")
	r := program{}.run(t.Context(), l.tracedRun(out)...)
	if dirty := l.dirty(); r.code > exitInconclusive || len(dirty) > 0 {
		t.Fatalf("exit %d, %v is not as it was\n%s", r.code, dirty, r.stderr)
	}
	all, err := filepath.Glob(filepath.Join(out, "*", "show", "show-traced-packets.txt"))
	if err != nil || len(all) != 2 {
		t.Fatalf("the traced packets are not in the bundle: %v, %v", all, err)
	}
	text, err := os.ReadFile(all[0])
	if err != nil || !strings.Contains(string(text), "State     : PUNT 11  (For-us data)") {
		t.Errorf("%v\n%s", err, text)
	}
	for _, router := range l.routers {
		typed := strings.Join(router.Commands(), "\n")
		for _, want := range []string{"\ndebug platform condition stop\n", "\nno debug platform packet-trace packet 64\n",
			"\nno debug platform condition interface "} {
			if n := strings.Count(typed, want); n != 2 { // once as the proof that it may be, when nothing was there
				t.Errorf("%q was typed %d times", want, n)
			}
		}
		if strings.Contains(typed, "clear platform") {
			t.Error("what may be somebody else's was cleared")
		}
	}
}

// A router has one set of conditions, and one trace: those of others are not mixed with, not taken
// back and not stopped.
func TestPacketTraceLeavesThoseOfOthers(t *testing.T) {
	for name, lines := range map[string][]string{
		"condition": {"debug platform condition ipv4 10.0.0.1/32 both"},
		"same":      {"debug platform condition interface GigabitEthernet1 ipv4 192.168.2.1/32 both"},
		"trace":     {"debug platform packet-trace packet 1024 fia-trace"},
		"started":   {"debug platform condition start"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newTestLab(t, "healthy")
			l.routers[0].Type(lines...)
			l.before[0] = stateOf(l.routers[0])
			r := program{}.run(t.Context(), l.tracedRun(filepath.Join(l.dir, "bundle"))...)
			if r.code != exitFailed || !strings.Contains(r.stderr, "packet trace: somebody has") || len(l.dirty()) > 0 {
				t.Errorf("exit %d, dirty %v\n%s", r.code, l.dirty(), r.stderr)
			}
		})
	}
}

// A release that lists conditions in a form that is not known is left as it was all the same, also
// after a kill.
func TestPacketTraceOfUnknownConditions(t *testing.T) {
	for _, kill := range []bool{false, true} {
		l := newLabWith(t, "healthy", func(c *simulator.Config) { c.Knobs.OddConditions = true })
		out := filepath.Join(l.dir, "bundle")
		if !kill {
			r := program{}.run(t.Context(), l.tracedRun(out)...)
			if dirty := l.dirty(); r.code > exitInconclusive || len(dirty) > 0 {
				t.Errorf("exit %d, %v is not as it was\n%s", r.code, dirty, r.stderr)
			}
			continue
		}
		l.routers[0].AddFault(simulator.Fault{Match: regexp.MustCompile(`^monitor capture \S+ start`),
			Action: simulator.Delay, Delay: 500 * time.Millisecond})
		cmd := start(t, l.tracedRun(out)...)
		l.received(t, 0, `^monitor capture \S+ start`)
		_ = cmd.Process.Signal(syscall.SIGKILL)
		_ = cmd.Wait()
		r := program{}.run(t.Context(), "clean", out, "-i", l.inventory)
		if left := l.routers[0].PlatformDebugs(); r.code == exitOK && len(left) > 0 ||
			r.code != exitOK && r.code != exitDirty {
			t.Errorf("exit %d, and there is %q\n%s", r.code, left, r.stderr)
		}
		for _, d := range l.routers[0].PlatformDebugs() {
			if d != "started" { // that somebody's unknown conditions depend on it cannot be excluded
				t.Errorf("there is %q", d)
			}
		}
	}
}

// Somebody who sets a condition while the run captures depends on the state that the run started.
func TestPacketTraceIsNotStoppedUnderOthers(t *testing.T) {
	l := newTestLab(t, "healthy")
	p := program{events: func(e capture.Event) {
		if e.Kind == capture.Began && e.Phase == capture.PhaseWait {
			l.routers[0].Type("debug platform condition ipv4 10.0.0.1/32 both")
		}
	}}
	r := p.run(t.Context(), l.tracedRun(filepath.Join(l.dir, "bundle"))...)
	got := strings.Join(l.routers[0].PlatformDebugs(), "; ")
	if r.code != exitDirty || got != "condition  10.0.0.1/32 both; started" ||
		!strings.Contains(r.stderr, "debug platform condition stop") {
		t.Errorf("exit %d, %s\n%s", r.code, got, r.stderr)
	}
	if left := l.routers[1].PlatformDebugs(); len(left) > 0 {
		t.Errorf("side B has %q", left)
	}
}

// tracedCommands are some of what a packet trace types: the first change, the one that costs the
// router, and what ends both.
var tracedCommands = map[string]string{
	"condition": `^debug platform condition interface`,
	"start":     `^debug platform condition start`,
	"stop":      `^debug platform condition stop`,
	"free":      `^no debug platform packet-trace`,
}

// TestPacketTraceSurvivesEveryFault is the matrix of faults at each of its commands.
func TestPacketTraceSurvivesEveryFault(t *testing.T) {
	survivesEveryFault(t, tracedCommands, (*testLab).tracedRun, syscall.SIGTERM, syscall.SIGKILL)
}

// A firewall inside the responder drops what its capture shows to arrive: the trace names packet,
// drop, feature and zone pair.
func TestPacketTraceIsQuoted(t *testing.T) {
	t.Parallel()
	l := newLabThatDrops(t, 5)
	r := program{}.run(t.Context(), "run", "demo", "-i", l.inventory, "--out", filepath.Join(l.dir, "bundle"),
		"--duration", "3s", "--packet-trace", "64")
	for _, want := range []string{"control-plane-drop",
		"its data plane dropped every one of them: DROP 183 (FirewallPolicy) in its feature ZBFW, zone pair outside-self"} {
		if !strings.Contains(strings.Join(strings.Fields(r.stdout), " "), want) {
			t.Errorf("the report does not say %q:\n%s%s", want, r.stdout, r.stderr)
		}
	}
	if dirty := l.dirty(); len(dirty) > 0 {
		t.Errorf("%v is not as it was", dirty)
	}
}

func TestPacketTraceOfIPv6(t *testing.T) {
	t.Parallel()
	l := newTestLab(t, "ipv6")
	out := filepath.Join(l.dir, "bundle")
	r := program{}.run(t.Context(), "run", "demo", "-i", l.inventory, "--out", out, "--duration", "2s", "--packet-trace",
		"16")
	text, err := os.ReadFile(filepath.Join(out, "b", "show", "show-traced-packets.txt"))
	if err != nil {
		t.Fatalf("exit %d, %v\n%s", r.code, err, r.stderr)
	}
	if dirty := l.dirty(); len(dirty) > 0 || !strings.Contains(string(text), "Feature: IPV6(Input)") {
		t.Errorf("exit %d, %v is not as it was\n%s\n%s", r.code, dirty, r.stderr, text)
	}
}

// Two uplinks of a router are one capture point, which is defined, compared and removed as any.
func TestRunOnTwoUplinks(t *testing.T) {
	l := newLabWith(t, "healthy", func(c *simulator.Config) {
		c.Interfaces = append(c.Interfaces, simulator.Interface{Name: "GigabitEthernet9"})
	})
	text, err := os.ReadFile(l.inventory)
	if err != nil {
		t.Fatal(err)
	}
	two := strings.Replace(string(text), "interface: GigabitEthernet1,",
		"interface: GigabitEthernet1, also: [GigabitEthernet9],", 1)
	if two == string(text) {
		t.Fatalf("the inventory is not as it was thought:\n%s", text)
	}
	if err := os.WriteFile(l.inventory, []byte(two), 0o600); err != nil {
		t.Fatal(err)
	}
	r := program{}.run(t.Context(), l.tracedRun(filepath.Join(l.dir, "bundle"))...)
	if dirty := l.dirty(); r.code > exitInconclusive || len(dirty) > 0 {
		t.Errorf("exit %d, %v is not as it was\n%s", r.code, dirty, r.stderr)
	}
	if typed := strings.Join(l.routers[0].Commands(), "\n"); !strings.Contains(typed,
		" interface GigabitEthernet1 both interface GigabitEthernet9 both") {
		t.Errorf("typed:\n%s", typed)
	}
}
