package ike

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
)

// noted is what a notification's data mean: in words, and by name.
type noted struct {
	text   string
	fields map[string]any
}

// DataText says what the notification data mean; empty when there are none.
func (n *Notify) DataText() string {
	if m, ok := n.meaning(); ok {
		return m.text
	}
	return short(n.Data)
}

// meaning decodes the data as their type has them; false where they are opaque, or do
// not fit their type.
func (n *Notify) meaning() (noted, bool) {
	if len(n.Data) == 0 {
		return noted{}, true
	}
	b := n.Data
	switch n.Number {
	case UnsupportedCriticalPayload:
		return noted{"payload " + PayloadName(2, PayloadType(b[0])), map[string]any{"payload_type": int(b[0])}}, len(b) == 1
	case InvalidMajorVersion:
		return noted{text: fmt.Sprintf("version %d.%d", b[0]>>4, b[0]&15)}, len(b) == 1
	case InvalidMessageID:
		return number(b, "message ID %d", "invalid_message_id")
	case InvalidSPI:
		return noted{"SPI 0x" + hex.EncodeToString(b), map[string]any{"invalid_spi": hex.EncodeToString(b)}}, len(b) == 4
	case InvalidKEPayload:
		return acceptedGroup(b)
	case SetWindowSize:
		return number(b, "%d messages", "window_size")
	case 16387:
		return ipComp(b)
	case 16397, 16398:
		return address(b)
	case 16403:
		return number(b, "%d seconds", "lifetime_seconds")
	case Redirect, RedirectedFrom:
		return redirect(b)
	case 16409:
		return ticket(b)
	case 16416:
		return rohc(b)
	case 16422:
		return messageIDSync(b)
	case 16423:
		return replaySync(b)
	case 16424:
		return passwordMethods(b)
	case 16427:
		return domain(b)
	case 16429:
		return number(b, "%d senders", "senders")
	case SignatureHashAlgorithms:
		return hashes(b)
	case 16434:
		return puzzle(b)
	case 16436:
		return ppkIdentity(b)
	case 16442:
		return aggfrag(b)
	case 16443:
		return authMethods(b)
	case 16446:
		return ppkIdentityKey(b)
	}
	return noted{}, false
}

func number(b []byte, format, field string) (noted, bool) {
	if len(b) != 4 {
		return noted{}, false
	}
	n := binary.BigEndian.Uint32(b)
	return noted{fmt.Sprintf(format, n), map[string]any{field: n}}, true
}

// acceptedGroup is the key exchange method that the responder wants (RFC 7296, Section 1.3).
func acceptedGroup(b []byte) (noted, bool) {
	if len(b) != 2 {
		return noted{}, false
	}
	g := binary.BigEndian.Uint16(b)
	name := TransformName(TransformKE, g)
	return noted{fmt.Sprintf("accepted group %d (%s)", g, name),
		map[string]any{"accepted_group": int(g), "accepted_group_name": name}}, true
}

// ipComp is a compression parameter index and algorithm (RFC 7296, Section 2.22).
func ipComp(b []byte) (noted, bool) {
	if len(b) != 3 {
		return noted{}, false
	}
	cpi, name := binary.BigEndian.Uint16(b), nameOr(ipCompNames[b[2]], "transform", b[2])
	return noted{fmt.Sprintf("CPI %d, %s", cpi, name),
		map[string]any{"cpi": int(cpi), "transform": int(b[2]), "transform_name": name}}, true
}

var ipCompNames = map[uint8]string{1: "IPCOMP_OUI", 2: "IPCOMP_DEFLATE", 3: "IPCOMP_LZS", 4: "IPCOMP_LZJH"}

func address(b []byte) (noted, bool) {
	a, ok := netip.AddrFromSlice(b)
	return noted{a.String(), map[string]any{"address": a.String()}}, ok
}

