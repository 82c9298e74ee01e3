package diagnose

import (
	"fmt"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

func authFailed(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		if t.Version != 2 {
			continue
		}
		if m := t.clearNotify(ike.AuthenticationFailed); m != nil {
			all = append(all, j.refusedAuth(t, m.From, report.Certain, answer{messages: []*pair.Message{m}}, ". It says AUTHENTICATION_FAILED in clear."))
			continue
		}
		if t.end != authRefused {
			continue
		}
		how := ". It says AUTHENTICATION_FAILED, read with keys."
		if !t.certain {
			how = fmt.Sprintf("%sbegins with a Notify and has %s of plaintext: one bare Notify and no identity, which is what AUTHENTICATION_FAILED looks like from outside.", bySize, t.answer.room())
		}
		all = append(all, j.refusedAuth(t, t.responder(), certainIf(t.certain), t.answer, how))
	}
	return all
}

// bySize says in the sentence of a refusal, which is the headline too, that it is inferred; the next sentence says how.
const bySize = ", as the size of its answer tells. Its IKE_AUTH response "

// room is the number of bytes inside, in words.
func (a answer) room() string {
	switch {
	case !a.known:
		return "an unknown number of bytes"
	case a.min == a.max:
		return plural(a.max, "byte", "bytes")
	}
	return fmt.Sprintf("%d to %d bytes", a.min, a.max)
}

func (a answer) fields(side pair.Side, name string) map[string]any {
	f := map[string]any{name: side.String(), "plaintext_min": nil, "plaintext_max": nil}
	if a.known && len(a.messages) > 0 {
		f["plaintext_min"], f["plaintext_max"] = a.min, a.max
	}
	return f
}

func (j *judge) refusedAuth(t *talk, refuser pair.Side, c report.Confidence, a answer, how string) report.Finding {
	other := refuser.Other()
	f := report.Finding{
		Confidence: c, Conversation: t.ID,
		Explanation: fmt.Sprintf("%s refused the authentication of %s%s Which of pre-shared key, identity, certificate or missing profile is the reason, packets do not tell; the log of %s does.",
			j.name(refuser), j.name(other), how, j.partyName(refuser)),
		Evidence: evidence("the refusal", a.messages...),
		Actions: []report.Action{
			j.exec(refuser, "the reason, in its own words", "show crypto ikev2 diagnose error", "show monitor event-trace crypto ikev2 error all", "show logging"),
			j.exec(refuser, "profile and keyring for "+orWord(j.seenAs(other), "the peer"), "show crypto ikev2 profile", "show running-config | section crypto ikev2"),
			j.exec(other, "what it authenticates with", "show crypto ikev2 profile", "show running-config | section crypto ikev2"),
		},
		Fields: a.fields(refuser, "refusing_side"),
	}
	f.Fields["possible_notifies"] = []string{ike.AuthenticationFailed.String()}
	j.compareProfiles(&f, refuser)
	return f
}

// clearNotify is a message of t with an error that stands in clear, in an exchange that should be encrypted.
func (t *talk) clearNotify(n ike.NotifyType) *pair.Message {
	for _, m := range t.Messages {
		if m.Exchange != ike.IKESAInit && m.Has(uint16(n)) {
			return m
		}
	}
	return nil
}

func childRefused(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		if t.end != childDenied {
			continue
		}
		refuser, a := t.responder(), t.answer
		reason, how := any(nil), fmt.Sprintf("%sbegins with %s and has %s of plaintext: room for an identity, an AUTH and a Notify, but not for SA, TSi and TSr.",
			bySize, ike.PayloadName(2, a.first), a.room())
		if t.certain {
			for _, p := range a.inner {
				if n, ok := p.(*ike.Notify); ok && n.Number.IsError() {
					reason, how = n.Number.String(), ": "+n.Number.String()+", read with keys."
				}
			}
		}
		f := report.Finding{
			Confidence: certainIf(t.certain), Conversation: t.ID,
			Explanation: fmt.Sprintf("The IKE SA came up, and %s refused the child SA%s", j.name(refuser), how),
			Evidence:    evidence("no room for a child SA", a.messages...),
			Fields:      a.fields(refuser, "refusing_side"),
		}
		if reason == nil {
			f.Explanation += " Whether transform sets, traffic selectors or PFS differ, packets do not tell."
		}
		f.Fields["reason"] = reason
		for _, s := range pair.Both {
			f.Actions = append(f.Actions, j.exec(s, "transform set, crypto ACL or selectors, PFS: both sides must agree",
				"show crypto ipsec transform-set", "show crypto map", "show crypto ipsec profile"))
		}
		j.compareChildConfig(&f)
		all = append(all, f)
	}
	return all
}

