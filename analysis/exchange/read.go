package exchange

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/packet"
)

// Source is a stream of packets with what is known of its file: a packet.Reader.
type Source interface {
	Next(*packet.Packet) error
	Info() packet.FileInfo
}

// checkEvery is how many packets are read between two looks at the context.
const checkEvery = 4096

// Read reads src to its end and tells its story. It ends early with ctx's cause; any other error is
// one of the source. Damage in the file is no error: the story's Info says where it is. Captures
// that are read with the same shared Contents, which may be at the same time, keep what they both
// hold but once; nil is for one that is read alone.
func Read(ctx context.Context, src Source, shared *Contents) (*Story, error) {
	t := newTeller(shared)
	var p packet.Packet
	for n := 0; ; n++ {
		if n%checkEvery == 0 && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		err := src.Next(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("packet %d: %w", n+1, err)
		}
		t.packet(&p)
	}
	t.story.Info = src.Info()
	return t.finish(), nil
}

// teller gathers a story.
type teller struct {
	story     Story
	flows     map[uint32]*Flow // chained by Flow.next
	recent    [1 << recentBits]*Flow
	streams   map[streamKey]*Stream
	datagrams map[datagramKey]*Datagram
	quotes    [][]byte // what the ICMP errors quote, beside story.ICMP
	ways      ways
	repeats   repeats
	seconds   seconds
	grains    grains
	runs      runs
}

type streamKey struct {
	src, dst  netip.AddrPort
	proto     uint8
	keepalive bool
}

type datagramKey struct {
	src, dst netip.Addr
	id       uint32
}

func newTeller(shared *Contents) *teller {
	t := &teller{
		flows:     map[uint32]*Flow{},
		streams:   map[streamKey]*Stream{},
		datagrams: map[datagramKey]*Datagram{},
	}
	t.story.contents, t.story.reader = shared.join()
	t.repeats = newRepeats(t.story.contents.Missed)
	return t
}

func (t *teller) packet(p *packet.Packet) {
	if p.Record == 0 {
		t.frame(p)
	}
	c := &t.story.Counts
	switch p.Kind {
	case packet.IKE:
		c.IKE++
		t.ike(p)
	case packet.ESP, packet.AH:
		switch {
		case t.completes(p):
			c.Fragments++
			return
		case p.Kind == packet.AH:
			c.AH++
		default:
			c.ESP++
		}
		t.esp(p)
	case packet.Keepalive:
		c.Keepalives++
		t.stream(p)
	case packet.ICMP:
		c.ICMP++
		t.icmp(p)
	case packet.Fragment:
		t.fragment(p)
	default:
		c.Other++
		t.stream(p)
	}
}

// frame counts what a frame is counted for once, whatever is in it.
func (t *teller) frame(p *packet.Packet) {
	c := &t.story.Counts
	c.Packets++
	c.Bytes += int64(p.WireLen)
	if p.CapLen < p.WireLen {
		c.Truncated++
	}
	if c.Packets == 1 {
		t.story.First, t.story.Last = p.Nanos, p.Nanos
	}
	t.story.First, t.story.Last = min(t.story.First, p.Nanos), max(t.story.Last, p.Nanos)
	t.seconds.count(p.Nanos)
	t.grains.take(p.Nanos)
	t.runs.take(p)
	if p.Unread != "" {
		t.unread(p)
	}
}

// unread counts a frame that the reader could not read to its end.
func (t *teller) unread(p *packet.Packet) {
	all := t.story.Unread
	i := slices.IndexFunc(all, func(u Unread) bool { return u.What == p.Unread })
	if i < 0 {
		if i = len(all); i == MaxUnread {
			i-- // the last one stands for all that follow
		} else {
			t.story.Unread = append(all, Unread{What: p.Unread, Frame: p.Frame})
		}
	}
	t.story.Unread[i].Packets++
}

func (t *teller) sight(p *packet.Packet) Sight {
	return Sight{
		Way: t.ways.of(p), Frame: int32(p.Frame), Nanos: p.Nanos, Size: int32(p.WireLen), IPID: p.IPID,
		Truncated: p.Truncated, ChecksumOK: p.ChecksumOK,
	}
}

