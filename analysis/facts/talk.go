package facts

import (
	"context"
	"iter"
	"net/netip"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
)

// Talk is a conversation with what was worked out of it.
type Talk struct {
	*pair.Conversation
	End     Ending
	Certain bool      // that it ended so; else it is inferred
	By      pair.Side // who refused, rejected or deleted, where End says that somebody did
	Answer  Answer    // the IKE_AUTH response that decided
	Proof   []*pair.Message
	Taken   bool // established: the initiator is seen to accept what the responder answered
	Listed  bool // the initiator's router lists the SA as up, by both its SPIs

	// Established by the responder's answer, while the initiator fell silent in a way that a
	// rejection would explain; IKEv1: phase 1 is complete, and the captures end with what may be one.
	Doubted bool

	// Established, with a child SA that was made later; that of IKE_AUTH was refused, as sizes tell.
	FirstRefused bool
	// Established as an IKE SA, and whether a child SA was made with it is open: its certificate
	// makes the answer as large as it would be with one, and no traffic passes.
	ChildOpen bool

	c     *pair.Case
	all   []*Talk
	index int   // in all
	then  *Talk // the next one between the same ends that is captured from its beginning
	after *Talk // that of Next
	prior *Talk // that of Previous
	stood bool  // an earlier one between the same ends came up
	esp   espUse
	shows *[2]Config
	ready *ready
	least *[2]int                  // bytes of the messages of an IKE rekey, by sender, once asked for
	one   *oneV1                   // of a conversation of IKEv1, once asked for
	makes map[*pair.Message]Making // what Makes was asked for so far since the ending is decided
	ended bool                     // it is
	// the ID of the last request that may have made the SA which replaced this one, once asked for
	lastMade *uint32
	answered *[2]answeredIDs // of each side's requests, once asked for
	created  *pair.Message   // the first CREATE_CHILD_SA request, once asked for
	further  *[2][]furtherKE // by sender, once asked for
}

// Answer is a message from its outside: one SK payload, or the SKF fragments that make one.
type Answer struct {
	Messages []*pair.Message
	First    ike.PayloadType
	Min, Max int  // bytes of plaintext
	Known    bool // Min and Max are
	Whole    bool // all fragments are there
	Inner    []ike.Payload
}

// Talks works out every conversation of a case, in the case's order; those up to where the context
// ends. shows are what was collected on the sides' routers.
func Talks(ctx context.Context, c *pair.Case, shows [2]Config) []*Talk {
	esp, up := espUseOf(c), readyOf(shows)
	all, talks := make([]*Talk, len(c.Conversations)), make([]Talk, len(c.Conversations))
	next, of := map[[2]netip.Addr]*Talk{}, map[*pair.Conversation]*Talk{} // of: by the one before
	for i, v := range slices.Backward(c.Conversations) {
		t, between := &talks[i], v.Between()
		*t = Talk{Conversation: v, c: c, all: all, index: i, esp: esp(v), shows: &shows, ready: &up, then: next[between]}
		if u := of[v]; u != nil {
			t.after, u.prior = u, t
		}
		if v.Previous != nil {
			of[v.Previous] = t
		}
		if all[i] = t; v.Complete {
			next[between] = t
		}
	}
	stood := map[[2]netip.Addr]bool{}
	for i, t := range all {
		if ctx.Err() != nil {
			return all[:i]
		}
		between := t.Between()
		t.stood = stood[between]
		t.decide()
		if t.CameUp() && !t.stood {
			stood[between] = true
		}
		t.ended = true
	}
	return all
}

// CameUp says whether the tunnel stood, be it that it was deleted later.
func (t *Talk) CameUp() bool { return t.End == Established || t.End == Deleted }

// Responder is the side that answers the IKE SA.
func (t *Talk) Responder() pair.Side { return t.Initiator.Other() }

// MessagesOf returns the messages of an exchange and kind.
func (t *Talk) MessagesOf(x ike.ExchangeType, k exchange.Kind) []*pair.Message {
	n := 0
	for range t.Each(x, k) {
		n++
	}
	if n == 0 {
		return nil
	}
	return slices.AppendSeq(make([]*pair.Message, 0, n), t.Each(x, k))
}

// Each yields the messages of an exchange and kind one after the other: there may be a million.
func (t *Talk) Each(x ike.ExchangeType, k exchange.Kind) iter.Seq[*pair.Message] {
	return func(yield func(*pair.Message) bool) {
		if !t.MayHold(x, k) {
			return
		}
		for _, m := range t.Messages {
			if m.Exchange == x && m.Kind == k && !yield(m) {
				return
			}
		}
	}
}

// RequestsOf returns the requests of an exchange.
func (t *Talk) RequestsOf(x ike.ExchangeType) []*pair.Message {
	return t.MessagesOf(x, exchange.Request)
}

