package capture

import (
	"context"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/iosxe"
)

// LivePackets are packets that a capture has while it runs. Their bytes are exact; their times are
// those of this machine, as near as it saw the first one come, and are no measurement: those are in
// the exported file.
type LivePackets struct {
	Side    Side
	Packets []bundle.Packet
}

// A router cannot hand out what is new in a buffer, only all of it, as text of four times its size.
// So it is read only while there is little in it, which is what a negotiation is; whatever comes
// later is in the exported file alone.
const (
	mostLive   = 200 // packets
	mostLiveKB = 512 // a buffer takes memory in steps of 128
	triesLive  = 3
)

// showLive reads the packets that are new, for Options.Live. What goes wrong costs the view and
// nothing else.
func (r *router) showLive(ctx context.Context, b iosxe.Buffer) {
	if r.u.o.Live == nil || r.showsNone || b.Packets <= r.shown || ctx.Err() != nil {
		return
	}
	if b.Packets > mostLive || b.UsedKB > mostLiveKB || r.plan.settings.Circular {
		r.showsNone = true
		r.note(PhaseWait, "no more packets are shown while it captures: reading them again and again would load the router")
		return
	}
	packets, err := r.newPackets(ctx, b)
	if err != nil {
		if r.unshown++; r.unshown == triesLive {
			r.showsNone = true
			r.note(PhaseWait, "no more packets are shown while it captures: %v", err)
		}
		return
	}
	r.unshown, r.shown = 0, b.Packets
	r.u.o.Live(LivePackets{r.side, packets})
}

func (r *router) newPackets(ctx context.Context, b iosxe.Buffer) ([]bundle.Packet, error) {
	rows, err := r.readBrief(ctx, b.Packets)
	if err != nil {
		return nil, err
	}
	b.UsedKB += mostLiveKB // what comes while it is read
	data, err := r.readPackets(ctx, rows, b)
	if err != nil {
		return nil, err
	}
	first := r.first.from.Add(r.first.to.Sub(r.first.from) / 2)
	var packets []bundle.Packet
	for i := r.shown; i < b.Packets; i++ {
		packets = append(packets, bundle.Packet{Time: first.Add(rows[i].Offset), Data: data[i], Length: rows[i].Size})
	}
	return packets, nil
}
