package exchange

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/moncap/moncap/analysis/packet"
)

// Datagram is an IP-fragmented datagram of the tunnel (UDP, ESP or AH) that never became whole in
// this capture.
type Datagram struct {
	Src, Dst    netip.Addr
	Proto       uint8 // IP protocol
	IPID        uint32
	Frames      []int
	First, Last int64
	HasFirst    bool // the fragment with offset 0 is there
	HasLast     bool // the fragment without the more-fragments bit is there
	Bytes       int  // of IP payload, that are there
	SrcPort     uint16
	DstPort     uint16
	DataStart   []byte // UDP, but for ESP in it: at most 64 bytes of the IKE message, when HasFirst
	SPI, Seq    uint32 // of ESP, AH and ESP in UDP, when HasFirst

	offsets []int // of the fragments that are there
	total   int   // bytes of the whole, when HasLast
	counted bool  // its first fragment was taken in as the ESP packet
	flow    *Flow
	point   Point // in flow
}

// Name is the IP protocol of d as access lists call it.
func (d *Datagram) Name() string {
	return map[uint8]string{protoUDP: "udp", protoESP: "esp", protoAH: "ahp"}[d.Proto]
}

// WithoutRest says whether the first fragment is there and the last is not. Of a datagram that the
// captured router sent itself, the capture's filter hid it.
func (d *Datagram) WithoutRest() bool { return d.HasFirst && !d.HasLast }

// HidesRest says whether the capture should hold the other fragments of d, which it has the first
// of and not the last: it goes on behind d. Where it ends with d they may have come a moment later.
func (s *Story) HidesRest(d *Datagram) bool { return d.WithoutRest() && s.Last-d.Last > CopyWindow }

// reuse is the time after which an IP identification may be that of another datagram: 65,536 of
// them last no longer on a fast link.
const reuse = 2_000_000_000

// fragment keeps what is there of a datagram until it is whole. The first fragment of ESP in UDP
// tells as much of the packet as that of plain ESP does, so both count from it on.
func (t *teller) fragment(p *packet.Packet) {
	if spi, seq := inUDP(p); spi != 0 {
		first := *p
		first.Kind, first.UDPEncap, first.SPI, first.Seq = packet.ESP, true, spi, seq
		first.Payload = p.Payload[udpHeader:]
		t.story.Counts.ESP++
		t.esp(&first)
		return
	}
	t.story.Counts.Fragments++
	if p.Proto == protoUDP || p.Proto == protoESP || p.Proto == protoAH {
		t.piece(p)
	}
}

// whole forgets the pieces of a datagram that was put together.
func (t *teller) whole(p *packet.Packet) {
	if len(p.Fragments) > 0 {
		delete(t.datagrams, datagramKey{p.Src, p.Dst, p.IPID})
	}
}

// completes says whether p is the last fragment of ESP in UDP, of which the first one was taken in
// as the packet. Of copies, and where there are too many datagrams, nothing is kept until then.
func (t *teller) completes(p *packet.Packet) bool {
	if len(p.Fragments) == 0 {
		return false
	}
	k := datagramKey{p.Src, p.Dst, p.IPID}
	d := t.datagrams[k]
	if d == nil {
		return p.FragOffset > 0
	}
	if !d.counted {
		return false
	}
	if d.flow != nil {
		d.point.Pieces, d.point.Size = clip16(len(p.Fragments)), clip16(p.Datagram)
		d.flow.Split, d.flow.SplitStep = sampled(d.flow.Split, d.flow.SplitStep, d.point)
	}
	delete(t.datagrams, k)
	return true
}

// split takes in a packet of f that travelled in IP fragments: ESP in UDP of which the first one
// came last is whole by now, of others this is the first fragment.
func (t *teller) split(f *Flow, at Point, p *packet.Packet) {
	if len(p.Fragments) > 0 {
		t.whole(p)
		at.Size = clip16(p.Datagram)
		f.Split, f.SplitStep = sampled(f.Split, f.SplitStep, at)
		return
	}
	d := t.piece(p)
	if d == nil {
		return
	}
	d.flow, d.point, d.counted, d.SPI, d.Seq = f, at, true, p.SPI, p.Seq
	t.settle(d)
}

