package redact

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/packet"
)

// natd is what captures show of NAT detection: the hashes, and the addresses that they may have been made of.
type natd struct {
	hashes    map[string]detection
	addresses map[netip.Addr]bool
	ports     map[uint16]bool
}

// detection is one hash and the SPIs that went into it (RFC 7296, Section 2.23; RFC 3947, Section 3.2).
type detection struct {
	spiI, spiR ike.SPI
	v1         bool
}

// swap is NAT detection data as it is, and as it will be.
type swap struct{ from, to []byte }

// maxSearches bounds the hashes that are searched for in the private ranges, at some seconds each.
const maxSearches = 8

// Learn reads a capture, so that its NAT detection hashes can be made anew. All captures of a case must be learnt, and the
// addresses of the inventory given, before the first PCAP: the hashes of one side are made of the addresses that the
// other side sees.
func (r *Redactor) Learn(file io.Reader, known ...netip.Addr) error {
	if r.seen.hashes == nil {
		r.seen = natd{map[string]detection{}, map[netip.Addr]bool{}, map[uint16]bool{500: true, 4500: true}}
	}
	for _, a := range known {
		if a.IsValid() {
			r.seen.addresses[a] = true
		}
	}
	in, err := packet.NewReader(file, packet.Options{NoHash: true})
	if err != nil {
		return err
	}
	for p, err := range packet.All(in) {
		if err != nil {
			return err
		}
		if p.Kind == packet.IKE {
			r.seen.take(p)
		}
	}
	return nil
}

func (n *natd) take(p *packet.Packet) {
	n.addresses[p.Src], n.addresses[p.Dst] = true, true
	n.ports[p.SrcPort], n.ports[p.DstPort] = true, true
	h, err := ike.ParseHeader(p.Payload)
	if err != nil {
		return
	}
	ike.Walk(p.Payload, func(t ike.PayloadType, _ int, body []byte) bool {
		d := detection{h.SPIi, h.SPIr, h.Major() == 1}
		switch {
		case h.Major() == 1 && (t == ike.V1PayloadNATD || t == ike.V1PayloadNATDOld):
			n.hashes[string(body)] = d
		case h.Major() == 2 && t == ike.PayloadN && len(body) == 4+20 && body[1] == 0:
			if k := ike.NotifyType(binary.BigEndian.Uint16(body[2:])); k == ike.NATDetectionSourceIP || k == ike.NATDetectionDestinationIP {
				n.hashes[string(body[4:])] = d
			}
		}
		return true
	})
}

