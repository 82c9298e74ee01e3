package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/capture/bundle"
)

// orphanPatience bounds the work on one router, the operator's answers not counted.
const orphanPatience = 2 * time.Minute

// cleanOrphans removes from one router what runs made whose bundles are lost, or on another
// machine. Each is asked for.
func (a *app) cleanOrphans(ctx context.Context, f cleanFlags) error {
	inv, err := a.loadInventory()
	if err != nil {
		return err
	}
	peer, err := inv.Peer(f.orphans)
	if err != nil {
		return usageError(err)
	}
	known, err := a.knownNames()
	if err != nil {
		return err
	}
	r := a.newConnector().router(peer, io.Discard)
	defer r.Close()
	looking, cancel := context.WithTimeoutCause(ctx, orphanPatience, fmt.Errorf("it took longer than %s", orphanPatience))
	defer cancel()
	orphans, err := capture.FindOrphans(looking, r, func(name string) bool { return known[name] })
	if err != nil {
		return &exitError{exitFailed, err}
	}
	if len(orphans) == 0 {
		_, err := fmt.Fprintf(a.stdout, "%s: nothing of a run that is not known here\n", peer.Name)
		return err
	}
	left := &capture.DirtyError{}
	for _, o := range orphans {
		if err := a.cleanOrphan(ctx, r, peer.Name, o, f); err != nil {
			left.Left = append(left.Left, capture.Leftover{Peer: peer.Name, What: o.What, Remove: o.Remove(), Why: err.Error()})
		}
	}
	if len(left.Left) > 0 {
		return runFailure(left)
	}
	return nil
}

// errDeclined says that the operator wants something left.
var errDeclined = errors.New("it was not to be removed")

func (a *app) cleanOrphan(ctx context.Context, h capture.Host, peer string, o capture.Orphan, f cleanFlags) error {
	running := ""
	if o.Running {
		running = ", which runs: a run elsewhere may be waiting for it"
	}
	switch {
	case f.dryRun:
		_, err := fmt.Fprintf(a.stdout, "%s: would ask whether to remove %s%s\n", peer, o.What, running)
		return err
	case f.yes && o.Running:
		return capture.ErrRunning
	case !f.yes:
		answer, err := a.readLine(fmt.Sprintf("%s: remove %s%s? [yes/no]", peer, o.What, running), true)
		if errors.Is(err, errNoInput) {
			return errors.New("there is no terminal to ask on: --yes removes what does not run")
		}
		if err != nil {
			return err
		}
		if !strings.EqualFold(strings.TrimSpace(answer), "yes") {
			return errDeclined
		}
	}
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), orphanPatience,
		fmt.Errorf("it took longer than %s", orphanPatience))
	defer cancel()
	if err := capture.RemoveOrphan(ctx, h, o); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.stdout, "%s: removed %s\n", peer, o.What)
	return err
}

// knownNames are what the runs in the folder of runs called their things.
func (a *app) knownNames() (map[string]bool, error) {
	entries, err := os.ReadDir(a.runsDir())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	known := map[string]bool{}
	for _, e := range entries {
		b, err := bundle.Open(filepath.Join(a.runsDir(), e.Name()))
		if err != nil {
			continue // it knows no names
		}
		if r, err := b.Run(); err == nil {
			known[r.A.Capture], known[r.B.Capture] = true, true
		}
		if err := b.Close(); err != nil {
			return nil, err
		}
	}
	return known, nil
}
