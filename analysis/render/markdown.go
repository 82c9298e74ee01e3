package render

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/report"
)

// mdLimit is how many rows the ladder of a ticket has at most, about.
const mdLimit = 80

// Markdown writes r for a ticket.
func Markdown(w io.Writer, r *report.Report) error {
	m := &mdPage{bufio.NewWriter(w), r}
	m.top()
	m.findings()
	m.ladder()
	m.captures()
	return m.w.Flush()
}

type mdPage struct {
	w *bufio.Writer
	r *report.Report
}

// printf writes; an error of a bufio.Writer stays until Flush.
func (m *mdPage) printf(format string, args ...any) { _, _ = fmt.Fprintf(m.w, format, args...) }

var mdEscaper = strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "<", "&lt;", ">",
	"&gt;", "|", `\|`, "#", `\#`, "~", `\~`, "@", "&#64;", "!", `\!`, "://", "&#58;//", "www.", "www&#46;")

// md makes text harmless in Markdown: no markup, no links, no HTML, no mentions.
func md(s string) string { return mdEscaper.Replace(clean(s)) }

// mdCode makes a command a code block's line.
func mdCode(s string) string { return strings.ReplaceAll(clean(s), "```", "'''") }

func (m *mdPage) top() {
	v := m.r.Verdict
	title := strings.ToUpper(string(v.Outcome))
	if m.r.Tunnel != "" {
		title = m.r.Tunnel + ": " + title
	}
	m.printf("# %s\n\n**%s**\n", md(title), md(v.Headline))
	if f := firstActions(m.r); f != nil {
		m.printf("\n## What to do first\n")
		m.actions(f.Actions)
	}
}

func (m *mdPage) actions(actions []report.Action) {
	for i, a := range merged(actions) {
		m.printf("\n%d. %s: %s\n", i+1, md(capital(actionWhere(m.r, a))), md(a.Why))
		if len(a.Commands) == 0 {
			continue
		}
		m.printf("\n   ```\n")
		for _, c := range a.Commands {
			m.printf("   %s\n", mdCode(c))
		}
		m.printf("   ```\n")
	}
}

func (m *mdPage) findings() {
	m.printf("\n## Findings\n")
	if len(m.r.Findings) == 0 {
		m.printf("\nNone.\n")
		return
	}
	m.printf("\n| | Severity | Finding | Confidence | Frames |\n|---|---|---|---|---|\n")
	indices, depth := order(m.r.Findings)
	for n, i := range indices {
		f := m.r.Findings[i]
		m.printf("| %d | %s | %s%s (%s) | %s | %s |\n", i+1, md(string(f.Severity)), strings.Repeat("&nbsp;&nbsp;", depth[n]),
			md(f.Title),
			md(f.Code), md(string(f.Confidence)), mdFrames(f.Evidence))
	}
	for _, i := range indices {
		f := m.r.Findings[i]
		m.printf("\n**%d. %s**\n\n%s\n", i+1, md(f.Title), md(f.Explanation))
		if len(f.Evidence) > 0 {
			m.printf("\n")
		}
		for _, e := range proofs(f.Evidence) {
			m.printf("- %s\n", md(e.text(false)))
		}
		switch {
		case first(m.r, i):
			m.printf("\nWhat to do: see above.\n")
		case f.Severity != report.Info:
			m.actions(f.Actions)
		}
	}
	for i, text := range leftOut(m.r.Omitted) {
		if i == 0 {
			m.printf("\n")
		}
		m.printf("- %s\n", md(text))
	}
}

func mdFrames(list []report.Evidence) string {
	var all proof
	for _, p := range proofs(noteless(list)) {
		all = p
	}
	return md(all.text(false))
}

func noteless(list []report.Evidence) []report.Evidence {
	out := slices.Clone(list)
	for i := range out {
		out[i].Note = ""
	}
	return out
}

func (m *mdPage) ladder() {
	l := NewLadder(m.r).Grouped().Fold(mdLimit)
	if len(l.Rows) == 0 {
		return
	}
	m.printf("\n## Ladder\n\n| Time (s) | A | | B | What | Became |\n|---:|---:|:---:|---:|---|---|\n")
	for i := range l.Rows {
		m.row(&l.Rows[i])
	}
}

func (m *mdPage) row(row *Row) {
	switch row.Kind {
	case RowQuiet:
		m.printf("| | | | | *%s quiet* | |\n", duration(row.Span))
	case RowFold:
		m.printf("| %s | | | | *%s* | |\n", row.seconds(), foldText(row))
	case RowICMP:
		m.printf("| %s | %s | ! | %s | ICMP %d/%d from %s: %s | |\n", row.seconds(), mdFrame(row.FrameA), mdFrame(row.FrameB),
			row.ICMP.Type, row.ICMP.Code, md(row.ICMP.From), md(row.ICMP.Meaning+againText(row)))
	default:
		what := rowTitle(row)
		if row.Message != nil {
			what += " " + payloadText(row.Message)
		}
		what += againText(row)
		m.printf("| %s | %s | %s | %s | %s | %s |\n", row.seconds(), mdFrame(row.FrameA), mdArrow(row), mdFrame(row.FrameB),
			md(what), row.fateText())
	}
}

func mdFrame(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

func mdArrow(row *Row) string {
	arrow := map[bool]string{true: "→", false: "←"}[row.From == report.A]
	switch {
	case row.Fate == report.Lost && row.From == report.A:
		return "→ ✗"
	case row.Fate == report.Lost:
		return "✗ ←"
	}
	return arrow
}

func (m *mdPage) captures() {
	m.printf("\n## Captures\n\n")
	for _, side := range []report.Side{report.A, report.B} {
		if s := m.r.Sides.Get(side); s != nil {
			m.printf("- Side %s: %s; %s; %s\n", side, md(sideLine(s)), md(sideCounts(s)+"; "+quality(s)), md(sideSpan(s)))
		} else {
			m.printf("- Side %s: no capture\n", side)
		}
	}
	for _, text := range besides(m.r) {
		m.printf("- Note: %s\n", md(text))
	}
	m.printf("- %s\n- %s\n", md(pairsText(m.r)), md(clocks(m.r)))
	for _, t := range m.r.NAT {
		m.printf("- NAT at %s\n", md(natText(m.r, t)))
	}
	for _, f := range m.r.Flows {
		m.printf("- %s, %s: %s\n", md(flowRoute(m.r, &f)), md(flowTitle(&f)), md(flowCounts(m.r, &f)))
	}
	if m.r.Tool.Name != "" {
		m.printf("\n%s\n", md(strings.TrimSpace(m.r.Tool.Name+" "+m.r.Tool.Version)))
	}
}
