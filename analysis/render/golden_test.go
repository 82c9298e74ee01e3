package render_test

import (
	"bytes"
	"encoding/xml"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moncap/moncap/analysis/render"
	"github.com/moncap/moncap/analysis/report"
)

var update = flag.Bool("update", false, "write the golden files anew")

type drawing struct {
	ext  string
	draw func(io.Writer, *report.Report) error
}

func drawings() []drawing {
	text := func(o render.Options) func(io.Writer, *report.Report) error {
		return func(w io.Writer, r *report.Report) error { return render.Text(w, r, o) }
	}
	return []drawing{{"txt", text(render.Options{Unicode: true})}, {"ascii.txt", text(render.Options{})},
		{"narrow.txt", text(render.Options{Unicode: true, Width: 40})},
		{"verbose.txt", text(render.Options{Unicode: true, Width: 100, Verbose: true})},
		{"md", render.Markdown}, {"mmd", render.Mermaid}, {"xml", render.JUnit}}
}

func TestGolden(t *testing.T) {
	for name, r := range fixtures() {
		for _, d := range drawings() {
			var got bytes.Buffer
			if err := d.draw(&got, r); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", name+"."+d.ext)
			if *update {
				if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("%s: -want +got, -update writes it anew:\n%s", file, diff)
			}
		}
	}
}

func TestTextIsHarmlessAndFits(t *testing.T) {
	control := regexp.MustCompile(`[\x00-\x09\x0b-\x1f\x7f\x{202e}]`)
	for name, r := range fixtures() {
		for _, width := range []int{0, 40, 60, 80, 132, 200} {
			var b bytes.Buffer
			if err := render.Text(&b, r, render.Options{Unicode: true, Width: width}); err != nil {
				t.Fatal(err)
			}
			if m := control.FindString(b.String()); m != "" {
				t.Errorf("%s: %q in the text", name, m)
			}
			if width == 0 {
				width = 80
			}
			var edges [2]int // the columns of the two lines
			for line := range strings.Lines(b.String()) {
				bars := strings.SplitAfter(strings.TrimRight(line, "\n"), "│")
				if len(bars) < 3 {
					continue
				}
				// The eye loses the way along an arrow that is longer than that.
				if n, most := render.Cells(strings.Join(bars, "")), min(width, 120); n > most {
					t.Errorf("%s: %d columns, want %d at most: %s", name, n, most, line)
				}
				at := [2]int{render.Cells(bars[0]), render.Cells(strings.Join(bars[:len(bars)-1], ""))}
				if edges == ([2]int{}) {
					edges = at
				}
				if at != edges {
					t.Errorf("%s at %d columns: the sides' lines stand in %v, want %v: %s", name, width, at, edges, line)
				}
			}
			if edges == ([2]int{}) {
				t.Errorf("%s at %d columns: no ladder", name, width)
			}
		}
	}
}

func TestColourAddsNothingElse(t *testing.T) {
	var plain, colour bytes.Buffer
	for b, on := range map[*bytes.Buffer]bool{&plain: false, &colour: true} {
		if err := render.Text(b, blocked(), render.Options{Unicode: true, Color: on}); err != nil {
			t.Fatal(err)
		}
	}
	stripped := regexp.MustCompile(`\x1b\[[0-9;]*m`).ReplaceAllString(colour.String(), "")
	trim := func(s string) string { return regexp.MustCompile(` +\n`).ReplaceAllString(s, "\n") }
	if diff := cmp.Diff(trim(plain.String()), trim(stripped)); diff != "" {
		t.Error(diff)
	}
	if colour.Len() == plain.Len() {
		t.Error("no colour")
	}
}

func TestJUnitCounts(t *testing.T) {
	var b bytes.Buffer
	if err := render.JUnit(&b, blocked()); err != nil {
		t.Fatal(err)
	}
	var suites struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Cases    []struct {
			Failure *struct{} `xml:"failure"`
		} `xml:"testsuite>testcase"`
	}
	if err := xml.Unmarshal(b.Bytes(), &suites); err != nil {
		t.Fatal(err)
	}
	failures := 0
	for _, c := range suites.Cases {
		if c.Failure != nil {
			failures++
		}
	}
	// The outcome, the loss from A to B, and both findings.
	if suites.Tests != len(suites.Cases) || suites.Failures != failures || failures != 4 {
		t.Errorf("%+v, %d failures", suites, failures)
	}
}

