package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/analysis/render"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/capture/fleet"
	"github.com/moncap/moncap/capture/fleet/page"
)

// historyFormats are the forms of the fleet's history.
var historyFormats = []string{"text", "json", "csv", "nagios", "prometheus"}

// historyFlags say which part of the history is shown, and how.
type historyFlags struct {
	databaseFlags
	since, format, file string
	changed             bool
	limit               int
	maxAge              time.Duration
}

func (a *app) historyCommand() *cobra.Command {
	f := historyFlags{format: "text"}
	c := &cobra.Command{
		Use:   "history [TUNNEL]",
		Short: "What came of the runs of the whole fleet: when, verdict, who wanted it",
		Long: `The runs in the fleet's database that are over, the latest first: of one tunnel, or of all.
--changed shows only those whose verdict or findings are others than those of the tunnel's run before: when it
began to fail, and when it was well again. No router is asked.

--format nagios is one line for the tunnel's latest run with that plugin's exit codes, and UNKNOWN when it is
older than --max-age; prometheus is the textfile collector's form, with every tunnel of the inventory.

EXIT STATUS
  0   the history is shown, whatever came of the runs; with --format nagios: OK
  1   with --format nagios: WARNING
  2   with --format nagios: CRITICAL
  3   with --format nagios: UNKNOWN, also when there is no run, or none that is new enough
  4   the database cannot be reached, or the output not written
  64  wrong usage, or there is no database`,
		Example: `  moncap history hq-branch --since 7d
  moncap history --changed --since 24h
  moncap history --since 30d --format csv -o runs.csv
  moncap history hq-branch --format nagios --max-age 25h`,
		Args:              wants(0, 1),
		ValidArgsFunction: a.completeTunnel,
		RunE: func(cmd *cobra.Command, args []string) error {
			tunnel := ""
			if len(args) == 1 {
				tunnel = args[0]
			}
			return a.fleetHistory(cmd.Context(), tunnel, &f)
		},
	}
	f.register(c)
	fl := c.Flags()
	fl.StringVarP(&f.format, "format", "f", f.format, strings.Join(historyFormats, ", "))
	fl.StringVarP(&f.file, "output", "o", "", "write to this file instead of stdout")
	fl.StringVar(&f.since, "since", "", "only runs that began since then: 36h, 7d, 2026-11-23 or 2026-11-23T10:00:00Z")
	fl.BoolVar(&f.changed, "changed", false, "only runs that say something else than the tunnel's run before")
	fl.IntVar(&f.limit, "limit", 0, "at most so many runs (default: 200 as text, else all)")
	fl.DurationVar(&f.maxAge, "max-age", 0, "with --format nagios: how old the latest run may be")
	mustComplete(c, "format", historyFormats)
	return c
}

// textLimit is how many runs are shown to people who did not say how many.
const textLimit = 200

func (a *app) fleetHistory(ctx context.Context, tunnel string, f *historyFlags) error {
	if err := oneOf("--format", f.format, historyFormats...); err != nil {
		return err
	}
	if _, err := a.destinationOf(f.file); err != nil {
		return usageError(err)
	}
	from, err := parseSince(f.since, time.Now())
	switch {
	case err != nil:
		return usageError(err)
	case f.format == "nagios" && tunnel == "":
		return usageError(errors.New("history: --format nagios is about one tunnel: name it"))
	case f.maxAge != 0 && f.format != "nagios":
		return usageError(errors.New("history: --max-age goes with --format nagios"))
	case f.limit < 0 || f.maxAge < 0:
		return usageError(errors.New("history: want numbers from 0"))
	}
	filter := fleet.HistoryFilter{Tunnel: tunnel, Since: from, Changed: f.changed, Limit: f.limit}
	switch {
	case f.format == "nagios":
		filter.Limit = 1
	case f.format == "text" && f.limit == 0:
		filter.Limit = textLimit + 1
	}
	var runs []fleet.Run
	var past []*pastRun
	var ofFleet bytes.Buffer
	err = a.withStore(ctx, &f.databaseFlags, func(s *fleet.Store) error {
		if runs, err = s.History(ctx, filter); err != nil {
			return err
		}
		past = pastRuns(runs)
		if f.format == "nagios" || f.format == "prometheus" {
			err = measure(ctx, s, past)
		}
		if err == nil && f.format == "prometheus" {
			err = a.fleetMetrics(ctx, s, &ofFleet)
		}
		return err
	})
	if err != nil {
		if f.format == "nagios" { // whatever it is, the plugin has to say something
			return &exitError{pluginUnknown, errors.Join(a.writeTo(f.file, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "MONCAP UNKNOWN - %s: %s\n", tunnel, sentence(err))
				return err
			}), err)}
		}
		return err
	}
	if tunnel != "" && len(runs) == 0 && f.format != "nagios" {
		a.database = &f.databaseFlags
		if err := a.knowsTunnel(ctx, tunnel); err != nil {
			return err
		}
	}
	switch f.format {
	case "nagios":
		return a.showHistoryNagios(tunnel, past, f)
	case "prometheus":
		return a.writeMetrics(past, f.file, ofFleet.Bytes()...)
	}
	return a.showHistory(runs, f)
}

