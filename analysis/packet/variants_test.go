package packet

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// variant is one way to write the same seven IKE messages down, and what of them must be found.
type variant struct {
	file     []byte
	packets  int
	messages []int // which of the seven, in order of their frames
	cut      bool  // the file ends inside a record
	short    bool  // the messages are cut by a snap length
	refused  bool  // no capture at all
}

// sevenMessages are those of an incident with a rekeying.
func sevenMessages(t testing.TB) [][]byte {
	t.Helper()
	for name, file := range captures(t) {
		if name != "rekey-and-delete/a" {
			continue
		}
		all, _ := readAll(t, file)
		var messages [][]byte
		for _, p := range all {
			if p.Kind == IKE && len(messages) < 7 {
				messages = append(messages, p.Payload)
			}
		}
		if len(messages) == 7 {
			return messages
		}
	}
	t.Fatal("no seven messages")
	return nil
}

var seven = []int{0, 1, 2, 3, 4, 5, 6}

// variants writes the messages in every container, on every link layer and with every mishap that
// captures are met with.
func variants(t testing.TB, messages [][]byte) map[string]variant {
	le, be := binary.LittleEndian, binary.BigEndian
	var v4, v6, hop, frames [][]byte
	for _, m := range messages {
		v4 = append(v4, ip4(17, udpDatagram(addrA4, addrB4, 500, 500, m)))
		six := udpDatagram(addrA6, addrB6, 500, 500, m)
		v6 = append(v6, ether(etherIPv6, ip6(17, six)))
		hop = append(hop, ether(etherIPv6, ip6(0, append([]byte{17, 0, 1, 4, 0, 0, 0, 0}, six...))))
	}
	for _, ip := range v4 {
		frames = append(frames, ether4(ip))
	}
	each := func(wrap func(ip []byte) []byte) [][]byte {
		var all [][]byte
		for _, ip := range v4 {
			all = append(all, wrap(slices.Clone(ip)))
		}
		return all
	}
	prefix := func(head ...byte) [][]byte {
		return each(func(ip []byte) []byte { return append(slices.Clone(head), ip...) })
	}
	tagged := func(kind uint16, head ...byte) [][]byte {
		return each(func(ip []byte) []byte { return ether(kind, append(slices.Clone(head), ip...)) })
	}
	form := func(o binary.AppendByteOrder, magic uint32, unit int64, snap uint32) pcapForm {
		return pcapForm{order: o, magic: magic, unit: unit, link: 1, snapLen: snap}
	}
	ng := func(o binary.AppendByteOrder, resol byte, unit uint64) []byte {
		f := (&ngFile{order: o}).section().iface(1, 0, resol, 0)
		for i, b := range frames {
			f.enhanced(0, (uint64(testNanos)+uint64(i)*1e6)/unit, b)
		}
		return f.b
	}
	simple := (&ngFile{order: le}).section().iface(1, 0, 0, 0)
	mixed := (&ngFile{order: le}).section().iface(1, 0, 9, 0).iface(linkRaw, 0, 9, 0)
	for i := range frames {
		simple.simple(uint32(len(frames[i])), frames[i])
		if i%2 == 0 {
			mixed.enhanced(0, uint64(testNanos)+uint64(i)*1e6, frames[i])
		} else {
			mixed.enhanced(1, uint64(testNanos)+uint64(i)*1e6, v4[i])
		}
	}
	fragmented := func(order ...int) [][]byte {
		var all [][]byte
		for i, m := range messages {
			u := udpDatagram(addrA4, addrB4, 500, 500, m)
			pieces := [][]byte{u[:32], u[32:64], u[64:]}
			for _, n := range order {
				all = append(all, ether4(ip4Fragment(17, uint16(100+i), n*32, n < 2, pieces[n])))
			}
		}
		return all
	}
	snapped := func(n int) []byte {
		file := plainPcap.file(each(func(ip []byte) []byte { return ether4(ip)[:n] })...)
		for i, at := 0, 24; i < len(frames); i++ {
			le.PutUint32(file[at+12:], uint32(len(frames[i])))
			at += 16 + n
		}
		return file
	}
	timed := func(time func(i int) uint32) []byte {
		file := plainPcap.file(frames...)
		for i, at := 0, 24; i < len(frames); i++ {
			le.PutUint32(file[at:], time(i))
			at += 16 + len(frames[i])
		}
		return file
	}
	plain := plainPcap.file(frames...)
	last := len(plain) - len(frames[6])
	whole := func(file []byte) variant { return variant{file: file, packets: 7, messages: seven} }
	return map[string]variant{
		"le-usec":           whole(form(le, magicMicro, 1000, 65535).file(frames...)),
		"be-usec":           whole(form(be, magicMicro, 1000, 65535).file(frames...)),
		"le-nsec":           whole(form(le, magicNano, 1, 65535).file(frames...)),
		"be-nsec":           whole(form(be, magicNano, 1, 65535).file(frames...)),
		"ng-le":             whole(ng(le, 6, 1000)),
		"ng-be":             whole(ng(be, 6, 1000)),
		"ng-nsec":           whole(ng(le, 9, 1)),
		"ng-simple":         whole(simple.b),
		"ng-two-interfaces": whole(mixed.b),
		"pcap-gz":           whole(gzipped(t, plain)),
		"ng-gz":             whole(gzipped(t, ng(le, 6, 1000))),
		"raw-101":           whole(withLink(linkRaw).file(v4...)),
		"raw-12":            whole(withLink(linkRawBSD).file(v4...)),
		"ipv4-228":          whole(withLink(linkIPv4).file(v4...)),
		"null-le":           whole(withLink(linkNull).file(prefix(2, 0, 0, 0)...)),
		"null-be":           whole(withLink(linkNull).file(prefix(0, 0, 0, 2)...)),
		"loop":              whole(withLink(linkLoop).file(prefix(0, 0, 0, 2)...)),
		"sll":               whole(withLink(linkSLL).file(prefix(0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0)...)),
		"sll2": whole(withLink(linkSLL2).file(prefix(8, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0,
			0)...)),
		"vlan": whole(plainPcap.file(tagged(etherVLAN, 0, 5, 8, 0)...)),
		"qinq": whole(plainPcap.file(tagged(etherQinQ, 0, 5, 0x81, 0, 0, 6, 8, 0)...)),
		"pppoe": whole(plainPcap.file(each(func(ip []byte) []byte {
			return ether(etherPPPoE, append([]byte{0x11, 0, 0, 1, byte((len(ip) + 2) >> 8), byte(len(ip) + 2), 0, 0x21}, ip...))
		})...)),
		"mpls":            whole(plainPcap.file(tagged(etherMPLS, 0, 1, 1, 64)...)),
		"ipv6":            whole(plainPcap.file(v6...)),
		"ipv6-hop-by-hop": whole(plainPcap.file(hop...)),
		"ipfrag":          {file: plainPcap.file(fragmented(0, 1, 2)...), packets: 21, messages: seven},
		"ipfrag-reversed": {file: plainPcap.file(fragmented(2, 1, 0)...), packets: 21, messages: seven},
		"ipfrag-missing-last": {file: plainPcap.file(append(fragmented(0, 1)[:8], frames[4:]...)...), packets: 11,
			messages: seven[4:]},
		"snaplen-96":        {file: snapped(96), packets: 7, messages: seven, short: true},
		"snaplen-40":        {file: snapped(40), packets: 7},
		"snaplen-field-0":   whole(form(le, magicMicro, 1000, 0).file(frames...)),
		"caplen-gt-snaplen": whole(form(le, magicMicro, 1000, 64).file(frames...)),
		"ethernet-trailer": whole(
			plainPcap.file(each(func(ip []byte) []byte { return append(ether4(ip), make([]byte, 20)...) })...)),
		"dup2": {file: plainPcap.file(append(slices.Clone(frames), frames...)...), packets: 14,
			messages: append(slices.Clone(seven), seven...)},
		"time-reversed":     whole(timed(func(i int) uint32 { return uint32(5000 - i) })),
		"time-zero":         whole(timed(func(int) uint32 { return 0 })),
		"empty":             {file: plainPcap.file()},
		"zero-bytes":        {file: nil, refused: true},
		"cut-header":        {file: plain[:20], refused: true},
		"cut-record-header": {file: plain[:last-8], packets: 6, messages: seven[:6], cut: true},
		"cut-record-data":   {file: plain[:last+30], packets: 6, messages: seven[:6], cut: true},
	}
}

