// Package render draws a report for people and for programs: text, HTML, JSON, Markdown, JUnit,
// Mermaid and pcapng.
//
// It reads report.Report and nothing else, so that a stored report renders the same later and
// elsewhere; only the pcapng renderer also reads the two captures. The ladder is computed once, by
// NewLadder, and drawn by the others. Whatever came from a router or a packet is made harmless
// before it is printed.
package render

import (
	"io"

	"github.com/moncap/moncap/analysis/report"
)

// Options says what a terminal can show. The zero value is 80 columns of ASCII without colour.
type Options struct {
	Width   int  // columns; 0 means 80, and less than 40 is taken as 40
	Unicode bool // lines, arrows and crosses beyond ASCII
	Color   bool // ANSI colours
	Verbose bool // every payload of every message, nothing folded
}

// HTMLOptions holds what an HTML report shows beyond the report itself.
type HTMLOptions struct {
	Transcripts map[report.Side]string // what was sent to each router and what it answered, secrets masked
}

// JSON writes r as the moncap.report/v1 document.
func JSON(w io.Writer, r *report.Report) error { return r.Write(w) }
