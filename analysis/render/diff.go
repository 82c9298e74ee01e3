package render

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/internal/lazyregexp"
)

// DiffSchema names the JSON form of a Difference.
const DiffSchema = "moncap.diff/v1"

// Difference is what changed between two runs of one tunnel.
type Difference struct {
	Schema   string   `json:"schema"`
	Sentence string   `json:"sentence"`        // what it comes down to
	Notes    []string `json:"notes,omitempty"` // why it may not be what was meant: other tunnels, the later run first
	Before   RunName  `json:"before"`
	After    RunName  `json:"after"`
	Changes  []Change `json:"changes"` // the most important first
}

// RunName says which run it is, and what came of it.
type RunName struct {
	Tunnel   string         `json:"tunnel,omitempty"`
	ID       string         `json:"id,omitempty"`
	Time     *time.Time     `json:"time"` // when it began; nil where nothing tells
	Outcome  report.Outcome `json:"outcome"`
	Headline string         `json:"headline"`
}

// Change is one difference between two reports of the same tunnel.
type Change struct {
	Kind    string `json:"kind"`    // new, gone, changed
	Subject string `json:"subject"` // what it is about: "outcome", "finding path-blocked A->B", "NAT of A", ...
	Before  string `json:"before,omitempty"`
	After   string `json:"after,omitempty"`
}

// Compare says what differs between two runs.
func Compare(before, after *report.Report) *Difference {
	d := &Difference{Schema: DiffSchema, Before: runName(before), After: runName(after), Changes: Diff(before, after)}
	if d.Changes == nil {
		d.Changes = []Change{}
	}
	d.Notes = doubts(before, after, d)
	d.Sentence = sentence(*d)
	return d
}

func runName(r *report.Report) RunName {
	n := RunName{Tunnel: clean(r.Tunnel), Outcome: r.Verdict.Outcome, Headline: clean(r.Verdict.Headline)}
	if r.Run != nil {
		n.ID, n.Time = clean(r.Run.ID), &r.Run.Started
		return n
	}
	for _, s := range []*report.SideInfo{r.Sides.A, r.Sides.B} {
		if s != nil && s.First != nil && (n.Time == nil || s.First.Before(*n.Time)) {
			n.Time = s.First
		}
	}
	return n
}

// doubts are reasons why the comparison may not be what was meant.
func doubts(before, after *report.Report, d *Difference) []string {
	var notes []string
	if b, a := d.Before.Time, d.After.Time; b != nil && a != nil && a.Before(*b) {
		notes = append(notes, fmt.Sprintf("The first run is the later one: %s, the second is of %s. What is called new "+
			"here has gone since, and what is called gone is new.", moment(*b), moment(*a)))
	}
	b, a := sideNames(before), sideNames(after)
	switch {
	case b == a || b[0] == "" || a[0] == "":
	case b[0] == a[1] && b[1] == a[0]:
		notes = append(notes, "The sides are the other way round: side A of the one run is side B of the other.")
	default:
		notes = append(notes, fmt.Sprintf("These are runs of different tunnels: %s and %s.",
			tunnelText(d.Before, b), tunnelText(d.After, a)))
	}
	return notes
}

// sideNames are what tells two tunnels apart: the peers' names, or their addresses where there are
// no names.
func sideNames(r *report.Report) (names [2]string) {
	for i, s := range []*report.SideInfo{r.Sides.A, r.Sides.B} {
		switch {
		case s == nil:
		case s.Name != "" && !strings.HasPrefix(s.Name, "side "):
			names[i] = clean(s.Name)
		case len(s.Addresses) > 0:
			names[i] = clean(s.Addresses[0])
		}
	}
	return names
}

func tunnelText(n RunName, sides [2]string) string {
	text := strings.Trim(sides[0]+" - "+sides[1], " -")
	if n.Tunnel != "" {
		text = n.Tunnel + " (" + text + ")"
	}
	return text
}

func moment(t time.Time) string { return t.UTC().Format("Mon 2 Jan 2006 15:04 UTC") }

