package diagnose

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// What IKE on a router says of itself: its counters of exchanges and timers, its trace of errors,
// and the binary trace. Counters are everybody's; a line of a trace that names the peer is its own.

// ikeCounts are the counters of IKEv2 of the router of s.
func (j *judge) ikeCounts(s pair.Side) *facts.IKECounts {
	return j.counted.of(s, func(s pair.Side) facts.IKECounts { return j.o.Config[s].IKECounts() })
}

// controlPlane is what was captured at the control plane of a router.
type controlPlane struct {
	facts.ControlPlane
	tunnel int  // messages of this tunnel that it holds
	blind  bool // it holds nothing of what the router itself sent: it takes nothing at all
}

func (j *judge) controlPlane(s pair.Side) *controlPlane {
	return j.atControlPlane.of(s, j.readControlPlane)
}

func (j *judge) readControlPlane(s pair.Side) controlPlane {
	p := controlPlane{ControlPlane: j.o.Config[s].ControlPlane()}
	if !p.Ran {
		return p
	}
	sent := 0
	for _, t := range j.talks {
		for _, m := range t.Messages {
			n, ok := p.Came(m)
			if ok && n > 0 {
				p.tunnel++
			}
			if ok && m.From == s && m.Copy(s) != nil {
				sent++
			}
		}
	}
	p.blind = p.tunnel == 0 && sent > 0
	return p
}

// cameOf is how many of n transmissions of m that arrived at the router of s its control plane was
// handed. known is false where no capture there says so: none ran, or it lacks some of its packets
// and not all n are in it.
func (j *judge) cameOf(s pair.Side, m *pair.Message, n int) (came int, known bool) {
	p := j.controlPlane(s)
	came, known = p.Came(m)
	return came, known && n > 0 && !p.blind && (p.Whole || came >= n)
}

// neverHeard says that IKE of the router of s cannot wait for anything because of m, which arrived
// n times: the data plane dropped every one, none came to the control plane, or IKE counted none.
func (j *judge) neverHeard(s pair.Side, m *pair.Message, n int) bool {
	came, looked := j.cameOf(s, m, n)
	heard, counted := j.heardOf(s, m)
	return looked && came == 0 && j.controlPlane(s).tunnel > 0 || counted && heard == 0 ||
		len(droppedOf(j.tracesOf(m, s))) >= n
}

// heardOf is how many requests like m IKE of the router of s counted, of everybody, from before the
// capture to after it.
func (j *judge) heardOf(s pair.Side, m *pair.Message) (n int, known bool) {
	if m.Kind != exchange.Request || m.Conversation == nil || m.Conversation.Version != 2 {
		return 0, false
	}
	return j.ikeCounts(s).ReceivedRequests(m.Exchange.String())
}

// externalServiceTimeout finds an IKE_AUTH that arrives and is not answered, while IKE's own timer
// for the answer of somebody else ran out: AAA, an OCSP responder, a certificate's CRL.
func externalServiceTimeout(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		if t.Foreign || t.CameUp() || t.Version != 2 {
			continue
		}
		m := j.unanswered(t)
		if m == nil || m.Exchange != ike.IKEAuth {
			continue
		}
		s := m.From.Other()
		n := j.ikeCounts(s).TimedOut(facts.ExternalServiceTimer)
		arrived := max(m.Tally().Delivered, 1)
		if n == 0 || j.neverHeard(s, m, arrived) {
			continue
		}
		f := report.Finding{
			Confidence: report.Probable, Conversation: t.ID,
			Explanation: fmt.Sprintf("%s asks for authentication, and %s does not answer. In that time IKEv2's timer for "+
				"external services ran out there %s: it waited for somebody else's answer, as AAA's or that of an OCSP "+
				"responder. The counter is everybody's.", capital(j.name(m.From)), j.name(s), plural(n, "time", "times")),
			Evidence: evidence("arrived, and not answered", m),
			Actions: []report.Action{j.exec(s, "whom IKE asks before it answers, and whether that answers", "show aaa servers",
				"show crypto ikev2 profile", "show crypto pki trustpoints status")},
			Subject: onSide(s),
			Fields:  map[string]any{"timeouts": n},
		}
		if n > 4*max(len(facts.Sendings(m)), 1) {
			f.Confidence = report.Possible
		}
		if heard, counted := j.heardOf(s, m); counted && heard > arrived {
			f.Confidence = report.Possible
			f.Explanation += fmt.Sprintf(" IKEv2 there counted %s in that time, others' too: it may have waited for theirs.",
				requests(m, heard))
		}
		all = append(all, f)
	}
	return all
}

// mostQuoted is how many lines of a router are quoted, longestQuoted how many characters of each.
const (
	mostQuoted    = 4
	longestQuoted = 400
)

// quotable are the last lines, each as far as it is quoted.
func quotable(lines []string) []string {
	last := slices.Clone(lines[max(len(lines)-mostQuoted, 0):])
	for i, line := range last {
		if r := []rune(line); len(r) > longestQuoted {
			last[i] = string(r[:longestQuoted]) + "..."
		}
	}
	return last
}