func responderRejected(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		if t.end != responderDenied {
			continue
		}
		m := t.rejected()
		proven := false
		for _, n := range m.InnerNotifies() {
			proven = proven || n.Number == ike.AuthenticationFailed
		}
		f := report.Finding{
			Confidence: certainIf(proven), Conversation: t.ID,
			Explanation: fmt.Sprintf("%s got the whole IKE_AUTH answer of %s and then sent one bare Notify: it rejects the answer's authentication or identity.", j.name(t.Initiator), j.name(t.responder())),
			Evidence:    evidence("one bare Notify right after IKE_AUTH", m),
			Actions: []report.Action{j.exec(t.Initiator, "what it expects of the peer: remote key and remote identity", "show crypto ikev2 profile", "show crypto ikev2 diagnose error"),
				j.exec(t.responder(), "what it authenticates with", "show crypto ikev2 profile")},
			Fields: map[string]any{"rejecting_side": t.Initiator.String()},
		}
		j.compareProfiles(&f, t.Initiator)
		all = append(all, f)
	}
	return all
}

func tunnelEstablished(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		if t.end != established || t.Rekeyed != nil {
			continue
		}
		f := report.Finding{
			Confidence: certainIf(t.certain), Conversation: t.ID,
			Fields: map[string]any{"initiator": t.Initiator.String(), "version": t.Version, "spi_i": t.SPIi.String(), "spi_r": t.responderSPI().String(),
				"port": t.lastPort(), "setup_time_ms": nil},
		}
		took := ""
		if t.Complete {
			if ms, ok := j.setupTime(t); ok {
				f.Fields["setup_time_ms"] = ms
				took = " It took " + duration(ms) + "."
			}
		}
		f.Explanation = fmt.Sprintf("%s began an IKEv%d negotiation with %s and it came up, on UDP %d.%s", j.name(t.Initiator), t.Version, j.name(t.responder()), f.Fields["port"], took)
		if !t.certain {
			f.Explanation += fmt.Sprintf(" The IKE_AUTH response has %s of plaintext, which is enough for a child SA; a refusal with a long identity or a certificate could be as large.", t.answer.room())
		}
		f.Evidence = evidence("the exchange that made the tunnel", t.answer.messages...)
		if len(f.Evidence) == 0 && len(t.Messages) > 0 {
			f.Evidence = evidence("the last message of the negotiation", t.Messages[len(t.Messages)-1])
		}
		all = append(all, f)
	}
	return all
}

func (t *talk) responderSPI() ike.SPI {
	if n := len(t.SPIrs); t.SPIr == 0 && n > 0 {
		return t.SPIrs[n-1]
	}
	return t.SPIr
}

// lastPort is the IKE port that the conversation ended on.
func (t *talk) lastPort() int {
	if len(t.Messages) == 0 {
		return 0
	}
	m := t.Messages[len(t.Messages)-1]
	return int(m.Transmissions[len(m.Transmissions)-1].Port())
}

// setupTime is from the first request to the answer that made the tunnel, in milliseconds.
func (j *judge) setupTime(t *talk) (float64, bool) {
	if c := j.c.Clock; c != nil && len(c.Steps) > 0 {
		return 0, false // near the moment a clock was set, the two sides' times are not comparable
	}
	var end int64
	if len(t.answer.messages) > 0 {
		end = t.answer.messages[len(t.answer.messages)-1].Transmissions[0].Aligned
	}
	for _, m := range t.Messages {
		if m.Exchange == ike.V1QuickMode && len(m.Transmissions) > 0 {
			end = m.Transmissions[0].Aligned
		}
	}
	if end <= t.First {
		return 0, false
	}
	return millis(end - t.First), true
}

// v1Phase1 are the messages of Main or Aggressive Mode in order, retransmissions and fragments folded.
func (t *talk) v1Phase1() []*pair.Message {
	var all []*pair.Message
	for _, m := range t.Messages {
		if m.Exchange == ike.V1MainMode || m.Exchange == ike.V1Aggressive {
			all = append(all, m)
		}
	}
	return wholeV1(all)
}

// v1Encrypted are the encrypted messages of phase 1: MM5 and MM6, or what answers them.
func (t *talk) v1Encrypted(s pair.Side) []*pair.Message {
	var all []*pair.Message
	for _, m := range t.v1Phase1() {
		if encryptedV1(m) && m.From == s {
			all = append(all, m)
		}
	}
	return all
}

// badMessage are the notifications with which a side says that it could not make sense of MM5 or MM6.
func badMessage(n uint16) bool {
	switch n {
	case 1, 4, 8, 16, 18, 23, 24, 25, 30: // INVALID-PAYLOAD-TYPE ... UNEQUAL-PAYLOAD-LENGTHS
		return true
	}
	return false
}

func pskMismatchV1(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		if t.Version != 1 || t.end == established {
			continue
		}
		if f, ok := j.pskMismatch(t); ok {
			all = append(all, f)
		}
	}
	return all
}

