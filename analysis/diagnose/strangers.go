package diagnose

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// strangers names those who speak IKE to a gateway and are not its peer, and what a gateway says of
// the keys of a group. They decide nothing.
func strangers(j *judge) []report.Finding {
	return slices.Concat(j.eachStory(j.speakers), j.eachStory(j.otherTunnels), j.eachStory(j.groupKeys))
}

// others are the addresses that a side's capture shows beside the tunnel's, each once with its
// first frame.
type others struct {
	side      pair.Side
	between   []string // the gateways they are of: the side, or its peer, whose tunnel its capture also holds
	addresses []string
	packets   int
	evidence  []report.Evidence
}

// add counts packets between a gateway and the address a.
func (o *others) add(gateway string, a netip.Addr, packets, frame int) {
	const most = 8
	o.packets += packets
	if !slices.Contains(o.between, gateway) {
		o.between = append(o.between, gateway)
	}
	if name := a.String(); !slices.Contains(o.addresses, name) && len(o.addresses) < most {
		o.addresses = append(o.addresses, name)
		o.evidence = append(o.evidence, report.Evidence{Side: sideOf(o.side), Frame: frame, Note: "with " + name})
	}
}

// finding is nil where there was nobody else; explanation has the verbs for the side's name, the
// packets, the gateways and the addresses.
func (o *others) finding(j *judge, packet, packets, explanation string) *report.Finding {
	if o.packets == 0 {
		return nil
	}
	return &report.Finding{
		Explanation: fmt.Sprintf(explanation, j.name(o.side), plural(o.packets, packet, packets),
			strings.Join(o.between, " or "), strings.Join(o.addresses, ", ")),
		Fields:   map[string]any{"addresses": o.addresses, "packets": o.packets},
		Evidence: o.evidence,
	}
}

func (j *judge) speakers(s pair.Side) *report.Finding {
	found := others{side: s}
	for _, v := range j.c.Strangers {
		for _, m := range v.Messages {
			if x := m.Copy(s); x != nil {
				first := x.Sent()[0]
				if gateway, other := j.foreign(s, first.Src.Addr(), first.Dst.Addr()); !j.toldApart(s, other) {
					found.add(gateway, other, len(x.Sent()), int(first.Frame))
				}
			}
		}
	}
	f := found.finding(j, "IKE packet", "IKE packets", "The capture of %s also holds %s between %s and %s, "+
		"which is neither side of this tunnel. Nothing was judged by them.")
	if f != nil {
		f.Explanation += j.refusedToOthers(s)
	}
	return f
}

// refusedToOthers names who refuses, by ICMP, what the capture of s holds to others.
func (j *judge) refusedToOthers(s pair.Side) string {
	const most = 3
	var who []string
	for _, e := range facts.RefusedToOthers(j.c) {
		text := fmt.Sprintf("%s (%s)", j.refuser(e), e.Meaning())
		if e.Side == s && !slices.Contains(who, text) && len(who) < most {
			who = append(who, text)
		}
	}
	if len(who) == 0 {
		return ""
	}
	return " They are refused by " + strings.Join(who, ", ") + "."
}

// otherTunnels are those of a hub's capture of which only protected traffic shows.
func (j *judge) otherTunnels(s pair.Side) *report.Finding {
	found := others{side: s}
	for _, f := range j.c.Flows {
		x := f.At[s]
		if x == nil || !f.OtherTunnel() {
			continue
		}
		if gateway, other := j.foreign(s, x.Src.Addr(), x.Dst.Addr()); !j.toldApart(s, other) {
			found.add(gateway, other, x.Packets, int(x.First.Frame))
		}
	}
	f := found.finding(j, "packet", "packets", "The capture of %s also holds %s of protected traffic between %s and %s, "+
		"which is another tunnel's. Nothing was judged by them.")
	if f != nil {
		f.Title = "Other tunnels use the gateway"
	}
	return f
}

// groupKeys is a finding of its own: a key server may be the tunnel's very peer, and is not asked
// for this tunnel all the same.
func (j *judge) groupKeys(s pair.Side) *report.Finding {
	found := others{side: s}
	for _, x := range facts.GroupKeys(j.c.Story(s)) {
		gateway, other := j.foreign(s, x.Src.Addr(), x.Dst.Addr())
		found.add(gateway, other, x.Packets, x.FirstFrame)
	}
	f := found.finding(j, "packet", "packets", "The capture of %s also holds %s on UDP 848 between %s and %s: "+
		"the keys of a group are managed there (GDOI, as of GET VPN, or G-IKEv2), which is no part of this tunnel. "+
		"Nothing was judged by them.")
	if f != nil {
		f.Title = "Keys of a group are managed beside the tunnel"
	}
	return f
}

// foreign is the one of two ends that is of neither side, by the capture of s, and whom it talks
// with: s, or the other side, where both captures hold a tunnel of that one.
func (j *judge) foreign(s pair.Side, src, dst netip.Addr) (gateway string, other netip.Addr) {
	peer := &j.c.Parties[s.Other()]
	switch {
	case j.own(s, src.String()):
		return "it", dst
	case j.own(s, dst.String()):
	case peer.Is(src):
		return j.name(peer.Side), dst
	case peer.Is(dst):
		return j.name(peer.Side), src
	}
	return "it", src
}

// own says whether an address is one of s's own.
func (j *judge) own(s pair.Side, addr string) bool {
	for _, a := range j.c.Parties[s].Addresses {
		if a.String() == addr {
			return true
		}
	}
	return addr != "" && addr == j.address(s)
}