// sentence says in one line what two runs differ in: the reason of the later
// outcome, and since when.
func sentence(d Difference) string {
	since := ""
	if d.After.Time != nil && (d.Before.Time == nil || !d.After.Time.Before(*d.Before.Time)) {
		since = "Since " + moment(*d.After.Time) + ": "
	}
	d.Before.Headline, d.After.Headline = brief(d.Before.Headline), brief(d.After.Headline)
	up := func(o report.Outcome) bool { return o == report.Established || o == report.Degraded }
	switch b, a := d.Before, d.After; {
	case len(d.Changes) == 0:
		return "Nothing has changed: " + a.Headline
	case up(b.Outcome) && !up(a.Outcome):
		return since + a.Headline + " Before, the tunnel came up."
	case !up(b.Outcome) && up(a.Outcome):
		return since + "the tunnel comes up. Before: " + b.Headline
	case b.Outcome != a.Outcome:
		return since + a.Headline + " Before: " + b.Headline
	case up(a.Outcome):
		return fmt.Sprintf("The tunnel comes up as before; %s.", countOf(d.Changes))
	case slices.ContainsFunc(d.Changes,
		func(c Change) bool { return c.Kind == "new" && strings.HasPrefix(c.After, string(report.Critical)) }):
		return since + "for another reason than before: " + a.Headline
	}
	return fmt.Sprintf("%s as before; %s.", capital(strings.TrimSuffix(d.After.Headline, ".")), countOf(d.Changes))
}

// aside is an explanation in brackets, which a sentence about something else can do without.
var aside = lazyregexp.New(` \([^()]{40,}\)`)

func brief(headline string) string { return aside.Get().ReplaceAllString(headline, "") }

func countOf(changes []Change) string {
	if len(changes) == 1 {
		return "1 difference"
	}
	return fmt.Sprintf("%d differences", len(changes))
}

// Diff returns what differs between two runs of one tunnel, the most important first.
func Diff(before, after *report.Report) []Change {
	var out []Change
	differ := func(subject, b, a string) {
		switch {
		case a == b:
		case b == "":
			out = append(out, Change{"new", subject, "", a})
		case a == "":
			out = append(out, Change{"gone", subject, b, ""})
		default:
			out = append(out, Change{"changed", subject, b, a})
		}
	}
	differ("outcome", clean(string(before.Verdict.Outcome)), clean(string(after.Verdict.Outcome)))
	each(findingTexts(before), findingTexts(after), differ)
	each(offerTexts(before), offerTexts(after), differ)
	each(natTexts(before), natTexts(after), differ)
	each(sideTexts(before), sideTexts(after), differ)
	differ("packets lost from A to B", lossText(before.Pairs.LostAtoB), lossText(after.Pairs.LostAtoB))
	differ("packets lost from B to A", lossText(before.Pairs.LostBtoA), lossText(after.Pairs.LostBtoA))
	return out
}

func lossText(n int) string {
	if n == 0 {
		return "none"
	}
	return "some" // how many depends on how long was captured
}

// item is something of a report, under a name that is the same in every run.
type item struct {
	subject, text string
	rank          int
}

func each(before, after []item, differ func(subject, before, after string)) {
	slices.SortStableFunc(after, func(a, b item) int { return cmp.Compare(a.rank, b.rank) })
	find := func(list []item, subject string) string {
		for _, i := range list {
			if i.subject == subject {
				return i.text
			}
		}
		return ""
	}
	for _, i := range after {
		differ(i.subject, find(before, i.subject), i.text)
	}
	for _, i := range before {
		if find(after, i.subject) == "" {
			differ(i.subject, i.text, "")
		}
	}
}

func findingTexts(r *report.Report) []item {
	var out []item
	for _, f := range r.Findings {
		subject := "finding " + clean(f.Code)
		for _, k := range []string{"direction", "side"} {
			if v, ok := f.Fields[k].(string); ok {
				subject += " " + clean(v)
			}
		}
		i := item{subject, fmt.Sprintf("%s: %s", f.Severity, clean(f.Title)), severityRank(f.Severity)}
		if !slices.ContainsFunc(out, func(o item) bool { return o.subject == i.subject }) {
			out = append(out, i)
		}
	}
	return out
}

