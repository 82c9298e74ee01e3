package facts

import (
	"strings"

	"github.com/moncap/moncap/device/iosxe"
	"github.com/moncap/moncap/internal/lazyregexp"
)

// Drop is a counter of drops inside a router that grew while the capture ran. It counts the packets
// of everybody, not the tunnel's alone, but for those of SAs.
type Drop struct {
	Show    string // name of the command that prints it
	Name    string // of the counter, as the router calls it
	Packets int    // by which it grew
}

// Drops are what a router dropped while the capture ran, by where packets of a tunnel would have
// met it: Cisco, "Packet Drops on ASR 1000 Series Service Routers"; the counters' names are the
// data plane's.
type Drops struct {
	Compared   bool   // counters of before and after the capture are here; otherwise nothing is known
	Inbound    []Drop // between the interface and IKE: access list, firewall, control-plane policing, punt policer
	IPsec      []Drop // in IPsec: replays, failed checks, unknown SPIs, the licensed throughput
	Outbound   []Drop // behind the capture, on the way out of the interface: policies and queues
	Uncaptured int    // packets that were to be captured, and that the punt policer dropped
}

// Drops compares what was counted before the capture and after it. A counter that fell was cleared
// meanwhile: nothing is known of it.
func (c Config) Drops() Drops {
	var d Drops
	for _, show := range iosxe.DropShows() {
		before, after := c[iosxe.Before(show)], c[show]
		if before == "" || after == "" {
			continue
		}
		d.Compared = true
		was := map[string]uint64{}
		for _, k := range iosxe.ParseDrops(show, before) {
			was[k.Name] += k.Packets
		}
		for _, k := range iosxe.ParseDrops(show, after) {
			if k.Packets > was[k.Name] {
				d.add(Drop{show, k.Name, int(k.Packets - was[k.Name])})
			}
			was[k.Name] = 1<<63 - 1 // a name that comes twice is told once
		}
	}
	return d
}

func (d *Drops) add(k Drop) {
	switch {
	case puntShow(k.Show) && strings.HasPrefix(k.Name, iosxe.EmbeddedCapture+" "):
		d.Uncaptured = max(d.Uncaptured, k.Packets) // both shows may count one packet
	case inboundDrop(k):
		d.Inbound = append(d.Inbound, k)
	case ipsecDrop(k):
		d.IPsec = append(d.IPsec, k)
	case outboundDrop(k):
		d.Outbound = append(d.Outbound, k)
	}
}

var (
	// What the data plane calls its own filters and policers, and a datagram that it
	// could not put together.
	inboundNames = lazyregexp.New(`^(?:Ipv[46]Acl|Firewall|PuntPerCausePolicer|PuntGlobalPolicer|PuntPerIntfPolicer|Reass)`)
	forIKE       = lazyregexp.New(`^(?:11|55) `) // punt causes "For-us data" and "For-us control"
	outNames     = lazyregexp.New(`^(?:TailDrop|BqsOor|Wred)`)
	// A packet for which there is no SA yet starts IKE, and is dropped: that is no fault.
	startsIKE = lazyregexp.New(`_(?:IKE|TED)_START_SP$|^IpsecIkeIndicate$`)
)

// puntShow says whether a show counts packets on their way to the control plane, by their cause.
func puntShow(show string) bool { return show == "show-punt-policer" || show == "show-punt-causes" }

func inboundDrop(k Drop) bool {
	switch k.Show {
	case "show-control-plane-policy", "show-interface-acl":
		return true
	case "show-punt-policer", "show-punt-causes":
		return forIKE.Get().MatchString(k.Name)
	case "show-interface-policy":
		return strings.HasPrefix(k.Name, "input ")
	case "show-interface":
		return k.Name == "input queue drops"
	}
	return k.Show == "show-qfp-drops" && inboundNames.Get().MatchString(k.Name)
}

func ipsecDrop(k Drop) bool {
	switch k.Show {
	case "show-ipsec-drops", "show-ipsec-sa-detail":
		return !startsIKE.Get().MatchString(k.Name)
	}
	return k.Show == "show-qfp-drops" && strings.HasPrefix(k.Name, "Ipsec") && !startsIKE.Get().MatchString(k.Name)
}

func outboundDrop(k Drop) bool {
	switch k.Show {
	case "show-interface-policy":
		return strings.HasPrefix(k.Name, "output ")
	case "show-interface":
		return k.Name == "output drops"
	}
	return k.Show == "show-qfp-drops" && outNames.Get().MatchString(k.Name)
}
