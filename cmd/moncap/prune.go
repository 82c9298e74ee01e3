package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/capture/bundle"
)

// keepRules say which runs of each tunnel stay.
type keepRules struct {
	last, daily, failed int
}

func (a *app) pruneCommand() *cobra.Command {
	var keep keepRules
	dryRun := false
	c := &cobra.Command{
		Use:   "prune",
		Short: "Delete old runs from this disk",
		Long: `Delete the runs of each tunnel that no rule keeps. A run that has, or may have, something on its routers is never
deleted, and neither is one that goes on, nor the latest run of a tunnel that has a report.`,
		Example: "  moncap runs prune --keep-daily 30 --keep-failed 12 --dry-run",
		Args:    wants(0, 0),
		RunE: func(*cobra.Command, []string) error {
			if keep == (keepRules{}) {
				return usageError(errors.New("runs prune: want --keep-last, --keep-daily or --keep-failed"))
			}
			if keep.last < 0 || keep.daily < 0 || keep.failed < 0 {
				return usageError(errors.New("runs prune: want numbers from 0"))
			}
			return a.prune(keep, dryRun)
		},
	}
	c.Flags().IntVar(&keep.last, "keep-last", 0, "the latest runs of each tunnel")
	c.Flags().IntVar(&keep.daily, "keep-daily", 0, "the latest run of each of the last days that have one")
	c.Flags().IntVar(&keep.failed, "keep-failed", 0, "the latest runs in which the tunnel was not up")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "list what would be deleted")
	return c
}

func (a *app) prune(keep keepRules, dryRun bool) error {
	runs, err := a.history("")
	if err != nil {
		return &exitError{exitFailed, err}
	}
	kept := keep.choose(runs)
	word := "deleted"
	if dryRun {
		word = "would delete"
	}
	var errs []error
	var n, bytes int64
	folders := []string{}
	for _, p := range runs {
		if kept[p] {
			continue
		}
		if !dryRun {
			if err := deleteRun(p.Bundle); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		n, bytes = n+1, bytes+p.Bytes
		folders = append(folders, p.Bundle)
		fmt.Fprintf(a.stdout, "%s %s\n", word, printable(p.Bundle))
	}
	a.fact("runs", len(runs))
	a.fact("deleted", folders)
	a.fact("dry_run", dryRun)
	fmt.Fprintf(a.stdout, "%s %d of %d runs, %s\n", word, n, len(runs), kilobytes(bytes))
	if err := errors.Join(errs...); err != nil {
		return &exitError{exitFailed, err}
	}
	return nil
}

// choose returns the runs that stay. runs are in order, the latest first.
func (k keepRules) choose(runs []*pastRun) map[*pastRun]bool {
	type tally struct {
		last, failed int
		good         bool
		days         map[string]bool
	}
	kept, tallies := map[*pastRun]bool{}, map[string]*tally{}
	for _, p := range runs {
		t := tallies[p.Tunnel]
		if t == nil {
			t = &tally{days: map[string]bool{}}
			tallies[p.Tunnel] = t
		}
		if len(p.Open) > 0 || p.Outcome == unfinished {
			kept[p] = true
			continue
		}
		if t.last < k.last {
			t.last++
			kept[p] = true
		}
		if !t.good && p.judged() {
			t.good = true
			kept[p] = true
		}
		if day := p.Started.Local().Format("2006-01-02"); p.judged() && !t.days[day] && len(t.days) < k.daily {
			t.days[day] = true
			kept[p] = true
		}
		if !p.up() && t.failed < k.failed {
			t.failed++
			kept[p] = true
		}
	}
	return kept
}

// deleteRun deletes a bundle. It is locked meanwhile, so that nobody goes on with it, and looked at
// once more.
func deleteRun(dir string) error {
	b, err := bundle.Resume(dir)
	if err != nil {
		return err
	}
	open := openOf(b)
	if len(open) > 0 {
		return errors.Join(fmt.Errorf("%s: something is open in its journal: not deleted", dir), b.Close())
	}
	// The folder goes first from the list of runs: a half-deleted one is found by nobody.
	gone := filepath.Join(filepath.Dir(dir), ".deleted-"+filepath.Base(dir))
	if err := os.Rename(dir, gone); err != nil {
		return errors.Join(err, b.Close())
	}
	return errors.Join(b.Close(), os.RemoveAll(gone))
}
