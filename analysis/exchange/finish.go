package exchange

import (
	"cmp"
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
	type counted struct {
		*Way
		n int
	}
	ways := map[*Way]int{}
	var last [2]counted // there and back: most packets go a way that one of the two before them went
	for m := range s.Messages.All() {
		sent := m.Sent()
		for i := range sent {
			if sent[i].Way != last[0].Way {
				last[0], last[1] = last[1], last[0]
			}
			if sent[i].Way != last[0].Way {
				ways[last[0].Way] += last[0].n
				last[0] = counted{Way: sent[i].Way}
			}
			last[0].n++
		}
	}
	for _, w := range last {
		ways[w.Way] += w.n
	}
	for w, n := range ways {
		if w != nil {
			count(w.Src.Addr(), w.Dst.Addr(), w.TTL, n)
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

// assignV1Roles gives IKEv1 messages their role and kind: the header does not say them. The first
// message of phase 1 has no responder cookie and names the initiator's address; in phase 2 who
// sends the first message of an ID asks.
func assignV1Roles(messages *Messages) {
	initiator := map[ike.SPI]netip.Addr{}
	asker := map[v1Exchange]netip.Addr{}
	for m := range messages.All() {
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

// CopiesOwn says whether the capture doubles what the side with the addresses own sent itself: then
// it doubles everything, and no path does. Without an IP identification, a message that is there
// twice may as well have been sent twice: it counts only where all of the side's are.
func (s *Story) CopiesOwn(own []netip.Addr) bool {
	if !s.holdsCopies() { // most do not
		return false
	}
	mine := make(map[netip.Addr]bool, len(own))
	for _, a := range own {
		mine[a] = true
	}
	sent, copies, sure, all := 0, 0, false, true
	for m := range s.Messages.All() {
		ours, doubled := false, false
		for i := range m.Sent() {
			x := &m.Sent()[i]
			if !mine[x.Src.Addr()] {
				continue
			}
			sent++
			ours = true
			if x.Copy {
				copies++
				doubled, sure = true, sure || x.IPID != 0
			}
		}
		all = all && (doubled || !ours)
	}
	for _, f := range s.Flows {
		if mine[f.Src.Addr()] {
			sent += f.Packets
			copies += f.Duplicates
			sure = sure || f.Duplicates > 0
		}
	}
	return copies > 0 && copies*4 >= sent && (sure || all)
}

// holdsCopies says whether the capture doubles anything.
func (s *Story) holdsCopies() bool {
	for m := range s.Messages.All() {
		sent := m.Sent()
		for i := range sent {
			if sent[i].Copy {
				return true
			}
		}
	}
	return slices.ContainsFunc(s.Flows, func(f *Flow) bool { return f.Duplicates > 0 })
}
