package main

import (
	"fmt"

	"github.com/moncap/moncap/analysis/ike"
)

// decryption opens messages with the keys that were given, if any.
type decryption struct{ keys *ike.Keys }

func newDecryption(keys *ike.Keys) *decryption { return &decryption{keys: keys} }

// decrypted is what the keys found in a message.
type decrypted struct {
	payloads []ike.Payload
	faults   []ike.Fault
	note     string // why the keys did not open it
}

// open decrypts the message m, which is b on the wire. It returns nil where there is nothing to open or no key.
func (d *decryption) open(m *ike.Message, b []byte) *decrypted { return nil }

func (d *decrypted) info() string { return "" }

func (d *decrypted) nodes(m *ike.Message) []node {
	if d == nil {
		return nil
	}
	var all []node
	for _, p := range d.payloads {
		all = append(all, payloadNode(m, p))
	}
	if d.note != "" {
		all = append(all, leaf("[%s]", d.note))
	}
	return all
}

func (d *decrypted) addTo(fields map[string]any) { fmt.Sprint(d) }
