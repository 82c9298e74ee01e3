package render_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/moncap/moncap/analysis/render"
	"github.com/moncap/moncap/analysis/report"
)

// BenchmarkRender20000 draws a report of 20,000 messages in every form; MB is the
// size of what is drawn.
func BenchmarkRender20000(b *testing.B) {
	r := long(20000)
	forms := map[string]func(io.Writer) error{
		"html":     func(w io.Writer) error { return render.HTML(w, r, render.HTMLOptions{}) },
		"text":     func(w io.Writer) error { return render.Text(w, r, render.Options{Unicode: true}) },
		"verbose":  func(w io.Writer) error { return render.Text(w, r, render.Options{Unicode: true, Verbose: true}) },
		"markdown": func(w io.Writer) error { return render.Markdown(w, r) },
		"mermaid":  func(w io.Writer) error { return render.Mermaid(w, r) },
		"junit":    func(w io.Writer) error { return render.JUnit(w, r) },
		"json":     func(w io.Writer) error { return render.JSON(w, r) },
		"pcapng": func(w io.Writer) error {
			return render.PCAPNG(w, r, bytes.NewReader(capture(20000, 0)), bytes.NewReader(capture(20000, 120_100_000)))
		},
		"html, all evidence": func(w io.Writer) error { return render.HTML(w, proven(r), render.HTMLOptions{}) },
	}
	for name, draw := range forms {
		b.Run(name, func(b *testing.B) {
			var out bytes.Buffer
			for b.Loop() {
				out.Reset()
				if err := draw(&out); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(out.Len())/1e6, "MB")
			if out.Len() > 20<<20 {
				b.Errorf("%d bytes", out.Len())
			}
		})
	}
}

// proven is r with findings that speak of every frame, so that nothing may be folded
// for want of interest.
func proven(r *report.Report) *report.Report {
	out := *r
	for k := range 20 {
		f := report.Finding{Code: "path-loss", Severity: report.Warning, Confidence: report.Certain, Title: "loss",
			Fields: map[string]any{}}
		for frame := range 20000 {
			if frame%20 == k {
				f.Evidence = append(f.Evidence, report.Evidence{Side: report.A, Frame: frame + 1, Note: "lost"})
			}
		}
		out.Findings = append(out.Findings, f)
	}
	return &out
}
