package main

import (
	"github.com/spf13/cobra"

	"github.com/moncap/moncap/analysis/render"
	"github.com/moncap/moncap/analysis/report"
)

func (a *app) diffCommand() *cobra.Command {
	format := "text"
	c := &cobra.Command{
		Use:   "diff RUN1 RUN2",
		Short: "What changed between two runs of a tunnel",
		Long:  "What is new, gone or changed between two runs of one tunnel. A run is a bundle's folder, or a report in JSON; the earlier one comes first.",
		Example: `  moncap diff runs/hq-branch-monday runs/hq-branch-tuesday
  moncap diff monday.json tuesday.json --format json`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: a.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("--format", format, "text", "json"); err != nil {
				return err
			}
			var reports [2]*report.Report
			for i, path := range args {
				r, err := a.loadReport(cmd.Context(), path)
				if err != nil {
					return usageError(err)
				}
				reports[i] = r
			}
			return a.showDiff(reports[0], reports[1], format)
		},
	}
	c.Flags().StringVarP(&format, "format", "f", format, "text or json")
	mustComplete(c, "format", []string{"text", "json"})
	return c
}

func (a *app) showDiff(before, after *report.Report, format string) error {
	if format == "json" {
		return writeJSON(a.stdout, render.Compare(before, after))
	}
	return render.DiffText(a.stdout, before, after, a.textOptions(true))
}