// saySharedNames warns of tunnels of one name between other peers, of two inventories for example.
func (a *app) saySharedNames(runs []fleet.Run) {
	first, said := map[string][2]string{}, map[string]bool{}
	for _, r := range runs {
		peers, known := first[r.Tunnel]
		if !known {
			first[r.Tunnel] = r.Peers
			continue
		}
		if peers != r.Peers && !said[r.Tunnel] {
			said[r.Tunnel] = true
			a.warn("%s is the name of more than one tunnel: between %s and %s, and between %s and %s; what changed is told of "+
				"each by itself", r.Tunnel, peers[0], peers[1], r.Peers[0], r.Peers[1])
		}
	}
}

// fleetMetrics are those that the page of moncap serve has, too.
func (a *app) fleetMetrics(ctx context.Context, s *fleet.Store, w io.Writer) error {
	names, err := a.configured()
	if err != nil {
		return err
	}
	return page.WriteMetrics(ctx, w, s, names)
}

// measure adds the figures of the reports to the latest run of each tunnel that has captures. runs
// are in order, the latest first.
func measure(ctx context.Context, s *fleet.Store, runs []*pastRun) error {
	done := map[string]bool{}
	for _, p := range runs {
		if done[p.Tunnel] || !p.judged() {
			continue
		}
		done[p.Tunnel] = true
		b, err := s.Report(ctx, p.ID)
		if err != nil {
			return err
		}
		if len(b) == 0 {
			continue
		}
		r, err := report.Read(bytes.NewReader(b))
		if err != nil {
			return fmt.Errorf("%s: %w", p.ID, err)
		}
		code := p.ExitCode
		p.take(r)
		p.ExitCode = code
	}
	return nil
}

func (a *app) showHistory(runs []fleet.Run, f *historyFlags) error {
	a.saySharedNames(runs)
	err := a.writeTo(f.file, func(w io.Writer) error {
		switch f.format {
		case "json":
			return writeJSON(w, jobsOf(runs))
		case "csv":
			return historyCSV(w, runs)
		}
		return a.historyText(w, runs, f.limit == 0)
	})
	if err != nil {
		return &exitError{exitFailed, err}
	}
	return nil
}

func (a *app) showHistoryNagios(tunnel string, runs []*pastRun, f *historyFlags) error {
	if len(runs) == 0 {
		return a.showPlugin(tunnel, nil, f.file)
	}
	latest := runs[0]
	if age := time.Since(latest.Started); f.maxAge > 0 && age > f.maxAge {
		line := fmt.Sprintf("MONCAP UNKNOWN - %s: its latest run is %s old | age=%ds",
			tunnel, roughly(age), int(age.Seconds()))
		err := a.writeTo(f.file, func(w io.Writer) error { _, err := fmt.Fprintln(w, line); return err })
		if err != nil {
			return &exitError{pluginUnknown, err}
		}
		return exitWith(pluginUnknown)
	}
	return a.showPlugin(tunnel, latest, f.file)
}

