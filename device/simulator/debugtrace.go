package simulator

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/moncap/moncap/analysis/ike"
)

// traceIKE writes what `debug crypto ikev2` says of a message that passes, as release
// 16.7 was recorded: one line with a time stamp, and lines that go on without one. The
// router's lock is held.
func (r *Router) traceIKE(sa *ikeSA, m []byte, sent bool) {
	if !r.debugs["IKEv2 default"] || sa.one || !r.debugged(sa) {
		return
	}
	kind := "REQUEST"
	if m[19]&flagResponse != 0 {
		kind = "RESPONSE"
	}
	way := fmt.Sprintf("Received Packet [From %s/To %s/VRF i0:f0] ", debugEnd(sa.remote), debugEnd(sa.local))
	if sent {
		way = fmt.Sprintf("Sending Packet [To %s/From %s/VRF i0:f0] ", debugEnd(sa.remote), debugEnd(sa.local))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "IKEv2:(SESSION ID = 1,SA ID = 1):%s\n", way)
	fmt.Fprintf(&b, "Initiator SPI : %X - Responder SPI : %X Message id: %d\n", m[:8], m[8:16],
		binary.BigEndian.Uint32(m[20:]))
	fmt.Fprintf(&b, "IKEv2 %s Exchange %s \n", ike.ExchangeType(m[18]), kind)
	fmt.Fprintf(&b, "Payload contents: \n %s \n", strings.Join(debugPayloads(m), " "))
	r.log(b.String())
}

// debugged says whether the conditions let an SA's debugs through: none is set, or its peer's is.
func (r *Router) debugged(sa *ikeSA) bool {
	limited := false
	for what := range r.debugs {
		peer, ok := strings.CutPrefix(what, "condition peer ipv4 ")
		if ok && peer == showAddress(sa.remote.Addr()) {
			return true
		}
		limited = limited || ok
	}
	return !limited
}

// debugNames are the router's own names of payloads (RFC 7296, Section 3.2), where they are not
// those of the RFC.
var debugNames = map[ike.PayloadType]string{
	ike.PayloadNonce: "N", ike.PayloadV: "VID", ike.PayloadCREQ: "CERTREQ", ike.PayloadSK: "ENCR", ike.PayloadSKF: "ENCR",
}

func debugPayloads(m []byte) []string {
	var all []string
	ike.Walk(m, func(t ike.PayloadType, _ int, body []byte) bool {
		name, ok := debugNames[t]
		switch {
		case t == ike.PayloadN && len(body) >= 4:
			name = "NOTIFY(" + ike.NotifyType(binary.BigEndian.Uint16(body[2:])).String() + ")"
		case !ok:
			name = ike.PayloadName(2, t)
		}
		all = append(all, name)
		return true
	})
	return all
}

// debugEnd is an address and port as debugs have them: without brackets also for IPv6.
func debugEnd(a netip.AddrPort) string { return fmt.Sprintf("%s:%d", showAddress(a.Addr()), a.Port()) }
