package fleet

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/capture/bundle"
)

// An armed run holds its routers for days. It is a run as any: when it ends, for whatever
// reason but its own, the next one takes its place until the time is over that the tunnel
// is to be armed for.

// armedCause begins the cause of each run of an armed tunnel.
const armedCause = "armed until "

// ArmedCause is the cause of the runs of a tunnel that is armed until a moment, and so often again
// after an event.
func ArmedCause(until time.Time, again int) string {
	return fmt.Sprintf("%s%s, %d more", armedCause, until.UTC().Format(time.RFC3339), again)
}

// Armed says whether the run is one of an armed tunnel, until when that is, and how often it is
// armed again.
func (r Run) Armed() (until time.Time, again int, ok bool) {
	when, ok := strings.CutPrefix(r.Cause, armedCause)
	if !ok {
		return until, 0, false
	}
	moment, more, _ := strings.Cut(when, ", ")
	until, err := time.Parse(time.RFC3339, moment)
	if _, scanErr := fmt.Sscanf(more, "%d more", &again); err != nil || scanErr != nil {
		return until, 0, false
	}
	return until, again, true
}

// ArmedRuns lists the runs of armed tunnels that are not over: of one tunnel, or of all.
func (s *Store) ArmedRuns(ctx context.Context, tunnel string) ([]Run, error) {
	all, err := s.runs(ctx, s.db,
		"WHERE state IN "+openStates+" AND substr(cause, 1, ?) = ? AND (tunnel = ? OR ? = '') ORDER BY created",
		len(armedCause), armedCause, tunnel, tunnel)
	return all, s.fail(err)
}

// armed is what a worker has of an armed run beside the others.
type armed struct {
	stop   chan struct{}
	events chan bundle.Catch
	seen   map[string]bool // events that were told to it; only the worker's watch has it
	once   sync.Once
	ended  capture.Ending
	why    string // it was ended from here: it is to be armed again
}

// enough has the captures of an armed run end, and be fetched.
func (a *armed) enough(why string) {
	a.once.Do(func() {
		a.why = why
		close(a.stop)
	})
}

// reason is why it was ended from here; empty: it was not.
func (a *armed) reason() string {
	a.once.Do(func() {}) // nobody writes it any more
	return a.why
}

// arm makes the options of an armed run: it also ends when the worker does.
func (v *service) arm(h *held, o *capture.Options) (release func()) {
	a := &armed{stop: make(chan struct{}), events: make(chan bundle.Catch, 8), seen: map[string]bool{}}
	over := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-v.ending:
			a.enough("its worker ended")
		case <-over:
		}
	})
	v.mu.Lock()
	h.armed = a
	v.mu.Unlock()
	o.Stop, o.Arm = a.stop, &capture.Arm{Events: a.events}
	return func() { close(over); wg.Wait() }
}

func (v *service) armedRuns() map[*held]*armed {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := map[*held]*armed{}
	for _, h := range v.held {
		if h.armed != nil {
			all[h] = h.armed
		}
	}
	return all
}

// toldArmed is the outcome of an event that an armed run was told, instead of starting another.
const toldArmed = "told"

// TellArmed tells an event to the armed run of its tunnel that captures and waits for such,
// wherever that is. ok is false when there is none: one that waits for others alone would go on,
// and nobody have the packets.
func (s *Store) TellArmed(ctx context.Context, e EventStart) (run string, ok bool, err error) {
	err = s.locked(ctx, func(tx *sql.Tx) error {
		run = ""
		all, err := s.runs(ctx, tx,
			"WHERE state = 'running' AND tunnel = ? AND substr(cause, 1, ?) = ? ORDER BY created LIMIT 1", e.Tunnel,
			len(armedCause), armedCause)
		if err != nil || len(all) == 0 {
			return err
		}
		p, _, err := s.planIn(ctx, tx, all[0].ID)
		if err != nil || p.Settings.Armed == nil || !slices.Contains(p.Settings.Armed.On, e.Kind) {
			return err
		}
		run = all[0].ID
		return s.putEvent(ctx, tx, e, toldArmed, "run "+run+" is armed", run)
	})
	return run, err == nil && run != "", err
}

// tellEvents hands the armed runs of this worker the events that were told to them.
func (v *service) tellEvents(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, v.s.lease/3)
	defer cancel()
	for h, a := range v.armedRuns() {
		if err := v.s.query(ctx, v.s.db, func(scan func(...any) error) error {
			var id, peer, kind, text string
			if err := scan(&id, &peer, &kind, &text); err != nil || a.seen[id] {
				return err
			}
			a.seen[id] = true
			c := bundle.Catch{At: time.Now(), Kind: kind, Text: strings.TrimPrefix(peer+": "+text, ": ")}
			for i, side := range bundle.Sides() {
				if h.Peers[i] == peer {
					c.Side = side
				}
			}
			select {
			case a.events <- c:
			default: // it has enough to do with those
			}
			return nil
		}, "SELECT id, peer, kind, text FROM moncap_event WHERE tunnel = ? AND run = ? AND outcome = ? ORDER BY at DESC, "+
			"id DESC LIMIT 100", h.Tunnel, h.ID, toldArmed); err != nil {
			return err
		}
	}
	return nil
}

