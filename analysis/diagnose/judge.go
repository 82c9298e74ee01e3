package diagnose

import (
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// Options are what the judgement may know beside the case, by side.
type Options struct {
	Config [2]map[string]string // outputs of show commands by the names of the commands
	Debug  [2][]byte            // output of debug crypto ikev2
}

// Judge returns the findings of a case, the root causes first.
func Judge(c *pair.Case, o Options) []report.Finding { return nil }

// Verdict sums the findings up.
func Verdict(c *pair.Case, findings []report.Finding) report.Verdict {
	return report.Verdict{Outcome: report.Inconclusive, ExitCode: 3}
}