// ResponderSPI is the responder's SPI, of several the last one.
func (t *Talk) ResponderSPI() ike.SPI {
	if n := len(t.SPIrs); t.SPIr == 0 && n > 0 {
		return t.SPIrs[n-1]
	}
	return t.SPIr
}

// InitAnswered says whether the initial exchange led to a selection.
func (t *Talk) InitAnswered() bool {
	return slices.ContainsFunc(t.MessagesOf(ike.IKESAInit, exchange.Response),
		func(m *pair.Message) bool { return m.SA() != nil })
}

// InClear is a message with an error that stands in clear, in an exchange that should be encrypted.
func (t *Talk) InClear(n ike.NotifyType) *pair.Message {
	if !t.MaySay(n) {
		return nil
	}
	for _, m := range t.Messages {
		if m.Exchange != ike.IKESAInit && m.Has(uint16(n)) {
			return m
		}
	}
	return nil
}

// NoProposal is the message that refuses the proposals in clear, of either version.
func (t *Talk) NoProposal() *pair.Message {
	if !t.MaySay(ike.NoProposalChosen) {
		return nil
	}
	for _, m := range t.Messages {
		if m.Has(uint16(ike.NoProposalChosen)) &&
			(m.Exchange == ike.IKESAInit || t.Version == 1 && m.Exchange != ike.V1QuickMode) {
			return m
		}
	}
	return nil
}

// lastAnswer gathers the last response of an exchange from the responder of the IKE SA. A response
// that never reached the initiator counts as well: it was given.
func (t *Talk) lastAnswer(x ike.ExchangeType) (Answer, bool) {
	var id uint32
	found := false
	for m := range t.Each(x, exchange.Response) {
		if m.From != t.Initiator && (!found || m.MessageID > id) {
			id, found = m.MessageID, true
		}
	}
	if !found {
		return Answer{}, false
	}
	var parts []*pair.Message
	for m := range t.Each(x, exchange.Response) {
		if m.From != t.Initiator && m.MessageID == id {
			parts = append(parts, m)
		}
	}
	return gather(parts), true
}

// gather makes one answer of one message or of its fragments.
func gather(parts []*pair.Message) Answer {
	a := Answer{Messages: parts, Known: true, First: ike.PayloadNone}
	total := 1
	seen := map[int]bool{}
	for _, m := range parts {
		if len(m.Inner()) > 0 {
			a.Inner = m.Inner()
		}
		if m.Fragments > 0 {
			total = int(m.Fragments)
			if seen[int(m.Fragment)] {
				continue
			}
			seen[int(m.Fragment)] = true
		} else if seen[1] {
			continue // the same answer once more, with bytes that were altered on the way
		} else {
			seen[1] = true
		}
		if m.Fragment <= 1 {
			a.First = m.FirstInner
		}
		a.Known = a.Known && m.Plain().Known
		a.Min, a.Max = a.Min+m.Plain().Min, a.Max+m.Plain().Max
	}
	a.Whole = len(seen) >= total
	return a
}

// Certificates says whether a side asked for certificates, so that AUTH may be a
// signature of any size.
func (t *Talk) Certificates() bool {
	for _, m := range t.Messages {
		if m.Major() == 2 && m.Holds(ike.PayloadCREQ) {
			return true
		}
	}
	return false
}

// Origin is when the negotiation began that this IKE SA goes back to through every rekey.
func (t *Talk) Origin() int64 { return t.Conversation.Origin().First }

// following is the next negotiation of the same version between the same two ends that begins after
// a moment; nil without.
func (t *Talk) following(at int64) *pair.Conversation {
	for u := t.then; u != nil; u = u.then {
		if u.First > at && u.Version == t.Version {
			return u.Conversation
		}
	}
	return nil
}

// Attempt returns the attempt that followed after this one was given up, or nil.
func (t *Talk) Attempt() *Talk { return t.after }

// GroupAttempt is the attempt with the wanted group that followed under a new SPI, as OpenIKED
// begins anew after INVALID_KE_PAYLOAD; nil without.
func (t *Talk) GroupAttempt() *Talk {
	rounds, _ := t.GroupRounds()
	u := t.Attempt()
	if u == nil || len(rounds) == 0 || t.InitAnswered() {
		return nil
	}
	m := rounds[len(rounds)-1]
	if group, _ := Wanted(m); u.LastGroup() != group || !u.InitAnswered() ||
		u.First > m.Transmissions()[0].Aligned+groupAttemptWithin {
		return nil
	}
	return u
}

// groupAttemptWithin is how soon an attempt with the wanted group belongs to the one before it.
const groupAttemptWithin = 10e9

// Began is when the negotiation began: with the attempt before, when that was asked for the group
// that this one came with.
func (t *Talk) Began() int64 {
	if t.prior != nil && t.prior.GroupAttempt() == t {
		return t.prior.First
	}
	return t.First
}
