package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/capture/bundle"
)

type cleanFlags struct {
	dryRun, all, yes bool
	name, orphans    string
}

func (a *app) cleanCommand() *cobra.Command {
	var f cleanFlags
	c := &cobra.Command{
		Use:   "clean BUNDLE|TUNNEL",
		Short: "Remove what an interrupted run left on the routers",
		Long: `Finish a run that was killed or lost its routers: look on both for everything that it may have made, and remove, in
reverse order, what is seen to be the run's, and nothing else. Of a tunnel, every run with something open is cleaned. Of a
run of the fleet, by its id, a worker of its site does so, and gives its routers free.
Running it again does no harm: a bundle that proves that nothing is left is not asked about again.`,
		Example: "  moncap clean runs/hq-branch-20261123-101500-ab12cd\n  moncap clean hq-branch --dry-run\n" +
			"  moncap clean --all\n  moncap clean --orphans site-a",
		Args:              wants(0, 1),
		ValidArgsFunction: a.completeRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			if ofFleet, err := a.cleanOfFleet(cmd.Context(), args, f); ofFleet || err != nil {
				return err
			}
			a.database = nil // what is not the fleet's is on this disk
			dirs, err := a.toClean(cmd.Context(), f, args)
			if err != nil {
				return err
			}
			if f.orphans != "" {
				return a.cleanOrphans(cmd.Context(), f)
			}
			return a.cleanEach(cmd.Context(), dirs, f)
		},
	}
	nameFlag(c, &f.name)
	a.registerOptional(c)
	a.registerPatience(c)
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "list what would be removed and connect to nothing")
	c.Flags().BoolVar(&f.all, "all", false, "every run in the folder of runs that has something open")
	c.Flags().StringVar(&f.orphans, "orphans", "",
		"`PEER` on which to look for what runs made whose bundles are not here; asks before each is removed")
	c.Flags().BoolVar(&f.yes, "yes", false, "with --orphans: do not ask; captures that run are left alone")
	if err := c.RegisterFlagCompletionFunc("orphans", a.completePeers); err != nil {
		panic(err) // the flag was defined a few lines above
	}
	return c
}

// toClean lists the folders of the runs that are meant.
func (a *app) toClean(ctx context.Context, f cleanFlags, args []string) ([]string, error) {
	asked := len(args)
	if f.all {
		asked++
	}
	if f.orphans != "" {
		asked++
	}
	switch {
	case asked != 1:
		return nil, usageError(errors.New("clean: want one of BUNDLE, TUNNEL, --all and --orphans PEER"))
	case f.orphans != "":
		return nil, nil
	case f.all:
		return a.openRuns("")
	case isBundle(args[0]):
		return args, nil
	}
	open, err := a.openRuns(args[0])
	if err != nil || len(open) > 0 {
		return open, err
	}
	dir, err := a.findBundle(ctx, args[0])
	return []string{dir}, err
}

