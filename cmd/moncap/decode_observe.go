package main

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/moncap/moncap/analysis/ike"
)

// observation is something about a payload that it does not say itself, but that follows from the packet around it or
// from the packets before it.
type observation struct {
	field string // its name in JSON
	value any
	text  string // its line in the tree
}

// observer remembers what earlier messages negotiated.
type observer struct {
	sas       map[saKey]*sizes
	order     []saKey // of sas, by age
	searchNAT bool
}

type saKey struct{ i, r ike.SPI }

// sizes are what an IKE SA's algorithms say about the size of its encrypted payloads, and how each side pads.
type sizes struct {
	suite   ike.Suite
	padding [2]int // of the original initiator, of the responder; -1 while not known
}

// maxSAs bounds what is remembered of a long capture.
const maxSAs = 10_000

func newObserver(searchNAT bool) *observer {
	return &observer{sas: map[saKey]*sizes{}, searchNAT: searchNAT}
}

// observe returns the observations on each payload of d's message.
func (o *observer) observe(ctx context.Context, d *decodedPacket) map[ike.Payload][]observation {
	if d.msg == nil || d.msg.Major() != 2 {
		return nil
	}
	all := map[ike.Payload][]observation{}
	for _, p := range d.msg.Payloads {
		switch p := p.(type) {
		case *ike.SA:
			o.learnSuite(d.msg, p)
		case *ike.Notify:
			all[p] = o.natDetection(ctx, d, p)
		case *ike.Encrypted:
			all[p] = o.plaintext(d.msg, p)
		}
	}
	return all
}

// learnSuite takes the algorithms from a responder's choice.
func (o *observer) learnSuite(m *ike.Message, sa *ike.SA) {
	key := saKey{m.SPIi, m.SPIr}
	if m.Exchange != ike.IKESAInit || !m.Response() || len(sa.Proposals) != 1 || o.sas[key] != nil {
		return
	}
	suite, ok := ike.SuiteFrom(sa.Proposals[0])
	if !ok {
		return
	}
	if len(o.order) == maxSAs {
		delete(o.sas, o.order[0])
		o.order = o.order[1:]
	}
	o.sas[key] = &sizes{suite: suite, padding: [2]int{-1, -1}}
	o.order = append(o.order, key)
}

// plaintext says how many bytes of payloads an encrypted payload holds, and learns from empty ones how the sender pads.
func (o *observer) plaintext(m *ike.Message, p *ike.Encrypted) []observation {
	s := o.sas[saKey{m.SPIi, m.SPIr}]
	if s == nil {
		return nil
	}
	side := 1
	if m.Initiator() {
		side = 0
	}
	if p.Number == ike.PayloadSK && p.First == ike.PayloadNone {
		if n, ok := s.suite.LearnPadding(len(p.Data)); ok {
			s.padding[side] = n
		}
	}
	low, high, ok := s.suite.Plaintext(len(p.Data), s.padding[side])
	if !ok {
		return []observation{{"plaintext", "impossible", "[The size does not fit the negotiated algorithms]"}}
	}
	text := fmt.Sprintf("[Payloads inside: %d to %d bytes, by the negotiated algorithms]", low, high)
	if low == high {
		text = fmt.Sprintf("[Payloads inside: %d bytes, by the negotiated algorithms]", low)
	}
	return []observation{{"plaintext_min", low, text}, {"plaintext_max", high, ""}}
}

// natDetection compares a NAT_DETECTION hash with the packet's own address (RFC 7296, Section 2.23). A source hash that
// is of another address can also be one of several, or made up to enforce encapsulation.
func (o *observer) natDetection(ctx context.Context, d *decodedPacket, n *ike.Notify) []observation {
	at := netip.AddrPortFrom(d.p.Src, d.p.SrcPort)
	if n.Number == ike.NATDetectionDestinationIP {
		at = netip.AddrPortFrom(d.p.Dst, d.p.DstPort)
	} else if n.Number != ike.NATDetectionSourceIP {
		return nil
	}
	if len(n.Data) != 20 || !at.IsValid() {
		return nil
	}
	want := [20]byte(n.Data)
	if want == ike.NATDHash(d.msg.SPIi, d.msg.SPIr, at.Addr(), at.Port()) {
		return []observation{{"matches_packet", true, fmt.Sprintf("[Is the hash of %s: not translated up to here]", at)}}
	}
	all := []observation{{"matches_packet", false, fmt.Sprintf("[Is not the hash of %s: a NAT is between, or the hash is made up]", at)}}
	if o.searchNAT {
		if from, ok := ike.SearchNATD(ctx, want, d.msg.SPIi, d.msg.SPIr, []uint16{500, 4500}); ok {
			all = append(all, observation{"made_of", from.String(), fmt.Sprintf("[Is the hash of %s]", from)})
		}
	}
	return all
}
