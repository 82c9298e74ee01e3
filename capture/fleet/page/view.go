package page

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/capture/fleet"
)

// The views are what a page shows, and what the API answers in JSON: the same.

// The verdicts of a run as cells show them: the outcomes of a report, and these.
const (
	verdictLeft    = "left"    // something is on a router still
	verdictNever   = "never"   // there is no run
	verdictFailed  = "failed"  // a critical finding
	verdictNotRun  = "not-run" // it came to nothing
	verdictUnclear = "inconclusive"
	verdictUp      = "established"
	verdictWarned  = "degraded"
)

// signs tell verdicts apart without their colours; they are those of moncap runs.
var signs = map[string]string{
	verdictUp: "✔", verdictWarned: "!", verdictFailed: "✘", verdictUnclear: "?", verdictNotRun: "–", verdictLeft: "⚠",
	verdictNever: "·",
}

// ranks order tunnels, the worst first.
var ranks = []string{verdictLeft, verdictFailed, verdictNotRun, verdictUnclear, verdictWarned, verdictNever, verdictUp}

func verdict(state fleet.State, outcome string) string {
	switch {
	case state == fleet.Dirty:
		return verdictLeft
	case slices.Contains([]string{verdictUp, verdictWarned, verdictFailed, verdictUnclear}, outcome):
		return outcome
	}
	return verdictNotRun
}

// clean makes text from a router, or from somebody's form, harmless: one line without what a
// terminal or a browser would obey.
func clean(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
	}), " ")
}

// cellView is what came of a run.
type cellView struct {
	Run     string    `json:"run"`
	Verdict string    `json:"verdict"`
	Ended   time.Time `json:"ended"`
}

// rowView is a tunnel in the list.
type rowView struct {
	Tunnel     string     `json:"tunnel"`
	Peers      []string   `json:"peers,omitempty"`
	Site       string     `json:"site,omitempty"`
	Tags       []string   `json:"tags,omitempty"`
	Configured bool       `json:"configured"` // the inventory has it
	Verdict    string     `json:"verdict"`
	Headline   string     `json:"headline,omitempty"`
	Run        string     `json:"run,omitempty"` // the last that is over
	Ended      *time.Time `json:"ended,omitempty"`
	Since      *time.Time `json:"since,omitempty"` // when the first of the last runs with this verdict ended
	Same       int        `json:"same,omitempty"`  // how many they are; as many as cells: at least
	Under      []runView  `json:"under_way,omitempty"`
	Cells      []cellView `json:"cells"` // the newest last
}

// fleetView is the first page.
type fleetView struct {
	Schema  string         `json:"schema"`
	Time    time.Time      `json:"time"`
	Tunnels []rowView      `json:"tunnels"` // the worst first
	Counts  map[string]int `json:"counts"`  // tunnels by verdict
	Running int            `json:"running"`
	Waiting int            `json:"waiting"`
	Workers int            `json:"workers"` // that live
	Query   string         `json:"-"`
	Only    string         `json:"-"`
	All     int            `json:"-"` // tunnels, chosen or not
}

// cells is how many of the last runs a row shows.
const cells = 20

// fleet looks at all tunnels, of which a text and a verdict may choose some.
func (s *Server) fleet(ctx context.Context, query, only string) (*fleetView, error) {
	strips, err := s.o.Store.Strips(ctx, cells)
	if err != nil {
		return nil, err
	}
	jobs, err := s.o.Store.Jobs(ctx, "")
	if err != nil {
		return nil, err
	}
	now, err := s.o.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	workers, err := s.o.Store.Workers(ctx)
	if err != nil {
		return nil, err
	}
	v := &fleetView{Schema: Schema, Time: now, Counts: map[string]int{}, Tunnels: []rowView{}, Query: query, Only: only}
	for _, w := range workers {
		if w.Alive {
			v.Workers++
		}
	}
	rows := s.rows(strips, jobs)
	if err := s.addHeadlines(ctx, rows); err != nil {
		return nil, err
	}
	for _, r := range jobs {
		if r.State == fleet.Waiting {
			v.Waiting++
		} else {
			v.Running++
		}
	}
	v.All = len(rows)
	for _, r := range rows {
		v.Counts[r.Verdict]++
		if (only == "" || r.Verdict == only) && r.matches(query) {
			v.Tunnels = append(v.Tunnels, *r)
		}
	}
	slices.SortStableFunc(v.Tunnels, func(x, y rowView) int {
		return cmp.Or(cmp.Compare(slices.Index(ranks, x.Verdict), slices.Index(ranks, y.Verdict)),
			cmp.Compare(x.Tunnel, y.Tunnel))
	})
	return v, nil
}

