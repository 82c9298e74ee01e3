package dissect

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/moncap/moncap/analysis/ike"
)

// encrypted says whether the keys are needed to read the message.
func (d *decodedPacket) encrypted() bool {
	return slices.ContainsFunc(d.msg.Payloads, isEncrypted)
}

func isEncrypted(p ike.Payload) bool {
	switch p.(type) {
	case *ike.Encrypted, *ike.Ciphertext:
		return true
	}
	return false
}

// payloads returns the chain, and behind it what the keys opened and what fragments of IKEv1 hold.
func (d *decodedPacket) payloads() []ike.Payload {
	if d == nil || d.msg == nil {
		return nil
	}
	return slices.Concat(d.msg.Payloads, d.inner.payloads(), d.whole.payloads())
}

// exchangeNames are what the filter may call the exchange.
func (d *decodedPacket) exchangeNames() []string {
	if d.msg == nil {
		return nil
	}
	return []string{d.msg.Exchange.String(), strconv.Itoa(int(d.msg.Exchange))}
}

// payloadNames are what the filter may call the payloads.
func (d *decodedPacket) payloadNames() []string {
	var all []string
	for _, p := range d.payloads() {
		all = append(all, payloadName(d.msg, p), strconv.Itoa(int(p.Type())))
	}
	return all
}

// notifyNames are what the filter may call the notifications.
func (d *decodedPacket) notifyNames() []string {
	var all []string
	for _, p := range d.payloads() {
		switch n := p.(type) {
		case *ike.Notify:
			all = append(all, n.Number.String(), strconv.Itoa(int(n.Number)))
		case *ike.NotifyV1:
			all = append(all, ike.NotifyNameV1(n.Number), strconv.Itoa(int(n.Number)))
		}
	}
	return all
}

func payloadName(m *ike.Message, p ike.Payload) string { return ike.PayloadName(m.Major(), p.Type()) }

// ikeInfo is the Info column of an IKE packet: the header in words.
func ikeInfo(d *decodedPacket) string {
	if d.msg == nil {
		return "Malformed: " + d.reason
	}
	return d.msg.Info()
}

// ikeNode is the message's part of the tree.
func ikeNode(d *decodedPacket) node {
	if d.msg == nil {
		n := leaf("Internet Key Exchange: no message can be read in %d bytes", len(d.p.Payload))
		n.kids = []node{leaf("[Malformed: %s]", d.reason)}
		return n
	}
	m := d.msg
	n := leaf("Internet Key Exchange version %d.%d, %s", m.Version>>4, m.Version&15, m.Info())
	n.kids = headerNodes(m)
	places := payloadPlaces(d.p.Payload)
	for i, p := range m.Payloads {
		kid := payloadNode(m, p)
		if i < len(places) {
			kid.text += fmt.Sprintf(", %d bytes at %d", places[i].length, places[i].offset)
		}
		kid.kids = append(kid.kids, d.around(p)...)
		n.kids = append(n.kids, kid)
	}
	if len(m.Trailing) > 0 {
		n.kids = append(n.kids, leaf("Behind the message: %d bytes", len(m.Trailing)))
	}
	for _, f := range d.faults() {
		n.kids = append(n.kids, leaf("[Malformed: byte %d: %s]", f.Offset, f.Reason))
	}
	return n
}

func headerNodes(m *ike.Message) []node {
	return []node{
		leaf("Initiator SPI: %s", m.SPIi),
		leaf("Responder SPI: %s", m.SPIr),
		leaf("Next payload: %s (%d)", ike.PayloadName(m.Major(), m.NextPayload), m.NextPayload),
		leaf("Exchange: %s (%d)", m.Exchange, m.Exchange),
		leaf("Flags: 0x%02x%s", uint8(m.Flags), flagNames(m.Header)),
		leaf("Message ID: %d (0x%08x)", m.MessageID, m.MessageID),
		leaf("Length: %d", m.Length),
	}
}

