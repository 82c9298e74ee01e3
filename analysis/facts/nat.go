package facts

import (
	"net/netip"

	"github.com/moncap/moncap/analysis/pair"
)

// Translated is a side that a NAT translates, and how that is known.
type Translated struct {
	Side     pair.Side
	Mapping  *pair.Mapping // the first one that pairs of packets prove; nil: it is known by a hash alone
	Keeps    bool          // the NAT leaves the port as it is, where both sides of it are known
	Verified bool          // a NAT detection hash tells the same

	// By a hash alone, of one capture (RFC 7296, Section 2.23).
	Message *pair.Message  // that carries it
	Hash    netip.AddrPort // what it was made of; not valid: that was not found
	End     netip.AddrPort // what it should have been made of
	Own     bool           // the capture is of the translated side: End is its address on the inside
}

// Sure says whether the side is proven to be behind a NAT: by pairs, or by a hash whose address is
// known. A hash of no known address may be made up.
func (t Translated) Sure() bool { return t.Mapping != nil || t.Verified }

// Translations lists the sides that are behind a NAT, one entry each.
func Translations(c *pair.Case) []Translated {
	var all []Translated
	for _, s := range pair.Both {
		if t, ok := translatedByMapping(c, s); ok {
			all = append(all, t)
		} else if t, ok := translatedByHash(c, s); ok {
			all = append(all, t)
		}
	}
	return all
}

// Mappings are the translations of s, by what the pairs prove.
func Mappings(c *pair.Case, s pair.Side) []*pair.Mapping {
	var all []*pair.Mapping
	for i := range c.NAT {
		if c.NAT[i].Side == s {
			all = append(all, &c.NAT[i])
		}
	}
	return all
}

func translatedByMapping(c *pair.Case, s pair.Side) (Translated, bool) {
	mappings := Mappings(c, s)
	if len(mappings) == 0 {
		return Translated{}, false
	}
	t := Translated{Side: s, Mapping: mappings[0], Keeps: true, Verified: hashConfirms(c, s)}
	for _, m := range mappings {
		t.Keeps = t.Keeps && m.Original.Port() == m.Translated.Port()
	}
	return t, true
}

// hashConfirms says whether a NAT detection hash of s's own address matches what s's capture shows
// and not what the other side's does.
func hashConfirms(c *pair.Case, s pair.Side) bool {
	for m := range c.Messages() {
		for d := range m.NATD() {
			if d.Forced {
				continue
			}
			if d.Sent && !d.Received && (m.From == s) == d.Source {
				return true
			}
		}
	}
	return false
}

// translatedByHash finds a NAT from one capture alone: the hash of the sender's address
// does not match where the packet came from, or the hash of where it was sent does not
// match where it arrived.
func translatedByHash(c *pair.Case, s pair.Side) (Translated, bool) {
	if c.TwoSided() && !AnyEmpty(c) {
		return Translated{}, false
	}
	for m := range c.Messages() {
		for d := range m.NATD() {
			if t, ok := byHash(c, s, m, d); ok {
				return t, true
			}
		}
	}
	return Translated{}, false
}

func byHash(c *pair.Case, s pair.Side, m *pair.Message, d pair.NATD) (Translated, bool) {
	about := m.From
	if !d.Source {
		about = m.From.Other()
	}
	observer := c.Observer(m.From)
	if about != s || d.Forced || d.Sent || d.Received || len(m.Transmissions()) == 0 {
		return Translated{}, false
	}
	seen := m.Transmissions()[0].At[observer]
	if seen == nil || observer == s && d.Source {
		return Translated{}, false
	}
	end := seen.Src
	if !d.Source {
		end = seen.Dst
	}
	own := observer == s
	if !own && d.Address == end {
		return Translated{}, false
	}
	known := d.Address.IsValid()
	return Translated{Side: s, Message: m, Hash: d.Address, End: end, Own: own, Verified: known,
		Keeps: known && d.Address.Port() == end.Port()}, true
}

// BehindNAT is the side of a conversation that is behind a NAT, by the addresses that its
// packets have on the two sides, so that a NAT in front of one peer of a hub is not held
// against the others.
func BehindNAT(v *pair.Conversation) (s pair.Side, sure bool) {
	for _, m := range v.Messages {
		for _, x := range m.Transmissions() {
			a, b := x.At[pair.A], x.At[pair.B]
			switch {
			case a == nil || b == nil:
			case a.Src != b.Src:
				return m.From, true
			case a.Dst != b.Dst:
				return m.From.Other(), true
			}
		}
	}
	return pair.A, false
}