func TestEveryVariantHoldsTheSameMessages(t *testing.T) {
	messages := sevenMessages(t)
	all := variants(t, messages)
	if len(all) < 40 {
		t.Errorf("%d variants", len(all))
	}
	for name, v := range all {
		t.Run(name, func(t *testing.T) {
			if _, err := NewReader(bytes.NewReader(v.file), Options{}); (err != nil) != v.refused || v.refused {
				if err == nil || !v.refused {
					t.Errorf("refused: %v", err)
				}
				return
			}
			packets, info := readAll(t, v.file)
			var found []Packet
			for _, p := range packets {
				if p.Kind == IKE {
					found = append(found, p)
				}
			}
			if len(packets) != v.packets || len(found) != len(v.messages) || (info.Damage != nil) != v.cut {
				t.Fatalf("%d packets, %d IKE messages, %+v", len(packets), len(found), info)
			}
			for i, p := range found {
				want := messages[v.messages[i]]
				if p.Truncated != v.short || !v.short && !bytes.Equal(p.Payload, want) || !bytes.HasPrefix(want, p.Payload) ||
					len(p.Payload) < 28 {
					t.Errorf("message %d: truncated %v\n got %x\nwant %x", i, p.Truncated, p.Payload, want)
				}
			}
		})
	}
}

// tshark must find as many IKE messages in each. It starts forty times, so this
// is for make referee.
func TestTsharkFindsAsManyMessages(t *testing.T) {
	needTshark(t)
	if os.Getenv("MONCAP_REFEREE") == "" {
		t.Skip("make referee runs it")
	}
	dir := t.TempDir()
	for name, v := range variants(t, sevenMessages(t)) {
		if v.refused {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, v.file, 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "tshark", "-n", "-r", path, "-Y", "isakmp", "-T", "fields", "-e",
				"isakmp.messageid")
			cmd.Env = append(os.Environ(), "WIRESHARK_CONFIG_DIR="+dir)
			out, _ := cmd.Output() // of a file that is cut it complains
			if n := strings.Count(string(out), "\n"); n != len(v.messages) {
				t.Errorf("tshark finds %d, we find %d", n, len(v.messages))
			}
		})
	}
}
