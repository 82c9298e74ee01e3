package render_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moncap/moncap/analysis/render"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/testdata"
)

// figures are the counts that every form of a report shows, as a reader finds them in it.
type figures struct {
	Critical, Warnings, Notes   int // findings
	Sent, Lost                  int // transmissions of IKE messages in the ladder, and the lost ones of them
	Matched, LostAtoB, LostBtoA int // packets
	PacketsA, PacketsB          int
}

// TestFormsAgree reads the counts back out of what each form says about every incident.
func TestFormsAgree(t *testing.T) {
	all, err := testdata.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		r, _ := incident(t, i.Name)
		want := figuresOf(written(t, r, func(w io.Writer, r *report.Report) error { return r.Write(w) }))
		for form, got := range map[string]figures{
			"text":     textFigures(t, written(t, r, grouped)),
			"verbose":  textFigures(t, written(t, r, verbose)),
			"html":     pageFigures(t, page(t, r)),
			"markdown": markdownFigures(t, written(t, r, render.Markdown)),
		} {
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: the figures of the JSON and of the %s differ (-json +%s):\n%s", i.Name, form, form, diff)
			}
		}
		checkJUnit(t, i.Name, want, written(t, r, render.JUnit))
	}
}

func grouped(w io.Writer, r *report.Report) error {
	return render.Text(w, r, render.Options{Unicode: true, Width: 160})
}

func verbose(w io.Writer, r *report.Report) error {
	return render.Text(w, r, render.Options{Unicode: true, Width: 160, Verbose: true})
}

func written(t *testing.T, r *report.Report, write func(io.Writer, *report.Report) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// figuresOf counts in the JSON itself, as another program would.
func figuresOf(document string) figures {
	r, err := report.Read(strings.NewReader(document))
	if err != nil {
		panic(err)
	}
	f := figures{Matched: r.Pairs.Matched, LostAtoB: r.Pairs.LostAtoB, LostBtoA: r.Pairs.LostBtoA,
		PacketsA: r.Sides.A.Packets, PacketsB: r.Sides.B.Packets}
	for _, x := range r.Findings {
		f.add(string(x.Severity), 1)
	}
	for _, c := range r.Conversations {
		for _, m := range c.Messages {
			for _, x := range m.Transmissions {
				f.Sent++
				if x.Fate == report.Lost {
					f.Lost++
				}
			}
		}
	}
	return f
}

func (f *figures) add(severity string, n int) {
	switch strings.ToLower(severity) {
	case "critical":
		f.Critical += n
	case "warning":
		f.Warnings += n
	default:
		f.Notes += n
	}
}

var (
	matched  = regexp.MustCompile(`([\d,]+) packets? seen on both sides`)
	lostAtoB = regexp.MustCompile(`([\d,]+) (?:lost )?from A to B[,.;]`)
	lostBtoA = regexp.MustCompile(`([\d,]+) (?:lost )?from B to A[,.;]`)
	packets  = regexp.MustCompile(`([\d,]+) packets?: [\d,]+ (?:IKE|ESP|ICMP|other)|\b(0) packets(?:;| +Quality)`)
)

// sentences reads the counts that stand in words, the same words in every form.
func (f *figures) sentences(t *testing.T, text string) {
	t.Helper()
	for to, pattern := range map[*int]*regexp.Regexp{&f.Matched: matched, &f.LostAtoB: lostAtoB, &f.LostBtoA: lostBtoA} {
		if m := pattern.FindStringSubmatch(text); m != nil {
			*to = numeral(t, m[1])
		}
	}
	sides := packets.FindAllStringSubmatch(text, -1)
	if len(sides) != 2 {
		t.Fatalf("%d sides with packets, want 2: %q", len(sides), sides)
	}
	f.PacketsA, f.PacketsB = numeral(t, sides[0][1]+sides[0][2]), numeral(t, sides[1][1]+sides[1][2])
}

func numeral(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.ReplaceAll(s, ",", ""))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

var (
	textFinding = regexp.MustCompile(`(?m)^ +\[\d+\] (?:└ )?(CRITICAL|WARNING|INFO)\b`)
	textArrow   = regexp.MustCompile(`^ *\d+\.\d{3} .*│(.*)│(.*)$`)
	textTimes   = regexp.MustCompile(`^ +│ +×(\d+): again after`)
)

func textFigures(t *testing.T, text string) figures {
	t.Helper()
	var f figures
	for _, m := range textFinding.FindAllStringSubmatch(text, -1) {
		f.add(m[1], 1)
	}
	lost := false
	var last *int // what the last arrow is counted in, besides those sent
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if m := textArrow.FindStringSubmatch(line); m != nil {
			last = nil
			if !strings.Contains(m[1], " ESP ") && !strings.Contains(m[1], "ICMP ") {
				f.Sent++
				last, lost = &f.Sent, strings.Contains(m[2], "lost")
				if lost {
					f.Lost++
				}
			}
		} else if m := textTimes.FindStringSubmatch(line); m != nil && last != nil {
			f.Sent += numeral(t, m[1]) - 1
			if lost {
				f.Lost += numeral(t, m[1]) - 1
			}
		}
	}
	f.sentences(t, strings.Join(strings.Fields(text), " "))
	return f
}

