package diagnose

import (
	"fmt"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

func versionMismatch(j *judge) []report.Finding {
	var begins [2][3]*pair.Message // by side and version: the first message of a conversation that it began
	for _, t := range j.talks {
		if len(t.Messages) > 0 && t.Complete && t.Version <= 2 && begins[t.Initiator][t.Version] == nil {
			begins[t.Initiator][t.Version] = t.Messages[0]
		}
	}
	if j.establishedTalk() != nil {
		return nil
	}
	for m := range j.c.Messages() {
		if m.Has(uint16(ike.InvalidMajorVersion)) && !m.Encrypted() {
			return []report.Finding{j.versions(m.From.Other(), j.askedVersion(m), report.Certain, m)}
		}
	}
	a, b := begins[pair.A], begins[pair.B]
	switch {
	case a[1] != nil && a[2] == nil && b[2] != nil && b[1] == nil:
		return []report.Finding{j.versions(pair.A, 1, report.Certain, a[1], b[2])}
	case a[2] != nil && a[1] == nil && b[1] != nil && b[2] == nil:
		return []report.Finding{j.versions(pair.A, 2, report.Certain, a[2], b[1])}
	}
	for _, s := range pair.Both {
		// An IKEv1 request that a side which was only ever heard to speak IKEv2 refuses, or leaves
		// unanswered.
		if begins[s][1] != nil && begins[s][2] == nil && !j.accepted(begins[s][1]) {
			if spoke := j.spokeOnly(s.Other(), 2); spoke != nil {
				return []report.Finding{j.versions(s, 1, report.Probable, begins[s][1], spoke)}
			}
		}
	}
	return nil
}

// askedVersion is the version of the request that m refuses: the header of m may carry either (RFC
// 7296, Section 2.5).
func (j *judge) askedVersion(m *pair.Message) int {
	for o := range j.c.Messages() {
		if o.SPIi == m.SPIi && o.From != m.From && o.Kind == exchange.Request {
			return o.Major()
		}
	}
	return m.Major()
}

// accepted says whether m was answered by more than a refusal.
func (j *judge) accepted(m *pair.Message) bool {
	return m.AnsweredBy != nil && len(m.AnsweredBy.Errors()) == 0
}

// spokeOnly is a message of s, when all of them that the captures hold are of a version.
func (j *judge) spokeOnly(s pair.Side, version int) *pair.Message {
	var found *pair.Message
	for m := range j.c.Messages() {
		if m.From != s || m.Conversation.Foreign || len(m.Errors()) > 0 {
			continue
		}
		if m.Major() != version {
			return nil
		}
		found = m
	}
	return found
}

// versions says that s speaks IKE of one version and the other side of the other.
func (j *judge) versions(s pair.Side, version int, c report.Confidence, evident ...*pair.Message) report.Finding {
	v := [2]int{version, 3 - version}
	if s == pair.B {
		v = [2]int{3 - version, version}
	}
	return report.Finding{
		Confidence: c, Conversation: evident[0].Conversation.ID,
		Explanation: fmt.Sprintf("%s speaks IKEv%d and %s speaks IKEv%d: they cannot understand each other.", j.name(pair.A),
			v[0], j.name(pair.B), v[1]),
		Evidence: evidence("the version that it speaks", evident...),
		Actions: []report.Action{j.exec(pair.A, "which version is configured", "show crypto ikev2 profile",
			"show crypto isakmp policy", "show crypto map"), j.exec(pair.B, "which version is configured",
			"show crypto ikev2 profile", "show crypto isakmp policy", "show crypto map")},
		Fields: map[string]any{"side_a_version": v[0], "side_b_version": v[1]},
	}
}
