package diagnose

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// causes say which findings explain which: a follower hangs under the first of its causes that was found for the same
// conversation or direction.
var causes = map[string][]string{
	"path-blocked":                {"icmp-rejected", "packet-too-big", "wrong-peer-address", "mtu-black-hole", "capture-empty"},
	"nat-t-blocked":               {"icmp-rejected"},
	"icmp-rejected":               {"wrong-peer-address", "nat-mapping-changed"},
	"path-loss":                   {"icmp-rejected", "packet-too-big", "mtu-black-hole", "ip-fragments-lost", "ike-fragments-lost"},
	"esp-blocked":                 {"icmp-rejected", "nat-float-missing", "packet-too-big"},
	"esp-loss":                    {"packet-too-big", "mtu-black-hole", "icmp-rejected"},
	"esp-one-way":                 {"esp-blocked"},
	"mtu-black-hole":              {"packet-too-big"},
	"ip-fragments-lost":           {"packet-too-big", "icmp-rejected"},
	"ike-fragments-lost":          {"path-blocked", "mtu-black-hole"},
	"retransmissions-exhausted":   lostCauses,
	"peer-not-answering":          {"ip-fragments-lost", "ike-fragments-lost", "version-mismatch", "icmp-rejected", "debug-captured-not-received", "psk-mismatch-v1", "payload-altered", "wrong-peer-address"},
	"response-ignored":            {"payload-altered", "answer-from-other-address", "inconsistent-answers"},
	"main-mode-stalled":           append([]string{"peer-not-answering", "response-ignored"}, lostCauses...),
	"quick-mode-stalled":          append([]string{"peer-not-answering", "response-ignored", "quick-mode-refused"}, lostCauses...),
	"dpd-timeout":                 lostCauses,
	"rekey-failed":                lostCauses,
	"sa-deleted":                  append([]string{"dpd-timeout", "rekey-failed", "child-sa-refused", "responder-auth-rejected", "auth-failed", "simultaneous-initiation"}, lostCauses...),
	"nat-keepalive-missing":       {"nat-mapping-changed"},
	"invalid-spi":                 {"nat-mapping-changed", "simultaneous-initiation"},
	"malformed-message":           {"payload-altered"},
	"error-notify":                {"version-mismatch", "psk-mismatch-v1", "ike-proposal-mismatch", "payload-altered"},
	"ike-proposal-mismatch":       {"wrong-peer-address", "payload-altered"},
	"ke-group-mismatch":           {"path-blocked"},
	"auth-failed":                 {"payload-altered"},
	"half-open-flood":             lostCauses,
	"debug-captured-not-received": {},
}

// lostCauses are what keeps packets, or their answers, from arriving or being answered.
var lostCauses = []string{
	"icmp-rejected", "packet-too-big", "wrong-peer-address", "nat-t-blocked", "path-blocked", "ip-fragments-lost", "ike-fragments-lost", "mtu-black-hole",
	"nat-mapping-changed", "version-mismatch", "payload-altered", "psk-mismatch-v1", "ike-proposal-mismatch", "answer-from-other-address", "inconsistent-answers", "peer-not-answering", "response-ignored", "path-loss",
}

// linkCauses hangs what follows under its root.
func (j *judge) linkCauses() {
	of := newIndex(j.found)
	for i := range j.found {
		f := &j.found[i]
		for _, code := range causes[f.Code] {
			if k := of.cause(code, *f); code != f.Code && k >= 0 {
				f.CausedBy = code
				break
			}
		}
	}
}

// index finds findings by their code and what they are about.
type index struct {
	found []report.Finding
	of    map[topic][]int  // by code, and by code and conversation
	apart map[string][]int // by code: those that name no conversation
}

func newIndex(found []report.Finding) index {
	x := index{found, map[topic][]int{}, map[string][]int{}}
	for i, f := range found {
		x.of[topic{code: f.Code}] = append(x.of[topic{code: f.Code}], i)
		if f.Conversation == "" {
			x.apart[f.Code] = append(x.apart[f.Code], i)
		}
		for _, id := range append([]string{f.Conversation}, f.Further...) {
			if id != "" {
				k := topic{conversation: id, code: f.Code}
				x.of[k] = append(x.of[k], i)
			}
		}
	}
	return x
}

// cause is the first finding of a code that f can follow from; -1 when there is none.
func (x index) cause(code string, f report.Finding) int {
	if f.Conversation == "" || ofAll(code, f.Code) {
		return x.first(x.of[topic{code: code}], f)
	}
	best := x.first(x.apart[code], f)
	for _, id := range append([]string{f.Conversation}, f.Further...) {
		if k := x.first(x.of[topic{conversation: id, code: code}], f); k >= 0 && (best < 0 || k < best) {
			best = k
		}
	}
	return best
}

