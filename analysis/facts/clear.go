package facts

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/pair"
)

// Clear is traffic of one gateway to the other that a tunnel should carry, outside IPsec.
type Clear struct {
	From     pair.Side
	Protocol string
	Packets  int
	Stream   *exchange.Stream
	In       pair.Side // whose capture Stream is of
}

// tunnelling are the IP protocols that gateways carry other packets in (IANA, protocol-numbers).
// What else they send each other in clear, as pings and routing, is theirs to send.
var tunnelling = map[uint8]string{4: "IP in IP", 41: "IPv6 in IP", 47: "GRE", 115: "L2TPv3"}

// tunnelled is what a stream carries other packets in; empty when that is not its purpose.
func tunnelled(x *exchange.Stream) string {
	if x.Src.Port() == exchange.PortL2TP || x.Dst.Port() == exchange.PortL2TP {
		return "L2TP" // RFC 3193 has IPsec protect it
	}
	return tunnelling[x.Proto]
}

// Clears lists what the gateways carry outside IPsec, where the same two use IPsec.
func Clears(c *pair.Case) []Clear {
	const fewest = 3
	var all []Clear
	secured := sync.OnceValue(func() [2]map[[2]netip.Addr]pair.Side { return securedEnds(c) }) // few captures ask
	for _, s := range pair.Both {
		if c.Story(s) == nil {
			continue
		}
		for _, x := range c.Story(s).Others {
			name := tunnelled(x)
			if name == "" || x.Packets < fewest {
				continue
			}
			from, known := secured()[s][[2]netip.Addr{x.Src.Addr(), x.Dst.Addr()}]
			if !known {
				continue
			}
			if s != from && slices.ContainsFunc(all, func(o Clear) bool { return o.From == from && o.Protocol == name }) {
				continue // its own capture has told
			}
			all = append(all, Clear{from, name, x.Packets, x, s})
		}
	}
	slices.SortStableFunc(all, func(a, b Clear) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.Protocol, b.Protocol),
			compareBool(a.In != a.From, b.In != b.From))
	})
	return slices.CompactFunc(all, func(a, b Clear) bool { return a.From == b.From && a.Protocol == b.Protocol })
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// securedEnds are, by capture, the pairs of source and destination that speak IKE, ESP or AH with
// each other, and who the source is.
func securedEnds(c *pair.Case) [2]map[[2]netip.Addr]pair.Side {
	var all [2]map[[2]netip.Addr]pair.Side
	note := func(at, from pair.Side, src, dst netip.Addr) {
		all[at][[2]netip.Addr{src, dst}] = from
		all[at][[2]netip.Addr{dst, src}] = from.Other()
	}
	for _, s := range pair.Both {
		all[s] = map[[2]netip.Addr]pair.Side{}
		for _, f := range c.Flows {
			if x := f.At[s]; x != nil && !f.Foreign {
				note(s, f.From, x.Src.Addr(), x.Dst.Addr())
			}
		}
		for _, v := range c.Conversations {
			if v.Foreign || len(v.Messages) == 0 {
				continue
			}
			if m := v.Messages[0]; m.Copy(s) != nil {
				note(s, m.From, m.Copy(s).Sent()[0].Src.Addr(), m.Copy(s).Sent()[0].Dst.Addr())
			}
		}
	}
	return all
}