// prepare finds out what the hashes were made of and makes them of the new addresses. One that is of no address at all, as
// peers send to force UDP encapsulation, becomes another one of no address.
func (r *Redactor) prepare(ctx context.Context) {
	if r.hashes != nil {
		return
	}
	r.hashes = map[uint64]swap{}
	ports := slices.Sorted(maps.Keys(r.seen.ports))
	searches := 0
	for _, h := range slices.Sorted(maps.Keys(r.seen.hashes)) {
		if len(h) < 8 {
			continue
		}
		d := r.seen.hashes[h]
		end, ok := r.source(h, d, ports)
		if !ok && !d.v1 && searches < maxSearches {
			searches++
			end, ok = ike.SearchNATD(ctx, [20]byte([]byte(h)), d.spiI, d.spiR, []uint16{500, 4500})
		}
		to := r.digest("natd", h)
		for len(to) < len(h) {
			to = append(to, r.digest("natd", string(to))...)
		}
		if ok {
			to = d.hash(r.Addr(end.Addr()), end.Port(), len(h))
		}
		r.hashes[binary.BigEndian.Uint64([]byte(h))] = swap{[]byte(h), to[:len(h)]}
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

// hash makes the hash of an address. The algorithm of IKEv1 is the negotiated one, which its length tells.
func (d detection) hash(a netip.Addr, port uint16, size int) []byte {
	if !d.v1 {
		h := ike.NATDHash(d.spiI, d.spiR, a, port)
		return h[:]
	}
	return ike.NATDHashV1(map[int]uint64{16: 1, 20: 2, 32: 4, 48: 5, 64: 6}[size], d.spiI, d.spiR, a, port)
}

// replaceHashes puts the new hashes in the place of the old ones wherever they stand in b, and clears identities. It returns
// the change of the checksum.
func (r *Redactor) replaceHashes(b []byte) uint32 {
	before := sum(b)
	for i := 0; i+8 <= len(b); i++ {
		s, ok := r.hashes[binary.BigEndian.Uint64(b[i:])]
		if !ok {
			continue
		}
		n := min(len(s.from), len(b)-i) // a fragment may end in the middle of it
		if bytes.Equal(b[i:i+n], s.from[:n]) {
			copy(b[i:], s.to[:n])
			i += n - 1
		}
	}
	return difference(before, sum(b))
}

// replaceIdentities makes what names somebody in an IKE message in clear anonymous: the identities of aggressive mode, and
// where REDIRECT leads.
func (r *Redactor) replaceIdentities(message []byte) {
	h, err := ike.ParseHeader(message)
	if err != nil {
		return
	}
	ike.Walk(message, func(t ike.PayloadType, _ int, body []byte) bool {
		switch {
		case h.Major() == 1 && t == ike.V1PayloadID && len(body) > 4:
			r.identity(body[0], body[4:])
		case h.Major() == 2 && t == ike.PayloadN && len(body) > 6 && ike.NotifyType(binary.BigEndian.Uint16(body[2:])) == ike.Redirect:
			r.identity(map[byte]uint8{1: ike.IDIPv4, 2: ike.IDIPv6}[body[4]], body[6:])
		}
		return true
	})
}

func (r *Redactor) identity(kind uint8, b []byte) {
	if kind == ike.IDIPv4 && len(b) == 4 || kind == ike.IDIPv6 && len(b) == 16 {
		a, _ := netip.AddrFromSlice(b)
		copy(b, r.Addr(a).AsSlice())
		return
	}
	mask := r.digest("identity", string(b))
	for i := range b {
		b[i] = 'a' + mask[i%len(mask)]%26
	}
}

// PCAP copies a capture with everything in it made anonymous, frame by frame, as a pcap file with nanoseconds. Frames that do
// not belong to a tunnel keep their headers and nothing else. The captures of the case must have been learnt.
func (r *Redactor) PCAP(ctx context.Context, w io.Writer, file io.Reader) error {
	r.prepare(ctx)
	in, err := packet.NewReader(file, packet.Options{NoHash: true, NoChecksum: true})
	if err != nil {
		return err
	}
	link, begun := uint16(0), false
	for p, err := range packet.All(in) {
		if err != nil {
			return err
		}
		if !begun {
			link, begun = p.Link, true
			if err := writeHeader(w, link); err != nil {
				return err
			}
		}
		if p.Link != link {
			return fmt.Errorf("frame %d: two link types in one capture cannot be redacted", p.Frame)
		}
		frame := bytes.Clone(p.Raw)
		if err := r.frame(p, frame); err != nil {
			return fmt.Errorf("frame %d: %w", p.Frame, err)
		}
		if err := writeFrame(w, p, frame); err != nil {
			return err
		}
	}
	if !begun {
		return writeHeader(w, linkEthernet)
	}
	return ctx.Err()
}

func (r *Redactor) frame(p *packet.Packet, b []byte) error {
	at, err := r.networkOffset(p.Link, b)
	if err != nil {
		return err
	}
	if at < 0 || at > len(b) {
		clear(b[min(14, len(b)):])
		return nil
	}
	tunnel := p.Kind != packet.Other
	r.packet(b[at:], tunnel)
	return nil
}

// writeHeader begins a pcap file (draft-ietf-opsawg-pcap): nanoseconds, little-endian.
func writeHeader(w io.Writer, link uint16) error {
	var h [24]byte
	binary.LittleEndian.PutUint32(h[0:], 0xa1b23c4d)
	binary.LittleEndian.PutUint16(h[4:], 2)
	binary.LittleEndian.PutUint16(h[6:], 4)
	binary.LittleEndian.PutUint32(h[16:], 262144)
	binary.LittleEndian.PutUint32(h[20:], uint32(link))
	_, err := w.Write(h[:])
	return err
}

func writeFrame(w io.Writer, p *packet.Packet, b []byte) error {
	var h [16]byte
	binary.LittleEndian.PutUint32(h[0:], uint32(p.Nanos/1e9))
	binary.LittleEndian.PutUint32(h[4:], uint32(p.Nanos%1e9))
	binary.LittleEndian.PutUint32(h[8:], uint32(len(b)))
	binary.LittleEndian.PutUint32(h[12:], uint32(max(p.WireLen, len(b))))
	_, err1 := w.Write(h[:])
	_, err2 := w.Write(b)
	return errors.Join(err1, err2)
}
