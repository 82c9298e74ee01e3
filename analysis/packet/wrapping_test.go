package packet

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var outerA, outerB = netip.MustParseAddr("203.0.113.71"), netip.MustParseAddr("203.0.113.72")

// carry puts a body into an IPv4 packet between two other addresses.
func carry(proto byte, body []byte) []byte {
	b := ip4(proto, body)
	copy(b[12:], outerA.AsSlice())
	copy(b[16:], outerB.AsSlice())
	binary.BigEndian.PutUint16(b[10:], 0)
	binary.BigEndian.PutUint16(b[10:], plainChecksum(b[:20]))
	return b
}

// carryUDP does so in a datagram to a port.
func carryUDP(port uint16, head []byte, body []byte) []byte {
	return carry(protoUDP, udpDatagram(outerA, outerB, 40000, port, cat(head, body)))
}

func cat(parts ...[]byte) []byte { return slices.Concat(parts...) }

// etherTypeOf is that of an IP packet.
func etherTypeOf(ip []byte) uint16 {
	if ip[0]>>4 == 6 {
		return etherIPv6
	}
	return etherIPv4
}

func kindBytes(ip []byte) []byte { return binary.BigEndian.AppendUint16(nil, etherTypeOf(ip)) }

// wrapping is one way in which a packet of a tunnel stands in a frame.
type wrapping struct {
	link  uint32
	named string // what Packet.Wrapping says
	frame func(ip []byte) []byte
	other bool // the referee does not read it in version 4.0, or only when told to, or in fewer tags
}

