package exchange

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
	"sort"

	"github.com/moncap/moncap/analysis/ike"
)

// resolveQuotes finds the messages that ICMP errors quote: by the quoted bytes, else by the
// IP identification.
func (t *teller) resolveQuotes() {
	if len(t.story.ICMP) == 0 {
		return
	}
	q := quoting{s: &t.story, bySPI: map[ike.SPI][]*Message{}, byID: map[ike.SPI]map[uint32][]*Message{}}
	for m := range t.story.Messages.All() {
		q.bySPI[m.SPIi] = append(q.bySPI[m.SPIi], m)
	}
	for i, e := range t.story.ICMP {
		quoted := t.quotes[i]
		if q.complete(e, quoted); e.QuotesTunnel {
			e.resolve(quoted, &q, t)
		}
	}
	t.quotes = nil
}

// quoting finds what ICMP errors quote. There may be thousands of both, so that none walks through
// all that was sent.
type quoting struct {
	s      *Story
	bySPI  map[ike.SPI][]*Message
	byID   map[ike.SPI]map[uint32][]*Message // by message ID, of the SPIs that were asked for
	sent   map[sender][]sending              // by the order of the capture's clock; nil: not asked for yet
	byIPID map[sentAs]*Message               // the first one of each; nil: not asked for yet
}

type sender struct {
	addr  netip.Addr
	proto uint8
}

// sending is a packet that the capture holds, as far as its times are known.
type sending struct {
	at int64
	to netip.Addr
	m  *Message // or
	f  *Flow
}

type sentAs struct {
	id       uint32
	src, dst netip.Addr
}

// quotedWithin is how soon after a packet the error about it comes at most, as far as the order
// alone tells which one it is about.
const quotedWithin = 2_000_000_000

// mostLooked bounds how many packets, or messages of one exchange, one error is compared with:
// real ones have a few within the time, or none.
const mostLooked = 1024

// complete finds what the capture cut off a quote, its destination, ports, or what is behind them,
// by what had just gone the same way.
func (q *quoting) complete(e *ICMP, quoted []byte) {
	const spi = 4
	unported := e.SrcPort == 0 || e.QuotesTunnel // else it is about other traffic than the tunnel's
	if !e.Src.IsValid() || e.DstLen == 0 && !(e.Proto == protoUDP && len(quoted) < spi && unported) {
		return
	}
	if q.s.Messages.Len() > 1<<14 || len(q.s.Flows) > 1<<10 {
		return
	}
	x, found := q.lastBefore(e)
	if !found {
		return
	}
	if e.Dst, e.DstLen = x.to, 0; e.Proto == protoUDP {
		e.QuotesTunnel, e.Inferred, e.Message = true, !e.QuotesTunnel, x.m
		if x.f != nil {
			e.SPI = x.f.SPI
		}
	}
}

// lastBefore is the last packet that was sent as e quotes one, moments before it.
func (q *quoting) lastBefore(e *ICMP) (x sending, found bool) {
	if q.sent == nil {
		q.sort()
	}
	all := q.sent[sender{e.Src, e.Proto}]
	n := sort.Search(len(all), func(i int) bool { return all[i].at > e.Nanos })
	for _, x := range slices.Backward(all[max(0, n-mostLooked):n]) {
		if x.at < e.Nanos-quotedWithin {
			break
		}
		if e.to(x.to) {
			return x, true
		}
	}
	return x, false
}

// sort puts what was sent in order, of each sender by itself.
func (q *quoting) sort() {
	q.sent = map[sender][]sending{}
	for m := range q.s.Messages.All() {
		for i := range m.Sent() {
			x := &m.Sent()[i]
			k := sender{x.Src.Addr(), protoUDP}
			q.sent[k] = append(q.sent[k], sending{at: x.Nanos, to: x.Dst.Addr(), m: m})
		}
	}
	for _, f := range q.s.Flows {
		k := sender{f.Src.Addr(), f.proto()}
		for _, p := range f.Samples {
			q.sent[k] = append(q.sent[k], sending{at: p.Nanos, to: f.Dst.Addr(), f: f})
		}
	}
	for _, all := range q.sent {
		slices.SortStableFunc(all, func(x, y sending) int { return cmp.Compare(x.at, y.at) })
	}
}

// to says whether the quoted packet may have gone to a.
func (e *ICMP) to(a netip.Addr) bool {
	if e.DstLen == 0 {
		return a == e.Dst
	}
	return a.Is6() && netip.PrefixFrom(e.Dst, e.DstLen*8).Contains(a)
}

// proto is the IP protocol of the flow's packets.
func (f *Flow) proto() uint8 {
	switch {
	case f.UDP:
		return protoUDP
	case f.AH:
		return protoAH
	case f.TCP:
		return protoTCP
	}
	return protoESP
}

func (e *ICMP) resolve(quoted []byte, q *quoting, t *teller) {
	if m := q.message(e, quoted); e.Proto == protoUDP && m != nil {
		e.Message, e.SPI, e.Inferred = m, 0, false
	}
	if e.Message == nil && len(quoted) >= 4 {
		spi := binary.BigEndian.Uint32(quoted)
		if e.Proto == protoESP || t.flows[spi] != nil {
			e.SPI = spi
		}
	}
}

// message is the one that e quotes; nil where that is not known.
func (q *quoting) message(e *ICMP, quoted []byte) *Message {
	if len(quoted) >= 8 {
		all := q.candidates(quoted)
		for _, m := range all[:min(len(all), mostLooked)] {
			if m.begins(quoted) {
				return m
			}
		}
	}
	if e.ICMPError.IPID == 0 || q.s.Messages.Len() > 1<<14 {
		return nil
	}
	if q.byIPID == nil {
		q.byIPID = map[sentAs]*Message{}
		for m := range q.s.Messages.All() {
			for i := range m.Sent() {
				x := &m.Sent()[i]
				if k := (sentAs{x.IPID, x.Src.Addr(), x.Dst.Addr()}); q.byIPID[k] == nil {
					q.byIPID[k] = m
				}
			}
		}
	}
	return q.byIPID[sentAs{e.ICMPError.IPID, e.ICMPError.Src, e.ICMPError.Dst}]
}

// candidates are the messages that a quote may be of: those of its SPI and, where it goes so far,
// of its message ID.
func (q *quoting) candidates(quoted []byte) []*Message {
	spi := ike.SPI(binary.BigEndian.Uint64(quoted))
	if len(quoted) < messageIDAt+4 {
		return q.bySPI[spi]
	}
	if q.byID[spi] == nil {
		q.byID[spi] = map[uint32][]*Message{}
		for _, m := range q.bySPI[spi] {
			q.byID[spi][m.MessageID] = append(q.byID[spi][m.MessageID], m)
		}
	}
	return q.byID[spi][binary.BigEndian.Uint32(quoted[messageIDAt:])]
}

// messageIDAt is where the message ID stands in an IKE header.
const messageIDAt = 20

// begins says whether quoted, of the same SPI and, as far as it goes, message ID, is the beginning
// of the message, or all of it and more.
func (c *Content) begins(quoted []byte) bool {
	n := min(len(quoted), len(c.Raw()))
	return bytes.Equal(c.Raw()[:n], quoted[:n])
}
