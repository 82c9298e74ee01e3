package redact

import (
	"context"
	"encoding/binary"
	"io"
	"maps"
	"net/netip"
	"slices"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/packet"
)

// natd is what captures show of NAT detection: the hashes, and the addresses that they may have
// been made of.
type natd struct {
	hashes    map[string]detection
	addresses map[netip.Addr]bool
	ports     map[uint16]bool
	names     map[string]bool // what else in clear names somebody, long enough to be searched for
	// The identities in clear that are text, for texts.
	identities map[string]bool
}

// detection is one hash and the SPIs that went into it (RFC 7296, Section 2.23;
// RFC 3947, Section 3.2).
type detection struct {
	spiI, spiR ike.SPI
	v1         bool
}

// swap is NAT detection data as it is, and as it will be.
type swap struct{ from, to []byte }

// maxSearches bounds the hashes that are searched for in the private ranges, at some seconds each.
const maxSearches = 8

// Learn reads a capture, so that its NAT detection hashes can be made anew. All captures of a case
// must be learnt, and the addresses of the inventory given, before the first PCAP: the hashes of
// one side are made of the addresses that the other side sees.
func (r *Redactor) Learn(file io.Reader, known ...netip.Addr) error {
	if r.seen.hashes == nil {
		r.seen = natd{map[string]detection{}, map[netip.Addr]bool{}, map[uint16]bool{500: true, 4500: true},
			map[string]bool{}, map[string]bool{}}
	}
	for _, a := range known {
		if a.IsValid() {
			r.seen.addresses[a] = true
		}
	}
	in, err := packet.NewReader(file, packet.Options{NoHash: true, CutFirst: true})
	if err != nil {
		return err
	}
	for p, err := range packet.All(in) {
		if err != nil {
			return err
		}
		if p.Kind != packet.Other && p.Src.IsValid() {
			r.seen.addresses[p.Src], r.seen.addresses[p.Dst] = true, true
		}
		if p.Kind == packet.IKE {
			r.seen.take(p)
		}
	}
	return nil
}

func (n *natd) take(p *packet.Packet) {
	n.ports[p.SrcPort], n.ports[p.DstPort] = true, true
	h, err := ike.ParseHeader(p.Payload)
	if err != nil {
		return
	}
	ike.Walk(p.Payload, func(t ike.PayloadType, _ int, body []byte) bool {
		d := detection{h.SPIi, h.SPIr, h.Major() == 1}
		n.takeNames(h, t, body)
		switch {
		case h.Major() == 1 && (t == ike.V1PayloadNATD || t == ike.V1PayloadNATDOld):
			n.hashes[string(body)] = d
		case h.Major() == 2 && t == ike.PayloadN && len(body) == 4+20 && body[1] == 0:
			if k := ike.NotifyType(binary.BigEndian.Uint16(body[2:])); k == ike.NATDetectionSourceIP ||
				k == ike.NATDetectionDestinationIP {
				n.hashes[string(body[4:])] = d
			}
		}
		return true
	})
}

// prepare finds out what the hashes were made of and makes them of the new addresses. One
// that is of no address at all, as peers send to force UDP encapsulation, becomes another
// one of no address.
func (r *Redactor) prepare(ctx context.Context) {
	if r.known != nil {
		return
	}
	r.known = map[uint64]swap{}
	ports := slices.Sorted(maps.Keys(r.seen.ports))
	searches := 0
	for _, h := range slices.Sorted(maps.Keys(r.seen.hashes)) {
		if len(h) < 8 {
			continue
		}
		d := r.seen.hashes[h]
		end, ok := r.source(h, d, ports)
		if !ok && searches < maxSearches {
			searches++
			end, ok = ike.SearchNATD(ctx, []byte(h), d.spiI, d.spiR, []uint16{500, 4500})
		}
		to := r.digest("natd", h)
		for len(to) < len(h) {
			to = append(to, r.digest("natd", string(to))...)
		}
		if ok {
			to = d.hash(r.Addr(end.Addr()), end.Port(), len(h))
		}
		r.known[binary.BigEndian.Uint64([]byte(h))] = swap{[]byte(h), to[:len(h)]}
	}
	for name := range r.seen.names {
		to := []byte(name)
		r.disguise(to)
		r.known[binary.BigEndian.Uint64([]byte(name))] = swap{[]byte(name), to}
	}
	r.prepareNumerals()
	for id := range r.seen.identities {
		r.addIdentity(id)
	}
	r.fresh = map[string]bool{}
	for _, s := range r.known {
		r.fresh[string(s.to)] = true
	}
}

func (r *Redactor) source(h string, d detection, ports []uint16) (netip.AddrPort, bool) {
	for a := range r.seen.addresses {
		for _, port := range ports {
			if string(d.hash(a, port, len(h))) == h {
				return netip.AddrPortFrom(a, port), true
			}
		}
	}
	return netip.AddrPort{}, false
}

// hash makes the hash of an address. The algorithm of IKEv1 is the negotiated one,
// which its length tells.
func (d detection) hash(a netip.Addr, port uint16, size int) []byte {
	if !d.v1 {
		h := ike.NATDHash(d.spiI, d.spiR, a, port)
		return h[:]
	}
	return ike.NATDHashV1(ike.NATDAlgorithm(size), d.spiI, d.spiR, a, port)
}
