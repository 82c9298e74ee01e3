package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// Two captures at the interfaces show that a packet came in or went out; the routers' own counters
// show what died between the interface and IKE or IPsec.

// drops are what the router of s dropped while the capture ran.
func (j *judge) drops(s pair.Side) *facts.Drops {
	return j.dropped.of(s, func(s pair.Side) facts.Drops { return j.o.Config[s].Drops() })
}

// droppedBefore is a sentence about what a router's trace, or its counters, say of m, which arrived
// n times and which IKE does not answer.
func (j *judge) droppedBefore(s pair.Side, m *pair.Message, n int) string {
	if words, yes := handedOver(j.tracesOf(m, s), n); yes {
		return fmt.Sprintf(" Its packet trace has every one of them handed to the control plane (%s): IKE itself does "+
			"not answer.", words)
	}
	if came, known := j.cameOf(s, m, n); known && came >= n {
		return " Its control plane was handed every one of them, as a capture there shows: IKE itself does not answer."
	} else if came > 0 {
		return fmt.Sprintf(" Its control plane was handed %d of %d at least, as a capture there shows: IKE itself does not "+
			"answer these.", came, n)
	}
	d := j.drops(s)
	switch {
	case !d.Compared:
		return ""
	case len(d.Inbound) > 0:
		return fmt.Sprintf(" In that time %s; the counters count the packets of everybody.", dropText(d.Inbound))
	}
	return " No counter of drops before IKE grew there while the capture ran: IKE itself does not answer."
}

// insideDrop is what may have been dropped between the interface and IKE of the router of s: n
// requests like m, which arrived and are not answered.
type insideDrop struct {
	s      pair.Side
	m      *pair.Message
	n      int
	drops  []facts.Drop // counters before IKE that grew
	stands bool         // they stand out, or any grew while IKE counted no such request at all
}

// controlPlaneDrop says that requests which arrived were dropped before IKE saw them.
func controlPlaneDrop(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		if t.Foreign || t.CameUp() {
			continue
		}
		m := j.unanswered(t)
		if m == nil {
			continue
		}
		d := insideDrop{s: m.From.Other(), m: m, n: m.Tally().Delivered}
		if !j.c.TwoSided() {
			d.n = len(facts.Sendings(m))
		}
		d.drops = j.drops(d.s).Inbound
		heard, counted := j.heardOf(d.s, m)
		d.stands = telling(d.drops, max(d.n, 1)) || counted && heard == 0 && len(d.drops) > 0
		if f := j.insideDrop(d); f != nil {
			f.Conversation = t.ID
			all = append(all, *f)
		}
	}
	return all
}

// insideDrop is the finding about d, by what proves most of it; nil: there is none.
func (j *judge) insideDrop(d insideDrop) *report.Finding {
	traced := j.tracesOf(d.m, d.s)
	if lost := droppedOf(traced); len(lost) > 0 {
		return j.dropByTrace(d, lost)
	}
	came, looked := j.cameOf(d.s, d.m, d.n)
	if _, handed := handedOver(traced, d.n); handed || came > 0 {
		return nil // what IKE was handed, and does not answer, is not explained by what else was lost
	}
	if !looked && !d.stands {
		return nil
	}
	f := j.dropFinding(d)
	f.Confidence, f.Evidence = report.Probable, evidence("arrived, and not answered", d.m)
	f.Explanation = fmt.Sprintf("%s of %s arrived at %s and %s not answered: ", requests(d.m, d.n), j.name(d.m.From),
		j.name(d.s), was(d.n))
	if looked {
		j.tellMissing(f, d)
	} else {
		f.Explanation += fmt.Sprintf("in that time %s. The counters count the packets of everybody.", dropText(d.drops))
	}
	j.heardByIKE(f, d, looked)
	return f
}

func (j *judge) dropFinding(d insideDrop) *report.Finding {
	return &report.Finding{
		Actions: []report.Action{j.exec(d.s, "let IKE (UDP 500 and 4500) of this peer through what drops it",
			dropShows(d.drops)...)},
		Subject: onSide(d.s),
		Fields: map[string]any{"counters": dropNames(d.drops), "dropped": dropped(d.drops), "requests": d.n,
			"trace": traceNames(nil)},
	}
}

