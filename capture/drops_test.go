package capture

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/iosxe"
)

func TestDropsAreCountedBeforeAndAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, Settings{})
		if _, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts); err != nil {
			t.Fatal(err)
		}
		shows, err := l.bundle.Show(A)
		if err != nil {
			t.Fatal(err)
		}
		for _, cmd := range l.plan.A.countShows() {
			for _, name := range []string{cmd.Name, iosxe.Before(cmd.Name)} {
				if _, ok := shows[name]; !ok {
					t.Errorf("%s is not in the bundle", name)
				}
			}
		}
	})
}

// TestNoCounterCostsTheCapture lets every show that counts fail in every way before the capture,
// the commonest of all being that the router has no such show: it is not asked again then.
func TestNoCounterCostsTheCapture(t *testing.T) {
	ea, eb := endpoints()
	p, err := NewPlan("hq", ea, eb, Settings{}, "20260102-abc123")
	if err != nil {
		t.Fatal(err)
	}
	for _, cmd := range p.A.countShows() {
		for name, f := range showFaults() {
			t.Run(cmd.Name+"/"+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					l := newLab(t, Settings{})
					before, asked := l.state(), 0
					var now atomic.Value
					l.opts.Events = func(e Event) { now.Store(e.Phase) }
					l.a.fault = func(_ int, c iosxe.Command) *fault {
						if c.Lines[0] != cmd.Lines[0] {
							return nil
						}
						asked++
						if now.Load() == PhaseCheck {
							return f
						}
						return nil
					}
					began := time.Now()
					result, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
					if err != nil || result.Run.A.Source != bundle.SourceSCP {
						t.Fatalf("%v, source %q", err, result.Run.A.Source)
					}
					if took := time.Since(began) - l.plan.Settings.Duration; took > countLimit+10*time.Second {
						t.Errorf("it took %s", took)
					}
					if noted := strings.Contains(strings.Join(result.Notes, "\n"),
						"dropped before the capture"); noted != (name != "refused") {
						t.Errorf("noted: %v; %q", noted, result.Notes)
					}
					if name == "refused" && asked != 1 {
						t.Errorf("asked %d times", asked)
					}
					if diff := cmp.Diff(before, l.state()); diff != "" {
						t.Error("routers changed:", diff)
					}
				})
			})
		}
	}
}