func (x index) first(of []int, f report.Finding) int {
	for _, i := range of {
		if related(x.found[i], f) {
			return i
		}
	}
	return -1
}

// ofAll says whether a cause and its follower can be about different conversations.
func ofAll(cause, follower string) bool {
	return cause == "version-mismatch" || cause == "capture-empty" || cause == "nat-mapping-changed" || cause == "wrong-peer-address" ||
		follower == "icmp-rejected" || follower == "retransmissions-exhausted" || follower == "sa-deleted"
}

// related says whether a cause and its follower can be about the same thing: the same conversation, where both name one.
func related(cause, follower report.Finding) bool {
	switch {
	case cause.Code == "version-mismatch":
		return true // of all attempts between the two
	case cause.Code == "capture-empty":
		return strings.HasSuffix(fmt.Sprint(follower.Fields["direction"]), fmt.Sprint("->", cause.Fields["side"]))
	case cause.Fields["direction"] != nil && follower.Fields["direction"] != nil && cause.Fields["direction"] != follower.Fields["direction"]:
		return false
	case follower.Code == "icmp-rejected" && cause.Code == "nat-mapping-changed":
		return strings.HasPrefix(fmt.Sprint(cause.Fields["before"]), fmt.Sprint(follower.Fields["rejected_by"])+":")
	case follower.Code == "icmp-rejected":
		return cause.Conversation == follower.Conversation
	case cause.Code == "wrong-peer-address" && follower.Code == "peer-not-answering":
		return cause.Fields["side"] == follower.Fields["silent_side"] // nothing is configured there for the true address
	case cause.Code == "wrong-peer-address" && follower.Code == "ike-proposal-mismatch":
		// Who knows the peer by another address has no policy for the true one.
		return cause.Fields["side"] == follower.Fields["refusing_side"] && follower.Fields["mismatch"] == "excluded"
	}
	return report.SameTalk(cause, follower) ||
		follower.Code == "retransmissions-exhausted" || follower.Code == "sa-deleted"
}

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

// rank sorts findings: each root with what follows from it, the gravest group first; among equals the rules' order stays.
func rank(all []report.Finding) {
	places := make([]place, len(all))
	gravest := map[int]int{}
	of := newIndex(all)
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

// root follows a finding to what it hangs under: a warning may be the root of something critical.
func (x index) root(i int) int {
	for range len(x.found) {
		f := x.found[i]
		if f.CausedBy == "" {
			return i
		}
		k := x.cause(f.CausedBy, f)
		if k < 0 || k == i {
			return i
		}
		i = k
	}
	return i
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
	switch {
	case critical && up && !dead(findings):
		v.Outcome, v.ExitCode = report.Degraded, exitCritical
	case critical:
		v.Outcome, v.ExitCode = report.Failed, exitCritical
	case up && warning:
		v.Outcome, v.ExitCode = report.Degraded, exitWarnings
		if !slices.ContainsFunc(findings, func(f report.Finding) bool { return f.Severity == report.Warning && !aboutCapture(f.Code) }) {
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

// dead are the findings after which an established tunnel carries nothing any more.
func dead(findings []report.Finding) bool {
	return slices.ContainsFunc(findings, func(f report.Finding) bool {
		switch f.Code {
		case "esp-blocked", "dpd-timeout":
			return true
		}
		return false
	})
}

func aboutCapture(code string) bool {
	return strings.HasPrefix(code, "capture-") || code == "clock-offset"
}

// onlyTraffic says whether the captures hold ESP between the sides in both directions and no negotiation: a tunnel at work. With
// both captures, it must be seen to arrive.
func onlyTraffic(c *pair.Case) bool {
	if len(c.Conversations) > 0 {
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
	if i := slices.IndexFunc(findings, func(f report.Finding) bool { return f.Severity == report.Critical && f.CausedBy == lead.Code }); i >= 0 && aboutCapture(lead.Code) {
		text = firstSentence(findings[i].Explanation) + " " + text // what happened, and why it cannot be told for certain
	}
	if lead.Code == "tunnel-established" {
		if i := slices.IndexFunc(findings, func(f report.Finding) bool { return f.Severity == report.Warning && !aboutCapture(f.Code) }); i >= 0 {
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

// firstSentence ends at a full stop that is followed by a capital, so that addresses and abbreviations stay whole.
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
			return "The negotiation goes on over UDP 4500 behind a NAT, of which neither capture holds a packet: they ended too early, or their filters match UDP 500 only."
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
