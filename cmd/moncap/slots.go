package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/inventory"
)

// slotPoll is how often a router is asked for again that other processes have.
const slotPoll = 250 * time.Millisecond

// busy says that other processes of this machine capture on a router.
type busy struct {
	peer string
	runs int
}

func (e *busy) Error() string {
	return fmt.Sprintf("%s: other runs on this machine have it, and its limits.runs is %d", e.peer, e.runs)
}

// Hint says how to wait for it.
func (e *busy) Hint() string {
	return "wait for them with --wait-for-router 10m, or let it do more at a time with limits.runs of the peer"
}

func (e *busy) Unwrap() error { return bundle.ErrLocked }

// stateDir is where moncap keeps what outlives a command and is no bundle (XDG Base Directory
// Specification; systemd's StateDirectory).
func (a *app) stateDir() (string, error) {
	if d := a.getenv("STATE_DIRECTORY"); d != "" {
		first, _, _ := strings.Cut(d, ":")
		return first, nil
	}
	if d := a.getenv("XDG_STATE_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "moncap"), nil
	}
	d, err := inventory.ExpandHome("~/.local/state/moncap")
	if err != nil {
		return "", fmt.Errorf("locks: %w (or set XDG_STATE_HOME)", err)
	}
	return d, nil
}

// takeRouters takes a slot of both routers of a tunnel, of as many as limits.runs says, so that the
// runs of all processes of this machine stay within it. It waits for as long as patience says.
func (a *app) takeRouters(ctx context.Context, t *inventory.Tunnel, runs map[string]int,
	patience time.Duration) (release func(), err error) {
	state, err := a.stateDir()
	if err != nil {
		return nil, &exitError{exitFailed, err}
	}
	peers := []*inventory.Peer{t.A, t.B}
	// Always in the same order: two processes that want the same two routers never
	// wait for each other.
	slices.SortFunc(peers, func(x, y *inventory.Peer) int { return strings.Compare(x.Address(), y.Address()) })
	peers = slices.CompactFunc(peers, func(x, y *inventory.Peer) bool { return x.Address() == y.Address() })
	var held []io.Closer
	release = func() {
		for _, l := range held {
			_ = l.Close() // the system gives it back in any case
		}
	}
	until := time.Now().Add(patience)
	for _, p := range peers {
		l, err := awaitSlot(ctx, filepath.Join(state, "locks"), p, orDefault(runs[p.Address()], 1), until)
		if err != nil {
			release()
			return nil, &exitError{exitFailed, err}
		}
		held = append(held, l)
	}
	return release, nil
}

// awaitSlot takes one of the n slots of a router, when one is free in time.
func awaitSlot(ctx context.Context, dir string, p *inventory.Peer, n int, until time.Time) (io.Closer, error) {
	for {
		l, err := takeSlot(dir, p.Address(), n)
		switch {
		case err == nil:
			return l, nil
		case !errors.Is(err, bundle.ErrLocked):
			return nil, fmt.Errorf("lock: %w", err)
		case time.Now().After(until):
			return nil, &busy{p.Name, n}
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(slotPoll):
		}
	}
}

// takeSlot takes one of the n slots of a router.
func takeSlot(dir, address string, n int) (io.Closer, error) {
	var err error
	for i := range n {
		var l io.Closer
		if l, err = bundle.Lock(dir, fmt.Sprintf("%s.%d", url.PathEscape(address), i)); err == nil {
			return l, nil
		}
		if !errors.Is(err, bundle.ErrLocked) {
			return nil, err
		}
	}
	return nil, err
}
