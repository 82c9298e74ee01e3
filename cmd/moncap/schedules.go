package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/capture/fleet"
	"github.com/moncap/moncap/device/inventory"
)

// scheduleSpec is a schedule as the database keeps it, in JSON: when it changes, its next time is
// counted anew.
type scheduleSpec struct {
	Cron     string   `json:"cron"`
	Timezone string   `json:"timezone"`
	Tunnels  []string `json:"tunnels"`
	SpreadMS int64    `json:"spread_ms,omitempty"`
	Missed   string   `json:"missed"`
	GraceMS  int64    `json:"grace_ms"`
	Blackout []string `json:"blackout,omitempty"` // cron, and how long
	Attempts int      `json:"attempts"`
	Until    string   `json:"until"`
	Notify   []string `json:"notify,omitempty"`
}

func specOf(s *inventory.Schedule) (string, error) {
	p := s.Plan
	spec := scheduleSpec{
		Cron: p.Times.String(), Timezone: p.Times.Zone(), Tunnels: s.Tunnels,
		SpreadMS: p.Spread.Milliseconds(), Missed: string(p.Missed),
		GraceMS: p.Grace.Milliseconds(), Attempts: s.Attempts, Until: s.Until, Notify: s.Notify,
	}
	for _, b := range p.Blackouts {
		spec.Blackout = append(spec.Blackout, b.From.String()+" for "+b.For.String())
	}
	text, err := json.Marshal(spec)
	return string(text), err
}

// scheduledRequests are the runs that a schedule makes for a moment, each tunnel's at its own place
// in the spread. Those that a blackout covers there are not made.
func (a *app) scheduledRequests(
	inv *inventory.Inventory, s *inventory.Schedule, from time.Time, cause string,
) ([]fleet.Request, error) {
	var requests []fleet.Request
	ids := runIDs{}
	for _, name := range s.Tunnels {
		start := s.Plan.Start(name, from)
		if _, dark := s.Plan.Dark(start); dark {
			continue
		}
		t := *inv.Tunnels[name]
		t.Capture = s.CaptureOf(inv.Tunnels[name])
		r, err := requestOf(&t, &captureFlags{until: s.Until}, ids.next(from))
		if err != nil {
			return nil, fmt.Errorf("schedule %s: %w", s.Name, err)
		}
		r.NotBefore, r.Attempts, r.Priority, r.Cause, r.By = start, s.Attempts, fleet.Normal, cause, a.who()
		requests = append(requests, r)
	}
	return requests, nil
}

// completeSchedules offers the schedules of the inventory.
func (a *app) completeSchedules(_ *cobra.Command, typed []string, _ string) ([]string, cobra.ShellCompDirective) {
	inv, err := a.inventoryForCompletion()
	if err != nil || len(typed) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return inv.ScheduleNames(), cobra.ShellCompDirectiveNoFileComp
}

// listedSchedule is a schedule in the list, in JSON.
type listedSchedule struct {
	Name     string     `json:"name"`
	Cron     string     `json:"cron"`
	Timezone string     `json:"timezone"`
	Tunnels  []string   `json:"tunnels"`
	Next     *time.Time `json:"next"` // null: paused, or nobody serves it
	Last     *time.Time `json:"last"` // when it made runs
	Paused   bool       `json:"paused"`
	Missed   int        `json:"missed"` // moments that went by without runs
	Served   bool       `json:"served"` // by a worker with this inventory
	Note     string     `json:"note,omitempty"`
}

func (a *app) scheduleListCommand() *cobra.Command {
	var f databaseFlags
	format := "text"
	c := &cobra.Command{
		Use:   "list",
		Short: "The schedules: when each is due, when it was, and who serves it",
		Long: `The schedules of the inventory, and those of the fleet's database where there is one. A schedule
is served by the workers whose inventory was the last to be served; one that no worker serves is marked.`,
		Example: "  moncap schedule list\n  moncap schedule list --format json",
		Args:    wants(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf("--format", format, "text", "json"); err != nil {
				return err
			}
			all, err := a.listSchedules(cmd.Context(), &f)
			if err != nil {
				return err
			}
			if format == "json" {
				return writeJSON(a.stdout, all)
			}
			return a.printSchedules(all)
		},
	}
	f.register(c)
	c.Flags().StringVarP(&format, "format", "f", format, "text or json")
	mustComplete(c, "format", []string{"text", "json"})
	return c
}

