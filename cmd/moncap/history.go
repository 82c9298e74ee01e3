package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/capture/bundle"
)

// pastRun is what the folder of runs tells of one of them.
type pastRun struct {
	ID         string         `json:"id"`
	Tunnel     string         `json:"tunnel"`
	Started    time.Time      `json:"started"`
	DurationMS int64          `json:"duration_ms"`
	Outcome    report.Outcome `json:"outcome"` // unfinished when nothing was judged, and no failure was written down
	Reason     report.Reason  `json:"reason,omitempty"`
	Headline   string         `json:"headline"`
	ExitCode   int            `json:"exit_code"`
	LostAtoB   *int           `json:"lost_a_to_b"` // null: only the database tells of the run
	LostBtoA   *int           `json:"lost_b_to_a"`
	SetupMS    *float64       `json:"setup_ms,omitempty"`  // of the first tunnel that came up
	OffsetMS   *float64       `json:"offset_ms,omitempty"` // between the routers' clocks
	Bytes      int64          `json:"bytes"`               // of the folder
	Open       []string       `json:"open"`                // what is, or may be, on the routers still
	Bundle     string         `json:"bundle"`

	fleet bool   // the fleet's database tells of it, and no folder here
	host  string // where its bundle is then
}

// unfinished is the outcome of a run that goes on, or whose program was killed.
const unfinished report.Outcome = "unfinished"

// name is what the run is found by: its folder, or its id where only the database has it.
func (p *pastRun) name() string {
	if p.fleet {
		return p.ID
	}
	return p.Bundle
}

// judged says whether captures were compared.
func (p *pastRun) judged() bool { return p.Outcome != report.NotRun && p.Outcome != unfinished }

// up says whether the tunnel was.
func (p *pastRun) up() bool { return p.Outcome == report.Established || p.Outcome == report.Degraded }

// history reads the runs of a tunnel, or of all when none is named; the latest first. What is no
// bundle in the folder of runs is passed over, and a bundle that cannot be read is told.
func (a *app) history(tunnel string) ([]*pastRun, error) {
	entries, err := os.ReadDir(a.runsDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("runs: %w", err)
	}
	var all []*pastRun
	for _, e := range entries {
		dir := filepath.Join(a.runsDir(), e.Name())
		if !e.IsDir() || !isBundle(dir) {
			continue
		}
		p, err := readPastRun(dir)
		if err != nil {
			a.progress("runs: %v", err)
			continue
		}
		if tunnel == "" || p.Tunnel == tunnel {
			all = append(all, p)
		}
	}
	slices.SortStableFunc(all, func(x, y *pastRun) int { return y.Started.Compare(x.Started) })
	return all, nil
}

func readPastRun(dir string) (*pastRun, error) {
	b, err := bundle.Open(dir)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	run, err := b.Run()
	if err != nil {
		return nil, err
	}
	none := 0
	p := &pastRun{
		LostAtoB: &none, LostBtoA: &none,
		ID: run.ID, Tunnel: run.Tunnel, Started: run.Started, Outcome: unfinished, Headline: run.Error, ExitCode: exitFailed,
		Open: openOf(b), Bundle: dir, Bytes: folderSize(dir),
	}
	if !run.Ended.IsZero() {
		p.DurationMS = run.Ended.Sub(run.Started).Milliseconds()
	}
	stored, err := b.Report()
	if err != nil {
		return nil, err
	}
	if len(stored) == 0 {
		switch {
		case run.Error != "":
			p.Outcome = report.NotRun
		case run.Clean && len(p.Open) == 0:
			p.Outcome, p.Reason, p.Headline = report.NotRun, report.Interrupted,
				"it was started, and cleaned before it was collected"
		}
		return p, nil
	}
	r, err := report.Read(bytes.NewReader(stored))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	p.take(r)
	if run.Error != "" && p.judged() { // the report is of what could be had; the run failed all the same
		p.ExitCode = exitFailed
		if len(p.Open) > 0 {
			p.ExitCode = exitDirty
		}
	}
	return p, nil
}

// take keeps the figures of a report.
func (p *pastRun) take(r *report.Report) {
	v := r.Verdict
	p.Outcome, p.Reason, p.Headline, p.ExitCode = v.Outcome, v.Reason, v.Headline, v.ExitCode
	p.LostAtoB, p.LostBtoA = &r.Pairs.LostAtoB, &r.Pairs.LostBtoA
	if r.Clock != nil {
		p.OffsetMS = &r.Clock.OffsetMS
	}
	for _, f := range r.Findings {
		if ms, ok := f.Fields["setup_time_ms"].(float64); ok && p.SetupMS == nil {
			p.SetupMS = &ms
		}
	}
}

// openOf lists what a run left, or may have left, on its routers. Books that cannot be read may
// hide anything.
func openOf(b *bundle.Bundle) []string {
	left, proven, err := capture.Outstanding(b, "")
	open := []string{}
	for _, l := range left {
		open = append(open, l.Peer+": "+l.What)
	}
	if err != nil || !proven && len(open) == 0 {
		open = append(open, "unknown: moncap clean looks")
	}
	return open
}

func folderSize(dir string) int64 {
	var n int64
	// What cannot be looked at is not counted: this is a column of a list.
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // see above
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
		return nil
	})
	return n
}

// latestJudged returns the n latest runs that have something to show, the latest first, and the
// later ones that came to nothing.
func latestJudged(runs []*pastRun, n int) (good, failed []*pastRun) {
	for _, p := range runs {
		switch {
		case p.judged():
			good = append(good, p)
		case len(good) == 0:
			failed = append(failed, p)
		}
		if len(good) == n {
			break
		}
	}
	return good, failed
}

// whatFailed is a run that came to nothing, in a few words.
func (p *pastRun) whatFailed() string {
	why := cmp.Or(string(p.Reason), string(p.Outcome))
	return fmt.Sprintf("%s of %s: %s", p.ID, p.Started.Local().Format("2006-01-02 15:04"), why)
}
