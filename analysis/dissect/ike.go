package dissect

import (
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

// critical says whether a receiver that does not know the payload must reject the message; only
// IKEv2 has that bit.
func critical(m *ike.Message, p ike.Payload) bool {
	c, ok := p.(interface{ Critical() bool })
	return ok && m.Major() == 2 && c.Critical()
}

// place is where a payload stands in its message.
type place struct{ offset, length int }

func appendPlaces(all []place, b []byte) []place {
	ike.Walk(b, func(_ ike.PayloadType, offset int, body []byte) bool {
		all = append(all, place{offset, 4 + len(body)})
		return true
	})
	return all
}

func flagNames(l *ike.Lines, h ike.Header) {
	add := func(yes bool, name string) {
		if yes {
			l.Text(", ").Text(name)
		}
	}
	if h.Major() == 1 {
		add(h.Flags&ike.FlagV1Encryption != 0, "encrypted")
		add(h.Flags&ike.FlagV1Commit != 0, "commit")
		add(h.Flags&ike.FlagV1AuthOnly != 0, "authentication only")
		return
	}
	add(h.Initiator(), "initiator")
	add(!h.Initiator(), "responder")
	add(h.Response(), "response")
	add(!h.Response(), "request")
	add(h.Flags&ike.FlagVersion != 0, "a higher version is supported")
}
