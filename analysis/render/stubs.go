package render

import (
	"errors"
	"io"

	"github.com/moncap/moncap/analysis/report"
)

var errLater = errors.New("render: not written yet")

// HTML writes r as one self-contained page that needs no network and no script.
func HTML(w io.Writer, r *report.Report, o HTMLOptions) error { return errLater }
