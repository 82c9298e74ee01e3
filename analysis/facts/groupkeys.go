package facts

import (
	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/packet"
)

// GroupKeys are the streams of a capture in which the keys of groups are managed (GDOI, RFC 6407;
// G-IKEv2, RFC 9838): IKE of its own, with a key server, that no tunnel is made by.
func GroupKeys(s *exchange.Story) []*exchange.Stream {
	var all []*exchange.Stream
	for _, x := range s.Others {
		if x.Src.Port() == packet.PortGroupKeys || x.Dst.Port() == packet.PortGroupKeys {
			all = append(all, x)
		}
	}
	return all
}
