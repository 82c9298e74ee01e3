package analysis_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/analysis/scene"
)

// form is one way to write a capture down that says the same of the tunnel.
type form struct {
	change func([]scene.Record) []scene.Record // nil: none
	file   func([]scene.Record) []byte         // nil: a pcap of Ethernet
}

func onLink(link uint32, header func(kind uint16) []byte) form {
	return form{
		change: func(all []scene.Record) []scene.Record { return behindHeader(all, header) },
		file:   func(all []scene.Record) []byte { return scene.PcapOf(all, link) },
	}
}

func tagged(header func(kind uint16) []byte) form {
	return form{change: func(all []scene.Record) []scene.Record {
		return behindHeader(all, func(kind uint16) []byte { return append(make([]byte, 12), header(kind)...) })
	}}
}

// behindHeader puts another header before the IP packets.
func behindHeader(all []scene.Record, header func(kind uint16) []byte) []scene.Record {
	return scene.MapRecords(all, func(r scene.Record) []scene.Record {
		if len(r.Data) < 14 {
			return nil
		}
		kind := binary.BigEndian.Uint16(r.Data[12:])
		if kind != 0x0800 && kind != 0x86dd {
			return nil
		}
		h := header(kind)
		r.Data = append(slices.Clone(h), r.Data[14:]...)
		r.Wire += len(h) - 14
		return []scene.Record{r}
	})
}

