package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/analysis/render"
	"github.com/moncap/moncap/analysis/report"
)

func (a *app) diffCommand() *cobra.Command {
	format, since, exitCode := "text", "", false
	c := &cobra.Command{
		Use:   "diff TUNNEL | RUN1 RUN2",
		Short: "What changed between two runs of a tunnel",
		Long: `What is new, gone or changed between two runs of one tunnel. With the name of a tunnel it compares its two latest runs
that have captures; with --since the latest one with the last before that time. A run is a bundle's folder, a run's id, here or
in the fleet's database, or a report in JSON; the earlier one comes first.

EXIT STATUS
  0   both runs could be compared
  1   with --exit-code: they differ
  64  wrong usage, or no such run`,
		Example: `  moncap diff hq-branch
  moncap diff hq-branch --since 24h --exit-code
  moncap diff runs/hq-branch-monday runs/hq-branch-tuesday
  moncap diff monday.json tuesday.json --format json`,
		Args:              wants(1, 2),
		ValidArgsFunction: a.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("--format", format, "text", "json"); err != nil {
				return err
			}
			if len(args) == 2 && since != "" {
				return usageError(errors.New("diff: --since goes with the name of a tunnel"))
			}
			if len(args) == 1 {
				two, err := a.twoRuns(cmd.Context(), args[0], since)
				if err != nil {
					return err
				}
				args = two[:]
			}
			var reports [2]*report.Report
			for i, path := range args {
				r, err := a.loadReport(cmd.Context(), path)
				if err != nil {
					return usageError(err)
				}
				reports[i] = r
			}
			if err := a.showDiff(reports[0], reports[1], format); err != nil {
				return &exitError{exitFailed, err}
			}
			if exitCode && len(render.Diff(reports[0], reports[1])) > 0 {
				return exitWith(1)
			}
			return nil
		},
	}
	a.registerOptional(c)
	c.Flags().StringVarP(&format, "format", "f", format, "text or json")
	c.Flags().StringVar(&since, "since", "", "compare with the last run before then: 36h, 7d, 2026-11-23")
	c.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 1 when there are differences, as git diff does")
	mustComplete(c, "format", []string{"text", "json"})
	return c
}

// twoRuns picks the runs of a tunnel that are compared, the earlier one first.
func (a *app) twoRuns(ctx context.Context, tunnel, since string) ([2]string, error) {
	before, err := parseSince(since, time.Now())
	if err != nil {
		return [2]string{}, usageError(err)
	}
	if since == "" {
		two, err := a.latestOf(ctx, tunnel, 2)
		if err != nil {
			return [2]string{}, err
		}
		return [2]string{two[1].name(), two[0].name()}, nil
	}
	latest, err := a.latestOf(ctx, tunnel, 1)
	if err != nil {
		return [2]string{}, err
	}
	runs, err := a.everyRun(ctx, tunnel)
	if err != nil {
		return [2]string{}, usageError(err)
	}
	for _, p := range runs {
		if p.judged() && p.Started.Before(before) && p.ID != latest[0].ID {
			return [2]string{p.name(), latest[0].name()}, nil
		}
	}
	return [2]string{},
		usageError(fmt.Errorf("%s: no run with captures began before %s", tunnel, before.Local().Format(time.DateTime)))
}

func (a *app) showDiff(before, after *report.Report, format string) error {
	if format == "json" {
		return writeJSON(a.stdout, render.Compare(before, after))
	}
	return render.DiffText(a.stdout, before, after, a.textOptions(true))
}
