package dissect

import (
	"bytes"
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
	sas       map[saKey]*ike.Outside
	order     []saKey // of sas, by age
	searchNAT bool
}

type saKey struct{ i, r ike.SPI }

// maxSAs bounds what is remembered of a long capture.
const maxSAs = 10_000

func newObserver(searchNAT bool) *observer {
	return &observer{sas: map[saKey]*ike.Outside{}, searchNAT: searchNAT}
}

// observe returns the observations on each payload of d's message.
func (o *observer) observe(ctx context.Context, d *decodedPacket) map[ike.Payload][]observation {
	all := map[ike.Payload][]observation{}
	hashes := 0
	for _, p := range d.msg.Payloads {
		switch p := p.(type) {
		case *ike.SA:
			o.learnSuite(d.msg, p)
		case *ike.Notify:
			all[p] = o.natDetection(ctx, d, p)
		case *ike.Encrypted:
			all[p] = o.plaintext(d.msg, p)
		case *ike.BytesV1:
			if p.Number == ike.V1PayloadNATD || p.Number == ike.V1PayloadNATDOld {
				all[p] = o.natDetectionV1(ctx, d, p, hashes)
				hashes++
			}
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
	o.sas[key] = ike.NewOutside(suite)
	o.order = append(o.order, key)
}

// plaintext says how many bytes of payloads an encrypted payload holds, and learns from empty ones how the sender pads.
func (o *observer) plaintext(m *ike.Message, p *ike.Encrypted) []observation {
	s := o.sas[saKey{m.SPIi, m.SPIr}]
	if s == nil {
		return nil
	}
	sender := 1
	if m.Initiator() {
		sender = 0
	}
	first := p.First
	if p.Number != ike.PayloadSK {
		first = p.Number // of a fragment's inside, nothing is known
	}
	s.Learn(sender, first, len(p.Data))
	room := s.Room(sender, first, len(p.Data))
	if !room.Known {
		return []observation{{"plaintext", "impossible", "[The size does not fit the negotiated algorithms]"}}
	}
	low, high := room.Min, room.Max
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
	if len(n.Data) != 20 {
		return nil
	}
	return o.hashOf(ctx, d, n.Data, at, func(a netip.AddrPort) []byte {
		h := ike.NATDHash(d.msg.SPIi, d.msg.SPIr, a.Addr(), a.Port())
		return h[:]
	})
}

// natDetectionV1 does the same for a NAT-D payload, of which the first is of the destination and the others of the source
// (RFC 3947, Section 3.2). The negotiated hash algorithm shows in its length.
func (o *observer) natDetectionV1(ctx context.Context, d *decodedPacket, p *ike.BytesV1, before int) []observation {
	algorithm := ike.NATDAlgorithm(len(p.Data))
	if algorithm == 0 {
		return nil
	}
	at := netip.AddrPortFrom(d.p.Src, d.p.SrcPort)
	if before == 0 {
		at = netip.AddrPortFrom(d.p.Dst, d.p.DstPort)
	}
	return o.hashOf(ctx, d, p.Data, at, func(a netip.AddrPort) []byte {
		return ike.NATDHashV1(algorithm, d.msg.SPIi, d.msg.SPIr, a.Addr(), a.Port())
	})
}

// hashOf says whether want is the hash of an address, and else what it is the hash of, if that is to be searched.
func (o *observer) hashOf(ctx context.Context, d *decodedPacket, want []byte, at netip.AddrPort, hash func(netip.AddrPort) []byte) []observation {
	if !at.IsValid() {
		return nil
	}
	if bytes.Equal(want, hash(at)) {
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
