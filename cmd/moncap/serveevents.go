package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/moncap/moncap/capture/fleet"
	"github.com/moncap/moncap/device/inventory"
)

// alerts is what a worker has to do with events that come in and what is told of runs: beside its
// runs, and ended after them, so that what is told of the last one leaves as well.
type alerts struct {
	in    *intake
	hooks func(*http.ServeMux) // puts the hooks into a mux; nil: there are none
}

// openAlerts begins to listen.
func (a *app) openAlerts(ctx context.Context, store *fleet.Store, c *crew, s *inventory.Service) (*alerts, error) {
	in, err := a.newIntake(ctx, store, c.inventory, s)
	if err != nil {
		return nil, err
	}
	h, err := in.hooks(ctx)
	if err != nil {
		return nil, errors.Join(err, in.close())
	}
	all := &alerts{in: in}
	if h != nil {
		all.hooks = h.Register
	}
	return all, nil
}

// run takes events, and tells, until the function that it returns is called.
func (l *alerts) run(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t := &teller{app: l.in.app, store: l.in.store, inventory: l.in.inventory}
	var wg sync.WaitGroup
	wg.Go(func() { l.in.run(ctx) })
	wg.Go(func() { t.run(ctx) })
	if at := l.in.addresses(); len(at) > 0 {
		l.in.app.progress("listens for log lines at %s", strings.Join(at, ", "))
	}
	return func() {
		cancel()
		wg.Wait()
	}
}
