package diagnose

import (
	"fmt"

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
func (j *judge) ikePasses(s pair.Side) bool { return j.c.Tally(s, 0).Delivered > 0 }

func espBlocked(j *judge) []report.Finding {
	var all []report.Finding
	for _, b := range j.traffic.Blocked() {
		if !b.Certain && !j.ikePasses(b.From) {
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
		case j.ikePasses(b.From):
			text = fmt.Sprintf("IKE from %s to %s passes, %s does not: %s of SPI %s %s sent, 0 arrived.", from, to, what,
				plural(sent, "packet", "packets"), spiText(b.SPI), was(sent))
		default:
			title = protected(mine) + " does not get through"
			text = fmt.Sprintf("%s from %s does not reach %s: %s of SPI %s %s sent, "+
				"0 arrived, while that side's capture holds packets from before and after them.", capital(what), from, to,
				plural(sent, "packet", "packets"), spiText(b.SPI), was(sent))
		}
		all = append(all, report.Finding{
			Confidence: report.Certain, Title: title, Explanation: text,
			Evidence: []report.Evidence{{Side: sideOf(b.From), Frame: int(frame),
				Note: protected(mine) + " leaves and does not arrive"}},
			Actions: []report.Action{path(b.From, "a filter between the two gateways drops "+what, j.permitFlow(b.Flow)),
				j.exec(b.From.Other(), "whether anything was decrypted",
					j.toward(b.From.Other(), "show crypto ipsec sa peer %s")...)},
			Subject: sentBy(b.From),
			Fields: map[string]any{"spi": spiText(b.SPI), "encapsulation": encapsulation(mine),
				"sent": sent},
		})
	}
	return all
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
			f.Confidence = report.Possible
			f.Explanation = fmt.Sprintf("%s sends protected traffic (%s in %s), and none comes back from %s: it sends none, "+
				"or the path drops one of the two directions. A capture on that side tells which.", talker, count, took, silent)
		case x.Whole:
			f.Explanation = fmt.Sprintf("%s sends protected traffic and it arrives at %s, which sends none: "+
				"it does not encrypt what should come back.", talker, silent)
		case x.AtFirst:
			f.Explanation = fmt.Sprintf("%s sends no protected traffic for the first %s of its SA, while %s of %s arrive.",
				silent, took, count, talker)
		default:
			f.Explanation = fmt.Sprintf("%s falls silent: for %s it sends no protected traffic, while %s of %s arrive. Before, "+
				"it was never quiet for so long.", silent, took, count, talker)
		}
		if x.Arrives && x.Whole && !j.c.TwoSided() {
			f.Explanation += " Or its packets leave by another interface than the captured one."
		}
		f.Explanation = capital(f.Explanation)
		all = append(all, f)
	}
	return all
}

// end is a side for people; with one capture of several peers, the other end is told by its
// address.
func (j *judge) end(s pair.Side, p *facts.Peer) string {
	if p.Remote.IsValid() && j.c.Story(s) == nil {
		if name := j.c.Parties[s].Name; name != "" {
			return name + " (" + p.Remote.String() + ")"
		}
		return p.Remote.String()
	}
	return j.name(s)
}

func espLoss(j *judge) []report.Finding {
	var all []report.Finding
	for _, f := range j.traffic.Lossy() {
		mine := f.At[f.From]
		found := report.Finding{
			Confidence: report.Certain,
			Explanation: fmt.Sprintf("%d of %d %s packets of SPI %s from %s to %s %s lost on the path.", f.Lost, f.Sent,
				protected(mine), spiText(f.SPI), j.name(f.From), j.name(f.From.Other()), was(int(f.Lost))),
			Actions: []report.Action{j.exec(f.From, "errors and drops on the WAN interface", j.showInterface(f.From)...)},
			Subject: sentBy(f.From),
			Fields: map[string]any{"spi": spiText(f.SPI), "lost": f.Lost, "sent": f.Sent,
				"loss_ratio": ratio(int(f.Lost), int(f.Sent))},
		}
		for i, p := range f.Gap[:min(len(f.Gap), 4)] {
			if p.Frame > 0 {
				note := fmt.Sprintf("near the missing numbers %d to %d", f.Gaps[i].Low, f.Gaps[i].High)
				found.Evidence = append(found.Evidence, report.Evidence{Side: sideOf(f.From), Frame: int(p.Frame), Note: note})
			}
		}
		all = append(all, found)
	}
	return all
}

// permitFlow is the line that a filter needs to pass what f is.
func (j *judge) permitFlow(f *pair.Flow) string {
	switch x := f.At[f.From]; {
	case x.UDP:
		return j.permitPort(f.From, "udp", 4500)
	case x.TCP:
		return j.permitPort(f.From, "tcp", 4500)
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
