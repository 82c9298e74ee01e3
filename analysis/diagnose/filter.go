package diagnose

import (
	"fmt"
	"iter"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// withoutRest are the datagrams of s itself of which its own capture has the first fragment and not
// the last.
func (j *judge) withoutRest(s pair.Side) []*exchange.Datagram {
	var all []*exchange.Datagram
	for _, d := range j.c.Story(s).Datagrams {
		if j.c.Story(s).HidesRest(d) && j.own(s, d.Src.String()) {
			all = append(all, d)
		}
	}
	return all
}

func captureFilter(j *judge) []report.Finding {
	return j.eachStory(func(s pair.Side) *report.Finding {
		c := j.c.Parties[s].Coverage
		hidden := c.Hidden + c.Unseen
		incomplete := j.withoutRest(s)
		fragments := len(incomplete)
		if facts.AnyEmpty(j.c) {
			return nil
		}
		if c.Mute || c.Deaf {
			return j.oneDirection(s, hidden)
		}
		if hidden+fragments == 0 {
			return j.portUnseen(s)
		}
		f := &report.Finding{
			Explanation: fmt.Sprintf("The capture of %s lacks %s that it must have sent or received: "+
				"its filter does not match all of the tunnel's packets, or the router did not copy them all. These were not lost.",
				j.name(s), plural(hidden+fragments, "packet", "packets")),
			Fields: map[string]any{"hidden": hidden + fragments},
			Actions: []report.Action{j.exec(s, "the filter must permit both directions, "+
				"UDP without ports (fragments carry none) and protocol 50", "show monitor capture", "show access-lists"),
				j.exec(s, "copies of packets are policed on their way into the buffer",
					"show platform hardware qfp active infrastructure punt statistics type punt-drop")},
		}
		if fragments+c.Unseen == 0 && j.unsharedFrom(s) {
			f.Confidence = report.Possible
			f.Explanation += " But nothing is in both captures: they may be of different times, with a clock that is wrong."
		}
		for _, d := range incomplete {
			f.Evidence = append(f.Evidence,
				report.Evidence{Side: sideOf(s), Frame: d.Frames[0], Note: "a first fragment without those that must follow"})
		}
		for _, at := range [][]pair.Sight{c.HiddenAt, c.UnseenAt} {
			for _, x := range at[:min(len(at), 3)] {
				f.Evidence = append(f.Evidence,
					report.Evidence{Side: sideOf(x.Side), Frame: int(x.Frame),
						Note: "not in the other capture, which must have seen it"})
			}
		}
		return f
	})
}

// unsharedFrom says whether nothing is in both captures, though each holds packets of s: then not
// even that both are of the same time is sure.
func (j *judge) unsharedFrom(s pair.Side) bool {
	return slices.ContainsFunc(j.path.Stretches(), func(st *facts.Stretch) bool { return st.From == s && st.Unshared })
}

// oneDirection is the finding that a capture holds nothing of one direction, of which hidden
// packets are proven: not what a filter for some protocols does, but what an interface does that
// they do not pass.
func (j *judge) oneDirection(s pair.Side, hidden int) *report.Finding {
	c := j.c.Parties[s].Coverage
	what, way := "that this side sent", "leaves"
	if c.Deaf {
		what, way = "that reached this side", "comes in"
	}
	f := &report.Finding{
		Explanation: fmt.Sprintf("The capture of %s holds no packet of the tunnel %s, though there were some: that "+
			"direction %s by another interface (an asymmetric path), or the capture is of one direction only. These were "+
			"not lost.",
			j.name(s), what, way),
		Fields: map[string]any{"hidden": max(hidden, 1)},
		Actions: []report.Action{j.exec(s, "by which interface the packets "+map[bool]string{true: "come in",
			false: "leave"}[c.Deaf]+": capture there too, and in both directions",
			j.toward(s, "show ip cef %s", "show ip route %s", "show monitor capture")...)},
	}
	for _, at := range [][]pair.Sight{c.HiddenAt, c.UnseenAt} {
		for _, x := range at[:min(len(at), 3)] {
			f.Evidence = append(f.Evidence,
				report.Evidence{Side: sideOf(x.Side), Frame: int(x.Frame),
					Note: "not in the other capture, which must have seen it"})
		}
	}
	if len(f.Evidence) == 0 {
		f.Evidence = j.anyOf(s)
	}
	return f
}

// anyOf is a packet of the negotiation in the capture of s, which goes on without an answer in it.
func (j *judge) anyOf(s pair.Side) []report.Evidence {
	for m := range j.c.Messages() {
		if x := m.Copy(s); x != nil && m.SPIr != 0 {
			return []report.Evidence{{Side: sideOf(s), Frame: int(x.Sent()[0].Frame),
				Note: "it goes on from an answer that this capture lacks"}}
		}
	}
	for _, f := range j.c.Flows {
		if x := f.At[s]; x != nil && !f.Foreign {
			return []report.Evidence{{Side: sideOf(s), Frame: int(x.First.Frame),
				Note: "all that it holds is of this direction"}}
		}
	}
	return nil
}

// portUnseen is the finding that both captures hold port 500 alone, of a negotiation that a NAT
// made go on over port 4500: an initiator that has the answer and finds a NAT sends its next
// message there (RFC 7296, Section 2.23; RFC 3947, Section 4).
func (j *judge) portUnseen(s pair.Side) *report.Finding {
	for last := range answersBeforeFloat(j.c) {
		if last.Conversation.Initiator != s || j.c.Story(s).Last-last.Copy(s).Sent()[0].Nanos < promptly {
			continue
		}
		action := "the filter must permit UDP 4500 as well: UDP without ports, and protocol 50"
		return &report.Finding{
			Conversation: last.Conversation.ID,
			Explanation: fmt.Sprintf("%s is answered through a NAT, so the negotiation goes on over UDP 4500, and neither "+
				"capture holds a packet of that: their filters match UDP 500 only. Nothing is lost.", capital(one(last.Exchange))),
			Fields:   map[string]any{"hidden": 1},
			Evidence: evidence("what follows goes to UDP 4500", last),
			Actions: []report.Action{j.exec(s, action, "show monitor capture", "show access-lists"),
				j.exec(s.Other(), action, "show monitor capture", "show access-lists")},
		}
	}
	return nil
}

// promptly is the time in which an initiator goes on after an answer, with room for slow
// signatures. A capture that ended earlier may have missed the next message.
const promptly = 5e9

// answersBeforeFloat yields the answers in clear that end conversations through a NAT although
// their initiators got them; none when a packet of UDP 4500 was seen.
func answersBeforeFloat(c *pair.Case) iter.Seq[*pair.Message] {
	return func(yield func(*pair.Message) bool) {
		if !c.TwoSided() || holdsNATT(c.Story(pair.A)) || holdsNATT(c.Story(pair.B)) {
			return
		}
		for _, v := range c.Conversations {
			if last := lastBeforeFloat(v); last != nil && !yield(last) {
				return
			}
		}
	}
}

// lastBeforeFloat is the answer in clear that ends a conversation through a NAT although its
// initiator got it; nil when the conversation ends in another way.
func lastBeforeFloat(v *pair.Conversation) *pair.Message {
	if len(v.Messages) == 0 {
		return nil
	}
	if _, nat := facts.BehindNAT(v); !nat {
		return nil
	}
	last := v.Messages[len(v.Messages)-1]
	got := last.Copy(v.Initiator)
	if last.From == v.Initiator || got == nil || last.Encrypted() || !last.HasNATD() {
		return nil
	}
	arrived := got.Sent()[0].Nanos
	for _, m := range v.Messages {
		if mine := m.Copy(v.Initiator); m.From == v.Initiator && mine != nil &&
			mine.Sent()[len(mine.Sent())-1].Nanos > arrived {
			return nil // it asks again, so it did not take the answer
		}
	}
	return last
}

// holdsMarker says whether a message stands behind a non-ESP marker, as on UDP 4500.
func holdsMarker(s *exchange.Story) bool {
	for m := range s.Messages.All() {
		if m.Sent()[0].Marker {
			return true
		}
	}
	return false
}

// holdsNATT says whether a capture holds anything of UDP 4500.
func holdsNATT(s *exchange.Story) bool {
	return len(s.Keepalives) > 0 ||
		slices.ContainsFunc(s.Flows, func(f *exchange.Flow) bool { return f.UDP }) ||
		holdsMarker(s) ||
		slices.ContainsFunc(s.Datagrams, func(d *exchange.Datagram) bool { return d.SrcPort == 4500 || d.DstPort == 4500 })
}
