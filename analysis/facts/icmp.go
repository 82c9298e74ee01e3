package facts

import (
	"math"
	"net/netip"
	"slices"
	"sync"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/pair"
)

// Rejection is what a device answers, in ICMP errors of one type and code, to packets of one kind
// that a side sends to one address. That something is too big is no rejection, nor is advice about
// the way of what was passed on; that fragments did not all arrive is none where the captures show
// which.
type Rejection struct {
	By    netip.Addr
	Of    pair.Side // who sent the packets
	About string    // see Quoted
	// It is about a negotiation with somebody else than the two sides, beside their tunnel: it says
	// nothing of that.
	Stranger bool
	Errors   []pair.ICMP
}

// Rejections lists who refuses what of the tunnel, in the order of the first errors. What goes to
// others is among it only where nobody said which tunnel is meant.
func Rejections(c *pair.Case) []Rejection {
	type key struct {
		by, to    netip.Addr
		of        pair.Side
		about     string
		typ, code uint8
	}
	at := map[key]int{}
	var all []Rejection
	of := ofStranger(c)
	torn := sync.OnceValue(func() []LostFragments { return FragmentsLost(c) })
	for _, e := range c.ICMP {
		stranger := of(e)
		if !e.Mine || e.TooBig() || e.Advises() || stranger && c.Said() {
			continue
		}
		if e.Reassembly() && slices.ContainsFunc(torn(), func(x LostFragments) bool { return x.From == e.Quoted }) {
			continue
		}
		k := key{e.Sight.Src.Addr(), e.ICMPError.Dst, e.Quoted, Quoted(e), e.Type, e.Code}
		i, known := at[k]
		if !known {
			i, at[k] = len(all), len(all)
			all = append(all, Rejection{By: k.by, Of: k.of, About: k.about, Stranger: stranger})
		}
		all[i].Errors = append(all[i].Errors, e)
	}
	return all
}

// RefusedToOthers are the ICMP errors about negotiations with others than the two sides, beside
// their tunnel, which are no part of it, since somebody said which tunnel is meant.
func RefusedToOthers(c *pair.Case) []pair.ICMP {
	if !c.Said() {
		return nil
	}
	var all []pair.ICMP
	stranger := ofStranger(c)
	for _, e := range c.ICMP {
		if stranger(e) && !e.TooBig() && !e.Advises() {
			all = append(all, e)
		}
	}
	return all
}

// ofStranger says whether an ICMP error is about a negotiation with somebody else than the two
// sides, in captures that hold their tunnel, too. Of one capture alone nobody knows which one that
// is, unless somebody said.
func ofStranger(c *pair.Case) func(pair.ICMP) bool {
	if len(c.ICMP) == 0 || len(c.Strangers) == 0 || !c.TwoSided() && !c.Said() ||
		!slices.ContainsFunc(c.Conversations, func(v *pair.Conversation) bool { return !v.Foreign }) &&
			!slices.ContainsFunc(c.Flows, func(f *pair.Flow) bool { return !f.Foreign }) {
		return func(pair.ICMP) bool { return false }
	}
	set := map[*pair.Conversation]bool{}
	for _, v := range c.Strangers {
		set[v] = true
	}
	return func(e pair.ICMP) bool { return e.Message != nil && set[e.Message.Conversation] }
}

// Rejected says whether a device refuses what s sends to the other side, and says so.
func Rejected(all []Rejection, s pair.Side) bool {
	for _, r := range all {
		if r.Of == s && !r.Stranger {
			return true
		}
	}
	return false
}

// Over says whether what was refused got through later, and no error came after it: IKE to the same
// address that was answered, or an answer from which the other side went on with a further request.
// That fragments did not all arrive is over when the message itself was answered, or another one
// that went in fragments.
func (r Rejection) Over(c *pair.Case) bool {
	last := r.Errors[len(r.Errors)-1]
	if r.About != "IKE" {
		return false
	}
	at := c.Aligned(last.Nanos, last.Side)
	through := func(m *pair.Message) bool { return m.From == r.Of && answeredAfter(m, at) }
	if last.Reassembly() { // that small ones are answered says nothing of fragments
		through = func(m *pair.Message) bool {
			return m.From == r.Of && m.AnsweredBy() != nil && (m == last.Message || answeredAfter(m, at)) &&
				slices.ContainsFunc(m.Transmissions(), Fragmented)
		}
	}
	for _, v := range c.Conversations {
		if v.Foreign {
			continue
		}
		later := uint32(math.MaxUint32) // a request of a higher ID came behind an answer of r.Of
		if !last.Reassembly() {
			later = firstAnswered(v, r.Of, at)
		}
		for _, m := range v.Messages {
			if !through(m) && !(m.From != r.Of && m.Kind == exchange.Request && m.MessageID > later &&
				m.Transmissions()[0].Aligned > at) {
				continue
			}
			if to := m.End(r.Of.Other(), last.Side); !to.IsValid() || last.DstLen != 0 || !last.ICMPError.Dst.IsValid() ||
				to == last.ICMPError.Dst {
				return true
			}
		}
	}
	return false
}

func answeredAfter(m *pair.Message, at int64) bool {
	a := m.AnsweredBy()
	return a != nil && a.Transmissions()[0].Aligned > at
}

// firstAnswered is the lowest message ID of the answers that s sent after a moment: the other side
// sends a request of a higher one when it has got them (RFC 7296, Section 2.2). It is the highest
// number where there is none, and in IKEv1, whose message IDs are in no order.
func firstAnswered(v *pair.Conversation, s pair.Side, at int64) uint32 {
	first := uint32(math.MaxUint32)
	if v.Version != 2 {
		return first
	}
	for _, m := range v.Messages {
		if m.From == s && m.Kind == exchange.Response && m.Transmissions()[0].Aligned > at {
			first = min(first, m.MessageID)
		}
	}
	return first
}

// Quoted is what kind of packet an ICMP error is about: "IKE", "ESP", "ESP in UDP" or "AH".
func Quoted(e pair.ICMP) string {
	const esp, ah = 50, 51
	switch {
	case e.ICMPError.Proto == esp:
		return "ESP"
	case e.ICMPError.Proto == ah:
		return "AH"
	case e.Message == nil && e.SPI != 0:
		return "ESP in UDP"
	}
	return "IKE"
}

// TooBig lists the ICMP errors that say that packets of the tunnel do not fit, one of each device,
// side and size.
func TooBig(c *pair.Case) []pair.ICMP {
	type key struct {
		by  netip.Addr
		of  pair.Side
		mtu int
	}
	seen := map[key]bool{}
	var all []pair.ICMP
	stranger := ofStranger(c)
	for _, e := range c.ICMP {
		k := key{e.Sight.Src.Addr(), e.Quoted, e.MTU}
		if e.Mine && e.TooBig() && !seen[k] && !stranger(e) {
			seen[k] = true
			all = append(all, e)
		}
	}
	return all
}
