package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/capture/fleet"
	"github.com/moncap/moncap/device/inventory"
)

// submitFlags say what is wanted of the fleet's workers, and why.
type submitFlags struct {
	captureFlags
	chosen
	databaseFlags
	failedOf       string
	priority       string
	reason, change string
	attempts       int
	wait           bool
}

func (a *app) submitCommand() *cobra.Command {
	var f submitFlags
	c := &cobra.Command{
		Use:   "submit TUNNEL...",
		Short: "Have the fleet's workers run tunnels",
		Long: `Write runs into the fleet's database, all or none. A worker (moncap serve) that serves the
tunnel's site does each as soon as both of its routers are free: urgent ones first, else the oldest. TUNNEL is
a name, or a pattern such as 'hq-*'.

The run's id is printed for each; moncap jobs, report and cancel take it. With --wait it goes on until all of
them are over, and the exit code is the worst one; Ctrl-C then leaves the runs to the workers.
` + submitStatusHelp,
		Example: `  moncap submit hq-branch --reason "users complain since 9:00" --change CHG0012345
  moncap submit --tags nightly --until decided
  moncap submit --failed-of nightly --wait
  moncap submit --failed-of nightly@2026-11-29`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.completeTunnels,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.names = args
			return a.submit(cmd.Context(), &f)
		},
	}
	f.captureFlags.register(c)
	f.chosen.register(c)
	f.databaseFlags.register(c)
	fl := c.Flags()
	fl.StringVar(&f.failedOf, "failed-of", "",
		"the tunnels whose runs of a schedule failed: `SCHEDULE` for the last time, or SCHEDULE@DAY or @TIME")
	fl.StringVar(&f.priority, "priority", "normal", "urgent, normal or low")
	fl.StringVar(&f.reason, "reason", "", "why, for the history")
	fl.StringVar(&f.change, "change", "", "id of the change or ticket, for the history")
	fl.IntVar(&f.attempts, "attempts", 1, "how often a run is tried that failed and left its routers clean, 1 to 5")
	fl.BoolVar(&f.wait, "wait", false, "wait until all runs are over")
	mustComplete(c, "priority", []string{"urgent", "normal", "low"})
	return a.withFormat(c)
}

const submitStatusHelp = `
EXIT STATUS
  0   submitted; with --wait, all tunnels are established without a warning
  1   with --wait: established with warnings
  2   with --wait: a critical finding
  3   with --wait: inconclusive
  4   the database cannot be reached; with --wait, a run failed and its routers are clean
  5   the answer could not be written, though the runs are submitted; with --wait, something is left on a router: moncap jobs says where
  64  wrong usage or inventory, or there is no database`

func (a *app) submit(ctx context.Context, f *submitFlags) error {
	priority, err := f.check()
	if err != nil {
		return err
	}
	if f.failedOf != "" {
		return a.withStore(ctx, &f.databaseFlags, func(s *fleet.Store) error {
			if f.names, err = a.failedTunnels(ctx, s, f.failedOf); err != nil {
				return err
			}
			if len(f.names) == 0 {
				_, err := fmt.Fprintf(a.stdout, "no run of %s failed\n", printable(f.failedOf))
				return err
			}
			return a.submitTo(ctx, s, f, priority)
		})
	}
	// What is wrong with the inventory is said before the database is asked.
	if _, err := a.chosenTunnels(f.chosen); err != nil {
		return err
	}
	return a.withStore(ctx, &f.databaseFlags, func(s *fleet.Store) error { return a.submitTo(ctx, s, f, priority) })
}

func (f *submitFlags) check() (fleet.Priority, error) {
	if err := oneOf("--priority", f.priority, "urgent", "normal", "low"); err != nil {
		return 0, err
	}
	priority, err := fleet.ParsePriority(f.priority)
	switch {
	case err != nil:
		return 0, usageError(fmt.Errorf("--priority: %w", err))
	case f.attempts < 1 || f.attempts > 5:
		return 0, usageError(fmt.Errorf("--attempts %d: want 1 to 5", f.attempts))
	case f.failedOf != "" && (len(f.names) > 0 || len(f.tags) > 0 || f.all):
		return 0, usageError(errors.New("submit: --failed-of says which tunnels: want it, or names, --tags or --all"))
	}
	return priority, oneLineEach(map[string]string{"reason": f.reason, "change": f.change})
}

