package diagnose

import (
	"fmt"
	"strings"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// A debug is the router's own interpretation, a packet is fact. They are matched by SPI, message
// ID, exchange and role. Log and capture are of one clock, but the log's times have no year and no
// zone that could be trusted: a line that matched a packet tells by how much they differ.

// debugMatch is one side's log, joined with its capture.
type debugMatch struct {
	log     facts.Debug
	matched int
	lines   int                 // that name a packet to or from the peer
	unsent  []facts.DebugPacket // the log sent them while the capture worked, and no capture has them

	// The capture received them while the log was written, and IKE neither names them
	// nor acted upon them.
	unheard []*pair.Message

	silent   int             // the log does not name them, but IKE acted upon them: it is not complete
	before   report.Evidence // the last matched packet before the first of unsent
	from, to int64           // the log was written between these times of the capture; to is 0 when nothing matched
}

type debugKey struct {
	spi      ike.SPI
	id       uint32
	exchange string
	response bool
	sent     bool
}

// debugJoin is what is needed to join a log with a capture.
type debugJoin struct {
	j        *judge
	s        pair.Side
	d        *debugMatch
	messages map[debugKey][]*pair.Message
	seen     map[debugKey]int // lines so far
	sights   []*exchange.Sight
	shift    int64 // from the log's times to the capture's
	timed    bool
	fine     bool // the log's times have fractions of a second
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
	d.log = facts.ReadDebug(j.o.Debug[s])
	x := &debugJoin{j: j, s: s, d: d, messages: map[debugKey][]*pair.Message{}, seen: map[debugKey]int{}}
	for m := range j.c.Messages() {
		k := debugKey{m.SPIi, m.MessageID, m.Exchange.String(), m.Response(), m.From == s}
		x.messages[k] = append(x.messages[k], m)
	}
	d.log.Packets = x.ofPeer(d.log.Packets)
	d.lines = len(d.log.Packets)
	for _, p := range d.log.Packets {
		x.fine = x.fine || p.At.Nanosecond() > 0
	}
	x.match()
	x.findUnsent()
	x.findUnheard()
	return d
}

// ofPeer leaves out what the log says of other peers.
func (x *debugJoin) ofPeer(all []facts.DebugPacket) []facts.DebugPacket {
	p := &x.j.c.Parties[x.s.Other()]
	known := len(p.Addresses) > 0 || p.Known.IsValid()
	var mine []facts.DebugPacket
	for _, d := range all {
		if known && d.Remote.IsValid() && !p.Is(d.Remote.Addr()) && len(x.messages[keyOf(d)]) == 0 {
			continue
		}
		mine = append(mine, d)
	}
	return mine
}

func keyOf(p facts.DebugPacket) debugKey {
	return debugKey{ike.SPI(p.SPIi), p.MessageID, p.Exchange, p.Response, p.Sent}
}

// match finds the packet of each line: the n-th line of a message is of its n-th packet.
func (x *debugJoin) match() {
	for _, p := range x.d.log.Packets {
		k := keyOf(p)
		sight := x.sight(k, ike.SPI(p.SPIr), x.seen[k])
		x.seen[k]++
		x.sights = append(x.sights, sight)
		if sight == nil {
			continue
		}
		x.d.matched++
		if x.d.to == 0 {
			x.d.from, x.d.to = sight.Nanos, sight.Nanos
		}
		x.d.from, x.d.to = min(x.d.from, sight.Nanos), max(x.d.to, sight.Nanos)
		if !x.timed && !p.At.IsZero() && !x.j.c.Parties[x.s].Untimed {
			x.shift, x.timed = sight.Nanos-p.At.UnixNano(), true
		}
	}
	if x.timed {
		x.d.from = min(x.d.from, x.d.log.First.UnixNano()+x.shift)
		x.d.to = max(x.d.to, x.d.log.Last.UnixNano()+x.shift)
	}
}

// sight is the n-th packet of a message in the side's own capture, the last one when there are not
// so many; nil without any.
func (x *debugJoin) sight(k debugKey, spiR ike.SPI, n int) *exchange.Sight {
	var own []*exchange.Sight
	for _, m := range x.candidates(k, spiR) {
		for _, t := range m.Transmissions() {
			if t.At[x.s] != nil && !t.Duplicate {
				own = append(own, t.At[x.s])
			}
		}
	}
	if len(own) == 0 {
		return nil
	}
	return own[min(n, len(own)-1)]
}

func (x *debugJoin) candidates(k debugKey, spiR ike.SPI) []*pair.Message {
	var all []*pair.Message
	for _, m := range x.messages[k] {
		if m.SPIr == spiR || spiR == 0 || m.SPIr == 0 {
			all = append(all, m)
		}
	}
	return all
}

// findUnsent picks the lines that sent what no capture has, at moments at which the side's own
// capture worked. What the log received and the capture lacks proves that it did not.
func (x *debugJoin) findUnsent() {
	v := &x.j.c.Parties[x.s].Coverage
	first, last := -1, -1
	for i, sight := range x.sights {
		if sight != nil {
			last = i
			if first < 0 {
				first = i
			}
		}
	}
	if first < 0 || v.Hidden > 0 || v.Unseen > 0 || x.j.c.Parties[x.s].Leaky || len(x.j.withoutRest(x.s)) > 0 {
		return
	}
	for i, p := range x.d.log.Packets {
		if x.sights[i] != nil || x.elsewhere(p) {
			continue
		}
		if !p.Sent {
			if i > first && i < last {
				x.d.unsent = nil
				return
			}
			continue
		}
		if x.captureWorked(i, first, last) {
			if len(x.d.unsent) == 0 {
				x.d.before = x.lastBefore(i)
			}
			x.d.unsent = append(x.d.unsent, p)
		}
	}
}

// captureWorked says whether the capture demonstrably took packets when line i was written: after
// its first one, and before its last one or little later.
func (x *debugJoin) captureWorked(i, first, last int) bool {
	p, c := x.d.log.Packets[i], x.j.c
	if x.timed && !p.At.IsZero() {
		at := p.At.UnixNano() + x.shift
		return (x.fine || i > first) && at >= c.Story(x.s).First && c.Parties[x.s].Coverage.Covers(c.Aligned(at, x.s))
	}
	return i > first && (i < last || x.knowsSPI(ike.SPI(p.SPIi)))
}

func (x *debugJoin) knowsSPI(spi ike.SPI) bool { return x.j.bySPI(spi) != nil }

// lastBefore is the last packet before line i that the capture has.
func (x *debugJoin) lastBefore(i int) report.Evidence {
	for k := min(i, len(x.sights)-1); k >= 0; k-- {
		if s := x.sights[k]; s != nil {
			return report.Evidence{Side: sideOf(x.s), Frame: int(s.Frame),
				Note: "the last packet of the debug that the capture has before it"}
		}
	}
	return report.Evidence{}
}

// elsewhere says whether the other side's capture has the packet: then it left.
func (x *debugJoin) elsewhere(p facts.DebugPacket) bool {
	for _, m := range x.candidates(keyOf(p), ike.SPI(p.SPIr)) {
		if m.Copy(x.s.Other()) != nil {
			return true
		}
	}
	return false
}

// logDelay is by how much a line may be written later than its packet was captured.
const logDelay = 20e6

// findUnheard picks the messages that arrived while the log was written and that it does not name
// as received.
func (x *debugJoin) findUnheard() {
	if x.d.to == 0 {
		return
	}
	for m := range x.j.c.Messages() {
		copy := m.Copy(x.s)
		if m.From == x.s || copy == nil || m.Major() != 2 || m.Fragment > 1 || copy.Truncated || m.Conversation.Foreign {
			continue
		}
		k := debugKey{m.SPIi, m.MessageID, m.Exchange.String(), m.Response(), false}
		at := copy.Sent()[0].Nanos
		if x.seen[k] > 0 || at < x.d.from || at+logDelay > x.d.to {
			continue
		}
		if x.actedUpon(m) {
			x.d.silent++
		} else {
			x.d.unheard = append(x.d.unheard, m)
		}
	}
}

// actedUpon says whether IKE answered m, or went on after it.
func (x *debugJoin) actedUpon(m *pair.Message) bool {
	if m.AnsweredBy() != nil && m.AnsweredBy().Copy(x.s) != nil {
		return true
	}
	if m.Answers() == nil {
		return false
	}
	for _, o := range m.Conversation.Messages {
		if o.From == x.s && !o.Response() && o.MessageID > m.MessageID &&
			o.Transmissions()[0].Aligned >= m.Transmissions()[0].Aligned {
			return true
		}
	}
	return false
}

func debugAgrees(j *judge) []report.Finding {
	var all []report.Finding
	for _, s := range pair.Both {
		d := j.debugOf(s)
		if d.matched == 0 || d.matched < d.lines || len(d.unheard)+d.silent > 0 {
			continue
		}
		all = append(all, report.Finding{
			Confidence: report.Certain,
			Explanation: fmt.Sprintf("The debug of %s names %s to or from the peer, and its capture has all of them; "+
				"what arrived while it was written, it received.", j.name(s), plural(d.matched, "packet", "packets")),
			Subject: onSide(s),
			Fields:  map[string]any{"matched": d.matched},
		})
	}
	return all
}

func debugNotCaptured(j *judge) []report.Finding {
	var all []report.Finding
	for _, s := range pair.Both {
		told := map[string]bool{}
		d := j.debugOf(s)
		for _, p := range d.unsent {
			if told[ike.SPI(p.SPIi).String()+p.String()] {
				continue // sent again, and not captured again
			}
			told[ike.SPI(p.SPIi).String()+p.String()] = true
			f := report.Finding{
				Confidence: report.Certain, Conversation: j.conversationOf(ike.SPI(p.SPIi)),
				Explanation: fmt.Sprintf("The debug of %s (line %d) says that it sent %s, and its own capture does not have it: "+
					"the packet never left by the captured interface.", j.name(s), p.Line, p),
				Actions: []report.Action{j.exec(s, "what drops it inside the router, or another interface by which it leaves",
					j.toward(s, "show ip cef %s", "show platform hardware qfp active statistics drop",
						"show policy-map control-plane")...)},
				Subject: onSide(s),
				Fields:  map[string]any{"message": p.String(), "debug_line": p.Line},
			}
			if d.before.Frame > 0 {
				f.Evidence = []report.Evidence{d.before}
			}
			all = append(all, f)
		}
	}
	return all
}

// conversationOf is the conversation with an initiator's SPI, empty when no capture has one.
func (j *judge) conversationOf(spi ike.SPI) string {
	if t := j.bySPI(spi); t != nil {
		return t.ID
	}
	return ""
}

func debugNotReceived(j *judge) []report.Finding {
	var all []report.Finding
	for _, s := range pair.Both {
		for _, m := range j.debugOf(s).unheard {
			what := fmt.Sprintf("%s %s MID=%d", m.Exchange, strings.ToUpper(m.Kind.String()), m.MessageID)
			all = append(all, report.Finding{
				Confidence: report.Certain, Conversation: m.Conversation.ID,
				Explanation: fmt.Sprintf("%s of %s is in the capture of %s, and its debug never received it: "+
					"it was dropped between the interface and IKE.", what, j.name(m.From), j.name(s)),
				Evidence: evidence("arrived, and not received by IKE", m),
				Actions: []report.Action{j.exec(s, "a filter, control-plane policing or another VRF between interface and IKE",
					"show policy-map control-plane", "show ip access-lists", "show platform hardware qfp active statistics drop")},
				Subject: onSide(s),
				Fields:  map[string]any{"message": what},
			})
		}
	}
	return all
}
