package render

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/report"
)

// page writes wrapped, coloured text.
type page struct {
	w     *bufio.Writer
	r     *report.Report
	o     Options
	width int
	cols  columns // of the ladder
}

// Text writes r for a terminal: the headline, what to do first, the two-sided ladder, findings,
// clocks, sides and how far the captures can be trusted.
func Text(w io.Writer, r *report.Report, o Options) error {
	p := newPage(w, r, o)
	p.headline()
	if r.Verdict.Outcome == report.NotRun {
		p.run()
		return p.w.Flush()
	}
	p.first()
	p.ladder(NewLadder(r))
	p.findings()
	p.sides()
	p.clock()
	p.nat()
	p.flows()
	p.run()
	return p.w.Flush()
}

func newPage(w io.Writer, r *report.Report, o Options) *page {
	width := o.Width
	if width == 0 {
		width = 80
	}
	return &page{w: bufio.NewWriter(w), r: r, o: o, width: max(width, minWidth)}
}

// The ladder takes the columns that there are, unless the eye would lose the way along its arrows;
// sentences are easier to read in shorter lines.
const (
	minWidth    = 40
	ladderWidth = 120
	proseWidth  = 100
)

// ANSI colours (ECMA-48, Section 8.3.117).
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

func (p *page) paint(color, s string) string {
	if !p.o.Color {
		return s
	}
	return Paint(color, s)
}

// Paint colours s with the parameter of SGR (ECMA-48, Section 8.3.117); none leaves it as it is.
func Paint(color, s string) string {
	if color == "" || s == "" {
		return s
	}
	return "\x1b[" + color + "m" + s + "\x1b[0m"
}

func (p *page) sign(unicode, ascii string) string {
	if p.o.Unicode {
		return unicode
	}
	return ascii
}

// line writes text of our own with everything beyond ASCII taken out where the
// terminal cannot show it.
func (p *page) line(parts ...string) {
	s := strings.TrimRight(strings.Join(parts, ""), " ")
	if !p.o.Unicode {
		s = ascii(s)
	}
	_, _ = p.w.WriteString(s + "\n")
}

// plainer spells what a terminal without Unicode cannot show.
var plainer = strings.NewReplacer("µ", "u", "·", "-", "→", "->", "×", "x", "–", "-", "—", "-", "’", "'", "…", "...",
	"≥", ">=", "≤", "<=", "±", "+-")

func ascii(s string) string {
	s = plainer.Replace(s)
	var b strings.Builder
	for _, r := range s {
		if r < 127 {
			b.WriteRune(r)
			continue
		}
		b.WriteString("??"[:terminal.RuneWidth(r)]) // as wide as it was, so that the lines of the ladder stay straight
	}
	return b.String()
}

func (p *page) section(title string) {
	p.line()
	p.line(p.paint(bold, title))
}

// wrap writes text in lines of the page's width: first in front of the first line, rest in front of
// the others.
func (p *page) wrap(first, rest, text, color string) {
	for i, l := range wrapped(text, min(p.width, proseWidth)-max(width(first), width(rest))) {
		lead := rest
		if i == 0 {
			lead = first
		}
		p.line(lead, p.paint(color, l))
	}
}

func (p *page) headline() {
	v := p.r.Verdict
	color := map[report.Outcome]string{report.Established: green, report.Degraded: yellow, report.Failed: red,
		report.NotRun: red}[v.Outcome]
	sign := map[report.Outcome]string{
		report.Established: p.sign("✔", "OK"), report.Failed: p.sign("✘", "X"), report.NotRun: p.sign("✘", "X"),
	}[v.Outcome]
	if sign == "" {
		sign = "!"
	}
	if v.Outcome == report.Inconclusive {
		sign = "?"
	}
	title := strings.ToUpper(clean(string(v.Outcome)))
	if v.Reason != "" {
		title += " (" + clean(string(v.Reason)) + ")"
	}
	if p.r.Tunnel != "" {
		title += "  " + clean(p.r.Tunnel)
	}
	p.line(p.paint(color+";1", sign+" "+title))
	p.wrap("  ", "  ", clean(v.Headline), bold)
}

