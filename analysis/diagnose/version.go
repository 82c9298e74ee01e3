package diagnose

import (
	"fmt"

	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

func versionMismatch(j *judge) []report.Finding {
	x := j.versions
	if x == nil {
		return nil
	}
	v := [2]int{x.Version, 3 - x.Version}
	if x.Side == pair.B {
		v = [2]int{3 - x.Version, x.Version}
	}
	return []report.Finding{{
		Confidence: certainIf(x.Certain), Conversation: x.Proof[0].Conversation.ID,
		Explanation: fmt.Sprintf("%s speaks IKEv%d and %s speaks IKEv%d: they cannot understand each other.",
			j.name(pair.A), v[0], j.name(pair.B), v[1]),
		Evidence: evidence("the version that it speaks", x.Proof...),
		Actions: j.both("which version is configured", "show crypto ikev2 profile", "show crypto isakmp policy",
			"show crypto map"),
		Fields: map[string]any{"side_a_version": v[0], "side_b_version": v[1]},
	}}
}
