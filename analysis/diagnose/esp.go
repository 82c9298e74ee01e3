package diagnose

import (
	"fmt"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

func spiText(spi uint32) string { return fmt.Sprintf("0x%08x", spi) }

func encapsulation(f *exchange.Flow) string {
	switch {
	case f.UDP:
		return "udp"
	case f.TCP:
		return "tcp"
	case f.AH:
		return "ah"
	}
	return "esp"
}

// carrier is how a flow travels, for people.
func carrier(f *exchange.Flow) string {
	switch {
	case f.UDP:
		return "ESP in UDP 4500"
	case f.TCP:
		return "ESP in TCP 4500"
	case f.AH:
		return "protocol 51 (AH)"
	}
	return "protocol 50 (ESP)"
}

// protected is what a flow is called in a sentence.
func protected(f *exchange.Flow) string {
	if f.AH {
		return "AH"
	}
	return "ESP"
}

// ikePasses says whether IKE of s reaches the other side.
func (j *judge) ikePasses(s pair.Side) bool { return j.c.Tally(s).Delivered > 0 }

func espBlocked(j *judge) []report.Finding {
	var all []report.Finding
	left := facts.LeftBehinds(j.c)
	for _, b := range j.traffic.Blocked() {
		if !b.Within && !j.ikePasses(b.From) {
			continue
		}
		mine := b.At[b.From]
		from, to, what := j.name(b.From), j.name(b.From.Other()), carrier(mine)
		sent, frame := mine.Packets, mine.First.Frame
		var text, title string
		switch {
		case b.Passed > 0:
			sent = int(b.Lost.Len())
			text = fmt.Sprintf("%s of SPI %s from %s to %s passes up to number %d and then no more: %s sent after "+
				"it, 0 arrived.", protected(mine), spiText(b.SPI), from, to, b.Lost.Low-1, plural(sent, "packet", "packets"))
			frame, title = b.Gap[len(b.Gap)-1].Frame, protected(mine)+" passes no more"
		case !b.Within:
			text = fmt.Sprintf("IKE from %s to %s passes, %s does not show there: %s of SPI %s %s sent, and the capture of %s "+
				"holds none of them. It holds nothing from both before and after them: if it had not begun, or had ended, "+
				"they may have arrived.", from, to, what, plural(sent, "packet", "packets"), spiText(b.SPI), was(sent), to)
		case j.ikePasses(b.From):
			text = fmt.Sprintf("IKE from %s to %s passes, %s does not: %s of SPI %s %s sent, 0 arrived.", from, to, what,
				plural(sent, "packet", "packets"), spiText(b.SPI), was(sent))
		case !b.Certain:
			title = protected(mine) + " does not show at the other side"
			text = fmt.Sprintf("%s from %s does not show at %s: %s of SPI %s %s sent, 0 arrived. That side's capture holds "+
				"nothing of this tunnel that came in: the path drops it all, or the capture is of one direction only, and nothing "+
				"is lost.",
				capital(what), from, to, plural(sent, "packet", "packets"), spiText(b.SPI), was(sent))
		default:
			title = protected(mine) + " does not get through"
			text = fmt.Sprintf("%s from %s does not reach %s: %s of SPI %s %s sent, "+
				"0 arrived, while that side's capture holds packets from before and after them.", capital(what), from, to,
				plural(sent, "packet", "packets"), spiText(b.SPI), was(sent))
		}
		actions := []report.Action{path(b.From, "a filter between the two gateways drops "+what, j.permitFlow(b.Flow))}
		if i := slices.IndexFunc(left, func(x facts.LeftBehind) bool { return x.Flow == b.Flow }); i >= 0 {
			text += fmt.Sprintf(" It goes to %s, where %s no longer is.", endText(left[i].Before), j.partyName(b.From.Other()))
			actions = nil
		} else if size, ok := j.ikeBeside(b); ok {
			said, look := j.tellsFromIKE(b, size)
			text += said
			actions = []report.Action{look}
		}
		confidence := certainIf(b.Certain)
		if b.Apart {
			confidence = report.Possible
		}
		all = append(all, report.Finding{
			Confidence: confidence, Title: title, Explanation: text,
			Evidence: []report.Evidence{{Side: sideOf(b.From), Frame: int(frame),
				Note: protected(mine) + " leaves and does not arrive"}},
			Actions: append(actions, j.exec(b.From.Other(), "whether anything was decrypted",
				j.toward(b.From.Other(), "show crypto ipsec sa peer %s")...)),
			Subject: sentBy(b.From),
			Fields: map[string]any{"spi": spiText(b.SPI), "encapsulation": encapsulation(mine),
				"sent": sent},
		})
	}
	return all
}

// ikeBeside says whether IKE of the same direction arrives on the very port that carries ESP in UDP
// or TCP, where some ESP passed, also after that; and its largest size on the wire.
func (j *judge) ikeBeside(b facts.Blocked) (size int, ok bool) {
	const float = 4500
	mine := b.At[b.From]
	if !mine.UDP && !mine.TCP {
		return 0, false
	}
	for _, t := range j.c.Sent(b.From, float) {
		x := t.At[b.From]
		if x == nil || len(x.Fragments) > 0 || t.Fate != pair.Delivered || x.TCP != mine.TCP || x.Dst != mine.Dst ||
			b.Passed > 0 && t.Aligned < j.c.SentAt(b.Flow, b.Lost.Low) {
			continue
		}
		size, ok = max(size, int(x.Size)), true
	}
	return size, ok
}

// tellsFromIKE says what may drop ESP where IKE passes on the same port: no filter of addresses and
// ports does. size is the largest IKE message that arrives there.
func (j *judge) tellsFromIKE(b facts.Blocked, size int) (text string, look report.Action) {
	mine := b.At[b.From]
	port, what := "UDP 4500", "a NAT or firewall that looks into the payload: IPsec pass-through or ALG, deep inspection"
	if mine.TCP {
		port = "TCP 4500"
	}
	text = fmt.Sprintf(" %s itself passes, IKE of that direction arrives on it: no filter of ports drops the ESP, but %s",
		port, what)
	if size < mine.MinSize {
		text += fmt.Sprintf("; or its size, since none of that IKE is as large (%d bytes at most, ESP %d and more)",
			size, mine.MinSize)
	}
	look = j.exec(b.From.Other(), "which device tells ESP from IKE on "+port+": its inspection, its NAT's mappings",
		"show ip nat translations", "show policy-map type inspect zone-pair sessions")
	look.Device, look.Where = "", onPath
	return text + ".", look
}

func espOneWay(j *judge) []report.Finding {
	var all []report.Finding
	for _, x := range j.traffic.Silences() {
		silent, talker := j.end(x.Side, x.Peer), j.end(x.Side.Other(), x.Peer)
		f := report.Finding{
			Confidence: report.Probable,
			Evidence: []report.Evidence{{Side: sideOf(x.In), Frame: int(x.First.Frame),
				Note: "protected traffic one way, none goes back"}},
			Actions: []report.Action{j.exec(x.Side, "encaps and decaps, the route back, crypto ACL and NAT exemption",
				j.toward(x.Side, "show crypto ipsec sa peer %s", "show ip route", "show crypto map",
					"show ip nat translations")...)},
			Subject: onSide(x.Side),
			Fields:  map[string]any{"spi": spiText(x.Flow.SPI)},
		}
		count := plural(x.Packets, "packet", "packets")
		took := duration(millis(x.To - x.From))
		switch {
		case !x.Arrives:
			f.Title, f.Confidence = "Protected traffic is seen in one direction only", report.Possible
			f.Explanation = fmt.Sprintf("%s sends protected traffic (%s in %s), and none comes back from %s: it sends none, "+
				"or the path drops one of the two directions. %s", talker, count, took, silent, j.whoWouldTell(x.Side))
			if x.Brief {
				f.Severity = report.Warning
			}
		case x.Brief:
			f.Title, f.Confidence, f.Severity = "Only one side sends protected traffic at last", report.Possible, report.Warning
			f.Explanation = fmt.Sprintf("%s has fallen silent: in the last %s of the captures it sends no protected traffic, "+
				"while %s of %s arrive. Before, it was never quiet for nearly so long. Traffic that wants no answer looks the "+
				"same: a longer capture, or encaps of %s that do not grow, would tell.", silent, took, count, talker, silent)
		case x.Whole:
			f.Explanation = fmt.Sprintf("%s sends protected traffic and it arrives at %s, which sends none: "+
				"it does not encrypt, or its replies take another way.", talker, silent)
		case x.AtFirst:
			f.Explanation = fmt.Sprintf("%s sends no protected traffic for the first %s of its SA, while %s of %s arrive.",
				silent, took, count, talker)
		default:
			f.Explanation = fmt.Sprintf("%s falls silent: for %s it sends no protected traffic, while %s of %s arrive. Before, "+
				"it was never quiet for so long.", silent, took, count, talker)
		}
		f.Explanation = capital(f.Explanation)
		all = append(all, f)
	}
	return all
}

// whoWouldTell says which capture would tell whether s sends.
func (j *judge) whoWouldTell(s pair.Side) string {
	if j.c.Story(s) == nil {
		return "A capture on that side tells which."
	}
	return "The capture of that side does not tell which: it does not hold all of that time, or not both directions."
}

// end is a side for people; with one capture of several peers, the other end is
// told by its address.
func (j *judge) end(s pair.Side, p *facts.Peer) string {
	if p.Remote.IsValid() && j.c.Story(s) == nil {
		if name := j.c.Parties[s].Name; name != "" {
			return name + " (" + p.Remote.String() + ")"
		}
		return p.Remote.String()
	}
	return j.name(s)
}

// gapsShown is of how many gaps in a flow's numbers the evidence is named.
const gapsShown = 4

func nearGap(in pair.Side, p exchange.Point, gap exchange.Interval) report.Evidence {
	note := fmt.Sprintf("near the missing numbers %d to %d", gap.Low, gap.High)
	if gap.Low == gap.High {
		note = fmt.Sprintf("near the missing number %d", gap.Low)
	}
	return report.Evidence{Side: sideOf(in), Frame: int(p.Frame), Note: note}
}

func espLoss(j *judge) []report.Finding {
	var all []report.Finding
	for _, f := range j.traffic.Lossy() {
		mine := f.At[f.From]
		found := report.Finding{
			Confidence: certainIf(f.At[f.From.Other()] != nil || j.traffic.Receives(f.From.Other())),
			Explanation: fmt.Sprintf("%d of %d %s packets of SPI %s from %s to %s %s lost on the path.", f.Lost, f.Sent,
				protected(mine), spiText(f.SPI), j.name(f.From), j.name(f.From.Other()), was(int(f.Lost))),
			Actions: []report.Action{j.exec(f.From, "errors and drops on the WAN interface", j.showInterface(f.From)...)},
			Subject: sentBy(f.From),
			Fields: map[string]any{"spi": spiText(f.SPI), "lost": f.Lost, "sent": f.Sent,
				"loss_ratio": ratio(int(f.Lost), int(f.Sent))},
		}
		if to := f.From.Other(); j.skipsESP(to) {
			found.Confidence = report.Possible
			found.Explanation = fmt.Sprintf("%d of %d %s packets of SPI %s from %s are not in the capture of %s: the path lost "+
				"them, or that capture left them out, as it did with some that %s sent itself.", f.Lost, f.Sent, protected(mine),
				spiText(f.SPI), j.name(f.From), j.name(to), j.name(to))
		}
		for i, p := range f.Gap[:min(len(f.Gap), gapsShown)] {
			if p.Frame > 0 {
				found.Evidence = append(found.Evidence, nearGap(f.From, p, f.Gaps[i]))
			}
		}
		all = append(all, found)
	}
	return append(all, j.numbersMissing()...)
}

// skipsESP says whether the capture of s leaves protected packets out now and then: it lacks some
// that s sent, which the other side got, and holds others.
func (j *judge) skipsESP(s pair.Side) bool {
	return *j.skipping.of(s, func(s pair.Side) bool {
		return j.c.Parties[s].Coverage.Hidden > 0 && slices.ContainsFunc(j.c.Flows, func(f *pair.Flow) bool {
			return f.From == s && f.At[s] != nil && f.Hidden > 0
		})
	})
}

// numbersMissing is what the receiver's capture alone says of loss: it lacks numbers between others
// that it holds. Which sizes they had, and where they went, only the sender's capture could tell.
func (j *judge) numbersMissing() []report.Finding {
	var all []report.Finding
	for _, h := range j.traffic.Holes() {
		to := h.From.Other()
		found := report.Finding{
			Confidence: report.Possible, Title: "Some ESP packets are missing in the receiver's capture",
			Explanation: fmt.Sprintf("Of %d %s packets of SPI %s that %s numbered, %s in the capture of %s, between others "+
				"that are there: the path lost them, they came in by another interface, or %s dropped them behind its IPsec.",
				h.Missing+h.Held, protected(h.At[to]), spiText(h.SPI), j.name(h.From),
				plural(int(h.Missing), "is missing", "are missing"), j.name(to), j.name(h.From)),
			Actions: []report.Action{j.exec(h.From, "errors and drops on the WAN interface", j.showInterface(h.From)...),
				j.findSize(h.From, 0, 0)},
			Subject: sentBy(h.From),
			Fields: map[string]any{"spi": spiText(h.SPI), "lost": h.Missing, "sent": h.Missing + h.Held,
				"loss_ratio": ratio(int(h.Missing), int(h.Missing+h.Held))},
		}
		if h.Trusted {
			found.Confidence = report.Probable
			found.Explanation += fmt.Sprintf(" Of what %s sent itself its capture lacks none.", j.name(to))
		}
		for _, r := range h.Runs[:min(len(h.Runs), gapsShown)] {
			found.Evidence = append(found.Evidence, nearGap(to, h.Near(to, r.High+1), r))
		}
		all = append(all, found)
	}
	return all
}

// permitFlow is the line that a filter needs to pass what f is.
func (j *judge) permitFlow(f *pair.Flow) string {
	switch x := f.At[f.From]; {
	case x.UDP:
		return j.wayOf(f.From).permitSent("udp", x.Src.Port(), x.Dst.Port())
	case x.TCP:
		return j.wayOf(f.From).permitSent("tcp", x.Src.Port(), x.Dst.Port())
	case x.AH:
		return j.permit(f.From, "ahp", "")
	}
	return j.permit(f.From, "esp", "")
}

// window is the anti-replay window unless configured otherwise (RFC 4303, Section 3.4.3).
const window = 64

func espReplay(j *judge) []report.Finding {
	var all []report.Finding
	for _, f := range j.c.Flows {
		x := f.At[f.From.Other()]
		if x == nil || f.Foreign || x.Late == 0 || x.Displaced <= window || x.Restart != nil {
			continue
		}
		if s := f.At[f.From]; s != nil && s.Restart != nil {
			continue // its numbers began again: that is no path's doing
		}
		all = append(all, report.Finding{
			Confidence: report.Probable,
			Explanation: fmt.Sprintf("ESP packets of SPI %s arrive at %s up to %d behind later ones: the anti-replay window "+
				"(%d unless configured) drops them.", spiText(f.SPI), j.name(f.From.Other()), x.Displaced, window),
			Evidence: []report.Evidence{{Side: sideOf(f.From.Other()), Frame: int(x.LatePoint.Frame),
				Note: "the farthest behind"}},
			Actions: []report.Action{j.config(f.From.Other(), "a larger window (a suggestion)",
				"crypto ipsec security-association replay window-size 1024")},
			Subject: sentBy(f.From),
			Fields:  map[string]any{"spi": spiText(f.SPI), "displacement": x.Displaced},
		})
	}
	return all
}
