package pair

import (
	"cmp"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
)

// Agreement is that an IKE SA agreed on a child SA.
type Agreement struct {
	At    int64 // of the answer, aligned; in fragments, of the first of them
	By    *Conversation
	In    ike.ExchangeType
	Again bool // it had agreed on one before
}

// Agreements are those of the tunnel's conversations, in order of time, of each exchange one: by an
// answer that refuses nothing, and of which no part is known to be lost. Of the rounds of IKE_AUTH,
// with EAP (RFC 7296, Section 2.16) or several authentications (RFC 4739), only the last one makes
// a child SA.
func (c *Case) Agreements() []Agreement {
	if c.agreements == nil {
		c.agreements = c.findAgreements()
	}
	return c.agreements
}

// findAgreements are those by what is known so far of what was lost.
func (c *Case) findAgreements() []Agreement {
	all := make([]Agreement, 0, len(c.Conversations))
	var answers []answered
	for _, v := range c.Conversations {
		if v.Foreign || !v.mayAgree() {
			continue
		}
		answers = v.answersOf(answers[:0])
		first := len(all)
		for _, x := range wholeAnswers(answers) {
			all = append(all, Agreement{x.at, v, x.exchange, len(all) > first})
		}
	}
	slices.SortStableFunc(all, func(x, y Agreement) int { return cmp.Compare(x.At, y.At) })
	return all
}

// mayAgree says whether v may hold an answer that makes child SAs.
func (v *Conversation) mayAgree() bool {
	return slices.ContainsFunc([]ike.ExchangeType{ike.IKEAuth, ike.CreateChildSA, ike.V1QuickMode},
		func(x ike.ExchangeType) bool { return v.MayHold(x, exchange.Response) })
}

// answered is an answer that may make a child SA, or a part of one.
type answered struct {
	askedKey
	parts int   // of how many; 0: it is whole
	at    int64 // aligned
	lost  bool
}

// answersOf adds what in v may be, or be a part of, an answer that makes child SAs.
func (v *Conversation) answersOf(all []answered) []answered {
	rounds := uint32(0) // the last IKE_AUTH request
	for _, m := range v.Messages {
		if m.Exchange == ike.IKEAuth && m.Kind == exchange.Request {
			rounds = max(rounds, m.MessageID)
		}
	}
	for _, m := range v.Messages {
		switch {
		case m.Kind != exchange.Response:
			continue
		case m.Exchange == ike.IKEAuth && (m.MessageID < rounds || m.FirstInner == ike.PayloadEAP && m.SKLen > 0):
			continue
		case m.Exchange != ike.IKEAuth && m.Exchange != ike.CreateChildSA && m.Exchange != ike.V1QuickMode,
			m.Sealed().Refused() == ike.Yes:
			continue
		}
		parts := int(m.Fragments)
		if m.Frag() != nil {
			parts = -1 // IKEv1 does not say how many
		}
		n := m.Tally()
		all = append(all, answered{m.asks(), parts, m.Transmissions()[0].Aligned, n.Lost > 0 && n.Delivered == 0})
	}
	return all
}

// wholeAnswers are the answers of some parts, in order of time, one of each exchange: what was lost
// in one form may have arrived in another one.
func wholeAnswers(parts []answered) []answered {
	slices.SortFunc(parts, func(x, y answered) int {
		return cmp.Or(cmp.Compare(x.exchange, y.exchange), cmp.Compare(x.from, y.from), cmp.Compare(x.id, y.id),
			cmp.Compare(x.parts, y.parts), cmp.Compare(x.at, y.at))
	})
	n := 0
	for i := 0; i < len(parts); {
		x, some, all := parts[i], false, true
		for ; i < len(parts) && parts[i].askedKey == x.askedKey && parts[i].parts == x.parts; i++ {
			some, all = some || parts[i].lost, all && parts[i].lost
		}
		if all || some && x.parts != 0 {
			continue
		}
		if n > 0 && parts[n-1].askedKey == x.askedKey {
			parts[n-1].at = min(parts[n-1].at, x.at)
			continue
		}
		parts[n] = x
		n++
	}
	slices.SortFunc(parts[:n], func(x, y answered) int { return cmp.Compare(x.at, y.at) })
	return parts[:n]
}

// Overtaken is by how many nanoseconds the answer that makes an SA may come behind the first packet
// of it.
const Overtaken = 100_000_000

// LastAgreed is the last of some agreements, in order of time, by which ESP that began at a moment
// may be; nil without.
func LastAgreed(all []Agreement, start int64) *Agreement {
	i, _ := slices.BinarySearchFunc(all, start+Overtaken,
		func(a Agreement, at int64) int { return cmp.Compare(a.At, at+1) })
	if i == 0 {
		return nil
	}
	return &all[i-1]
}

// Origin is the first IKE SA to which v goes back through every rekey; v itself where it replaced
// none.
func (v *Conversation) Origin() *Conversation { return cmp.Or(v.origin, v) }
