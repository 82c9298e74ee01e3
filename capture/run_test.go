package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
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
func trace(t *testing.T, s Settings) []string {
	var calls []string
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, s)
		if _, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts); err != nil {
			t.Fatal(err)
		}
		calls = l.a.calls
	})
	return calls
}

// points picks the places at which the matrix strikes: every command, but of the observe phase's shows only two, and of
// the looks of the wait only the first.
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

func TestEveryCommandSurvivesEveryFault(t *testing.T) {
	settings := Settings{Debug: true, Trigger: "ping 192.168.2.1"}
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
		{"refused", fault{before: &iosxe.Refusal{Command: "it", Text: "% Authorization failed.", Kind: iosxe.Unauthorized}}, false},
		{"hangs", fault{hang: true}, false},
		{"dies", fault{dead: true}, false},
	}
	for _, at := range points(calls) {
		for _, kind := range kinds {
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
	settings := Settings{Debug: true, Trigger: "ping 192.168.2.1"}
	calls := trace(t, settings)
	for _, at := range points(calls) {
		for _, delay := range []time.Duration{0, latency / 2, latency} {
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
					cleaning := at >= slices.Index(calls, "delete-file")
					if !errors.Is(err, stop) && !cleaning {
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

func TestCleanFinishesAKilledRunAtEveryJournalPoint(t *testing.T) {
	settings := Settings{Debug: true}
	calls := trace(t, settings)
	for at := range calls {
		t.Run(fmt.Sprintf("%02d %s", at, calls[at]), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, settings)
				before := l.state()
				killed := false
				kill := func(n int, c iosxe.Command) *fault {
					if killed = killed || n == at; killed {
						return &fault{dead: true}
					}
					return nil
				}
				l.a.fault, l.b.fault = kill, kill
				_, _ = Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
				if err := l.bundle.Close(); err != nil {
					t.Fatal(err)
				}
				l.a.fault, l.b.fault, l.a.dead, l.b.dead = nil, nil, false, false
				again, err := bundle.Resume(l.bundle.Dir())
				if err != nil {
					t.Fatal(err)
				}
				defer again.Close()
				for range 2 { // the second finds nothing to do
					if _, err := Clean(t.Context(), again, l.hosts(), l.opts); err != nil {
						t.Error(err)
					}
				}
				if diff := cmp.Diff(before, l.state()); diff != "" {
					t.Error("routers changed:", diff)
				}
			})
		})
	}
}
