package pair

import (
	"bytes"
	"context"
	"net/netip"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
)

// detect recomputes the NAT detection hashes of all messages from the addresses that are known, and with one capture alone searches the
// private address behind a NAT.
func (j *joiner) detect(ctx context.Context) {
	d := detector{c: j.c, ctx: ctx}
	for _, s := range Both {
		d.known[s] = candidates(&j.c.Parties[s])
	}
	for m := range j.c.Messages() {
		hashes := d.hashes(m)
		if len(hashes) == 0 {
			continue
		}
		natd := make([]NATD, 0, len(hashes))
		for _, h := range hashes {
			natd = append(natd, d.check(m, h))
		}
		m.more().natd = natd
	}
}

// detector remembers what a search has found, and that it was made.
type detector struct {
	c        *Case
	ctx      context.Context
	known    [2][]netip.AddrPort
	found    []netip.AddrPort
	searched [2]bool
}

// maxCandidates bounds the addresses of a side that a hash is tried with beside the ones that its message was seen with: a hub has many.
const maxCandidates = 16

// candidates are the addresses of p, with either port.
func candidates(p *Party) []netip.AddrPort {
	var all []netip.AddrPort
	for _, a := range slices.Concat([]netip.Addr{p.Known, p.KnownNAT}, p.Addresses, p.Translated) {
		if x := netip.AddrPortFrom(a, 500); a.IsValid() && len(all) < 2*maxCandidates && !slices.Contains(all, x) {
			all = append(all, x, netip.AddrPortFrom(a, 4500))
		}
	}
	return all
}

// hash is one NAT detection hash and how to make it of an address.
type hash struct {
	source bool
	data   []byte
	make   func(netip.AddrPort) []byte
}

// hashes lists those of m: the notifications of IKEv2, or the NAT-D payloads of IKEv1, of which the first is of the destination
// (RFC 3947, Section 3.2).
func (d *detector) hashes(m *Message) []hash {
	if m.Major() == 1 {
		return d.hashesV1(m)
	}
	if len(m.Notifies()) == 0 {
		return nil
	}
	maker := func(a netip.AddrPort) []byte {
		h := ike.NATDHash(m.SPIi, m.SPIr, a.Addr(), a.Port())
		return h[:]
	}
	var all []hash
	for _, n := range m.Notifies() {
		switch ike.NotifyType(n.Number) {
		case ike.NATDetectionSourceIP:
			all = append(all, hash{true, n.Data, maker})
		case ike.NATDetectionDestinationIP:
			all = append(all, hash{false, n.Data, maker})
		}
	}
	return all
}

func (d *detector) hashesV1(m *Message) []hash {
	algorithm := m.Conversation.hashV1()
	maker := func(a netip.AddrPort) []byte {
		return ike.NATDHashV1(algorithm, m.SPIi, m.SPIr, a.Addr(), a.Port())
	}
	var all []hash
	for _, p := range m.InClear() {
		if t := p.Type(); t != ike.V1PayloadNATD && t != ike.V1PayloadNATDOld {
			continue
		}
		if b, ok := p.(*ike.BytesV1); ok {
			all = append(all, hash{len(all) > 0, b.Data, maker})
		}
	}
	return all
}

// hashV1 is the hash algorithm that phase 1 agreed on: of the responder's selection.
func (v *Conversation) hashV1() uint64 {
	for _, m := range v.Messages {
		sa := m.SAv1()
		if m.Kind != exchange.Response || sa == nil {
			continue
		}
		for _, p := range sa.Proposals {
			for _, t := range p.Transforms {
				if n, ok := t.Value(ike.V1Hash); ok {
					return n
				}
			}
		}
	}
	return 0
}

func (d *detector) check(m *Message, h hash) NATD {
	r := NATD{Source: h.source}
	is := func(a netip.AddrPort) bool { return a.Addr().IsValid() && bytes.Equal(h.make(a), h.data) }
	for _, t := range m.Transmissions() {
		for _, s := range Both {
			x := t.At[s]
			if x == nil {
				continue
			}
			a := x.Dst
			if h.source {
				a = x.Src
			}
			if !is(a) {
				continue
			}
			r.Address, r.How = a, "capture"
			r.Sent = r.Sent || s == m.From
			r.Received = r.Received || s != m.From
		}
	}
	if r.How == "" {
		r.Address, r.How = d.find(m, h, is)
	}
	r.Forced = h.source && r.How == "" && m.Copy(A) != nil && m.Copy(B) != nil && !d.c.Translates(m.From)
	return r
}

// find looks for the address that a hash was made of among those that are known but were not seen on this message.
func (d *detector) find(m *Message, h hash, is func(netip.AddrPort) bool) (netip.AddrPort, string) {
	whose := m.From
	if !h.source {
		whose = whose.Other()
	}
	for _, x := range d.known[whose] {
		if is(x) {
			return x, "inventory"
		}
	}
	for _, x := range d.found {
		if is(x) {
			return x, "search"
		}
	}
	if d.c.Story(whose) != nil || d.searched[whose] {
		return netip.AddrPort{}, ""
	}
	d.searched[whose] = true
	if x, ok := ike.SearchNATD(d.ctx, h.data, m.SPIi, m.SPIr, []uint16{500, 4500}); ok {
		d.found = append(d.found, x)
		return x, "search"
	}
	return netip.AddrPort{}, ""
}
