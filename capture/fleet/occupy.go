package fleet

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"time"
)

// BusyError says that the runs of the fleet have a router.
type BusyError struct {
	Router string   // its address
	Runs   []string // that have it
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("%s: the fleet has it, for %s", e.Router, strings.Join(e.Runs, ", "))
}

// Occupy takes the places of a run that is no worker's at both of its routers, so that no worker
// captures there meanwhile. It is a *BusyError when there are none. release gives them back;
// whoever dies without that loses them a few leases later.
func (s *Store) Occupy(ctx context.Context, run string, a, b Slot) (release func(), err error) {
	if err := s.locked(ctx, func(tx *sql.Tx) error { return s.occupy(ctx, tx, run, a, b) }); err != nil {
		return nil, err
	}
	keeping, end := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { s.keepPlaces(keeping, run) })
	return func() {
		end()
		wg.Wait()
		giving, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if _, err := s.exec(giving, s.db, "DELETE FROM moncap_slot WHERE run = ? AND until > 0", run); err != nil {
			s.log.Info("the fleet gets routers back a little later", "run", run, "error", oneLine(err.Error()))
		}
	}, nil
}

// outsideLeases is for how many leases the places of a run that is no worker's are kept without a
// word of it.
const outsideLeases = 4

func (s *Store) occupy(ctx context.Context, tx *sql.Tx, run string, a, b Slot) error {
	h := &hall{taken: map[string][]int{}}
	if err := s.lookAtSlots(ctx, tx, h); err != nil {
		return err
	}
	if err := s.dropLapsed(ctx, tx, h); err != nil {
		return err
	}
	places := []Slot{a, b}
	if a.Router == b.Router {
		places = places[:1]
	}
	var slots []any
	until, err := s.now(ctx, tx)
	if err != nil {
		return err
	}
	until += outsideLeases * s.lease.Milliseconds()
	for _, p := range places {
		if len(h.taken[p.Router]) >= max(p.Runs, 1) {
			return s.busy(ctx, tx, p.Router)
		}
		slots = append(slots, p.Router, h.take(p.Router), run, until)
	}
	return s.insertMany(ctx, tx, "moncap_slot (router, slot, run, until)", 4, slots)
}

func (s *Store) busy(ctx context.Context, tx *sql.Tx, router string) error {
	e := &BusyError{Router: router}
	if err := s.query(ctx, tx, func(scan func(...any) error) error {
		var run string
		err := scan(&run)
		e.Runs = append(e.Runs, run)
		return err
	}, "SELECT run FROM moncap_slot WHERE router = ? ORDER BY slot", router); err != nil {
		return err
	}
	return e
}

// keepPlaces says that a run that is no worker's still has its routers.
func (s *Store) keepPlaces(ctx context.Context, run string) {
	t := time.NewTicker(s.lease)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		trying, cancel := context.WithTimeout(ctx, s.lease)
		_, _ = s.exec(trying, s.db, "UPDATE moncap_slot SET until = {now} + ? WHERE run = ? AND until > 0", // tried again
			outsideLeases*s.lease.Milliseconds(), run)
		cancel()
	}
}

// lookAtSlots finds which places are taken, and whether there are any whose run, which is no
// worker's, is silent.
func (s *Store) lookAtSlots(ctx context.Context, d doer, h *hall) error {
	return s.query(ctx, d, func(scan func(...any) error) error {
		var router string
		var slot int
		var lapsed bool
		if err := scan(&router, &slot, &lapsed); err != nil {
			return err
		}
		if h.lapsed = h.lapsed || lapsed; !lapsed {
			h.taken[router] = append(h.taken[router], slot)
		}
		return nil
	}, "SELECT router, slot, CASE WHEN until > 0 AND until <= {now} THEN 1 ELSE 0 END FROM moncap_slot")
}

// dropLapsed gives back what lookAtSlots found to be nobody's.
func (s *Store) dropLapsed(ctx context.Context, tx *sql.Tx, h *hall) error {
	if !h.lapsed {
		return nil
	}
	_, err := s.exec(ctx, tx, "DELETE FROM moncap_slot WHERE until > 0 AND until <= {now}")
	return err
}
