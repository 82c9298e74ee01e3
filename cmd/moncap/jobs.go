package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/analysis/render"
	"github.com/moncap/moncap/capture/fleet"
)

// jobStates are the names of the states of a run, in their order.
func jobStates() []string {
	var all []string
	for _, s := range fleet.States() {
		all = append(all, string(s))
	}
	return all
}

func (a *app) jobsCommand() *cobra.Command {
	var f databaseFlags
	state, format := "", "text"
	c := &cobra.Command{
		Use:   "jobs",
		Short: "The runs of the fleet that are not over, and what each waits for",
		Long: `The runs that wait, that a worker does, or that are being taken back from a worker that died, in
the order in which they will be done; and those that left something on a router, until it is removed. A run
waits for a router that another one has, for a worker of its site, for its time, or for somebody's approval.`,
		Example: "  moncap jobs\n  moncap jobs --state dirty\n  moncap jobs --format json",
		Args:    wants(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf("--format", format, "text", "json"); err != nil {
				return err
			}
			if state != "" {
				if err := oneOf("--state", state, jobStates()...); err != nil {
					return err
				}
			}
			return a.withStore(cmd.Context(), &f, func(s *fleet.Store) error {
				runs, err := s.Jobs(cmd.Context(), fleet.State(state))
				if err == nil && state == "" {
					runs, err = withDirty(cmd.Context(), s, runs)
				}
				if err != nil {
					return err
				}
				if format == "json" {
					return writeJSON(a.stdout, jobsOf(runs))
				}
				return a.printJobs(runs)
			})
		},
	}
	f.register(c)
	c.Flags().StringVar(&state, "state", "",
		"only those in this state, also when they are over: "+strings.Join(jobStates(), ", "))
	c.Flags().StringVarP(&format, "format", "f", format, "text or json")
	mustComplete(c, "state", jobStates())
	mustComplete(c, "format", []string{"text", "json"})
	return c
}

// withDirty adds the runs that left something on a router: nobody works on them,
// and somebody should.
func withDirty(ctx context.Context, s *fleet.Store, runs []fleet.Run) ([]fleet.Run, error) {
	dirty, err := s.Jobs(ctx, fleet.Dirty)
	for _, d := range dirty {
		if !slices.ContainsFunc(runs, func(r fleet.Run) bool { return r.ID == d.ID }) {
			runs = append(runs, d)
		}
	}
	return runs, err
}

// jsonJob is a run of the fleet, in JSON.
type jsonJob struct {
	ID        string          `json:"id"`
	Tunnel    string          `json:"tunnel"`
	Peers     [2]string       `json:"peers"`
	Site      string          `json:"site,omitempty"`
	State     string          `json:"state"`
	Priority  string          `json:"priority"`
	Waits     string          `json:"waits,omitempty"` // what for
	Worker    string          `json:"worker,omitempty"`
	Host      string          `json:"host,omitempty"`
	By        string          `json:"by,omitempty"`
	Approval  string          `json:"approval,omitempty"` // who approved of it; wanted while nobody has
	Cancelled string          `json:"cancelled_by,omitempty"`
	Cause     string          `json:"cause,omitempty"`
	Reason    string          `json:"reason,omitempty"`
	Change    string          `json:"change,omitempty"`
	RetryOf   string          `json:"retry_of,omitempty"`
	Attempt   int             `json:"attempt,omitempty"`
	Attempts  int             `json:"attempts,omitempty"`
	Created   time.Time       `json:"created"`
	NotBefore time.Time       `json:"not_before,omitzero"`
	Started   time.Time       `json:"started,omitzero"`
	Ended     time.Time       `json:"ended,omitzero"`
	Outcome   string          `json:"outcome,omitempty"`
	Headline  string          `json:"headline,omitempty"`
	ExitCode  *int            `json:"exit_code,omitempty"`
	Error     string          `json:"error,omitempty"`
	Clean     bool            `json:"clean"`
	Left      []string        `json:"left,omitempty"`
	Findings  []fleet.Finding `json:"findings,omitempty"`
	Bundle    string          `json:"bundle,omitempty"` // on host
}

func jobOf(r fleet.Run) jsonJob {
	j := jsonJob{
		ID: r.ID, Tunnel: r.Tunnel, Peers: r.Peers, Site: r.Site, State: string(r.State), Priority: r.Priority.String(),
		Waits: r.Waits, Worker: r.Owner, Host: r.Host, Bundle: r.Bundle,
		By: r.By, Approval: r.Approval, Cancelled: r.CancelledBy, Cause: r.Cause, Reason: r.Reason, Change: r.Change,
		RetryOf: r.RetryOf, Attempt: r.Attempt, Attempts: r.Attempts,
		Created: r.Created, NotBefore: r.NotBefore, Started: r.Started, Ended: r.Ended,
		Outcome: r.Outcome, Headline: r.Headline, Error: r.Error, Findings: r.Findings, Clean: r.Clean, Left: leftOf(r),
	}
	if r.Exit >= 0 && r.State.Over() {
		j.ExitCode = &r.Exit
	}
	return j
}