// dropByTrace rests on the packet trace of the router, which has some of the requests as dropped.
func (j *judge) dropByTrace(d insideDrop, lost []tracedSight) *report.Finding {
	f := j.dropFinding(d)
	f.Explanation = fmt.Sprintf("%s of %s arrived at %s, and its data plane dropped %s of them: %s, says its packet "+
		"trace.", requests(d.m, d.n), j.name(d.m.From), j.name(d.s), ofThem(len(lost), d.n), traceText(packetsOf(lost)))
	if len(d.drops) > 0 {
		f.Explanation += fmt.Sprintf(" In that time %s.", dropText(d.drops))
	}
	f.Confidence, f.Evidence = report.Certain, traceEvidence(lost)
	f.Fields["dropped"] = max(dropped(d.drops), len(lost))
	j.proveByTrace(f, d.s, packetsOf(lost))
	return f
}

// tellMissing has a finding rest on a capture at the control plane that has none of the requests.
// Without anything else of the tunnel nothing proves that it takes any.
func (j *judge) tellMissing(f *report.Finding, d insideDrop) {
	f.Explanation += "none of them came to its control plane, where it was captured as well."
	f.Fields["came"] = 0
	other := j.controlPlane(d.s).tunnel
	switch {
	case other > 0:
		f.Explanation += fmt.Sprintf(" That capture holds %s of this tunnel.", plural(other, "message", "messages"))
	case !telling(d.drops, max(d.n, 1)):
		f.Confidence = report.Possible
		f.Explanation += " That capture holds nothing of this tunnel, so that it is not proven to take what comes there."
	}
	if len(d.drops) > 0 {
		f.Explanation += fmt.Sprintf(" In that time %s; the counters count the packets of everybody.", dropText(d.drops))
		return
	}
	f.Actions = []report.Action{j.exec(d.s, "what stands between the interface and IKE", "show policy-map control-plane",
		"show ip access-lists", "show zone-pair security", "show platform hardware qfp active statistics drop")}
}

// heardByIKE holds a finding against what IKE of the router counted itself: everybody's requests.
// Where it was looked at the control plane, they are others'.
func (j *judge) heardByIKE(f *report.Finding, d insideDrop, looked bool) {
	heard, counted := j.heardOf(d.s, d.m)
	if !counted {
		return
	}
	f.Fields["heard"] = heard
	switch {
	case heard == 0:
		f.Explanation += fmt.Sprintf(" IKEv2 there counted no %s request of anybody.", d.m.Exchange)
	case heard >= d.n && d.stands && !looked:
		f.Confidence = report.Possible
		f.Explanation += fmt.Sprintf(" But IKEv2 there counted %s of everybody: these may be among them.",
			requests(d.m, heard))
	}
}

// ofThem is how many of n, in words.
func ofThem(some, n int) string {
	if some >= n {
		return "every one"
	}
	return fmt.Sprint(some)
}

// proveByTrace gives a finding the verdicts of the trace, and what shows where such a
// drop is configured.
func (j *judge) proveByTrace(f *report.Finding, s pair.Side, lost []facts.TracedPacket) {
	f.Fields["trace"] = traceNames(lost)
	sections := "access-list|zone|policy-map|control-plane"
	for _, p := range lost {
		switch {
		case p.Feature == "ZBFW" || strings.HasPrefix(p.Reason, "Firewall"):
			sections = "zone|policy-map|class-map"
		case strings.HasSuffix(p.Reason, "Acl"):
			sections = "access-list|access-group"
		case strings.HasPrefix(p.Reason, "Ipsec"):
			sections = "crypto"
		}
	}
	f.Actions[0] = j.exec(s, f.Actions[0].Why+": "+lost[0].Verdict(), "show running-config | section "+sections)
}

// telling says whether drops are so few, or of a counter so named, that n packets of IKE stand out
// among everybody's.
func telling(drops []facts.Drop, n int) bool {
	return slices.ContainsFunc(drops, func(d facts.Drop) bool {
		return d.Packets >= n && (d.Packets <= 4*n || namesIKE(d.Name))
	})
}

// namesIKE says whether the name of a class or of an entry is about IKE, as operators name them.
func namesIKE(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{"ike", "isakmp", "ipsec", "vpn", "crypto", "500"},
		func(word string) bool { return strings.Contains(name, word) })
}