// Gateway is the gateway that a REDIRECT names, or that a REDIRECTED_FROM came from: an address or
// a name; "" for other types.
func (n *Notify) Gateway() string {
	m, _ := n.meaning()
	gateway, _ := m.fields["gateway"].(string)
	return gateway
}

// redirect is a gateway's identity, then a nonce (RFC 5685, Section 9).
func redirect(b []byte) (noted, bool) {
	if len(b) < 2 || len(b) < 2+int(b[1]) {
		return noted{}, false
	}
	id, nonce := b[2:2+int(b[1])], b[2+int(b[1]):]
	gateway := hex.EncodeToString(id)
	if a, ok := netip.AddrFromSlice(id); ok && b[0] < 3 {
		gateway = a.String()
	} else if isText(id) {
		gateway = string(id)
	}
	m := noted{gateway, map[string]any{"gateway": gateway}}
	if len(nonce) > 0 {
		m.text += ", nonce " + short(nonce)
		m.fields["nonce"] = hex.EncodeToString(nonce)
	}
	return m, true
}

// ticket is a lifetime and what to resume a session with (RFC 5723, Section 7.2).
func ticket(b []byte) (noted, bool) {
	if len(b) < 4 {
		return noted{}, false
	}
	n := binary.BigEndian.Uint32(b)
	return noted{fmt.Sprintf("%d seconds, ticket %s", n, short(b[4:])), map[string]any{"lifetime_seconds": n}}, true
}

// rohc lists attributes of header compression (RFC 5857, Section 3.1).
func rohc(b []byte) (noted, bool) {
	names := map[uint16]string{1: "MAX_CID", 2: "ROHC_PROFILE", 3: "ROHC_INTEG", 4: "ROHC_ICV_LEN", 5: "MRRU"}
	all, ok := parseAttributes(b)
	var parts []string
	for _, a := range all {
		value := hex.EncodeToString(a.Data)
		if a.Short {
			value = fmt.Sprint(a.Value)
		}
		parts = append(parts, nameOr(names[a.Type], "attribute", a.Type)+"="+value)
	}
	return noted{text: strings.Join(parts, " ")}, ok
}

// messageIDSync is a nonce and the next message IDs of a cluster's member (RFC 6311, Section 5.1).
func messageIDSync(b []byte) (noted, bool) {
	if len(b) != 12 {
		return noted{}, false
	}
	send, receive := binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
	return noted{fmt.Sprintf("nonce %x, sends from message ID %d, expects %d", b[:4], send, receive),
		map[string]any{"expected_send": send, "expected_receive": receive}}, true
}

// replaySync is how far sequence numbers move on, in 32 or 64 bits (RFC 6311, Section 5.2).
func replaySync(b []byte) (noted, bool) {
	if len(b) != 4 && len(b) != 8 {
		return noted{}, false
	}
	n, _ := Attribute{Data: b}.Number()
	return noted{fmt.Sprintf("sequence numbers move on by %d", n), map[string]any{"delta": n}}, true
}

// passwordMethods lists methods of RFC 6467.
func passwordMethods(b []byte) (noted, bool) {
	names := map[uint16]string{1: "PACE", 2: "AugPAKE", 3: "Secure PSK Authentication"}
	return numbers(b, "methods", func(n uint16) string { return nameOr(names[n], "method", n) })
}

// hashes lists the hash algorithms that a peer takes in signatures (RFC 7427, Section 4).
func hashes(b []byte) (noted, bool) { return numbers(b, "hash_algorithms", HashAlgorithm) }

func numbers(b []byte, field string, name func(uint16) string) (noted, bool) {
	names := make([]string, 0, len(b)/2)
	for ; len(b) >= 2; b = b[2:] {
		names = append(names, name(binary.BigEndian.Uint16(b)))
	}
	return noted{strings.Join(names, ", "), map[string]any{field: names}}, len(b) == 0
}

func domain(b []byte) (noted, bool) {
	return noted{string(b), map[string]any{"domain": string(b)}}, isText(b)
}