func (t *teller) ike(p *packet.Packet) {
	t.whole(p)
	if p.Truncated {
		t.story.Counts.TruncatedIKE++
	}
	h, err := ike.ParseHeader(p.Payload)
	if err != nil {
		if p.Truncated { // the capture cut the header off, not who sent it
			t.story.Unreadable++
			return
		}
		t.fault(p, err.Error())
		return
	}
	messages := &t.story.Messages
	next := messages.n
	if next >= MaxMessages {
		next = none
	}
	c, place := t.content(h, p.Payload, next)
	switch s := t.sight(p); {
	case c == nil:
		t.story.Forgotten++
	case place == messages.n:
		m, _ := messages.add()
		*m = newMessage(c, p)
		m.Index, m.once[0] = int32(place), s
	default:
		m := messages.at(place)
		s.Copy = m.copied(&s)
		if s.Copy && s.IPID != 0 {
			t.story.Counts.Duplicates++
		}
		m.add(s)
	}
}

func (t *teller) fault(p *packet.Packet, reason string) {
	if len(t.story.Faults) < MaxFaults {
		t.story.Faults = append(t.story.Faults, Fault{p.Frame, reason, p.Src, p.Dst})
	}
}

// copied says whether s is the same datagram as the one before it.
func (m *Message) copied(s *Sight) bool {
	for i := len(m.Sent()) - 1; i >= 0 && i >= len(m.Sent())-4; i-- {
		o := &m.Sent()[i]
		if d := s.Nanos - o.Nanos; d < -CopyWindow || d > CopyWindow {
			continue
		}
		if s.IPID == o.IPID && (s.IPID != 0 || s.Src == o.Src && s.Dst == o.Dst) {
			return true
		}
	}
	return false
}

func (t *teller) esp(p *packet.Packet) {
	f := t.flow(p)
	if f == nil {
		t.story.Forgotten++
		return
	}
	point := Point{Nanos: p.Nanos, Frame: int32(p.Frame), Size: clip16(p.WireLen), ID: uint16(p.IPID)}
	if p.Seq&uint32(max(f.SampleStep, 1)-1) == 0 { // it may be sampled, or compared with a sample
		point.Mark = mark(p)
	}
	f.Short = f.Short || p.Truncated && len(p.Payload) < markLen
	f.DSCP[p.DSCP&63]++
	f.LowTTL, f.HighTTL = min(f.LowTTL, p.TTL), max(f.HighTTL, p.TTL)
	if p.IsFragment {
		point.Pieces = clip16(max(1, len(p.Fragments)))
		f.Fragmented++
	}
	if !f.add(p.Seq, point) {
		t.story.Counts.Duplicates++
		t.whole(p)
		return
	}
	if p.IsFragment {
		t.split(f, f.Last, p)
	}
}

func clip16(n int) uint16 { return uint16(min(n, 1<<16-1)) }

// recentBits sizes the table of recent flows, which spares most packets a look into the map.
const recentBits = 9

// golden is 2^32 by the golden ratio: multiples of it spread (Knuth, TAOCP 3, Section 6.4).
const golden = 0x9e3779b1

// flow returns the flow of p, nil when there are too many.
func (t *teller) flow(p *packet.Packet) *Flow {
	recent := &t.recent[p.SPI*golden>>(32-recentBits)]
	if f := *recent; f != nil && f.SPI == p.SPI && f.has(p) {
		return f
	}
	f := t.find(p)
	if f != nil {
		*recent = f
	}
	return f
}

// has says whether p is of the flow, given that the SPI is.
func (f *Flow) has(p *packet.Packet) bool {
	return f.alike(p) && f.Src.Port() == p.SrcPort && f.Dst.Port() == p.DstPort
}

// alike says so of a packet whose ports may have been translated anew.
func (f *Flow) alike(p *packet.Packet) bool {
	return f.UDP == p.UDPEncap && f.TCP == p.TCPEncap && f.Src.Addr() == p.Src && f.Dst.Addr() == p.Dst &&
		f.AH == (p.Kind == packet.AH)
}

