package packet

import (
	"encoding/binary"
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

// compareIKE compares a message with what tshark says of it. Where tshark gives a message up as malformed, ours must
// begin with the payloads that tshark could read.
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
		theirs := v.numbers(field)
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

func (v verdict) numbers(field string) []uint64 {
	var all []uint64
	for _, text := range v[field] {
		n, err := strconv.ParseUint(strings.TrimSpace(text), 0, 64)
		if err == nil {
			all = append(all, n)
		}
	}
	return all
}

// flat has the values of tshark's fields in the order of the wire.
type flat map[string][]uint64

func (f flat) add(field string, n uint64) { f[field] = append(f[field], n) }

var transformFields = map[ike.TransformType]string{
	ike.TransformENCR: "isakmp.tf.id.encr", ike.TransformPRF: "isakmp.tf.id.prf", ike.TransformINTEG: "isakmp.tf.id.integ",
	ike.TransformKE: "isakmp.tf.id.dh", ike.TransformESN: "isakmp.tf.id.esn",
}

// flatten reads m as tshark's columns have it: proposals and transforms stand in the chain behind their SA.
func flatten(m *ike.Message) flat {
	f := flat{}
	for _, field := range []string{"isakmp.typepayload", "isakmp.tf.type", "isakmp.trans.id", "isakmp.notify.msgtype"} {
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
			f.add("isakmp.notify.msgtype", uint64(p.Number))
		case *ike.NotifyV1:
			f.add("isakmp.notify.msgtype", uint64(p.Number))
		}
	}
}

func (f flat) sa(sa *ike.SA) {
	for _, p := range sa.Proposals {
		f.add("isakmp.typepayload", 2)
		for _, t := range p.Transforms {
			f.add("isakmp.typepayload", 3)
			f.add("isakmp.tf.type", uint64(t.Type))
			if field, ok := transformFields[t.Type]; ok {
				f.add(field, uint64(t.ID))
			}
		}
	}
}

func (f flat) sa1(sa *ike.SAv1) {
	for _, p := range sa.Proposals {
		f.add("isakmp.typepayload", 2)
		for _, t := range p.Transforms {
			f.add("isakmp.typepayload", 3)
			f.add("isakmp.trans.id", uint64(t.ID))
		}
	}
}

// With the keys, tshark must see the same payloads inside of encrypted messages, SKF put together included.
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
			if theirs := verdicts[i].numbers(field); !slices.Equal(ours, theirs) {
				t.Errorf("message %s %s: %s: ours %v, tshark %v", m.SPIi, m.Info(), field, ours, theirs)
			}
		}
	}
	if opened < 20 {
		t.Errorf("only %d messages were opened", opened)
	}
	t.Logf("%d messages opened", opened)
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
		all = append(all, "-o", "uat:ikev2_decryption_table:"+line)
	}
	return all
}

// The public captures that once crashed a decoder must be read, and what is broken in them be marked.
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
