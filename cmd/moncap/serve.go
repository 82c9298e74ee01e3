package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/capture/fleet"
	"github.com/moncap/moncap/device/inventory"
)

// serveFlags say what a worker does.
type serveFlags struct {
	databaseFlags
	page        pageFlags
	sites       []string
	workers     int
	noSchedules bool
	syslog      []string
}

func (a *app) serveCommand() *cobra.Command {
	var f serveFlags
	c := &cobra.Command{
		Use:   "serve",
		Short: "Be a worker of the fleet: do what is submitted and scheduled, until stopped",
		Long: `Take runs from the fleet's database and do them, and submit those of the inventory's schedules
when they are due. The database is a file unless --db says otherwise; it is made when it is not there. Any
number of workers may share one database: each run is done once, and a router is in as many runs at a time as
its limits.runs says, over the whole fleet.

A worker takes the runs of tunnels at its sites (--site; those without a site, when there is none), and only
those that its inventory knows, with the same routers. When one dies or freezes, another one of the site
fetches its packets, or cleans its routers, within half a minute. The inventory is read anew when its file
changes.

SIGTERM, or Ctrl-C: no new runs; the captures that run end now, are fetched and judged, if that fits into
drain of serve.yaml (2m), else taken back. Once more: all are taken back at once.

It serves a page, an API and metrics, by default for this machine alone: --listen and docs/page.md. Who may log
in moncap token says.

Settings beside the flags are in serve.yaml, beside the inventory: db, db_password, sites, workers, lease,
drain, artifacts: {max_mb}, retain: {runs, bundles, keep_last, max_gb}, syslog, events: {on, relays}, hooks:
{alertmanager, generic}. A password of the database never stands in its address. docs/alerts.md shows how
log lines and alerts have runs made (--syslog, hooks), and who is told what was found (notify in the
inventory).

EXIT STATUS
  0   it was told to stop, and its routers are clean
  4   the database cannot be reached
  5   it was told to stop, and something is left on a router
  64  wrong usage, inventory or settings, or a database of a newer moncap`,
		Example: `  moncap serve
  moncap serve --site emea --site apac --workers 16
  moncap serve --listen 192.0.2.1:8480 --tls-cert page.pem --tls-key page.key
  moncap serve --db postgres://moncap@db.example.net/moncap \
    --db-password file:/etc/moncap/db-password`,
		Args: wants(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context(), &f) },
	}
	f.register(c)
	a.registerUploadPassword(c)
	a.registerPatience(c)
	fl := c.Flags()
	fl.StringSliceVar(&f.sites, "site", nil,
		"serve the tunnels at this site, beside others that are named (default: those without a site)")
	fl.IntVar(&f.workers, "workers", 0, "runs at the same time, 1 to 256 (default 8)")
	fl.StringSliceVar(&f.syslog, "syslog", nil,
		"listen for log lines of the routers at `udp:HOST:PORT` or tcp:HOST:PORT, and have runs made of what they tell "+
			"(default: syslog in serve.yaml)")
	fl.BoolVar(&f.noSchedules, "no-schedules", false, "leave the schedules to other workers")
	f.page.register(fl)
	return c
}

// merge has the flags change what the file says.
func (f *serveFlags) merge(s *inventory.Service) error {
	if len(f.sites) > 0 {
		s.Sites = f.sites
	}
	if len(f.syslog) > 0 {
		s.Syslog = f.syslog
	}
	switch {
	case f.workers == 0:
	case f.workers < 1 || f.workers > 256:
		return usageError(fmt.Errorf("--workers %d: want 1 to 256", f.workers))
	default:
		s.Workers = f.workers
	}
	return nil
}

func (a *app) serve(ctx context.Context, f *serveFlags) error {
	if a.inventoryPath() == "-" {
		return usageError(errors.New("serve: the inventory is read anew when it changes: name a file with -i"))
	}
	if err := f.page.check(); err != nil {
		return err
	}
	inv, err := a.loadInventory()
	if err != nil {
		return err
	}
	settings, err := f.settings(a)
	if err != nil {
		return err
	}
	if err := f.merge(settings); err != nil {
		return err
	}
	if err := a.servesSomething(inv, settings.Sites); err != nil {
		return err
	}
	o, err := a.storeOptions(ctx, settings)
	if err != nil {
		return err
	}
	store, err := fleet.Open(ctx, o)
	if err != nil {
		return storeError(err)
	}
	err = a.work(ctx, store, inv, settings, f)
	return errors.Join(err, store.Close())
}

