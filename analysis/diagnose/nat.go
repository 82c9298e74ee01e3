package diagnose

import (
	"fmt"
	"net/netip"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// mappings are the translations of s, by what the pairs prove.
func (j *judge) mappings(s pair.Side) []pair.Mapping {
	var all []pair.Mapping
	for _, m := range j.c.NAT {
		if m.Side == s {
			all = append(all, m)
		}
	}
	return all
}

func natDetected(j *judge) []report.Finding {
	var all []report.Finding
	for _, s := range pair.Both {
		if f, ok := j.natOfPairs(s); ok {
			all = append(all, f)
		} else if f, ok := j.natOfHashes(s); ok {
			all = append(all, f)
		}
	}
	return all
}

func (j *judge) natOfPairs(s pair.Side) (report.Finding, bool) {
	maps := j.mappings(s)
	if len(maps) == 0 {
		return report.Finding{}, false
	}
	first, preserved := maps[0], true
	for _, m := range maps {
		preserved = preserved && m.Original.Port() == m.Translated.Port()
	}
	verified := j.hashesConfirm(s)
	how := ""
	if verified {
		how = " Its NAT detection hash confirms it."
	}
	return report.Finding{
		Confidence: report.Certain,
		Explanation: fmt.Sprintf("A NAT between the sides translates %s from %s to %s.%s", j.partyName(s),
			first.Original.Addr(), first.Translated.Addr(), how),
		Evidence: []report.Evidence{
			{Side: "A", Frame: first.First[pair.A].Frame,
				Note: "as " + first.First[pair.A].Src.String() + " to " + first.First[pair.A].Dst.String()},
			{Side: "B", Frame: first.First[pair.B].Frame,
				Note: "the same packet as " + first.First[pair.B].Src.String() + " to " + first.First[pair.B].Dst.String()},
		},
		Fields: map[string]any{"translated_side": s.String(), "original": first.Original.Addr().String(),
			"translated": first.Translated.Addr().String(), "port_preserved": preserved, "hash_verified": verified},
	}, true
}

func (j *judge) partyName(s pair.Side) string {
	if n := j.c.Parties[s].Name; n != "" {
		return n
	}
	return "side " + s.String()
}

// hashesConfirm says whether a NAT detection hash of s's own address matches what s's capture shows
// and not what the other side's does.
func (j *judge) hashesConfirm(s pair.Side) bool {
	for m := range j.c.Messages() {
		for _, d := range m.NATD {
			if d.Forced {
				continue
			}
			if m.From == s && d.Source && d.Sent && !d.Received || m.From != s && !d.Source && d.Sent && !d.Received {
				return true
			}
		}
	}
	return false
}

// natOfHashes finds a NAT from one capture alone: the hash of the sender's address does not match
// where the packet came from, or the hash of where it was sent does not match where it arrived.
func (j *judge) natOfHashes(s pair.Side) (report.Finding, bool) {
	if j.c.TwoSided() && !facts.AnyEmpty(j.c) {
		return report.Finding{}, false
	}
	for m := range j.c.Messages() {
		for _, d := range m.NATD {
			about := m.From
			if !d.Source {
				about = m.From.Other()
			}
			observer := j.c.Observer(m.From)
			if about != s || d.Forced || d.Sent || d.Received || len(m.Transmissions) == 0 {
				continue
			}
			seen := m.Transmissions[0].At[observer]
			if seen == nil || observer == s && d.Source {
				continue
			}
			if observer == s {
				return j.natOfOwnHash(s, m, d, seen.Dst), true
			}
			end := seen.Src
			if !d.Source {
				end = seen.Dst
			}
			if d.Address == end {
				continue
			}
			f := report.Finding{
				Confidence: report.Probable, Conversation: m.Conversation.ID,
				Explanation: fmt.Sprintf("A NAT seems to translate %s: its NAT detection hash is not of %s, "+
					"from where its packets come.", j.partyName(s), end),
				Evidence: evidence("the NAT detection hash does not match the address", m),
				Fields: map[string]any{"translated_side": s.String(), "original": nil, "translated": end.Addr().String(),
					"port_preserved": nil, "hash_verified": false},
			}
			if d.Address.IsValid() {
				f.Explanation = fmt.Sprintf("A NAT translates %s: its NAT detection hash is that of %s, "+
					"and its packets come from %s.", j.partyName(s), d.Address, end)
				f.Fields["original"], f.Fields["hash_verified"] = d.Address.Addr().String(), true
				f.Fields["port_preserved"] = d.Address.Port() == end.Port()
			}
			return f, true
		}
	}
	return report.Finding{}, false
}

// natOfOwnHash is for the capture of the translated side itself: the other side's hash of where it
// sends is not of the address at which the packet arrives.
func (j *judge) natOfOwnHash(s pair.Side, m *pair.Message, d pair.NATD, own netip.AddrPort) report.Finding {
	f := report.Finding{
		Confidence: report.Probable, Conversation: m.Conversation.ID,
		Explanation: fmt.Sprintf("A NAT seems to translate %s: the other side's NAT detection hash is not of %s, "+
			"where its packets arrive.", j.partyName(s), own),
		Evidence: evidence("the NAT detection hash does not match the address", m),
		Fields: map[string]any{"translated_side": s.String(), "original": own.Addr().String(), "translated": nil,
			"port_preserved": nil, "hash_verified": false},
	}
	if d.Address.IsValid() {
		f.Explanation = fmt.Sprintf("A NAT translates %s from %s to %s: "+
			"the other side's NAT detection hash is of that address.", j.partyName(s), own, d.Address)
		f.Fields["translated"], f.Fields["port_preserved"], f.Fields["hash_verified"] = d.Address.Addr().String(),
			d.Address.Port() == own.Port(), true
	}
	return f
}

func natPortRewritten(j *judge) []report.Finding {
	var all []report.Finding
	for _, s := range pair.Both {
		for _, m := range j.mappings(s) {
			if m.Original.Port() == 0 || m.Original.Port() == m.Translated.Port() {
				continue
			}
			all = append(all, report.Finding{
				Confidence: report.Certain,
				Explanation: fmt.Sprintf("The NAT changes the UDP source port of %s from %d to %d. Filters on the way must not "+
					"insist on source port %d.", j.partyName(s), m.Original.Port(), m.Translated.Port(), m.Original.Port()),
				Evidence: []report.Evidence{{Side: "A", Frame: m.First[pair.A].Frame},
					{Side: "B", Frame: m.First[pair.B].Frame}},
				Fields: map[string]any{"original_port": int(m.Original.Port()), "translated_port": int(m.Translated.Port())},
			})
			break
		}
	}
	return all
}

func natMappingChanged(j *judge) []report.Finding {
	var all []report.Finding
	for _, s := range pair.Both {
		last := map[netip.AddrPort]pair.Mapping{}
		for _, m := range j.mappings(s) {
			before, ok := last[m.Original]
			last[m.Original] = m
			if !ok || before.Translated == m.Translated || !j.sameSA(before, m) {
				continue
			}
			all = append(all, report.Finding{
				Confidence: report.Certain,
				Explanation: fmt.Sprintf("The NAT changed its mapping of %s inside one IKE SA, from %s to %s: "+
					"answers to the old one no longer arrive.", j.partyName(s), before.Translated, m.Translated),
				Evidence: []report.Evidence{{Side: "A", Frame: m.First[pair.A].Frame},
					{Side: "B", Frame: m.First[pair.B].Frame}},
				Actions: []report.Action{j.config(s, "keepalives more often than the NAT forgets",
					"crypto ikev2 nat keepalive 20")},
				Fields: map[string]any{"before": before.Translated.String(), "after": m.Translated.String()},
			})
		}
	}
	return all
}

// sameSA says whether two mappings of one address and port are of one IKE SA: by their SPI; with
// ESP, when no negotiation began between the two.
func (j *judge) sameSA(before, after pair.Mapping) bool {
	if before.SPIi != 0 && after.SPIi != 0 {
		return before.SPIi == after.SPIi
	}
	return !j.begunBetween(before.From, after.From)
}

func encapsulationForced(j *judge) []report.Finding {
	for m := range j.c.Messages() {
		for _, d := range m.NATD {
			if d.Forced && !j.has("", "nat-detected") {
				return []report.Finding{{
					Confidence: report.Certain, Conversation: m.Conversation.ID,
					Explanation: fmt.Sprintf("%s sends a NAT detection hash of no address at all, "+
						"so that both sides use UDP encapsulation although no NAT is there.", j.name(m.From)),
					Evidence: evidence("the NAT detection hash is of no known address", m),
				}}
			}
		}
	}
	return nil
}

func natFloatMissing(j *judge) []report.Finding {
	if !j.has("", "nat-detected") {
		return nil
	}
	for _, t := range j.talks {
		s, sure := j.translated(t)
		if !sure {
			continue
		}
		for _, m := range t.Messages {
			if !m.Encrypted() || m.Conversation.Version == 1 && m.Exchange == ike.V1Informational {
				continue
			}
			port := m.Transmissions[0].Port()
			if port == 4500 {
				break
			}
			if port == 500 {
				return []report.Finding{{
					Confidence: report.Certain, Conversation: t.ID,
					Explanation: fmt.Sprintf("%s is behind a NAT, and %s went on over UDP 500: NAT traversal is off on a side, "+
						"so ESP will not get through the NAT.", j.name(s), m.Exchange),
					Evidence: evidence("behind a NAT, and still on UDP 500", m),
					Actions: []report.Action{
						j.config(pair.A, "NAT traversal must be on", "crypto ipsec nat-transparency udp-encapsulation"),
						j.config(pair.B, "NAT traversal must be on", "crypto ipsec nat-transparency udp-encapsulation"),
					},
				}}
			}
		}
	}
	return nil
}

// translated is the side of a conversation that is behind a NAT, by the addresses that its packets
// have on the two sides, so that a NAT in front of one peer of a hub is not held against the
// others; with one capture alone, the side of the NAT that was found.
func (j *judge) translated(t *talk) (s pair.Side, sure bool) {
	if !j.c.TwoSided() {
		return j.translatedSide()
	}
	return translatedByPairs(t.Conversation)
}

func translatedByPairs(v *pair.Conversation) (s pair.Side, sure bool) {
	for _, m := range v.Messages {
		for _, x := range m.Transmissions {
			a, b := x.At[pair.A], x.At[pair.B]
			switch {
			case a == nil || b == nil:
			case a.Src != b.Src:
				return m.From, true
			case a.Dst != b.Dst:
				return m.From.Other(), true
			}
		}
	}
	return pair.A, false
}

// translatedSide is the side behind the NAT that was found, and whether it is proven to be there:
// by pairs, or by a hash whose address is known. A hash of no known address may be made up.
func (j *judge) translatedSide() (s pair.Side, sure bool) {
	if j.behindNAT != nil {
		return j.behindNAT.side, j.behindNAT.sure
	}
	j.behindNAT = &behindNAT{}
	for _, f := range natDetected(j) {
		j.behindNAT.sure = j.behindNAT.sure || f.Confidence == report.Certain || f.Fields["hash_verified"] == true
		if f.Fields["translated_side"] == "B" {
			j.behindNAT.side = pair.B
		}
	}
	return j.behindNAT.side, j.behindNAT.sure
}

// behindNAT is a side that a NAT translates.
type behindNAT struct {
	side pair.Side
	sure bool
}

// idle is the longest silence that a NAT's mapping is trusted to survive (RFC 3948, Section 4: 20
// seconds by default).
const idle = 30e9

func natKeepaliveMissing(j *judge) []report.Finding {
	t := j.establishedTalk()
	if t == nil || !j.has("", "nat-detected") {
		return nil
	}
	s, sure := j.translated(t)
	if !sure {
		return nil
	}
	story := j.c.Story(j.c.Observer(s))
	if story == nil || len(story.Keepalives) > 0 {
		return nil
	}
	last, gap := int64(0), int64(0)
	var before, ends *pair.Transmission // of the longest silence
	for _, m := range t.Messages {
		for _, x := range m.Transmissions {
			if last != 0 && x.Aligned-last > gap {
				gap, ends = x.Aligned-last, x
			}
			last = max(last, x.Aligned)
		}
	}
	for _, m := range t.Messages {
		for _, x := range m.Transmissions {
			if ends != nil && x.Aligned <= ends.Aligned-gap {
				before = x
			}
		}
	}
	if hasESP(j.c) || gap < idle {
		return nil
	}
	return []report.Finding{{
		Confidence: report.Certain, Conversation: t.ID,
		Explanation: fmt.Sprintf("%s is behind a NAT and was silent for %s without a NAT keepalive: "+
			"the NAT may have forgotten its mapping.", j.name(s), duration(millis(gap))),
		Evidence: append(sights("the last packet before the silence", before), sights("the first one after it", ends)...),
		Actions: []report.Action{j.config(s, "keepalives more often than the NAT forgets",
			"crypto ikev2 nat keepalive 20", "crypto isakmp nat keepalive 20")},
	}}
}

// setPeer are the lines that name the right peer, of a crypto map or of a tunnel interface.
func (j *judge) setPeer(s pair.Side) []report.Action {
	to := j.toward(s, "set peer %s")
	if len(to) == 0 {
		return nil
	}
	return []report.Action{j.config(s,
		"the peer's address in the crypto map entry (a suggestion; with tunnel protection: tunnel destination)", to...)}
}

func wrongPeer(j *judge) []report.Finding {
	var all []report.Finding
	seen := map[netip.Addr]bool{}
	for _, t := range j.talks {
		if !t.Foreign {
			continue
		}
		for _, m := range t.Messages {
			if m.Kind != exchange.Request || m.From != t.Initiator || m.AnsweredBy != nil {
				continue
			}
			x := m.Transmissions[0].At[j.c.Observer(m.From)]
			if x == nil || seen[x.Dst.Addr()] || m.Has(uint16(ike.RedirectedFrom)) || !j.own(m.From, x.Src.Addr().String()) {
				continue
			}
			seen[x.Dst.Addr()] = true
			peer := m.From.Other()
			all = append(all, report.Finding{
				Confidence: certainIf(j.c.Parties[peer].Known.IsValid()), Conversation: t.ID,
				Explanation: fmt.Sprintf("%s sends its requests to %s, which is not an address of %s; none arrives there.",
					j.name(m.From), x.Dst.Addr(), j.name(peer)),
				Evidence: evidence("to an address that is not the peer's", m),
				Actions: append([]report.Action{j.exec(m.From, "which peer address is configured", "show crypto map",
					"show crypto ikev2 profile", "show running-config | section interface Tunnel")}, j.setPeer(m.From)...),
				Fields: map[string]any{"side": m.From.String(), "sent_to": x.Dst.Addr().String(), "expected": j.seenAs(peer)},
			})
		}
	}
	return all
}

// unknownTarget adds to a blocked path what leaves the peer's address in doubt: nothing arrived
// from st's side, which sends to an address that the receiver's own packets do not bear, and no
// inventory knows better. A NAT before the receiver looks the same.
func (j *judge) unknownTarget(f *report.Finding, st stretch) {
	peer := &j.c.Parties[st.side.Other()]
	x := st.sent[0].At[st.side]
	if st.delivered > 0 || x == nil || peer.Known.IsValid() || len(peer.Addresses) == 0 || peer.Is(x.Dst.Addr()) {
		return
	}
	to, own := x.Dst.Addr().String(), j.address(st.side.Other())
	f.Explanation += fmt.Sprintf(" %s sends to %s, while %s sends from %s: either a NAT translates that address, "+
		"or the peer's address is wrong.", capital(j.name(st.side)), to, j.name(st.side.Other()), own)
	f.Actions = append([]report.Action{j.exec(st.side, "whether "+to+" is the address that the peer is reached by",
		"show crypto map", "show running-config | section interface Tunnel")}, f.Actions...)
}
