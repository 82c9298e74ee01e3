package pair

import (
	"bytes"
	"context"
	"iter"
	"net/netip"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
)

// detect recomputes the NAT detection hashes of all messages from the addresses that are known, and
// with one capture alone searches the private address behind a NAT.
func (j *joiner) detect() {
	d := detector{c: j.c, ctx: j.ctx}
	for _, s := range Both {
		d.known[s] = candidates(&j.c.Parties[s])
	}
	var said []NATD
	for v := range until(j.ctx, j.c.Conversations) {
		for _, m := range v.Messages {
			said = said[:0]
			for h := range m.hashes() {
				said = append(said, d.check(m, h))
			}
			m.setNATD(said)
		}
	}
}

// mark is what one NAT detection hash says, in short: of a hash of an address that the captures
// show, or of none that is known.
type mark uint8

const (
	marked mark = 1 << iota
	markSource
	markSent
	markReceived
	markForced
	markSeen // it is of an address that the captures show
)

// natdMost is how many hashes are kept in short; a message has two.
const natdMost = 2

// setNATD keeps what the hashes say: in short, where the message itself tells the rest.
func (m *Message) setNATD(said []NATD) {
	short := len(said) <= natdMost && len(m.Transmissions()) == 1
	for _, d := range said {
		short = short && (d.How == "" || d.How == inCapture)
	}
	if !short {
		m.more().natd = slices.Clone(said)
		return
	}
	for i, d := range said {
		m.natd[i] = marked
		for _, x := range []struct {
			is   bool
			mark mark
		}{{d.Source, markSource}, {d.Sent, markSent}, {d.Received, markReceived}, {d.Forced, markForced},
			{d.How != "", markSeen}} {
			if x.is {
				m.natd[i] |= x.mark
			}
		}
	}
}

// HasNATD says whether the message holds NAT detection hashes.
func (m *Message) HasNATD() bool { return m.natd[0] != 0 || m.rest != nil && len(m.rest.natd) > 0 }

// NATD yields what the message's NAT detection hashes say.
func (m *Message) NATD() iter.Seq[NATD] {
	return func(yield func(NATD) bool) {
		if m.rest != nil {
			for _, d := range m.rest.natd {
				if !yield(d) {
					return
				}
			}
		}
		for _, k := range m.natd {
			if k == 0 || !yield(m.unmark(k)) {
				return
			}
		}
	}
}

// unmark is what a mark stands for.
func (m *Message) unmark(k mark) NATD {
	d := NATD{Source: k&markSource != 0, Sent: k&markSent != 0, Received: k&markReceived != 0, Forced: k&markForced != 0}
	if k&markSeen == 0 {
		return d
	}
	x := m.one.At[m.From]
	if !d.Sent {
		x = m.one.At[m.From.Other()]
	}
	d.How, d.Address = inCapture, x.Dst
	if d.Source {
		d.Address = x.Src
	}
	return d
}

// inCapture says of a hash that it is of an address which the captures show.
const inCapture = "capture"

// detector remembers what a search has found, and that it was made.
type detector struct {
	c        *Case
	ctx      context.Context
	known    [2][]netip.AddrPort
	found    []netip.AddrPort
	searched [2]bool
}

// maxCandidates bounds the addresses of a side that a hash is tried with beside the ones that its
// message was seen with: a hub has many.
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

// hash is one NAT detection hash of a message.
type hash struct {
	*Message
	source bool
	data   []byte
	v1     uint64 // IKEv1: the hash algorithm
}

// of says whether it is the hash of an address.
func (h hash) of(a netip.AddrPort) bool {
	switch {
	case !a.Addr().IsValid():
		return false
	case h.Major() == 1:
		return bytes.Equal(ike.NATDHashV1(h.v1, h.SPIi, h.SPIr, a.Addr(), a.Port()), h.data)
	}
	sum := ike.NATDHash(h.SPIi, h.SPIr, a.Addr(), a.Port())
	return bytes.Equal(sum[:], h.data)
}

// hashes yields those of m: the notifications of IKEv2, or the NAT-D payloads of IKEv1, of which
// the first is of the destination (RFC 3947, Section 3.2).
func (m *Message) hashes() iter.Seq[hash] {
	return func(yield func(hash) bool) {
		if m.Major() == 1 {
			m.hashesV1(yield)
			return
		}
		if k := m.Marks(); !k.May(uint16(ike.NATDetectionSourceIP)) && !k.May(uint16(ike.NATDetectionDestinationIP)) {
			return
		}
		for n := range m.Notifies() {
			source := n.Number == uint16(ike.NATDetectionSourceIP)
			if (source || n.Number == uint16(ike.NATDetectionDestinationIP)) && !yield(hash{m, source, n.Data, 0}) {
				return
			}
		}
	}
}

func (m *Message) hashesV1(yield func(hash) bool) {
	if !m.Holds(ike.V1PayloadNATD) && !m.Holds(ike.V1PayloadNATDOld) {
		return
	}
	algorithm := m.Conversation.hashV1()
	source := false
	for _, p := range m.InClear() {
		if t := p.Type(); t != ike.V1PayloadNATD && t != ike.V1PayloadNATDOld {
			continue
		}
		if b, ok := p.(*ike.BytesV1); ok {
			if !yield(hash{m, source, b.Data, algorithm}) {
				return
			}
			source = true
		}
	}
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
	var last netip.AddrPort // most were not translated, and are the same on both sides
	fits := false
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
			if a != last {
				last, fits = a, h.of(a)
			}
			if !fits {
				continue
			}
			r.Address, r.How = a, inCapture
			r.Sent = r.Sent || s == m.From
			r.Received = r.Received || s != m.From
		}
	}
	if r.How == "" {
		r.Address, r.How = d.find(m, h)
	}
	r.Forced = h.source && r.How == "" && m.Copy(A) != nil && m.Copy(B) != nil && !d.c.Translates(m.From)
	return r
}

// find looks for the address that a hash was made of among those that are known but were not seen
// on this message.
func (d *detector) find(m *Message, h hash) (netip.AddrPort, string) {
	whose := m.From
	if !h.source {
		whose = whose.Other()
	}
	for _, x := range d.known[whose] {
		if h.of(x) {
			return x, "inventory"
		}
	}
	for _, x := range d.found {
		if h.of(x) {
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
