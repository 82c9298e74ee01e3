package render

import (
	"bytes"
	_ "embed" // the page's template
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/moncap/moncap/analysis/report"
)

//go:embed page.gohtml
var pageSource string

// pageTemplate is parsed when a page is wanted: that is a third of the start of a program that
// shows none.
var pageTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Funcs(template.FuncMap{"pieces": pieces,
		"beyond": beyond}).Parse(pageSource))
})

// beyond is how many of a row's findings a small screen has no room for.
func beyond(findings []int) int { return max(0, len(findings)-2) }

// htmlLimit is how many rows the ladder of a page has, about, before stretches of it are folded.
const htmlLimit = 600

// HTML writes r as one self-contained page that needs no network and no script.
func HTML(w io.Writer, r *report.Report, o HTMLOptions) error {
	var b bytes.Buffer // so that an error leaves no half page
	if err := pageTemplate().Execute(&b, newView(r, o)); err != nil {
		return err
	}
	_, err := b.WriteTo(w)
	return err
}

// view is what the template prints. All text in it is clean; the template escapes it.
type view struct {
	Title, Outcome, Headline string
	Tunnel, Counts           string
	Facts                    [][2]string
	First                    []actionView
	NAT                      string // what is translated between the sides

	A, B                     sideView
	Rows                     []rowView
	Arrows                   int
	Findings, Debug, Quality []findingView
	Omitted                  []string // what is not listed
	Beside                   []string // what became of what was given beside the captures
	Differences              []differenceView
	Clock, Pairs             string
	Translations             [][4]string
	Offers                   offersView
	Flows                    [][3]string
	Run                      *runView
	Transcripts              []transcriptView
	Tool                     string
}

// piece is a part of a sentence. A whole one is a word that a line must not end in the middle of.
type piece struct {
	Text  string
	Whole bool
}

// pieces keeps names with hyphens in one line: a browser would break site-a behind the hyphen.
func pieces(s string) []piece {
	var out []piece
	text := ""
	for i, word := range strings.Split(s, " ") {
		if i > 0 {
			text += " "
		}
		if !strings.Contains(word, "-") {
			text += word
			continue
		}
		out, text = append(out, piece{Text: text}, piece{word, true}), ""
	}
	return append(out, piece{Text: text})
}

type sideView struct {
	Letter, Name, Address, Line, Counts, Quality, Span, File, Hash string
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
	First                                                   bool // its actions stand above all
	Actions                                                 []actionView
}

// evidenceView is what some frames prove; each leads to its arrow.
type evidenceView struct {
	Note  string
	Sides []evidenceSide
}

type evidenceSide struct {
	Word   string // A frame, B frames
	Frames []frameView
	More   int
}

type frameView struct {
	Row  int // 0: nowhere
	Text string
}

