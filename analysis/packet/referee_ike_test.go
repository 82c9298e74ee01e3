package packet

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/testdata"
)

// compareIKE compares a message with what tshark says of it. Where tshark gives a message up as
// malformed, ours must begin with the payloads that tshark could read.
func compareIKE(p *Packet, v verdict) []string {
	var out []string
	check := func(field string, ours any, theirs any) {
		if fmt.Sprint(ours) != fmt.Sprint(theirs) {
			out = append(out, fmt.Sprintf("  %s: ours %v, tshark %v", field, ours, theirs))
		}
	}
	h, err := ike.ParseHeader(p.Payload)
	if err != nil {
		check("has a header", false, len(v["isakmp.length"]) > 0)
		return out
	}
	check("exchange", uint64(h.Exchange), v.number("isakmp.exchangetype"))
	check("message ID", uint64(h.MessageID), v.number("isakmp.messageid"))
	check("flags", uint64(h.Flags), v.number("isakmp.flags"))
	check("length", uint64(h.Length), v.number("isakmp.length"))
	if len(v["isakmp.ispi"]) > 0 && len(v["isakmp.rspi"]) > 0 {
		check("SPIs", h.SPIi.String()+h.SPIr.String(), v["isakmp.ispi"][0]+v["isakmp.rspi"][0])
	}
	m, err := ike.Parse(p.Payload)
	if err != nil {
		check("can be parsed", false, len(v["isakmp.typepayload"]) > 0)
		return out
	}
	malformed := len(v["_ws.malformed"]) > 0 || len(m.Faults) > 0
	f := flatten(m)
	for field, ours := range f {
		theirs := v.values(field)
		if malformed {
			n := min(len(ours), len(theirs))
			ours, theirs = ours[:n], theirs[:n]
		}
		if !slices.Equal(ours, theirs) {
			check(field, ours, theirs)
		}
	}
	return out
}

// values are tshark's values of a field in our notation: numbers in decimal, bytes in hex digits.
func (v verdict) values(field string) []string {
	var all []string
	for _, text := range v[field] {
		if textFields[field] {
			all = append(all, strings.ReplaceAll(text, ":", ""))
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(text), 0, 64)
		if err == nil {
			all = append(all, fmt.Sprint(n))
		}
	}
	return all
}

// textFields are not numbers.
var textFields = map[string]bool{"isakmp.vid_bytes": true, "isakmp.nonce": true, "isakmp.ts.start_ipv4": true,
	"isakmp.ts.end_ipv4": true}

// flat has the values of tshark's fields in the order of the wire.
type flat map[string][]string

func (f flat) add(field string, n uint64) { f[field] = append(f[field], fmt.Sprint(n)) }

func (f flat) bytes(field string, b []byte) {
	if len(b) > 0 {
		f[field] = append(f[field], hex.EncodeToString(b))
	}
}

var transformFields = map[ike.TransformType]string{
	ike.TransformENCR: "isakmp.tf.id.encr", ike.TransformPRF: "isakmp.tf.id.prf", ike.TransformINTEG: "isakmp.tf.id.integ",
	ike.TransformKE: "isakmp.tf.id.dh", ike.TransformESN: "isakmp.tf.id.esn",
}

// flatten reads m as tshark's columns have it: proposals and transforms stand in the chain behind
// their SA.
func flatten(m *ike.Message) flat {
	f := flat{}
	for _, field := range []string{"isakmp.typepayload", "isakmp.tf.type", "isakmp.trans.id", "isakmp.notify.msgtype",
		"isakmp.prop.number",
		"isakmp.prop.protoid", "isakmp.trans.number", "isakmp.ike2.attr.key_length", "isakmp.key_exchange.dh_group",
		"isakmp.frag.number", "isakmp.frag.total", "isakmp.id.type", "isakmp.auth.method", "isakmp.delete.protoid",
		"isakmp.notify.data.accepted_dh_group",
		"isakmp.notify.data.signature_hash_algorithms", "isakmp.cfg.type", "isakmp.vid_bytes", "isakmp.nonce",
		"isakmp.ts.start_ipv4",
		"isakmp.ts.end_ipv4", "isakmp.ike.attr.type", "isakmp.ipsec.attr.type"} {
		f[field] = nil
	}
	for _, field := range transformFields {
		f[field] = nil
	}
	f.chain(m.Payloads)
	return f
}

func (f flat) chain(payloads []ike.Payload) {
	for _, p := range payloads {
		if _, ok := p.(*ike.Ciphertext); ok {
			continue // tshark shows no chain of an encrypted IKEv1 message
		}
		f.add("isakmp.typepayload", uint64(p.Type()))
		switch p := p.(type) {
		case *ike.SA:
			f.sa(p)
		case *ike.SAv1:
			f.sa1(p)
		case *ike.Notify:
			f.notify(p)
		case *ike.NotifyV1:
			f.add("isakmp.notify.msgtype", uint64(p.Number))
		case *ike.KE:
			f.add("isakmp.key_exchange.dh_group", uint64(p.Method))
		case *ike.Encrypted:
			if p.Number == ike.PayloadSKF {
				f.add("isakmp.frag.number", uint64(p.Part))
				f.add("isakmp.frag.total", uint64(p.Parts))
			}
		default:
			f.identity(p)
		}
	}
}