func TestDiff(t *testing.T) {
	if d := render.Diff(blocked(), blocked()); len(d) != 0 {
		t.Errorf("a report differs from itself: %v", d)
	}
	got := map[string]string{}
	changes := render.Diff(established(), blocked())
	for _, c := range changes {
		got[c.Subject] = c.Kind
	}
	want := map[string]string{"outcome": "changed", "finding nat-t-blocked A->B": "new", "finding ike-auth-timeout": "new",
		"NAT of A, port 500": "new", "packets lost from A to B": "changed", "software of A": "new"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if changes[0].Subject != "outcome" {
		t.Errorf("the first change is %q", changes[0].Subject)
	}
	var b bytes.Buffer
	if err := render.DiffText(&b, blocked(), established(), render.Options{}); err != nil ||
		!strings.Contains(b.String(), "- gone  finding nat-t-blocked A->B") {
		t.Errorf("%v:\n%s", err, b.String())
	}
}

func later(r *report.Report, by time.Duration) *report.Report {
	at := epoch.Add(by)
	r.Sides.A.First, r.Run = &at, nil
	r.Sides.B.First = &at
	return r
}

func TestDifferenceInASentence(t *testing.T) {
	const day = 24 * time.Hour
	swapped, other := later(blocked(), day), later(blocked(), day)
	swapped.Sides.A.Name, swapped.Sides.B.Name = "site-b", "site-a"
	other.Sides.B.Name = "site-c"
	for _, c := range []struct {
		name          string
		before, after *report.Report
		want, note    string
	}{
		{"it broke", established(), later(blocked(), day), "Since Tue 24 Nov 2026 10:00 UTC: UDP 4500 from site-a never " +
			"arrives at site-b: a device between them drops it. Before, the tunnel came up.", ""},
		{"it works again", blocked(), later(established(), day),
			"Since Tue 24 Nov 2026 10:00 UTC: the tunnel comes up. Before: UDP 4500 from site-a", ""},
		{"another reason", blocked(), later(mismatch(), day),
			"Since Tue 24 Nov 2026 10:00 UTC: for another reason than before: site-b refuses", ""},
		{"nothing", blocked(), blocked(), "Nothing has changed: UDP 4500", ""},
		{"wrong order", later(blocked(), day), established(), "the tunnel comes up. Before:",
			"The first run is the later one"},
		{"swapped", established(), swapped, "Since", "The sides are the other way round"},
		{"other tunnel", established(), other, "Since",
			"runs of different tunnels: hq-branch (site-a - site-b) and hq-branch (site-a - site-c)"},
	} {
		d := render.Compare(c.before, c.after)
		notes := strings.Join(d.Notes, " ")
		if !strings.HasPrefix(d.Sentence, c.want) || (c.note == "") != (notes == "") || !strings.Contains(notes, c.note) {
			t.Errorf("%s: %q, notes %q", c.name, d.Sentence, d.Notes)
		}
	}
}

// A report that does not list everything says so in every form that people read.
func TestWhatIsLeftOutIsSaid(t *testing.T) {
	r := mismatch()
	r.Omitted = &report.Omitted{Findings: map[string]int{"rekey": 7}, Messages: 1}
	for format, draw := range map[string]func(io.Writer, *report.Report) error{
		"text":     func(w io.Writer, r *report.Report) error { return render.Text(w, r, render.Options{Width: 100}) },
		"html":     func(w io.Writer, r *report.Report) error { return render.HTML(w, r, render.HTMLOptions{}) },
		"markdown": func(w io.Writer, r *report.Report) error { return render.Markdown(w, r) },
	} {
		var b strings.Builder
		if err := draw(&b, r); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"and 7 more findings of rekey", "1 message"} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%s does not say %q", format, want)
			}
		}
	}
}

// What nobody measured is not told as none.
func TestStartGapIsToldWhereItIsKnown(t *testing.T) {
	for gap, want := range map[float64]bool{3.5: true, 0: false} {
		r := blocked()
		r.Run.StartGapMS = gap
		var b bytes.Buffer
		err := render.Text(&b, r, render.Options{Width: 120})
		if told := strings.Contains(b.String(), " apart"); err != nil || told != want {
			t.Errorf("%v ms: %v\n%s", gap, err, b.String())
		}
	}
}
