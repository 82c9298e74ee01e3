package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moncap/moncap/capture/event"
	"github.com/moncap/moncap/capture/fleet"
	"github.com/moncap/moncap/device/inventory"
)

// intake takes events, and has runs made of them: within the storm brakes, and as anybody may who
// asks for one. What an event says is at most which tunnel is meant.
type intake struct {
	app       *app
	store     *fleet.Store
	inventory func() *inventory.Inventory
	settings  *inventory.Service
	on        map[event.Kind]bool
	listeners []*event.Listener
	brake     event.Brake
	accepted  chan event.Event // that passed the brake

	mu     sync.Mutex
	book   *event.Book
	digest string    // of the inventory that the book is of
	since  time.Time // of the book
	told   map[string]bool
}

// The pace of an intake.
const (
	lookUpAgain  = 10 * time.Minute // after which the addresses of routers that have names are looked up anew
	lookUpLimit  = 5 * time.Second
	writeHeld    = 10 * time.Second // between two writings of how many events were held back
	maxTold      = 100              // complaints that are told once each
	waitsAtMost  = 64               // events that passed the brake and are not written yet
	heldElse     = time.Minute      // for which a tunnel's events are held back when one came to nothing
	heldDatabase = 5 * time.Second  // ... because the database did not answer
)

// newIntake begins to listen, so that what is wrong with that ends the program.
func (a *app) newIntake(ctx context.Context, store *fleet.Store, inv func() *inventory.Inventory,
	s *inventory.Service) (*intake, error) {
	in := &intake{
		app: a, store: store, inventory: inv, settings: s, on: map[event.Kind]bool{},
		accepted: make(chan event.Event, waitsAtMost),
		told:     map[string]bool{},
	}
	kinds := event.Trouble()
	if len(s.Events.On) > 0 {
		kinds = nil
		for _, name := range s.Events.On {
			k, err := event.ParseKind(name)
			if err != nil {
				return nil, usageError(fmt.Errorf("%s: events.on: %w", s.File, err))
			}
			kinds = append(kinds, k)
		}
	}
	for _, k := range kinds {
		in.on[k] = true
	}
	in.refresh(ctx)
	for _, at := range s.Syslog {
		if _, _, err := event.ParseListen(at); err != nil {
			return nil, errors.Join(usageError(err), in.close())
		}
		l, err := event.Listen(ctx, at)
		if err != nil {
			return nil, errors.Join(&exitError{exitFailed, err}, in.close())
		}
		in.listeners = append(in.listeners, l)
	}
	return in, nil
}

func (in *intake) close() error {
	var errs []error
	for _, l := range in.listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// addresses are where it listens for log lines.
func (in *intake) addresses() []string {
	var all []string
	for _, l := range in.listeners {
		all = append(all, l.Address())
	}
	return all
}

// run listens until ctx ends.
func (in *intake) run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, l := range in.listeners {
		wg.Go(func() {
			if err := l.Serve(ctx, in.known, in.line); err != nil {
				in.app.warn("log lines are not listened to any more at %s: %s", l.Address(), sentence(err))
			}
		})
	}
	wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case e := <-in.accepted:
				in.start(ctx, e)
			}
		}
	})
	pace := time.NewTicker(writeHeld)
	defer pace.Stop()
	for {
		select {
		case <-ctx.Done():
			in.writeHeld(context.WithoutCancel(ctx))
			return
		case <-pace.C:
			in.writeHeld(ctx)
			in.refresh(ctx)
		}
	}
}

// writeHeld writes how many events were held back.
func (in *intake) writeHeld(ctx context.Context) {
	held := in.brake.Held()
	if len(held) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, databaseLimit)
	defer cancel()
	if err := in.store.AddHeld(ctx, held); err != nil {
		in.once("held", "how many events were held back is not written: %s", sentence(err))
	}
}

// once warns of something, once.
func (in *intake) once(key, format string, args ...any) {
	in.mu.Lock()
	told := in.told[key] || len(in.told) >= maxTold // forged addresses are without number
	if !told {
		in.told[key] = true
	}
	in.mu.Unlock()
	if !told {
		in.app.warn(format, args...)
	}
}

func (in *intake) current() *event.Book {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.book
}

