package render

import (
	"bytes"
	_ "embed" // the page's template
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/moncap/moncap/analysis/report"
)

//go:embed page.gohtml
var pageSource string

var pageTemplate = template.Must(template.New("page").Parse(pageSource))

// htmlLimit is how many rows the ladder of a page has, about, before stretches of it are folded.
const htmlLimit = 600

// HTML writes r as one self-contained page that needs no network and no script.
func HTML(w io.Writer, r *report.Report, o HTMLOptions) error {
	var b bytes.Buffer // so that an error leaves no half page
	if err := pageTemplate.Execute(&b, newView(r, o)); err != nil {
		return err
	}
	_, err := b.WriteTo(w)
	return err
}

// view is what the template prints. All text in it is clean; the template escapes it.
type view struct {
	Title, Outcome, Headline string
	First                    []actionView
	NAT                      bool
	A, B                     sideView
	Rows                     []rowView
	Arrows                   int
	Findings, Debug          []findingView
	Clock, Pairs             string
	Translations             [][3]string
	Offers                   offersView
	Flows                    [][3]string
	Run                      *runView
	Transcripts              []transcriptView
	Tool                     string
}

type sideView struct {
	Letter, Name, Address, Line, Counts, Span, File, Hash, Damaged string
	Present                                                        bool
}

type actionView struct {
	Where, Why string
	Commands   []string
}

type findingView struct {
	ID, Number, Depth                                       int
	Code, Severity, Confidence, Title, Explanation, Because string
	Evidence                                                []evidenceView
	More                                                    int
	Actions                                                 []actionView
}

type evidenceView struct {
	Row  int
	Text string
}

type rowView struct {
	Kind, Class, ID, Time, FrameA, FrameB, Label, Payloads, Fate, Again, Note, Describe string
	Number, Gap, Count                                                                  int
	Arrow                                                                               arrowView
	Findings                                                                            []int
	Seen                                                                                []string
	Detail, DetailB                                                                     []report.Detail
}

// arrowView is the geometry of an arrow: the width in percent, the height in pixels.
type arrowView struct {
	X1, X2 int
	Y1, Y2 int
	Head   string // path of the head, around its own origin
	Cross  bool
	Open   bool // nobody knows where it ends
}

type runView struct {
	ID, Text string
	Phases   [][4]string
	Routers  []string
	Notes    []string
}

type transcriptView struct{ Name, Text string }

type offersView struct {
	Columns []string
	Rows    []offerRow
	Differ  bool // something is marked
}

type offerRow struct {
	Type  string
	Cells [][]offerCell
}

type offerCell struct {
	Text   string
	Differ bool
}

func newView(r *report.Report, o HTMLOptions) *view {
	l := NewLadder(r)
	folded := l.Fold(htmlLimit)
	v := &view{Outcome: clean(string(r.Verdict.Outcome)), Headline: clean(r.Verdict.Headline), NAT: l.NAT, Arrows: l.Arrows,
		Clock: clockText(r.Clock), Pairs: pairsText(r.Pairs), Tool: clean(strings.TrimSpace(r.Tool.Name + " " + r.Tool.Version)),
		A: newSideView(r, report.A), B: newSideView(r, report.B), Offers: newOffersView(r)}
	v.Title = strings.TrimSpace(clean(r.Tunnel) + " " + v.Outcome)
	if f := firstActions(r); f != nil {
		v.First = actionViews(r, f.Actions)
	}
	v.rows(r, folded)
	v.findings(r, folded)
	for _, t := range r.NAT {
		v.Translations = append(v.Translations, [3]string{sideName(r, t.Side), endpoint(t.Original, t.OriginalPort),
			endpoint(t.Translated, t.Port) + ", " + count(t.Packets, "packet")})
	}
	for _, f := range r.Flows {
		v.Flows = append(v.Flows, [3]string{route(r, f.Direction), flowTitle(&f), flowCounts(&f)})
	}
	v.run(r, o)
	return v
}

func newSideView(r *report.Report, side report.Side) sideView {
	v := sideView{Letter: string(side), Name: sideName(r, side)}
	s := r.Sides.Get(side)
	if s == nil {
		return v
	}
	v.Present, v.Line, v.Counts, v.Span = true, sideLine(s), sideCounts(s), sideSpan(s)
	v.File, v.Hash, v.Damaged = clean(s.File+", "+s.Format+", "+s.LinkType), clean(s.SHA256), clean(s.Damaged)
	if len(s.Addresses) > 0 {
		v.Address = clean(s.Addresses[0])
	}
	return v
}

func actionViews(r *report.Report, actions []report.Action) []actionView {
	var out []actionView
	for _, a := range merged(actions) {
		out = append(out, actionView{capital(actionWhere(r, a)), clean(a.Why), cleanAll(a.Commands)})
	}
	return out
}

