package diagnose

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

func natDetected(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.nat {
		switch {
		case t.Mapping != nil:
			all = append(all, j.natOfPairs(t))
		case t.Own:
			all = append(all, j.natOfOwnHash(t))
		default:
			all = append(all, j.natOfHash(t))
		}
	}
	return all
}

func (j *judge) natOfPairs(t facts.Translated) report.Finding {
	m := t.Mapping
	a, b := m.First[pair.A], m.First[pair.B]
	how := ""
	if t.Verified {
		how = " Its NAT detection hash confirms it."
	}
	return report.Finding{
		Confidence: report.Certain,
		Explanation: fmt.Sprintf("A NAT between the sides translates %s from %s to %s.%s", j.partyName(t.Side),
			m.Original.Addr(), m.Translated.Addr(), how),
		Evidence: []report.Evidence{
			{Side: "A", Frame: int(a.Frame), Note: fmt.Sprintf("as %s to %s", a.Src, a.Dst)},
			{Side: "B", Frame: int(b.Frame), Note: fmt.Sprintf("the same packet as %s to %s", b.Src, b.Dst)},
		},
		Subject: onSide(t.Side),
		Fields: map[string]any{"original": m.Original.Addr().String(),
			"translated": m.Translated.Addr().String(), "port_preserved": t.Keeps, "hash_verified": t.Verified},
	}
}

// natOfHash is for the capture of the other side, which sees the translated address alone.
func (j *judge) natOfHash(t facts.Translated) report.Finding {
	f := report.Finding{
		Confidence: report.Probable, Conversation: t.Message.Conversation.ID,
		Explanation: fmt.Sprintf("A NAT seems to translate %s: its NAT detection hash is not of %s, "+
			"from where its packets come.", j.partyName(t.Side), t.End),
		Evidence: evidence("the NAT detection hash does not match the address", t.Message),
		Subject:  onSide(t.Side),
		Fields: map[string]any{"original": nil,
			"translated": t.End.Addr().String(), "port_preserved": nil, "hash_verified": t.Verified},
	}
	if t.Verified {
		f.Explanation = fmt.Sprintf("A NAT translates %s: its NAT detection hash is that of %s, "+
			"and its packets come from %s.", j.partyName(t.Side), t.Hash, t.End)
		f.Fields["original"], f.Fields["port_preserved"] = t.Hash.Addr().String(), t.Keeps
	}
	return f
}

// natOfOwnHash is for the capture of the translated side itself: the other side's hash of where it
// sends is not of the address at which the packet arrives.
func (j *judge) natOfOwnHash(t facts.Translated) report.Finding {
	f := report.Finding{
		Confidence: report.Probable, Conversation: t.Message.Conversation.ID,
		Explanation: fmt.Sprintf("A NAT seems to translate %s: the other side's NAT detection hash is not of %s, "+
			"where its packets arrive.", j.partyName(t.Side), t.End),
		Evidence: evidence("the NAT detection hash does not match the address", t.Message),
		Subject:  onSide(t.Side),
		Fields: map[string]any{"original": t.End.Addr().String(),
			"translated": nil, "port_preserved": nil, "hash_verified": t.Verified},
	}
	if t.Verified {
		f.Explanation = fmt.Sprintf("A NAT translates %s from %s to %s: "+
			"the other side's NAT detection hash is of that address.", j.partyName(t.Side), t.End, t.Hash)
		f.Fields["translated"], f.Fields["port_preserved"] = t.Hash.Addr().String(), t.Keeps
	}
	return f
}

func natPortRewritten(j *judge) []report.Finding {
	var all []report.Finding
	for _, s := range pair.Both {
		for _, m := range facts.Mappings(j.c, s) {
			if m.Original.Port() == 0 || m.Original.Port() == m.Translated.Port() {
				continue
			}
			all = append(all, report.Finding{
				Confidence: report.Certain,
				Explanation: fmt.Sprintf("The NAT changes the UDP source port of %s from %d to %d. Filters on the way must not "+
					"insist on source port %d.", j.partyName(s), m.Original.Port(), m.Translated.Port(), m.Original.Port()),
				Evidence: []report.Evidence{{Side: "A", Frame: int(m.First[pair.A].Frame)},
					{Side: "B", Frame: int(m.First[pair.B].Frame)}},
				Fields: map[string]any{"original_port": int(m.Original.Port()), "translated_port": int(m.Translated.Port())},
			})
			break
		}
	}
	return all
}

