package facts

import (
	"slices"
	"sort"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
)

// Refuses says whether an answer to CREATE_CHILD_SA is a refusal: it has no room for a new SA, or
// holds an error that keys made readable.
func Refuses(m *pair.Message) bool {
	if len(m.Inner()) > 0 {
		for _, n := range m.InnerNotifies() {
			if n.Number.IsError() {
				return true
			}
		}
		return false
	}
	return m.Sealed().Refused() == ike.Yes
}

// Made says whether an answer to CREATE_CHILD_SA brings a new SA, for all that can be seen; nil is
// no answer.
func Made(m *pair.Message) bool {
	return m != nil && !Refuses(m) &&
		(len(m.Inner()) > 0 || !m.Plain().Known && m.SKLen > largestShort || m.Sealed().Refused() == ike.No)
}

// Concludes is the request that brings what m, a CREATE_CHILD_SA request, asks for: its last
// IKE_FOLLOWUP_KE where further key exchanges follow it (RFC 9370, Section 2.2.4), else m itself.
func (t *Talk) Concludes(m *pair.Message) *pair.Message {
	if !t.MayHold(ike.IKEFollowupKE, exchange.Request) {
		return m
	}
	if t.further == nil {
		t.further = t.findFurther()
	}
	all := t.further[m.From]
	i := sort.Search(len(all), func(i int) bool { return all[i].id > m.MessageID })
	if i == len(all) || all[i].last == nil {
		return m // what follows belongs to another one
	}
	return all[i].last
}

// furtherKE is a request of CREATE_CHILD_SA or IKE_FOLLOWUP_KE with a higher message ID than those
// of its sender before it.
type furtherKE struct {
	id   uint32
	last *pair.Message // of the IKE_FOLLOWUP_KE that follow each other from it on; nil: it is none
}

func (t *Talk) findFurther() *[2][]furtherKE {
	var found [2][]furtherKE
	for _, m := range t.Messages {
		all := &found[m.From]
		if n := len(*all); m.Kind != exchange.Request || n > 0 && m.MessageID <= (*all)[n-1].id {
			continue
		}
		switch m.Exchange {
		case ike.IKEFollowupKE:
			*all = append(*all, furtherKE{m.MessageID, m})
		case ike.CreateChildSA:
			*all = append(*all, furtherKE{m.MessageID, nil})
		}
	}
	for _, all := range found {
		for i := len(all) - 2; i >= 0; i-- {
			if next := all[i+1].last; all[i].last != nil && next != nil {
				all[i].last = next
			}
		}
	}
	return &found
}

// Renews says whether the SA that m, a CREATE_CHILD_SA request, asks for was made, with all that
// belongs to it.
func (t *Talk) Renews(m *pair.Message) bool {
	if !Made(m.AnsweredBy()) {
		return false
	}
	last := t.Concludes(m).AnsweredBy()
	return last != nil && !Refuses(last)
}

// Making is what a CREATE_CHILD_SA exchange is for (RFC 7296, Section 1.3).
type Making uint8

// The purposes. Unsure: the size admits a rekey of the IKE SA and a further child SA.
const (
	UnsureMaking Making = iota
	NewChild
	RekeyChild
	RekeyIKE
)

// Makes says what a CREATE_CHILD_SA request is for. A rekey of a child SA begins with N(REKEY_SA);
// a rekey of the IKE SA holds an SA with an SPI of 8 bytes, a nonce and a key exchange value, which
// fix the least size of both its messages.
func (t *Talk) Makes(m *pair.Message) Making {
	making, known := t.makes[m]
	if !known {
		if making = t.whatMakes(m); t.ended {
			if t.makes == nil {
				t.makes = map[*pair.Message]Making{}
			}
			t.makes[m] = making
		}
	}
	return making
}

func (t *Talk) whatMakes(m *pair.Message) Making {
	for _, p := range m.Inner() {
		switch x := p.(type) {
		case *ike.Notify:
			if x.Number == ike.RekeySA {
				return RekeyChild
			}
		case *ike.SA:
			if len(x.Proposals) > 0 && x.Proposals[0].Protocol == ike.ProtocolIKE {
				return RekeyIKE
			}
			return NewChild
		}
	}
	if m.FirstInner == ike.PayloadN {
		return RekeyChild
	}
	if m.FirstInner != ike.PayloadSA {
		return UnsureMaking
	}
	if t.replacedBy(m) {
		return RekeyIKE
	}
	least := t.leastIKERekey(m.From)
	if t.firstCreate(m) && t.Childless() ||
		least > 0 && (tooSmall(m, least) || Made(m.AnsweredBy()) &&
			tooSmall(m.AnsweredBy(), t.leastIKERekey(m.From.Other()))) {
		return NewChild
	}
	if a := m.AnsweredBy(); least > 0 && Made(a) && a.Plain().Known && len(a.Inner()) == 0 {
		// The answer chooses one proposal, so that its size is exact: a child SA has
		// traffic selectors beside.
		if exact := t.leastIKERekey(a.From); a.Plain().Min > exact {
			return NewChild
		}
		return RekeyIKE
	}
	if m.Plain().Known && least > 0 && m.Plain().Min <= least {
		return RekeyIKE // with the algorithms that were chosen before
	}
	if t.follows(m, Soon) {
		return NewChild // nobody renews an IKE SA that he has just made
	}
	return UnsureMaking
}

func tooSmall(m *pair.Message, least int) bool {
	return m.Plain().Known && m.Plain().Max < least && m.Fragments == 0
}

