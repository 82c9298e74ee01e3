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

// strangers names those who speak IKE to a gateway and are not its peer, and what a gateway says of the keys of a group. They decide
// nothing.
func strangers(j *judge) []report.Finding {
	return slices.Concat(j.eachStory(j.speakers), j.eachStory(j.otherTunnels), j.eachStory(j.groupKeys))
}

// others are the addresses that a side's capture shows beside the tunnel's, each once with its first frame.
type others struct {
	side      pair.Side
	addresses []string
	packets   int
	evidence  []report.Evidence
}

// add counts packets between the side and the address a.
func (o *others) add(a netip.Addr, packets, frame int) {
	const most = 8
	o.packets += packets
	if name := a.String(); !slices.Contains(o.addresses, name) && len(o.addresses) < most {
		o.addresses = append(o.addresses, name)
		o.evidence = append(o.evidence, report.Evidence{Side: sideOf(o.side), Frame: frame, Note: "with " + name})
	}
}

// finding is nil where there was nobody else; explanation has the verbs for the side's name, the packets and the addresses.
func (o *others) finding(j *judge, packet, packets, explanation string) *report.Finding {
	if o.packets == 0 {
		return nil
	}
	return &report.Finding{
		Explanation: fmt.Sprintf(explanation, j.name(o.side), plural(o.packets, packet, packets), strings.Join(o.addresses, ", ")),
		Fields:      map[string]any{"addresses": o.addresses, "packets": o.packets},
		Evidence:    o.evidence,
	}
}

func (j *judge) speakers(s pair.Side) *report.Finding {
	found := others{side: s}
	for _, v := range j.c.Strangers {
		for _, m := range v.Messages {
			if x := m.Copy(s); x != nil {
				first := x.Sent()[0]
				found.add(j.foreign(s, first.Src.Addr(), first.Dst.Addr()), len(x.Sent()), int(first.Frame))
			}
		}
	}
	return found.finding(j, "IKE packet", "IKE packets", "The capture of %s also holds %s between it and %s, "+
		"which is neither side of this tunnel. Nothing was judged by them.")
}

// otherTunnels are those of a hub's single capture of which only protected traffic shows.
func (j *judge) otherTunnels(s pair.Side) *report.Finding {
	found := others{side: s}
	for _, f := range j.c.Flows {
		if x := f.At[s]; x != nil && f.Foreign && !j.c.TwoSided() && !x.Dst.Addr().IsMulticast() {
			found.add(j.foreign(s, x.Src.Addr(), x.Dst.Addr()), x.Packets, int(x.First.Frame))
		}
	}
	f := found.finding(j, "packet", "packets", "The capture of %s also holds %s of protected traffic with %s, "+
		"which is another tunnel's. Nothing was judged by them.")
	if f != nil {
		f.Title = "Other tunnels use the gateway"
	}
	return f
}

// groupKeys is a finding of its own: a key server may be the tunnel's very peer, and is not asked for this tunnel all the same.
func (j *judge) groupKeys(s pair.Side) *report.Finding {
	found := others{side: s}
	for _, x := range facts.GroupKeys(j.c.Story(s)) {
		found.add(j.foreign(s, x.Src.Addr(), x.Dst.Addr()), x.Packets, x.FirstFrame)
	}
	f := found.finding(j, "packet", "packets", "The capture of %s also holds %s on UDP 848 with %s: the keys of a group are managed there "+
		"(GDOI, as of GET VPN, or G-IKEv2), which is no part of this tunnel. Nothing was judged by them.")
	if f != nil {
		f.Title = "Keys of a group are managed beside the tunnel"
	}
	return f
}

// foreign is the one of two ends that is not s's own.
func (j *judge) foreign(s pair.Side, src, dst netip.Addr) netip.Addr {
	if j.own(s, src.String()) {
		return dst
	}
	return src
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