func (a *app) listSchedules(ctx context.Context, f *databaseFlags) ([]*listedSchedule, error) {
	inv, err := a.loadInventory()
	if err != nil {
		return nil, err
	}
	byName := map[string]*listedSchedule{}
	for _, name := range inv.ScheduleNames() {
		s := inv.Schedules[name]
		byName[name] = &listedSchedule{
			Name: name, Cron: s.Plan.Times.String(), Timezone: s.Plan.Times.Zone(), Tunnels: s.Tunnels,
			Note: "not served yet: moncap serve",
		}
	}
	settings, err := f.settings(a)
	if err != nil {
		return nil, err
	}
	o, err := a.storeOptions(ctx, settings)
	if err != nil {
		return nil, err
	}
	if fleet.Exists(o) {
		err = a.withStore(ctx, f, func(s *fleet.Store) error { return addServed(ctx, s, byName, inv) })
	}
	all := []*listedSchedule{}
	for _, l := range byName {
		all = append(all, l)
	}
	slices.SortFunc(all, func(x, y *listedSchedule) int { return strings.Compare(x.Name, y.Name) })
	return all, err
}

// addServed adds what the database tells of the schedules.
func addServed(ctx context.Context, s *fleet.Store, byName map[string]*listedSchedule, inv *inventory.Inventory) error {
	rows, err := s.ScheduleRows(ctx)
	if err != nil {
		return err
	}
	workers, err := s.Workers(ctx)
	if err != nil {
		return err
	}
	for _, r := range rows {
		l := byName[r.Name]
		if l == nil {
			var spec scheduleSpec
			if err := json.Unmarshal([]byte(r.Spec), &spec); err != nil {
				return fmt.Errorf("schedule %s: %w", r.Name, err)
			}
			l = &listedSchedule{Name: r.Name, Cron: spec.Cron, Timezone: spec.Timezone, Tunnels: spec.Tunnels}
			byName[r.Name] = l
		}
		l.Paused, l.Missed = r.Paused, r.Missed
		l.Served = slices.ContainsFunc(workers, func(w fleet.Worker) bool {
			return w.Alive && !w.Draining && w.Inventory == r.Digest
		})
		if !r.Last.IsZero() {
			l.Last = &r.Last
		}
		if !r.Paused && !r.Due.IsZero() {
			l.Next = &r.Due
		}
		switch l.Note = ""; {
		case !l.Served:
			l.Note = "no worker serves it now"
		case r.Digest != inv.Digest:
			l.Note = "as another inventory has it"
		}
	}
	return nil
}

func (a *app) printSchedules(all []*listedSchedule) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(a.stdout, "there are no schedules; inventory.example.yaml of the project shows one")
		return err
	}
	w := a.newTable(a.stdout)
	fmt.Fprintln(w, "SCHEDULE\tCRON\tTIMEZONE\tTUNNELS\tNEXT\tLAST\tMISSED\tNOTE")
	for _, l := range all {
		zone, err := time.LoadLocation(l.Timezone)
		if err != nil {
			zone = time.Local
		}
		at := func(t *time.Time) string {
			if t == nil {
				return "-"
			}
			return t.In(zone).Format("2006-01-02 15:04 MST")
		}
		next := at(l.Next)
		if l.Paused {
			next = "paused"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%d\t%s\n", printable(l.Name), printable(l.Cron),
			printable(l.Timezone), len(l.Tunnels), next, at(l.Last), l.Missed, l.Note)
	}
	return w.Flush()
}

// comingRun is a run that a schedule will make, in JSON.
type comingRun struct {
	Schedule string    `json:"schedule"`
	Due      time.Time `json:"due"`
	Tunnel   string    `json:"tunnel"`
	Start    time.Time `json:"start"`
	Blackout bool      `json:"blackout,omitempty"` // it is not made
}

func (a *app) scheduleNextCommand() *cobra.Command {
	name := ""
	c := &cobra.Command{
		Use:   "next [N]",
		Short: "The next N times of each schedule, and when each tunnel starts then",
		Long: `The next N times (5) of each schedule of the inventory, in its time zone, and when each tunnel
starts within the spread. Blackouts are left out. Of a time that the clock skips when it is put forward, it
shows when it takes place instead; one that the clock shows twice when it is put back is there once. No
database is asked.`,
		Example: "  moncap schedule next\n  moncap schedule next 20 --schedule nightly",
		Args:    wants(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			n := 5
			if len(args) == 1 {
				var err error
				if n, err = strconv.Atoi(args[0]); err != nil || n < 1 || n > 1000 {
					return usageError(fmt.Errorf("schedule next: want a number from 1 to 1000, got %q", args[0]))
				}
			}
			return a.nextRuns(name, n)
		},
	}
	c.Flags().StringVar(&name, "schedule", "", "only this one")
	if err := c.RegisterFlagCompletionFunc("schedule", a.completeSchedules); err != nil {
		panic(err) // the flag was defined a line above
	}
	return a.withFormat(c)
}

// scheduled is a schedule that says what it will do.
type scheduled struct{ *inventory.Schedule }

// at are the runs that it makes for a moment, in the order in which they start.
func (s scheduled) at(due time.Time) []comingRun {
	var runs []comingRun
	for _, t := range s.Tunnels {
		start := s.Plan.Start(t, due)
		_, dark := s.Plan.Dark(start)
		runs = append(runs, comingRun{s.Name, due, t, start, dark})
	}
	slices.SortStableFunc(runs, func(x, y comingRun) int { return x.Start.Compare(y.Start) })
	return runs
}

