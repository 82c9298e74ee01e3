package main

import (
	_ "embed"
	"html/template"
	"io"
	"net/url"
	"path/filepath"
	"slices"
	"time"

	"github.com/moncap/moncap/capture/bundle"
)

//go:embed runspage.html
var runsPageText string

// runsPage is the page of all runs: a row a tunnel, a column a day.
type runsPage struct {
	Made time.Time
	Days []string
	Rows []runsRow
}

type runsRow struct {
	Tunnel string
	Cells  [][]runsCell // by day
}

type runsCell struct {
	Sign, Class, Title, Link string
}

// verdictSigns tell verdicts apart without their colours.
var verdictSigns = map[string]string{
	"established": "✔", "degraded": "!", "failed": "✘", "inconclusive": "?", "not-run": "–", "unfinished": "…",
}

// writeRunsPage writes runs as a page without scripts, which is in folder: links lead from there to
// the reports.
func writeRunsPage(w io.Writer, runs []*pastRun, folder string) error {
	p := runsPage{Made: time.Now()}
	day := func(r *pastRun) string { return r.Started.Local().Format(time.DateOnly) }
	for _, r := range runs {
		if !slices.Contains(p.Days, day(r)) {
			p.Days = append(p.Days, day(r))
		}
	}
	for _, s := range statesOf(nil, runs) {
		row := runsRow{Tunnel: printable(s.name), Cells: make([][]runsCell, len(p.Days))}
		for _, r := range slices.Backward(runs) {
			if r.Tunnel != s.name {
				continue
			}
			at := slices.Index(p.Days, day(r))
			row.Cells[at] = append(row.Cells[at], cellOf(r, folder))
		}
		p.Rows = append(p.Rows, row)
	}
	t, err := template.New("runs").Parse(runsPageText)
	if err != nil {
		return err
	}
	return t.Execute(w, p)
}

func cellOf(r *pastRun, folder string) runsCell {
	outcome := string(r.Outcome)
	to, err := filepath.Rel(folder, r.Bundle)
	if err != nil {
		to = r.Bundle
	}
	link := url.URL{Path: filepath.ToSlash(to) + "/" + bundle.ReportText}
	if r.fleet { // its folder is elsewhere
		link = url.URL{}
	}
	c := runsCell{
		Sign: verdictSigns[outcome], Class: outcome, Link: link.String(),
		Title: r.Started.Local().Format("15:04") + " " + outcome + ": " + printable(r.Headline),
	}
	if len(r.Open) > 0 {
		c.Title += " (something is left on a router)"
		c.Sign += "⚠"
	}
	return c
}
