package scene

import (
	"fmt"
	"strings"
	"time"

	"github.com/moncap/moncap/analysis/ike"
)

// Logged is what a debug writes of one packet.
func (s *Scene) Logged(ago time.Duration, sent bool, a *SA, x string, id int, response bool) string {
	verb, ends, kind, r := "Received", "From 192.168.2.1:500/To 192.168.1.1:500", "REQUEST", a.R
	if sent {
		verb, ends = "Sending", "To 192.168.2.1:500/From 192.168.1.1:500"
	}
	if response {
		kind = "RESPONSE"
	} else if id == 0 {
		r = 0
	}
	// The router's zone is not that of its capture.
	at := time.Unix(0, sceneStart+int64(s.Now-ago)).UTC().Add(90 * time.Minute)
	return at.Format("*Jan _2 15:04:05.000: ") + fmt.Sprintf("IKEv2:(SESSION ID = 7,SA ID = 1):%s Packet [%s/VRF i0:f0] "+
		"\nInitiator SPI : %s - Responder SPI : %s Message id: %d\nIKEv2 %s Exchange %s \nPayload contents: \n SA KE N \n\n",
		verb, ends, strings.ToUpper(a.I.String()), strings.ToUpper(r.String()), id, x, kind)
}

// LastSA is the IKE SA that was made last.
func (s *Scene) LastSA(from int) *SA {
	n := ike.SPI(s.ID-1)<<32 | 0x0a11
	return &SA{S: s, I: n | 1<<60, R: n | 2<<60, From: from}
}
