package diagnose

import (
	"fmt"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// A debug is the router's own interpretation, a packet is fact. They are matched by SPI, message ID, exchange and role, since
// the log's times have no year and no zone that could be trusted.

// debugMatch is one side's log, joined with its capture.
type debugMatch struct {
	log      DebugLog
	matched  int
	unsent   []DebugPacket   // the log sent them, the capture does not have them
	unheard  []*pair.Message // the capture received them, the log does not
	anything bool            // the log names packets at all
}

// debugOf joins the log of s with its capture, once.
func (j *judge) debugOf(s pair.Side) *debugMatch {
	if j.debugs[s] != nil {
		return j.debugs[s]
	}
	d := &debugMatch{}
	j.debugs[s] = d
	if len(j.o.Debug[s]) == 0 || j.c.Story(s) == nil {
		return d
	}
	d.log = ParseDebug(string(j.o.Debug[s]))
	d.anything = len(d.log.Packets) > 0
	first, last := -1, -1
	found := make([]bool, len(d.log.Packets))
	for i, p := range d.log.Packets {
		if found[i] = j.captured(s, p); found[i] {
			d.matched++
			last = i
			if first < 0 {
				first = i
			}
		}
	}
	for i, p := range d.log.Packets {
		// Outside of what matched, the log may be of a time that was not captured.
		if !found[i] && p.Sent && (first >= 0 && i > first && i < last || j.knowsSPI(p.SPIi)) {
			d.unsent = append(d.unsent, p)
		}
	}
	if d.anything {
		d.unheard = j.unheard(s, d)
	}
	return d
}

func (j *judge) knowsSPI(spi ike.SPI) bool {
	for _, t := range j.talks {
		if t.SPIi == spi {
			return true
		}
	}
	return false
}

// captured says whether s's capture holds the packet that a line of its log names.
func (j *judge) captured(s pair.Side, p DebugPacket) bool {
	for m := range j.c.Messages() {
		if sameMessage(m, p) && (m.From == s) == p.Sent && m.Copies[s] != nil {
			return true
		}
	}
	return false
}

func sameMessage(m *pair.Message, p DebugPacket) bool {
	return m.SPIi == p.SPIi && (m.SPIr == p.SPIr || p.SPIr == 0 || m.SPIr == 0) && m.MessageID == p.MessageID &&
		m.Exchange.String() == p.Exchange && m.Response() == p.Response
}

// unheard are the messages that arrived at s by its capture, in conversations that its log follows, and that the log does
// not name as received.
func (j *judge) unheard(s pair.Side, d *debugMatch) []*pair.Message {
	var all []*pair.Message
	for m := range j.c.Messages() {
		if m.From == s || m.Copies[s] == nil || m.Major() != 2 || m.Fragment > 1 || m.Copies[s].Truncated {
			continue
		}
		heard, follows := false, false
		for _, p := range d.log.Packets {
			heard = heard || !p.Sent && sameMessage(m, p)
			follows = follows || p.SPIi == m.SPIi
		}
		// A request that opens a conversation leaves no trace in a log that never received it.
		if !heard && (follows || m.Exchange == ike.IKESAInit && !m.Response() && m.AnsweredBy == nil) {
			all = append(all, m)
		}
	}
	return all
}

func debugAgrees(j *judge) []report.Finding {
	var all []report.Finding
	for _, s := range pair.Both {
		d := j.debugOf(s)
		if d.matched == 0 || len(d.unsent)+len(d.unheard) > 0 {
			continue
		}
		all = append(all, report.Finding{
			Confidence:  report.Certain,
			Explanation: fmt.Sprintf("All %s that the debug of %s names are in its capture, and the debug received what arrived.", plural(d.matched, "packet", "packets"), j.name(s)),
			Fields:      map[string]any{"side": s.String(), "matched": d.matched},
		})
	}
	return all
}

func debugNotCaptured(j *judge) []report.Finding {
	var all []report.Finding
	for _, s := range pair.Both {
		for _, p := range j.debugOf(s).unsent {
			all = append(all, report.Finding{
				Confidence:  report.Certain,
				Explanation: fmt.Sprintf("The debug of %s (line %d) says that it sent %s, and its own capture does not have it: the packet never left by the captured interface.", j.name(s), p.Line, p),
				Actions: []report.Action{j.exec(s, "what drops it inside the router, or another interface by which it leaves",
					j.toward(s, "show ip cef %s", "show platform hardware qfp active statistics drop", "show policy-map control-plane")...)},
				Fields: map[string]any{"side": s.String(), "message": p.String(), "debug_line": p.Line},
			})
			break
		}
	}
	return all
}

func debugNotReceived(j *judge) []report.Finding {
	var all []report.Finding
	for _, s := range pair.Both {
		missed := j.debugOf(s).unheard
		if len(missed) == 0 {
			continue
		}
		m := missed[0]
		all = append(all, report.Finding{
			Confidence: report.Certain, Conversation: m.Conversation.ID,
			Explanation: fmt.Sprintf("%s MID=%d of %s is in the capture of %s, and its debug never received it: it was dropped between the interface and IKE.",
				m.Exchange, m.MessageID, j.name(m.From), j.name(s)),
			Evidence: evidence("arrived, and not received by IKE", m),
			Actions: []report.Action{j.exec(s, "a filter, control-plane policing or another VRF between interface and IKE",
				"show policy-map control-plane", "show ip access-lists", "show platform hardware qfp active statistics drop")},
			Fields: map[string]any{"side": s.String(), "message": fmt.Sprintf("%s MID=%d", m.Exchange, m.MessageID)},
		})
	}
	return all
}