func (a *app) submitTo(ctx context.Context, s *fleet.Store, f *submitFlags, priority fleet.Priority) error {
	tunnels, err := a.chosenTunnels(f.chosen)
	if err != nil {
		return err
	}
	var requests []fleet.Request
	ids := runIDs{}
	for _, t := range tunnels {
		r, err := requestOf(t, &f.captureFlags, ids.next(time.Now()))
		if err != nil {
			return err
		}
		r.Priority, r.Attempts = priority, f.attempts
		r.Reason, r.Change, r.Cause, r.By = f.reason, f.change, "manual", a.who()
		requests = append(requests, r)
	}
	if err := s.Submit(ctx, requests...); err != nil {
		return err
	}
	return a.saySubmitted(ctx, s, requests, f.wait)
}

// runIDs makes the ids of several runs. What they make on the routers is named after them, so each
// is another one.
type runIDs map[string]bool

func (ids runIDs) next(now time.Time) string {
	for {
		if id := newRunID(now); !ids[id] {
			ids[id] = true
			return id
		}
	}
}

// requestOf is a run of a tunnel as a worker gets it: the whole plan, made of this inventory.
func requestOf(t *inventory.Tunnel, f *captureFlags, id string) (fleet.Request, error) {
	p, err := f.plan(t, id)
	if err != nil {
		return fleet.Request{}, err
	}
	a, b := slotsOf(t, f.name)
	return fleet.Request{Plan: p, Site: t.Site, A: a, B: b, Approve: t.Approve == inventory.ApproveFourEyes}, nil
}

// slotsOf are the places that a run of a tunnel takes of its routers. name is that which was chosen
// for its captures, if any.
func slotsOf(t *inventory.Tunnel, name string) (a, b fleet.Slot) {
	limits := limitsOf([]*inventory.Tunnel{t}, name)
	slot := func(p *inventory.Peer) fleet.Slot { return fleet.Slot{Router: p.Address(), Runs: limits[p.Address()]} }
	return slot(t.A), slot(t.B)
}

// submittedRun is a run in the answer of submit, in JSON.
type submittedRun struct {
	ID       string `json:"id"`
	Tunnel   string `json:"tunnel"`
	Site     string `json:"site,omitempty"`
	Approval bool   `json:"needs_approval,omitempty"`
}

// theRuns names runs in a sentence and in a command; of many, only the first one.
func theRuns(ids []string) (named, typed string) {
	if len(ids) > 5 {
		return fmt.Sprintf("%s and %d others", ids[0], len(ids)-1), "RUN..."
	}
	return strings.Join(ids, ", "), strings.Join(ids, " ")
}

func (a *app) saySubmitted(ctx context.Context, s *fleet.Store, requests []fleet.Request, wait bool) error {
	submitted := []submittedRun{}
	ids := make([]string, len(requests))
	for i, r := range requests {
		ids[i] = r.Plan.RunID
	}
	named, cancel := theRuns(ids)
	a.done = &unsaid{exitDirty, "this was submitted, and goes on: " + named,
		"moncap jobs lists what goes on; moncap cancel " + cancel + " takes it back"}
	for _, r := range requests {
		submitted = append(submitted, submittedRun{r.Plan.RunID, r.Plan.Tunnel, r.Site, r.Approve})
		line := fmt.Sprintf("%s  %s", r.Plan.RunID, printable(r.Plan.Tunnel))
		if r.Approve {
			line += "  waits for somebody else's moncap approve"
		}
		fmt.Fprintln(a.stdout, line)
	}
	a.fact("runs", submitted)
	a.sayNobodyServes(ctx, s, requests)
	if !wait {
		return nil
	}
	return a.await(ctx, s, ids)
}

// sayNobodyServes warns of sites that have no worker now. The runs wait for one.
func (a *app) sayNobodyServes(ctx context.Context, s *fleet.Store, requests []fleet.Request) {
	workers, err := s.Workers(ctx)
	if err != nil {
		return
	}
	told := map[string]bool{}
	for _, r := range requests {
		served := slices.ContainsFunc(workers, func(w fleet.Worker) bool {
			return w.Alive && !w.Draining && serves(w.Sites, r.Site)
		})
		if served || told[r.Site] {
			continue
		}
		told[r.Site] = true
		if r.Site == "" {
			a.progress("no worker is there now: %s is one", a.asGiven("moncap serve"))
		} else {
			a.progress("no worker for site %s is there now: %s --site %s is one", r.Site, a.asGiven("moncap serve"),
				shellWord(r.Site))
		}
	}
}