type runView struct {
	ID, Text string
	Phases   [][4]string
	Failed   bool // one of them
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
	v := &view{Outcome: clean(string(r.Verdict.Outcome)), Headline: clean(r.Verdict.Headline), Arrows: l.Arrows,
		Tunnel: clean(r.Tunnel),
		Clock:  clocks(r), Pairs: pairsText(r), Omitted: leftOut(r.Omitted), Beside: besides(r),
		Tool: clean(strings.TrimSpace(r.Tool.Name + " " + r.Tool.Version)),
		A:    newSideView(r, report.A), B: newSideView(r, report.B), Offers: newOffersView(r), Differences: differences(r),
		Facts: facts(r), Counts: severities(r)}
	if l.NAT {
		v.NAT = natSummary(r)
	}
	v.Title = strings.TrimSpace(clean(r.Tunnel) + " " + v.Outcome)
	if f := firstActions(r); f != nil {
		v.First = actionViews(r, f.Actions)
	}
	v.rows(r, folded)
	v.findings(r, folded)
	for _, t := range r.NAT {
		v.Translations = append(v.Translations, [4]string{sideName(r, t.Side), endpoint(t.Original, t.OriginalPort),
			endpoint(t.Translated, t.Port), thousands(t.Packets)})
	}
	for _, f := range r.Flows {
		v.Flows = append(v.Flows, [3]string{flowRoute(r, &f), flowTitle(&f), flowCounts(r, &f)})
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
	v.Present, v.Line, v.Counts, v.Span, v.Quality = true, sideLine(s), sideCounts(s), sideSpan(s), quality(s)
	v.File, v.Hash = clean(s.File+", "+s.Format+", "+s.LinkType), clean(s.SHA256)
	if len(s.Addresses) > 0 {
		v.Address = clean(s.Addresses[0])
	}
	return v
}

// facts are what is worth knowing before anything else, in a few words each.
func facts(r *report.Report) [][2]string {
	var out [][2]string
	for _, side := range []report.Side{report.A, report.B} {
		if s := r.Sides.Get(side); s != nil && s.First != nil {
			out = append(out, [2]string{"Captured", sideSpan(s)})
			break
		}
	}
	out = append(out, [2]string{"Packets", pairsText(r)}, [2]string{"Clocks", clocks(r)})
	var trust []string
	for _, side := range []report.Side{report.A, report.B} {
		text := "no capture"
		if s := r.Sides.Get(side); s != nil {
			text = quality(s)
		}
		trust = append(trust, text)
	}
	if trust[0] == trust[1] {
		return append(out, [2]string{"Captures", "both: " + trust[0]})
	}
	return append(out, [2]string{"Captures", "A: " + trust[0] + ". B: " + trust[1]})
}

// severities counts the findings of each severity.
func severities(r *report.Report) string {
	var list []string
	for _, k := range []struct {
		severity  report.Severity
		one, many string
	}{{report.Critical, "critical", "critical"}, {report.Warning, "warning", "warnings"}, {report.Info, "note", "notes"}} {
		n := 0
		for _, f := range r.Findings {
			if f.Severity == k.severity {
				n++
			}
		}
		switch {
		case n == 1:
			list = append(list, "1 "+k.one)
		case n > 1:
			list = append(list, fmt.Sprint(n, " ", k.many))
		}
	}
	return strings.Join(list, ", ")
}

// natSummary names each translated address once.
func natSummary(r *report.Report) string {
	var list []string
	for _, t := range r.NAT {
		if text := clean(t.Original) + " \u2192 " + clean(t.Translated); !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	return strings.Join(list, ", ")
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
			Confidence: clean(string(f.Confidence)), Title: clean(f.Title), Explanation: clean(f.Explanation),
			Because: clean(f.CausedBy), First: first(r, i),
			Actions: actionViews(r, f.Actions)}
		for _, e := range proofs(f.Evidence) {
			fv.Evidence = append(fv.Evidence, rows.proofView(e, i))
		}
		v.Findings = append(v.Findings, fv)
		if strings.HasPrefix(f.Code, "debug") {
			v.Debug = append(v.Debug, fv)
		}
		if strings.HasPrefix(f.Code, "capture-") {
			v.Quality = append(v.Quality, fv)
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

func (x rowIndex) of(at frameOf, finding int) int {
	if n := x.frames[at]; n > 0 {
		return n
	}
	return x.findings[finding]
}

// shownFrames bounds the frames that are links of their own; more become runs.
const shownFrames = 24

func (x rowIndex) proofView(p proof, finding int) evidenceView {
	v := evidenceView{Note: p.note}
	for i, side := range []report.Side{report.A, report.B} {
		frames := p.frames[i]
		if len(frames) == 0 {
			continue
		}
		s := evidenceSide{Word: string(side) + " frame"}
		if len(frames) > 1 {
			s.Word += "s"
		}
		list := runs(frames)
		if len(frames) <= shownFrames {
			list = nil
			for _, f := range frames {
				list = append(list, run{f, f})
			}
		}
		shown := 0
		for j, r := range list {
			if j == shownFrames {
				s.More = len(frames) - shown
				break
			}
			shown += r.high - r.low + 1
			s.Frames = append(s.Frames, frameView{x.of(frameOf{side, r.low}, finding), r.String()})
		}
		v.Sides = append(v.Sides, s)
	}
	return v
}

func (v *view) run(r *report.Report, o HTMLOptions) {
	commands := map[report.Side]string{}
	if run := r.Run; run != nil {
		rv := &runView{ID: clean(run.ID), Notes: cleanAll(furtherNotes(r)), Text: "Started " + runTimes(r) + "."}
		for _, p := range run.Phases {
			rv.Phases = append(rv.Phases, [4]string{clean(p.Name), millis(p.AMS), millis(p.BMS), clean(p.Failed)})
			rv.Failed = rv.Failed || p.Failed != ""
		}
		for _, rt := range run.Routers {
			state := leftState(run, rt)
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