func (f flat) identity(p ike.Payload) {
	switch p := p.(type) {
	case *ike.ID:
		f.add("isakmp.id.type", uint64(p.Kind))
	case *ike.IDv1:
		f.add("isakmp.id.type", uint64(p.Kind))
	case *ike.Auth:
		f.add("isakmp.auth.method", uint64(p.Method))
	case *ike.Delete:
		f.add("isakmp.delete.protoid", uint64(p.Protocol))
	case *ike.DeleteV1:
		f.add("isakmp.delete.protoid", uint64(p.Protocol))
	case *ike.CP:
		f.add("isakmp.cfg.type", uint64(p.Kind))
	case *ike.Attributes:
		f.add("isakmp.cfg.type", uint64(p.Kind))
	case *ike.VendorID:
		f.bytes("isakmp.vid_bytes", p.Data)
	case *ike.VendorIDv1:
		f.bytes("isakmp.vid_bytes", p.Data)
	case *ike.Nonce:
		f.bytes("isakmp.nonce", p.Data)
	case *ike.BytesV1:
		if p.Number == ike.V1PayloadNONCE {
			f.bytes("isakmp.nonce", p.Data)
		}
	case *ike.TS:
		for _, s := range p.Selectors {
			if s.Kind == 7 && s.Start.IsValid() {
				f["isakmp.ts.start_ipv4"] = append(f["isakmp.ts.start_ipv4"], s.Start.String())
				f["isakmp.ts.end_ipv4"] = append(f["isakmp.ts.end_ipv4"], s.End.String())
			}
		}
	}
}

func (f flat) notify(n *ike.Notify) {
	f.add("isakmp.notify.msgtype", uint64(n.Number))
	switch {
	case n.Number == ike.InvalidKEPayload && len(n.Data) == 2:
		f.add("isakmp.notify.data.accepted_dh_group", uint64(binary.BigEndian.Uint16(n.Data)))
	case n.Number == ike.SignatureHashAlgorithms:
		for b := n.Data; len(b) >= 2; b = b[2:] {
			f.add("isakmp.notify.data.signature_hash_algorithms", uint64(binary.BigEndian.Uint16(b)))
		}
	}
}

func (f flat) proposal(number uint8, protocol ike.Protocol) {
	f.add("isakmp.typepayload", 2)
	f.add("isakmp.prop.number", uint64(number))
	f.add("isakmp.prop.protoid", uint64(protocol))
}

func (f flat) sa(sa *ike.SA) {
	for _, p := range sa.Proposals {
		f.proposal(p.Number, p.Protocol)
		for _, t := range p.Transforms {
			f.add("isakmp.typepayload", 3)
			f.add("isakmp.tf.type", uint64(t.Type))
			if field, ok := transformFields[t.Type]; ok {
				f.add(field, uint64(t.ID))
			}
			if bits := t.KeyBits(); bits > 0 {
				f.add("isakmp.ike2.attr.key_length", uint64(bits))
			}
		}
	}
}

func (f flat) sa1(sa *ike.SAv1) {
	for _, p := range sa.Proposals {
		f.proposal(p.Number, p.Protocol)
		field := "isakmp.ipsec.attr.type"
		if p.Protocol == ike.ProtocolIKE {
			field = "isakmp.ike.attr.type"
		}
		for _, t := range p.Transforms {
			f.add("isakmp.typepayload", 3)
			f.add("isakmp.trans.id", uint64(t.ID))
			f.add("isakmp.trans.number", uint64(t.Number))
			for _, a := range t.Attributes {
				f.add(field, uint64(a.Type))
			}
		}
	}
}

