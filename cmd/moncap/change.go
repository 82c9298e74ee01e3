package main

import (
	"bytes"
	"context"
	"os/exec"
	"time"

	"github.com/moncap/moncap/analysis/render"
	"github.com/moncap/moncap/analysis/report"
)

// hookTime bounds the command of --on-change.
const hookTime = time.Minute

// lastRun is the report of a tunnel's latest run; nil when there is none, or nobody wants to know.
func (a *app) lastRun(tunnel, command string) *report.Report {
	if command == "" {
		return nil
	}
	runs, err := a.history(tunnel)
	if err != nil {
		return nil
	}
	for _, p := range runs {
		if p.Outcome == unfinished {
			continue
		}
		d, err := a.bundleDocument(a.interrupts.ctx, p.Bundle, "", false)
		if err != nil {
			return nil
		}
		return d.report
	}
	return nil
}

// tellChange runs a command when the verdict is another than it was. What the command says goes to
// stderr, and that it failed changes nothing of the run.
func (a *app) tellChange(ctx context.Context, command string, before, after *report.Report) {
	if command == "" || before == nil {
		return
	}
	was, is := before.Verdict, after.Verdict
	if was.Outcome == is.Outcome && was.Reason == is.Reason && was.ExitCode == is.ExitCode {
		return
	}
	var in bytes.Buffer
	if err := writeJSON(&in, render.Compare(before, after)); err != nil {
		a.progress("on-change: %v", err)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hookTime)
	defer cancel()
	// #nosec G204 -- it is the operator's own, from the command line
	c := exec.CommandContext(ctx, "sh", "-c", command)
	c.Stdin, c.Stdout, c.Stderr, c.WaitDelay = &in, a.stderr, a.stderr, time.Second
	if err := c.Run(); err != nil {
		a.progress("on-change: %v", err)
	}
}
