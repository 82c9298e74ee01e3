package ike

import (
	"encoding/binary"
	"fmt"
	"strconv"
)

// GroupPayload is a Group Security Association payload, or a Key Download payload: what a key
// server tells a group's members (RFC 9838, Sections 4.4 and 4.5). One of another layout, as drafts
// before it had, is an *Unknown.
type GroupPayload struct {
	Generic
	Number PayloadType // PayloadGSA or PayloadKD
	Parts  []GroupPart // policies, or key bags
	Data   []byte      // all of them
}

// GroupPart is a policy or a key bag: of an SA of the group, or, with the protocol 0, of the whole
// group or of one member of it.
type GroupPart struct {
	Protocol   Protocol
	SPI        []byte
	Selectors  []Selector // of a policy: source and destination
	Transforms []Transform
	Attributes []Attribute
}

// Type returns PayloadGSA or PayloadKD.
func (g *GroupPayload) Type() PayloadType { return g.Number }

func (g *GroupPayload) appendBody(dst []byte) []byte { return append(dst, g.Data...) }

// group reads the substructures of a payload; nil where they are not as RFC 9838 has them.
func (p *payloadParser) group(t PayloadType) Payload {
	g := &GroupPayload{Generic: p.generic, Number: t, Data: p.b}
	// What contradicts itself is no fault of the message: it may be of a draft.
	q := &payloadParser{m: &Message{}, mem: p.mem}
	for b := p.b; len(b) > 0; {
		if len(b) < 4 {
			return nil
		}
		n := int(binary.BigEndian.Uint16(b[2:]))
		if n < 4 || n > len(b) {
			return nil
		}
		q.b = b[:n]
		part, ok := q.groupPart(t)
		if !ok {
			return nil
		}
		g.Parts = append(g.Parts, part)
		b = b[n:]
	}
	return g
}

// groupPart reads one substructure, of which the first byte tells the kind: 0 is for no SA.
func (p *payloadParser) groupPart(t PayloadType) (part GroupPart, ok bool) {
	b := p.b
	part.Protocol = Protocol(b[0])
	at := 4
	if part.Protocol != ProtocolNone {
		if at += int(b[1]); at > len(b) {
			return part, false
		}
		part.SPI = b[4:at]
		if t == PayloadGSA {
			if at, ok = part.policy(p, at); !ok {
				return part, false
			}
		}
	}
	part.Attributes, ok = p.attributes(at, b[at:], "group")
	return part, ok
}

// policy reads the selectors and the transforms of an SA's policy from at on, and says where they
// end.
func (g *GroupPart) policy(q *payloadParser, at int) (end int, ok bool) {
	for range 2 {
		s, n, ok := q.selector(at, "GSA")
		if !ok {
			return at, false
		}
		g.Selectors = append(g.Selectors, s)
		at += n
	}
	for more := at < len(q.b); more; {
		if len(q.b)-at < 8 {
			return at, false
		}
		more = q.b[at] == 3 // RFC 7296, Section 3.3.2
		t, n, ok := q.transform(at, q.b[at:])
		if !ok || !more && q.b[at] != 0 {
			return at, false
		}
		g.Transforms = append(g.Transforms, t)
		at += n
	}
	return at, true
}

// groupAttributes are the names of the attributes of policies and of key bags, each of an SA and of
// none (IANA, IKEv2: "GSA Attributes", "Group-wide Policy Attributes", "Group Key Bag Attributes",
// "Member Key Bag Attributes").
var groupAttributes = map[PayloadType][2][]string{
	PayloadGSA: {{"GWP_ATD", "GWP_DTD", "GWP_SENDER_ID_BITS"},
		{"GSA_KEY_LIFETIME", "GSA_INITIAL_MESSAGE_ID", "GSA_NEXT_SPI"}},
	PayloadKD: {{"WRAP_KEY", "AUTH_KEY", "GM_SENDER_ID"}, {"SA_KEY"}},
}