// ipsecDrop says that IPsec dropped packets while protected traffic arrived or left.
func ipsecDrop(j *judge) []report.Finding {
	var all []report.Finding
	for _, s := range pair.Both {
		if j.c.Story(s) == nil || len(j.c.Story(s).Flows) == 0 {
			continue
		}
		drops, traced := j.drops(s).IPsec, j.droppedESP(s)
		if len(drops) == 0 && len(traced) == 0 {
			continue
		}
		f := report.Finding{
			Confidence: report.Possible,
			Explanation: fmt.Sprintf("While the capture ran, %s at %s: %s.", dropText(drops), j.name(s),
				strings.Join(ipsecReasons(drops), "; ")),
			Actions: []report.Action{j.exec(s, "what IPsec drops, and of which SA", dropShows(drops)...)},
			Subject: onSide(s),
			Fields:  map[string]any{"counters": dropNames(drops), "dropped": dropped(drops), "trace": traceNames(nil)},
		}
		if slices.ContainsFunc(drops, func(d facts.Drop) bool { return d.Show == "show-ipsec-sa-detail" }) {
			f.Confidence = report.Probable // they count this peer's packets alone
		}
		if len(traced) > 0 {
			counted := f.Explanation
			f.Explanation = fmt.Sprintf("The packet trace of %s has %s of protected traffic dropped by its data plane: %s.",
				j.name(s), plural(len(traced), "packet", "packets"), traceText(traced))
			if len(drops) > 0 {
				f.Explanation += " " + counted
			}
			f.Confidence = report.Certain
			f.Fields["dropped"] = max(dropped(drops), len(traced))
			j.proveByTrace(&f, s, traced)
		}
		all = append(all, f)
	}
	return all
}

// leavesNot says whether so many messages of s that do not arrive may never have left its router:
// by its packet trace, or by the drops of its interface.
func (j *judge) leavesNot(s pair.Side, lost int) bool {
	return len(j.droppedOnWayOut(s)) > 0 || dropped(j.drops(s).Outbound) >= lost
}

// egressDrop says that packets which the path seems to lose may never have left the router: it
// captures before the queue of its interface.
func egressDrop(j *judge) []report.Finding {
	var all []report.Finding
	for _, s := range pair.Both {
		if j.c.Story(s) == nil || !j.c.TwoSided() {
			continue
		}
		drops, lost := j.drops(s).Outbound, j.c.Tally(s).Lost
		if lost == 0 {
			continue
		}
		traced := j.droppedOnWayOut(s)
		if !j.leavesNot(s, lost) {
			continue
		}
		f := report.Finding{
			Confidence: report.Possible,
			Explanation: fmt.Sprintf("%s of %s did not arrive at %s. While the capture ran, %s: a capture takes packets before "+
				"the queue of its interface, so they may never have left the router. These count the packets of everybody.",
				plural(lost, "IKE message", "IKE messages"), j.name(s), j.name(s.Other()), dropText(drops)),
			Actions: []report.Action{j.exec(s, "what fills the queue, and whether IKE has a class of its own",
				dropShows(drops)...)},
			Subject: sentBy(s),
			Fields: map[string]any{"counters": dropNames(drops), "dropped": dropped(drops),
				"lost": lost, "trace": traceNames(nil)},
		}
		if telling(drops, lost) {
			f.Confidence = report.Probable
		}
		if len(traced) > 0 {
			f.Explanation = fmt.Sprintf("%s of %s did not arrive at %s. The packet trace of %s has %s of them dropped by its "+
				"own data plane, behind its capture: %s.", plural(lost, "IKE message", "IKE messages"), j.name(s),
				j.name(s.Other()), j.name(s), ofThem(len(traced), lost), traceText(packetsOf(traced)))
			f.Confidence, f.Evidence = report.Certain, traceEvidence(traced)
			f.Fields["dropped"] = max(dropped(drops), len(traced))
			j.proveByTrace(&f, s, packetsOf(traced))
		}
		all = append(all, f)
	}
	return all
}

func capturePoliced(j *judge) []report.Finding {
	return j.eachStory(func(s pair.Side) *report.Finding {
		n := j.drops(s).Uncaptured
		if n == 0 {
			return nil
		}
		return &report.Finding{
			Explanation: fmt.Sprintf("The punt policer of %s dropped %s on the way into the capture: they were "+
				"forwarded, and are not in the file. Their absence means nothing.", j.name(s), plural(n, "packet", "packets")),
			Fields: map[string]any{"dropped": n},
			Actions: []report.Action{j.exec(s, "less to capture: --ike-only, or a smaller packets-per-second limit",
				"show platform software punt-policer", "show monitor capture")},
		}
	})
}

