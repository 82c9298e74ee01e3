package packet

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/moncap/moncap/analysis/ike"
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
	for _, p := range m.Payloads {
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
	return f
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
