package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/capture/fleet"
	"github.com/moncap/moncap/device/inventory"
)

// The pace at which a run that is not the fleet's asks it for routers.
const (
	placesLimit = 5 * time.Second // for an answer of the database, without which the run goes on
	placesPoll  = time.Second
)

// inFleet says that runs of the fleet have a router.
type inFleet struct {
	peer string
	runs []string
}

func (e *inFleet) Error() string {
	return fmt.Sprintf("%s: the fleet has it, for %s", e.peer, strings.Join(e.runs, ", "))
}

// Hint says how to wait for it.
func (e *inFleet) Hint() string {
	return "moncap jobs shows those of workers; the places of a run of another process that was killed are free again " +
		"within minutes; wait with --wait-for-router 10m, or let the router bear more with limits.runs of the peer"
}

func (e *inFleet) Unwrap() error { return bundle.ErrLocked }

// takePlaces takes the places of a run at both of its routers that the fleet counts, where there is
// a database: no worker captures there meanwhile, on whichever machine. It waits for as long as
// patience says. A database that does not answer is told of, and changes nothing of the run.
func (a *app) takePlaces(ctx context.Context, t *inventory.Tunnel, run, name string,
	patience time.Duration) (release func(), err error) {
	none := func() {}
	store, err := a.placesStore(ctx)
	if err != nil {
		a.warn("the fleet is not told that this run has its routers: %s", sentence(err))
	}
	if store == nil {
		return none, nil
	}
	left := func() {
		if err := store.Close(); err != nil {
			a.logger().Debug("database", "error", err.Error())
		}
	}
	first, second := slotsOf(t, name)
	for until := time.Now().Add(patience); ; {
		asking, cancel := context.WithTimeoutCause(ctx, placesLimit, fmt.Errorf("no answer in %s", placesLimit))
		giveBack, err := store.Occupy(asking, run, first, second)
		cancel()
		busy, isBusy := errors.AsType[*fleet.BusyError](err)
		switch {
		case err == nil:
			return func() { giveBack(); left() }, nil
		case !isBusy:
			left()
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			a.warn("the fleet is not told that this run has its routers: %s", sentence(oneLine{err}))
			return none, nil
		case time.Now().After(until):
			left()
			peer := t.A
			if busy.Router == t.B.Address() {
				peer = t.B
			}
			return nil, &exitError{exitFailed, &inFleet{peer.Name, busy.Runs}}
		}
		select {
		case <-ctx.Done():
			left()
			return nil, context.Cause(ctx)
		case <-time.After(placesPoll):
		}
	}
}

// placesStore opens the database that there is; nil: there is none.
func (a *app) placesStore(ctx context.Context) (*fleet.Store, error) {
	if a.database == nil {
		return nil, nil
	}
	settings, err := a.database.settings(a)
	if err != nil {
		return nil, err
	}
	o, err := a.storeOptions(ctx, settings)
	if err != nil || !fleet.Exists(o) {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, placesLimit, fmt.Errorf("no answer in %s", placesLimit))
	defer cancel()
	store, err := fleet.Open(ctx, o)
	if err != nil {
		return nil, storeError(err)
	}
	return store, nil
}
