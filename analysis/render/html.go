package render

import (
	"bytes"
	_ "embed" // the page's template
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

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