// refresh makes the book anew when the inventory is another one, or names may have other addresses.
func (in *intake) refresh(ctx context.Context) {
	inv := in.inventory()
	in.mu.Lock()
	fresh := in.book != nil && in.digest == inv.Digest && time.Since(in.since) < lookUpAgain
	in.mu.Unlock()
	if fresh {
		return
	}
	b := bookOf(inv, in.settings.Events.Relays, func(name string) []netip.Addr { return in.lookUp(ctx, name) })
	in.mu.Lock()
	in.book, in.digest, in.since = b, inv.Digest, time.Now()
	in.mu.Unlock()
}

func (in *intake) lookUp(ctx context.Context, name string) []netip.Addr {
	if len(in.settings.Syslog) == 0 { // nobody asks where lines come from
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookUpLimit)
	defer cancel()
	all, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		in.once("name "+name, "log lines of %s are not known by its address: %s", name, sentence(err))
	}
	return all
}

// bookOf is what events know of an inventory. lookUp returns the addresses of a name.
func bookOf(inv *inventory.Inventory, relays []netip.Addr, lookUp func(string) []netip.Addr) *event.Book {
	var routers []event.Router
	var mu sync.Mutex
	var wg sync.WaitGroup
	places := make(chan struct{}, 16)
	for _, name := range inv.PeerNames() {
		p := inv.Peers[name]
		r := event.Router{Name: name, Sources: slices.Clone(p.LogSources), Names: []string{p.Host}}
		if p.ExpectHostname != "" {
			r.Names = append(r.Names, p.ExpectHostname)
		}
		r.Sources = append(r.Sources, addressesOf(p.WAN)...)
		a, err := netip.ParseAddr(p.Host)
		if err == nil {
			r.Sources = append(r.Sources, a)
			routers = append(routers, r)
			continue
		}
		wg.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			r.Sources = append(r.Sources, lookUp(p.Host)...)
			mu.Lock()
			defer mu.Unlock()
			routers = append(routers, r)
		})
	}
	wg.Wait()
	slices.SortFunc(routers, func(a, b event.Router) int { return strings.Compare(a.Name, b.Name) })
	var tunnels []event.Tunnel
	for _, name := range inv.TunnelNames() {
		t := inv.Tunnels[name]
		tunnels = append(tunnels, event.Tunnel{Name: name, Ends: [2]event.End{
			{Peer: t.A.Name, Addresses: addressesOf(t.A.WAN), Interface: t.Interfaces[0]},
			{Peer: t.B.Name, Addresses: addressesOf(t.B.WAN), Interface: t.Interfaces[1]},
		}})
	}
	return event.NewBook(routers, tunnels, relays)
}

func addressesOf(w inventory.WAN) []netip.Addr {
	all := []netip.Addr{w.Address}
	if w.NATAddress.IsValid() {
		all = append(all, w.NATAddress)
	}
	return all
}

// known says whether an address is listened to.
func (in *intake) known(from netip.Addr) bool {
	if in.current().Known(from) {
		return true
	}
	in.once("stranger "+from.String(), "log lines from %s are not listened to: it is no peer's host, wan or log_sources, "+
		"and none of events.relays", from)
	return false
}

// line takes a log line. It is called for every one, and waits for nothing.
func (in *intake) line(from netip.Addr, line []byte) {
	e, err := in.current().Read(from, line, time.Now())
	if err != nil {
		if ambiguous, ok := errors.AsType[*event.AmbiguousError](err); ok {
			in.once("ambiguous "+strings.Join(ambiguous.Tunnels, " "), "a log line from %s starts nothing: %s", from,
				sentence(err))
		}
		return
	}
	if !in.on[e.Kind] {
		return
	}
	if ok, _ := in.brake.Take(e.Tunnel, time.Now()); !ok {
		return
	}
	select {
	case in.accepted <- e:
	default:
		in.brake.Return(e.Tunnel, time.Now().Add(heldDatabase))
	}
}

// take takes an event of a hook.
func (in *intake) take(ctx context.Context, e event.Event) event.Taken {
	t := event.Taken{Tunnel: e.Tunnel, Kind: e.Kind, Outcome: "ignored"}
	if !in.on[e.Kind] {
		t.Why = "events of this kind start nothing (events.on)"
		return t
	}
	if ok, why := in.brake.Take(e.Tunnel, time.Now()); !ok {
		t.Outcome, t.Why = "held", why
		return t
	}
	return in.start(ctx, e)
}

