package diagnose

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

var severities = []report.Severity{report.Critical, report.Warning, report.Info}

// order is the place of a finding in the report by itself.
func order(f report.Finding) int {
	n := slices.Index(severities, f.Severity) * 2
	if f.Severity == report.Info && f.Code != "tunnel-established" {
		n++ // that the tunnel is up comes before lesser facts
	}
	return n
}

// place is where a finding goes: with its root, and behind it.
type place struct {
	finding  report.Finding
	root     int // index of its root before sorting
	gravest  int // order of the gravest that hangs under the same root
	follows  bool
	position int
}

// rank sorts findings: each root with what follows from it, the gravest group first; among equals
// the rules' order stays.
func rank(all []report.Finding) {
	places := make([]place, len(all))
	gravest := map[int]int{}
	roots, pointers := map[string]bool{}, make([]*report.Finding, len(all))
	for i := range all {
		roots[all[i].CausedBy], pointers[i] = true, &all[i]
	}
	of := newIndex(pointers, roots)
	for i, f := range all {
		root := of.root(i)
		places[i] = place{finding: f, root: root, follows: root != i, position: i}
		if n, ok := gravest[root]; !ok || order(f) < n {
			gravest[root] = order(f)
		}
	}
	for i := range places {
		places[i].gravest = gravest[places[i].root]
	}
	slices.SortFunc(places, func(a, b place) int {
		ra, rb := all[a.root], all[b.root]
		return cmp.Or(
			cmp.Compare(a.gravest, b.gravest),
			cmp.Compare(order(ra), order(rb)),
			cmp.Compare(slices.Index(confidences, ra.Confidence), slices.Index(confidences, rb.Confidence)),
			cmp.Compare(a.root, b.root),
			compareBool(a.follows, b.follows),
			cmp.Compare(order(a.finding), order(b.finding)),
			cmp.Compare(a.position, b.position))
	})
	sorted := make([]report.Finding, len(all))
	for i, p := range places {
		sorted[i] = p.finding
	}
	copy(all, sorted)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

var confidences = []report.Confidence{report.Certain, report.Probable, report.Possible}

// The exit codes of the command line, by what was found.
const (
	exitEstablished  = 0
	exitWarnings     = 1
	exitCritical     = 2
	exitInconclusive = 3
)

// Verdict sums the findings up in one word, one sentence and one exit code.
func Verdict(c *pair.Case, findings []report.Finding) report.Verdict {
	up, critical, warning := false, false, false
	for _, f := range findings {
		up = up || f.Code == "tunnel-established"
		// Without traffic nothing is known of the tunnel: that is inconclusive, however urgent.
		critical = critical || f.Severity == report.Critical && f.Code != "no-ike-traffic"
		warning = warning || f.Severity == report.Warning
	}
	v := report.Verdict{Outcome: report.Inconclusive, ExitCode: exitInconclusive, Headline: inconclusive(c, findings)}
	failed, open := othersUp(c, findings)
	switch {
	case failed:
		v.Outcome, v.ExitCode = report.Failed, exitCritical
	case open && !critical:
	case critical && up && !dead(c, findings):
		v.Outcome, v.ExitCode = report.Degraded, exitCritical
	case critical:
		v.Outcome, v.ExitCode = report.Failed, exitCritical
	case up && warning:
		v.Outcome, v.ExitCode = report.Degraded, exitWarnings
		if warningOf(findings) < 0 {
			v.Outcome = report.Established
		}
	case up:
		v.Outcome, v.ExitCode = report.Established, exitEstablished
	}
	if v.Outcome != report.Inconclusive {
		v.Headline = headline(findings)
	}
	if c != nil && onlyTraffic(c) && !critical {
		v.Outcome, v.ExitCode, v.Headline = trafficVerdict(warning)
	}
	return v
}

// dead says whether a finding is there after which an established tunnel carries nothing any more;
// of one SA, unless a later one of the tunnel came up.
func dead(c *pair.Case, findings []report.Finding) bool {
	all := sync.OnceValue(func() map[string]int64 {
		begun := map[string]int64{}
		if c != nil {
			for _, v := range c.Conversations {
				begun[v.ID] = v.First
			}
		}
		return begun
	})
	renewed := func(id string) bool {
		begun := all()
		at, ok := begun[id]
		return ok && slices.ContainsFunc(findings, func(f report.Finding) bool {
			return f.Code == "tunnel-established" && begun[f.Conversation] > at
		})
	}
	return slices.ContainsFunc(findings, func(f report.Finding) bool {
		e, _ := Explain(f.Code)
		return e.Stops && !renewed(f.Conversation)
	})
}

// warningOf is the first warning that is about the tunnel and not about a capture
// of it; -1 without.
func warningOf(findings []report.Finding) int {
	return slices.IndexFunc(findings, func(f report.Finding) bool {
		return f.Severity == report.Warning && !aboutCapture(f.Code)
	})
}

func aboutCapture(code string) bool {
	return strings.HasPrefix(code, "capture-") || code == "clock-offset"
}

// onlyTraffic says whether the captures hold ESP between the sides in both directions and no
// negotiation: a tunnel at work. With both captures, it must be seen to arrive.
func onlyTraffic(c *pair.Case) bool {
	if slices.ContainsFunc(c.Conversations, func(v *pair.Conversation) bool { return !v.Foreign }) {
		return false
	}
	var sent [2]bool
	for _, f := range c.Flows {
		if !f.Foreign && (!c.TwoSided() || f.At[f.From.Other()] != nil) {
			sent[f.From] = true
		}
	}
	return sent[0] && sent[1]
}

func trafficVerdict(warning bool) (report.Outcome, int, string) {
	const text = "Protected traffic passes in both directions; no negotiation was captured."
	if warning {
		return report.Degraded, exitWarnings, text
	}
	return report.Established, exitEstablished, text
}

// headline is the explanation of the first finding, cut to its first sentence.
func headline(findings []report.Finding) string {
	lead := findings[0]
	if !slices.ContainsFunc(findings, func(f report.Finding) bool { return f.Severity == report.Critical }) {
		// With nothing critical, that the tunnel is up is the news.
		for _, f := range findings {
			if f.Code == "tunnel-established" {
				lead = f
				break
			}
		}
	}
	text := firstSentence(lead.Explanation)
	follows := func(f report.Finding) bool { return f.Severity == report.Critical && f.CausedBy == lead.Code }
	if i := slices.IndexFunc(findings, follows); i >= 0 && aboutCapture(lead.Code) {
		text = firstSentence(findings[i].Explanation) + " " + text // what happened, and why it cannot be told for certain
	}
	if lead.Code == "tunnel-established" {
		if i := warningOf(findings); i >= 0 {
			text += " But: " + uncapital(firstSentence(findings[i].Explanation))
		}
	}
	return text
}

// uncapital goes on with a sentence behind a colon: an article loses its capital, a name keeps it.
func uncapital(s string) string {
	for _, article := range []string{"The ", "An ", "A "} {
		if strings.HasPrefix(s, article) {
			return strings.ToLower(s[:1]) + s[1:]
		}
	}
	return s
}

// firstSentence ends at a full stop that is followed by a capital, so that addresses and
// abbreviations stay whole.
func firstSentence(s string) string {
	for i := 0; i+2 < len(s); i++ {
		if s[i] == '.' && s[i+1] == ' ' && s[i+2] >= 'A' && s[i+2] <= 'Z' {
			return s[:i+1]
		}
	}
	return s
}

func inconclusive(c *pair.Case, findings []report.Finding) string {
	for _, f := range findings {
		if f.Code != "capture-one-sided" && f.Code != "clock-offset" && f.Severity != report.Info {
			return firstSentence(f.Explanation)
		}
	}
	if c != nil {
		for range answersBeforeFloat(c) {
			return "The negotiation goes on over UDP 4500 behind a NAT, of which neither capture holds a packet: " +
				"they ended too early, or their filters match UDP 500 only."
		}
	}
	if c != nil && len(c.Conversations) > 0 {
		return "The captures hold a negotiation that neither came up nor was refused in them."
	}
	if c != nil && !c.TwoSided() && !hasESP(c) {
		return "The capture holds no IKE message: nothing triggered the tunnel, or IKE leaves by another interface."
	}
	return "The captures do not show whether the tunnel works."
}