// wrappings are all that are read beside plain frames, as the documents named in
// the code have them.
func wrappings() map[string]wrapping {
	whole := func(ip []byte) []byte { return ether(etherTypeOf(ip), ip) }
	within := func(proto byte, head ...byte) func([]byte) []byte {
		return func(ip []byte) []byte { return ether4(carry(proto, cat(head, whole(ip)))) }
	}
	udp := func(port uint16, head ...byte) func([]byte) []byte {
		return func(ip []byte) []byte { return ether4(carryUDP(port, head, whole(ip))) }
	}
	udpIP := func(port uint16, head ...byte) func([]byte) []byte {
		return func(ip []byte) []byte { return ether4(carryUDP(port, head, ip)) }
	}
	tag := func(kind uint16, head ...byte) func([]byte) []byte {
		return func(ip []byte) []byte { return ether(kind, cat(head, kindBytes(ip), ip)) }
	}
	bare := func(head ...byte) func([]byte) []byte {
		return func(ip []byte) []byte { return cat(head, ip) }
	}
	typed := func(head ...byte) func([]byte) []byte {
		return func(ip []byte) []byte { return cat(head, kindBytes(ip), ip) }
	}
	ppp := func(head ...byte) func([]byte) []byte {
		return func(ip []byte) []byte {
			if ip[0]>>4 == 6 {
				return cat(head, []byte{0, 0x57}, ip)
			}
			return cat(head, []byte{0, 0x21}, ip)
		}
	}
	proto := func(ip []byte) byte {
		if ip[0]>>4 == 6 {
			return protoIPv6
		}
		return protoIPv4
	}
	six := func(ip []byte) []byte {
		b := ip6(proto(ip), ip)
		b[23], b[39] = 0x71, 0x72
		return ether(etherIPv6, b)
	}
	nflogFrame := func(o binary.AppendByteOrder) func([]byte) []byte {
		return func(ip []byte) []byte {
			b := []byte{2, 0, 0, 5}
			b = append(o.AppendUint16(o.AppendUint16(b, 8), 1), 8, 0, 1, 0)            // packet header
			b = append(o.AppendUint16(o.AppendUint16(b, 6), 10), 'x', 0, 0, 0)         // prefix, padded
			b = append(o.AppendUint16(o.AppendUint16(b, uint16(4+len(ip))), 9), ip...) // payload
			return b
		}
	}
	gre := func(kind uint16, head ...byte) func([]byte) []byte {
		return func(ip []byte) []byte {
			if kind == 0 {
				copy(head[2:], kindBytes(ip))
				return ether4(carry(protoGRE, cat(head, ip)))
			}
			return ether4(carry(protoGRE, cat(head, whole(ip))))
		}
	}
	return map[string]wrapping{
		"gre":          {1, "GRE", gre(0, 0, 0, 0, 0), false},
		"gre key seq":  {1, "GRE", gre(0, 0x30, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1), false},
		"gre checksum": {1, "GRE", gre(0, 0x80, 0, 0, 0, 0, 0, 0, 0), false},
		"gre bridged":  {1, "GRE", within(protoGRE, 0, 0, 0x65, 0x58), false},
		"gre pptp": {1, "GRE", func(ip []byte) []byte {
			return ether4(carry(protoGRE, ppp(0x30, 0x81, 0x88, 0x0b, 0, 200, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0xff, 3)(ip)))
		}, false},
		"erspan 1": {1, "ERSPAN I", within(protoGRE, 0, 0, 0x88, 0xbe), false},
		"erspan 2": {1, "ERSPAN II", within(protoGRE, 0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 5, 0, 9, 0, 0, 0, 1),
			false},
		"erspan 3": {1, "ERSPAN III", within(protoGRE, 0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 5, 0, 9, 0, 0, 0, 1, 0,
			0, 0, 0), false},
		"erspan 3 sub": {1, "ERSPAN III", within(protoGRE, 0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 5, 0, 9, 0, 0, 0, 1, 0,
			0, 0, 1, 0x0c, 0, 0, 1, 0, 0, 0, 2), false},
		"ip in ip":   {1, "IP in IP", func(ip []byte) []byte { return ether4(carry(proto(ip), ip)) }, false},
		"ip in ipv6": {1, "IP in IP", six, false},
		"ip twice": {1, "IP in IP, IP in IP", func(ip []byte) []byte { return ether4(carry(4, carry(proto(ip), ip))) },
			false},
		"ether in ip": {1, "EtherIP", within(protoEtherIP, 0x30, 0), false},
		"mpls in ip": {1, "MPLS in IP",
			func(ip []byte) []byte { return ether4(carry(protoMPLS, cat([]byte{0, 1, 1, 64}, ip))) }, false},
		"mpls in udp":    {1, "MPLS in UDP", udpIP(portMPLS, 0, 1, 1, 64), false},
		"vxlan":          {1, "VXLAN", udp(portVXLAN, 8, 0, 0, 0, 0, 0, 9, 0), false},
		"vxlan of linux": {1, "VXLAN", udp(portVXLANOld, 8, 0, 0, 0, 0, 0, 9, 0), true},
		"vxlan gpe":      {1, "VXLAN-GPE", udp(portVXLANGPE, 0x0c, 0, 0, 3, 0, 0, 9, 0), false},
		"geneve":         {1, "GENEVE", udp(portGENEVE, 0, 0, 0x65, 0x58, 0, 0, 9, 0), false},
		"geneve options": {1, "GENEVE", udp(portGENEVE, 2, 0, 0x65, 0x58, 0, 0, 9, 0, 1, 2, 3, 1, 5, 6, 7, 8), false},
		"gtp":            {1, "GTP-U", udpIP(portGTPU, 0x30, 0xff, 0, 100, 0, 0, 0, 9), false},
		"gtp sequence":   {1, "GTP-U", udpIP(portGTPU, 0x32, 0xff, 0, 100, 0, 0, 0, 9, 0, 1, 0, 0), false},
		"gtp extension":  {1, "GTP-U", udpIP(portGTPU, 0x34, 0xff, 0, 100, 0, 0, 0, 9, 0, 1, 0, 0x85, 1, 0, 9, 0), false},
		"tzsp":           {1, "TZSP", udp(portTZSP, 1, 0, 0, 1, 10, 1, 200, 0, 1), false},
		"vlan 20 times":  {1, "", tag(etherVLAN, append(bytes.Repeat([]byte{0, 7, 0x81, 0}, 20), 0, 7)...), true},
		"vn-tag":         {1, "", tag(etherVNTag, 0, 1, 0, 2), false},
		"e-tag":          {1, "", tag(etherETag, 0, 1, 0, 2, 0, 0), false},
		"cisco metadata": {1, "", tag(etherCMD, 1, 1, 0, 1, 0, 9), false},
		"vlan, metadata": {1, "", tag(etherVLAN, 0, 7, 0x89, 0x09, 1, 1, 0, 1, 0, 9), false},
		"macsec clear":   {1, "", tag(etherMACsec, 0x20, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 0, 1), false},
		"mac in mac": {1, "", func(ip []byte) []byte { return ether(etherITag, cat([]byte{0, 0, 0, 9}, whole(ip))) },
			false},
		"ethernet mpls": {1, "",
			func(ip []byte) []byte { return ether(etherMPLS, cat([]byte{0, 1, 1, 64, 0, 0, 0, 0}, whole(ip))) }, true},
		"mpls no control": {1, "", func(ip []byte) []byte { return ether(etherMPLS, cat([]byte{0, 1, 1, 64}, whole(ip))) },
			true},
		"mpls mac 4": {1, "", func(ip []byte) []byte {
			b := whole(ip)
			b[0] = 0x44
			return ether(etherMPLS, cat([]byte{0, 1, 1, 64}, b))
		}, true},
		"ppp mpls":       {linkPPP, "", bare(0xff, 3, 0x02, 0x81, 0, 1, 1, 64), false},
		"ppp multilink":  {linkPPP, "", ppp(0xff, 3, 0, 0x3d, 0xc0, 0, 0, 1), false},
		"ppp direction":  {linkPPPDir, "", ppp(1, 0xff, 3), false},
		"ppp daemon":     {linkPPPD, "", ppp(0, 0xff, 3), true},
		"hdlc direction": {linkHDLCDir, "", typed(1, 0x0f, 0), true},
		"fr cisco":       {linkFrameRelay, "", typed(0x18, 0x41), false},
		"fr nlpid": {linkFrameRelay, "", func(ip []byte) []byte {
			if ip[0]>>4 == 6 {
				return cat([]byte{0x18, 0x41, 3, 0x8e}, ip)
			}
			return cat([]byte{0x18, 0x41, 3, 0xcc}, ip)
		}, false},
		"fr snap": {linkFrameRelay, "", typed(0x18, 0x41, 3, 0, 0x80, 0, 0, 0), false},
		"fr bridged": {linkFrameRelay, "",
			func(ip []byte) []byte { return cat([]byte{0x18, 0x41, 3, 0, 0x80, 0, 0x80, 0xc2, 0, 7}, whole(ip)) }, false},
		"fr direction": {linkFRDir, "", typed(1, 0x18, 0x41, 3, 0, 0x80, 0, 0, 0), true},
		"enc":          {linkEnc, "", bare(2, 0, 0, 0, 0, 0, 0x10, 1, 0, 0, 0, 0), false},
		"nflog":        {linkNFLOG, "", nflogFrame(binary.LittleEndian), false},
		"nflog be":     {linkNFLOG, "", nflogFrame(binary.BigEndian), true},
		"net analyzer": {linkNetAnalyzer, "", func(ip []byte) []byte { return cat([]byte{0, 0, 0, 0}, whole(ip)) }, true},
		"juniper": {linkJuniper, "", func(ip []byte) []byte { return cat([]byte{'M', 'G', 'C', 0}, whole(ip)) },
			false},
		"juniper longer": {linkJuniper, "",
			func(ip []byte) []byte { return cat([]byte{'M', 'G', 'C', 0x80, 0, 6, 1, 1, 9, 2, 1, 9}, whole(ip)) }, false},
		"juniper no l2": {linkJuniper, "", bare('M', 'G', 'C', 0x02, 2, 0, 0, 0), false},
		"vxlan in gre": {1, "GRE, VXLAN", func(ip []byte) []byte {
			return ether4(carry(protoGRE,
				cat([]byte{0, 0, 8, 0}, carryUDP(portVXLAN, []byte{8, 0, 0, 0, 0, 0, 9, 0}, whole(ip)))))
		}, false},
	}
}