// puzzle is what an initiator has to find (RFC 8019, Section 8.1).
func puzzle(b []byte) (noted, bool) {
	if len(b) != 3 {
		return noted{}, false
	}
	prf := TransformName(TransformPRF, binary.BigEndian.Uint16(b))
	return noted{fmt.Sprintf("%s, %d zero bits", prf, b[2]), map[string]any{"prf": prf, "difficulty": int(b[2])}}, true
}

// ppkIdentity names a post-quantum preshared key (RFC 8784, Section 5.1).
func ppkIdentity(b []byte) (noted, bool) {
	kind := nameOr(map[uint8]string{1: "PPK_ID_OPAQUE", 2: "PPK_ID_FIXED"}[b[0]], "PPK_ID type", b[0])
	id := hex.EncodeToString(b[1:])
	if isText(b[1:]) {
		id = string(b[1:])
	}
	return noted{kind + " " + id, map[string]any{"ppk_id": id}}, true
}

// ppkIdentityKey is such a name and eight bytes that confirm the key (RFC 9867, Section 3.1).
func ppkIdentityKey(b []byte) (noted, bool) {
	const confirmation = 8
	if len(b) <= confirmation {
		return noted{}, false
	}
	m, ok := ppkIdentity(b[:len(b)-confirmation])
	m.text += fmt.Sprintf(", confirmation %x", b[len(b)-confirmation:])
	return m, ok
}

// aggfrag says what a receiver of aggregated packets needs (RFC 9347, Section 5.1).
func aggfrag(b []byte) (noted, bool) {
	var needs []string
	if b[0]&2 != 0 {
		needs = append(needs, "congestion control")
	}
	if b[0]&1 != 0 {
		needs = append(needs, "no fragments")
	}
	if len(needs) == 0 {
		needs = append(needs, "no requirements")
	}
	return noted{text: strings.Join(needs, ", ")}, len(b) == 1
}

// authMethods lists announcements: length, method, for some a number of a CERTREQ's authority and
// an algorithm (RFC 9593, Section 3.2).
func authMethods(b []byte) (noted, bool) {
	var names []string
	for len(b) > 0 {
		n := int(b[0])
		if n < 2 || n > len(b) {
			return noted{}, false
		}
		name := AuthMethod(b[1])
		if n > 3 {
			name += " with " + algorithmName(b[3:n])
		}
		names, b = append(names, name), b[n:]
	}
	return noted{strings.Join(names, ", "), map[string]any{"auth_methods": names}}, true
}

// DataText says what the notification data mean: the sequence number of DPD (RFC 3706,
// Section 5.3), lifetimes (RFC 2407, Section 4.6.3), text, or bytes.
func (n *NotifyV1) DataText() string {
	switch b := n.Data; {
	case len(b) == 0:
		return ""
	case (n.Number == 36136 || n.Number == 36137) && len(b) == 4:
		return fmt.Sprintf("sequence %d", binary.BigEndian.Uint32(b))
	case n.Number == 24576:
		return lifetimes(n.Protocol, b)
	case n.Number == 24577 && len(b) == 4:
		return map[bool]string{true: "enabled", false: "disabled"}[binary.BigEndian.Uint32(b) != 0]
	case n.Number == 40501 && len(b) == 4:
		return netip.AddrFrom4([4]byte(b)).String()
	case isText(b):
		return string(b)
	}
	return short(n.Data)
}

func lifetimes(p Protocol, b []byte) string {
	all, ok := parseAttributes(b)
	if !ok {
		return short(b)
	}
	parts := make([]string, len(all))
	for i, a := range all {
		parts[i] = v1Attribute(p, a)
	}
	return strings.Join(parts, " ")
}

// parseAttributes reads attributes outside of a transform.
func parseAttributes(b []byte) ([]Attribute, bool) {
	return (&payloadParser{m: &Message{}, mem: &memory{}}).attributes(0, b, "data")
}
