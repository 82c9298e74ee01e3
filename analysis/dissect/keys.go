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

// open decrypts the message m, which is b on the wire. It returns nil where there is nothing to
// open, or no keys at all were given.
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

// members are the same for the encrypted payload's JSON.
func (d *decrypted) members(o *ike.Object, m *ike.Message) {
	if d.opened == nil {
		o.Beside(ike.Member{Name: "decryption", JSON: ike.AppendQuoted(nil, d.note)})
		return
	}
	inner := ike.Object{Buf: []byte{'['}}
	for _, p := range d.opened.Payloads {
		appendPayload(&inner, m, p)
	}
	o.Beside(ike.Member{Name: "decryption", JSON: []byte(`"done"`)},
		ike.Member{Name: "payloads", JSON: append(inner.Buf, ']')},
		ike.Member{Name: "padding", JSON: appendInt(nil, d.opened.Padding)})
}
