package exchange

import (
	"hash/maphash"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/packet"
)

// newMessage reads what can be read without keys. raw is kept.
func newMessage(h ike.Header, hash uint64, raw []byte, p *packet.Packet) *Message {
	m := &Message{
		Header: h, Raw: raw, Hash: hash, Truncated: p.Truncated, Marker: p.Marker,
		Prefix: maphash.Bytes(seed, raw[:min(len(raw), PrefixLen)]),
	}
	if h.Major() == 2 {
		m.Role, m.Kind = Responder, Request
		if h.Initiator() {
			m.Role = Initiator
		}
		if h.Response() {
			m.Kind = Response
		}
	}
	return m
}
