package diagnose

import (
	"fmt"

	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

func versionMismatch(j *judge) []report.Finding {
	var all []report.Finding
	for _, x := range j.versions.All {
		if x.Unasked {
			all = append(all, j.refusedUnasked(x))
			continue
		}
		all = append(all, j.versionsOf(x))
	}
	return all
}

// versionsOf tells of a conflict which version each side speaks.
func (j *judge) versionsOf(x *facts.VersionConflict) report.Finding {
	v := [2]int{x.Version, 3 - x.Version}
	if x.Side == pair.B {
		v = [2]int{3 - x.Version, x.Version}
	}
	return report.Finding{
		Confidence: certainIf(x.Certain), Conversation: x.Proof[0].Conversation.ID,
		Explanation: fmt.Sprintf("%s speaks IKEv%d and %s speaks IKEv%d: they cannot understand each other.",
			j.name(pair.A), v[0], j.name(pair.B), v[1]),
		Evidence: evidence("the version that it speaks", x.Proof...),
		Actions:  j.whichVersion(),
		Fields:   map[string]any{"side_a_version": v[0], "side_b_version": v[1]},
	}
}

func (j *judge) whichVersion() []report.Action {
	return j.both("which version is configured", "show crypto ikev2 profile", "show crypto isakmp policy",
		"show crypto map")
}

// refusedUnasked is for a refusal of a version without the request that it is about: nothing
// protects it, so it is no more than a hint.
func (j *judge) refusedUnasked(x *facts.VersionConflict) report.Finding {
	m := x.Proof[0]
	return report.Finding{
		Confidence: report.Possible, Severity: report.Warning, Conversation: m.Conversation.ID,
		Title: "A version of IKE is refused that nobody is seen to speak",
		Explanation: fmt.Sprintf("%s says INVALID_MAJOR_VERSION to %s, and no request that it may be about was captured: "+
			"which version each of them speaks is open. Nothing protects such a message, and anybody can send it.",
			j.name(m.From), j.name(x.Side)),
		Evidence: evidence("INVALID_MAJOR_VERSION", m),
		Actions:  j.whichVersion(),
		Fields:   map[string]any{"side_a_version": nil, "side_b_version": nil},
	}
}

// versionsDiffer says whether the two ends of t are seen to speak different versions.
func (j *judge) versionsDiffer(t *talk) bool { return j.versions.With(t.Conversation) != nil }