// leftOf is what a dirty run left on its routers, and what removes it, line by line.
func leftOf(r fleet.Run) []string {
	return strings.FieldsFunc(r.Remains, func(c rune) bool { return c == '\n' })
}

func jobsOf(runs []fleet.Run) []jsonJob {
	all := make([]jsonJob, len(runs))
	for i, r := range runs {
		all[i] = jobOf(r)
	}
	return all
}

func (a *app) printJobs(runs []fleet.Run) error {
	if len(runs) == 0 {
		_, err := fmt.Fprintln(a.stdout, "nothing waits, nothing runs")
		return err
	}
	w := a.newTable(a.stdout)
	fmt.Fprintln(w, "RUN\tTUNNEL\tSTATE\tSITE\tPRIORITY\tSINCE\tBY\tWHAT")
	for _, r := range runs {
		fmt.Fprintln(w, strings.Join([]string{
			printable(r.ID), printable(r.Tunnel), string(r.State), orDefault(printable(r.Site), "-"),
			r.Priority.String(), since(r), printable(shortCause(r)), printable(whatOf(r)),
		}, "\t"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, r := range runs {
		for _, l := range leftOf(r) {
			if _, err := fmt.Fprintf(a.stdout, "%s: left: %s\n", printable(r.ID), printable(l)); err != nil {
				return err
			}
		}
	}
	return nil
}

// since is how long a run is in the state that it is in, as far as that is known.
func since(r fleet.Run) string {
	from := r.Created
	for _, later := range []time.Time{r.Started, r.Ended} {
		if later.After(from) {
			from = later
		}
	}
	return roughly(time.Since(from))
}

// roughly is a duration as people say it.
func roughly(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 72*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// shortCause is who or what wanted a run.
func shortCause(r fleet.Run) string {
	if name, ok := strings.CutPrefix(r.Cause, "schedule "); ok {
		name, _, _ = strings.Cut(name, "@")
		return "schedule " + name
	}
	return r.By
}

// whatOf says what a run waits for, who does it, or what came of it.
func whatOf(r fleet.Run) string {
	switch r.State {
	case fleet.Waiting, fleet.Granted:
		if r.Waits == "" {
			return "is next"
		}
		return "waits: " + r.Waits
	case fleet.Running, fleet.Cancelling:
		return "on " + orDefault(r.Host, r.Owner)
	case fleet.Recovering:
		if r.Remains != "" { // it is known what is left of it
			return "a worker removes what it left"
		}
		return "its worker on " + orDefault(r.Host, r.Owner) + " is gone"
	}
	if text := saidOf(r); text != "" {
		return render.Shorten(text, 80)
	}
	return string(r.State)
}

// saidOf is what came of a run, in full.
func saidOf(r fleet.Run) string {
	return strings.Join(strings.Fields(orDefault(r.Headline, r.Error)), " ")
}

// jobLine is a run in a line, for what is watched.
func jobLine(r fleet.Run) string {
	what := whatOf(r)
	if r.State.Over() {
		what = orDefault(saidOf(r), what) // nothing stands beside it that it has to leave room for
	}
	return printable(fmt.Sprintf("%s  %s: %s: %s", r.ID, r.Tunnel, orDefault(r.Outcome, string(r.State)), what))
}

// completionLimit is how long a shell waits for the database before it offers nothing.
const completionLimit = time.Second

// completeJobs offers the runs that are not over, with their tunnels and states.
func (a *app) completeJobs(f *databaseFlags) cobra.CompletionFunc {
	return func(c *cobra.Command, typed []string, _ string) ([]string, cobra.ShellCompDirective) {
		const only = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
		settings, err := f.settings(a)
		if err != nil || settings.DBPassword.Asks() || settings.DBPassword.Runs() {
			return nil, only
		}
		ctx, cancel := context.WithTimeout(a.interrupts.ctx, completionLimit)
		defer cancel()
		o, err := a.storeOptions(ctx, settings)
		o.NoMigrate = true
		if err != nil || !fleet.Exists(o) {
			return nil, only
		}
		s, err := fleet.Open(ctx, o)
		if err != nil {
			return nil, only
		}
		defer s.Close()
		runs, err := s.Jobs(ctx, "")
		var offered []string
		for _, r := range runs {
			if err == nil && !slices.Contains(typed, r.ID) {
				offered = append(offered, cobra.CompletionWithDesc(r.ID, printable(r.Tunnel)+", "+string(r.State)))
			}
		}
		return offered, only
	}
}

func (a *app) cancelCommand() *cobra.Command {
	var f databaseFlags
	c := &cobra.Command{
		Use:   "cancel RUN...",
		Short: "Take runs back: those that wait, and those under way, whose routers are cleaned",
		Long: `A run that waits is cancelled. Of one that is under way the worker takes back at once what it
made on the routers; moncap jobs shows when that is done. A run that is over stays as it is.

EXIT STATUS
  0   all of them are cancelled, or will be
  4   the database cannot be reached
  64  wrong usage, no such run, or one that is over`,
		Example:           "  moncap cancel 20261129-101500-ab12cd",
		Args:              wants(1, -1),
		ValidArgsFunction: a.completeJobs(&f),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withStore(cmd.Context(), &f, func(s *fleet.Store) error {
				runs, err := s.Cancel(cmd.Context(), a.who(), args...)
				if err != nil {
					return err
				}
				a.fact("runs", jobsOf(runs))
				a.done = &unsaid{exitFailed, "the runs that were not over are taken back",
					"moncap jobs shows what is not yet taken back"}
				var over []string
				for _, r := range runs {
					switch r.State {
					case fleet.Cancelled:
						fmt.Fprintf(a.stdout, "%s  %s: cancelled\n", r.ID, printable(r.Tunnel))
					case fleet.Cancelling:
						fmt.Fprintf(a.stdout, "%s  %s: being taken back by the worker on %s\n",
							r.ID, printable(r.Tunnel), printable(orDefault(r.Host, r.Owner)))
					default:
						over = append(over, fmt.Sprintf("%s (%s)", r.ID, r.State))
					}
				}
				if len(over) > 0 {
					return usageError(fmt.Errorf("cancel: it cannot be taken back any more: %s",
						strings.Join(over, ", ")))
				}
				return nil
			})
		},
	}
	f.register(c)
	return a.withFormat(c)
}

func (a *app) approveCommand() *cobra.Command {
	var f databaseFlags
	c := &cobra.Command{
		Use:   "approve RUN...",
		Short: "Agree to runs of tunnels that need a second person",
		Long: `Agree to runs of tunnels with approve: four-eyes in the inventory. It has to be another account,
or one on another machine, than the one that submitted the run; both are kept in the history.

EXIT STATUS
  0   approved
  4   the database cannot be reached
  5   the answer could not be written, though a run was approved; how to take it back is printed
  64  wrong usage, no such run, a run that waits for no approval, or the same person`,
		Example:           "  moncap jobs\n  moncap approve 20261129-101500-ab12cd",
		Args:              wants(1, -1),
		ValidArgsFunction: a.completeJobs(&f),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withStore(cmd.Context(), &f, func(s *fleet.Store) error {
				for _, id := range args {
					if err := a.approve(cmd.Context(), s, id); err != nil {
						return err
					}
				}
				a.fact("runs", args)
				return nil
			})
		},
	}
	f.register(c)
	return a.withFormat(c)
}

func (a *app) approve(ctx context.Context, s *fleet.Store, id string) error {
	if err := s.Approve(ctx, id, a.who()); err != nil {
		return err
	}
	a.done = &unsaid{exitDirty, printable(id) + " was approved, and a worker does it",
		"moncap jobs shows it; moncap cancel " + printable(id) + " takes it back"}
	_, err := fmt.Fprintf(a.stdout, "%s  approved by %s\n", printable(id), printable(a.who()))
	return err
}

func (a *app) workerCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "worker",
		Short:   "The workers of the fleet",
		Example: "  moncap worker list",
		Args:    wants(0, 0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(a.workerListCommand(), a.workerDrainCommand())
	return c
}

// clockOff is how wrong a worker's clock may be against the database's without a word.
const clockOff = 5 * time.Second

// jsonWorker is a worker, in JSON.
type jsonWorker struct {
	ID        string    `json:"id"`
	Host      string    `json:"host"`
	PID       int       `json:"pid"`
	Version   string    `json:"version"`
	Sites     []string  `json:"sites"`
	Capacity  int       `json:"capacity"`
	Busy      int       `json:"busy"`
	Inventory string    `json:"inventory"` // digest of the file
	Beat      time.Time `json:"beat"`
	Alive     bool      `json:"alive"`
	Draining  bool      `json:"draining"`
	ClockMS   int64     `json:"clock_ms"` // its clock minus the database's
	Warnings  []string  `json:"warnings"`
}

func (a *app) workerListCommand() *cobra.Command {
	var f databaseFlags
	format := "text"
	c := &cobra.Command{
		Use:   "list",
		Short: "Which workers there are, what they serve, and whether they agree",
		Long: `The workers of the fleet: their sites, how many runs they do and can do at the same time, the
digest of their inventory, and when they were heard of last. Workers with different inventories, and a clock
that is wrong by more than 5 s against the database's, are pointed out; leases count by the database's clock
alone.`,
		Example: "  moncap worker list",
		Args:    wants(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf("--format", format, "text", "json"); err != nil {
				return err
			}
			return a.withStore(cmd.Context(), &f, func(s *fleet.Store) error {
				workers, err := s.Workers(cmd.Context())
				if err != nil {
					return err
				}
				listed := listWorkers(workers)
				if format == "json" {
					return writeJSON(a.stdout, listed)
				}
				return a.printWorkers(listed)
			})
		},
	}
	f.register(c)
	c.Flags().StringVarP(&format, "format", "f", format, "text or json")
	mustComplete(c, "format", []string{"text", "json"})
	return c
}

func listWorkers(workers []fleet.Worker) []jsonWorker {
	listed := []jsonWorker{}
	digests := map[string]bool{}
	for _, w := range workers {
		if w.Alive {
			digests[w.Inventory] = true
		}
	}
	for _, w := range workers {
		j := jsonWorker{
			ID: w.ID, Host: w.Host, PID: w.PID, Version: w.Version, Sites: slices.Clone(w.Sites),
			Capacity: w.Capacity, Busy: w.Busy, Inventory: w.Inventory, Beat: w.Beat, Alive: w.Alive,
			Draining: w.Draining, ClockMS: w.ClockOff.Milliseconds(), Warnings: []string{},
		}
		if w.ClockOff.Abs() > clockOff {
			j.Warnings = append(j.Warnings, fmt.Sprintf("its clock is %s off the database's",
				w.ClockOff.Round(time.Second)))
		}
		if w.Alive && len(digests) > 1 {
			j.Warnings = append(j.Warnings, "another worker has another inventory")
		}
		if w.Alive && w.Version != versionString() {
			j.Warnings = append(j.Warnings, "it is moncap "+w.Version)
		}
		listed = append(listed, j)
	}
	return listed
}

func (a *app) printWorkers(workers []jsonWorker) error {
	if len(workers) == 0 {
		_, err := fmt.Fprintf(a.stdout, "there is no worker: %s is one\n", a.asGiven("moncap serve"))
		return err
	}
	w := a.newTable(a.stdout)
	fmt.Fprintln(w, "WORKER\tHOST\tPID\tSITES\tRUNS\tINVENTORY\tSTATE\tHEARD")
	for _, j := range workers {
		state := "works"
		switch {
		case !j.Alive:
			state = "gone"
		case j.Draining:
			state = "drains"
		}
		named := slices.DeleteFunc(slices.Clone(j.Sites), func(s string) bool { return s == "" })
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%d of %d\t%.8s\t%s\t%s ago\n", printable(j.ID), printable(j.Host), j.PID,
			orDefault(printable(strings.Join(named, ",")), "-"), j.Busy, j.Capacity, printable(j.Inventory), state,
			roughly(time.Since(j.Beat)))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, j := range workers {
		for _, text := range j.Warnings {
			a.warn("%s: %s", j.ID, text)
		}
	}
	return nil
}

func (a *app) workerDrainCommand() *cobra.Command {
	var f databaseFlags
	c := &cobra.Command{
		Use:   "drain WORKER",
		Short: "Have a worker begin no more runs, and end when those it has are over",
		Long: `Have a worker begin no more runs; the captures that it has go on to their end. Then its process
ends with 0, so that it can be replaced by a newer one.`,
		Example:           "  moncap worker list\n  moncap worker drain gw1-4711",
		Args:              wants(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withStore(cmd.Context(), &f, func(s *fleet.Store) error {
				if err := s.DrainWorker(cmd.Context(), a.who(), args[0]); err != nil {
					return err
				}
				a.fact("worker", args[0])
				a.done = &unsaid{exitFailed, printable(args[0]) + " begins no more runs", "moncap worker list shows it"}
				_, err := fmt.Fprintf(a.stdout, "%s begins no more runs\n", printable(args[0]))
				return err
			})
		},
	}
	f.register(c)
	return a.withFormat(c)
}
