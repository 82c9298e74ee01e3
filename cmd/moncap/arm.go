package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/capture/fleet"
	"github.com/moncap/moncap/device/inventory"
)

// armCommandFlags are those of arm, which has the fleet's workers do it.
type armCommandFlags struct {
	armFlags
	databaseFlags
	reason, change string
}

func (a *app) armCommand() *cobra.Command {
	var f armCommandFlags
	c := &cobra.Command{
		Use:   "arm TUNNEL",
		Short: "Flight recorder of the fleet: a worker captures until something happens to the tunnel",
		Long: `Write a run into the fleet's database that captures on both routers in circular buffers until something happens to the
tunnel, as moncap watch does. A worker (moncap serve) does it, with a lease and a journal as any run, and another one goes
on when it is lost. moncap jobs shows it; moncap disarm takes it back; what it caught is in the history.

An armed tunnel holds one of each router's limits.runs all the time: 2 lets other runs work beside it. An urgent run
(submit --priority urgent) that waits for its routers has it collected, and it is armed again behind that one. Events that
moncap serve hears of, by log lines or hooks, are told to the armed run of their tunnel instead of starting another.
` + eventHelp + `

EXIT STATUS
  0   it is written down, and armed as soon as both routers are free
  4   the database cannot be reached
  5   the answer could not be written, though the tunnel is armed, or will be; how to take it back is printed
  64  wrong usage or inventory, there is no database, or the tunnel is armed already`,
		Example:           "  moncap arm hq-branch\n  moncap arm hq-branch --for 240h --again 5 --reason \"drops at night\"",
		Args:              wants(1, 1),
		ValidArgsFunction: a.completeTunnel,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(true); err != nil { // what serve hears is told to it
				return err
			}
			if err := oneLineEach(map[string]string{"reason": f.reason, "change": f.change}); err != nil {
				return err
			}
			t, err := a.loadTunnel(args[0])
			if err != nil {
				return err
			}
			return a.withStore(cmd.Context(), &f.databaseFlags,
				func(s *fleet.Store) error { return a.arm(cmd.Context(), s, t, &f) })
		},
	}
	f.armFlags.register(c)
	f.databaseFlags.register(c)
	c.Flags().StringVar(&f.reason, "reason", "", "why, for the history")
	c.Flags().StringVar(&f.change, "change", "", "id of the change or ticket, for the history")
	return a.withFormat(c)
}

// oneLineEach refuses texts for the history that are none.
func oneLineEach(texts map[string]string) error {
	for flag, text := range texts {
		if len(text) > 500 || text != printable(text) || strings.Contains(text, "\n") {
			return usageError(fmt.Errorf("--%s: want a line of at most 500 characters", flag))
		}
	}
	return nil
}

func (a *app) arm(ctx context.Context, s *fleet.Store, t *inventory.Tunnel, f *armCommandFlags) error {
	before, err := s.ArmedRuns(ctx, t.Name)
	if err != nil {
		return err
	}
	if len(before) > 0 {
		return usageError(&hinted{fmt.Errorf("%s: it is armed already, by run %s of %s", t.Name, before[0].ID, before[0].By),
			"moncap disarm " + t.Name + " takes it back"})
	}
	p, err := f.plan(t, newRunID(time.Now()), f.lasts)
	if err != nil {
		return err
	}
	slotA, slotB := slotsOf(t, "")
	r := fleet.Request{
		Plan: p, Site: t.Site, A: slotA, B: slotB, Priority: fleet.Normal, Attempts: 1,
		Approve: t.Approve == inventory.ApproveFourEyes,
		Reason:  f.reason, Change: f.change, By: a.who(), Cause: fleet.ArmedCause(time.Now().Add(f.lasts), f.again),
	}
	if err := s.Submit(ctx, r); err != nil {
		return err
	}
	for _, slot := range []fleet.Slot{slotA, slotB} {
		if slot.Runs < 2 {
			a.progress("%s bears one run at a time (limits.runs): others wait until the tunnel is disarmed, but for urgent ones",
				printable(slot.Router))
		}
	}
	return a.saySubmitted(ctx, s, []fleet.Request{r}, false)
}

func (a *app) disarmCommand() *cobra.Command {
	var f databaseFlags
	c := &cobra.Command{
		Use:   "disarm TUNNEL...",
		Short: "Take armed tunnels back: nothing is fetched, the routers are cleaned",
		Long: `Take back the runs of tunnels that moncap arm armed: those that wait, and those whose captures run, which are thrown
away. What was captured is fetched instead by moncap stop of the run's bundle, on the worker's machine.

EXIT STATUS
  0   all of them are disarmed, or will be in a moment
  4   the database cannot be reached
  64  wrong usage, or a tunnel that is not armed`,
		Example:           "  moncap disarm hq-branch",
		Args:              wants(1, -1),
		ValidArgsFunction: a.completeTunnels,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withStore(cmd.Context(), &f, func(s *fleet.Store) error { return a.disarm(cmd.Context(), s, args) })
		},
	}
	f.register(c)
	return a.withFormat(c)
}

func (a *app) disarm(ctx context.Context, s *fleet.Store, tunnels []string) error {
	var errs []error
	all := []jsonJob{}
	for _, name := range tunnels {
		runs, err := s.ArmedRuns(ctx, name)
		if err != nil {
			return err
		}
		if len(runs) == 0 {
			errs = append(errs, usageError(fmt.Errorf("%s: it is not armed", printable(name))))
			continue
		}
		ids := make([]string, len(runs))
		for i, r := range runs {
			ids[i] = r.ID
		}
		after, err := s.Cancel(ctx, a.who(), ids...)
		if err != nil {
			return err
		}
		a.done = &unsaid{exitFailed, printable(name) + " is disarmed, or will be in a moment",
			"moncap jobs shows what is not yet taken back"}
		for _, r := range after {
			word := "disarmed"
			if r.State == fleet.Cancelling {
				word = "being taken back by the worker on " + orDefault(r.Host, r.Owner)
			}
			fmt.Fprintf(a.stdout, "%s  %s: %s\n", r.ID, printable(r.Tunnel), printable(word))
			all = append(all, jobOf(r))
		}
	}
	a.fact("runs", all)
	return errors.Join(errs...)
}