func (v *view) findings(r *report.Report, l *Ladder) {
	rows := rowsOfFrames(l)
	indices, depth := order(r.Findings)
	for n, i := range indices {
		f := r.Findings[i]
		fv := findingView{ID: i + 1, Number: i + 1, Depth: depth[n], Code: clean(f.Code), Severity: clean(string(f.Severity)),
			Confidence: clean(string(f.Confidence)), Title: clean(f.Title), Explanation: clean(f.Explanation), Because: clean(f.CausedBy),
			Actions: actionViews(r, f.Actions)}
		for j, e := range f.Evidence {
			if j == 40 {
				fv.More = len(f.Evidence) - j
				break
			}
			fv.Evidence = append(fv.Evidence, evidenceView{rows.of(e, i), evidenceText(e)})
		}
		v.Findings = append(v.Findings, fv)
		if strings.HasPrefix(f.Code, "debug") {
			v.Debug = append(v.Debug, fv)
		}
	}
}

// rowIndex says in which row a frame, or else a finding, is shown; 0 is nowhere.
type rowIndex struct {
	frames   map[frameOf]int
	findings map[int]int
}

func rowsOfFrames(l *Ladder) rowIndex {
	x := rowIndex{map[frameOf]int{}, map[int]int{}}
	for _, row := range l.Rows {
		x.frames[frameOf{report.A, row.FrameA}] = row.Number
		x.frames[frameOf{report.B, row.FrameB}] = row.Number
		if row.Kind == RowFold {
			for _, f := range row.Findings {
				x.findings[f] = row.Number
			}
		}
		if t := row.Transmission; t != nil {
			x.fragments(report.A, t.A, row.Number)
			x.fragments(report.B, t.B, row.Number)
		}
	}
	delete(x.frames, frameOf{report.A, 0})
	delete(x.frames, frameOf{report.B, 0})
	return x
}

func (x rowIndex) fragments(side report.Side, s *report.Sighting, row int) {
	if s == nil {
		return
	}
	for _, f := range s.Fragments {
		x.frames[frameOf{side, f}] = row
	}
}

func (x rowIndex) of(e report.Evidence, finding int) int {
	if n := x.frames[frameOf{e.Side, e.Frame}]; n > 0 {
		return n
	}
	return x.findings[finding]
}

func (v *view) rows(r *report.Report, l *Ladder) {
	before := l.Start
	for i := range l.Rows {
		row := &l.Rows[i]
		rv := rowView{Number: row.Number, Time: seconds(row.NS), FrameA: number(row.FrameA), FrameB: number(row.FrameB), Gap: gap(row.NS - before)}
		before = row.NS
		for _, f := range row.Findings {
			rv.Findings = append(rv.Findings, f+1)
		}
		switch row.Kind {
		case RowQuiet:
			rv.Kind, rv.Label = "quiet", duration(row.Span)+" quiet"
		case RowFold:
			rv.Kind, rv.Label, rv.Count = "fold", foldText(row), row.Count
		case RowICMP:
			rv.Kind, rv.Class = "icmp", strings.ToLower(string(row.From))
			rv.Label = fmt.Sprintf("ICMP %d/%d from %s: %s", row.ICMP.Type, row.ICMP.Code, clean(row.ICMP.From), clean(row.ICMP.Meaning))
		default:
			rv.arrow(r, row, l.Rows[:i])
		}
		v.Rows = append(v.Rows, rv)
	}
}

// gap is the space in pixels that stands for a time: it grows with its logarithm.
func gap(ns int64) int {
	ms := float64(ns) / 1e6
	if ms <= 1 {
		return 0
	}
	return min(int(5*math.Log10(ms)), 24)
}

func (rv *rowView) arrow(r *report.Report, row *Row, before []Row) {
	rv.Kind, rv.Label, rv.Fate, rv.Count = "arrow", rowTitle(row), row.fateText(), 1
	rv.Class = strings.ToLower(string(row.From)) + " " + strings.ReplaceAll(clean(string(row.Fate)), " ", "")
	rv.Arrow = geometry(row)
	if row.Flow != nil {
		rv.Class += " flow sealed"
		rv.Count = 0 // no IKE message
		rv.Payloads = flowCounts(row.Flow)
	}
	if m := row.Message; m != nil {
		rv.Payloads, rv.Note = payloadText(m), clean(m.Note)
		if m.Encrypted {
			rv.Class += " sealed"
		}
		rv.Detail, rv.DetailB = cleanDetails(m.Detail), cleanDetails(m.DetailB)
		rv.Seen = sightings(r, row)
	}
	if row.Of > 1 {
		rv.Again = fmt.Sprintf("· sent %d times%s", row.Of, pauses(row.Message))
		if row.Nth > 1 {
			rv.Again = fmt.Sprintf("· %d of %d, again after %s", row.Nth, row.Of, duration(row.Since.Round(10*time.Microsecond)))
		}
	}
	if row.Nth > 1 && len(before) > 0 && sameMessage(before, row) {
		rv.Class += " again"
	}
	rv.Describe = fmt.Sprintf("%s, %s from %s, %s", seconds(row.NS)+" s", rv.Label, sideName(r, row.From), rv.Fate)
}