// dropText tells counters in a sentence: "its control-plane policy dropped 5
// packets of class COPP".
func dropText(drops []facts.Drop) string {
	const most = 4
	var parts []string
	for _, d := range drops[:min(len(drops), most)] {
		parts = append(parts, oneDrop(d))
	}
	if n := len(drops) - most; n > 0 {
		parts = append(parts, fmt.Sprintf("%d more counters grew", n))
	}
	return strings.Join(parts, ", ")
}

func oneDrop(d facts.Drop) string {
	packets := plural(d.Packets, "packet", "packets")
	_, class, _ := strings.Cut(d.Name, " ")
	switch d.Show {
	case "show-control-plane-policy":
		return fmt.Sprintf("its control-plane policy dropped %s of %s", packets, class)
	case "show-interface-policy":
		return fmt.Sprintf("the interface's policy dropped %s of %s", packets, class)
	case "show-punt-policer":
		return fmt.Sprintf("its punt policer dropped %s of the cause %q", packets, class)
	case "show-punt-causes":
		return fmt.Sprintf("its data plane did not hand on %s of the punt cause %q", packets, class)
	case "show-interface-acl":
		return fmt.Sprintf("the interface's access list dropped %s by `%s`", packets, d.Name)
	case "show-interface":
		return fmt.Sprintf("the interface counted %s as %s", packets, d.Name)
	case "show-ipsec-sa-detail":
		return fmt.Sprintf("the SAs with this peer counted %s as %s", packets, d.Name)
	}
	return fmt.Sprintf("its data plane dropped %s as %s", packets, d.Name)
}

// ipsecMeanings are parts of counters' names, in the words of the field.
var ipsecMeanings = []struct{ part, meaning string }{
	{"REPLAY", "the anti-replay check refuses them"}, {"replay", "the anti-replay check refuses them"},
	{"MAC", "their integrity check fails"}, {"verify failed", "their integrity check fails"},
	{"SPI", "they carry an SPI that it does not know"}, {"INVALID_SA", "their SA is not valid there any more"},
	{"invalid sa", "their SA is not valid there any more"}, {"no sa", "there is no SA to send them with"},
	{"THRPUT", "they exceed the licensed throughput"}, {"CERM", "they exceed the licensed throughput"},
	{"FAILED_POLICY", "they do not match the SA's selectors"}, {"identity", "they do not match the SA's selectors"},
	{"FRAG", "they are too large, or fragments"}, {"EXPIRY", "their SA has expired"},
}

func ipsecReasons(drops []facts.Drop) []string {
	var all []string
	seen := map[string]bool{}
	for _, d := range drops {
		for _, m := range ipsecMeanings {
			if strings.Contains(d.Name, m.part) && !seen[m.meaning] {
				seen[m.meaning] = true
				all = append(all, m.meaning)
			}
		}
	}
	if len(all) == 0 {
		all = append(all, "the counters' names say why")
	}
	return all
}

func dropped(drops []facts.Drop) int {
	n := 0
	for _, d := range drops { // several of them may count one packet
		n = max(n, d.Packets)
	}
	return n
}

func dropNames(drops []facts.Drop) []string {
	all := []string{}
	for _, d := range drops {
		all = append(all, d.Name)
	}
	return all
}

// nextShows are what to look at when a counter grew: what configures the drop, since the counters
// themselves were asked.
var nextShows = map[string]string{
	"show-control-plane-policy": "show running-config | section control-plane|policy-map|class-map",
	"show-interface-policy":     "show running-config | section policy-map|class-map",
	"show-interface-acl":        "show running-config | section access-list",
	"show-punt-policer":         "show platform hardware qfp active infrastructure punt statistics type per-cause",
	"show-punt-causes":          "show platform software punt-policer",
	"show-interface":            "show interfaces summary",
	"show-ipsec-sa-detail":      "show crypto ipsec sa detail",
	"show-ipsec-drops":          "show platform hardware qfp active feature ipsec state",
	"show-qfp-drops":            "show platform packet-trace summary",
}

func dropShows(drops []facts.Drop) []string {
	var all []string
	for _, d := range drops {
		if line := nextShows[d.Show]; !slices.Contains(all, line) {
			all = append(all, line)
		}
	}
	return all
}
