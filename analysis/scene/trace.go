package scene

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Traced is the packet trace that the router of a side makes of each every-th IKE packet of its
// capture that it sent, or that it received (with an IPv4 header of 20 bytes). All have the same
// end; feature is what dropped them, "" for none. It is for scenes that are played already.
func (s *Scene) Traced(side int, sent bool, state, feature string, every int) string {
	var b strings.Builder
	input, n := "GigabitEthernet1", 0
	if sent {
		input = "INJ.2"
	}
	for _, r := range s.Rows[side] {
		ip := r.Data[14:]
		if len(ip) < 28 || ip[0] != 0x45 || ip[9] != 17 {
			continue
		}
		from, _ := netip.AddrFromSlice(ip[12:16])
		to, _ := netip.AddrFromSlice(ip[16:20])
		if own := from == s.Addr[side]; own != sent || from != A && from != B {
			continue
		}
		if n++; (n-1)%every == 0 {
			at := time.Unix(0, r.Nanos).UTC()
			b.WriteString(tracedPacket(n-1, input, state, feature, at, from, to, 17, binary.BigEndian.Uint16(ip[20:]),
				binary.BigEndian.Uint16(ip[22:])))
		}
	}
	return b.String()
}

// TracedESP is the packet trace of one ESP packet that a router received.
func TracedESP(from, to, state string) string {
	return tracedPacket(0, "GigabitEthernet1", state, "", time.Unix(0, sceneStart).UTC(), netip.MustParseAddr(from),
		netip.MustParseAddr(to), 50, 0, 0)
}

func tracedPacket(n int, input, state, feature string, at time.Time, from, to netip.Addr, protocol int, sport,
	dport uint16) string {
	text := fmt.Sprintf("Packet: %-11d CBUG ID: %d\nSummary\n  Input     : %s\n  Output    : GigabitEthernet1\n  State  "+
		"   : %s\n  Timestamp\n    Start   : 1 ns (%s.%d UTC)\nPath Trace\n  Feature: IPV4(Input)\n    Input       : %s\n  "+
		"  Output      : <unknown>\n    Source      : %s\n    Destination : %s\n    Protocol    : %d (X)\n", n, n+1, input,
		state, at.Format("01/02/2006 15:04:05"), at.Nanosecond()/1000, input, from, to, protocol)
	if protocol == 17 {
		text += fmt.Sprintf("      SrcPort   : %d\n      DstPort   : %d\n", sport, dport)
	}
	if feature != "" {
		text += "  Feature: " + feature + "\n    Action  : Drop\n"
	}
	return text
}
