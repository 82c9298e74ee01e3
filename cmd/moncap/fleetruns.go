package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/capture/fleet"
)

// Runs are in folders of this disk and, where there is a database of a fleet, in that too: what is
// here is read here.

// optionalStore calls f with the database that there is, if any. What goes wrong with it is said,
// and f's own error returned: who only wants the runs of this disk gets them.
func (a *app) optionalStore(ctx context.Context, f func(*fleet.Store) error) error {
	if a.database == nil {
		return nil
	}
	settings, err := a.database.settings(a)
	if err != nil {
		return err
	}
	o, err := a.storeOptions(ctx, settings)
	if err != nil || !fleet.Exists(o) {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, databaseLimit, fmt.Errorf("no answer in %s", databaseLimit))
	defer cancel()
	store, err := fleet.Open(ctx, o)
	if err != nil {
		return storeError(err)
	}
	return errors.Join(storeError(f(store)), store.Close())
}

// everyRun is history with the runs of the database that have no folder here.
func (a *app) everyRun(ctx context.Context, tunnel string) ([]*pastRun, error) {
	runs, err := a.history(tunnel)
	if err != nil {
		return nil, err
	}
	here := map[string]bool{}
	for _, p := range runs {
		here[p.ID] = true
	}
	err = a.optionalStore(ctx, func(s *fleet.Store) error {
		rows, err := s.History(ctx, fleet.HistoryFilter{Tunnel: tunnel})
		for _, r := range rows {
			if !here[r.ID] && (r.Exit >= 0 || r.State == fleet.Dirty || r.State == fleet.Failed) {
				runs = append(runs, pastRunOf(r))
			}
		}
		return err
	})
	if err != nil {
		a.warn("only the runs of this disk: %s", sentence(err))
	}
	slices.SortStableFunc(runs, func(x, y *pastRun) int { return y.Started.Compare(x.Started) })
	return runs, nil
}

// fetched is a folder with the bundle of a run that only the database has, until the program ends.
// The error wraps fleet.ErrNotFound when the database keeps no bundle of it.
func (a *app) fetched(ctx context.Context, id string) (string, error) {
	temporary, err := os.MkdirTemp("", "moncap-fetched-")
	if err != nil {
		return "", &exitError{exitFailed, err}
	}
	a.atEnd(func() error { return os.RemoveAll(temporary) })
	dir := filepath.Join(temporary, "bundle")
	err = a.optionalStore(ctx, func(s *fleet.Store) error { return s.FetchBundle(ctx, id, dir) })
	return dir, err
}

// storedReport is the report of a run as the database has it; nil when there is none.
func (a *app) storedReport(ctx context.Context, id string) (r *report.Report, err error) {
	err = a.optionalStore(ctx, func(s *fleet.Store) error {
		b, err := s.Report(ctx, id)
		if err != nil || len(b) == 0 {
			return err
		}
		r, err = report.Read(bytes.NewReader(b))
		return err
	})
	if errors.Is(err, fleet.ErrNotFound) {
		return nil, nil
	}
	return r, err
}

// folderOf is where the bundle of a run is here: its folder, or one into which it was fetched.
func (a *app) folderOf(ctx context.Context, p *pastRun) (string, error) {
	if !p.fleet {
		return p.Bundle, nil
	}
	if host, err := os.Hostname(); err == nil && host == p.host && isBundle(p.Bundle) {
		return p.Bundle, nil
	}
	dir, err := a.fetched(ctx, p.ID)
	if errors.Is(err, fleet.ErrNotFound) {
		where := ""
		if p.Bundle != "" {
			where = fmt.Sprintf("; it was %s on %s", p.Bundle, p.host)
		}
		return "", usageError(fmt.Errorf("%s: its bundle is neither here nor in the database%s: %w", p.ID, where, err))
	}
	return dir, err
}

