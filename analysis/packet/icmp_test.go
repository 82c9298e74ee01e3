package packet

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

// Of a quoted IPv6 packet that the capture cut, all that is there is read: the source and what is
// left of the destination, then the ports. What is not there is nothing.
func TestQuotesThatTheCaptureCut(t *testing.T) {
	const before, header = 14 + 40 + 8, 40 // of the error, of the quoted packet
	error6 := append([]byte{1, 1, 0, 0, 0, 0, 0, 0}, ike6(100)...)
	frame := ether(etherIPv6, ip6(58, error6))
	for n := before; n < before+header+8+20; n++ {
		file := (&ngFile{order: binary.LittleEndian}).section().iface(1, 0, 9, 0).captured(0, 1, frame[:n], len(frame))
		all, _ := readAll(t, file.b)
		if len(all) != 1 || all[0].Kind != ICMP {
			t.Fatalf("%d bytes: %+v", n, all)
		}
		e := all[0].Error
		there := n - before
		switch {
		case there < leastCut6:
			if e.Src.IsValid() || e.DstLen != 0 {
				t.Errorf("%d bytes of the quote: %+v", there, e)
			}
		case there < header:
			left := netip.PrefixFrom(addrB6, (there-24)*8).Masked()
			if e.Src != addrA6 || e.Proto != protoUDP || e.To() != left.String() || e.SrcPort != 0 {
				t.Errorf("%d bytes of the quote: to %s, %+v", there, e.To(), e)
			}
		default:
			ports := [2]uint16{}
			if there >= header+2 {
				ports[0] = 500
			}
			if there >= header+4 {
				ports[1] = 500
			}
			if e.Src != addrA6 || e.Dst != addrB6 || e.To() != addrB6.String() || e.DstLen != 0 ||
				[2]uint16{e.SrcPort, e.DstPort} != ports {
				t.Errorf("%d bytes of the quote: %+v", there, e)
			}
		}
	}
}