// rows makes a row of each tunnel that is configured, or has runs.
func (s *Server) rows(strips map[string][]fleet.Cell, jobs []fleet.Run) map[string]*rowView {
	rows := map[string]*rowView{}
	row := func(name string) *rowView {
		if rows[name] == nil {
			rows[name] = &rowView{Tunnel: name, Verdict: verdictNever, Cells: []cellView{}}
		}
		return rows[name]
	}
	for _, t := range s.tunnels() {
		r := row(t.Name)
		r.Configured, r.Peers, r.Site, r.Tags = true, t.Peers[:], t.Site, t.Tags
	}
	for name, strip := range strips {
		r := row(name)
		for _, c := range slices.Backward(strip) {
			r.Cells = append(r.Cells, cellView{c.ID, verdict(c.State, c.Outcome), c.Ended})
		}
		last := r.Cells[len(r.Cells)-1]
		r.Verdict, r.Run, r.Ended = last.Verdict, last.Run, &last.Ended
		for _, c := range slices.Backward(r.Cells) {
			if c.Verdict != r.Verdict {
				break
			}
			r.Same, r.Since = r.Same+1, &c.Ended
		}
	}
	for _, j := range jobs {
		r := row(j.Tunnel)
		r.Under = append(r.Under, *runOf(j))
		if r.Peers == nil {
			r.Peers = j.Peers[:]
		}
	}
	return rows
}

func (s *Server) tunnels() []Tunnel {
	if s.o.Tunnels == nil {
		return nil
	}
	return s.o.Tunnels()
}

func (s *Server) tunnel(name string) (Tunnel, bool) {
	for _, t := range s.tunnels() {
		if t.Name == name {
			return t, true
		}
	}
	return Tunnel{Name: name}, false
}

func (s *Server) addHeadlines(ctx context.Context, rows map[string]*rowView) error {
	var ids []string
	for _, r := range rows {
		if r.Run != "" {
			ids = append(ids, r.Run)
		}
	}
	runs, err := s.o.Store.Named(ctx, ids...)
	for _, r := range rows {
		if run, ok := runs[r.Run]; ok {
			r.Headline = clean(cmp.Or(run.Headline, run.Error))
			if r.Peers == nil {
				r.Peers = run.Peers[:]
			}
		}
	}
	return err
}

