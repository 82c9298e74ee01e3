package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device"
	"github.com/moncap/moncap/device/inventory"
)

// endpointOf is a peer as the playbook needs it.
func endpointOf(p *inventory.Peer) capture.Endpoint {
	return capture.Endpoint{
		Name: p.Name, Address: p.WAN.Address, NATAddress: p.WAN.NATAddress, Interface: p.WAN.Interface, Also: p.WAN.Also,
		VRF:      p.WAN.VRF,
		Platform: p.Platform, ExpectHostname: p.ExpectHostname,
		Limits: capture.Limits{MaxCPU: p.Limits.CPUPercent, MaxMemory: p.Limits.MemoryPercent, MaxSkew: p.Limits.ClockSkew,
			Runs: p.Limits.Runs},
	}
}

// newRunID is the time and six random characters, which name what the run makes on the routers.
func newRunID(now time.Time) string {
	b := make([]byte, 3)
	_, _ = rand.Read(b) // it never fails, as crypto/rand says
	return now.UTC().Format("20060102-150405") + "-" + hex.EncodeToString(b)
}

// sessions are the routers of one tunnel, and what has to be closed after them.
type sessions struct {
	a, b    *device.Router
	closers []io.Closer
	freed   func() // gives the memory back
}

func (s *sessions) hosts() capture.Hosts { return capture.Hosts{A: s.a, B: s.b} }

func (s *sessions) Close() error {
	defer s.freed()
	errs := []error{s.a.Close(), s.b.Close()}
	for _, c := range s.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// connector makes the routers of all tunnels of one command, so that a refused credential is
// refused for all of them.
type connector struct {
	app     *app
	resumes bool // a run is gone on with: what cannot be recorded must not keep it from being undone
	lockout *device.Lockout
	ask     *asker
}

func (a *app) newConnector() *connector {
	if a.uploadPassword.ref.IsZero() {
		_ = a.uploadPassword.Set("ask") // it is a reference
	}
	return &connector{app: a, lockout: device.NewLockout(), ask: &asker{app: a}}
}

// open prepares the two routers of a tunnel. Nothing is dialled before the first command. Their
// transcripts go to the bundle.
func (c *connector) open(t *inventory.Tunnel, b *bundle.Bundle) (*sessions, error) {
	s := &sessions{freed: c.app.heap.during(forRouters)}
	for i, peer := range []*inventory.Peer{t.A, t.B} {
		transcript := io.Discard
		switch f, err := b.AppendTranscript(bundle.Sides()[i]); {
		case err == nil:
			s.closers = append(s.closers, f)
			transcript = f
		case c.resumes:
			c.app.progress("%s", printable("what is said with "+peer.Name+" is not recorded: "+err.Error()))
		default:
			return nil, errors.Join(err, s.closeAll())
		}
		r := c.router(peer, transcript)
		if i == 0 {
			s.a = r
		} else {
			s.b = r
		}
	}
	return s, nil
}

func (s *sessions) closeAll() error {
	defer s.freed()
	var errs []error
	for _, c := range s.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

func (c *connector) router(p *inventory.Peer, transcript io.Writer) *device.Router {
	o := device.Options{Ask: c.ask.ask, Record: transcript, Log: c.app.logger().With("peer", p.Name), Lockout: c.lockout,
		UploadPassword: c.app.uploadPassword.ref}
	if c.app.tune != nil {
		c.app.tune(&o, nil)
	}
	return device.New(*p, o)
}

// asker reads what the operator types. Two routers may ask at once, so it takes turns. A secret of
// the inventory is asked for once; what a login asks beside it, a one-time password for instance,
// is asked anew every time.
type asker struct {
	app   *app
	mu    sync.Mutex
	typed map[string]string
}

func (k *asker) ask(prompt string, echo bool) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	lasting := !echo && (strings.HasPrefix(prompt, "Password for ") || strings.HasPrefix(prompt, "Enable secret of ") ||
		strings.HasPrefix(prompt, "Passphrase of "))
	if s, ok := k.typed[prompt]; ok && lasting {
		return s, nil
	}
	s, err := k.app.readLine(prompt, echo)
	if err != nil {
		return "", err
	}
	if k.typed == nil {
		k.typed = map[string]string{}
	}
	k.typed[prompt] = s
	return s, nil
}

// runsDir is where bundles go when nothing else is said.
func (a *app) runsDir() string {
	if d := a.getenv("MONCAP_RUNS"); d != "" {
		return d
	}
	return "runs"
}

// createBundle makes the folder of a run: dir, or a new one under the folder of runs.
func (a *app) createBundle(dir, tunnel, runID string) (*bundle.Bundle, error) {
	if dir == "" {
		dir = filepath.Join(a.runsDir(), tunnel+"-"+runID)
	}
	b, err := bundle.Create(dir)
	if _, ofTheSystem := errors.AsType[*fs.PathError](err); ofTheSystem {
		return nil, &exitError{exitFailed,
			&hinted{err, "the folder of runs is $MONCAP_RUNS, or runs in the current folder; --out names another"}}
	}
	if err != nil {
		return nil, usageError(err)
	}
	return b, nil
}

// findBundle takes a bundle's folder, the id of a run, or the name of a tunnel: then it is the
// tunnel's latest run that has something to show, and it is said when later ones came to nothing.
func (a *app) findBundle(ctx context.Context, arg string) (string, error) {
	if isBundle(arg) {
		return arg, nil
	}
	found, err := a.latestOf(ctx, arg, 1)
	if err != nil {
		return "", err
	}
	return a.folderOf(ctx, found[0])
}

// latestOf returns the n latest runs of a tunnel that have something to show, the latest first.
// When only one is wanted and there is none, it is the latest of all, which says why.
func (a *app) latestOf(ctx context.Context, tunnel string, n int) ([]*pastRun, error) {
	runs, err := a.everyRun(ctx, "")
	if err != nil {
		return nil, usageError(err)
	}
	var own []*pastRun
	for _, p := range runs {
		if p.ID == tunnel && n == 1 {
			return []*pastRun{p}, nil
		}
		if p.Tunnel == tunnel {
			own = append(own, p)
		}
	}
	good, failed := latestJudged(own, n)
	switch {
	case len(own) == 0:
		return nil, a.noRun(tunnel)
	case len(good) == 0 && n == 1:
		return own[:1], nil
	case len(good) < n:
		return nil, usageError(fmt.Errorf("%s: it has %s with captures in %s, and %d are wanted",
			tunnel, counted(len(good), "run"), a.runsDir(), n))
	}
	for _, p := range failed {
		a.progress("a later run came to nothing: %s", p.whatFailed())
	}
	return good, nil
}

func (a *app) noRun(tunnel string) error {
	err := fmt.Errorf("%s: neither a bundle's folder nor a tunnel with a run in %s", tunnel, a.runsDir())
	return usageError(&hinted{err, "moncap runs lists the runs; set $MONCAP_RUNS to where they are kept"})
}

// findOpenBundle is findBundle for what goes on with a run: of a tunnel's runs it takes the latest
// with something on its routers, since a later one may have failed without leaving anything.
func (a *app) findOpenBundle(arg string) (string, error) {
	if isBundle(arg) {
		return arg, nil
	}
	open, err := a.openRuns(arg)
	if err != nil || len(open) == 0 {
		return a.latestRun(arg, func(*bundle.Bundle) bool { return true })
	}
	return open[len(open)-1], nil
}

// openRuns lists the runs of a tunnel, or of all, that may have left something on a router: the
// oldest first. A folder that does not say whose run it holds counts for the tunnel that it is
// named after.
func (a *app) openRuns(tunnel string) ([]string, error) {
	entries, err := os.ReadDir(a.runsDir())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	type openRun struct {
		dir string
		at  time.Time
	}
	var open []openRun
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		dir := filepath.Join(a.runsDir(), e.Name())
		of, at, closed := accounted(dir)
		if of == "" && strings.HasPrefix(e.Name(), tunnel+"-") {
			of = tunnel
		}
		if !closed && (tunnel == "" || of == tunnel) {
			open = append(open, openRun{dir, at})
		}
	}
	slices.SortStableFunc(open, func(x, y openRun) int { return x.at.Compare(y.at) })
	dirs := make([]string, len(open))
	for i, o := range open {
		dirs[i] = o.dir
	}
	return dirs, nil
}