func (a *app) historyText(w io.Writer, runs []fleet.Run, limited bool) error {
	if len(runs) == 0 {
		_, err := fmt.Fprintln(w, "the history has no such runs")
		return err
	}
	more := limited && len(runs) > textLimit
	if more {
		runs = runs[:textLimit]
	}
	t := a.newTable(w)
	fmt.Fprintln(t, "STARTED\tTUNNEL\tVERDICT\tRUN\tBY\tHEADLINE")
	for _, r := range runs {
		fmt.Fprintln(t, strings.Join([]string{
			begun(r).Local().Format(withZone), printable(r.Tunnel), printable(verdictOf(r)),
			printable(r.ID), printable(shortCause(r)), shortHeadline(r),
		}, "\t"))
	}
	if err := t.Flush(); err != nil || !more {
		return err
	}
	_, err := fmt.Fprintf(w, "and older ones; --since or --limit shows more\n")
	return err
}

// shortHeadline is what came of a run, as much of it as a line of a table has room for.
func shortHeadline(r fleet.Run) string {
	return render.Shorten(strings.Join(strings.Fields(printable(orDefault(r.Headline, r.Error))), " "), 80)
}

// begun is when a run began, or was wanted if it never did.
func begun(r fleet.Run) time.Time {
	if r.Started.IsZero() {
		return r.Created
	}
	return r.Started
}

// verdictOf is what came of a run in a word or two.
func verdictOf(r fleet.Run) string {
	v := orDefault(r.Outcome, string(r.State))
	switch r.State {
	case fleet.Dirty:
		v += ", OPEN"
	case fleet.Collected, fleet.Cancelled, fleet.Interrupted:
		if v != string(r.State) {
			v += " (" + string(r.State) + ")"
		}
	}
	return v
}

func historyCSV(w io.Writer, runs []fleet.Run) error {
	c := csv.NewWriter(w)
	rows := [][]string{{"id", "tunnel", "site", "created", "started", "ended", "state", "outcome", "exit_code",
		"headline", "findings", "by", "cause",
		"reason", "change", "approved_by", "worker", "host"}}
	for _, r := range runs {
		var codes []string
		for _, f := range r.Findings {
			codes = append(codes, f.Code)
		}
		row := []string{r.ID, r.Tunnel, r.Site, stampOf(r.Created), stampOf(r.Started), stampOf(r.Ended),
			string(r.State), r.Outcome, strconv.Itoa(codeOf(r)), orDefault(r.Headline, r.Error), strings.Join(codes, " "),
			r.By, r.Cause, r.Reason, r.Change,
			r.Approval, r.Owner, r.Host}
		for i := range row {
			row[i] = cell(row[i])
		}
		rows = append(rows, row)
	}
	return c.WriteAll(rows)
}

// cell keeps a spreadsheet from taking text for a formula.
func cell(s string) string {
	s = strings.Join(strings.Fields(printable(s)), " ")
	if s != "" && strings.ContainsAny(s[:1], "=+-@") {
		return "'" + s
	}
	return s
}

func stampOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// pastRunOf is a run of the fleet as the list of runs has it.
func pastRunOf(r fleet.Run) *pastRun {
	p := &pastRun{
		ID: r.ID, Tunnel: r.Tunnel, Started: begun(r),
		Outcome: report.Outcome(r.Outcome), Headline: orDefault(r.Headline, r.Error),
		ExitCode: codeOf(r), Open: leftOf(r), Bundle: r.Bundle, host: r.Host, fleet: true,
	}
	if p.Open == nil {
		p.Open = []string{}
	}
	if r.State == fleet.Dirty && len(p.Open) == 0 {
		p.Open = append(p.Open, "unknown: moncap clean looks")
	}
	switch {
	case !r.State.Over() || r.State == fleet.Dirty && p.Outcome == "":
		p.Outcome = orDefault(p.Outcome, unfinished)
	case p.Outcome == "":
		p.Outcome = report.NotRun
	}
	if p.Outcome == report.NotRun && (r.State == fleet.Interrupted || r.State == fleet.Cancelled) {
		p.Reason = report.Interrupted
	}
	if !r.Ended.IsZero() && !r.Started.IsZero() {
		p.DurationMS = r.Ended.Sub(r.Started).Milliseconds()
	}
	return p
}

func pastRuns(runs []fleet.Run) []*pastRun {
	all := make([]*pastRun, len(runs))
	for i, r := range runs {
		all[i] = pastRunOf(r)
	}
	return all
}
