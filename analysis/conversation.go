package analysis

import (
	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// conversation is v for the document, with its first listed messages.
func conversation(c *pair.Case, v *pair.Conversation, outcome string, listed int) report.Conversation {
	r := report.Conversation{
		ID: v.ID, Version: v.Version, Initiator: side(v.Initiator), SPIi: v.SPIi.String(), SPIr: v.SPIr.String(),
		Outcome: outcome, Messages: make([]report.Message, 0, listed), Omitted: len(v.Messages) - listed,
	}
	for _, m := range v.Messages[:listed] {
		if o, ok := offer(m); ok {
			r.Offers = append(r.Offers, o)
		}
		r.Messages = append(r.Messages, message(c, m))
	}
	return r
}

func message(c *pair.Case, m *pair.Message) report.Message {
	r := report.Message{
		Exchange: m.Exchange.String(), MessageID: m.MessageID, From: side(m.From), Role: role(m), Kind: m.Kind.String(),
		Payloads: m.Payloads, Encrypted: m.Encrypted(), Length: int(m.Length), Port: m.Transmissions()[0].Port(),
		Altered: m.Altered,
		Note:    m.Guess(),
	}
	if r.Payloads == nil {
		r.Payloads = []string{}
	}
	if m.SKLen > 0 {
		r.FirstInner = innerName(m)
	}
	if inside := m.Plain(); inside.Known {
		r.PlaintextMin, r.PlaintextMax = &inside.Min, &inside.Max
	}
	for n := range m.Notifies() {
		r.Notify = append(r.Notify, n.Name)
	}
	for _, n := range m.InnerNotifies() {
		r.Notify = append(r.Notify, n.Number.String())
	}
	r.Detail = details(m.Message, m.Inner())
	if a, b := m.Copy(pair.A), m.Copy(pair.B); m.Altered {
		r.Detail, r.DetailB = details(a, nil), details(b, nil)
	}
	listed := m.Transmissions()[:min(len(m.Transmissions()), maxTransmissions)]
	r.Omitted = len(m.Transmissions()) - len(listed)
	r.Transmissions = make([]report.Transmission, 0, len(listed))
	for _, t := range listed {
		r.Transmissions = append(r.Transmissions, report.Transmission{
			A: sighting(c, pair.A, t.At[pair.A]), B: sighting(c, pair.B, t.At[pair.B]), Fate: report.Fate(t.Fate.String()),
			Duplicate: t.Duplicate,
		})
	}
	return r
}

// role is that of m's sender in the IKE SA; a header of IKEv1 does not say it, who began the
// conversation does.
func role(m *pair.Message) string {
	switch {
	case m.Role != exchange.UnknownRole:
		return m.Role.String()
	case m.From == m.Conversation.Initiator:
		return exchange.Initiator.String()
	}
	return exchange.Responder.String()
}

// innerName names the first payload inside an encrypted message; nothing for an SKF fragment but
// the first.
func innerName(m *pair.Message) string {
	if m.Fragment > 1 {
		return ""
	}
	if m.FirstInner == ike.PayloadNone {
		return "nothing"
	}
	return ike.PayloadName(m.Major(), m.FirstInner)
}

// offer lists the proposals that m shows in clear.
func offer(m *pair.Message) (report.Offer, bool) {
	o := report.Offer{Side: side(m.From), Kind: "offered", Frame: frame(m)}
	if m.Kind == exchange.Response {
		o.Kind = "selected"
	}
	if sa := m.SA(); sa != nil {
		for _, p := range sa.Proposals {
			o.Proposals = append(o.Proposals, proposal(p))
		}
	}
	if sa := m.SAv1(); sa != nil {
		for _, p := range sa.Proposals {
			o.Proposals = append(o.Proposals, proposalsV1(p)...)
		}
	}
	return o, len(o.Proposals) > 0
}

// frame is the first frame that shows m, in the sender's capture when it has it.
func frame(m *pair.Message) int {
	for _, s := range [2]pair.Side{m.From, m.From.Other()} {
		for _, t := range m.Transmissions() {
			if t.At[s] != nil {
				return int(t.At[s].Frame)
			}
		}
	}
	return 0
}

func proposal(p ike.Proposal) report.Proposal {
	r := report.Proposal{Number: int(p.Number), Protocol: p.Protocol.String(), Transforms: []report.Transform{}}
	for _, t := range p.Transforms {
		r.Transforms = append(r.Transforms, report.Transform{
			Type: t.Type.String(), ID: int(t.ID), Name: ike.TransformName(t.Type, t.ID), Bits: t.KeyBits(),
		})
	}
	return r
}

// proposalsV1 gives every transform of an IKEv1 proposal as one proposal: in IKEv1 a transform is a
// whole set of algorithms.
func proposalsV1(p ike.ProposalV1) []report.Proposal {
	var all []report.Proposal
	for _, t := range p.Transforms {
		r := report.Proposal{Number: int(t.Number), Protocol: p.Protocol.String(), Transforms: []report.Transform{}}
		for _, a := range t.Attributes {
			name, value := ike.V1AttributeText(p.Protocol, a)
			n, _ := a.Number()
			r.Transforms = append(r.Transforms, report.Transform{Type: name, ID: int(n), Name: value})
		}
		all = append(all, r)
	}
	return all
}

// details describes the payloads for a closer look.
func details(m *exchange.Message, inner []ike.Payload) []report.Detail {
	parsed := m.Parsed()
	all := make([]report.Detail, 0, len(parsed.Payloads)+len(inner))
	for _, p := range parsed.Payloads {
		all = append(all, detail(m.Major(), p))
	}
	for _, p := range inner {
		all = append(all, detail(m.Major(), p))
	}
	for _, f := range parsed.Faults {
		all = append(all, report.Detail{Name: "malformed", Lines: []string{f.String()}})
	}
	return all
}

func detail(major int, p ike.Payload) report.Detail {
	d := report.Detail{Name: ike.PayloadName(major, p.Type())}
	if x, ok := p.(ike.Described); ok {
		d.Lines = ike.Details(x)
	}
	return d
}