// knownOpen is openRuns of all tunnels, for a run that can do without.
func (a *app) knownOpen() []string {
	open, err := a.openRuns("")
	if err != nil {
		return nil
	}
	return open
}

// accounted says of which tunnel the run in a folder is, and whether it is proven to have left
// nothing. A folder that is no bundle has left nothing.
func accounted(dir string) (tunnel string, at time.Time, closed bool) {
	b, err := bundle.Open(dir)
	if err != nil {
		return "", at, !errors.Is(err, bundle.ErrNoRun)
	}
	defer b.Close()
	if r, err := b.Run(); err == nil {
		tunnel, at = r.Tunnel, r.Started
	}
	_, proven, err := capture.Outstanding(b, "")
	return tunnel, at, err == nil && proven
}

// isBundle says whether a run was begun in the folder, whatever became of it.
func isBundle(dir string) bool {
	return slices.ContainsFunc([]string{"run.json", "journal.jsonl", ".lock"},
		func(name string) bool { return exists(filepath.Join(dir, name)) })
}

// latestRun returns the folder of the latest run of a tunnel that is wanted.
func (a *app) latestRun(tunnel string, wanted func(*bundle.Bundle) bool) (string, error) {
	entries, err := os.ReadDir(a.runsDir())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	latest, at := "", time.Time{}
	for _, e := range entries {
		b, err := bundle.Open(filepath.Join(a.runsDir(), e.Name()))
		if err != nil {
			continue
		}
		r, err := b.Run()
		if err == nil && r.Tunnel == tunnel && r.Started.After(at) && wanted(b) {
			latest, at = b.Dir(), r.Started
		}
		if err := b.Close(); err != nil {
			return "", err
		}
	}
	if latest == "" {
		return "", a.noRun(tunnel)
	}
	return latest, nil
}

// runFailure gives the error of a run its exit code.
func runFailure(err error) error {
	if err == nil {
		return nil
	}
	if _, dirty := errors.AsType[*capture.DirtyError](err); dirty {
		return &exitError{exitDirty, err}
	}
	return &exitError{exitFailed, err}
}