// What is wrapped is read like what is not: IKE and ESP, of both families.
func TestWrappings(t *testing.T) {
	esp := []byte{0xc0, 1, 2, 3, 0, 0, 0, 9, 1, 2, 3, 4}
	inner := map[string][]byte{"IKE 4": ike4(32), "IKE 6": ike6(40), "ESP 4": ip4(protoESP, esp),
		"ESP 6":      ip6(protoESP, esp),
		"ESP in UDP": ip4(17, udpDatagram(addrA4, addrB4, 4500, 4500, esp))}
	for name, w := range wrappings() {
		for what, ip := range inner {
			all, _ := readAll(t, withLink(w.link).file(w.frame(ip)))
			p, want := all[0], one(t, ip)
			if p.Kind != want.Kind || !bytes.Equal(p.Payload, want.Payload) || p.Src != want.Src || p.Dst != want.Dst ||
				p.SPI != want.SPI ||
				p.Wrapping != w.named || p.Unread != "" || p.Truncated || p.TTL != 255 {
				t.Errorf("%s, %s: %v %s -> %s, wrapping %q, unread %q", name, what, p.Kind, p.Src, p.Dst, p.Wrapping, p.Unread)
			}
		}
	}
}

// What no tunnel's packet is in stays what it is outside, for GRE between gateways is GRE.
func TestWhatIsNotUnwrapped(t *testing.T) {
	dns := ip4(17, udpDatagram(addrA4, addrB4, 5353, 53, []byte("a question")))
	for name, w := range wrappings() {
		all, _ := readAll(t, withLink(w.link).file(w.frame(dns)))
		p := all[0]
		outside := strings.HasPrefix(w.named, "IP in IP") || w.named != ""
		if p.Kind != Other || p.Wrapping != "" || p.Unread != "" || outside == (p.Src == addrA4) {
			t.Errorf("%s: %v from %s, wrapping %q, unread %q", name, p.Kind, p.Src, p.Wrapping, p.Unread)
		}
	}
}