// piece takes a fragment in and returns its datagram; nil for a copy, and when there are too many.
func (t *teller) piece(p *packet.Packet) *Datagram {
	k := datagramKey{p.Src, p.Dst, p.IPID}
	d := t.datagrams[k]
	if d != nil && p.Nanos-d.Last > reuse {
		t.torn(d)
		d = nil
	}
	if d == nil {
		if len(t.datagrams)+len(t.story.Datagrams) >= MaxDatagrams {
			return nil
		}
		d = &Datagram{Src: p.Src, Dst: p.Dst, Proto: p.Proto, IPID: p.IPID, First: p.Nanos}
		t.datagrams[k] = d
	}
	d.Last = p.Nanos
	if slices.Contains(d.offsets, p.FragOffset) {
		return nil // a copy
	}
	length := pieceLen(p)
	d.offsets = append(d.offsets, p.FragOffset)
	d.Frames = append(d.Frames, p.Frame)
	d.Bytes += length
	if !p.MoreFrags {
		d.HasLast, d.total = true, p.FragOffset+length
	}
	if p.FragOffset == 0 {
		d.HasFirst, d.SrcPort, d.DstPort = true, p.SrcPort, p.DstPort
		if p.Proto == protoUDP && p.Kind == packet.Fragment {
			d.DataStart = dataStart(p)
		}
	}
	t.settle(d)
	return d
}

// settle takes an ESP or AH packet whose fragments are all there for whole.
func (t *teller) settle(d *Datagram) {
	if d.flow == nil || !d.HasLast || d.Bytes < d.total {
		return
	}
	d.point.Pieces, d.point.Size = clip16(len(d.Frames)), clip16(d.total)
	d.flow.Split, d.flow.SplitStep = sampled(d.flow.Split, d.flow.SplitStep, d.point)
	delete(t.datagrams, datagramKey{d.Src, d.Dst, d.IPID})
}

// pieceLen is how many bytes of the datagram a fragment carries, also where the capture cut it; IP
// options are not thought of then.
func pieceLen(p *packet.Packet) int {
	const header4, header6 = 20, 40 + 8
	switch {
	case !p.Truncated && p.Kind == packet.ESP && p.UDPEncap:
		return udpHeader + len(p.Payload)
	case !p.Truncated && !p.InAH: // of ESP behind AH the payload begins further back
		return len(p.Payload)
	case p.Src.Is4():
		return max(p.IPLen-header4, len(p.Payload))
	}
	return max(p.IPLen-header6, len(p.Payload))
}

// dataStart returns the first bytes of the IKE message in a first fragment: behind the UDP header
// and the non-ESP marker.
func dataStart(p *packet.Packet) []byte {
	b := p.Payload[min(len(p.Payload), 8):]
	if (p.SrcPort == 4500 || p.DstPort == 4500) && len(b) >= 4 && [4]byte(b) == [4]byte{} {
		b = b[4:]
	}
	return slices.Clone(b[:min(len(b), PrefixLen)])
}

const udpHeader = 8 // bytes

// inUDP reads the ESP header in the first fragment of a datagram of UDP 4500 (RFC 3948,
// Section 2.1); zero: it is none, be it IKE from which the non-ESP marker was left out.
func inUDP(p *packet.Packet) (spi, seq uint32) {
	b, be := p.Payload, binary.BigEndian
	if p.Proto != protoUDP || p.FragOffset != 0 || p.SrcPort != 4500 && p.DstPort != 4500 || len(b) < udpHeader+8 ||
		packet.LooksLikeIKE(b[udpHeader:], int(be.Uint16(b[4:]))-udpHeader) {
		return 0, 0
	}
	if spi = be.Uint32(b[udpHeader:]); spi != 0 {
		seq = be.Uint32(b[udpHeader+4:])
	}
	return spi, seq
}

// torn keeps a datagram that did not become whole.
func (t *teller) torn(d *Datagram) {
	t.story.Datagrams = append(t.story.Datagrams, d)
	if d.flow != nil {
		d.flow.Torn.Add(d.point.Seq)
	}
}

func (t *teller) finishDatagrams() {
	for _, d := range t.datagrams {
		t.torn(d)
	}
	slices.SortFunc(t.story.Datagrams, func(a, b *Datagram) int { return cmp.Compare(a.Frames[0], b.Frames[0]) })
}

// Whole are the numbers of the packets that are there from end to end; not to be changed.
func (f *Flow) Whole() *Set {
	if f.Torn.Len() == 0 {
		return &f.Seqs
	}
	var whole Set
	for r := range f.Seqs.Minus(&f.Torn) {
		whole.runs = append(whole.runs, r)
		whole.count += r.Len()
	}
	return &whole
}
