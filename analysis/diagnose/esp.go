package diagnose

import (
	"fmt"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

func spiText(spi uint32) string { return fmt.Sprintf("0x%08x", spi) }

func encapsulation(f *exchange.Flow) string {
	if f.UDP {
		return "udp"
	}
	return "esp"
}

// ikePasses says whether IKE of s reaches the other side.
func (j *judge) ikePasses(s pair.Side) bool { return j.c.Tally(s, 0).Delivered > 0 }

func espBlocked(j *judge) []report.Finding {
	if !j.c.TwoSided() {
		return nil
	}
	var all []report.Finding
	for _, f := range j.c.Flows {
		mine := f.At[f.From]
		if mine == nil || f.At[f.From.Other()] != nil || f.Lost == 0 || !j.ikePasses(f.From) {
			continue
		}
		what, permit := "protocol 50 (ESP)", j.permitESP(f)
		if mine.UDP {
			what = "ESP in UDP 4500"
		}
		all = append(all, report.Finding{
			Confidence:  report.Certain,
			Explanation: fmt.Sprintf("IKE from %s to %s passes, %s does not: %s of SPI %s %s sent, 0 arrived.", j.name(f.From), j.name(f.From.Other()), what, plural(mine.Packets, "packet", "packets"), spiText(f.SPI), was(mine.Packets)),
			Evidence:    []report.Evidence{{Side: sideOf(f.From), Frame: mine.First.Frame, Note: "ESP leaves and does not arrive"}},
			Actions: []report.Action{path(f.From, "a filter between the two gateways drops "+what, permit),
				j.exec(f.From.Other(), "whether anything was decrypted", j.toward(f.From.Other(), "show crypto ipsec sa peer %s")...)},
			Fields: map[string]any{"direction": f.From.Direction(), "spi": spiText(f.SPI), "encapsulation": encapsulation(mine), "sent": mine.Packets},
		})
	}
	return all
}

func espOneWay(j *judge) []report.Finding {
	var sent [2]int
	var first [2]*pair.Flow
	for _, f := range j.c.Flows {
		n := 0
		for _, x := range f.At {
			if x != nil {
				n = max(n, x.Packets)
			}
		}
		sent[f.From] += n
		if first[f.From] == nil {
			first[f.From] = f
		}
	}
	for _, s := range pair.Both {
		talker := s.Other()
		// A few packets one way may be what there was to say; without the silent side's own capture nothing proves silence.
		if sent[s] > 0 || sent[talker] < 5 || j.c.Story(s) == nil || first[talker].At[s] == nil {
			continue
		}
		f := first[talker]
		return []report.Finding{{
			Confidence:  report.Probable,
			Explanation: fmt.Sprintf("%s sends protected traffic and it arrives at %s, which sends none: it does not encrypt what should come back.", j.name(talker), j.name(s)),
			Evidence:    []report.Evidence{{Side: sideOf(s), Frame: f.At[s].First.Frame, Note: "ESP arrives, none goes back"}},
			Actions: []report.Action{j.exec(s, "encaps and decaps, the route back, crypto ACL and NAT exemption",
				j.toward(s, "show crypto ipsec sa peer %s", "show ip route", "show crypto map", "show ip nat translations")...)},
			Fields: map[string]any{"silent_side": s.String(), "spi": spiText(f.SPI)},
		}}
	}
	return nil
}

func espLoss(j *judge) []report.Finding {
	var all []report.Finding
	for _, f := range j.c.Flows {
		if f.Lost == 0 || f.At[pair.A] == nil || f.At[pair.B] == nil {
			continue
		}
		found := report.Finding{
			Confidence:  report.Certain,
			Explanation: fmt.Sprintf("%d of %d ESP packets of SPI %s from %s to %s %s lost on the path.", f.Lost, f.Sent, spiText(f.SPI), j.name(f.From), j.name(f.From.Other()), was(int(f.Lost))),
			Actions:     []report.Action{j.exec(f.From, "errors and drops on the WAN interface", j.showInterface(f.From)...)},
			Fields:      map[string]any{"direction": f.From.Direction(), "spi": spiText(f.SPI), "lost": f.Lost, "sent": f.Sent, "loss_ratio": ratio(int(f.Lost), int(f.Sent))},
		}
		if last, ok := lostSince(f); ok {
			found.Explanation = fmt.Sprintf("ESP of SPI %s from %s to %s passes up to number %d and then no more: %d sent after it, 0 arrived.", spiText(f.SPI), j.name(f.From), j.name(f.From.Other()), last.Low-1, last.Len())
			found.Actions = append(found.Actions, path(f.From, "a device between the two gateways began to drop them", j.permitESP(f)))
		}
		for i, p := range f.Gap[:min(len(f.Gap), 4)] {
			if p.Frame > 0 {
				found.Evidence = append(found.Evidence, report.Evidence{Side: sideOf(f.From), Frame: p.Frame, Note: fmt.Sprintf("near the missing numbers %d to %d", f.Gaps[i].Low, f.Gaps[i].High)})
			}
		}
		all = append(all, found)
	}
	return all
}

// lostSince is the run of lost packets that lasts to the end of what the receiver's capture covered, when it is too long to be chance.
func lostSince(f *pair.Flow) (exchange.Interval, bool) {
	const fewest = 32
	if len(f.Gaps) == 0 || len(f.Gaps) == pair.MaxGaps {
		return exchange.Interval{}, false
	}
	last, arrived := f.Gaps[len(f.Gaps)-1], f.At[f.From.Other()].Seqs.Max()
	return last, last.Len() >= fewest && last.Low > arrived
}

// permitESP is the line that a filter needs to pass what f is.
func (j *judge) permitESP(f *pair.Flow) string {
	if f.At[f.From].UDP {
		return j.permitPort(f.From, 4500)
	}
	return j.permit(f.From, "esp", "")
}

// window is the anti-replay window unless configured otherwise (RFC 4303, Section 3.4.3).
const window = 64

func espReplay(j *judge) []report.Finding {
	var all []report.Finding
	for _, f := range j.c.Flows {
		x := f.At[f.From.Other()]
		if x == nil || x.Late == 0 || x.Displaced <= window {
			continue
		}
		all = append(all, report.Finding{
			Confidence:  report.Probable,
			Explanation: fmt.Sprintf("ESP packets of SPI %s arrive at %s up to %d behind later ones: the anti-replay window (%d unless configured) drops them.", spiText(f.SPI), j.name(f.From.Other()), x.Displaced, window),
			Evidence:    []report.Evidence{{Side: sideOf(f.From.Other()), Frame: x.LatePoint.Frame, Note: "the farthest behind"}},
			Actions:     []report.Action{j.config(f.From.Other(), "a larger window (a suggestion)", "crypto ipsec security-association replay window-size 1024")},
			Fields:      map[string]any{"direction": f.From.Direction(), "spi": spiText(f.SPI), "displacement": x.Displaced},
		})
	}
	return all
}