// What is not read says its name, and what carries no IP does not.
func TestUnread(t *testing.T) {
	for name, c := range map[string]struct {
		link  uint32
		frame []byte
		want  string
	}{
		"unknown link type": {147, ike4(8), "link type 147"},
		"802.11":            {105, ike4(8), "IEEE 802.11"},
		"encrypted MACsec": {1, ether(etherMACsec, cat([]byte{0x2c, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 0, 1}, ike4(8))),
			"MACsec, encrypted"},
		"unknown EtherType":  {1, ether(0x4242, ike4(8)), "EtherType 0x4242"},
		"unknown in GRE":     {1, ether4(carry(protoGRE, cat([]byte{0, 0, 0x42, 0x42}, ike4(8)))), "GRE, EtherType 0x4242"},
		"compressed PPP":     {linkPPP, cat([]byte{0xff, 3, 0, 0xfd}, ike4(8)), "PPP protocol 0x00fd"},
		"ARP":                {1, ether(0x0806, make([]byte, 28)), ""},
		"LLDP":               {1, ether(0x88cc, make([]byte, 28)), ""},
		"spanning tree":      {1, ether(39, cat([]byte{0x42, 0x42, 3}, make([]byte, 36))), ""},
		"CDP":                {1, ether(60, cat([]byte{0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0}, make([]byte, 52))), ""},
		"link control":       {linkPPP, []byte{0xff, 3, 0xc0, 0x21, 9, 1, 0, 8, 1, 2, 3, 4}, ""},
		"keepalive of HDLC":  {linkCiscoHDLC, cat([]byte{0x8f, 0, 0x80, 0x35}, make([]byte, 20)), ""},
		"a tunnel's message": {1, ether4(ike4(8)), ""},
	} {
		all, _ := readAll(t, withLink(c.link).file(c.frame))
		if all[0].Unread != c.want {
			t.Errorf("%s: unread %q, want %q", name, all[0].Unread, c.want)
		}
	}
}

// Cut anywhere, a wrapped packet is no panic, and none of its bytes are made up.
func TestWrappingsCut(t *testing.T) {
	for name, w := range wrappings() {
		frame := w.frame(ike4(32))
		for n := range frame {
			p := Packet{Frame: 1}
			d := decoder{}
			d.decode(&p, &record{link: uint16(w.link), data: frame[:n], wireLen: len(frame)})
			if p.Kind == IKE && !bytes.HasPrefix(ikeMessage(32), p.Payload) {
				t.Errorf("%s cut to %d: %x", name, n, p.Payload)
			}
		}
	}
}

// A mirrored packet that the mirror's own tunnel cuts into IP fragments is whole again, also when
// it is a fragment itself.
func TestWrappedAndFragmented(t *testing.T) {
	u := udpDatagram(addrA4, addrB4, 500, 500, ikeMessage(600))
	pieces := [][]byte{ip4Fragment(17, 7, 0, true, u[:480]), ip4Fragment(17, 7, 480, false, u[480:])}
	var frames [][]byte
	for i, piece := range pieces {
		body := cat([]byte{0, 0, 8, 0}, piece)
		for at := 0; at < len(body); at += 200 {
			b := ip4Fragment(protoGRE, uint16(50+i), at, at+200 < len(body), body[at:min(at+200, len(body))])
			frames = append(frames, ether4(b))
		}
	}
	all, _ := readAll(t, plainPcap.file(frames...))
	last := all[len(all)-1]
	if last.Kind != IKE || !bytes.Equal(last.Payload, ikeMessage(600)) || last.Wrapping != "GRE" {
		t.Errorf("%v %q of %d bytes", last.Kind, last.Wrapping, len(last.Payload))
	}
}

// tshark must find the same message in every wrapping that it reads by itself.
func TestTsharkUnwrapsAlike(t *testing.T) {
	needTshark(t)
	if os.Getenv("MONCAP_REFEREE") == "" {
		t.Skip("make referee runs it")
	}
	dir := t.TempDir()
	for name, w := range wrappings() {
		t.Run(name, func(t *testing.T) {
			if w.other {
				t.Skip("the referee has to be told to read it")
			}
			path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
			if err := os.WriteFile(path, withLink(w.link).file(w.frame(ike4(32)), w.frame(ike6(40))), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "tshark", "-n", "-r", path, "-Y", "isakmp", "-T", "fields", "-e",
				"isakmp.ispi")
			cmd.Env = append(os.Environ(), "WIRESHARK_CONFIG_DIR="+dir)
			out, err := cmd.Output()
			if n := strings.Count(string(out), "0102030405060708"); n != 2 {
				t.Errorf("tshark finds %d messages (%v)", n, err)
			}
		})
	}
}
