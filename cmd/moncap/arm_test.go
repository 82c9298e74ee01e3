//go:build unix

package main

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/capture/fleet"
	"github.com/moncap/moncap/device/simulator"
)

// armedJob is the run of an armed tunnel that captures on both routers; nil: there is none.
func (l *fleetLab) armedJob(t *testing.T) *jsonJob {
	t.Helper()
	for _, j := range l.jobs(t) {
		if j.State == string(fleet.Running) && strings.HasPrefix(j.Cause, "armed until ") && active(l.routers[0]) > 0 &&
			active(l.routers[1]) > 0 {
			return &j
		}
	}
	return nil
}

var captureStarts = regexp.MustCompile(`^monitor capture \S+ start`)

// lookedAt says whether whoever captures at a router has looked at its SAs, and gone on.
func lookedAt(r *simulator.Router) bool {
	typed := r.Commands()
	for i := len(typed) - 1; i >= 0 && !captureStarts.MatchString(typed[i]); i-- {
		if strings.HasPrefix(typed[i], "show crypto ikev2 sa") && i < len(typed)-1 {
			return true
		}
	}
	return false
}

// A tunnel is armed by a worker; an urgent run has it make room, and it is armed again behind it;
// an event is caught, and it is armed again; a worker that dies is followed by another; and
// disarming leaves the routers as they were.
func TestArm(t *testing.T) {
	t.Parallel()
	l := newFleetLab(t)
	w := l.serve(t)
	l.must(t, "arm", "demo", "--after", "1s", "--again", "2", "--reason", "drops at night")
	var now *jsonJob
	// armedAfter waits until a run is over as it should be, and another one captures.
	armedAfter := func(what, run string, state fleet.State) {
		t.Helper()
		eventually(t, what, func() bool {
			now = l.armedJob(t)
			return now != nil && now.ID != run && (run == "" || l.stateOfRun(t, run) == string(state))
		})
	}
	armedAfter("it is armed", "", "")
	first := now.ID
	if r := l.run(t, "arm", "demo"); r.code != exitUsage || !strings.Contains(r.stderr, "armed already") {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}

	urgent := l.submitted(t, "demo", "--priority", "urgent", "--duration", "1s")[0]
	eventually(t, "the urgent run is done", func() bool { return l.stateOfRun(t, urgent) == string(fleet.Done) })
	armedAfter("one made room, and the tunnel is armed again", first, fleet.Done)

	second := now.ID
	for _, r := range l.routers { // an SA that is lost before it was seen is no event
		eventually(t, "the tunnel was seen up", func() bool { return lookedAt(r) })
	}
	for _, r := range l.routers {
		r.LoseSAs()
	}
	armedAfter("the event is caught, and the tunnel armed again", second, fleet.Done)
	third := now
	if third.RetryOf != second || !strings.HasSuffix(third.Cause, ", 1 more") {
		t.Errorf("it is of %s, %s", third.RetryOf, third.Cause)
	}

	// What serve hears of is told to the run that captures, and starts no other.
	store, err := fleet.Open(t.Context(), fleet.Options{URL: "sqlite:" + filepath.Join(l.state, "moncap", "moncap.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	told := fleet.EventStart{Key: "1", Tunnel: "demo", Peer: "site-b", Kind: "invalid-spi", Source: "syslog",
		Text: "a line"}
	if run, ok, err := store.TellArmed(t.Context(), told); err != nil || !ok || run != third.ID {
		t.Fatalf("told %q, %t, %v", run, ok, err)
	}
	armedAfter("the told event is caught, and the tunnel armed again", third.ID, fleet.Done)
	for _, j := range l.history(t) {
		if j.ID == third.ID && (j.ExitCode == nil || *j.ExitCode != exitWarnings ||
			!strings.HasPrefix(j.Headline, "invalid-spi: site-b: a line. ")) {
			t.Errorf("%+v", j)
		}
	}
	last := now.ID

	// Whoever goes on finds in the books that there are packets.
	eventually(t, "it is written down that both capture", func() bool {
		entries, err := store.Journal(t.Context(), last)
		if err != nil {
			t.Fatal(err)
		}
		made := 0
		for _, e := range entries {
			if e.Kind == capture.KindActive && e.State == bundle.Made {
				made++
			}
		}
		return made == 2
	})
	if err := w.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	l.serve(t)
	armedAfter("another worker went on, and armed it again", last, fleet.Collected)

	l.must(t, "disarm", "demo")
	eventually(t, "the routers are as they were", func() bool { return len(l.jobs(t)) == 0 && len(l.dirty()) == 0 })
	if r := l.run(t, "disarm", "demo"); r.code != exitUsage {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
}

// stateOfRun is the state of one run.
func (l *fleetLab) stateOfRun(t *testing.T, id string) string {
	t.Helper()
	var runs []jsonJob
	if err := json.Unmarshal([]byte(l.must(t, "history", "-f", "json")), &runs); err != nil {
		t.Fatal(err)
	}
	for _, j := range runs {
		if j.ID == id {
			return j.State
		}
	}
	return ""
}