// around is what is known of a payload beside its own words: observations, and what the keys opened.
func (d *decodedPacket) around(p ike.Payload) []node {
	var all []node
	for _, o := range d.observed[p] {
		if o.text != "" {
			all = append(all, leaf("%s", o.text))
		}
	}
	if isEncrypted(p) {
		all = append(all, d.inner.nodes(d.msg)...)
	}
	if d.whole != nil {
		n := leaf("[Completes the message of frames %s: %d bytes]", intList(d.whole.p.Fragments), len(d.whole.p.Payload))
		n.kids = []node{ikeNode(d.whole)}
		all = append(all, n)
	}
	return all
}

// place is where a payload stands in its message.
type place struct{ offset, length int }

func payloadPlaces(b []byte) []place {
	var all []place
	ike.Walk(b, func(_ ike.PayloadType, offset int, body []byte) bool {
		all = append(all, place{offset, 4 + len(body)})
		return true
	})
	return all
}

func flagNames(h ike.Header) string {
	text := ""
	add := func(yes bool, name string) {
		if yes {
			text += ", " + name
		}
	}
	if h.Major() == 1 {
		add(h.Flags&ike.FlagV1Encryption != 0, "encrypted")
		add(h.Flags&ike.FlagV1Commit != 0, "commit")
		add(h.Flags&ike.FlagV1AuthOnly != 0, "authentication only")
		return text
	}
	add(h.Initiator(), "initiator")
	add(!h.Initiator(), "responder")
	add(h.Response(), "response")
	add(!h.Response(), "request")
	add(h.Flags&ike.FlagVersion != 0, "a higher version is supported")
	return text
}

func payloadNode(m *ike.Message, p ike.Payload) node {
	n := leaf("Payload: %s (%d)", payloadName(m, p), p.Type())
	if c, ok := p.(interface{ Critical() bool }); ok && m.Major() == 2 && c.Critical() {
		n.kids = append(n.kids, leaf("Critical"))
	}
	if sa, ok := p.(*ike.SA); ok {
		n.kids = append(n.kids, proposalNodes(sa)...)
		return n
	}
	if d, ok := p.(ike.Described); ok {
		for _, line := range d.Details() {
			n.kids = append(n.kids, leaf("%s", line))
		}
	}
	return n
}

func proposalNodes(sa *ike.SA) []node {
	var all []node
	for _, p := range sa.Proposals {
		n := leaf("Proposal %d, protocol %s (%d), %d transforms", p.Number, p.Protocol, p.Protocol, len(p.Transforms))
		if len(p.SPI) > 0 {
			n.kids = append(n.kids, leaf("SPI: %x", p.SPI))
		}
		for _, t := range p.Transforms {
			kid := leaf("Transform %s (%d): %s (%d)", t.Type, t.Type, ike.TransformName(t.Type, t.ID), t.ID)
			if bits := t.KeyBits(); bits > 0 {
				kid.text += fmt.Sprintf(", key length %d", bits)
			}
			n.kids = append(n.kids, kid)
		}
		all = append(all, n)
	}
	return all
}

func newJSONIKE(d *decodedPacket) *jsonIKE {
	if d.msg == nil {
		h, _ := ike.ParseHeader(d.p.Payload) // of another version, or nothing
		j := headerJSON(h)
		j.Malformed = newJSONFaults(d)
		return j
	}
	j := headerJSON(d.msg.Header)
	for _, p := range d.msg.Payloads {
		one := jsonPayload{message: d.msg, payload: p, observed: d.observed[p], whole: d.whole}
		if isEncrypted(p) {
			one.inner = d.inner
		}
		j.Payloads = append(j.Payloads, one)
	}
	j.Malformed = newJSONFaults(d)
	return j
}

func headerJSON(h ike.Header) *jsonIKE {
	return &jsonIKE{
		Version: fmt.Sprintf("%d.%d", h.Version>>4, h.Version&15), SPIi: h.SPIi.String(), SPIr: h.SPIr.String(),
		Exchange: uint8(h.Exchange), Name: h.Exchange.String(), Flags: uint8(h.Flags), MessageID: h.MessageID, Length: h.Length,
	}
}

// jsonPayload is what a payload's JSON is made of.
type jsonPayload struct {
	message  *ike.Message
	payload  ike.Payload
	inner    *decrypted
	observed []observation
	whole    *decodedPacket // that a fragment of IKEv1 completes
}
