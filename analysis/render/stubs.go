package render

import (
	"errors"
	"io"

	"github.com/moncap/moncap/analysis/report"
)

var errLater = errors.New("render: not written yet")

// HTML writes r as one self-contained page that needs no network and no script.
func HTML(w io.Writer, r *report.Report, o HTMLOptions) error { return errLater }

// Markdown writes r for a ticket.
func Markdown(w io.Writer, r *report.Report) error { return errLater }

// JUnit writes r as JUnit XML: one test case for each finding, and for each check that found nothing.
func JUnit(w io.Writer, r *report.Report) error { return errLater }

// Mermaid writes the ladder of r as a Mermaid sequence diagram.
func Mermaid(w io.Writer, r *report.Report) error { return errLater }

// Change is one difference between two reports of the same tunnel.
type Change struct {
	Kind    string // new, gone, changed
	Subject string // what it is about: "outcome", "finding path-blocked A->B", "NAT of A", ...
	Before  string
	After   string
}

// Diff returns what differs between two runs of one tunnel, the most important first.
func Diff(before, after *report.Report) []Change { return nil }

// DiffText writes the differences between two runs for a terminal.
func DiffText(w io.Writer, before, after *report.Report, o Options) error { return errLater }
