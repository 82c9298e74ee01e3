package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/analysis/render"
)

// runsFormats are the forms of the list of runs.
var runsFormats = []string{"text", "json", "html", "nagios", "prometheus"}

func (a *app) runsCommand() *cobra.Command {
	format, file, since := "text", "", ""
	c := &cobra.Command{
		Use: "runs [TUNNEL]",
		Short: "The runs on this disk and in the fleet's database: when, verdict, headline, what was lost, what is " +
			"still open",
		Long: `The runs in the folder of runs ($MONCAP_RUNS, or runs) and, where there is a fleet's database, those that only it has,
the latest first: of one tunnel, or of all. A run that has something on its routers still is marked; moncap clean removes it.

--format html is a page of tunnels by days, with a link to each report; nagios is one line for the tunnel's latest run
with that plugin's exit codes: with --since 36h it is UNKNOWN, and not the OK of long ago, when the nightly job does not
run any more. prometheus is the textfile collector's form, with every tunnel of the inventory.

EXIT STATUS
  0   the runs are listed, whatever came of them; with --format nagios: OK
  1   with --format nagios: WARNING
  2   with --format nagios: CRITICAL
  3   with --format nagios: UNKNOWN, also when there is no run
  4   the folder of runs cannot be read, or the output not written
  64  wrong usage`,
		Example: `  moncap runs
  moncap runs hq-branch --since 7d --format json
  moncap runs --format prometheus -o /var/lib/node_exporter/textfile/moncap.prom`,
		Args:              wants(0, 1),
		ValidArgsFunction: a.completeTunnel,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("--format", format, runsFormats...); err != nil {
				return err
			}
			if _, err := a.destinationOf(file); err != nil {
				return usageError(err)
			}
			from, err := parseSince(since, time.Now())
			if err != nil {
				return usageError(err)
			}
			tunnel := ""
			if len(args) == 1 {
				tunnel = args[0]
			}
			return a.showRuns(cmd.Context(), tunnel, from, format, file)
		},
	}
	a.registerOptional(c)
	c.Flags().StringVarP(&format, "format", "f", format, strings.Join(runsFormats, ", "))
	c.Flags().StringVarP(&file, "output", "o", "", "write to this file instead of stdout")
	c.Flags().StringVar(&since, "since", "",
		"only runs that began since then: 36h, 7d, 2026-11-23 or 2026-11-23T10:00:00Z")
	mustComplete(c, "format", runsFormats)
	c.AddCommand(a.withFormat(a.pruneCommand()))
	return c
}

// parseSince reads an age, in days too, a day or a moment. Nothing is the beginning of time.
func parseSince(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n < 100_000 {
			return now.AddDate(0, 0, -n), nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.DateOnly, time.DateTime, time.RFC3339} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("--since: want an age (36h, 7d), a day (2026-11-23) or a time (RFC 3339), got %q", s)
}

func (a *app) showRuns(ctx context.Context, tunnel string, from time.Time, format, file string) error {
	runs, err := a.everyRun(ctx, tunnel)
	if err != nil {
		return &exitError{exitFailed, err}
	}
	if tunnel != "" && len(runs) == 0 && format != "nagios" {
		if err := a.knowsTunnel(ctx, tunnel); err != nil {
			return err
		}
	}
	for i, p := range runs {
		if p.Started.Before(from) {
			runs = runs[:i]
			break
		}
	}
	switch format {
	case "nagios":
		if tunnel == "" {
			return usageError(errors.New("runs: --format nagios is about one tunnel: name it"))
		}
		return a.showNagios(tunnel, runs, file)
	case "prometheus":
		return a.writeMetrics(runs, file)
	}
	return a.writeTo(file, func(w io.Writer) error {
		switch format {
		case "json":
			if runs == nil {
				runs = []*pastRun{}
			}
			return writeJSON(w, runs)
		case "html":
			folder := a.runsDir()
			if file != "" && file != "-" {
				folder = filepath.Dir(file)
			}
			return writeRunsPage(w, runs, folder)
		}
		return a.writeRuns(w, runs)
	})
}

// knowsTunnel refuses the name of a tunnel of which there is no run, and that the inventory does
// not have: most likely it is mistyped.
func (a *app) knowsTunnel(ctx context.Context, tunnel string) error {
	names := map[string]bool{}
	if inv, err := a.inventoryForCompletion(); err == nil {
		for _, name := range inv.TunnelNames() {
			names[name] = true
		}
	}
	if names[tunnel] {
		return nil
	}
	all, err := a.everyRun(ctx, "")
	if err != nil {
		return &exitError{exitFailed, err}
	}
	for _, p := range all {
		names[p.Tunnel] = true
	}
	known := slices.Sorted(maps.Keys(names))
	if len(known) == 0 {
		return nil // there is nothing that it could be a misspelling of
	}
	const few = 20
	more := ""
	if len(known) > few {
		more = fmt.Sprintf(" and %d more", len(known)-few)
	}
	return usageError(&hinted{fmt.Errorf("no tunnel %q, and no run of one%s", tunnel, didYouMean(tunnel, known)),
		"there are " + strings.Join(known[:min(len(known), few)], ", ") + more})
}

func (a *app) writeRuns(w io.Writer, runs []*pastRun) error {
	if len(runs) == 0 {
		_, err := fmt.Fprintf(w, "no runs in %s\n", printable(a.runsDir()))
		return err
	}
	t := a.newTable(w)
	fmt.Fprintln(t, "STARTED\tTUNNEL\tVERDICT\tLOST A>B\tB>A\tSIZE\tRUN\tHEADLINE")
	for _, p := range runs {
		verdict := string(p.Outcome)
		if p.Reason != "" {
			verdict += " (" + string(p.Reason) + ")"
		}
		if len(p.Open) > 0 {
			verdict += ", OPEN"
		}
		lost := func(n *int) string {
			if !p.judged() || n == nil {
				return "-"
			}
			return strconv.Itoa(*n)
		}
		headline := render.Shorten(strings.Join(strings.Fields(printable(p.Headline)), " "), 80)
		fmt.Fprintln(t, strings.Join([]string{
			p.Started.Local().Format(withZone), printable(p.Tunnel), printable(verdict), lost(p.LostAtoB),
			lost(p.LostBtoA), p.size(), printable(p.ID), headline,
		}, "\t"))
	}
	return t.Flush()
}

// size is that of the run's folder, where it has one here.
func (p *pastRun) size() string {
	if p.fleet {
		return "-"
	}
	return kilobytes(p.Bytes)
}

func kilobytes(n int64) string {
	if n >= 10<<20 {
		return fmt.Sprintf("%d MB", n>>20)
	}
	return fmt.Sprintf("%d KB", (n+1023)>>10)
}
