package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// tracedSight is a packet of a capture with what its router's data plane did with it.
type tracedSight struct {
	side   pair.Side
	sight  *exchange.Sight
	packet *facts.TracedPacket
}

// traces are the packet trace of the router of s.
func (j *judge) traces(s pair.Side) facts.Traces {
	return *j.traced.of(s, func(s pair.Side) facts.Traces { return j.o.Config[s].Traces() })
}

// tracesOf is what the router of s did with the transmissions of m that its capture has.
func (j *judge) tracesOf(m *pair.Message, s pair.Side) []tracedSight {
	traces := j.traces(s)
	if len(traces) == 0 {
		return nil
	}
	var all []tracedSight
	for _, x := range facts.Sendings(m) {
		if x.At[s] == nil {
			continue
		}
		if p := traces.Of(x.At[s]); p != nil {
			all = append(all, tracedSight{s, x.At[s], p})
		}
	}
	return all
}

// droppedOf are those that the router dropped.
func droppedOf(all []tracedSight) []tracedSight {
	return slices.DeleteFunc(slices.Clone(all), func(t tracedSight) bool { return !t.packet.Dropped() })
}

// handedOver says whether the router handed every one of n packets to its control plane, and in
// which words.
func handedOver(all []tracedSight, n int) (words string, yes bool) {
	if len(all) == 0 || len(all) < n {
		return "", false
	}
	for _, t := range all {
		if !t.packet.ToControlPlane() {
			return "", false
		}
	}
	return all[0].packet.Verdict(), true
}

// droppedESP are packets of IPsec, from and to the ends of the captured flows, that the
// router of s dropped.
func (j *judge) droppedESP(s pair.Side) (all []facts.TracedPacket) {
	for _, p := range j.traces(s) {
		if p.Dropped() && slices.ContainsFunc(j.c.Story(s).Flows, func(f *exchange.Flow) bool { return carries(f, p) }) {
			all = append(all, p)
		}
	}
	return all
}

// carries says whether a traced packet is one of a flow. In UDP it is told from IKE by nothing that
// a trace shows, so that those are left to the counters.
func carries(f *exchange.Flow, p facts.TracedPacket) bool {
	protocol := 50
	if f.AH {
		protocol = 51
	}
	return !f.UDP && !f.TCP && p.Protocol == protocol && p.From.Addr() == f.Src.Addr() && p.To.Addr() == f.Dst.Addr()
}

// droppedOnWayOut are the lost messages of s that its router dropped behind its capture.
func (j *judge) droppedOnWayOut(s pair.Side) (all []tracedSight) {
	if len(j.traces(s)) == 0 {
		return nil
	}
	for _, t := range j.talks {
		for _, m := range t.Messages {
			if m.From == s && m.Tally().Lost > 0 {
				all = append(all, droppedOf(j.tracesOf(m, s))...)
			}
		}
	}
	return all
}

// traceText tells what a trace says of packets that were dropped: "DROP 183 (FirewallPolicy) in its
// feature ZBFW, zone pair outside-self".
func traceText(packets []facts.TracedPacket) string {
	var parts []string
	for _, p := range packets {
		words := p.Verdict()
		if p.Feature != "" {
			words += " in its feature " + p.Feature
		}
		for _, more := range []struct{ name, value string }{{"zone pair", p.Zone}, {"class", p.Class}, {"policy", p.Rule}} {
			if more.value != "" {
				words += ", " + more.name + " " + more.value
			}
		}
		if !slices.Contains(parts, words) && len(parts) < 4 {
			parts = append(parts, words)
		}
	}
	return strings.Join(parts, "; ")
}

func packetsOf(all []tracedSight) []facts.TracedPacket {
	var packets []facts.TracedPacket
	for _, t := range all {
		packets = append(packets, *t.packet)
	}
	return packets
}

// traceNames are the distinct verdicts, for the finding's own fields.
func traceNames(packets []facts.TracedPacket) []string {
	all := []string{}
	for _, p := range packets {
		if v := p.Verdict(); !slices.Contains(all, v) {
			all = append(all, v)
		}
	}
	return all
}

// traceEvidence are the frames that the trace speaks of.
func traceEvidence(all []tracedSight) []report.Evidence {
	var e []report.Evidence
	for _, t := range all[:min(len(all), MaxEvidence)] {
		e = append(e, report.Evidence{Side: sideOf(t.side), Frame: int(t.sight.Frame),
			Note: fmt.Sprintf("packet trace %d of the router: %s", t.packet.Number, t.packet.Verdict())})
	}
	return e
}