var (
	pageFinding = regexp.MustCompile(`<article class="finding panel (\w+) `)
	pageLost    = regexp.MustCompile(`<li class="row [ab] lost[^"]*"[^>]*data-count="1"`)
	pageTag     = regexp.MustCompile(`<[^>]*>`)
)

func pageFigures(t *testing.T, html string) figures {
	t.Helper()
	f := figures{Sent: drawn(t, html), Lost: len(pageLost.FindAllString(html, -1))}
	for _, m := range pageFinding.FindAllStringSubmatch(html, -1) {
		f.add(m[1], 1)
	}
	_, captures, _ := strings.Cut(html, `id="captures"`)
	f.sentences(t, pageTag.ReplaceAllString(captures, " "))
	return f
}

var (
	markdownFinding = regexp.MustCompile(`(?m)^\| \d+ \| (\w+) \|`)
	markdownRow     = regexp.MustCompile(`(?m)^\| [\d.]+ \|.*\| (.*) \| (delivered|lost|arrival unknown) \|$`)
	markdownTimes   = regexp.MustCompile(`×(\d+): again after`)
)

func markdownFigures(t *testing.T, md string) figures {
	t.Helper()
	var f figures
	for _, m := range markdownFinding.FindAllStringSubmatch(md, -1) {
		f.add(m[1], 1)
	}
	for _, m := range markdownRow.FindAllStringSubmatch(md, -1) {
		n := 1
		if strings.HasPrefix(m[1], "ESP ") {
			continue
		}
		if times := markdownTimes.FindStringSubmatch(m[1]); times != nil {
			n = numeral(t, times[1])
		}
		f.Sent += n
		if m[2] == "lost" {
			f.Lost += n
		}
	}
	f.sentences(t, md)
	return f
}

// checkJUnit compares what JUnit has: the findings by severity, and the lost packets.
func checkJUnit(t *testing.T, name string, want figures, document string) {
	t.Helper()
	var suites struct {
		Cases []struct {
			Name    string `xml:"name,attr"`
			Failure *struct {
				Message string `xml:"message,attr"`
				Type    string `xml:"type,attr"`
			} `xml:"failure"`
		} `xml:"testsuite>testcase"`
	}
	if err := xml.Unmarshal([]byte(document), &suites); err != nil {
		t.Fatal(err)
	}
	var got figures
	lost := map[string]string{}
	for i, c := range suites.Cases {
		switch {
		case strings.HasPrefix(c.Name, "no packet is lost") && c.Failure != nil:
			lost[strings.TrimPrefix(c.Name, "no packet is lost ")] = c.Failure.Message
		case i < 5: // the checks of the tunnel and of both captures
		case c.Failure == nil:
			got.Notes++
		default:
			got.add(c.Failure.Type, 1)
		}
	}
	if got.Critical != want.Critical || got.Warnings != want.Warnings || got.Notes != want.Notes {
		t.Errorf("%s: JUnit has findings %+v, the JSON %+v", name, got, want)
	}
	for way, n := range map[string]int{"from A to B": want.LostAtoB, "from B to A": want.LostBtoA} {
		expected := ""
		if n > 0 {
			expected = fmt.Sprintf("%d packet%s lost", n, map[bool]string{true: "s"}[n > 1])
		}
		if lost[way] != expected {
			t.Errorf("%s: JUnit has lost %s: %q, want %q", name, way, lost[way], expected)
		}
	}
}
