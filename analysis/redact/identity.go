package redact

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"

	"github.com/moncap/moncap/analysis/ike"
)

// searched is how long something must be to be searched for in pieces of messages: shorter things
// come by chance.
const searched = 8

// redirectedFrom is the notify REDIRECTED_FROM (RFC 5685, Section 10).
const redirectedFrom ike.NotifyType = 16408

// takeNames keeps what names somebody in a payload in clear.
func (n *natd) takeNames(h ike.Header, t ike.PayloadType, body []byte) {
	for _, name := range namesIn(h, t, body) {
		if name.kind == kindText && printable(name.data) {
			n.identities[string(name.data)] = true
		}
		if len(name.data) >= searched && name.kind != kindAddress {
			n.names[string(name.data)] = true
		}
	}
}

// nameKind is how a name is made anonymous.
type nameKind uint8

const (
	kindText    nameKind = iota // letters for letters
	kindAddress                 // as addresses are
	kindBytes                   // every byte
)

// name is something in a message that names somebody, in place.
type name struct {
	kind nameKind
	data []byte
}

// namesIn are the names in a payload: identities, certificates and the authorities that are asked
// for, where REDIRECT leads (RFC 5685) and, of IKEv1 in clear, hash and signature, for who knows
// the identities could try pre-shared keys with them.
func namesIn(h ike.Header, t ike.PayloadType, body []byte) []name {
	if h.Major() == 1 {
		return namesInV1(t, body)
	}
	switch {
	case (t == ike.PayloadIDi || t == ike.PayloadIDr) && len(body) > 4:
		return []name{identity(body[0], body[4:])}
	case t == ike.PayloadCERT && len(body) > 1, t == ike.PayloadAUTH && len(body) > 4:
		return []name{{kindBytes, body[1:]}}
	case t == ike.PayloadCREQ && len(body) > 1:
		return authorities(body[1:])
	case t == ike.PayloadN && len(body) > 6:
		switch ike.NotifyType(binary.BigEndian.Uint16(body[2:])) {
		case ike.Redirect, redirectedFrom:
			return []name{identity(map[byte]uint8{1: ike.IDIPv4, 2: ike.IDIPv6, 3: ike.IDFQDN}[body[4]],
				body[6:min(len(body), 6+int(body[5]))])}
		}
	}
	return nil
}

func namesInV1(t ike.PayloadType, body []byte) []name {
	switch {
	case t == ike.V1PayloadID && len(body) > 4:
		return []name{identity(body[0], body[4:])}
	case (t == ike.V1PayloadCERT || t == ike.V1PayloadCR) && len(body) > 1:
		return []name{{kindBytes, body[1:]}}
	case (t == ike.V1PayloadHASH || t == ike.V1PayloadSIG) && len(body) > 0:
		return []name{{kindBytes, body}}
	}
	return nil
}

// authorities are the hashes of the keys of certification authorities (RFC 7296, Section 3.7): each
// by itself, so that the same one becomes the same other one.
func authorities(b []byte) []name {
	var all []name
	for len(b) > 0 {
		n := min(20, len(b))
		all, b = append(all, name{kindBytes, b[:n]}), b[n:]
	}
	return all
}

func identity(kind uint8, b []byte) name {
	if kind == ike.IDIPv4 && len(b) == 4 || kind == ike.IDIPv6 && len(b) == 16 {
		return name{kindAddress, b}
	}
	return name{kindText, b}
}

// message makes an IKE message anonymous in place, and returns the change of the checksum.
func (r *Redactor) message(m []byte) uint32 {
	before := sum(m)
	r.replaceWhole(m)
	h, err := ike.ParseHeader(m)
	if err != nil {
		return difference(before, sum(m))
	}
	ike.Walk(m, func(t ike.PayloadType, _ int, body []byte) bool {
		if h.Major() == 1 && t == ike.V1PayloadFrag {
			r.replaceKnown(body)
		}
		for _, n := range namesIn(h, t, body) {
			if !r.fresh[string(n.data)] {
				r.rename(n)
			}
		}
		return true
	})
	return difference(before, sum(m))
}

func (r *Redactor) rename(n name) {
	switch n.kind {
	case kindAddress:
		a, _ := netip.AddrFromSlice(n.data)
		copy(n.data, r.Addr(a).AsSlice())
	case kindText:
		r.disguise(n.data)
	case kindBytes:
		r.scramble(n.data)
	}
}

// disguise puts other letters in the place of b's letters and digits. Dots and signs stay, and of a
// distinguished name all but its strings, so that it still reads as what it is.
func (r *Redactor) disguise(b []byte) {
	switch {
	case printable(b):
		mask := r.stream("identity", strings.ToLower(string(b)), len(b))
		for i, c := range b {
			if isWord(c) {
				b[i] = 'a' + mask[i]%26
			}
		}
	case !r.distinguished(b, 0):
		r.scramble(b)
	}
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80
}

func printable(b []byte) bool {
	return bytes.IndexFunc(b, func(c rune) bool { return c < ' ' || c == 0x7f }) < 0
}

// distinguished disguises the strings in the DER values of b (ITU-T X.690), and says whether b is
// nothing but such values.
func (r *Redactor) distinguished(b []byte, depth int) bool {
	const deepest = 8
	for len(b) > 0 {
		if len(b) < 2 || depth > deepest {
			return false
		}
		n, head := int(b[1]), 2
		switch {
		case n == 0x81 && len(b) > 2:
			n, head = int(b[2]), 3
		case n == 0x82 && len(b) > 3:
			n, head = int(b[2])<<8|int(b[3]), 4
		case n >= 0x80:
			return false
		}
		if head+n > len(b) {
			return false
		}
		value := b[head : head+n]
		switch tag := b[0]; {
		case tag&0x20 != 0: // constructed
			if !r.distinguished(value, depth+1) {
				return false
			}
		case tag == 6: // an object identifier names the kind of what follows
		case printable(value):
			r.disguise(value)
		default:
			r.scramble(value)
		}
		b = b[head+n:]
	}
	return true
}

func (r *Redactor) scramble(b []byte) { copy(b, r.stream("bytes", string(b), len(b))) }

// stream is n bytes that depend on the key and on s.
func (r *Redactor) stream(what, s string, n int) []byte {
	out := r.digest(what, s)
	for len(out) < n {
		out = append(out, r.digest(what, string(out))...)
	}
	return out[:n]
}

// replaceKnown puts the new hashes and names in the place of the old ones wherever they stand in b,
// which may be a piece of a message: one may begin before it, or end behind it. It returns the
// change of the checksum.
func (r *Redactor) replaceKnown(b []byte) uint32 {
	before := sum(b)
	r.replaceTails(b)
	r.replaceWhole(b)
	return difference(before, sum(b))
}

func (r *Redactor) replaceWhole(b []byte) {
	for i := 0; i+searched <= len(b); i++ {
		s, ok := r.known[binary.BigEndian.Uint64(b[i:])]
		if !ok {
			continue
		}
		n := min(len(s.from), len(b)-i)
		if bytes.Equal(b[i:i+n], s.from[:n]) {
			copy(b[i:], s.to[:n])
			i += n - 1
		}
	}
}

// replaceTails replaces what began in another piece.
func (r *Redactor) replaceTails(b []byte) {
	for _, s := range r.known {
		for at := 1; at+4 <= len(s.from); at++ {
			if n := len(s.from) - at; n <= len(b) && bytes.Equal(b[:n], s.from[at:]) {
				copy(b, s.to[at:])
				return
			}
		}
	}
}
