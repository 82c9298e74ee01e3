package ike

import "strconv"

// Info describes the message in a line, as packet lists show it: "IKE_SA_INIT MID=00 Initiator
// Request" for IKEv2, the exchange's name for IKEv1.
func (h Header) Info() string { return string(h.AppendInfo(nil)) }

// AppendInfo appends Info to dst.
func (h Header) AppendInfo(dst []byte) []byte {
	dst = append(dst, h.Exchange.String()...)
	if h.Major() != 2 {
		return dst
	}
	dst = append(dst, " MID="...)
	if h.MessageID < 10 {
		dst = append(dst, '0')
	}
	dst = strconv.AppendUint(dst, uint64(h.MessageID), 10)
	role, kind := " Responder", " Request"
	if h.Initiator() {
		role = " Initiator"
	}
	if h.Response() {
		kind = " Response"
	}
	return append(append(dst, role...), kind...)
}