func natMappingChanged(j *judge) []report.Finding {
	var all []report.Finding
	left := facts.LeftBehinds(j.c)
	for _, s := range pair.Both {
		last := map[netip.AddrPort]*pair.Mapping{}
		for _, m := range facts.Mappings(j.c, s) {
			before, ok := last[m.Original]
			last[m.Original] = m
			if !ok || before.Translated == m.Translated || !j.sameSA(before, m) {
				continue
			}
			f := report.Finding{
				Confidence: report.Certain,
				Explanation: fmt.Sprintf("The NAT changed its mapping of %s inside one IKE SA, from %s to %s%s.", j.partyName(s),
					before.Translated, m.Translated, j.lostToTheOld(before, m)),
				Evidence: []report.Evidence{{Side: "A", Frame: int(m.First[pair.A].Frame)},
					{Side: "B", Frame: int(m.First[pair.B].Frame)}},
				Actions: []report.Action{j.config(s, "keepalives more often than the NAT forgets",
					j.natKeepalive(j.onlyV1()))},
				Subject: report.Subject{Device: before.Translated.Addr()},
				Fields:  map[string]any{"before": before.Translated.String(), "after": m.Translated.String()},
			}
			left = slices.DeleteFunc(left, func(x facts.LeftBehind) bool {
				is := x.From != s && sameEnd(x.Before, before.Translated) && sameEnd(x.After, m.Translated)
				if is {
					j.goesToTheOld(&f, x)
				}
				return is
			})
			all = append(all, f)
		}
	}
	for _, x := range left {
		all = append(all, j.addressLeft(x))
	}
	return all
}

// lostToTheOld says of IKE that goes to the mapping before, once there is another one, that it does
// not arrive; empty where none does, or where it arrives.
func (j *judge) lostToTheOld(before, after *pair.Mapping) string {
	sender := after.Side.Other()
	for _, t := range j.c.Sent(sender, 0) {
		if x := t.At[sender]; x != nil && x.Dst == before.Translated && t.Aligned > before.To && t.Missing {
			return ": answers to the old one no longer arrive"
		}
	}
	return ""
}

// sameEnd says whether x, which has no port where native ESP goes there, is y.
func sameEnd(x, y netip.AddrPort) bool {
	return x == y || x.Port() == 0 && x.Addr() == y.Addr()
}

// goesToTheOld adds to a finding that protected traffic goes on to the address that was left.
func (j *judge) goesToTheOld(f *report.Finding, x facts.LeftBehind) {
	sender, moved := j.name(x.From), j.partyName(x.From.Other())
	f.Subject.Direction = sentBy(x.From).Direction
	f.Explanation += fmt.Sprintf(" %s goes on sending its protected traffic to the old one, %s since then",
		capital(sender), plural(x.Packets, "packet", "packets"))
	if j.c.Story(x.From.Other()) != nil {
		f.Explanation += fmt.Sprintf(": %s gets none of it.", moved)
	} else {
		f.Explanation += fmt.Sprintf(", from where nothing of %s comes any more.", moved)
	}
	f.Evidence = append(f.Evidence, report.Evidence{Side: sideOf(x.From), Frame: int(x.First.Frame),
		Note: "protected traffic goes to the address that was left"})
	f.Actions = append(f.Actions, j.exec(x.From, "which address of the peer the SA has", "show crypto ipsec sa",
		"show crypto session detail"))
}

// addressLeft tells of a side that is heard from another address, be it that it moved or that a NAT
// before it changed its mapping: the other side's capture alone does not tell which.
func (j *judge) addressLeft(x facts.LeftBehind) report.Finding {
	moved := x.From.Other()
	before, after, why := endText(x.Before), endText(x.After), "it moved, or a NAT before it changed its mapping"
	if j.c.Story(moved) != nil {
		why = "it moved"
	}
	f := report.Finding{
		Confidence: report.Probable, Title: "Traffic goes to an address that the peer has left",
		Explanation: fmt.Sprintf("What %s sends comes from %s now, and no more from %s: %s.", j.partyName(moved), after,
			before, why),
		Subject: report.Subject{Device: x.Before.Addr()},
		Fields:  map[string]any{"before": before, "after": after},
	}
	j.goesToTheOld(&f, x)
	return f
}

// endText is an address and its port, where there is one.
func endText(a netip.AddrPort) string {
	if a.Port() == 0 {
		return a.Addr().String()
	}
	return a.String()
}