// serves says whether a worker of some sites takes the runs of one.
func serves(sites []string, site string) bool {
	return slices.Contains(sites, site) || site == "" && len(sites) == 0
}

// await waits until the runs are over, and says what becomes of each.
func (a *app) await(ctx context.Context, s *fleet.Store, ids []string) error {
	runs, err := s.Wait(ctx, func(r fleet.Run) {
		if r.State.Over() {
			fmt.Fprintln(a.stdout, jobLine(r))
		} else {
			a.progress("%s", jobLine(r))
		}
	}, ids...)
	_, cancel := theRuns(ids)
	goOn := "the runs go on: moncap jobs lists them, moncap cancel " + cancel + " ends them"
	if ctx.Err() != nil {
		return &exitError{exitFailed, &hinted{context.Cause(ctx), goOn}}
	}
	if err != nil {
		return &hinted{err, goOn}
	}
	a.done = &unsaid{exitFailed, "the runs are over", "moncap history shows what came of them"}
	listed, codes := []jsonJob{}, []int{}
	for _, r := range runs {
		listed, codes = append(listed, jobOf(r)), append(codes, codeOf(r))
	}
	a.fact("results", listed)
	return exitWith(worst(codes))
}

// codeOf is the exit code that a run ended with, or would have.
func codeOf(r fleet.Run) int {
	switch {
	case r.State == fleet.Dirty || r.Exit == exitDirty:
		return exitDirty
	case r.Exit < 0 || r.State == fleet.Cancelled || r.State == fleet.Interrupted:
		return exitFailed
	}
	return r.Exit
}

// failedTunnels are those whose runs of a schedule failed: of its last time, or of the
// one that is named.
func (a *app) failedTunnels(ctx context.Context, s *fleet.Store, of string) ([]string, error) {
	name, when, _ := strings.Cut(of, "@")
	from, to, err := a.momentsOf(name, when)
	if err != nil {
		return nil, usageError(fmt.Errorf("--failed-of: %w", err))
	}
	runs, err := s.Runs(ctx, fleet.RunFilter{Cause: causeOf(name, "")})
	if err != nil {
		return nil, err
	}
	var last time.Time
	failed := map[string]bool{}
	for _, r := range runs { // the newest first
		due := dueOf(r.Cause)
		switch {
		case due.Before(from) || !to.IsZero() && !due.Before(to):
			continue
		case last.IsZero():
			last = due
		case !due.Equal(last) && when == "":
			continue
		}
		// Of several attempts the last one counts.
		if _, counted := failed[r.Tunnel]; !counted {
			failed[r.Tunnel] = r.State.Over() && codeOf(r) >= exitFailed
		}
	}
	if last.IsZero() {
		return nil, usageError(fmt.Errorf("--failed-of %s: the history has no such runs", of))
	}
	var names []string
	for n, is := range failed {
		if is {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names, nil
}

// causeOf is what the history says of a run that a schedule made: its name and the
// moment it was for.
func causeOf(name, due string) string { return "schedule " + name + "@" + due }

// dueOf is the moment for which a schedule made a run; zero: none did.
func dueOf(cause string) time.Time {
	_, when, _ := strings.Cut(cause, "@")
	due, err := time.Parse(time.RFC3339, when)
	if err != nil {
		return time.Time{}
	}
	return due
}

// momentsOf reads a day or a moment, in the time zone of the schedule where the inventory has it:
// from when until when.
func (a *app) momentsOf(name, when string) (from, to time.Time, err error) {
	if when == "" {
		return from, to, nil
	}
	zone := time.Local
	if inv, err := a.readInventory(); err == nil && inv.Schedules[name] != nil {
		zone = inv.Schedules[name].Plan.Times.Location()
	}
	if day, err := time.ParseInLocation(time.DateOnly, when, zone); err == nil {
		return day, day.AddDate(0, 0, 1), nil
	}
	for _, layout := range []string{"2006-01-02 15:04", "2006-01-02T15:04", time.RFC3339} {
		if at, err := time.ParseInLocation(layout, when, zone); err == nil {
			return at, at.Add(time.Minute), nil
		}
	}
	return from, to, fmt.Errorf("%s: want SCHEDULE, SCHEDULE@2026-11-29 or SCHEDULE@2026-11-29T02:30", when)
}
