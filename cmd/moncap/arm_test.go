//go:build unix

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moncap/moncap/capture/fleet"
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

// A tunnel is armed by a worker; an urgent run has it make room, and it is armed again behind it;
// an event is caught, and it is armed again; a worker that dies is followed by another; and
// disarming leaves the routers as they were.
func TestArm(t *testing.T) {
	t.Parallel()
	l := newFleetLab(t)
	if err := os.WriteFile(filepath.Join(l.dir, "serve.yaml"), []byte("lease: 5s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := l.serve(t)
	l.must(t, "arm", "demo", "--after", "1s", "--again", "2", "--reason", "drops at night")
	eventually(t, "it is armed", func() bool { return l.armedJob(t) != nil })
	first := l.armedJob(t).ID
	if r := l.run(t, "arm", "demo"); r.code != exitUsage || !strings.Contains(r.stderr, "armed already") {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}

	urgent := l.submitted(t, "demo", "--priority", "urgent", "--duration", "1s")[0]
	eventually(t, "the urgent run is done, and the tunnel armed again", func() bool {
		j := l.armedJob(t)
		return l.stateOfRun(t, urgent) == string(fleet.Done) && j != nil && j.ID != first
	})
	if s := l.stateOfRun(t, first); s != string(fleet.Done) {
		t.Errorf("the run that made room is %s", s)
	}

	second := l.armedJob(t).ID
	for _, r := range l.routers {
		r.LoseSAs()
	}
	eventually(t, "the event is caught, and the tunnel armed again", func() bool {
		j := l.armedJob(t)
		return l.stateOfRun(t, second) == string(fleet.Done) && j != nil && j.ID != second
	})
	third := l.armedJob(t)
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
	eventually(t, "the told event is caught, and the tunnel armed again", func() bool {
		j := l.armedJob(t)
		return l.stateOfRun(t, third.ID) == string(fleet.Done) && j != nil && j.ID != third.ID
	})
	for _, j := range l.history(t) {
		if j.ID == third.ID && (j.ExitCode == nil || *j.ExitCode != exitWarnings ||
			!strings.HasPrefix(j.Headline, "invalid-spi: site-b: a line. ")) {
			t.Errorf("%+v", j)
		}
	}
	third = l.armedJob(t)

	if err := w.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	l.serve(t)
	eventually(t, "another worker went on, and armed it again", func() bool {
		j := l.armedJob(t)
		return l.stateOfRun(t, third.ID) == string(fleet.Collected) && j != nil && j.ID != third.ID
	})

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