// With the keys, tshark must see the same payloads inside of encrypted messages, SKF put
// together included.
func TestTsharkSeesTheSameInside(t *testing.T) {
	needTshark(t)
	merged := (&ngFile{order: binary.LittleEndian}).section().iface(linkEthernet, 0, 9, 0)
	var table strings.Builder
	var packets []Packet
	for name, file := range captures(t) {
		incident, _, _ := strings.Cut(name, "/")
		keys, err := fs.ReadFile(testdata.Incidents(), incident+"/ikev2_decryption_table")
		if err != nil {
			continue
		}
		table.Write(append(keys, '\n'))
		all, _ := readAll(t, file)
		for _, p := range all {
			packets = append(packets, p)
			merged.captured(0, uint64(p.Nanos), p.Raw, p.WireLen)
		}
	}
	verdicts := askTshark(t, merged.b, keyOptions(table.String())...)
	keys, err := ike.ParseKeyTable(strings.NewReader(table.String()))
	if err != nil || len(verdicts) != len(packets) {
		t.Fatalf("%d verdicts of %d packets, %v", len(verdicts), len(packets), err)
	}
	openers := map[string]*ike.Opener{}
	opened := 0
	for i, p := range packets {
		m, err := ike.Parse(p.Payload)
		if p.Kind != IKE || err != nil {
			continue
		}
		f := flatten(m)
		from := p.Src.String()
		if openers[from] == nil {
			openers[from] = ike.NewOpener(keys)
		}
		if o, err := openers[from].Open(m, p.Payload); err == nil && o != nil {
			f.chain(o.Payloads)
			opened++
		}
		for field, ours := range f {
			if theirs := verdicts[i].values(field); !slices.Equal(ours, theirs) {
				t.Errorf("message %s %s: %s: ours %v, tshark %v", m.SPIi, m.Info(), field, ours, theirs)
			}
		}
	}
	if opened < 20 {
		t.Errorf("only %d messages were opened", opened)
	}
	t.Logf("%d messages opened", opened)
}

// sentAgain are retransmissions: tshark takes them for the next message of the chain of cipher
// blocks and decrypts them to nonsense; ours are what the first transmission was.
var sentAgain = []string{
	"ikev1-psk-mismatch/a frame 7", "ikev1-psk-mismatch/a frame 9", "ikev1-psk-mismatch/a frame 11",
	"ikev1-psk-mismatch/b frame 7", "ikev1-psk-mismatch/b frame 9", "ikev1-psk-mismatch/b frame 11",
}

// Of IKEv1 too, a file at a time, since its cipher blocks are chained from message to message. What
// B encrypted with a key of its own is no plaintext to us; tshark shows what comes out.
func TestTsharkSeesTheSameInsideOfIKEv1(t *testing.T) {
	needTshark(t)
	opened := 0
	for name, file := range captures(t) {
		incident, _, _ := strings.Cut(name, "/")
		table, err := fs.ReadFile(testdata.Incidents(), incident+"/ikev1_decryption_table")
		if err != nil {
			continue
		}
		keys, err := ike.ParseKeyTable(strings.NewReader(string(table)))
		if err != nil {
			t.Fatal(err)
		}
		opener := ike.NewOpener(keys)
		packets, _ := readAll(t, file)
		verdicts := askTshark(t, file, keyOptions(string(table))...)
		for i, p := range packets {
			m, err := ike.Parse(p.Payload)
			if p.Kind != IKE || err != nil {
				continue
			}
			o, err := opener.Open(m, p.Payload)
			if o == nil {
				continue
			}
			opened++
			where := fmt.Sprintf("%s frame %d", name, p.Frame)
			f := flatten(m)
			f.chain(o.Payloads)
			differs := err != nil
			for field, ours := range f {
				theirs := verdicts[i].values(field)
				if differs = differs || !slices.Equal(ours, theirs); !slices.Equal(ours, theirs) &&
					!slices.Contains(sentAgain, where) {
					t.Errorf("%s: %s: ours %v, tshark %v, %v", where, field, ours, theirs, err)
				}
			}
			if differs != slices.Contains(sentAgain, where) {
				t.Errorf("%s: differs %v, %v", where, differs, err)
			}
		}
	}
	if opened < 14 {
		t.Errorf("only %d messages were opened", opened)
	}
}

// keyOptions hands a key table to tshark, an option a line.
func keyOptions(table string) []string {
	var all []string
	seen := map[string]bool{}
	for line := range strings.Lines(table) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") || seen[line] {
			continue
		}
		seen[line] = true
		name := "ikev2_decryption_table"
		if strings.Count(line, ",") == 1 {
			name = "ikev1_decryption_table"
		}
		all = append(all, "-o", "uat:"+name+":"+line)
	}
	return all
}

// The public captures that once crashed a decoder must be read, and what is broken
// in them be marked.
func TestCrashCorpusIsMarked(t *testing.T) {
	seen := 0
	for name, file := range captures(t) {
		if !regexp.MustCompile(`oobr|segfault|loop|short|no-none|truncated`).MatchString(name) {
			continue
		}
		seen++
		all, _ := readAll(t, file)
		marked := slices.ContainsFunc(all, func(p Packet) bool {
			if p.Kind != IKE {
				return p.Truncated
			}
			m, err := ike.Parse(p.Payload)
			return p.Truncated || err != nil || len(m.Faults) > 0
		})
		if sound := name == "tcpdump__isakmp-identification-segfault.pcap"; marked == sound { // a name of zeros is no fault
			t.Errorf("%s: marked %v in %d packets", name, marked, len(all))
		}
	}
	if seen == 0 {
		t.Skip("../shared/corpus is absent")
	}
}
