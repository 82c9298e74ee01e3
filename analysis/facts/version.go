package facts

import (
	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
)

// VersionConflict is that a side speaks one version of IKE and the other side the other one.
type VersionConflict struct {
	Side    pair.Side
	Version int // of Side
	Certain bool
	Proof   []*pair.Message
}

// Versions finds out whether the sides speak different versions of IKE; nil when they do not, or
// when a tunnel came up all the same.
func Versions(c *pair.Case, talks []*Talk) *VersionConflict {
	var begins [2][3]*pair.Message // by side and version: the first message of a conversation that it began
	for _, t := range talks {
		if t.CameUp() {
			return nil
		}
		if len(t.Messages) > 0 && t.Complete && t.Version <= 2 && begins[t.Initiator][t.Version] == nil {
			begins[t.Initiator][t.Version] = t.Messages[0]
		}
	}
	for m := range c.MessagesWhere(func(v *pair.Conversation) bool { return v.MaySay(ike.InvalidMajorVersion) }) {
		if m.Has(uint16(ike.InvalidMajorVersion)) && !m.Encrypted() {
			return &VersionConflict{m.From.Other(), askedVersion(c, m), true, []*pair.Message{m}}
		}
	}
	a, b := begins[pair.A], begins[pair.B]
	switch {
	case a[1] != nil && a[2] == nil && b[2] != nil && b[1] == nil:
		return &VersionConflict{pair.A, 1, true, []*pair.Message{a[1], b[2]}}
	case a[2] != nil && a[1] == nil && b[1] != nil && b[2] == nil:
		return &VersionConflict{pair.A, 2, true, []*pair.Message{a[2], b[1]}}
	}
	for _, s := range pair.Both {
		// An IKEv1 request that a side which was only ever heard to speak IKEv2 refuses, or leaves
		// unanswered.
		if begins[s][1] != nil && begins[s][2] == nil && !accepted(begins[s][1]) {
			if spoke := spokeOnly(c, s.Other(), 2); spoke != nil {
				return &VersionConflict{s, 1, false, []*pair.Message{begins[s][1], spoke}}
			}
		}
	}
	return nil
}

// askedVersion is the version of the request that m refuses: the header of m may carry either
// (RFC 7296, Section 2.5).
func askedVersion(c *pair.Case, m *pair.Message) int {
	for o := range c.Messages() {
		if o.SPIi == m.SPIi && o.From != m.From && o.Kind == exchange.Request {
			return o.Major()
		}
	}
	return m.Major()
}

// accepted says whether m was answered by more than a refusal.
func accepted(m *pair.Message) bool {
	return m.AnsweredBy() != nil && len(m.AnsweredBy().Errors()) == 0
}

// spokeOnly is a message of s, when all of them that the captures hold are of a version.
func spokeOnly(c *pair.Case, s pair.Side, version int) *pair.Message {
	var found *pair.Message
	for m := range c.Messages() {
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
