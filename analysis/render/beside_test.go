package render_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/moncap/moncap/analysis/render"
	"github.com/moncap/moncap/analysis/report"
)

// Every form for people says what became of what was given beside the captures.
func TestNotesAreShown(t *testing.T) {
	r := fixtures()["blocked"]
	if r == nil {
		t.Fatal("no such fixture")
	}
	r.Notes = []report.Note{{Side: report.B, Code: report.NoteBinaryTrace, Text: "binary trace read: no\x1b line"},
		{Code: report.NoteKeysUnused, Text: "the keys fit nothing"}}
	var text, html, markdown bytes.Buffer
	for _, err := range []error{render.Text(&text, r, render.Options{}), render.Markdown(&markdown, r),
		render.HTML(&html, r, render.HTMLOptions{})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for form, got := range map[string]string{"text": text.String(), "html": html.String(), "markdown": markdown.String()} {
		for _, want := range []string{"site-b: binary trace read: no", "the keys fit nothing"} {
			if !strings.Contains(got, want) || strings.Contains(got, "\x1b") {
				t.Errorf("%s: no %q:\n%s", form, want, got)
			}
		}
	}
}

// One capture has no clocks to compare, and the side without a name is called by its letter once.
func TestOneSideAlone(t *testing.T) {
	r := fixtures()["blocked"]
	r.Sides.B, r.Clock = nil, nil
	r.Sides.A.Name = "side A"
	var text bytes.Buffer
	if err := render.Text(&text, r, render.Options{}); err != nil {
		t.Fatal(err)
	}
	got := text.String()
	if !strings.Contains(got, "One capture alone: there is no other clock") ||
		strings.Contains(got, "no packet was seen") ||
		strings.Contains(got, "A side A") || !strings.Contains(got, " side A") {
		t.Errorf("%s", got)
	}
}

// A drift that rounds to nothing is not shown, and one that does not is.
func TestDriftOfNothingIsNotShown(t *testing.T) {
	for ppm, shown := range map[float64]bool{0.04: false, -0.04: false, 0.06: true, -3: true} {
		r := fixtures()["blocked"]
		r.Clock.DriftPPM = &ppm
		var text bytes.Buffer
		if err := render.Text(&text, r, render.Options{}); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text.String(), "drifts") != shown {
			t.Errorf("%g ppm\n%s", ppm, text.String())
		}
	}
}