// remember writes a run that is over into the history of the fleet, where there is one. That it
// cannot is said, and changes nothing of the run.
func (a *app) remember(ctx context.Context, dir string, r *report.Report, code int, runErr error) {
	if dir == "" || a.database == nil {
		return
	}
	ctx = context.WithoutCancel(ctx)
	err := a.optionalStore(ctx, func(s *fleet.Store) error {
		b, err := bundle.Open(dir)
		if err != nil {
			return err
		}
		defer b.Close()
		row, err := fleetReport(r, code)
		if err != nil {
			return err
		}
		return s.Record(ctx, b, row, a.who(), runErr)
	})
	if err != nil {
		a.warn("the run is not in the fleet's history: %s", sentence(err))
	}
}

// cleanOfFleet has a worker go on with a run of the fleet that left something on a router, when it
// is one.
func (a *app) cleanOfFleet(ctx context.Context, args []string, f cleanFlags) (ofFleet bool, err error) {
	if len(args) != 1 || f.dryRun || isBundle(args[0]) {
		return false, nil
	}
	id := args[0]
	err = a.optionalStore(ctx, func(s *fleet.Store) error {
		r, err := s.Run(ctx, id)
		switch {
		case errors.Is(err, fleet.ErrNotFound):
			return nil
		case err != nil:
			return err
		case r.State != fleet.Dirty:
			ofFleet, err = a.nothingToClean(r)
			return err
		}
		ofFleet = true
		if err := s.Clean(ctx, a.who(), id); err != nil {
			return err
		}
		a.done = &unsaid{exitDirty, "a worker was asked to remove what run " + id + " left",
			"moncap jobs shows when that is done"}
		a.sayNobodyServes(ctx, s, []fleet.Request{{Site: r.Site}})
		_, err = fmt.Fprintf(a.stdout,
			"%s: a worker looks at its routers, and removes what is left; %s shows when that is done\n", id,
			a.asGiven("moncap jobs"))
		return err
	})
	if err != nil && !ofFleet { // the bundles of this disk need no database
		a.warn("the fleet's database is not asked: %s", sentence(err))
		return false, nil
	}
	return ofFleet, err
}

// nothingToClean says why no worker is asked to clean a run. Of one whose bundle is on this disk
// the bundle knows more.
func (a *app) nothingToClean(r fleet.Run) (said bool, err error) {
	here, err := a.history(r.Tunnel)
	if err != nil || slices.ContainsFunc(here, func(p *pastRun) bool { return p.ID == r.ID }) {
		return false, err
	}
	switch {
	case r.State == fleet.Recovering:
		_, err = fmt.Fprintf(a.stdout, "%s: a worker is at it already; %s shows when that is done\n", r.ID,
			a.asGiven("moncap jobs"))
	case !r.State.Over():
		return true, usageError(&hinted{fmt.Errorf("run %s: it is %s, and takes back itself what it makes", r.ID, r.State),
			"moncap cancel " + r.ID + " ends it"})
	case r.Clean:
		_, err = fmt.Fprintf(a.stdout, "%s: it is clean already: nothing of it was left\n", r.ID)
	default: // it was kept on purpose, by a run that was no worker's
		err = &exitError{exitDirty, &hinted{fmt.Errorf("run %s: what it left is known to its bundle, which is on %s", r.ID,
			orDefault(r.Host, "another machine")), "moncap clean " + shellWord(r.Bundle) + " there removes it"}}
	}
	return true, err
}

// oneLine is an error in one line, without what it says twice.
type oneLine struct{ error }

func (e oneLine) Error() string {
	var parts []string
	for line := range strings.Lines(e.error.Error()) {
		if line = strings.TrimSpace(line); line != "" && !slices.Contains(parts, line) {
			parts = append(parts, line)
		}
	}
	return strings.ReplaceAll(strings.Join(parts, "; "), ":; ", ": ")
}

func (e oneLine) Unwrap() error { return e.error }
