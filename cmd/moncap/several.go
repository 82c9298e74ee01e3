package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/moncap/moncap/analysis/render"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/device/inventory"
)

// several is a command that runs the playbook on more than one tunnel.
type several struct {
	app     *app // quiet
	lines   *app // as quiet as was asked
	flags   *runFlags
	c       *connector
	tunnels []*inventory.Tunnel
	board   *board // on a terminal; else nil

	mu      sync.Mutex
	reports []*report.Report // by tunnel
	codes   []int
}

// linesComeBack is how long a run waits for a terminal line that another run of
// the same command has.
const linesComeBack = 5 * time.Minute

// runSeveral runs the playbook on several tunnels. As text it prints a line for each when
// it is done; as JSON one array, as JUnit one document, of all reports at the end, in the
// order of the tunnels.
func (a *app) runSeveral(ctx context.Context, tunnels []*inventory.Tunnel, f *runFlags) error {
	if err := f.forSeveral(); err != nil {
		return err
	}
	quiet := *a
	quiet.quiet = true // several progress displays would write over each other
	quiet.lineWait, quiet.lineWaitFor = linesComeBack, sharedPeers(tunnels)
	s := &several{
		app: &quiet, lines: a, flags: f, c: a.newConnector(), tunnels: tunnels,
		reports: make([]*report.Report, len(tunnels)), codes: make([]int, len(tunnels)),
	}
	if a.drawsProgress() {
		s.board = newBoard(a.stderr, a.barColumns())
		a.screen.show(s.board)
		defer s.board.close()
	}
	limits := limitsOf(tunnels, f.name)
	var jobs []capture.Job
	for i, t := range tunnels {
		jobs = append(jobs, capture.Job{Name: t.Name, Peers: []string{t.A.Address(), t.B.Address()},
			Run: func(ctx context.Context) error {
				if a.interrupts.stopping() {
					return errNotBegun
				}
				return s.run(ctx, i)
			}})
	}
	errs := capture.RunAll(ctx, jobs, f.parallel, func(peer string) int { return limits[peer] })
	for i, err := range errs {
		if err != nil && s.reports[i] == nil {
			err = s.done(i, a.notRun("", tunnels[i].Name, &exitError{exitFailed, err}).report, "", exitFailed)
		}
		if err != nil {
			return &exitError{exitFailed, err}
		}
	}
	if err := s.write(); err != nil {
		return &exitError{exitFailed, err}
	}
	if code := worst(s.codes); code != exitOK {
		return &exitError{code: code}
	}
	return nil
}

var errNotBegun = errors.New("not begun: interrupted")

// forSeveral refuses what makes sense for one tunnel only.
func (f *runFlags) forSeveral() error {
	switch {
	case f.out != "":
		return usageError(errors.New("run: --out is for one tunnel; several have a bundle each under $MONCAP_RUNS"))
	case !slices.Contains([]string{"text", "line", "json", "junit", "prometheus"}, f.format):
		return usageError(errors.New("run: --format " + f.format + " is for one tunnel; " +
			"of several there are line, json, junit and prometheus (and moncap report BUNDLE)"))
	}
	return nil
}

// limitsOf says how many runs at a time each router takes, by its address: a router may have
// several entries, one for each of its interfaces.
func limitsOf(tunnels []*inventory.Tunnel, name string) map[string]int {
	limits := map[string]int{}
	for _, t := range tunnels {
		for _, p := range []*inventory.Peer{t.A, t.B} {
			runs := p.Limits.Runs
			if orDefault(name, t.Capture.Name) != "" {
				runs = 1 // one name on one router at a time
			}
			if l, ok := limits[p.Address()]; ok {
				runs = min(runs, l)
			}
			limits[p.Address()] = runs
		}
	}
	return limits
}

// sharedPeers are the peers on whose routers more than one of the tunnels ends.
func sharedPeers(tunnels []*inventory.Tunnel) []string {
	ends := map[string]int{}
	for _, t := range tunnels {
		ends[t.A.Address()]++
		ends[t.B.Address()]++
	}
	shared := []string{}
	for _, t := range tunnels {
		for _, p := range []*inventory.Peer{t.A, t.B} {
			if ends[p.Address()] > 1 && !slices.Contains(shared, p.Name) {
				shared = append(shared, p.Name)
			}
		}
	}
	return shared
}

func (s *several) run(ctx context.Context, i int) error {
	own, tunnel := *s.app, s.tunnels[i].Name
	if s.board != nil {
		own.view = func() progressView { return s.board.line(tunnel) }
	} else {
		s.lines.progress("%s: begun", tunnel)
	}
	before := own.lastRun(tunnel, s.flags.onChange)
	d, dir, err := own.perform(ctx, s.c, s.tunnels[i], s.flags)
	s.lines.tellChange(ctx, s.flags.onChange, before, d.report)
	code := d.report.Verdict.ExitCode
	if err != nil {
		code = exitCode(err)
	}
	s.lines.remember(ctx, dir, d.report, code, err)
	return s.done(i, d.report, dir, code)
}

// done keeps what came of a tunnel, and says it in a line: on stdout, unless a
// document comes there.
func (s *several) done(i int, r *report.Report, dir string, code int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reports[i], s.codes[i] = r, code
	defer s.app.screen.clear()()
	if s.documented() {
		s.lines.progress("%s", lineOf(r, dir))
		return nil
	}
	if s.flags.quietOK && code == exitOK {
		return nil
	}
	_, err := fmt.Fprintln(s.app.stdout, lineOf(r, dir))
	return err
}

// documented says whether the reports themselves are wanted, and not a line for each as they come.
func (s *several) documented() bool {
	return s.flags.file != "" || s.flags.format != "text" && s.flags.format != "line"
}

// write writes the reports of all tunnels, unless their lines were all that was asked for.
func (s *several) write() error {
	if !s.documented() || s.flags.quietOK && s.flags.toStdout() && worst(s.codes) == exitOK {
		return nil
	}
	if s.flags.format == "prometheus" {
		return s.app.showRunMetrics(s.flags.file)
	}
	return s.app.writeTo(s.flags.file, func(w io.Writer) error {
		switch s.flags.format {
		case "json":
			return report.WriteAll(w, s.reports)
		case "junit":
			return render.JUnitAll(w, s.reports)
		}
		for _, r := range s.reports {
			if s.flags.format == "line" {
				if _, err := fmt.Fprintln(w, lineOf(r, "")); err != nil {
					return err
				}
				continue
			}
			if err := render.Text(w, r, s.app.textOptions(false)); err != nil {
				return err
			}
		}
		return nil
	})
}
