//go:build unix

package fleet

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/capture/bundle"
)

// short is a capture that ends when its packets have come.
var short = capture.Settings{Duration: 10 * time.Second, Until: capture.Until{Kind: capture.UntilPackets, Packets: 2}}

// long is one that lasts until it is ended.
var long = capture.Settings{Duration: time.Hour}

func TestRunsAreCarriedOut(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		f, s := newField(t, 2), openStore(t, url)
		f.worker(t, url, calm)
		ids := submit(t, s, f.request(t, 0, 1, short), f.request(t, 2, 3, short), f.request(t, 0, 3, short))
		for _, r := range await(t, s, ids...) {
			if r.State != Done || r.Exit != 0 || !r.Clean || len(r.Findings) != 1 || r.Outcome != "established" {
				t.Errorf("%+v", r)
			}
			entries, err := s.Journal(t.Context(), r.ID)
			if err != nil || len(entries) != 24 {
				t.Errorf("%d journal rows, %v", len(entries), err)
			}
			dir := filepath.Join(t.TempDir(), "fetched")
			if err := s.FetchBundle(t.Context(), r.ID, dir); err != nil {
				t.Fatal(err)
			}
			b, err := bundle.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			if run, err := b.Run(); err != nil || !run.Clean || run.ID != r.ID {
				t.Errorf("%v, %+v", err, run)
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			if data, err := s.Report(t.Context(), r.ID); err != nil || string(data) != `{"outcome":"established"}` {
				t.Errorf("report %q, %v", data, err)
			}
		}
		f.check(t)
		settled(t, s)
	})
}

// phasesThatChange are those in which something of a run is on the routers.
var phasesThatChange = []capture.Phase{capture.PhaseACL, capture.PhaseStart, capture.PhaseWait, capture.PhaseExport,
	capture.PhaseClean}

func TestAKilledWorkersRunIsGoneOnWith(t *testing.T) {
	t.Parallel()
	for _, phase := range phasesThatChange {
		t.Run(string(phase), func(t *testing.T) {
			t.Parallel()
			eachDatabase(t, func(t *testing.T, url string) {
				f, s := newField(t, 1), openStore(t, url)
				var id string
				if phase == capture.PhaseWait {
					id = f.abandoned(t, s, url, calm)
				} else {
					goOn := func() {}
					if phase == capture.PhaseExport { // it may be over before the worker is killed
						_, goOn = f.watch[0].hold(exportLine)
					}
					defer goOn()
					dying := f.worker(t, url, func(c *workerConfig) {
						calm(c)
						c.Die, c.DieAfter, c.Signal = phase, 50*time.Millisecond, syscall.SIGKILL
					})
					id = submit(t, s, f.request(t, 0, 1, short))[0]
					dying.code(t)
					goOn()
				}
				lapse(t, s, id)
				f.worker(t, url, calm)
				r := await(t, s, id)[0]
				want := []State{Collected, Interrupted}
				switch phase {
				case capture.PhaseWait:
					want = want[:1]
				case capture.PhaseClean: // it may have been through before it died
					want = append(want, Done)
				}
				if !slices.Contains(want, r.State) || !r.Clean {
					t.Errorf("%+v", r)
				}
				f.check(t)
				settled(t, s)
			})
		})
	}
}

// A run whose worker ends before its playbook begins was interrupted, and says by
// what; it did not fail.
func TestARunThatIsCutOffBeforeItBeginsWasInterrupted(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		v := idle(t, openStore(t, url), WorkerOptions{})
		p := testPlan(t, "t", runID(1))
		b, err := bundle.Create(filepath.Join(t.TempDir(), "bundle"))
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("the worker ends")
		cancel(why)
		e := v.capture(ctx, &held{Run: Run{ID: p.RunID}}, p, b)
		if e.state != Interrupted || !errors.Is(e.err, why) || !e.clean || e.b != b {
			t.Errorf("%+v", e)
		}
	})
}
