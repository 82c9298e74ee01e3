package ike

import "fmt"

// Info describes the message in a line, as packet lists show it: "IKE_SA_INIT MID=00 Initiator Request" for IKEv2, the
// exchange's name for IKEv1.
func (h Header) Info() string {
	if h.Major() != 2 {
		return h.Exchange.String()
	}
	role, kind := "Responder", "Request"
	if h.Initiator() {
		role = "Initiator"
	}
	if h.Response() {
		kind = "Response"
	}
	return fmt.Sprintf("%s MID=%02d %s %s", h.Exchange, h.MessageID, role, kind)
}