// preempt has armed runs make room for urgent ones that wait for their routers: they are collected,
// and armed again when there is room.
func (v *service) preempt(ctx context.Context) error {
	mine := v.armedRuns()
	if len(mine) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, v.s.lease/3)
	defer cancel()
	urgent, err := v.s.runs(ctx, v.s.db,
		"WHERE state = 'waiting' AND priority = 0 AND approval <> 'wanted' AND not_before <= {now} LIMIT 100")
	if err != nil || len(urgent) == 0 {
		return err
	}
	taken := map[string]int{}
	if err := v.s.query(ctx, v.s.db, func(scan func(...any) error) error {
		var router string
		var n int
		err := scan(&router, &n)
		taken[router] = n
		return err
	}, "SELECT router, count(*) FROM moncap_slot GROUP BY router"); err != nil {
		return err
	}
	for _, r := range urgent {
		for i, router := range r.Routers {
			if taken[router] < max(r.runs[i], 1) {
				continue
			}
			for h, a := range mine {
				if h.Routers[0] == router || h.Routers[1] == router {
					a.enough("run " + r.ID + " is urgent")
				}
			}
		}
	}
	return nil
}

// When an armed run is followed by another.
const (
	armAgainSoon  = 10 * time.Second
	armAgainLater = 10 * time.Minute
)

// armAgain is when the next run of an armed tunnel begins, and how often it is armed after that; ok
// is false when there is none.
func (v *service) armAgain(h *held, e ending) (in time.Duration, again int, ok bool) {
	until, again, armed := h.Armed()
	if !armed || !e.clean || e.final || time.Until(until) < time.Minute {
		return 0, 0, false
	}
	ended, why := capture.Ending(""), ""
	if h.armed != nil {
		ended, why = h.armed.ended, h.armed.reason()
	}
	switch {
	case ended == capture.EndEvent:
		return 0, again - 1, again > 0
	case ended == capture.EndStopped:
		return 0, again, why != ""
	case ended == capture.EndOver:
		return 0, 0, false
	case ended == capture.EndBusy:
		return armAgainLater, again, true
	case ended != "", e.state == Collected, e.state == Interrupted: // its captures, or its worker, were lost
		return armAgainSoon, again, true
	}
	return armAgainLater, again, h.RetryOf != "" // one that could be armed before
}

// followArmed asks for the next run of an armed tunnel.
func (v *service) followArmed(ctx context.Context, tx *sql.Tx, h *held, e ending) error {
	in, again, ok := v.armAgain(h, e)
	if !ok {
		return nil
	}
	until, _, _ := h.Armed()
	old, _, err := v.s.planIn(ctx, tx, h.ID)
	if err != nil || old.Settings.Armed == nil {
		return err
	}
	s := old.Settings
	arming := *s.Armed
	arming.For = time.Until(until).Truncate(time.Second)
	s.Armed, s.Duration = &arming, arming.Duration()
	id := time.Now().UTC().Format("20060102-150405") + "-" + random(3)
	p, err := capture.NewPlan(old.Tunnel, old.A.Endpoint, old.B.Endpoint, s, id)
	if err != nil {
		return err
	}
	q := Request{Plan: p, Site: h.Site, A: Slot{h.Routers[0], h.runs[0]}, B: Slot{h.Routers[1], h.runs[1]},
		Priority: h.Priority, Attempts: h.Attempts,
		Reason: h.Reason, Change: h.Change, Cause: ArmedCause(until, again), By: h.By, NotBefore: time.Now().Add(in)}
	if err := v.s.insertRuns(ctx, tx, []Request{q}); err != nil {
		return err
	}
	_, err = v.s.exec(ctx, tx, "UPDATE moncap_run SET retry_of = ?, approval = ? WHERE id = ?", h.ID, h.Approval, id)
	return err
}

// quiet is what an armed run came to that ended without an event: nothing was fetched, and nothing
// is wrong.
func quiet(ended capture.Ending) error {
	switch ended {
	case capture.EndOver:
		return errors.New("armed, and no event came in time")
	case capture.EndBusy:
		return errors.New("disarmed: a router had too much to do")
	case capture.EndGone:
		return errors.New("disarmed: a router lost its capture")
	}
	return errors.New("disarmed: a router ended its capture by itself")
}