// servesSomething refuses sites at which no tunnel is: a name that was mistyped
// would wait for ever.
func (a *app) servesSomething(inv *inventory.Inventory, sites []string) error {
	for _, site := range sites {
		found, all := false, map[string]bool{}
		for _, t := range inv.Tunnels {
			found = found || t.Site == site
			if t.Site != "" {
				all[t.Site] = true
			}
		}
		if !found {
			var names []string
			for n := range all {
				names = append(names, n)
			}
			near := didYouMean(site, names)
			return usageError(fmt.Errorf("--site %s: no tunnel of %s is there%s", site, inv.File, near))
		}
	}
	return nil
}

// work is a worker from its begin to its end.
func (a *app) work(
	ctx context.Context, store *fleet.Store, inv *inventory.Inventory, settings *inventory.Service, f *serveFlags,
) error {
	schedules := !f.noSchedules
	folder, err := filepath.Abs(a.runsDir())
	if err != nil {
		return &exitError{exitFailed, err}
	}
	crew := newCrew(a, store, inv)
	d := &dispatcher{
		app: a, store: store, crew: crew, retain: settings.Retain, schedules: schedules, file: stampOfFile(inv.File),
	}
	if err := d.begin(ctx); err != nil {
		return storeError(err)
	}
	alerts, err := a.openAlerts(ctx, store, crew, settings)
	if err != nil {
		return err
	}
	defer alerts.run(ctx)()
	noPage, err := a.servePage(ctx, &f.page, store, crew, alerts.hooks)
	if err != nil {
		return err
	}
	defer noPage()
	stop := make(chan struct{})
	defer a.interrupts.draining(func() {
		a.progress("no new runs; the captures that run end, are fetched and judged; once more takes them back")
		notifySystemd(a.getenv, "STOPPING=1\nSTATUS=drains")
		close(stop)
	})()
	err = store.Work(ctx, fleet.WorkerOptions{
		Crew: crew.crew(folder), Sites: settings.Sites, Workers: settings.Workers, Version: versionString(),
		Inventory: inv.Digest, InventoryNow: func() string { return crew.inventory().Digest }, Drain: settings.Drain,
		ArtifactsMB: orDefault(settings.MaxMB, -1), Tick: d.tick,
		Ready: func() { a.sayServing(store, inv, settings, schedules) },
	}, stop)
	if left, ok := errors.AsType[*fleet.LeftError](err); ok {
		return &exitError{exitDirty, left}
	}
	return storeError(err)
}

func (a *app) sayServing(store *fleet.Store, inv *inventory.Inventory, settings *inventory.Service, schedules bool) {
	what := []string{counted(len(inv.Tunnels), "tunnel")}
	if n := len(inv.Schedules); schedules && n > 0 {
		what = append(what, counted(n, "schedule"))
	}
	where := ""
	if len(settings.Sites) > 0 {
		where = " at " + strings.Join(settings.Sites, ", ")
	}
	a.progress("serving %s%s, %d at a time, from %s", strings.Join(what, " and "), where, settings.Workers,
		store.Name())
	notifySystemd(a.getenv, "READY=1\nSTATUS=serving "+strings.Join(what, " and "))
}

// dispatcher does what a worker does beside its runs: schedules, a new inventory, upkeep.
type dispatcher struct {
	app       *app
	store     *fleet.Store
	crew      *crew
	retain    inventory.Retain
	schedules bool
	file      fileStamp
	complaint string    // about the file, told once
	away      bool      // the database was, the last time
	look      time.Time // when the schedules are looked at again
	pruned    time.Time
}

// The pace of a dispatcher.
const (
	lookAgain  = 15 * time.Second // after which a pause that was ended, for one, is noticed
	pruneEvery = 24 * time.Hour
	firstPrune = 10 * time.Minute // after the start

	keepNotices = 30 * 24 * time.Hour // and events
)

func (d *dispatcher) begin(ctx context.Context) error {
	d.pruned = time.Now().Add(firstPrune - pruneEvery)
	return d.putSchedules(ctx)
}

// tick is called every second. It is the worker's one goroutine for this. What goes wrong is told
// once, until it goes well again.
func (d *dispatcher) tick(ctx context.Context) error {
	if d.away && time.Now().Before(d.look) {
		return nil
	}
	err := d.turn(ctx)
	if err == nil {
		d.away = false
		return nil
	}
	d.look = time.Now().Add(lookAgain / 3)
	if d.away {
		return nil
	}
	d.away = true
	return oneLine{err}
}

func (d *dispatcher) turn(ctx context.Context) error {
	if d.reread() {
		if err := d.putSchedules(ctx); err != nil {
			return err
		}
	}
	if time.Since(d.pruned) > pruneEvery {
		d.pruned = time.Now()
		if err := d.prune(ctx); err != nil {
			return err
		}
	}
	if !d.schedules || time.Now().Before(d.look) {
		return nil
	}
	return d.fire(ctx)
}