func (p *page) first() {
	f := firstActions(p.r)
	if f == nil {
		return
	}
	p.section("What to do first")
	for i, a := range merged(f.Actions) {
		p.action(fmt.Sprintf("  %d. ", i+1), a)
	}
}

func (p *page) action(lead string, a report.Action) {
	why := clean(a.Why)
	text := capital(actionWhere(p.r, a))
	if why != "" {
		text += ": " + why
	}
	indent := strings.Repeat(" ", width(lead))
	p.wrap(lead, indent, text, "")
	for _, c := range a.Commands {
		// A command is never wrapped: it is there to be copied.
		p.line(indent, "  ", p.paint(cyan, clean(c)))
	}
}

func (p *page) findings() {
	p.section("Findings")
	if len(p.r.Findings) == 0 {
		p.line("  none")
		return
	}
	indices, depth := order(p.r.Findings)
	for n, i := range indices {
		if n > 0 {
			p.line()
		}
		p.finding(i, depth[n])
	}
	p.omitted()
}

// omitted says what the report of very many tunnels does not list.
func (p *page) omitted() {
	for i, text := range leftOut(p.r.Omitted) {
		if i == 0 {
			p.line()
		}
		p.line("  " + text)
	}
}

func severityColor(s report.Severity) string {
	return map[report.Severity]string{report.Critical: red, report.Warning: yellow, report.Info: cyan}[s]
}

func (p *page) finding(i, depth int) {
	f := p.r.Findings[i]
	indent := "  " + strings.Repeat("   ", depth)
	mark := ""
	if depth > 0 {
		mark = p.sign("└ ", "+ ")
	}
	label := fmt.Sprintf("[%d] %s%s", i+1, mark, strings.ToUpper(clean(string(f.Severity))))
	code := clean(f.Code) + ", " + clean(string(f.Confidence))
	heading := p.paint(severityColor(f.Severity)+";1", label)
	if width(indent+label)+1+width(code) <= p.width {
		p.line(indent, heading, " ", p.paint(dim, code))
	} else {
		p.line(indent, heading)
		p.wrap(indent+"    ", indent+"    ", code, dim)
	}
	indent += "    "
	p.wrap(indent, indent, clean(f.Title), bold)
	p.wrap(indent, indent, clean(f.Explanation), "")
	if f.CausedBy != "" && depth == 0 {
		p.wrap(indent, indent, "caused by "+clean(f.CausedBy), dim)
	}
	p.evidence(indent, f.Evidence)
	switch {
	case first(p.r, i):
		p.line(indent, p.sign("→ ", "> "), "What to do: see above.")
	case depth == 0 || f.Severity == report.Critical:
		for _, a := range merged(f.Actions) {
			p.action(indent+p.sign("→ ", "> "), a)
		}
	}
}

func (p *page) evidence(indent string, list []report.Evidence) {
	for _, e := range proofs(list) {
		p.wrap(indent+p.sign("· ", "- "), indent+"  ", e.text(p.o.Verbose), dim)
	}
}

func (p *page) field(name, text string) {
	lead := fmt.Sprintf("  %-10s ", name)
	p.wrap(lead, strings.Repeat(" ", len(lead)), text, "")
}

func (p *page) sides() {
	p.section("Captures")
	for _, side := range []report.Side{report.A, report.B} {
		s := p.r.Sides.Get(side)
		if s == nil {
			p.field("side "+string(side), "no capture")
			continue
		}
		p.field("side "+string(side), sideLine(s))
		p.field("", sideCounts(s)+"; "+quality(s))
		p.field("", strings.TrimPrefix(sideSpan(s)+"; ", "; ")+clean(s.File+", "+s.Format+", "+s.LinkType))
	}
	for _, text := range besides(p.r) {
		p.field("note", text)
	}
	p.field("pairs", pairsText(p.r))
}

func sideLine(s *report.SideInfo) string {
	var parts []string
	if name := clean(s.Name); name != "side A" && name != "side B" { // what a side without a name is called
		parts = append(parts, name)
	}
	if s.Interface != "" {
		parts = append(parts, clean(s.Interface))
	}
	parts = append(parts, fewAddresses(s.Addresses)...)
	text := strings.Join(parts, ", ")
	if len(s.Translated) > 0 {
		text += ", seen from the other side as " + strings.Join(fewAddresses(s.Translated), ", ")
	}
	if text == "" {
		return "no address of the tunnel in its packets"
	}
	return text
}

