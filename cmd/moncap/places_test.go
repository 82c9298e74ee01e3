//go:build unix

package main

import (
	"encoding/json"
	"encoding/xml"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/capture/fleet"
	"github.com/moncap/moncap/device/inventory"
)

// opened is the lab's database, as another machine sees it.
func (l *fleetLab) opened(t *testing.T) *fleet.Store {
	t.Helper()
	s, err := fleet.Open(t.Context(), fleet.Options{URL: "sqlite:" + filepath.Join(l.state, "moncap", "moncap.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// A router is in as many runs as its limits.runs says over the whole fleet, a plain run's included.
func TestPlainRunTakesItsPlaces(t *testing.T) {
	t.Parallel()
	l := newFleetLab(t)
	l.must(t, "db", "init")
	s := l.opened(t)
	inv, err := inventory.Load(l.inventory)
	if err != nil {
		t.Fatal(err)
	}
	a, b := slotsOf(inv.Tunnels["demo"], "")
	release, err := s.Occupy(t.Context(), "another-run", b, fleet.Slot{Router: "elsewhere:22", Runs: 1})
	if err != nil {
		t.Fatal(err)
	}
	r := l.run(t, "run", "demo", "--until", "packets=4", "-f", "json")
	var doc struct {
		Verdict struct{ Reason string }
	}
	if err := json.Unmarshal([]byte(r.stdout), &doc); err != nil || r.code != exitFailed || doc.Verdict.Reason != "busy" ||
		!strings.Contains(r.stderr, "site-b: the fleet has it, for another-run") ||
		!strings.Contains(r.stderr, "--wait-for-router") {
		t.Errorf("exit %d, %v\n%s\n%s", r.code, err, r.stdout, r.stderr)
	}
	time.AfterFunc(time.Second, release)
	if r := l.run(t, "run", "demo", "--until", "packets=4", "--wait-for-router", "1m"); r.code != exitOK {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
	// It gave both back.
	if release, err = s.Occupy(t.Context(), "yet-another", a, b); err != nil {
		t.Fatal(err)
	}
	release()
}

// What a worker read last is what it is listed with.
func TestWorkerListFollowsTheInventory(t *testing.T) {
	t.Parallel()
	l := newFleetLab(t)
	l.serve(t)
	digest := func() string {
		var all []jsonWorker
		if err := json.Unmarshal([]byte(l.must(t, "worker", "list", "-f", "json")), &all); err != nil || len(all) != 1 {
			t.Fatalf("%v, %v", all, err)
		}
		return all[0].Inventory
	}
	before := digest()
	l.edit(t, "tunnels:\n", nightlyOf+"tunnels:\n")
	inv, err := inventory.Load(l.inventory)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the worker is listed with the new inventory", func() bool { return digest() == inv.Digest })
	if before == inv.Digest {
		t.Error("the inventory did not change")
	}
}

func TestATunnelThatNobodyKnows(t *testing.T) {
	l := newFleetLab(t)
	l.must(t, "db", "init")
	for _, command := range []string{"history", "runs"} {
		r := l.run(t, command, "dem")
		if r.code != exitUsage || !strings.Contains(r.stderr, "did you mean demo?") ||
			!strings.Contains(r.stderr, "there are ") {
			t.Errorf("%s: exit %d\n%s", command, r.code, r.stderr)
		}
		if r := l.run(t, command, "demo"); r.code != exitOK {
			t.Errorf("%s of one that has no run yet: exit %d\n%s", command, r.code, r.stderr)
		}
		if r := l.run(t, command, "dem", "-f", "nagios"); r.code != pluginUnknown || !strings.Contains(r.stdout, "UNKNOWN") {
			t.Errorf("%s for a monitoring system: exit %d\n%s", command, r.code, r.stdout)
		}
	}
}

func TestServeOnNoDatabase(t *testing.T) {
	l := newFleetLab(t)
	file := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(file, []byte(strings.Repeat("no database at all, and long enough to be none\n", 100)),
		0o600); err != nil {
		t.Fatal(err)
	}
	if r := l.run(t, "serve", "--db", "sqlite:"+file); r.code != exitUsage || !strings.Contains(r.stderr, "no database") {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
	if b, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(b), "no database at all") {
		t.Errorf("the file was changed: %v", err)
	}
}

// Programs that read stdout get a document in the form that they asked for, also when
// they asked wrongly.
func TestWrongUsageIsADocument(t *testing.T) {
	l := newFleetLab(t)
	for _, args := range [][]string{{"run", "nosuch"}, {"run", "demo", "--duration", "xx"}, {"run", "--nosuch-flag"},
		{"report", "nosuch"}, {"analyze", "/nowhere.pcap"}} {
		r := l.run(t, append(args, "-f", "json")...)
		var doc struct {
			Schema  string
			Verdict struct {
				Outcome, Reason string
				ExitCode        int `json:"exit_code"`
			}
		}
		if err := json.Unmarshal([]byte(r.stdout), &doc); err != nil || r.code != exitUsage ||
			doc.Schema != "moncap.report/v1" ||
			doc.Verdict.Outcome != "not-run" || doc.Verdict.Reason != "usage" || doc.Verdict.ExitCode != exitUsage {
			t.Errorf("%q: exit %d, %v\n%s", args, r.code, err, r.stdout)
		}
		r = l.run(t, append(args, "--format=junit")...)
		var suites struct{ XMLName xml.Name }
		if err := xml.Unmarshal([]byte(r.stdout), &suites); err != nil || r.code != exitUsage {
			t.Errorf("%q: exit %d, %v\n%s", args, r.code, err, r.stdout)
		}
		if r := l.run(t, args...); r.stdout != "" {
			t.Errorf("%q: people get it on stderr: %s", args, r.stdout)
		}
	}
	if r := l.run(t, "run", "nosuch", "-f", "nagios"); r.code != pluginUnknown ||
		!strings.HasPrefix(r.stdout, "MONCAP UNKNOWN - ") || strings.Count(r.stdout, "\n") != 1 {
		t.Errorf("exit %d\n%s", r.code, r.stdout)
	}
	r := l.run(t, "history", "--limit", "-1", "-f", "json")
	var answer struct {
		OK     bool
		Reason string
	}
	if err := json.Unmarshal([]byte(r.stdout), &answer); err != nil || r.code != exitUsage || answer.Reason != "usage" {
		t.Errorf("exit %d, %v\n%s", r.code, err, r.stdout)
	}
}

func TestSimulateOnATakenPort(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	if r := moncap(t, "simulate", "--dir", t.TempDir(), "--port-a", port, "--port-b", "0"); r.code != exitFailed ||
		!strings.Contains(r.stderr, "--port-a 0") {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
}
