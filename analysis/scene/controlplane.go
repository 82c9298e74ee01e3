package scene

import (
	"fmt"
	"net/netip"
	"strings"
)

// AtControlPlane gives a side what a capture at its control plane would show: the packets of IKE
// that it sent and, as far as keep says so of the n-th that it received, those that came.
func (s *Scene) AtControlPlane(side int, keep func(n int) bool) {
	var dump strings.Builder
	packets, received := 0, 0
	for _, r := range s.Rows[side] {
		ip := r.Data[14:]
		if len(ip) < 28 || ip[0] != 0x45 || ip[9] != 17 {
			continue
		}
		if from, _ := netip.AddrFromSlice(ip[12:16]); from != s.Addr[side] {
			if received++; !keep(received - 1) {
				continue
			}
		}
		fmt.Fprintf(&dump, "%d\n", packets)
		packets++
		data := r.Data[:min(len(r.Data), 128)]
		for at := 0; at < len(data); at += 16 {
			row := data[at:min(at+16, len(data))]
			var groups []string
			for i := 0; i < len(row); i += 4 {
				groups = append(groups, fmt.Sprintf("%X", row[i:min(i+4, len(row))]))
			}
			fmt.Fprintf(&dump, "  %04X:  %-35s   %s\n", at, strings.Join(groups, " "), strings.Repeat(".", len(row)))
		}
		dump.WriteString("\n")
	}
	s.set(side, "control-plane-show-capture-buffer", ControlPlaneBuffer(packets, 0))
	s.set(side, "control-plane-show-capture-dump", dump.String())
}

// ControlPlaneBuffer is what the router says of the buffer of such a capture.
func ControlPlaneBuffer(packets, dropped int) string {
	return fmt.Sprintf(" buffer size (KB) : 1024\n buffer used (KB) : 128\n packets in buf   : %d\n packets dropped  : "+
		"%d\n packets per sec  : 1\n", packets, dropped)
}

// set gives a side the output of a show.
func (s *Scene) set(side int, name, output string) {
	if s.Side[side].Config == nil {
		s.Side[side].Config = map[string]string{}
	}
	s.Side[side].Config[name] = output
}