// replacedBy says whether the IKE SA that replaced this one is in the captures, and m made it.
func (t *Talk) replacedBy(m *pair.Message) bool {
	next := t.Successor
	if next == nil || !Made(m.AnsweredBy()) || m.From != next.Initiator ||
		m.AnsweredBy().Transmissions()[0].Aligned > next.First {
		return false
	}
	if t.lastMade == nil { // of several the last one before it
		last := uint32(0)
		for _, o := range t.Messages {
			if o.Exchange == ike.CreateChildSA && o.Kind == exchange.Request && o.From == next.Initiator &&
				o.FirstInner == ike.PayloadSA && o.Transmissions()[0].Aligned < next.First && Made(o.AnsweredBy()) {
				last = max(last, o.MessageID)
			}
		}
		t.lastMade = &last
	}
	return m.MessageID >= *t.lastMade
}

// firstCreate says whether m is the first CREATE_CHILD_SA request.
func (t *Talk) firstCreate(m *pair.Message) bool {
	if t.created == nil {
		for o := range t.Each(ike.CreateChildSA, exchange.Request) {
			t.created = o
			break
		}
	}
	return t.created == m
}

// leastIKERekey is the least number of bytes that a message of s in a rekey of this IKE SA holds,
// by what s sent in IKE_SA_INIT: the chosen algorithms, its nonce, a value of the chosen group. 0
// where the captures do not hold them.
func (t *Talk) leastIKERekey(s pair.Side) int {
	if t.least == nil {
		t.least = &[2]int{t.rekeySize(pair.A), t.rekeySize(pair.B)}
	}
	return t.least[s]
}

func (t *Talk) rekeySize(s pair.Side) int {
	const generic, proposal, spi = 4, 8, 8
	sa, nonce, value := 0, 0, 0
	for _, m := range t.Messages {
		if m.Exchange != ike.IKESAInit {
			continue
		}
		if x := m.SA(); x != nil && m.Kind == exchange.Response && len(x.Proposals) == 1 {
			sa = generic + proposal + spi
			for _, f := range x.Proposals[0].Transforms {
				if sa += 8; f.KeyBits() > 0 {
					sa += 4
				}
			}
		}
		for _, p := range m.OfType(ike.PayloadNonce) {
			if n, ok := p.(*ike.Nonce); ok && m.From == s {
				nonce = generic + len(n.Data)
			}
		}
		if _, size, ok := m.KE(); ok && m.From == s {
			value = generic + 4 + size
		}
	}
	if sa == 0 || value == 0 {
		return 0
	}
	return sa + max(nonce, generic+16) + value
}

// Deletion is the message that ended the tunnel: the Delete of its IKE SA, or an INFORMATIONAL that
// begins with one and after which the SPI pair is never used again; whether it is proven, or
// inferred from sizes and silence.
func (t *Talk) Deletion() (*pair.Message, bool) {
	if t.Version == 1 {
		return t.deletionV1()
	}
	if !t.MayHold(ike.Informational, exchange.Request) {
		return nil, false
	}
	silent := t.silentFrom()
	var before replaced
	taken := 0
	for i, m := range t.Messages {
		if m.Exchange != ike.Informational || m.Kind != exchange.Request {
			continue
		}
		for _, p := range slices.Concat(m.InClear(), m.Inner()) {
			if d, ok := p.(*ike.Delete); ok && d.Protocol == ike.ProtocolIKE {
				return m, true
			}
		}
		if i < silent || m.FirstInner != ike.PayloadD || len(m.Inner()) > 0 || deletesChild(m) ||
			m.Sealed().DeletesIKE() == ike.No {
			continue
		}
		for ; taken < i; taken++ {
			before.take(t, t.Messages[taken])
		}
		if !before.ends(m) {
			return m, false
		}
	}
	return nil, false
}

// deletesChild says whether a Delete is answered by one: then it is of a child SA, whose other half
// the answer deletes (RFC 7296, Section 1.4.1).
func deletesChild(m *pair.Message) bool {
	return m.AnsweredBy() != nil && m.AnsweredBy().FirstInner == ike.PayloadD
}

// replaced counts, from message to message, the SAs that CREATE_CHILD_SA exchanges replaced and of
// which the Delete is still to come: each of these is followed by one (RFC 7296, Section 2.8).
type replaced struct{ open, openIKE int }

// take goes on behind m.
func (r *replaced) take(t *Talk, m *pair.Message) {
	switch {
	case m.Kind != exchange.Request:
	case m.Exchange == ike.CreateChildSA && Made(m.AnsweredBy()) && t.Makes(m) != NewChild:
		if r.open++; m.FirstInner == ike.PayloadSA {
			r.openIKE++
		}
	case m.Exchange == ike.Informational && m.FirstInner == ike.PayloadD:
		r.open--
		r.openIKE--
	}
}

// ends says whether d, the next message, is the Delete of a replaced SA. One that is known to have
// 8 bytes is of an IKE SA and ends a replaced IKE SA only.
func (r *replaced) ends(d *pair.Message) bool {
	if d.Sealed().DeletesIKE() == ike.Yes {
		return r.openIKE > 0
	}
	return r.open > 0
}

// silentFrom is the place of the first message that nothing follows but answers and further
// Deletes, as when both sides give up at once.
func (t *Talk) silentFrom() int {
	for i, o := range slices.Backward(t.Messages) {
		if o.Exchange != ike.Informational || o.Kind == exchange.Request && o.FirstInner != ike.PayloadD {
			return i
		}
	}
	return 0
}
