package facts

import (
	"iter"
	"math"
	"net/netip"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
)

// VersionConflict is that a side speaks one version of IKE and the other side the other one.
type VersionConflict struct {
	Side    pair.Side
	Version int // of Side
	Certain bool
	// Unasked says that no capture holds the request that is refused: anybody can have sent the
	// refusal, and the version that it names may be either. Side is who is refused, Version is 0.
	Unasked bool
	Proof   []*pair.Message
}

// VersionConflicts are those of a case, by the peer: what comes up with one says nothing of others.
type VersionConflicts struct {
	// in order of time; of refusals whose request no capture holds the first one only, where there is
	// nothing else
	All     []*VersionConflict
	by      map[netip.Addr]*VersionConflict
	remotes *pair.Remotes
}

// With is the conflict with the peer of v; nil when there is none.
func (x *VersionConflicts) With(v *pair.Conversation) *VersionConflict {
	if len(x.by) == 0 {
		return nil
	}
	return x.by[x.remotes.With(v)]
}

// Versions finds out whether the sides speak different versions of IKE.
func Versions(remotes *pair.Remotes, talks []*Talk) *VersionConflicts {
	all := &VersionConflicts{by: map[netip.Addr]*VersionConflict{}, remotes: remotes}
	with := map[netip.Addr][]*Talk{}
	var peers []netip.Addr
	for _, t := range talks {
		p := remotes.With(t.Conversation)
		if with[p] == nil {
			peers = append(peers, p)
		}
		with[p] = append(with[p], t)
	}
	var unasked *VersionConflict
	for _, p := range peers {
		switch x := versionsOf(with[p]); {
		case x == nil:
		case x.Unasked:
			if unasked == nil {
				unasked = x
			}
		default:
			all.All, all.by[p] = append(all.All, x), x
		}
	}
	if len(all.All) == 0 && unasked != nil {
		all.All = []*VersionConflict{unasked}
	}
	return all
}

// messages yields those of some conversations, one after the other.
func messages(talks []*Talk) iter.Seq[*pair.Message] {
	return func(yield func(*pair.Message) bool) {
		for _, t := range talks {
			for _, m := range t.Messages {
				if !yield(m) {
					return
				}
			}
		}
	}
}

// versionsOf finds it out of the conversations with one peer; nil when the versions do not differ,
// or when a tunnel came up all the same.
func versionsOf(talks []*Talk) *VersionConflict {
	var begins [2][3]*pair.Message // by side and version: the first message of a conversation that it began
	for _, t := range talks {
		if t.CameUp() {
			return nil
		}
		if len(t.Messages) > 0 && t.Complete && t.Version <= 2 && begins[t.Initiator][t.Version] == nil {
			begins[t.Initiator][t.Version] = t.Messages[0]
		}
	}
	refused := refusedVersion(talks)
	if refused != nil && !refused.Unasked {
		return refused
	}
	a, b := begins[pair.A], begins[pair.B]
	switch {
	case a[1] != nil && a[2] == nil && b[2] != nil && b[1] == nil:
		return &VersionConflict{Side: pair.A, Version: 1, Certain: true, Proof: []*pair.Message{a[1], b[2]}}
	case a[2] != nil && a[1] == nil && b[1] != nil && b[2] == nil:
		return &VersionConflict{Side: pair.A, Version: 2, Certain: true, Proof: []*pair.Message{a[2], b[1]}}
	}
	for _, s := range pair.Both {
		// An IKEv1 request that a side which was only ever heard to speak IKEv2 refuses, or
		// leaves unanswered.
		if begins[s][1] != nil && begins[s][2] == nil && !accepted(begins[s][1]) {
			if spoke := spokeOnly(talks, s.Other(), 2); spoke != nil {
				return &VersionConflict{Side: s, Version: 1, Proof: []*pair.Message{begins[s][1], spoke}}
			}
		}
	}
	return refused
}

// refusedVersion is the first refusal of a version whose request the captures hold; else the first
// one without, as anybody can send by the thousand; nil without any. Who selects by IKEv2 later,
// for the other side, speaks that one, and refuses nothing.
func refusedVersion(talks []*Talk) *VersionConflict {
	var refusals []*pair.Message
	of := map[ike.SPI]bool{}
	for _, t := range talks {
		if !t.MaySay(ike.InvalidMajorVersion) {
			continue
		}
		for _, m := range t.Messages {
			if m.Has(uint16(ike.InvalidMajorVersion)) && !m.Encrypted() {
				refusals = append(refusals, m)
				of[m.SPIi] = m.SPIi != 0
			}
		}
	}
	if len(refusals) == 0 {
		return nil
	}
	asked, selects := versionsAsked(talks, of), lastSelections(talks)
	var unasked *VersionConflict
	for _, m := range refusals {
		if selects[m.From] > m.Transmissions()[0].Aligned {
			continue
		}
		side := m.From.Other()
		switch version := asked[requester{m.SPIi, side}]; {
		case version > 2:
			continue // nobody speaks it: the request may be anybody's, and is rightly refused
		case version != 0:
			return &VersionConflict{Side: side, Version: version, Certain: true, Proof: []*pair.Message{m}}
		}
		if unasked == nil {
			unasked = &VersionConflict{Side: side, Unasked: true, Proof: []*pair.Message{m}}
		}
	}
	return unasked
}

// requester is who sent requests with an initiator's SPI.
type requester struct {
	spi  ike.SPI
	from pair.Side
}

// versionsAsked are the versions of the first requests of some SPIs. A refusal's own header does
// not tell what it refuses: it may carry either version (RFC 7296, Section 2.5).
func versionsAsked(talks []*Talk, of map[ike.SPI]bool) map[requester]int {
	asked := map[requester]int{}
	for m := range messages(talks) {
		if k := (requester{m.SPIi, m.From}); of[m.SPIi] && m.Kind == exchange.Request && asked[k] == 0 {
			asked[k] = m.Major()
		}
	}
	return asked
}

// lastSelections are when each side last answered an initial request of IKEv2 of the other one with
// a selection, aligned; the least there is where it did not.
func lastSelections(talks []*Talk) [2]int64 {
	last := [2]int64{math.MinInt64, math.MinInt64}
	for _, t := range talks {
		if t.Version != 2 {
			continue
		}
		by := &last[t.Responder()]
		for m := range t.Each(ike.IKESAInit, exchange.Response) {
			if m.SA() != nil {
				*by = max(*by, m.Transmissions()[0].Aligned)
			}
		}
	}
	return last
}

// accepted says whether m was answered by more than a refusal.
func accepted(m *pair.Message) bool {
	return m.AnsweredBy() != nil && len(m.AnsweredBy().Errors()) == 0
}

// spokeOnly is a message of s, when all of them that the captures hold are of a version.
func spokeOnly(talks []*Talk, s pair.Side, version int) *pair.Message {
	var found *pair.Message
	for m := range messages(talks) {
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
