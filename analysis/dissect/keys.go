package dissect

import (
	"errors"

	"github.com/moncap/moncap/analysis/ike"
)

// decryption opens messages with the keys that were given, if any.
type decryption struct{ opener *ike.Opener }

func newDecryption(keys *ike.Keys) *decryption {
	if keys == nil {
		return &decryption{}
	}
	return &decryption{opener: ike.NewOpener(keys)}
}

// decrypted is what came out of a message that was tried to open.
type decrypted struct {
	opened *ike.Opened // nil if it could not be opened
	note   string      // why
}

// open decrypts the message m, which is b on the wire. It returns nil where there is nothing to open, or no keys at all
// were given.
func (d *decryption) open(m *ike.Message, b []byte) *decrypted {
	if d.opener == nil {
		return nil
	}
	opened, err := d.opener.Open(m, b)
	switch {
	case errors.Is(err, ike.ErrMore):
		return &decrypted{note: "decrypted; the message goes on in other fragments"}
	case err != nil:
		return &decrypted{note: err.Error()}
	case opened == nil:
		return nil
	}
	return &decrypted{opened: opened}
}

func (d *decrypted) payloads() []ike.Payload {
	if d == nil || d.opened == nil {
		return nil
	}
	return d.opened.Payloads
}

// faults of the plaintext count from its own first byte.
func (d *decrypted) faults() []ike.Fault {
	if d == nil || d.opened == nil {
		return nil
	}
	var all []ike.Fault
	for _, f := range d.opened.Faults {
		all = append(all, ike.Fault{Offset: f.Offset, Reason: "decrypted: " + f.Reason})
	}
	return all
}

// nodes are what stands below the encrypted payload in the tree.
func (d *decrypted) nodes(m *ike.Message) []node {
	if d == nil {
		return nil
	}
	if d.opened == nil {
		return []node{leaf("[%s]", d.note)}
	}
	n := leaf("Decrypted: %d bytes, %d of padding", len(d.opened.Plaintext), d.opened.Padding)
	for _, p := range d.opened.Payloads {
		n.kids = append(n.kids, payloadNode(m, p))
	}
	return []node{n}
}

// addTo adds the same to the encrypted payload's JSON.
func (d *decrypted) addTo(m *ike.Message, fields map[string]any) {
	if d.opened == nil {
		fields["decryption"] = d.note
		return
	}
	fields["decryption"] = "done"
	inner := []jsonPayload{}
	for _, p := range d.opened.Payloads {
		inner = append(inner, jsonPayload{message: m, payload: p})
	}
	fields["payloads"] = inner
	fields["padding"] = d.opened.Padding
}
