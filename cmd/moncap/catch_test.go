package main

import (
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/capture/bundle"
)

// The event that an armed run caught stands in the report with its time, and with who may say why
// where no finding does.
func TestCatchIsTold(t *testing.T) {
	at := time.Date(2026, 11, 23, 10, 0, 5, 0, time.UTC)
	info, warning := report.Finding{Severity: report.Info}, report.Finding{Severity: report.Warning}
	for name, c := range map[string]struct {
		kind     string
		findings []report.Finding
		asks     bool
	}{
		"lost, and nobody says why":  {capture.EventLost, []report.Finding{info}, true},
		"lost, and a finding is why": {capture.EventLost, []report.Finding{info, warning}, false},
		"it came up":                 {capture.EventUp, nil, false},
	} {
		n := noteOfCatch(&bundle.Catch{At: at, Kind: c.kind, Side: bundle.B, Text: "site-b: \x1bthe tunnel"}, c.findings)
		if n.Side != report.B || n.Code != report.NoteCaught || strings.Contains(n.Text, "show logging") != c.asks ||
			!strings.HasPrefix(n.Text, "caught at 10:00:05 UTC: "+c.kind+": site-b: the tunnel") {
			t.Errorf("%s: %+v", name, n)
		}
	}
}
