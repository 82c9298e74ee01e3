package exchange

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"

	"github.com/moncap/moncap/analysis/ike"
)

// seconds counts packets per second of the capture, and how many seconds had a count.
type seconds struct {
	second int64
	inIt   int
	top    Peak
	with   map[int]int // number of seconds by their number of packets
}

const second = 1_000_000_000

func (s *seconds) count(nanos int64) {
	if now := nanos / second; now != s.second {
		s.close()
		s.second, s.inIt = now, 0
	}
	s.inIt++
}

func (s *seconds) close() {
	if s.inIt == 0 {
		return
	}
	if s.with == nil {
		s.with = map[int]int{}
	}
	s.with[s.inIt]++
	if s.inIt > s.top.Packets {
		s.top.Packets, s.top.Second = s.inIt, s.second
	}
}

func (s *seconds) peak() Peak {
	s.close()
	for n, times := range s.with {
		if n*10 >= s.top.Packets*9 {
			s.top.AtLeast += times
		}
	}
	return s.top
}

// addresses sums up who sent and received the tunnel's packets.
func addresses(s *Story) []Address {
	all := map[netip.Addr]*Address{}
	get := func(a netip.Addr) *Address {
		x := all[a]
		if x == nil {
			x = &Address{Addr: a}
			all[a] = x
		}
		return x
	}
	count := func(src, dst netip.Addr, ttl uint8, n int) {
		from := get(src)
		from.Sent += n
		from.TTL = max(from.TTL, int(ttl))
		if ttl == 255 || ttl == 128 || ttl == 64 {
			from.FullTTL += n
		}
		get(dst).Received += n
	}
	for _, m := range s.Messages {
		for i := range m.Sent() {
			x := &m.Sent()[i]
			count(x.Src.Addr(), x.Dst.Addr(), x.TTL, 1)
		}
	}
	for _, f := range s.Flows {
		count(f.Src.Addr(), f.Dst.Addr(), f.TTL, f.Packets)
	}
	for _, k := range s.Keepalives {
		count(k.Src.Addr(), k.Dst.Addr(), 0, k.Packets)
	}
	list := make([]Address, 0, len(all))
	for a := range maps.Values(all) {
		list = append(list, *a)
	}
	slices.SortFunc(list, func(a, b Address) int {
		return cmp.Or(cmp.Compare(b.Sent+b.Received, a.Sent+a.Received), a.Addr.Compare(b.Addr))
	})
	return list
}

// assignV1Roles gives IKEv1 messages their role and kind: the header does not say them. The first message of phase 1 has no
// responder cookie and names the initiator's address; in phase 2 who sends the first message of an ID asks.
func assignV1Roles(messages []*Message) {
	initiator := map[ike.SPI]netip.Addr{}
	asker := map[v1Exchange]netip.Addr{}
	for _, m := range messages {
		if m.Major() != 1 {
			continue
		}
		src := m.Sent()[0].Src.Addr()
		if m.SPIr == 0 && v1Phase1(m.Exchange) {
			if _, ok := initiator[m.SPIi]; !ok {
				initiator[m.SPIi] = src
			}
		}
		if who, ok := initiator[m.SPIi]; ok {
			m.Role = Responder
			if who == src {
				m.Role = Initiator
			}
		}
		m.Kind = v1Kind(m, asker, src)
	}
}

type v1Exchange struct {
	spi ike.SPI
	id  uint32
}

func v1Phase1(x ike.ExchangeType) bool { return x == ike.V1MainMode || x == ike.V1Aggressive }

func v1Kind(m *Message, asker map[v1Exchange]netip.Addr, src netip.Addr) Kind {
	switch m.Exchange {
	case ike.V1MainMode, ike.V1Aggressive:
		if m.Role == Responder {
			return Response
		}
	case ike.V1QuickMode, ike.V1Transaction:
		k := v1Exchange{m.SPIi, m.MessageID}
		who, ok := asker[k]
		if !ok {
			asker[k] = src
		} else if who != src {
			return Response
		}
	}
	return Request
}

// resolveQuotes finds the messages that ICMP errors quote: by the quoted bytes, else by the IP identification.
func (t *teller) resolveQuotes() {
	if len(t.story.ICMP) == 0 {
		return
	}
	bySPI := map[ike.SPI][]*Message{}
	for _, m := range t.story.Messages {
		bySPI[m.SPIi] = append(bySPI[m.SPIi], m)
	}
	for i, e := range t.story.ICMP {
		if q := t.quotes[i]; e.QuotesTunnel {
			e.resolve(q, bySPI, t)
		}
	}
	t.quotes = nil
}

func (e *ICMP) resolve(quoted []byte, bySPI map[ike.SPI][]*Message, t *teller) {
	if e.Proto == protoUDP {
		e.Message = quotedMessage(e, quoted, bySPI, t.story.Messages)
	}
	if e.Message == nil && len(quoted) >= 4 {
		spi := binary.BigEndian.Uint32(quoted)
		if e.Proto == protoESP || t.flows[spi] != nil {
			e.SPI = spi
		}
	}
}

func quotedMessage(e *ICMP, quoted []byte, bySPI map[ike.SPI][]*Message, all []*Message) *Message {
	if len(quoted) >= 8 {
		for _, m := range bySPI[ike.SPI(binary.BigEndian.Uint64(quoted))] {
			n := min(len(quoted), len(m.Raw))
			if bytes.Equal(m.Raw[:n], quoted[:n]) {
				return m
			}
		}
	}
	if e.ICMPError.IPID == 0 || len(all) > 1<<14 {
		return nil
	}
	for _, m := range all {
		for i := range m.Sent() {
			s := &m.Sent()[i]
			if s.IPID == e.ICMPError.IPID && s.Src.Addr() == e.ICMPError.Src && s.Dst.Addr() == e.ICMPError.Dst {
				return m
			}
		}
	}
	return nil
}

// CopiesOwn says whether the capture doubles what the side with the addresses own sent itself: then it doubles everything, and no path
// does.
func (s *Story) CopiesOwn(own []netip.Addr) bool {
	mine := make(map[netip.Addr]bool, len(own))
	for _, a := range own {
		mine[a] = true
	}
	sent, copies := 0, 0
	for _, m := range s.Messages {
		for i := range m.Sent() {
			if !mine[m.Sent()[i].Src.Addr()] {
				continue
			}
			sent++
			if m.Sent()[i].Copy {
				copies++
			}
		}
	}
	for _, f := range s.Flows {
		if mine[f.Src.Addr()] {
			sent += f.Packets
			copies += f.Duplicates
		}
	}
	return copies > 0 && copies*4 >= sent
}
