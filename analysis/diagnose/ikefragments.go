package diagnose

import (
	"fmt"

	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// inParts names a message that travels in IKE fragments: SKF payloads of IKEv2 (RFC 7383), FRAG
// payloads of IKEv1.
type inParts struct {
	conversation *pair.Conversation
	id           uint32
	from         pair.Side
	parts        int // IKEv2
	request      bool
	frag         uint16 // IKEv1: the identifier that its fragments had first
}

// partsSeen is what became of the fragments of one message, by their numbers.
type partsSeen struct {
	sent, arrived map[int]bool
	lost          []*pair.Message
	open          bool // whether it arrived in a later round is not known
}

func ikeFragmentsLost(j *judge) []report.Finding {
	if !j.c.TwoSided() {
		return nil
	}
	seen := map[inParts]*partsSeen{}
	var order []inParts
	var v1 facts.FragsV1
	for m := range j.c.MessagesWhere((*pair.Conversation).Troubled) {
		k, number := inParts{m.Conversation, m.MessageID, m.From, int(m.Fragments), m.Kind == 0, 0}, int(m.Fragment)
		if f := m.Frag(); f != nil {
			number = int(f.Part)
			k.frag, _ = v1.Name(m, f)
		} else if m.Fragments == 0 {
			continue
		}
		p := seen[k]
		if p == nil {
			p = &partsSeen{sent: map[int]bool{}, arrived: map[int]bool{}}
			seen[k] = p
			order = append(order, k)
		}
		p.sent[number] = true
		if n := m.Tally(); n.Delivered > 0 {
			p.arrived[number] = true
		} else if n.Lost > 0 {
			p.lost = append(p.lost, m)
		} else if m.Frag() != nil && n.Unknown > 0 {
			p.open = true // a later round, behind the end of the capture
		}
	}
	var all []report.Finding
	for _, k := range order {
		p := seen[k]
		if missing := len(p.sent) - len(p.arrived); len(p.lost) > 0 && missing > 0 && len(p.arrived) > 0 && !p.open {
			all = append(all, j.partsLost(k, p))
		}
	}
	return all
}

func (j *judge) partsLost(k inParts, p *partsSeen) report.Finding {
	return report.Finding{
		Confidence: report.Certain, Conversation: k.conversation.ID,
		Explanation: fmt.Sprintf("Of the %d IKE fragments of %s of %s, %s at %s.", len(p.sent), one(p.lost[0].Exchange),
			j.name(k.from), plural(len(p.sent)-len(p.arrived), "never arrives", "never arrive"), j.name(k.from.Other())),
		Evidence: evidence("sent, and not in the other capture", p.lost...),
		Actions:  []report.Action{j.smallerFragments(k.conversation.Version, k.from)},
		Subject:  sentBy(k.from),
		Fields: map[string]any{"fragments_sent": len(p.sent),
			"fragments_seen": len(p.arrived)},
	}
}

// smallerFragments is what to do where some IKE fragments that s sends do not arrive.
func (j *judge) smallerFragments(version int, s pair.Side) report.Action {
	if version == 1 { // whose fragments have a fixed size
		return j.exec(s, "what the path does with large UDP packets",
			j.toward(s, "show crypto isakmp sa", "ping %s size 1400 df-bit")...)
	}
	return j.config(s, "smaller fragments", "crypto ikev2 fragmentation mtu 1000")
}
