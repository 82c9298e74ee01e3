package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/iosxe"
)

func TestRunFetchesBothCapturesAndLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, Settings{Trigger: "clear crypto session remote 192.168.2.1"})
		before := l.state()
		var phases []Phase
		l.opts.Events = func(e Event) {
			if e.Kind == Began && e.Side == "" {
				phases = append(phases, e.Phase)
			}
		}
		result, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, l.state()); diff != "" {
			t.Error("routers changed:", diff)
		}
		if diff := cmp.Diff(Phases(), phases); diff != "" {
			t.Error("phases:", diff)
		}
		pathA, pathB := l.bundle.Captures()
		for path, f := range map[string]*fakeRouter{pathA: l.a, pathB: l.b} {
			data, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(data, f.pcap()) {
				t.Errorf("%s: not the router's file (%v)", path, err)
			}
		}
		run := result.Run
		if !run.Clean || run.A.Source != bundle.SourceSCP || run.A.Packets != 2 || len(run.Notes) > 0 {
			t.Errorf("clean %v, source %s, packets %d, notes %q", run.Clean, run.A.Source, run.A.Packets, run.Notes)
		}
		if result.StartGap > latency {
			t.Errorf("start gap %s", result.StartGap)
		}
		if !slices.Contains(l.a.calls, "clear-crypto-session") || slices.Contains(l.b.calls, "clear-crypto-session") {
			t.Error("the trigger went to the wrong side")
		}
		saved, err := l.bundle.Run()
		if err != nil || len(saved.Phases) != len(Phases()) || saved.A.SHA256 == "" {
			t.Errorf("run.json: %v, %+v", err, saved)
		}
		shows, err := l.bundle.Show(bundle.A)
		if err != nil || !strings.Contains(shows["show-capture-brief"], "UDP") {
			t.Errorf("shows: %v, %d", err, len(shows))
		}
	})
}

// trace runs once without faults and returns the names of the commands of side A, in order.
func trace(t *testing.T, s Settings) []string { return traceOf(t, s, "16.12.06") }

func traceOf(t *testing.T, s Settings, software string) []string {
	var calls []string
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, s)
		l.a.software, l.b.software = software, software
		if _, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts); err != nil {
			t.Fatal(err)
		}
		calls = l.a.calls
	})
	return calls
}

// points picks the places at which the matrix strikes: every command, but of the observe phase's
// shows only two, and of the looks of the wait only the first.
func points(calls []string) []int {
	seen := map[string]int{}
	var at []int
	for i, name := range calls {
		seen[name]++
		switch {
		case strings.Contains(name, "ikev2-") && name != "show-ikev2-sa" && !strings.Contains(name, "debug"),
			strings.Contains(name, "ipsec"), strings.Contains(name, "isakmp"), strings.Contains(name, "crypto-map"),
			name == "show-capture-buffer" && seen[name] > 1, name == "show-capture" && seen[name] > 1:
			continue
		}
		at = append(at, i)
	}
	return at
}

// reads says whether a command changes nothing, so that before and after it are the same.
func reads(name string) bool {
	return strings.HasPrefix(name, "show-") || strings.HasPrefix(name, "dir") || name == "verify-md5"
}

// checkOutcome holds a run that met a fault to what the playbook promises.
func checkOutcome(t *testing.T, l *lab, before string, err error, mustWork bool) {
	t.Helper()
	var dirty *DirtyError
	var phase *PhaseError
	switch {
	case errors.As(err, &dirty):
		if len(dirty.Left) == 0 || len(dirty.Left[0].Remove) == 0 || !strings.Contains(dirty.Hint(), l.bundle.Dir()) {
			t.Errorf("dirty without saying what: %v", err)
		}
	case err != nil && !errors.As(err, &phase):
		t.Errorf("error without a phase: %v", err)
	case err != nil && mustWork:
		t.Errorf("not survived: %v", err)
	}
	if dirty != nil {
		l.a.dead, l.b.dead, l.a.fault, l.b.fault = false, false, nil, nil
		if _, err := Clean(context.Background(), l.bundle, l.hosts(), l.opts); err != nil {
			t.Errorf("clean: %v", err)
		}
	}
	if diff := cmp.Diff(before, l.state()); diff != "" {
		t.Errorf("routers changed (run: %v): %s", err, diff)
	}
	checkCaptures(t, l)
}

