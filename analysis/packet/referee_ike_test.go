package packet

import (
	"fmt"

	"github.com/moncap/moncap/analysis/ike"
)

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
	return out
}