// attributeName is the name of an attribute of a part; one that is not known keeps its number.
func (g *GroupPart) attributeName(of PayloadType, a Attribute) string {
	sa := 0
	if g.Protocol != ProtocolNone {
		sa = 1
	}
	if names := groupAttributes[of][sa]; a.Type > 0 && int(a.Type) <= len(names) {
		return names[a.Type-1]
	}
	return "attribute " + strconv.Itoa(int(a.Type))
}

// wrapped are the IDs of a wrapped key and of the key that it is encrypted with (RFC 9838, Section
// 4.5.4), if the attribute is one.
func wrapped(name string, a Attribute) (key, by uint32, ok bool) {
	if name != "SA_KEY" && name != "WRAP_KEY" || a.Short || len(a.Data) < 8 {
		return 0, 0, false
	}
	return binary.BigEndian.Uint32(a.Data), binary.BigEndian.Uint32(a.Data[4:]), true
}

// number is the value of an attribute that is one.
func (a Attribute) groupNumber(name string) (uint32, bool) {
	switch {
	case a.Short:
		return uint32(a.Value), true
	case (name == "GSA_KEY_LIFETIME" || name == "GSA_INITIAL_MESSAGE_ID") && len(a.Data) == 4:
		return binary.BigEndian.Uint32(a.Data), true
	}
	return 0, false
}

// Details lists the policies, or the key bags, a line each, and behind each what belongs to it.
func (g *GroupPayload) Details(l *Lines) {
	for _, part := range g.Parts {
		l.Text(g.title(part)).End()
		for i, s := range part.Selectors {
			l.Text([2]string{"  source ", "  destination "}[i]).Text(s.String()).End()
		}
		for _, t := range part.Transforms {
			l.Text("  ").Text(t.Name()).End()
		}
		for _, a := range part.Attributes {
			name := part.attributeName(g.Number, a)
			l.Text("  ").Text(name).Text(": ")
			if key, by, ok := wrapped(name, a); ok {
				l.Text(fmt.Sprintf("key %d, encrypted with key %d, ", key, by)).Int(len(a.Data) - 8).Text(" bytes").End()
			} else if n, ok := a.groupNumber(name); ok {
				l.Text(strconv.FormatUint(uint64(n), 10)).End()
			} else {
				l.Short(a.Data).End()
			}
		}
	}
}

func (g *GroupPayload) title(part GroupPart) string {
	kinds := [2]string{"policy", "key bag"}
	kind, none := kinds[0], "group-wide "
	if g.Number == PayloadKD {
		kind, none = kinds[1], "member's "
	}
	if part.Protocol == ProtocolNone {
		return none + kind
	}
	return fmt.Sprintf("%s of %s, SPI %x", kind, part.Protocol, part.SPI)
}

// Fields writes the policies, or the key bags.
func (g *GroupPayload) Fields(o *Object) {
	name := "policies"
	if g.Number == PayloadKD {
		name = "key_bags"
	}
	o.List(name)
	for _, part := range g.Parts {
		o.Open()
		part.fields(o, g.Number)
		o.Close()
	}
	o.EndList()
}

func (g *GroupPart) fields(o *Object, of PayloadType) {
	o.List("attributes")
	for _, a := range g.Attributes {
		name := g.attributeName(of, a)
		o.Open()
		if !a.Short {
			o.Hex("data", a.Data)
		}
		if key, by, ok := wrapped(name, a); ok {
			o.Uint("key_id", uint64(key))
			o.Uint("kwk_id", uint64(by))
		}
		o.String("name", name)
		o.Int("type", int(a.Type))
		if n, ok := a.groupNumber(name); ok {
			o.Uint("value", uint64(n))
		}
		o.Close()
	}
	o.EndList()
	o.Int("protocol", int(g.Protocol))
	o.String("protocol_name", g.Protocol.String())
	if of == PayloadGSA && g.Protocol != ProtocolNone {
		o.List("selectors")
		for _, s := range g.Selectors {
			o.Open()
			s.fields(o)
			o.Close()
		}
		o.EndList()
	}
	if len(g.SPI) > 0 {
		o.Hex("spi", g.SPI)
	}
	if of == PayloadGSA && g.Protocol != ProtocolNone {
		transformFields(o, g.Transforms)
	}
}