// routerSaysWhy quotes what IKE on a router wrote of errors while the capture ran, where a
// negotiation failed. Lines that name nobody may be about anybody.
func routerSaysWhy(j *judge) []report.Finding {
	failed := false
	for _, t := range j.talks {
		failed = failed || !t.Foreign && !t.CameUp() && t.Complete
	}
	if !failed {
		return nil
	}
	var all []report.Finding
	for _, s := range pair.Both {
		if j.c.Story(s) == nil {
			continue
		}
		e := j.errorsOf(s)
		if len(e.lines) == 0 {
			continue
		}
		quoted := quotable(e.lines)
		f := report.Finding{
			Confidence: e.about,
			Explanation: fmt.Sprintf("%s, %s of %s got %s, the last: %q.", e.when, e.source, j.name(s),
				plural(len(e.lines), "line", "lines"), quoted[len(quoted)-1]),
			Actions: []report.Action{j.exec(s, "the whole of it", e.command)},
			Subject: onSide(s),
			Fields:  map[string]any{"errors": quoted, "count": len(e.lines)},
		}
		switch e.about {
		case report.Probable:
			f.Explanation += " It names the peer by the address of a NAT, behind which others may be."
		case report.Possible:
			f.Explanation += " It does not name the peer, and may be about another."
		}
		all = append(all, f)
	}
	return all
}

// loggedErrors are lines of a router about errors of IKE.
type loggedErrors struct {
	lines           []string
	about           report.Confidence // that they are about the peer
	source, command string
	when            string // as a sentence begins
}

// errorsOf are those of the router of s that name the peer; when none does, those that name nobody.
func (j *judge) errorsOf(s pair.Side) loggedErrors {
	const traced, traceShow = "the trace of IKEv2 errors", "show monitor event-trace crypto ikev2 error all"
	const binary, binaryShow = "the binary trace", "show logging process ios module ikev2"
	const meanwhile = "While the capture ran"
	config, peer := j.o.Config[s], j.endsOf(s.Other())
	fresh := config.NewErrors()
	if lines, about := peer.named(fresh); len(lines) > 0 {
		return loggedErrors{lines, about, traced, traceShow, meanwhile}
	}
	if lines, about := peer.named(config.TracedErrors()); len(lines) > 0 {
		// It is asked for a minute more than the capture took.
		return loggedErrors{lines, about, binary, binaryShow, "While the capture ran, or shortly before"}
	}
	var lines []string
	for _, e := range fresh {
		if len(e.Peers()) == 0 {
			lines = append(lines, e.Line())
		}
	}
	return loggedErrors{lines, report.Possible, traced, traceShow, meanwhile}
}

// peerEnds is by which addresses, and ports, a router can know a peer.
type peerEnds struct {
	own    []netip.Addr     // the peer's alone
	nat    []netip.Addr     // of a NAT, behind which others may be
	mapped []netip.AddrPort // what of the NAT was the peer's while the captures ran
}

// endsOf is how s is known, by itself or as the other side sees it.
func (j *judge) endsOf(s pair.Side) peerEnds {
	party := &j.c.Parties[s]
	p := peerEnds{own: append(slices.Clone(party.Addresses), party.Known), nat: slices.Clone(party.Translated)}
	if party.KnownNAT != party.Known {
		p.nat = append(p.nat, party.KnownNAT)
	}
	for _, t := range j.nat {
		if t.Side == s && t.Mapping == nil && !t.Own {
			p.nat = append(p.nat, t.End.Addr())
		}
	}
	for _, m := range facts.Mappings(j.c, s) {
		// A NAT that leaves the ports of IKE as they are may do so for several (RFC 3715, Section 2.3).
		if port := m.Translated.Port(); port != 0 && port != 500 && port != 4500 {
			p.mapped = append(p.mapped, m.Translated)
		}
	}
	none := func(a netip.Addr) bool { return !a.IsValid() }
	p.nat = slices.DeleteFunc(p.nat, none)
	p.own = slices.DeleteFunc(p.own, func(a netip.Addr) bool { return none(a) || slices.Contains(p.nat, a) })
	return p
}

// named are the lines of the events that name the peer. They are certain to be about it when each
// names an end that is the peer's alone.
func (p peerEnds) named(events []facts.TracedEvent) (lines []string, about report.Confidence) {
	about = report.Certain
	for _, e := range events {
		ends := e.Peers()
		sure := slices.ContainsFunc(ends, func(end netip.AddrPort) bool {
			return slices.Contains(p.own, end.Addr()) || slices.Contains(p.mapped, end)
		})
		if !sure && !slices.ContainsFunc(ends, func(end netip.AddrPort) bool { return slices.Contains(p.nat, end.Addr()) }) {
			continue
		}
		if !sure {
			about = report.Probable
		}
		lines = append(lines, strings.TrimSpace(e.Line()))
	}
	return lines, about
}