func severityRank(s report.Severity) int {
	return slices.Index([]report.Severity{report.Critical, report.Warning, report.Info}, s)
}

func natTexts(r *report.Report) []item {
	var out []item
	for _, t := range r.NAT {
		subject := fmt.Sprintf("NAT of %s, port %d", t.Side, t.OriginalPort)
		text := endpoint(t.Original, t.OriginalPort) + " becomes " + endpoint(t.Translated, t.Port)
		if t.Port != t.OriginalPort {
			// which one is chance
			text = endpoint(t.Original, t.OriginalPort) + " becomes " + clean(t.Translated) + ", another port"
		}
		if !slices.ContainsFunc(out, func(o item) bool { return o.subject == subject }) {
			out = append(out, item{subject: subject, text: text})
		}
	}
	return out
}

func offerTexts(r *report.Report) []item {
	var out []item
	for _, c := range r.Conversations {
		for _, o := range c.Offers {
			subject := fmt.Sprintf("proposals %s by %s", clean(o.Kind), o.Side)
			if !slices.ContainsFunc(out, func(i item) bool { return i.subject == subject }) {
				out = append(out, item{subject: subject, text: offerText(o)})
			}
		}
	}
	return out
}

func offerText(o report.Offer) string {
	var list []string
	for _, p := range o.Proposals {
		var names []string
		for _, t := range p.Transforms {
			names = append(names, transformText(t))
		}
		list = append(list, clean(p.Protocol)+" "+strings.Join(names, "/"))
	}
	return strings.Join(list, "; ")
}

func transformText(t report.Transform) string {
	if t.Bits > 0 {
		return clean(fmt.Sprintf("%s-%d", t.Name, t.Bits))
	}
	return clean(t.Name)
}

func sideTexts(r *report.Report) []item {
	var out []item
	add := func(side report.Side, what, text string) {
		if text != "" {
			out = append(out, item{subject: what + " of " + string(side), text: text})
		}
	}
	for _, side := range []report.Side{report.A, report.B} {
		s := r.Sides.Get(side)
		if s == nil {
			add(side, "capture", "missing")
			continue
		}
		add(side, "capture", "present")
		add(side, "addresses", strings.Join(cleanAll(s.Addresses), ", "))
	}
	if r.Run != nil {
		for _, rt := range r.Run.Routers {
			add(rt.Side, "software", clean(strings.TrimSpace(rt.Platform+" "+rt.Version)))
		}
	}
	return out
}

// DiffText writes the differences between two runs for a terminal.
func DiffText(w io.Writer, before, after *report.Report, o Options) error {
	p := newPage(w, after, o)
	d := Compare(before, after)
	for _, n := range d.Notes {
		p.wrap("! ", "  ", n, yellow)
	}
	p.wrap("", "", d.Sentence, bold)
	if len(d.Changes) == 0 {
		return p.w.Flush()
	}
	p.line()
	p.wrap("before  ", "        ", d.Before.text(), "")
	p.wrap("after   ", "        ", d.After.text(), "")
	p.line()
	for _, c := range d.Changes {
		p.change(c)
	}
	return p.w.Flush()
}

func (n RunName) text() string {
	text := clean(string(n.Outcome)) + ": " + n.Headline
	if n.Time != nil {
		text = moment(*n.Time) + ", " + text
	}
	return text
}

func (p *page) change(c Change) {
	sign, color := "~", yellow
	switch c.Kind {
	case "new":
		sign, color = "+", red
	case "gone":
		sign, color = "-", green
	}
	p.line(p.paint(color+";1", sign+" "+c.Kind), "  ", p.paint(bold, c.Subject))
	if c.Before != "" {
		p.wrap("    was ", "        ", c.Before, "")
	}
	if c.After != "" {
		p.wrap("    is  ", "        ", c.After, "")
	}
}