func (d *dispatcher) prune(ctx context.Context) error {
	p, err := d.store.Prune(ctx, fleet.Retain{
		Runs: d.retain.Runs, Bundles: d.retain.Bundles, KeepLast: d.retain.KeepLast, MaxGB: float64(d.retain.MaxGB),
	}, false)
	if err == nil {
		err = d.store.PruneNotices(ctx, keepNotices)
	}
	if err == nil && p.Runs+p.Bundles > 0 {
		d.app.progress("deleted %s and %s that were old, %s", counted(p.Runs, "run"), counted(p.Bundles, "bundle"),
			kilobytes(p.Bytes))
	}
	return err
}

// reread reads the inventory when its file changed. One that is wrong is told, and
// the one before stays.
func (d *dispatcher) reread() bool {
	old := d.crew.inventory()
	now := stampOfFile(old.File)
	if now == d.file {
		return false
	}
	d.file = now
	inv, err := d.app.readInventory()
	if err != nil {
		if text := err.Error(); text != d.complaint {
			d.complaint = text
			d.app.warn("the inventory changed and is not taken: %s", sentence(err))
		}
		return false
	}
	d.complaint = ""
	if inv.Digest == old.Digest {
		return false
	}
	d.crew.use(inv)
	d.app.progress("the inventory changed: %s, %s",
		counted(len(inv.Tunnels), "tunnel"), counted(len(inv.Schedules), "schedule"))
	return true
}

// putSchedules has the database know the schedules of this worker's inventory. The last that does
// so owns them.
func (d *dispatcher) putSchedules(ctx context.Context) error {
	if !d.schedules {
		return nil
	}
	inv := d.crew.inventory()
	now, err := d.store.Now(ctx)
	if err != nil {
		return err
	}
	d.sayOthers(ctx, inv)
	var all []fleet.Schedule
	for _, name := range inv.ScheduleNames() {
		s := inv.Schedules[name]
		spec, err := specOf(s)
		if err != nil {
			return err
		}
		all = append(all, fleet.Schedule{Name: name, Spec: spec, Digest: inv.Digest, Due: s.Plan.Next(now)})
	}
	d.look = time.Time{}
	return d.store.PutSchedules(ctx, inv.Digest, all)
}

// sayOthers warns of workers with another inventory, whose schedules end now.
func (d *dispatcher) sayOthers(ctx context.Context, inv *inventory.Inventory) {
	workers, err := d.store.Workers(ctx)
	if err != nil {
		return
	}
	for _, w := range workers {
		if w.Alive && w.Inventory != inv.Digest {
			d.app.warn("worker %s has another inventory (%.8s, this one %.8s): the schedules are this one's now; "+
				"--no-schedules leaves them to it",
				w.ID, w.Inventory, inv.Digest)
		}
	}
}

// fire makes the runs that are due. The database's clock says when that is, and moving its row lets
// one worker make them.
func (d *dispatcher) fire(ctx context.Context) error {
	rows, err := d.store.ScheduleRows(ctx)
	if err != nil {
		return err
	}
	now, err := d.store.Now(ctx)
	if err != nil {
		return err
	}
	inv := d.crew.inventory()
	wait := lookAgain
	var errs []error
	for _, r := range rows {
		s := inv.Schedules[r.Name]
		if r.Paused || s == nil || r.Digest != inv.Digest || r.Due.IsZero() {
			continue
		}
		if r.Due.After(now) {
			wait = min(wait, r.Due.Sub(now))
			continue
		}
		if err := d.fireOne(ctx, inv, s, r, now); err != nil { // the others fire all the same, and this one is tried again
			errs = append(errs, fmt.Errorf("schedule %s: %w", r.Name, err))
			continue
		}
		wait = 0
	}
	d.look = time.Now().Add(wait)
	return errors.Join(errs...)
}

func (d *dispatcher) fireOne(
	ctx context.Context, inv *inventory.Inventory, s *inventory.Schedule, r fleet.Schedule, now time.Time,
) error {
	due := s.Plan.Look(r.Due, now)
	var requests []fleet.Request
	if due.Fire {
		from := due.For
		if due.Late {
			from = now
		}
		var err error
		cause := causeOf(s.Name, due.For.UTC().Format(time.RFC3339))
		if requests, err = d.app.scheduledRequests(inv, s, from, cause); err != nil {
			return err
		}
	}
	fired, err := d.store.Fire(ctx, s.Name, r.Due, due.Next, due.Missed, requests...)
	switch {
	case err != nil || !fired:
		return err
	case !due.Fire:
		d.app.warn("schedule %s: %s went by, the last at %s", s.Name, counted(due.Missed, "time"),
			due.For.Format("2006-01-02 15:04 MST"))
	default:
		d.app.progress("schedule %s: %s", s.Name, counted(len(requests), "run"))
	}
	return nil
}