// mostAddresses is how many addresses of a side are named: a gateway has a few, and a capture of a
// hub may hold thousands.
const mostAddresses = 8

func fewAddresses(all []string) []string {
	few := cleanAll(all[:min(len(all), mostAddresses)])
	if more := len(all) - len(few); more > 0 {
		few = append(few, fmt.Sprintf("and %d more", more))
	}
	return few
}

func (p *page) clock() { p.field("clocks", clocks(p.r)) }

func (p *page) nat() {
	for i, t := range p.r.NAT {
		name := "NAT"
		if i > 0 {
			name = ""
		}
		p.field(name, natText(p.r, t))
	}
}

func (p *page) flows() {
	if len(p.r.Flows) == 0 {
		return
	}
	p.section("ESP")
	flows := p.r.Flows
	const most = 20
	for i, f := range flows {
		if i == most && !p.o.Verbose {
			p.line("  ", fmt.Sprintf("and %s more", count(len(flows)-most, "flow")))
			return
		}
		color := ""
		if f.Lost > 0 {
			color = red
		}
		p.wrap("  ", "    ", fmt.Sprintf("%s, %s: %s", flowRoute(p.r, &f), flowTitle(&f), flowCounts(p.r, &f)), color)
	}
}

func (p *page) run() {
	run := p.r.Run
	if run == nil {
		return
	}
	p.section("Run " + clean(run.ID))
	p.field("started", runTimes(p.r))
	p.phases(run.Phases)
	for _, rt := range run.Routers {
		state := leftState(run, rt)
		p.field("side "+string(rt.Side),
			strings.Join(slices.DeleteFunc(cleanAll([]string{rt.Peer, rt.Hostname, rt.Platform, rt.Version, state}),
				func(s string) bool { return s == "" }), ", "))
	}
	for _, n := range furtherNotes(p.r) {
		p.field("note", clean(n))
	}
	for _, l := range run.Left {
		p.field("left", clean(l.Peer+": "+l.What))
		for _, c := range l.Remove {
			p.line("    ", p.paint(cyan, clean(c)))
		}
	}
}

// runTimes says when a run began, how long it took, and how close the captures were where that is
// known.
func runTimes(r *report.Report) string {
	text := fmt.Sprintf("%s, took %s", r.Run.Started.UTC().Format("2006-01-02 15:04:05 UTC"),
		millis(float64(r.Run.DurationMS)))
	if r.Verdict.Outcome == report.NotRun || r.Run.StartGapMS == 0 {
		return text
	}
	return text + fmt.Sprintf("; the captures started %s apart", millis(r.Run.StartGapMS))
}

// furtherNotes are a run's notes that do not stand at the top of the report already.
func furtherNotes(r *report.Report) []string {
	return slices.DeleteFunc(slices.Clone(r.Run.Notes), func(n string) bool { return n == r.Verdict.Headline })
}

// leftState says how a run left a router.
func leftState(run *report.Run, rt report.Router) string {
	switch {
	case rt.Clean:
		return "left clean"
	case run.Kept:
		return "left as asked"
	}
	return "NOT CLEAN"
}

// phases says how long each took on the slower side, and every one in full that failed or when all
// is wanted.
func (p *page) phases(phases []report.Phase) {
	var list []string
	for _, ph := range phases {
		if ph.Failed == "" && !p.o.Verbose {
			list = append(list, clean(ph.Name)+" "+millis(math.Max(ph.AMS, ph.BMS)))
		}
	}
	if len(list) > 0 {
		p.field("phases", strings.Join(list, ", "))
	}
	for _, ph := range phases {
		if ph.Failed == "" && !p.o.Verbose {
			continue
		}
		text := fmt.Sprintf("A %s, B %s", millis(ph.AMS), millis(ph.BMS))
		switch ph.Failed {
		case "":
		case p.r.Verdict.Headline:
			text += "; failed"
		default:
			text += "; failed: " + clean(ph.Failed)
		}
		p.field(clean(ph.Name), text)
	}
}