func (a *app) nextRuns(name string, n int) error {
	inv, err := a.loadInventory()
	if err != nil {
		return err
	}
	names := inv.ScheduleNames()
	if name != "" {
		if _, err := a.scheduleNamed(inv, name); err != nil {
			return err
		}
		names = []string{name}
	}
	coming := []comingRun{}
	for _, name := range names {
		s := scheduled{inv.Schedules[name]}
		at := time.Now()
		for range n {
			if at = s.Plan.Next(at); at.IsZero() {
				break
			}
			runs := s.at(at)
			coming = append(coming, runs...)
			fmt.Fprintf(a.stdout, "%s  %s", printable(name), at.Format("Mon 2006-01-02 15:04 MST"))
			if s.Plan.Spread < time.Second { // they all start then
				fmt.Fprintf(a.stdout, "  %s\n", printable(strings.Join(s.Tunnels, " ")))
				continue
			}
			fmt.Fprintln(a.stdout)
			for _, r := range runs {
				note := ""
				if r.Blackout {
					note = "  not then: a blackout"
				}
				fmt.Fprintf(a.stdout, "  %s  %s%s\n", r.Start.Format("15:04:05"), printable(r.Tunnel), note)
			}
		}
	}
	a.fact("runs", coming)
	if len(names) == 0 {
		fmt.Fprintln(a.stdout, "there are no schedules; inventory.example.yaml of the project shows one")
	}
	return nil
}

func (a *app) scheduleNamed(inv *inventory.Inventory, name string) (*inventory.Schedule, error) {
	s, ok := inv.Schedules[name]
	if !ok {
		near := didYouMean(name, inv.ScheduleNames())
		return nil, usageError(fmt.Errorf("%s: no schedule %q%s", inv.File, name, near))
	}
	return s, nil
}

func (a *app) scheduleRunCommand() *cobra.Command {
	var f databaseFlags
	wait, reason := false, ""
	c := &cobra.Command{
		Use:   "run SCHEDULE",
		Short: "Submit the runs of a schedule now",
		Long: `Submit the runs of a schedule now, with its settings and its spread. The schedule itself goes on
as if nothing had been: its next time stays.
` + submitStatusHelp,
		Example:           "  moncap schedule run nightly --reason \"after the upgrade\" --wait",
		Args:              wants(1, 1),
		ValidArgsFunction: a.completeSchedules,
		RunE: func(cmd *cobra.Command, args []string) error {
			inv, err := a.loadInventory()
			if err != nil {
				return err
			}
			s, err := a.scheduleNamed(inv, args[0])
			if err != nil {
				return err
			}
			return a.withStore(cmd.Context(), &f, func(store *fleet.Store) error {
				requests, err := a.scheduledRequests(inv, s, time.Now(), "manual, as schedule "+s.Name)
				if err != nil {
					return err
				}
				for i := range requests {
					requests[i].Reason = reason
				}
				if len(requests) == 0 {
					return usageError(fmt.Errorf("schedule %s: a blackout covers all of its tunnels now", s.Name))
				}
				if err := store.Submit(cmd.Context(), requests...); err != nil {
					return err
				}
				return a.saySubmitted(cmd.Context(), store, requests, wait)
			})
		},
	}
	f.register(c)
	c.Flags().BoolVar(&wait, "wait", false, "wait until all runs are over")
	c.Flags().StringVar(&reason, "reason", "", "why, for the history")
	return a.withFormat(c)
}

func (a *app) schedulePauseCommand(pause bool) *cobra.Command {
	var f databaseFlags
	c := &cobra.Command{
		Use:   "pause SCHEDULE",
		Short: "Have a schedule make no more runs until it is resumed",
		Long: `Have a schedule make no more runs until it is resumed, also when workers start anew. Runs that
it has made stay; what is due meanwhile counts as missed.`,
		Example:           "  moncap schedule pause nightly",
		Args:              wants(1, 1),
		ValidArgsFunction: a.completeSchedules,
	}
	word := "paused"
	if !pause {
		c.Use, c.Short = "resume SCHEDULE", "Have a paused schedule make runs again"
		c.Example, word = "  moncap schedule resume nightly", "resumed"
		c.Long = `Have a paused schedule make runs again, from its next time on: what was due meanwhile is made
up for only as missed and grace of the inventory say.`
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return a.withStore(cmd.Context(), &f, func(s *fleet.Store) error {
			if err := s.PauseSchedule(cmd.Context(), a.who(), args[0], pause); err != nil {
				return err
			}
			a.fact("schedule", args[0])
			a.fact("paused", pause)
			a.done = &unsaid{exitFailed, printable(args[0]) + " is " + word, "moncap schedule list shows it"}
			_, err := fmt.Fprintf(a.stdout, "%s: %s\n", printable(args[0]), word)
			return err
		})
	}
	f.register(c)
	return a.withFormat(c)
}
