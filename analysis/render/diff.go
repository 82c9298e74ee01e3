package render

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/report"
)

// Change is one difference between two reports of the same tunnel.
type Change struct {
	Kind    string // new, gone, changed
	Subject string // what it is about: "outcome", "finding path-blocked A->B", "NAT of A", ...
	Before  string
	After   string
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
			text = endpoint(t.Original, t.OriginalPort) + " becomes " + clean(t.Translated) + ", another port" // which one is chance
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
	changes := Diff(before, after)
	if len(changes) == 0 {
		p.line("No difference.")
		return p.w.Flush()
	}
	p.wrap("before  ", "        ", clean(before.Verdict.Headline), "")
	p.wrap("after   ", "        ", clean(after.Verdict.Headline), bold)
	p.line()
	for _, c := range changes {
		p.change(c)
	}
	return p.w.Flush()
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