// cleanEach cleans one run after the other, and goes on after one that could not be.
func (a *app) cleanEach(ctx context.Context, dirs []string, f cleanFlags) error {
	if len(dirs) == 0 {
		_, err := fmt.Fprintf(a.stdout, "nothing is open in %s\n", printable(a.runsDir()))
		return err
	}
	var errs []error
	code := 0
	for _, dir := range dirs {
		if len(dirs) > 1 {
			if _, err := fmt.Fprintf(a.stdout, "%s:\n", printable(dir)); err != nil {
				return err
			}
		}
		err := a.cleanBundle(ctx, dir, f)
		if f.all && errors.Is(err, bundle.ErrLocked) { // its run goes on
			a.progress("%s", printable(err.Error()))
			continue
		}
		if err == nil {
			continue
		}
		errs = append(errs, err)
		if now := exitCode(err); code == 0 || now == exitDirty {
			code = now
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return &exitError{code, errors.Join(errs...)}
}

func (a *app) cleanBundle(ctx context.Context, dir string, f cleanFlags) error {
	b, err := openToClean(dir, f.dryRun)
	switch {
	case errors.Is(err, bundle.ErrNothingBegun):
		_, err := fmt.Fprintln(a.stdout, "nothing was begun")
		return err
	case errors.Is(err, bundle.ErrNoRun):
		return &exitError{exitDirty, &hinted{err, "the journal says what was made, but not on which routers' interfaces " +
			"and with what: look for what it names, or let moncap find it: moncap clean --orphans PEER"}}
	case err != nil:
		return usageError(err)
	}
	defer b.Close()
	left, proven, err := capture.Outstanding(b, f.name)
	switch {
	case err != nil:
		return runFailure(err)
	case proven:
		_, err := fmt.Fprintln(a.stdout, "nothing was left")
		return err
	case f.dryRun:
		return a.tellOutstanding(b, left)
	}
	r, err := a.goOn(ctx, b, f.name, capture.Clean)
	if r == nil {
		return err
	}
	a.fact("removed", thingsOf(r.Removed))
	for _, l := range r.Removed {
		if _, err := fmt.Fprintf(a.stdout, "%s: removed %s\n", l.Peer, l.What); err != nil {
			return err
		}
	}
	if len(r.Removed) == 0 && err == nil {
		_, err = fmt.Fprintln(a.stdout, "nothing was left")
	}
	return err
}

func openToClean(dir string, reading bool) (*bundle.Bundle, error) {
	if reading {
		return bundle.Open(dir)
	}
	return bundle.Resume(dir)
}

// tellOutstanding says what clean would do, in its words, and ends as it would as far
// as the bundle tells.
func (a *app) tellOutstanding(b *bundle.Bundle, left []capture.Leftover) error {
	var odd []capture.Leftover
	for _, l := range slices.Backward(left) {
		would := "would remove"
		switch l.Reason {
		case capture.ReasonJournal:
			odd = append(odd, l)
			continue
		case capture.ReasonUnknown:
			would = "would look for"
		}
		if strings.HasPrefix(l.What, runningCapture) { // it goes with its capture point
			continue
		}
		if _, err := fmt.Fprintf(a.stdout, "%s: %s %s\n", l.Peer, would, l.What); err != nil {
			return err
		}
	}
	if len(odd) > 0 {
		return runFailure(&capture.DirtyError{Left: odd, Bundle: b.Dir()})
	}
	if len(left) == 0 {
		_, err := fmt.Fprintln(a.stdout,
			"would look on both routers for what the run may have left; its journal says that all of it is gone")
		return err
	}
	return nil
}

// runningCapture begins what is said of a capture that was started.
const runningCapture = "running capture "

// explainStop says what stop would do, from the bundle alone, and explainCollect
// what collect would.
func (a *app) explainStop(arg, name string) error {
	return a.explainBundle(arg, name, func(l capture.Leftover) string {
		if name, ok := strings.CutPrefix(l.What, runningCapture); ok {
			return "would stop capture point " + name
		}
		return ""
	})
}

func (a *app) explainCollect(arg, name string) error {
	return a.explainBundle(arg, name, func(l capture.Leftover) string {
		if name, ok := strings.CutPrefix(l.What, runningCapture); ok {
			return "would stop capture point " + name + " and fetch its packets"
		}
		return "would remove " + l.What
	})
}

// explainBundle lists what a step would do about all that a run left, the latest
// first, as it is done.
func (a *app) explainBundle(arg, name string, would func(capture.Leftover) string) error {
	dir, err := a.findOpenBundle(arg)
	if err != nil {
		return err
	}
	b, err := bundle.Open(dir)
	if err != nil {
		return usageError(err)
	}
	defer b.Close()
	if err := capture.Over(b, name); err != nil {
		return runFailure(showsReport(arg, err))
	}
	left, proven, err := capture.Outstanding(b, name)
	if err != nil {
		return runFailure(err)
	}
	if proven {
		_, err = fmt.Fprintln(a.stdout, "nothing is open in the journal of", printable(dir))
		return err
	}
	for _, l := range slices.Backward(left) {
		text := would(l)
		if text == "" {
			continue
		}
		if _, err := fmt.Fprintf(a.stdout, "%s: %s\n", l.Peer, text); err != nil {
			return err
		}
	}
	return nil
}
