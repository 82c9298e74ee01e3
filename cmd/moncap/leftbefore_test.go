package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/capture/bundle"
)

// What is on already because a run from here left it there is called that, with what ends it, and
// what anybody else has on is not.
func TestWhatAnEarlierRunLeftOnIsKnown(t *testing.T) {
	l := newTestLab(t, "healthy")
	debug := []string{"check", "demo", "--debug"}
	check := func(want, not string) {
		t.Helper()
		r := l.inRuns(t, debug...)
		if r.code != exitFailed || !strings.Contains(r.stdout, want) || strings.Contains(r.stdout, not) {
			t.Errorf("exit %d, want %q and not %q\n%s%s", r.code, want, not, r.stdout, r.stderr)
		}
	}
	const ours = "an earlier run left it on (IKEv2 default debugging is on): moncap clean "
	const others = "somebody debugs already"
	l.takesNoMore(0, "^no debug crypto ikev2", 2) // the proofs of the check that is not to be met, and of the run
	if r := l.inRuns(t, debug...); r.code != exitOK {
		t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := l.inRuns(t, "run", "demo", "--debug", "--until", "packets=4"); r.code != exitDirty {
		t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	check(ours, others)
	if r := l.inRuns(t, "run", "demo", "--debug"); r.code != exitFailed || !strings.Contains(r.stderr, ours) {
		t.Errorf("a run: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	l.routers[0].Type("no debug crypto condition peer ipv4 192.168.2.1")
	check(others, ours) // it is not limited as the run's was: clean would not touch it
	l.routers[0].Type("debug crypto condition peer ipv4 192.168.2.1")
	check(ours, others)
	l.routers[0].ClearFaults()
	if r := l.inRuns(t, "clean", "demo"); r.code != exitOK {
		t.Errorf("clean: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := l.inRuns(t, debug...); r.code != exitOK {
		t.Errorf("after it was cleaned: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	l.routers[0].Type("debug crypto ikev2", "debug crypto condition peer ipv4 192.168.2.1")
	check(others, ours)
	l.routers[0].Type("no debug crypto ikev2", "no debug crypto condition peer ipv4 192.168.2.1")

	if r := l.inRuns(t, "start", "demo", "--debug", "--duration", "10m"); r.code != exitOK {
		t.Fatalf("start: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	check("another run from here has it on (IKEv2 default debugging is on), and has not ended", others)
	if r := l.inRuns(t, "clean", "demo"); r.code != exitOK || len(l.dirty()) > 0 {
		t.Errorf("clean: exit %d, dirty %v\n%s%s", r.code, l.dirty(), r.stdout, r.stderr)
	}
}

// The same of a packet trace.
func TestAPacketTraceThatAnEarlierRunLeftIsKnown(t *testing.T) {
	l := newTestLab(t, "healthy")
	l.takesNoMore(0, "^no debug platform condition", 1)
	if r := l.inRuns(t, "run", "demo", "--packet-trace", "16", "--until", "packets=4"); r.code != exitDirty {
		t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	const ours = "an earlier run left it on ("
	if r := l.inRuns(t, "check", "demo", "--packet-trace", "16"); r.code != exitFailed ||
		!strings.Contains(r.stdout, ours) {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	l.routers[0].ClearFaults()
	if r := l.inRuns(t, "clean", "demo"); r.code != exitOK {
		t.Errorf("clean: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	l.routers[0].Type("debug platform condition interface GigabitEthernet1 ipv4 192.168.2.1/32 both")
	if r := l.inRuns(t, "check", "demo", "--packet-trace", "16"); r.code != exitFailed ||
		!strings.Contains(r.stdout, "somebody has set platform conditions already") || strings.Contains(r.stdout, ours) {
		t.Errorf("another's: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// What the routers debugged in another run, of which the log has the lines still, is no part of
// this one's: the simulated routers send the same packets in each. The log itself is kept whole.
func TestADebugCountsInItsOwnRun(t *testing.T) {
	l := newTestLab(t, "healthy")
	for n := range 3 {
		r := l.inRuns(t, "run", "demo", "--debug", "--until", "packets=4", "-f", "json")
		var d report.Report
		if err := json.Unmarshal([]byte(r.stdout), &d); err != nil || r.code != exitOK {
			t.Fatalf("exit %d, %v\n%s", r.code, err, r.stderr)
		}
		agree := 0
		for _, f := range d.Findings {
			if f.Code == "debug-agrees" && f.Fields["matched"] == 4.0 {
				agree++
			}
		}
		if agree != 2 {
			t.Errorf("run %d: %d sides agree with the debug of 4 packets, want 2\n%s", n, agree, r.stdout)
		}
		b, err := bundle.Open(d.Run.Bundle)
		if err != nil {
			t.Fatal(err)
		}
		shows, err := b.Show(bundle.A)
		if err := errors.Join(err, b.Close()); err != nil {
			t.Fatal(err)
		}
		log := shows["show-log"]
		if packets, points := strings.Count(log, "IKEv2:(SESSION"), strings.Count(log, "%BUFCAP-6-ENABLE: "); packets !=
			4*(n+1) || points != n+1 {
			t.Errorf("run %d: the log that is kept has %d packets and %d capture points", n, packets, points)
		}
	}
}
