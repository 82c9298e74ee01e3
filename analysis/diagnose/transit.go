package diagnose

import (
	"fmt"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

func payloadAltered(j *judge) []report.Finding {
	var all []report.Finding
	for m := range j.c.MessagesWhere((*pair.Conversation).Troubled) {
		if !m.Altered {
			continue
		}
		all = append(all, report.Finding{
			Confidence: report.Certain, Conversation: m.Conversation.ID,
			Explanation: fmt.Sprintf("%s message of %s arrives with other bytes than it was sent with, from byte %d on: "+
				"a device on the path rewrites IKE.", capital(one(m.Exchange)), j.name(m.From), m.DifferAt()),
			Evidence: evidence("the same message, with different bytes", m),
			Actions: []report.Action{path(m.From, "an application gateway for IPsec on a NAT or firewall: turn it off",
				"no ip nat service ipsec-esp enable")},
			Subject: sentBy(m.From),
			Fields:  map[string]any{"first_difference_offset": m.DifferAt()},
		})
	}
	return all
}

func duplicatedOnPath(j *judge) []report.Finding {
	var all []report.Finding
	for _, s := range pair.Both {
		var twice []*pair.Transmission
		for m := range j.c.MessagesWhere((*pair.Conversation).Troubled) {
			if m.From != s {
				continue
			}
			for _, t := range m.Transmissions() {
				if t.Duplicate && !t.CaptureCopy && t.At[s] == nil && t.CopyOf() != nil && t.CopyOf().At[s] != nil {
					twice = append(twice, t)
				}
			}
		}
		shown := sights("arrived again", twice...)
		count := len(twice)
		for _, f := range j.c.Flows {
			if f.From == s && f.Twice > 0 && !f.Foreign {
				count += f.Twice
				shown = append(shown, report.Evidence{Side: sideOf(s.Other()), Frame: int(f.At[s.Other()].Copy.Frame),
					Note: "arrived again: " + protected(f.At[s])})
			}
		}
		if count == 0 || !j.c.TwoSided() {
			continue
		}
		all = append(all, report.Finding{
			Confidence: report.Certain,
			Explanation: fmt.Sprintf("%s of %s arrived at %s more often than sent.", plural(count, "packet", "packets"),
				j.name(s), j.name(s.Other())),
			Evidence: shown,
			Subject:  sentBy(s),
			Fields:   map[string]any{"count": count},
		})
	}
	return all
}

func reorderedOnPath(j *judge) []report.Finding {
	var all []report.Finding
	if !j.c.TwoSided() {
		return nil
	}
	for _, s := range pair.Both {
		late := j.overtaken(s)
		count, shown := len(late), sights("arrived late", late...)
		for _, f := range j.c.Flows {
			if x := f.At[s.Other()]; f.From == s && x != nil && f.At[s] != nil && x.Reordered > f.At[s].Reordered {
				count += x.Reordered - f.At[s].Reordered
				shown = append(shown,
					report.Evidence{Side: sideOf(s.Other()), Frame: int(x.LatePoint.Frame), Note: "the ESP packet farthest behind"})
			}
		}
		if count == 0 {
			continue
		}
		all = append(all, report.Finding{
			Confidence: report.Certain,
			Explanation: fmt.Sprintf("%s of %s arrived at %s behind later ones.", plural(count, "packet", "packets"), j.name(s),
				j.name(s.Other())),
			Evidence: shown,
			Subject:  sentBy(s),
			Fields:   map[string]any{"count": count},
		})
	}
	return all
}

// overtaken are the sendings of s that arrived behind ones that were sent later (RFC 4737, Section
// 3.3): not those that overtook them.
func (j *judge) overtaken(s pair.Side) (late []*pair.Transmission) {
	arrivals := func(yield func(int, *pair.Transmission) bool) {
		place := 0
		for _, t := range j.c.Sent(s, 0) {
			if t.At[pair.A] == nil || t.At[pair.B] == nil {
				continue
			}
			if !yield(place, t) {
				return
			}
			place++
		}
	}
	half := j.c.Story(s).Messages.Len() / 2 // the other half are those of the other side
	sent, order := make([]int32, 0, half), make([]int64, 0, half)
	for place, t := range arrivals {
		sent = append(sent, t.At[s].Frame)
		order = append(order, int64(t.At[s.Other()].Frame)<<32|int64(place))
	}
	slices.Sort(order)
	behind, count := make([]bool, len(sent)), 0
	latest, before := int32(0), int32(0) // sent, of those that arrived so far, and in the frames before this one
	for i, x := range order {
		if i == 0 || order[i-1]>>32 != x>>32 { // those of one frame, as TCP has them, overtake nothing
			before = latest
		}
		place := int32(x)
		if sent[place] < before {
			behind[place] = true
			count++
		}
		latest = max(latest, sent[place])
	}
	if count == 0 {
		return nil
	}
	late = make([]*pair.Transmission, 0, count)
	for place, t := range arrivals {
		if behind[place] {
			late = append(late, t)
		}
	}
	return late
}

func dscpRewritten(j *judge) []report.Finding {
	var all []report.Finding
	if !j.c.TwoSided() {
		return nil
	}
	for _, s := range pair.Both {
		changed := map[[2]uint8][]*pair.Transmission{}
		for _, t := range j.c.SentInTrouble(s) {
			mine, other := t.At[s], t.At[s.Other()]
			if mine != nil && other != nil && mine.DSCP != other.DSCP {
				k := [2]uint8{mine.DSCP, other.DSCP}
				changed[k] = append(changed[k], t)
			}
		}
		for k, ts := range changed {
			all = append(all, report.Finding{
				Confidence: report.Certain,
				Explanation: fmt.Sprintf("What %s sends with DSCP %d arrives at %s with DSCP %d.", j.name(s), k[0],
					j.name(s.Other()), k[1]),
				Evidence: sights("DSCP differs", ts[0]),
				Subject:  sentBy(s),
				Fields:   map[string]any{"dscp_sent": int(k[0]), "dscp_received": int(k[1])},
			})
		}
	}
	slices.SortFunc(all, func(a, b report.Finding) int {
		return a.Fields["dscp_sent"].(int)*256 +
			a.Fields["dscp_received"].(int) - b.Fields["dscp_sent"].(int)*256 - b.Fields["dscp_received"].(int)
	})
	return all
}

// shortestTimer is what no sender's retransmission timer is shorter than. What comes sooner is sent
// twice for another reason: the own device held both back and let them go together, or an older
// timer ran on after a cookie or another group was asked for.
const shortestTimer = 100e6

func slowPath(j *judge) []report.Finding {
	// An answer that arrives after its request was sent again shows a round trip beyond the timer.
	for m := range j.c.MessagesWhere((*pair.Conversation).Troubled) {
		if m.Kind != exchange.Request || m.AnsweredBy() == nil || len(facts.Sendings(m)) < 2 {
			continue
		}
		r := m.AnsweredBy()
		first, again, answered := facts.Sendings(m)[0], facts.Sendings(m)[1], j.arrival(r)
		if answered == nil || first.Fate != pair.Delivered || r.Transmissions()[0].Aligned > again.Aligned+500e6 ||
			again.Aligned < first.Aligned+shortestTimer {
			continue
		}
		took := j.c.Aligned(answered.At[r.From.Other()].Nanos, r.From.Other()) - first.Aligned
		arrived, ok := j.c.Delay(first, m.From)
		if !ok || arrived+j.delay(answered, r.From) < (again.Aligned-first.Aligned) {
			continue
		}
		f := report.Finding{
			Confidence: report.Certain, Conversation: m.Conversation.ID,
			Explanation: fmt.Sprintf("The path is slower than the retransmission timer: the answer to %s of %s took %s, "+
				"of which the path took %s.", one(m.Exchange), j.name(m.From), duration(millis(took)),
				duration(millis(arrived+j.delay(answered, r.From)))),
			Evidence: evidence("sent again before the answer could arrive", m),
			Fields:   map[string]any{"rtt_ms": millis(arrived + j.delay(answered, r.From))},
		}
		if arrived >= j.delay(answered, r.From) {
			j.heldOnce(&f, m, first)
		} else {
			j.heldOnce(&f, r, answered)
		}
		return []report.Finding{f}
	}
	return nil
}

// heldOnce tells a path that is quick but for one packet from a slow one: something held that
// packet and let it go later, most often because it was the first.
func (j *judge) heldOnce(f *report.Finding, m *pair.Message, late *pair.Transmission) {
	held := j.delay(late, m.From)
	n, slowest, first := 0, int64(0), true
	for _, s := range pair.Both {
		for _, t := range j.c.Sent(s, 0) {
			d, ok := j.c.Delay(t, s)
			if t == late || !ok {
				continue
			}
			n, slowest = n+1, max(slowest, d)
			first = first && (s != m.From || t.Aligned > late.Aligned)
		}
	}
	if n < heldAmong || held < heldTimes*slowest {
		return
	}
	kind, asker := "request", m.From
	if m.Kind == exchange.Response {
		kind, asker = "response", m.From.Other()
	}
	f.Title = "The path held one packet longer than the sender waits"
	f.Explanation = fmt.Sprintf("The path held the %s %s of %s for %s, so that %s asked again. "+
		"The other %d IKE packets took %s at most.", m.Exchange, kind, j.name(m.From), duration(millis(held)),
		j.partyName(asker), n, duration(millis(slowest)))
	if first {
		f.Explanation += " It was the first packet that way: a device that has to find a neighbor's address (ARP, " +
			"IPv6 neighbor discovery) or to set up a session keeps it until that is done."
	}
}

// A packet was held alone when so many others, at least, were under way for less than a tenth of
// its time.
const (
	heldAmong = 3
	heldTimes = 10
)

// arrival is the first sending of m that both captures show.
func (j *judge) arrival(m *pair.Message) *pair.Transmission {
	for _, t := range m.Transmissions() {
		if t.At[pair.A] != nil && t.At[pair.B] != nil && !t.Duplicate {
			return t
		}
	}
	return nil
}

func (j *judge) delay(t *pair.Transmission, from pair.Side) int64 {
	d, _ := j.c.Delay(t, from)
	return d
}
