//go:build unix

package fleet

import (
	"testing"
	"time"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/capture/bundle"
)

// askArmed is a request for the run of an armed tunnel.
func askArmed(t *testing.T, n, again int, on ...string) Request {
	t.Helper()
	q := ask(t, n, "a", "b")
	s := capture.Settings{Circular: true, Armed: &capture.Arming{On: on, For: time.Hour}}
	s.Duration = s.Armed.Duration()
	p, err := capture.NewPlan("t", q.Plan.A.Endpoint, q.Plan.B.Endpoint, s, runID(n))
	if err != nil {
		t.Fatal(err)
	}
	q.Plan, q.Cause, q.Attempts = p, ArmedCause(time.Now().Add(time.Hour), again), 1
	return q
}

// takeArmed claims a run, and has a worker hold it as it does while it captures.
func takeArmed(t *testing.T, v *service, id string) *held {
	t.Helper()
	all, err := v.s.runs(t.Context(), v.s.db, "WHERE id = ?", id)
	if err != nil || len(all) != 1 {
		t.Fatal(err, len(all))
	}
	r, ok, err := v.claim(t.Context(), id, int64(all[0].job))
	if err != nil || !ok {
		t.Fatalf("%s is not to be had: %v", id, err)
	}
	h := &held{Run: r, armed: &armed{stop: make(chan struct{}), events: make(chan bundle.Catch, 8),
		seen: map[string]bool{}}}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.held == nil {
		v.held = map[string]*held{}
	}
	v.held[id] = h
	return h
}

// What an armed run waits for is told to it once; what it does not wait for starts a run as ever.
// An urgent run that waits for its routers has it make room, and it is armed again behind that one.
func TestAnArmedTunnelInTheDatabase(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		s, ctx := openStore(t, url), t.Context()
		v := idle(t, s, WorkerOptions{Workers: 8})
		submit(t, s, askArmed(t, 0, 2, "lost", "sa-down"))
		if all, err := s.ArmedRuns(ctx, "t"); err != nil || len(all) != 1 || all[0].ID != runID(0) {
			t.Fatalf("%v, %v", all, err)
		}
		e := EventStart{Key: "1", Tunnel: "t", Peer: "site-b", Kind: "sa-down", Source: "syslog", Text: "a line"}
		if _, ok, err := s.TellArmed(ctx, e); ok || err != nil {
			t.Errorf("told to one that does not capture: %v", err)
		}
		h := takeArmed(t, v, runID(0))
		if run, ok, err := s.TellArmed(ctx, e); !ok || err != nil || run != runID(0) {
			t.Errorf("told %q, %t, %v", run, ok, err)
		}
		other := e
		other.Key, other.Kind = "2", "line-down"
		if run, ok, err := s.TellArmed(ctx, other); ok || err != nil || run != "" {
			t.Errorf("told %q what it does not wait for: %v", run, err)
		}
		for range 2 {
			if err := v.tellEvents(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(h.armed.events); n != 1 {
			t.Fatalf("it was handed %d events", n)
		}
		if c := <-h.armed.events; c.Kind != "sa-down" || c.Side != bundle.B || c.Text != "site-b: a line" {
			t.Errorf("%+v", c)
		}

		if err := v.preempt(ctx); err != nil || h.armed.why != "" {
			t.Errorf("it makes room for nobody: %q, %v", h.armed.why, err)
		}
		urgent := ask(t, 1, "b", "c")
		urgent.Priority = Urgent
		submit(t, s, urgent)
		if err := v.preempt(ctx); err != nil {
			t.Fatal(err)
		}
		select {
		case <-h.armed.stop:
		default:
			t.Error("an urgent run waits")
		}
		h.armed.ended = capture.EndStopped
		if err := v.settleOnce(ctx, h,
			ending{state: Done, clean: true, report: &Report{Outcome: "established", JSON: []byte("{}")}}); err != nil {
			t.Fatal(err)
		}
		all, err := s.ArmedRuns(ctx, "t")
		if err != nil || len(all) != 1 || all[0].RetryOf != runID(0) {
			t.Fatalf("%+v, %v", all, err)
		}
		if _, again, ok := all[0].Armed(); !ok || again != 2 {
			t.Errorf("armed %d more times", again)
		}
		if after, err := s.Cancel(ctx, "me", all[0].ID); err != nil || len(after) != 1 || !after[0].State.Over() {
			t.Errorf("%+v, %v", after, err)
		}
		if all, err := s.ArmedRuns(ctx, ""); err != nil || len(all) != 0 {
			t.Errorf("%v, %v", all, err)
		}
	})
}