func be16(values ...uint16) []byte {
	var b []byte
	for _, v := range values {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	return b
}

// ppp is the protocol number of PPP for an EtherType.
func ppp(kind uint16) uint16 {
	if kind == 0x86dd {
		return 0x57
	}
	return 0x21
}

// carried puts every IP packet into another one, behind a header of the carrier, as a mirror or a
// tunnel of the provider does.
func carried(proto byte, header func(kind uint16, ip []byte) []byte) form {
	return form{change: func(all []scene.Record) []scene.Record {
		return scene.MapRecords(all, func(r scene.Record) []scene.Record {
			kind := binary.BigEndian.Uint16(r.Data[12:])
			if kind != 0x0800 && kind != 0x86dd {
				return nil
			}
			inner := append(header(kind, r.Data[14:]), r.Data[14:]...)
			b := append(make([]byte, 12), 8, 0, 0x45, 0)
			b = append(b, be16(uint16(20+len(inner)), 7, 0)...)
			b = append(b, 250, proto, 0, 0, 10, 250, 0, 1, 10, 250, 0, 2)
			r.Wire += 20 + len(inner) - len(r.Data) + 14
			r.Data = append(b, inner...)
			return []scene.Record{r}
		})
	}}
}

// withOptions puts a hop-by-hop and a destination options header into every IPv6 packet, and the
// router alert option into every IPv4 one.
func withOptions(all []scene.Record) []scene.Record {
	return scene.MapRecords(all, func(r scene.Record) []scene.Record {
		switch b := r.Data; {
		case len(b) < 54:
		case binary.BigEndian.Uint16(b[12:]) == 0x86dd:
			next := b[20]
			options := []byte{60, 0, 1, 4, 0, 0, 0, 0, next, 0, 1, 4, 0, 0, 0, 0}
			b[20] = 0
			binary.BigEndian.PutUint16(b[18:], binary.BigEndian.Uint16(b[18:])+16)
			r.Data = slices.Concat(b[:54], options, b[54:])
			r.Wire += 16
		case binary.BigEndian.Uint16(b[12:]) == 0x0800 && b[14] == 0x45:
			b[14] = 0x46
			binary.BigEndian.PutUint16(b[16:], binary.BigEndian.Uint16(b[16:])+4)
			r.Data = slices.Concat(b[:34], []byte{0x94, 4, 0, 0}, b[34:])
			r.Wire += 4
		}
		return []scene.Record{r}
	})
}

// trailed gives every frame what Ethernet puts behind it: padding to 60 bytes, and a checksum.
func trailed(all []scene.Record) []scene.Record {
	return scene.MapRecords(all, func(r scene.Record) []scene.Record {
		if len(r.Data) != r.Wire {
			return []scene.Record{r}
		}
		r.Data = append(r.Data, make([]byte, max(0, 60-len(r.Data))+4)...)
		r.Wire = len(r.Data)
		return []scene.Record{r}
	})
}

// bigEndian writes records as a pcap of the other byte order, with microseconds.
func bigEndian(all []scene.Record) []byte {
	b := be16(0xa1b2, 0xc3d4, 2, 4, 0, 0, 0, 0, 4, 0, 0, 1)
	for _, r := range all {
		for _, n := range []int64{r.Nanos / 1e9, r.Nanos % 1e9 / 1e3, int64(len(r.Data)), int64(r.Wire)} {
			b = binary.BigEndian.AppendUint32(b, uint32(n))
		}
		b = append(b, r.Data...)
	}
	return b
}

// coarse cuts the times down to milliseconds.
func coarse(all []scene.Record) []scene.Record {
	return scene.MapRecords(all, func(r scene.Record) []scene.Record {
		r.Nanos -= r.Nanos % 1e6
		return []scene.Record{r}
	})
}

// unsorted exchanges neighbours that lie within a millisecond, as captures of several queues do.
func unsorted(all []scene.Record) []scene.Record {
	out := slices.Clone(all)
	for i := 0; i+1 < len(out); i += 2 {
		if out[i+1].Nanos-out[i].Nanos < int64(time.Millisecond) {
			out[i], out[i+1] = out[i+1], out[i]
		}
	}
	return out
}

// overtaken turns the IP fragments of every datagram around.
func overtaken(all []scene.Record) []scene.Record {
	out := slices.Clone(all)
	for i := 0; i < len(out); {
		n := i + 1
		for n < len(out) && scene.FragmentOf(out[i].Data) != 0 &&
			scene.FragmentOf(out[n].Data) == scene.FragmentOf(out[i].Data) {
			n++
		}
		for x, y := i, n-1; x < y; x, y = x+1, y-1 {
			out[x].Data, out[y].Data = out[y].Data, out[x].Data
			out[x].Wire, out[y].Wire = out[y].Wire, out[x].Wire
		}
		i = n
	}
	return out
}

// forms are those of one capture, whatever the other one's.
func forms() map[string]form {
	mpls := func(labels int) form {
		return tagged(func(uint16) []byte {
			b := be16(0x8847)
			for i := range labels {
				b = append(b, 0, byte(i+1), byte(0x10|(i+1)/labels), 64)
			}
			return b
		})
	}
	gre := func(kind uint16, _ []byte) []byte { return be16(0, kind) }
	return map[string]form{
		"VLAN":         tagged(func(k uint16) []byte { return be16(0x8100, 5, k) }),
		"QinQ":         tagged(func(k uint16) []byte { return be16(0x88a8, 7, 0x8100, 5, k) }),
		"PPPoE":        {change: pppoe},
		"MPLS":         mpls(1),
		"MPLS twice":   mpls(2),
		"GRE":          carried(47, gre),
		"GRE with key": carried(47, func(k uint16, _ []byte) []byte { return be16(0x3000, k, 0, 9, 0, 3) }),
		"VXLAN": carried(17, func(k uint16, ip []byte) []byte {
			return slices.Concat(be16(33000, 4789, uint16(8+8+14+len(ip)), 0, 0x0800, 0, 0, 0x500), make([]byte, 12), be16(k))
		}),
		"IP in IP":      {change: ipInIP},
		"raw IP":        onLink(scene.LinkRaw, func(uint16) []byte { return nil }),
		"raw IP of BSD": onLink(12, func(uint16) []byte { return nil }),
		"loopback": onLink(0,
			func(k uint16) []byte { return []byte{map[uint16]byte{0x0800: 2, 0x86dd: 30}[k], 0, 0, 0} }),
		"cooked":           onLink(scene.LinkSLL, func(k uint16) []byte { return append(make([]byte, 14), be16(k)...) }),
		"cooked 2":         onLink(276, func(k uint16) []byte { return append(be16(k), make([]byte, 18)...) }),
		"PPP":              onLink(9, func(k uint16) []byte { return append([]byte{0xff, 3}, be16(ppp(k))...) }),
		"HDLC":             onLink(104, func(k uint16) []byte { return append([]byte{0x0f, 0}, be16(k)...) }),
		"with options":     {change: withOptions},
		"trailed":          {change: trailed},
		"big-endian":       {file: bigEndian},
		"pcapng":           {file: scene.PcapngOf},
		"milliseconds":     {change: coarse},
		"unsorted":         {change: unsorted},
		"fragments turned": {change: overtaken},
	}
}

func pppoe(all []scene.Record) []scene.Record {
	return scene.MapRecords(all, func(r scene.Record) []scene.Record {
		kind := binary.BigEndian.Uint16(r.Data[12:])
		if kind != 0x0800 && kind != 0x86dd {
			return nil
		}
		h := append(make([]byte, 12), be16(0x8864, 0x1100, 9, uint16(r.Wire-14+2), ppp(kind))...)
		r.Data = append(h, r.Data[14:]...)
		r.Wire += len(h) - 14
		return []scene.Record{r}
	})
}

func ipInIP(all []scene.Record) []scene.Record {
	four, six := carried(4, noHeader), carried(41, noHeader)
	var out []scene.Record
	for _, r := range all {
		if binary.BigEndian.Uint16(r.Data[12:]) == 0x86dd {
			out = append(out, six.change([]scene.Record{r})...)
		} else {
			out = append(out, four.change([]scene.Record{r})...)
		}
	}
	return out
}

func noHeader(uint16, []byte) []byte { return nil }

func (f form) written(all []scene.Record) []byte {
	if f.change != nil {
		all = f.change(all)
	}
	if f.file == nil {
		return scene.Pcap(all)
	}
	return f.file(all)
}

// two is an incident of two Ethernet captures.
type two struct {
	name   string
	truth  truth
	a, b   []scene.Record
	tunnel [2]netip.Addr
}

// allIncidents are those of both kinds that consist of two Ethernet captures.
func allIncidents(t *testing.T) []two {
	t.Helper()
	var all []two
	for _, name := range incidents(t) {
		all = append(all, two{name: name, truth: readTruth(t, name), a: readRecords(t, incident(name, "a.pcap")),
			b: readRecords(t, incident(name, "b.pcap"))})
	}
	for _, name := range fieldIncidents(t) {
		w := parseTruth(t, field(name, "truth.json"))
		if _, err := os.Stat(field(name, "not-yet")); err == nil || !slices.Equal(w.files(), []string{"a.pcap", "b.pcap"}) {
			continue
		}
		x := two{name: name, truth: w, a: readRecords(t, field(name, "a.pcap")), b: readRecords(t, field(name, "b.pcap"))}
		if w.Tunnel != nil {
			x.tunnel = [2]netip.Addr{netip.MustParseAddr(w.Tunnel.A), netip.MustParseAddr(w.Tunnel.B)}
		}
		all = append(all, x)
	}
	return all
}

// judged is what moncap says of the incident when the captures are written so.
func (x two) judged(t *testing.T, a, b form, swap bool) *report.Report {
	t.Helper()
	sides := [2]analysis.Side{
		{Name: "site-a", File: "a.pcap", Address: x.tunnel[0], Open: scene.Opener(a.written(x.a))},
		{Name: "site-b", File: "b.pcap", Address: x.tunnel[1], Open: scene.Opener(b.written(x.b))},
	}
	if swap {
		slices.Reverse(sides[:])
	}
	r, err := analysis.Compare(context.Background(), sides[0], &sides[1], analysis.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// However a capture is written and wrapped, on either side or on both, and whichever is given
// first, the judgement is what the truth says. MONCAP_SEEDS plays every form on each side and on
// both, both ways round; else each incident meets every form once.
func TestJudgementDoesNotDependOnWrapping(t *testing.T) {
	every := os.Getenv("MONCAP_SEEDS") != ""
	all := forms()
	for i, x := range allIncidents(t) {
		for k, name := range slices.Sorted(maps.Keys(all)) {
			ways := [][2]form{{all[name], all[name]}, {all[name], {}}, {{}, all[name]}}
			for way, sides := range ways {
				for swap := range 2 {
					if every || (i+k)%3 == way && (i+k)%2 == swap {
						x.holds(t, name, sides, swap == 1, x.truth)
					}
				}
			}
		}
	}
}

// holds says what is wrong when the incident is judged in another form.
func (x two) holds(t *testing.T, name string, sides [2]form, swap bool, want truth) {
	t.Helper()
	r := x.judged(t, sides[0], sides[1], swap)
	scene.Sound(t, r)
	if swap {
		want = want.mirrored()
	}
	if why := want.faults(r, scene.Flatten(t, r)); len(why) > 0 {
		t.Errorf("%s, %s, exchanged %v: %s", x.name, name, swap, strings.Join(why, "; "))
	}
}

// core is what is left of a truth when addresses, sizes and encapsulation change: the codes, and
// which side or direction they are about.
func (w truth) core() truth {
	c := w
	c.CommandsMust, c.CommandsMustNot, c.ExplanationMust, c.PairsMin = nil, nil, nil, 0
	strip := func(all []map[string]any) (out []map[string]any) {
		for _, e := range all {
			m := map[string]any{"code": e["code"]}
			for k, v := range e {
				if s, ok := v.(string); ok && otherSide[s] != nil {
					m[k] = v
				}
			}
			out = append(out, m)
		}
		return out
	}
	c.Expect, c.ExpectAny = strip(w.Expect), nil
	for _, some := range w.ExpectAny {
		c.ExpectAny = append(c.ExpectAny, strip(some))
	}
	return c
}

// addresses are those of all IPv4 packets of both captures.
func (x two) addresses() []netip.Addr {
	seen := map[netip.Addr]bool{}
	for _, r := range slices.Concat(x.a, x.b) {
		if len(r.Data) >= 34 && r.Data[12] == 8 && r.Data[13] == 0 {
			seen[netip.AddrFrom4([4]byte(r.Data[26:30]))], seen[netip.AddrFrom4([4]byte(r.Data[30:34]))] = true, true
		}
	}
	return slices.SortedFunc(maps.Keys(seen), netip.Addr.Compare)
}

func six(a netip.Addr) netip.Addr {
	b := netip.MustParseAddr("2001:db8:4::").As16()
	copy(b[12:], a.AsSlice())
	return netip.AddrFrom16(b)
}

// overIPv6 is the incident as it would have been over IPv6: its addresses, and the NAT detection
// hashes that are made of them. ok is false where there is ICMP, which quotes, or IPv6 already.
func (x two) overIPv6() (y two, ok bool) {
	y = x
	known := x.addresses()
	ok = true
	turn := func(all []scene.Record) []scene.Record {
		return scene.MapRecords(all, func(r scene.Record) []scene.Record {
			b := r.Data
			if len(b) < 34 || b[12] != 8 || b[13] != 0 {
				ok = ok && !(len(b) > 14 && b[12] == 0x86)
				return []scene.Record{r}
			}
			ok = ok && b[23] != 1
			header := 14 + int(b[14]&15)*4
			length := int(binary.BigEndian.Uint16(b[16:])) - header + 14
			var fragment []byte
			next := b[23]
			if flags := binary.BigEndian.Uint16(b[20:]); flags&0x3fff != 0 {
				fragment = append([]byte{next, 0}, be16(flags&0x1fff<<3|flags>>13&1, 0, binary.BigEndian.Uint16(b[18:]))...)
				next = 44
			}
			payload := rehashed(b[header:], known)
			h := append(make([]byte, 12), 0x86, 0xdd, 0x60|b[15]>>4, b[15]<<4, 0, 0)
			h = append(append(h, be16(uint16(length+len(fragment)))...), next, b[22])
			h = append(append(h, six(netip.AddrFrom4([4]byte(b[26:30]))).AsSlice()...),
				six(netip.AddrFrom4([4]byte(b[30:34]))).AsSlice()...)
			h = append(h, fragment...)
			r.Wire += len(h) - header
			r.Data = append(h, payload...)
			return []scene.Record{r}
		})
	}
	y.a, y.b = turn(x.a), turn(x.b)
	for s, a := range x.tunnel {
		if a.Is4() {
			y.tunnel[s] = six(a)
		}
	}
	return y, ok
}

// rehashed replaces NAT detection hashes of known addresses by those of their IPv6 addresses.
func rehashed(udp []byte, known []netip.Addr) []byte {
	out := slices.Clone(udp)
	if len(out) < 8+28 {
		return out
	}
	at := 8
	if bytes.Equal(out[8:12], make([]byte, 4)) {
		at = 12
	}
	if len(out) < at+28 || out[at+17] != 0x10 && out[at+17] != 0x20 || out[at+19]&1 != 0 && out[at+17] == 0x10 {
		return out
	}
	i, r := ike.SPI(binary.BigEndian.Uint64(out[at:])), ike.SPI(binary.BigEndian.Uint64(out[at+8:]))
	ports := map[uint16]bool{500: true, 4500: true, binary.BigEndian.Uint16(out): true,
		binary.BigEndian.Uint16(out[2:]): true}
	for _, a := range known {
		for p := range ports {
			old, now := ike.NATDHash(i, r, a, p), ike.NATDHash(i, r, six(a), p)
			out = bytes.ReplaceAll(out, old[:], now[:])
			for h := uint64(1); h <= 6; h++ {
				if old, now := ike.NATDHashV1(h, i, r, a, p), ike.NATDHashV1(h, i, r, six(a), p); len(old) > 0 {
					out = bytes.ReplaceAll(out, old, now)
				}
			}
		}
	}
	return out
}

// inUDP is the incident with ESP encapsulated in UDP.
func inUDP(all []scene.Record) []scene.Record {
	return scene.MapRecords(all, func(r scene.Record) []scene.Record {
		b := r.Data
		if len(b) < 54 || b[12] != 8 || b[23] != 50 || b[14] != 0x45 || binary.BigEndian.Uint16(b[20:])&0x1fff != 0 {
			return []scene.Record{r}
		}
		length := binary.BigEndian.Uint16(b[16:]) - 20
		h := slices.Concat(b[:34], be16(4500, 4500, length+8, 0))
		binary.BigEndian.PutUint16(h[16:], length+28)
		h[23] = 17
		r.Data, r.Wire = append(h, b[34:]...), r.Wire+8
		return []scene.Record{r}
	})
}

// fragmentsESP says whether ESP travels in IP fragments, which would be cut elsewhere in UDP.
func (x two) fragmentsESP() bool {
	return slices.ContainsFunc(slices.Concat(x.a, x.b),
		func(r scene.Record) bool { return scene.FragmentOf(r.Data) != 0 && r.Data[23] == 50 })
}

// An incident over IPv6, or with its ESP in UDP, is the same incident.
func TestJudgementDoesNotDependOnAddressFamily(t *testing.T) {
	for _, x := range allIncidents(t) {
		for swap := range 2 {
			if y, ok := x.overIPv6(); ok {
				y.holds(t, "over IPv6", [2]form{}, swap == 1, x.truth.core())
			}
			if !x.fragmentsESP() {
				x.holds(t, "ESP in UDP", [2]form{{change: inUDP}, {change: inUDP}}, swap == 1, x.truth.core())
			}
		}
	}
}
