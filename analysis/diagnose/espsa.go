package diagnose

import (
	"fmt"

	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

func espStaleSPI(j *judge) []report.Finding {
	var all []report.Finding
	for _, x := range j.traffic.Stale() {
		s, peer := x.From, x.From.Other()
		all = append(all, report.Finding{
			Confidence: report.Probable,
			Explanation: fmt.Sprintf("%s goes on sending with SPI %s, which is older than the newest SA: %s since then, "+
				"while %s has moved on (SPI %s). Who no longer knows an SPI drops it.", capital(j.name(s)), spiText(x.SPI),
				plural(x.Packets, "packet", "packets"), j.name(peer), spiText(x.Newest.SPI)),
			Evidence: []report.Evidence{{Side: sideOf(x.In), Frame: int(x.First.Frame), Note: "still the old SPI"}},
			Actions: []report.Action{
				j.exec(peer, "%CRYPTO-4-RECVD_PKT_INV_SPI says that it drops them", "show logging", "show crypto ipsec sa"),
				j.exec(s, "drop the SA that the peer no longer has (interrupts its traffic)",
					j.toward(s, "clear crypto sa peer %s")...),
				j.config(s, "so that it negotiates anew by itself (a suggestion)", "crypto isakmp invalid-spi-recovery"),
			},
			Subject: onSide(s),
			Fields: map[string]any{"spi": spiText(x.SPI), "newest_spi": spiText(x.Newest.SPI),
				"packets": x.Packets},
		})
	}
	return all
}

func espSequenceRestart(j *judge) []report.Finding {
	var all []report.Finding
	for _, x := range j.traffic.Restarts() {
		s, peer := x.From, x.From.Other()
		all = append(all, report.Finding{
			Confidence: report.Certain,
			Explanation: fmt.Sprintf("The sequence number of SPI %s from %s to %s falls back from %d to %d in the same SA, "+
				"with other packets than before: a peer with anti-replay drops all of them until %d is passed.", spiText(x.SPI),
				j.name(s), j.name(peer), x.Before, x.Seq, x.Before),
			Evidence: []report.Evidence{{Side: sideOf(x.In), Frame: int(x.Frame), Note: "the number begins again"}},
			Actions: []report.Action{
				j.exec(peer, "replay errors: %IPSEC-3-REPLAY_ERROR", "show logging", "show crypto ipsec sa detail"),
				j.exec(s, "whether it switched over or was restarted; a new SA ends it (interrupts its traffic)",
					append([]string{"show redundancy", "show version"}, j.toward(s, "clear crypto sa peer %s")...)...),
			},
			Subject: sentBy(s),
			Fields: map[string]any{"spi": spiText(x.SPI), "highest_before": x.Before,
				"restarted_at": x.Seq},
		})
	}
	return all
}

func espEncapsulationDiffers(j *judge) []report.Finding {
	var all []report.Finding
	for _, x := range j.traffic.Differing() {
		var how [2]string
		var evidence []report.Evidence
		for _, s := range pair.Both {
			f, at := x.Of[s], s
			if f.At[s] == nil {
				at = s.Other()
			}
			how[s] = encapsulation(f.At[at])
			evidence = append(evidence,
				report.Evidence{Side: sideOf(at), Frame: int(f.At[at].First.Frame), Note: carrier(f.At[at])})
		}
		first := pair.A // who wraps it
		if how[pair.A] == "esp" {
			first = pair.B
		}
		const setting = "crypto ipsec nat-transparency udp-encapsulation"
		const alike = "which form its SAs have: \"in use settings\""
		actions := []report.Action{j.exec(pair.A, alike, "show crypto ipsec sa"),
			j.exec(pair.B, alike, "show crypto ipsec sa")}
		belief := "one of them wraps it and the other does not know"
		if how[first] == "udp" && how[first.Other()] == "esp" {
			belief = "one of them believes in a NAT and the other does not"
			actions = append(actions, j.config(first.Other(), "NAT traversal on both sides (a suggestion)", setting))
		}
		all = append(all, report.Finding{
			Confidence: report.Certain,
			Explanation: fmt.Sprintf("%s sends %s and %s sends %s, at the same time: %s, and a gateway may drop what comes in "+
				"the other form.",
				capital(j.end(first, x.Peer)), form(how[first]), j.end(first.Other(), x.Peer), form(how[first.Other()]), belief),
			Evidence: evidence,
			Actions:  actions,
			Fields:   map[string]any{"side_a": how[pair.A], "side_b": how[pair.B]},
		})
	}
	return all
}

// form is an encapsulation in a sentence.
func form(encapsulation string) string {
	switch encapsulation {
	case "udp":
		return "ESP in UDP 4500"
	case "tcp":
		return "ESP in TCP 4500"
	}
	return "it as protocol 50"
}

func trafficInClear(j *judge) []report.Finding {
	var all []report.Finding
	for _, x := range facts.Clears(j.c) {
		all = append(all, report.Finding{
			Confidence: report.Certain,
			Explanation: fmt.Sprintf("%s sends %s to %s outside IPsec: %s in clear, though the two have a tunnel.",
				capital(j.name(x.From)), x.Protocol, j.name(x.From.Other()), plural(x.Packets, "packet", "packets")),
			Evidence: []report.Evidence{{Side: sideOf(x.In), Frame: x.Stream.FirstFrame, Note: x.Protocol + " in clear"}},
			Actions: []report.Action{j.exec(x.From,
				"tunnel protection on the tunnel interface, or a crypto map entry that matches it, is missing",
				"show running-config | section interface Tunnel", "show crypto map", "show crypto session detail")},
			Subject: onSide(x.From),
			Fields:  map[string]any{"protocol": x.Protocol, "packets": x.Packets},
		})
	}
	return all
}
