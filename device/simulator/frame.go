package simulator

import (
	"encoding/binary"
	"net/netip"
)

// frame is what filters and listings need to know of an Ethernet frame.
type frame struct {
	ip       bool
	src, dst netip.Addr
	protocol byte
	dscp     byte
	later    bool // a fragment after the first: it has no ports
	ports    bool
	sport    uint16
	dport    uint16
	icmpType byte
	icmpCode byte
	payload  []byte // above IP; of ICMP and UDP with their headers
}

// parseFrame reads an Ethernet frame, with or without VLAN tags, as far as it goes.
func parseFrame(data []byte) (frame, bool) {
	if len(data) < 14 {
		return frame{}, false
	}
	kind, rest := binary.BigEndian.Uint16(data[12:]), data[14:]
	for (kind == 0x8100 || kind == 0x88a8) && len(rest) >= 4 {
		kind, rest = binary.BigEndian.Uint16(rest[2:]), rest[4:]
	}
	switch kind {
	case 0x0800:
		return parseIPv4(rest)
	case 0x86dd:
		return parseIPv6(rest)
	}
	return frame{}, false
}

func parseIPv4(p []byte) (frame, bool) {
	if len(p) < 20 || p[0]>>4 != 4 {
		return frame{}, false
	}
	head, total := int(p[0]&15)*4, int(binary.BigEndian.Uint16(p[2:]))
	if head < 20 || head > len(p) {
		return frame{}, false
	}
	f := frame{ip: true, protocol: p[9], dscp: p[1] >> 2}
	f.src, _ = netip.AddrFromSlice(p[12:16])
	f.dst, _ = netip.AddrFromSlice(p[16:20])
	f.later = binary.BigEndian.Uint16(p[6:])&0x1fff != 0
	f.payload = p[head:max(head, min(total, len(p)))]
	f.transport()
	return f, true
}

func parseIPv6(p []byte) (frame, bool) {
	if len(p) < 40 || p[0]>>4 != 6 {
		return frame{}, false
	}
	f := frame{ip: true, protocol: p[6], dscp: byte(binary.BigEndian.Uint16(p) >> 6 & 63)}
	f.src, _ = netip.AddrFromSlice(p[8:24])
	f.dst, _ = netip.AddrFromSlice(p[24:40])
	f.payload = p[40:min(len(p), 40+int(binary.BigEndian.Uint16(p[4:])))]
	for hops := 0; hops < 8; hops++ {
		switch f.protocol {
		case 0, 43, 60: // hop-by-hop, routing, destination options
			if len(f.payload) < 8 || len(f.payload) < (int(f.payload[1])+1)*8 {
				return f, true
			}
			f.protocol, f.payload = f.payload[0], f.payload[(int(f.payload[1])+1)*8:]
		case 44: // fragment
			if len(f.payload) < 8 {
				return f, true
			}
			f.later = binary.BigEndian.Uint16(f.payload[2:])>>3 != 0
			f.protocol, f.payload = f.payload[0], f.payload[8:]
		default:
			f.transport()
			return f, true
		}
	}
	return f, true
}

// transport reads ports, or the type and code of ICMP.
func (f *frame) transport() {
	if f.later || len(f.payload) < 4 {
		return
	}
	switch f.protocol {
	case 6, 17:
		f.ports = true
		f.sport, f.dport = binary.BigEndian.Uint16(f.payload), binary.BigEndian.Uint16(f.payload[2:])
	case 1, 58:
		f.icmpType, f.icmpCode = f.payload[0], f.payload[1]
	}
}
