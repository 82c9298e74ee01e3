package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/iosxe"
)

// TestAnOlderJournalMakesNobodyContent gives each step that goes on with a run the journal as it
// was after any earlier line: of a copy that was taken too soon, or of a disk that lost its last
// blocks. What it does not speak of is on the routers.
func TestAnOlderJournalMakesNobodyContent(t *testing.T) {
	steps := map[string]func(*testing.T, *bundle.Bundle, *lab) error{
		"collect": func(t *testing.T, b *bundle.Bundle, l *lab) error {
			_, err := Collect(t.Context(), b, l.hosts(), l.opts)
			return err
		},
		"clean": func(t *testing.T, b *bundle.Bundle, l *lab) error {
			_, err := Clean(t.Context(), b, l.hosts(), l.opts)
			return err
		},
	}
	for name, step := range steps {
		for _, s := range []Settings{{}, {ZeroConfig: true}} {
			t.Run(fmt.Sprintf("%s/zero-config=%v", name, s.ZeroConfig), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l, before := started(t, s)
					whole := journalOf(t, l.bundle)
					a, b := l.a, l.b
					for at := 0; at >= 0; at = nextLine(whole, at) {
						again := l.copyOf(t, whole[:at])
						l.a, l.b = a.clone(), b.clone()
						content(t, fmt.Sprintf("%d bytes", at), before, l, again, step(t, again, l))
					}
				})
			})
		}
	}
}

// nextLine is where the line behind at ends; -1: there is none.
func nextLine(data []byte, at int) int {
	i := bytes.IndexByte(data[at:], '\n')
	if i < 0 {
		return -1
	}
	return at + i + 1
}

// content holds err, and what run.json says, against what is on the routers.
func content(t *testing.T, what, before string, l *lab, b *bundle.Bundle, err error) {
	t.Helper()
	var dirty *DirtyError
	run, readErr := b.Run()
	if readErr != nil {
		t.Fatal(readErr)
	}
	diff := cmp.Diff(before, l.state())
	if said := !errors.As(err, &dirty); diff != "" && (said || run.Clean) {
		t.Errorf("%s: %v, clean %v, and the routers are not as they were: %s", what, err, run.Clean, diff)
	}
}

// TestAChosenNameIsLookedAtBeforeItIsRemoved has another hand put its own in the place of what a
// run made, while the run goes on in one session.
func TestAChosenNameIsLookedAtBeforeItIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, Settings{Name: "cap"})
		own := []string{"permit tcp host 10.9.9.9 any"}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		l.opts.Events = func(e Event) {
			if e.Phase == PhaseWait && e.Kind == Began {
				l.a.acls["cap"] = own
				l.a.captures["cap"].iface = "GigabitEthernet7"
				cancel()
			}
		}
		_, err := Run(ctx, l.plan, l.hosts(), l.bundle, l.opts)
		var dirty *DirtyError
		if !errors.As(err, &dirty) ||
			slices.ContainsFunc(dirty.Left, func(l Leftover) bool { return l.Reason != ReasonForeign }) {
			t.Errorf("%v", err)
		}
		if diff := cmp.Diff(own, l.a.acls["cap"]); diff != "" || l.a.captures["cap"] == nil {
			t.Errorf("another hand's is gone: %s", l.a.state())
		}
	})
}

// A capture point of another hand, under the name that was chosen for the run's, is neither stopped
// nor exported.
func TestAChosenNameIsLookedAtBeforeItIsStopped(t *testing.T) {
	for _, later := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, Settings{Name: "cap"})
			steal := func() {
				c := l.a.captures["cap"]
				c.iface, c.active, c.until = "GigabitEthernet7", true, time.Now().Add(time.Hour)
				l.a.calls = nil
			}
			l.opts.Events = func(e Event) {
				if e.Phase == PhaseWait && e.Kind == Ended {
					steal()
				}
			}
			var err error
			if later {
				if _, err = Start(t.Context(), l.plan, l.hosts(), l.bundle, l.opts); err != nil {
					t.Fatal(err)
				}
				steal()
				l.opts.Name = "cap"
				_, err = Stop(t.Context(), l.bundle, l.hosts(), l.opts)
			} else {
				_, err = Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
			}
			dirty, ok := errors.AsType[*DirtyError](err)
			if !ok || !errors.Is(err, errForeign) {
				t.Errorf("later %t: %v", later, err)
			}
			if ok && !later &&
				!slices.ContainsFunc(dirty.Left, func(l Leftover) bool { return l.Side == A && l.Reason == ReasonForeign }) {
				t.Errorf("%v", err)
			}
			for _, call := range l.a.calls {
				if slices.Contains([]string{"stop-capture", "export-capture", "remove-capture"}, call) {
					t.Errorf("later %t: it was typed: %s", later, call)
				}
			}
			if c := l.a.captures["cap"]; c == nil || !c.active {
				t.Errorf("later %t: another hand's capture does not run any more: %s", later, l.a.state())
			}
		})
	}
}

// TestAnothersCaptureAtTheControlPlaneIsNotRead: what bears the chosen name by then is neither
// stopped, nor taken for what the run captured, nor removed.
func TestAnothersCaptureAtTheControlPlaneIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, Settings{Name: "cap", ControlPlane: true})
		l.opts.Events = func(e Event) {
			if e.Phase == PhaseWait && e.Kind == Ended {
				c := l.a.captures["capp"]
				c.iface, c.active, c.until = "GigabitEthernet7", true, time.Now().Add(time.Hour)
				l.a.calls = nil
			}
		}
		result, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
		if _, ok := errors.AsType[*DirtyError](err); !ok || result.Run.A.Source != bundle.SourceSCP {
			t.Errorf("%v, source %q", err, result.Run.A.Source)
		}
		if slices.Contains(l.a.calls, "show-capture-dump") {
			t.Error("it was read")
		}
		if c := l.a.captures["capp"]; c == nil || !c.active {
			t.Errorf("another hand's capture does not run any more: %s", l.a.state())
		}
		if notes := strings.Join(result.Notes, "\n"); !strings.Contains(notes, "another hand's by now") {
			t.Errorf("not noted: %q", notes)
		}
	})
}

// TestCheckHoldsForTheRouterThatItMet loses the answer that says who the router is. Who says it in
// the end is another one, on which the run's name is taken.
func TestCheckHoldsForTheRouterThatItMet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, Settings{Name: "cap"})
		own := []string{"permit tcp host 10.9.9.9 any"}
		asked := 0
		l.a.fault = func(_ int, cmd iosxe.Command) *fault {
			if cmd.Name != "show-version" {
				return nil
			}
			if asked++; asked == 1 {
				return &fault{before: lostError{}}
			}
			l.a.acls["cap"] = own
			return nil
		}
		_, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
		if phase, ok := errors.AsType[*PhaseError](err); !ok || phase.Phase != PhaseCheck {
			t.Errorf("%v", err)
		}
		if diff := cmp.Diff(own, l.a.acls["cap"]); diff != "" {
			t.Errorf("another router's list is not as it was: %s", diff)
		}
	})
}