func (r *rowView) matches(query string) bool {
	text := strings.ToLower(strings.Join(slices.Concat([]string{r.Tunnel, r.Site, r.Headline}, r.Peers, r.Tags), " "))
	for word := range strings.FieldsSeq(strings.ToLower(query)) {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

// runView is a run.
type runView struct {
	ID         string        `json:"id"`
	Tunnel     string        `json:"tunnel"`
	Peers      []string      `json:"peers"`
	Site       string        `json:"site,omitempty"`
	State      string        `json:"state"`
	Over       bool          `json:"over"`
	Verdict    string        `json:"verdict,omitempty"` // of one that is over
	Headline   string        `json:"headline,omitempty"`
	Outcome    string        `json:"outcome,omitempty"`
	ExitCode   *int          `json:"exit_code,omitempty"`
	Error      string        `json:"error,omitempty"`
	Waits      string        `json:"waits,omitempty"` // what for
	Priority   string        `json:"priority"`
	By         string        `json:"by,omitempty"`
	Cause      string        `json:"cause,omitempty"`
	Reason     string        `json:"reason,omitempty"`
	Change     string        `json:"change,omitempty"`
	Approval   string        `json:"approval,omitempty"` // who approved of it; wanted while nobody has
	Cancelled  string        `json:"cancelled_by,omitempty"`
	Host       string        `json:"host,omitempty"`
	Attempt    int           `json:"attempt,omitempty"`
	Attempts   int           `json:"attempts,omitempty"`
	RetryOf    string        `json:"retry_of,omitempty"`
	Created    time.Time     `json:"created"`
	NotBefore  *time.Time    `json:"not_before,omitempty"`
	Started    *time.Time    `json:"started,omitempty"`
	Ended      *time.Time    `json:"ended,omitempty"`
	DurationMS int64         `json:"duration_ms,omitempty"`
	Clean      bool          `json:"clean"`
	Left       []string      `json:"left,omitempty"` // what is on a router, and what to type
	Findings   []findingView `json:"findings,omitempty"`
	Journal    []entryView   `json:"journal,omitempty"`
}

// findingView is a finding, as far as a verdict goes.
type findingView struct {
	Code        string `json:"code"`
	Severity    string `json:"severity"`
	Title       string `json:"title,omitempty"`
	Explanation string `json:"explanation,omitempty"`
}

// entryView is a line of a journal.
type entryView struct {
	Seq   int       `json:"seq"`
	Time  time.Time `json:"time"`
	Side  string    `json:"side"`
	Peer  string    `json:"peer"`
	Kind  string    `json:"kind"`
	Name  string    `json:"name"`
	State string    `json:"state"`
}

func runOf(r fleet.Run) *runView {
	v := &runView{
		ID: r.ID, Tunnel: r.Tunnel, Peers: r.Peers[:], Site: r.Site, State: string(r.State), Over: r.State.Over(),
		Headline: clean(r.Headline), Outcome: r.Outcome, Error: clean(r.Error), Waits: clean(r.Waits),
		Priority: r.Priority.String(),
		By:       clean(r.By), Cause: clean(r.Cause), Reason: clean(r.Reason), Change: clean(r.Change),
		Approval:  clean(r.Approval),
		Cancelled: clean(r.CancelledBy), Host: clean(r.Host), Attempt: r.Attempt, Attempts: r.Attempts, RetryOf: r.RetryOf,
		Created: r.Created, NotBefore: moment(r.NotBefore), Started: moment(r.Started), Ended: moment(r.Ended),
		Clean: r.Clean,
	}
	if v.Over {
		v.Verdict = verdict(r.State, r.Outcome)
		if r.Exit >= 0 {
			v.ExitCode = &r.Exit
		}
	}
	if v.Started != nil && v.Ended != nil {
		v.DurationMS = r.Ended.Sub(r.Started).Milliseconds()
	}
	for line := range strings.Lines(r.Remains) {
		if line = clean(line); line != "" {
			v.Left = append(v.Left, line)
		}
	}
	for _, f := range r.Findings {
		v.Findings = append(v.Findings, findingView{Code: f.Code, Severity: f.Severity})
	}
	slices.SortStableFunc(v.Findings,
		func(x, y findingView) int { return cmp.Compare(weight(x.Severity), weight(y.Severity)) })
	return v
}

func weight(severity string) int {
	return slices.Index([]string{"critical", "warning", "info"}, severity)
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func entries(all []bundle.Entry) []entryView {
	var out []entryView
	for _, e := range all {
		out = append(out, entryView{e.Seq, e.Time, string(e.Side), clean(e.Peer), clean(e.Kind), clean(e.Name),
			string(e.State)})
	}
	return out
}

// tunnelView is one tunnel over time.
type tunnelView struct {
	Schema     string     `json:"schema"`
	Tunnel     string     `json:"tunnel"`
	Peers      []string   `json:"peers,omitempty"`
	Site       string     `json:"site,omitempty"`
	Configured bool       `json:"configured"`
	FourEyes   bool       `json:"four_eyes"`
	Under      []runView  `json:"under_way"`
	Runs       []runView  `json:"runs"` // those that are over, the newest first
	Codes      []codeView `json:"codes"`
}

// codeView says in which of the last runs a finding was.
type codeView struct {
	Code     string   `json:"code"`
	Severity string   `json:"severity"` // the worst
	Runs     []string `json:"runs"`
	marks    []string // by run that is shown, the newest last: its severity there, or nothing
}

// Marks are where the finding was, for the page.
func (c codeView) Marks() []string { return c.marks }

// How many runs a tunnel's page lists, and over how many its findings are shown.
const (
	listedRuns = 100
	markedRuns = 30
)

func (s *Server) tunnelOverTime(ctx context.Context, name string) (*tunnelView, error) {
	t, configured := s.tunnel(name)
	v := &tunnelView{Schema: Schema, Tunnel: name, Configured: configured, Site: t.Site, FourEyes: t.FourEyes,
		Under: []runView{}, Runs: []runView{}, Codes: []codeView{}}
	if configured {
		v.Peers = t.Peers[:]
	}
	past, err := s.o.Store.History(ctx, fleet.HistoryFilter{Tunnel: name, Limit: listedRuns})
	if err != nil {
		return nil, err
	}
	jobs, err := s.o.Store.Jobs(ctx, "")
	if err != nil {
		return nil, err
	}
	for _, j := range jobs {
		if j.Tunnel == name {
			v.Under = append(v.Under, *runOf(j))
		}
	}
	for _, r := range past {
		v.Runs = append(v.Runs, *runOf(r))
		if v.Peers == nil {
			v.Peers = r.Peers[:]
		}
	}
	if !configured && len(past)+len(v.Under) == 0 {
		return nil, problem{status: 404, text: "no such tunnel"}
	}
	v.Codes = codes(v.Runs[:min(len(v.Runs), markedRuns)])
	return v, nil
}

// codes turns runs into findings over time, the worst and most frequent first.
func codes(runs []runView) []codeView {
	by := map[string]*codeView{}
	for i, r := range runs {
		for _, f := range r.Findings {
			if weight(f.Severity) > 1 { // what is well, nobody looks for over time
				continue
			}
			c := by[f.Code]
			if c == nil {
				c = &codeView{Code: f.Code, Severity: f.Severity, marks: make([]string, len(runs))}
				by[f.Code] = c
			}
			if weight(f.Severity) < weight(c.Severity) {
				c.Severity = f.Severity
			}
			c.Runs = append(c.Runs, r.ID)
			c.marks[len(runs)-1-i] = f.Severity
		}
	}
	all := []codeView{}
	for _, c := range by {
		all = append(all, *c)
	}
	slices.SortFunc(all, func(x, y codeView) int {
		return cmp.Or(cmp.Compare(weight(x.Severity), weight(y.Severity)), cmp.Compare(len(y.Runs), len(x.Runs)),
			cmp.Compare(x.Code, y.Code))
	})
	return all
}