func (j *judge) pskMismatch(t *talk) (report.Finding, bool) {
	mm5 := t.v1Encrypted(t.Initiator)
	if len(mm5) == 0 || len(t.v1Encrypted(t.responder())) > 0 || t.hasQuickMode() {
		return report.Finding{}, false
	}
	var proof []*pair.Message
	for _, m := range t.Messages {
		if m.Exchange != ike.V1Informational || m.From != t.responder() {
			continue
		}
		if m.Encrypted() {
			proof = append(proof, m)
		}
		for _, n := range m.Notifies {
			if badMessage(n.Number) {
				proof = append(proof, m)
			}
		}
	}
	sends := 0
	arrived := false
	for _, m := range mm5 {
		n := m.Tally()
		sends += n.Sent
		arrived = arrived || m.Arrived() || n.Delivered > 0
	}
	if len(proof) == 0 && (sends < 2 || !arrived || !j.c.TwoSided()) {
		return report.Finding{}, false
	}
	f := report.Finding{
		Confidence: certainIf(len(proof) > 0), Conversation: t.ID,
		Explanation: fmt.Sprintf("%s cannot read the fifth message of Main Mode, the first encrypted one, of %s: the pre-shared keys differ.", j.name(t.responder()), j.name(t.Initiator)),
		Evidence:    append(evidence("the first encrypted message", mm5[0]), evidence("what came back", proof...)...),
		Actions: []report.Action{
			j.exec(t.responder(), "the key for "+orWord(j.seenAs(t.Initiator), "the peer"), "show crypto isakmp key", "show logging"),
			j.exec(t.Initiator, "the key for "+orWord(j.seenAs(t.responder()), "the peer"), "show crypto isakmp key"),
		},
		Fields: map[string]any{"refusing_side": t.responder().String()},
	}
	return f, true
}

func (t *talk) hasQuickMode() bool {
	for _, m := range t.Messages {
		if m.Exchange == ike.V1QuickMode {
			return true
		}
	}
	return false
}

// quickMode are the messages of the first Quick Mode exchange.
func (t *talk) quickMode() []*pair.Message {
	var all []*pair.Message
	for _, m := range t.Messages {
		if m.Exchange == ike.V1QuickMode && (len(all) == 0 || m.MessageID == all[0].MessageID) {
			all = append(all, m)
		}
	}
	return wholeV1(all)
}

func quickModeRefused(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		quick := t.quickMode()
		if t.Version != 1 || t.end == established || len(quick) != 1 {
			continue
		}
		first := quick[0]
		for _, m := range t.Messages {
			if m.Exchange != ike.V1Informational || m.From == first.From || m.Transmissions[0].Aligned < first.Transmissions[0].Aligned {
				continue
			}
			f := report.Finding{
				Confidence: report.Probable, Conversation: t.ID,
				Explanation: fmt.Sprintf("Phase 1 came up; %s answered the first message of Quick Mode with an Informational exchange: it refuses phase 2. Whether transform sets, proxy identities or PFS differ, packets do not tell.", j.name(m.From)),
				Evidence:    evidence("Quick Mode and its answer", first, m),
				Fields:      map[string]any{"refusing_side": m.From.String()},
			}
			for _, s := range pair.Both {
				f.Actions = append(f.Actions, j.exec(s, "transform set, crypto ACL (they must mirror each other) and PFS", "show crypto ipsec transform-set", "show crypto map"))
			}
			j.compareChildConfig(&f)
			all = append(all, f)
			break
		}
	}
	return all
}

func quickModeStalled(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		quick := t.quickMode()
		if t.Version != 1 || t.end == established || len(quick) == 0 || j.has(t.ID, "quick-mode-refused") {
			continue
		}
		all = append(all, report.Finding{
			Confidence: report.Certain, Conversation: t.ID,
			Explanation: fmt.Sprintf("Phase 1 came up; Quick Mode stopped after message %d, of %s.", len(quick), j.name(quick[len(quick)-1].From)),
			Evidence:    evidence("the last message of Quick Mode", quick[len(quick)-1]),
			Actions:     []report.Action{j.exec(quick[len(quick)-1].From.Other(), "why it does not go on", "show crypto ipsec sa", "show logging")},
			Fields:      map[string]any{"last_message": len(quick)},
		})
	}
	return all
}

func mainModeStalled(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		phase1 := t.v1Phase1()
		if t.Version != 1 || t.end == established || len(phase1) == 0 || t.hasQuickMode() || t.Foreign || !t.Complete {
			continue
		}
		need := 6
		if phase1[0].Exchange == ike.V1Aggressive {
			need = 3
		}
		if len(phase1) >= need || j.has(t.ID, "psk-mismatch-v1", "ike-proposal-mismatch", "error-notify") || j.has("", "version-mismatch") {
			continue
		}
		last := phase1[len(phase1)-1]
		all = append(all, report.Finding{
			Confidence: report.Certain, Conversation: t.ID,
			Explanation: fmt.Sprintf("Phase 1 stopped after message %d of %d, of %s.", len(phase1), need, j.name(last.From)),
			Evidence:    evidence("the last message of phase 1", last),
			Actions: []report.Action{j.exec(last.From.Other(), "policy, key and state for the peer", "show crypto isakmp sa", "show crypto isakmp policy", "show crypto isakmp key"),
				j.exec(last.From, "state of the negotiation", "show crypto isakmp sa")},
			Fields: map[string]any{"last_message": len(phase1), "waiting_side": last.From.String()},
		})
	}
	return all
}

// requestsOf are the requests of t in an exchange.
func (t *talk) requestsOf(x ike.ExchangeType) []*pair.Message {
	return t.messagesOf(x, exchange.Request)
}