// checkCaptures finds capture files that look whole and are not.
func checkCaptures(t *testing.T, l *lab) {
	t.Helper()
	pathA, pathB := l.bundle.Captures()
	for path, f := range map[string]*fakeRouter{pathA: l.a, pathB: l.b} {
		if path == "" {
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil || len(data) != len(f.pcap()) {
			t.Errorf("%s: %d bytes, %v", path, len(data), err)
		}
	}
}

// matrix are the settings that every fault is tried with: together they send every command that the
// playbook has.
var matrix = map[string]Settings{
	"full":   {Debug: true, Trigger: "ping 192.168.2.1"},
	"narrow": {ZeroConfig: true, Until: Until{Kind: UntilEstablished}},
}

func TestEveryCommandSurvivesEveryFault(t *testing.T) {
	for name, settings := range matrix {
		t.Run(name, func(t *testing.T) { everyFault(t, settings) })
	}
}

func everyFault(t *testing.T, settings Settings) {
	calls := trace(t, settings)
	kinds := []struct {
		name     string
		fault    fault
		mustWork bool
	}{
		{"lost before", fault{before: lostError{}}, true},
		{"lost after", fault{after: lostError{}}, true},
		{"lost in the middle", fault{half: true, after: lostError{}}, true},
		{"odd answer", fault{after: errOdd}, true},
		{"refused", fault{before: &iosxe.Refusal{Command: "it", Text: "% Authorization failed.", Kind: iosxe.Unauthorized}},
			false},
		{"hangs", fault{hang: true}, false},
		{"dies", fault{dead: true}, false},
	}
	for _, at := range points(calls) {
		for _, kind := range kinds {
			if reads(calls[at]) && kind.fault.after != nil {
				continue
			}
			t.Run(fmt.Sprintf("%02d %s/%s", at, calls[at], kind.name), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					l := newLab(t, settings)
					before := l.state()
					l.a.fault = func(n int, c iosxe.Command) *fault {
						if n == at {
							return &kind.fault
						}
						return nil
					}
					_, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
					checkOutcome(t, l, before, err, kind.mustWork)
				})
			})
		}
	}
}

func TestEveryCommandCanBeInterrupted(t *testing.T) {
	for name, settings := range matrix {
		t.Run(name, func(t *testing.T) { everyInterruption(t, settings) })
	}
}

func everyInterruption(t *testing.T, settings Settings) {
	calls := trace(t, settings)
	firstUndo := slices.IndexFunc(calls, func(name string) bool {
		return name == "delete-file" ||
			name == "remove-capture"
	})
	for slices.Contains([]string{"dir-file", "show-version"}, calls[firstUndo-1]) { // the look before it
		firstUndo--
	}
	for _, at := range points(calls) {
		for _, delay := range []time.Duration{0, latency / 2, latency} {
			if reads(calls[at]) && delay != latency/2 {
				continue
			}
			t.Run(fmt.Sprintf("%02d %s/%s", at, calls[at], delay), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					l := newLab(t, settings)
					before := l.state()
					ctx, cancel := context.WithCancelCause(t.Context())
					defer cancel(nil)
					stop := errors.New("interrupted")
					l.a.fault = func(n int, c iosxe.Command) *fault {
						if n == at {
							time.AfterFunc(delay, func() { cancel(stop) })
						}
						return nil
					}
					_, err := Run(ctx, l.plan, l.hosts(), l.bundle, l.opts)
					// What comes with the last answer of the last phase may find everything done.
					done := at >= firstUndo || at == firstUndo-1 && delay == latency
					if !errors.Is(err, stop) && !done {
						t.Errorf("the run did not end with its cause: %v", err)
					}
					var dirty *DirtyError
					if errors.As(err, &dirty) {
						t.Errorf("dirty after an interruption: %v", err)
					}
					checkOutcome(t, l, before, err, false)
				})
			})
		}
	}
}

// snapshot copies what a killed process would have left of its bundle, as far as
// cleaning up needs it.
func snapshot(t *testing.T, from string) string {
	t.Helper()
	to := scratch(t)
	for _, name := range []string{"run.json", "journal.jsonl"} {
		data, err := os.ReadFile(filepath.Join(from, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), data, 0o600)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	}
	return to
}

// TestCleanFinishesAKilledRun kills the process at every command, before and after the router
// carried it out. What is on the disk at that moment has to be enough.
func TestCleanFinishesAKilledRun(t *testing.T) {
	settings := matrix["full"]
	calls := trace(t, settings)
	for _, at := range points(calls) {
		for _, done := range []bool{false, true} {
			if reads(calls[at]) && done {
				continue
			}
			t.Run(fmt.Sprintf("%02d %s/%v", at, calls[at], done), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { killAt(t, settings, at, done) })
			})
		}
	}
}

func killAt(t *testing.T, settings Settings, at int, done bool) {
	l := newLab(t, settings)
	before := l.state()
	var killed atomic.Bool
	var left string
	l.a.fault = func(n int, c iosxe.Command) *fault {
		switch {
		case n == at:
			killed.Store(true)
			left = snapshot(t, l.bundle.Dir())
			return &fault{dead: true, done: done}
		case killed.Load():
			return &fault{dead: true}
		}
		return nil
	}
	l.b.fault = func(int, iosxe.Command) *fault { return &fault{dead: killed.Load()} }
	_, _ = Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
	l.a.fault, l.b.fault, l.a.dead, l.b.dead = nil, nil, false, false
	again, err := bundle.Resume(left)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	for range 2 { // the second finds nothing to do
		if result, err := Clean(t.Context(), again, l.hosts(), l.opts); err != nil || !result.Run.Clean {
			t.Error(err)
		}
	}
	if diff := cmp.Diff(before, l.state()); diff != "" {
		t.Error("routers changed:", diff)
	}
}