// pauses lists the times between the sendings of m, the first few.
func pauses(m *report.Message) string {
	const most = 6
	var list []string
	before := int64(0)
	for i := range m.Transmissions {
		t := &m.Transmissions[i]
		if t.A == nil && t.B == nil {
			continue
		}
		at := messageRow(nil, m, t).NS
		if i > 0 {
			list = append(list, duration(time.Duration(at-before).Round(time.Millisecond)))
		}
		before = at
		if len(list) == most && i+1 < len(m.Transmissions) {
			list = append(list, "...")
			break
		}
	}
	if len(list) == 0 {
		return ""
	}
	return ", again after " + strings.Join(list, ", ")
}

func sameMessage(before []Row, row *Row) bool {
	for i := len(before) - 1; i >= 0; i-- {
		if before[i].Kind != RowQuiet {
			return before[i].Message == row.Message
		}
	}
	return false
}

func cleanDetails(list []report.Detail) []report.Detail {
	out := make([]report.Detail, len(list))
	for i, d := range list {
		out[i] = report.Detail{Name: clean(d.Name), Lines: cleanAll(d.Lines)}
	}
	return out
}

func sightings(r *report.Report, row *Row) []string {
	var out []string
	for _, s := range []struct {
		side report.Side
		at   *report.Sighting
	}{{report.A, row.Transmission.A}, {report.B, row.Transmission.B}} {
		if s.at == nil {
			out = append(out, sideName(r, s.side)+": not in the capture")
			continue
		}
		text := fmt.Sprintf("%s: frame %d, %s UTC, %s to %s, %s", sideName(r, s.side), s.at.Frame,
			s.at.Time.UTC().Format("15:04:05.000000"), clean(s.at.Src), clean(s.at.Dst), count(s.at.Size, "byte"))
		if s.at.TTL > 0 {
			text += fmt.Sprintf(", TTL %d, DSCP %d", s.at.TTL, s.at.DSCP)
		}
		if len(s.at.Fragments) > 0 {
			text += ", in " + count(len(s.at.Fragments), "fragment")
		}
		out = append(out, text)
	}
	if d := time.Duration(row.ArriveNS - row.NS); d > 0 {
		out = append(out, "under way for "+duration(d))
	}
	return out
}

// geometry draws an arrow from the sender's line; the slope grows with the time under way.
func geometry(row *Row) arrowView {
	ms := math.Max(float64(row.ArriveNS-row.NS)/1e6, 0)
	a := arrowView{X1: 0, X2: 100, Y1: 5, Y2: 5 + min(2+int(4*math.Log10(1+10*ms)), 14), Head: "M0 0L-11 -5V5Z"}
	half := false
	if row.Fate == report.Lost {
		a.Cross, half, a.Y2, a.X2 = true, true, 8, 62
	}
	if row.Fate == report.Unknown && (row.FrameA == 0 || row.FrameB == 0) {
		a.Open, half, a.Y2, a.X2 = true, true, 8, 85
	}
	if row.From == report.B {
		a.X1, a.X2, a.Head = 100, 100-a.X2, "M0 0L11 -5V5Z"
	}
	if half {
		a.Head = ""
	}
	return a
}

func (v *view) run(r *report.Report, o HTMLOptions) {
	commands := map[report.Side]string{}
	if run := r.Run; run != nil {
		rv := &runView{ID: clean(run.ID), Notes: cleanAll(run.Notes)}
		rv.Text = fmt.Sprintf("Started %s, took %s. The captures started %s apart.", run.Started.UTC().Format("2006-01-02 15:04:05 UTC"),
			millis(float64(run.DurationMS)), millis(run.StartGapMS))
		for _, p := range run.Phases {
			rv.Phases = append(rv.Phases, [4]string{clean(p.Name), millis(p.AMS), millis(p.BMS), clean(p.Failed)})
		}
		for _, rt := range run.Routers {
			state := "left clean"
			if !rt.Clean {
				state = "NOT CLEAN"
			}
			rv.Routers = append(rv.Routers, fmt.Sprintf("%s: %s", sideName(r, rt.Side), strings.Join(slices.DeleteFunc(
				cleanAll([]string{rt.Hostname, rt.Platform, rt.Version, state}), func(s string) bool { return s == "" }), ", ")))
			commands[rt.Side] = strings.Join(cleanAll(rt.Commands), "\n")
		}
		v.Run = rv
	}
	for _, side := range []report.Side{report.A, report.B} {
		text := o.Transcripts[side]
		if text == "" {
			text = commands[side]
		}
		if text != "" {
			v.Transcripts = append(v.Transcripts, transcriptView{sideName(r, side), cleanLines(text)})
		}
	}
}

// cleanLines is clean for text of several lines.
func cleanLines(s string) string {
	lines := strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
	return strings.Join(cleanAll(lines), "\n")
}
