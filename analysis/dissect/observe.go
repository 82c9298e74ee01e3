package dissect

import (
	"bytes"
	"context"
	"net/netip"

	"github.com/moncap/moncap/analysis/ike"
)

// observation is something about a payload that it does not say itself, but that follows from the
// packet around it or from the packets before it: how much an encrypted payload holds, or whether a
// hash of NAT detection is of the packet's address.
type observation struct {
	payload ike.Payload
	sealed  bool           // an encrypted payload: room is known
	room    ike.Room       // of that
	at      netip.AddrPort // whose hash it is, or should be
	matches bool
	from    netip.AddrPort // what it is the hash of instead, where that was found
	gaveUp  bool           // it was not searched for: others were, enough of them
}

// members writes what was observed for JSON.
func (v *observation) members(o *ike.Object) {
	switch {
	case v.sealed && !v.room.Known:
		o.Beside(ike.Member{Name: "plaintext", JSON: []byte(`"impossible"`)})
	case v.sealed:
		o.BesideInt("plaintext_min", v.room.Min)
		o.BesideInt("plaintext_max", v.room.Max)
	default:
		o.BesideBool("matches_packet", v.matches)
		if v.from.IsValid() {
			o.Beside(ike.Member{Name: "made_of", JSON: ike.AppendQuoted(nil, v.from.String())})
		}
		if v.gaveUp {
			o.BesideBool("searched", false)
		}
	}
}

// lines writes it for the tree.
func (v *observation) lines(l *ike.Lines) {
	switch {
	case v.sealed && !v.room.Known:
		l.Text("[The size does not fit the negotiated algorithms]").End()
	case v.sealed && v.room.Min == v.room.Max:
		l.Text("[Payloads inside: ").Int(v.room.Min).Text(" bytes, by the negotiated algorithms]").End()
	case v.sealed:
		l.Text("[Payloads inside: ").Int(v.room.Min).Text(" to ").Int(v.room.Max).Text(
			" bytes, by the negotiated algorithms]").End()
	case v.matches:
		l.Text("[Is the hash of ").Append(v.at.AppendTo).Text(": not translated up to here]").End()
	default:
		l.Text("[Is not the hash of ").Append(v.at.AppendTo).Text(": a NAT is between, or the hash is made up]").End()
		if v.from.IsValid() {
			l.Text("[Is the hash of ").Text(v.from.String()).Text("]").End()
		}
		if v.gaveUp {
			l.Text("[What it is the hash of was not searched for: ").Int(maxSearches).Text(" others were]").End()
		}
	}
}

// observer remembers what earlier messages negotiated.
type observer struct {
	sas   map[saKey]*ike.Outside
	order []saKey    // of sas, by age
	nat   *natSearch // nil: nothing is searched for
}

type saKey struct{ i, r ike.SPI }

// maxSAs bounds what is remembered of a long capture.
const maxSAs = 10_000

func newObserver(nat *natSearch) *observer { return &observer{sas: map[saKey]*ike.Outside{}, nat: nat} }

// observe appends the observations on the payloads of d's message to dst.
func (o *observer) observe(ctx context.Context, dst []observation, d *decodedPacket) []observation {
	hashes := 0
	for _, p := range d.msg.Payloads {
		v := observation{payload: p}
		seen := false
		switch p := p.(type) {
		case *ike.SA:
			o.learnSuite(d.msg, p)
		case *ike.Notify:
			seen = o.natDetection(ctx, d, p, &v)
		case *ike.Encrypted:
			v.room, v.sealed = o.plaintext(d.msg, p)
			seen = v.sealed
		case *ike.BytesV1:
			if p.Number == ike.V1PayloadNATD || p.Number == ike.V1PayloadNATDOld {
				seen = o.natDetectionV1(ctx, d, p, hashes, &v)
				hashes++
			}
		}
		if seen {
			dst = append(dst, v)
		}
	}
	return dst
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

// plaintext says how many bytes of payloads an encrypted payload holds, and learns from empty ones
// how the sender pads.
func (o *observer) plaintext(m *ike.Message, p *ike.Encrypted) (room ike.Room, known bool) {
	s := o.sas[saKey{m.SPIi, m.SPIr}]
	if s == nil {
		return room, false
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
	return s.Room(sender, first, len(p.Data)), true
}

// natDetection compares a NAT_DETECTION hash with the packet's own address (RFC 7296,
// Section 2.23). A source hash that is of another address can also be one of several, or made up to
// enforce encapsulation.
func (o *observer) natDetection(ctx context.Context, d *decodedPacket, n *ike.Notify, v *observation) bool {
	v.at = netip.AddrPortFrom(d.p.Src, d.p.SrcPort)
	if n.Number == ike.NATDetectionDestinationIP {
		v.at = netip.AddrPortFrom(d.p.Dst, d.p.DstPort)
	} else if n.Number != ike.NATDetectionSourceIP {
		return false
	}
	if len(n.Data) != 20 {
		return false
	}
	hash := ike.NATDHash(d.msg.SPIi, d.msg.SPIr, v.at.Addr(), v.at.Port())
	return o.hashOf(ctx, d, n.Data, hash[:], v)
}

// natDetectionV1 does the same for a NAT-D payload, of which the first is of the
// destination and the others of the source (RFC 3947, Section 3.2). The negotiated hash
// algorithm shows in its length.
func (o *observer) natDetectionV1(ctx context.Context, d *decodedPacket, p *ike.BytesV1, before int,
	v *observation) bool {
	algorithm := ike.NATDAlgorithm(len(p.Data))
	if algorithm == 0 {
		return false
	}
	v.at = netip.AddrPortFrom(d.p.Src, d.p.SrcPort)
	if before == 0 {
		v.at = netip.AddrPortFrom(d.p.Dst, d.p.DstPort)
	}
	return o.hashOf(ctx, d, p.Data, ike.NATDHashV1(algorithm, d.msg.SPIi, d.msg.SPIr, v.at.Addr(), v.at.Port()), v)
}

// hashOf notes whether want is the hash of v's address, and else what it is the hash of, if that is
// to be searched.
func (o *observer) hashOf(ctx context.Context, d *decodedPacket, want, hash []byte, v *observation) bool {
	if !v.at.IsValid() {
		return false
	}
	v.matches = bytes.Equal(want, hash)
	if !v.matches && o.nat != nil {
		v.from, v.gaveUp = o.nat.find(ctx, want, d.msg.SPIi, d.msg.SPIr)
	}
	return true
}
