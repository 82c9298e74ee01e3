package facts

import (
	"time"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/device/iosxe"
)

// Traces is what a router's data plane says that it did with packets of the tunnel's peer,
// packet by packet. A capture at the interface shows that a packet came; this shows what
// became of it inside.
type Traces []TracedPacket

// TracedPacket is what a router's data plane says that it did with one packet.
type TracedPacket = iosxe.TracedPacket

// Traces reads the packet trace that was collected; nil: there is none. Without the packets' own
// shows nothing is known of whose they are, so that their summary alone is no trace.
func (c Config) Traces() Traces {
	return iosxe.ParseTracedPackets(c["show-traced-packets"])
}

// How far the times of capture and trace may be apart, both of one router's clock. A capture's is
// taken when the packet reaches the capture, a trace's when it reaches the data plane.
const (
	traceSlack = 500 * time.Millisecond
	traceZone  = 15 * time.Minute // in case a release prints the router's own zone: all are multiples of this
)

// Of is the trace of a packet of the same router's capture; nil: it has none. Equal packets are
// told from each other by their times.
func (t Traces) Of(s *exchange.Sight) *TracedPacket {
	var best *TracedPacket
	nearest := traceSlack + 1
	for i := range t {
		p := &t[i]
		if p.At.IsZero() || p.From != s.Src || p.To != s.Dst {
			continue
		}
		apart := p.At.Sub(time.Unix(0, s.Nanos))
		if apart = (apart - apart.Round(traceZone)).Abs(); apart < nearest {
			best, nearest = p, apart
		}
	}
	return best
}