// sameSA says whether two mappings of one address and port are of one IKE SA: by their SPI; with
// ESP, when no negotiation began between the two.
func (j *judge) sameSA(before, after *pair.Mapping) bool {
	if before.SPIi != 0 && after.SPIi != 0 {
		return before.SPIi == after.SPIi
	}
	return !j.begunBetween(before.From, after.From)
}

func encapsulationForced(j *judge) []report.Finding {
	if len(j.nat) > 0 {
		return nil
	}
	for m := range j.c.Messages() {
		for d := range m.NATD() {
			if d.Forced {
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
	if len(j.nat) == 0 {
		return nil
	}
	for _, t := range j.talks {
		s, sure := j.translated(t)
		if !sure || t.answeredElsewhere() { // an answer from another address looks like a NAT
			continue
		}
		for _, m := range t.Messages {
			if !m.Encrypted() || m.Conversation.Version == 1 && m.Exchange == ike.V1Informational {
				continue
			}
			port := m.Transmissions()[0].Port()
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

// answeredElsewhere says whether an answer came from another address or port than was asked.
func (t *talk) answeredElsewhere() bool {
	return slices.ContainsFunc(t.Messages, func(m *pair.Message) bool {
		q := m.Answers()
		if q == nil || m.Copy(q.From) == nil || q.Copy(q.From) == nil {
			return false
		}
		return m.Copy(q.From).Sent()[0].Src != q.Copy(q.From).Sent()[0].Dst
	})
}

// translated is the side of a conversation that is behind a NAT, by its own packets; with one
// capture alone, the side of the NAT that was found.
func (j *judge) translated(t *talk) (s pair.Side, sure bool) {
	if j.c.TwoSided() {
		return facts.BehindNAT(t.Conversation)
	}
	for _, x := range j.nat {
		// A hub's capture holds the negotiations of several peers.
		if x.Message == nil || x.Message.Conversation.Between() == t.Between() {
			s, sure = x.Side, sure || x.Sure()
		}
	}
	return s, sure
}

// idle is the longest silence that a NAT's mapping is trusted to survive (RFC 3948, Section 4: 20
// seconds by default).
const idle = 30e9

func natKeepaliveMissing(j *judge) []report.Finding {
	t := j.establishedTalk()
	if t == nil || len(j.nat) == 0 {
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
		for _, x := range m.Transmissions() {
			if last != 0 && x.Aligned-last > gap {
				gap, ends = x.Aligned-last, x
			}
			last = max(last, x.Aligned)
		}
	}
	for _, m := range t.Messages {
		for _, x := range m.Transmissions() {
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
			j.natKeepalive(t.Version == 1))},
	}}
}

// natKeepalive is the line for keepalives of a version of IKE.
func (j *judge) natKeepalive(v1 bool) string {
	if v1 {
		return "crypto isakmp nat keepalive 20"
	}
	return "crypto ikev2 nat keepalive 20"
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
			if m.Kind != exchange.Request || m.From != t.Initiator || m.AnsweredBy() != nil {
				continue
			}
			x := m.Transmissions()[0].At[j.c.Observer(m.From)]
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
					showProfile(t.Version == 1), "show running-config | section interface Tunnel")}, j.setPeer(m.From)...),
				Subject: onSide(m.From),
				Fields:  map[string]any{"sent_to": x.Dst.Addr().String(), "expected": j.seenAs(peer)},
			})
		}
	}
	return all
}

// unknownTarget adds to a blocked path what leaves the peer's address in doubt: nothing arrived
// from st's side, which sends to an address that the receiver's own packets do not bear, and no
// inventory knows better. A NAT before the receiver looks the same.
func (j *judge) unknownTarget(f *report.Finding, st *facts.Stretch) {
	peer := &j.c.Parties[st.From.Other()]
	x := st.Sent[0].At[st.From]
	if st.Delivered > 0 || x == nil || peer.Known.IsValid() || len(peer.Addresses) == 0 || peer.Is(x.Dst.Addr()) {
		return
	}
	to, own := x.Dst.Addr().String(), j.address(st.From.Other())
	f.Explanation += fmt.Sprintf(" %s sends to %s, while %s sends from %s: either a NAT translates that address, "+
		"or the peer's address is wrong.", capital(j.name(st.From)), to, j.name(st.From.Other()), own)
	f.Actions = append([]report.Action{j.exec(st.From, "whether "+to+" is the address that the peer is reached by",
		"show crypto map", "show running-config | section interface Tunnel")}, f.Actions...)
}