// start has a run made of an event that passed the brake, unless something holds that back which
// holds for all.
func (in *intake) start(ctx context.Context, e event.Event) event.Taken {
	ctx, cancel := context.WithTimeout(ctx, databaseLimit)
	defer cancel()
	taken := event.Taken{Tunnel: e.Tunnel, Kind: e.Kind, Outcome: "held"}
	run, held, until, err := in.submit(ctx, e)
	switch {
	case err != nil:
		in.brake.Return(e.Tunnel, time.Now().Add(heldDatabase))
		in.app.warn("%s: %s: no run: %s", e.Tunnel, e.Cause(), sentence(err))
		taken.Why = "the run could not be asked for"
	case held != "":
		in.brake.Return(e.Tunnel, until)
		in.app.progress("%s: %s: no run: %s", e.Tunnel, e.Cause(), held)
		taken.Why = held
	default:
		in.app.progress("%s  %s: asked for by %s", run, e.Tunnel, e.Cause())
		taken.Outcome, taken.Run = "started", run
	}
	return taken
}

func (in *intake) submit(ctx context.Context, e event.Event) (run, held string, until time.Time, err error) {
	inv, now := in.inventory(), time.Now()
	record := fleet.EventStart{Key: e.Key, Tunnel: e.Tunnel, Peer: e.Peer, Kind: string(e.Kind), Source: e.Source,
		Text: e.Text}
	t := inv.Tunnels[e.Tunnel]
	if t == nil {
		return "", "the inventory does not have the tunnel any more", now.Add(heldElse), nil
	}
	if until, name := darkness(inv, e.Tunnel, now); !until.IsZero() {
		held = "a blackout of schedule " + name + " lasts until " + until.UTC().Format(time.RFC3339)
		return "", held, until, in.store.PutEvent(ctx, record, held)
	}
	switch armed, ok, err := in.store.TellArmed(ctx, record); {
	case err != nil:
		return "", "", now, err
	case ok: // what it has captured already is worth more than what a run would from now on
		return "", "run " + armed + " is armed, and was told", now.Add(heldElse), nil
	}
	r, err := requestOf(t, &captureFlags{until: "decided"}, newRunID(now))
	if err != nil {
		return "", "", now, err
	}
	r.Cause, r.By, r.Reason, r.Priority, r.Attempts = e.Cause(), "event "+e.Source, e.Text, fleet.Normal, 1
	held, until, err = in.store.StartByEvent(ctx, r, record, fleet.EventLimits{
		Pause: event.TunnelPause, TunnelPerDay: event.TunnelPerDay, FleetPerHour: event.FleetPerHour,
	})
	return r.Plan.RunID, held, until, err
}

// darkness is until when a blackout covers a tunnel, of whichever of its schedules; a zero time:
// none does.
func darkness(inv *inventory.Inventory, tunnel string, now time.Time) (until time.Time, schedule string) {
	for _, name := range slices.Sorted(maps.Keys(inv.Schedules)) {
		s := inv.Schedules[name]
		if !slices.Contains(s.Tunnels, tunnel) {
			continue
		}
		if end, dark := s.Plan.Dark(now); dark && end.After(until) {
			until, schedule = end, name
		}
	}
	return until, schedule
}

// hooks are those that serve.yaml has, with their secrets fetched; nil: there are none.
func (in *intake) hooks(ctx context.Context) (*event.Hooks, error) {
	s := in.settings.Hooks
	if s.Alertmanager == nil && s.Generic == nil {
		return nil, nil
	}
	h := &event.Hooks{Book: in.current, Take: in.take}
	var err error
	if s.Alertmanager != nil {
		h.Label = s.Alertmanager.Label
		if h.Alertmanager, err = proofOf(ctx, "alertmanager", s.Alertmanager); err != nil {
			return nil, err
		}
	}
	if s.Generic != nil {
		h.Tunnel, h.Key = s.Generic.Tunnel, s.Generic.Key
		if h.Generic, err = proofOf(ctx, "generic", s.Generic); err != nil {
			return nil, err
		}
	}
	return h, nil
}

func proofOf(ctx context.Context, name string, h *inventory.Hook) (p event.Proof, err error) {
	for _, s := range []struct {
		ref  inventory.SecretRef
		into *string
	}{{h.Token, &p.Token}, {h.HMAC, &p.Secret}} {
		if s.ref.IsZero() {
			continue
		}
		secret, err := s.ref.Resolve(ctx, "hook "+name, nil)
		if err != nil {
			return p, &exitError{exitUsage, fmt.Errorf("hooks.%s: %w", name, err)}
		}
		*s.into = secret.Reveal()
	}
	return p, nil
}