// Bounds on the flows of one SPI, which are searched one after the other. A NAT mapping changes now
// and then, not with every packet, and no SPI is that of very many gateways.
const (
	maxMappings = 64
	maxSharing  = 256
)

// find returns the flow of p, or makes it.
func (t *teller) find(p *packet.Packet) *Flow {
	first := t.flows[p.SPI]
	mappings, sharing := 0, 0
	for f := first; f != nil; f = f.next {
		if f.has(p) {
			return f
		}
		if f.alike(p) {
			mappings++
		}
		if mappings == maxMappings {
			return f
		}
		if sharing++; sharing == maxSharing {
			return nil
		}
	}
	if len(t.story.Flows) >= MaxFlows {
		return nil
	}
	f := &Flow{
		SPI: p.SPI, UDP: p.UDPEncap, TCP: p.TCPEncap, AH: p.Kind == packet.AH, next: first,
		TTL: p.TTL, LowTTL: p.TTL, HighTTL: p.TTL,
		Src: netip.AddrPortFrom(p.Src, p.SrcPort), Dst: netip.AddrPortFrom(p.Dst, p.DstPort),
	}
	t.flows[p.SPI] = f
	t.story.Flows = append(t.story.Flows, f)
	return f
}

func (t *teller) stream(p *packet.Packet) {
	alive := p.Kind == packet.Keepalive
	k := streamKey{netip.AddrPortFrom(p.Src, p.SrcPort), netip.AddrPortFrom(p.Dst, p.DstPort), p.Proto, alive}
	if !alive && !p.GroupKeys() && !(p.Proto == protoUDP && (p.SrcPort == PortL2TP || p.DstPort == PortL2TP)) {
		k.src, k.dst = netip.AddrPortFrom(p.Src, 0), netip.AddrPortFrom(p.Dst, 0)
	}
	s := t.streams[k]
	if s == nil {
		if len(t.streams) >= MaxStreams {
			return
		}
		s = &Stream{Src: k.src, Dst: k.dst, Proto: p.Proto, First: p.Nanos, Last: p.Nanos, FirstFrame: p.Frame}
		t.streams[k] = s
		if alive {
			t.story.Keepalives = append(t.story.Keepalives, s)
		} else {
			t.story.Others = append(t.story.Others, s)
		}
	}
	s.LongestGap = max(s.LongestGap, p.Nanos-s.Last)
	s.Packets++
	s.Last, s.LastFrame = p.Nanos, p.Frame
}

func (t *teller) icmp(p *packet.Packet) {
	if p.Error == nil || len(t.story.ICMP) >= MaxICMP {
		return
	}
	e := &ICMP{Sight: t.sight(p), ICMPError: *p.Error}
	e.Payload = nil
	e.QuotesTunnel = quotesTunnel(p.Error)
	t.story.ICMP = append(t.story.ICMP, e)
	t.quotes = append(t.quotes, slices.Clone(p.Error.Payload))
}

// PortL2TP is the UDP port of L2TP (RFC 2661); of other streams than these and those of group keys
// the ports do not matter.
const PortL2TP = 1701

// IP protocol numbers (IANA, protocol-numbers).
const (
	protoTCP = 6
	protoUDP = 17
	protoESP = 50
	protoAH  = 51
)

func quotesTunnel(e *packet.ICMPError) bool {
	switch e.Proto {
	case protoESP, protoAH:
		return true
	case protoUDP:
		return ikePort(e.SrcPort) || ikePort(e.DstPort)
	}
	return false
}

func ikePort(p uint16) bool { return p == 500 || p == 4500 }

// finish puts together what needs the whole capture.
func (t *teller) finish() *Story {
	s := &t.story
	t.finishDatagrams()
	for _, f := range s.Flows {
		f.finish()
	}
	s.Peak, s.Grain, s.Runs = t.seconds.peak(), t.grains.found(), t.runs.found()
	s.Addresses = addresses(s)
	assignV1Roles(&s.Messages)
	t.resolveQuotes()
	return s
}
