package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

func selectionNotOffered(j *judge) []report.Finding {
	var all []report.Finding
	type selection struct{ of, from *ike.SA } // equal proposals are one in memory
	sound := map[selection]bool{}
	for m := range j.c.Messages() {
		if m.Kind != exchange.Response || m.Exchange != ike.IKESAInit || m.Altered {
			continue
		}
		sa := m.SA()
		if sa == nil || m.Answers() == nil || !wholeSA(m.Answers()) || !wholeSA(m) ||
			sound[selection{sa, m.Answers().SA()}] {
			continue
		}
		before := len(all)
		for _, p := range sa.Proposals {
			for _, t := range p.Transforms {
				if offers(m.Answers().SA(), t) {
					continue
				}
				all = append(all, report.Finding{
					Confidence: report.Certain, Conversation: m.Conversation.ID,
					Explanation: fmt.Sprintf("%s chose %s, which %s did not offer.", j.name(m.From), transformName(t),
						j.name(m.From.Other())),
					Evidence: evidence("offer and selection", m.Answers(), m),
					Actions: []report.Action{j.exec(m.From,
						"what it selects from, and its software's known defects", "show crypto ikev2 proposal", "show version"),
						j.exec(m.From.Other(), "what it offers", "show crypto ikev2 proposal")},
					Subject: onSide(m.From.Other()),
					Fields:  map[string]any{"transform": transformName(t)},
				})
			}
		}
		if len(all) == before {
			sound[selection{sa, m.Answers().SA()}] = true
		}
	}
	return all
}

// wholeSA says whether m has an SA payload that is there to its end: of a message that the capture
// cut short, one that another payload follows.
func wholeSA(m *pair.Message) bool {
	if m.SA() == nil && m.SAv1() == nil {
		return false
	}
	return !m.Truncated || len(m.Payloads) > 0 && m.Payloads[len(m.Payloads)-1] != "SA"
}

func offers(sa *ike.SA, t ike.Transform) bool {
	for _, p := range sa.Proposals {
		for _, o := range p.Transforms {
			if o.Type == t.Type && o.ID == t.ID && o.KeyBits() == t.KeyBits() {
				return true
			}
		}
	}
	// "No integrity" and "no ESN" may be said or left out (RFC 7296, Section 3.3.3).
	return (t.Type == ike.TransformINTEG || t.Type >= ike.TransformESN) && t.ID == 0
}

func additionalKeyExchange(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		var rounds []*pair.Message
		for _, m := range append(t.MessagesOf(ike.IKEIntermediate, exchange.Response),
			t.MessagesOf(ike.IKEFollowupKE, exchange.Response)...) {
			if m.Fragment <= 1 { // all fragments of a message are one round
				rounds = append(rounds, m)
			}
		}
		if len(rounds) == 0 {
			continue
		}
		methods := []string{}
		for _, m := range t.MessagesOf(ike.IKESAInit, exchange.Response) {
			if m.SA() == nil {
				continue
			}
			for _, p := range m.SA().Proposals {
				for _, x := range p.Transforms {
					if x.Type >= ike.TransformADDKE1 && x.Type <= ike.TransformADDKE7 && x.ID != 0 {
						methods = append(methods, ike.TransformName(x.Type, x.ID))
					}
				}
			}
		}
		if len(methods) == 0 {
			continue // IKE_INTERMEDIATE serves other ends, too: it may be empty, or carry a PPK identity (RFC 9242, RFC 9867)
		}
		all = append(all, report.Finding{
			Confidence: report.Certain, Conversation: t.ID,
			Explanation: fmt.Sprintf("After IKE_SA_INIT the sides did %s of additional key exchange (RFC 9370): %s.",
				plural(len(rounds), "round", "rounds"), strings.Join(methods, ", ")),
			Evidence: evidence("additional key exchange", rounds...),
			Fields:   map[string]any{"methods": methods},
		})
	}
	return all
}

// weak are the transforms below RFC 8247 and what IANA marks as deprecated (RFC 9395).
func weakTransform(t ike.Transform) bool {
	switch t.Type {
	case ike.TransformENCR:
		return t.ID >= 1 && t.ID <= 9 || t.ID == 11
	case ike.TransformPRF:
		return t.ID == 1 || t.ID == 3
	case ike.TransformINTEG:
		return t.ID == 1 || t.ID == 3 || t.ID == 4 || t.ID == 6
	case ike.TransformKE:
		return weakGroup(t.ID)
	}
	return false
}

// weakGroup says whether a Diffie-Hellman group is below RFC 8247 or deprecated.
func weakGroup(id uint16) bool { return id == 1 || id == 2 || id == 5 || id >= 22 && id <= 24 }

func weakCrypto(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		weak, m := t.weak()
		if len(weak) == 0 {
			continue
		}
		f := report.Finding{
			Confidence: report.Certain, Conversation: t.ID,
			Explanation: fmt.Sprintf("The negotiation uses algorithms that are broken or deprecated: %s.",
				strings.Join(weak, ", ")),
			Evidence: evidence("the transforms in clear", m),
			Actions:  j.strongerThan(t, weak, m),
			Fields:   map[string]any{"transforms": weak},
		}
		if m.From == t.Initiator { // no choice is in the captures
			f.Title = "Weak cryptography is offered"
			f.Explanation = fmt.Sprintf("%s offers algorithms that are broken or deprecated, and no others in their place: %s.",
				capital(j.name(m.From)), strings.Join(weak, ", "))
			if t.End == facts.ProposalsRefused { // what to configure instead, the refusal says
				f.Explanation += " It was refused, so it is not in use."
				f.Actions = nil
			} else {
				f.Explanation += " No answer in the captures chooses it."
			}
		}
		return append(all, f)
	}
	return all
}

// strongerThan is what to do about the weak things of a negotiation, which m has in clear. Stronger
// algorithms do not make up for Aggressive Mode, which shows whoever captures it a hash of the key.
func (j *judge) strongerThan(t *talk, weak []string, m *pair.Message) []report.Action {
	var all []report.Action
	if slices.Contains(weak, aggressiveWithKey) {
		all = append(all, j.exec(t.Initiator, "what has it use Aggressive Mode: Main Mode, or better IKEv2, in its place; "+
			"until then a long random key, which nobody can guess from the hash that Aggressive Mode shows",
			"show running-config | section crypto"))
		if len(weak) == 1 {
			return all
		}
	}
	if m.SAv1() != nil {
		return append(all, j.stronger(1, setsOf(m)...)...)
	}
	return append(all, j.stronger(2)...)
}

// stronger are the lines that configure algorithms of today on both sides; in IKEv1, with the
// authentication that all of the sets have which were seen.
func (j *judge) stronger(version int, seen ...set) []report.Action {
	const why = "stronger algorithms on both sides (a suggestion)"
	if version == 1 {
		lines := []string{" encryption aes 256", " hash sha256"}
		lines = append(lines, authenticationV1(seen...)...)
		lines = append(lines, " group 14")
		all := j.both(freeNumber, "show crypto isakmp policy")
		for _, s := range pair.Both {
			all = append(all, j.config(s, why+": "+inNewPolicy, append([]string{j.newPolicyV1(s)}, lines...)...))
		}
		return all
	}
	var all []report.Action
	for _, s := range pair.Both {
		const name = "MONCAP-STRONGER"
		lines := []string{"crypto ikev2 proposal " + name, " encryption aes-cbc-256", " integrity sha256", " group 19 14"}
		all = append(all, j.config(s, why, append(lines, j.inPolicy(s, name)...)...))
	}
	return all
}

// inPolicy are the lines without which an IKEv2 proposal is never used: a policy of s that names
// it, the one in force where the configuration tells.
func (j *judge) inPolicy(s pair.Side, proposal string) []string {
	policy := configured(j.o.Config[s], 2).policy
	return []string{"crypto ikev2 policy " + orWord(policy, proposal), " proposal " + proposal}
}

// newPolicyV1 opens an ISAKMP policy of s. One that has the number already would be changed, for
// every tunnel that uses it: it is a free one where the configuration tells, before the others, as
// lower numbers are preferred, if there is one; and freeNumber comes before it all the same.
func (j *judge) newPolicyV1(s pair.Side) string {
	taken := map[int]bool{}
	number := 5
	for _, p := range j.o.Config[s].ISAKMPPolicies() {
		if taken[p.Priority] = true; !p.Default && p.Priority > 0 {
			number = min(number, p.Priority-1)
		}
	}
	for number = max(number, 1); taken[number]; {
		number++
	}
	return fmt.Sprintf("crypto isakmp policy %d", number)
}

const (
	freeNumber  = "which numbers of policies are taken: a line for one that is there changes it, for other tunnels, too"
	inNewPolicy = "a new policy, its number a free one below that of the policy in use, its " +
		"authentication that policy's"

	aggressiveWithKey = "Aggressive Mode with a pre-shared key"
)

// authenticationV1 is the line of an ISAKMP policy for the method of authentication that all sets
// have: without one it is rsa-sig. None where they differ, or have another one.
func authenticationV1(sets ...set) []string {
	word := ""
	for i, x := range sets {
		this := ""
		for _, method := range x["Authentication-Method"] {
			this = authenticationWords[method]
		}
		if i > 0 && this != word {
			return nil
		}
		word = this
	}
	if word == "" {
		return nil
	}
	return []string{" authentication " + word}
}

// authenticationWords are the methods of RFC 2409 (and XAUTH's) in IOS XE's words.
var authenticationWords = map[string]string{"pre-shared key": "pre-share", "XAUTHInitPreShared": "pre-share",
	"XAUTHRespPreShared": "pre-share", "RSA signatures": "rsa-sig", "XAUTHInitRSA": "rsa-sig", "XAUTHRespRSA": "rsa-sig",
	"Encryption with RSA": "rsa-encr", "ECDSA signatures": "ecdsa-sig", "ECDSA with SHA-256 on P-256": "ecdsa-sig",
	"ECDSA with SHA-384 on P-384": "ecdsa-sig"}

// weak lists the weak algorithms that were chosen or, where nothing was chosen, that are all that
// was offered.
func (t *talk) weak() ([]string, *pair.Message) {
	var offer, choice *pair.Message
	for _, m := range t.Messages {
		if m.SA() == nil && m.SAv1() == nil || m.Exchange == ike.V1QuickMode {
			continue
		}
		if m.From == t.Initiator && offer == nil {
			offer = m
		} else if m.From != t.Initiator && choice == nil {
			choice = m
			break
		}
	}
	m := choice
	if m == nil {
		m = offer
	}
	if m == nil {
		return nil, nil
	}
	var names []string
	if sa := m.SA(); sa != nil {
		names = onlyWeak(sa)
	}
	if sa := m.SAv1(); sa != nil {
		names = onlyWeakV1(sa, m.Exchange)
	}
	return names, m
}

// onlyWeak lists the kinds of transforms of which every alternative is weak.
func onlyWeak(sa *ike.SA) []string {
	holds := func(p ike.Proposal) bool { return slices.ContainsFunc(p.Transforms, weakTransform) }
	if !slices.ContainsFunc(sa.Proposals, holds) {
		return nil // most are so
	}
	strong, weak := map[ike.TransformType]bool{}, map[ike.TransformType][]string{}
	for _, p := range sa.Proposals {
		for _, t := range p.Transforms {
			if weakTransform(t) {
				weak[t.Type] = append(weak[t.Type], transformName(t))
			} else {
				strong[t.Type] = true
			}
		}
	}
	var names []string
	for _, k := range []ike.TransformType{ike.TransformENCR, ike.TransformPRF, ike.TransformINTEG, ike.TransformKE} {
		if !strong[k] {
			names = append(names, weak[k]...)
		}
	}
	return slices.Compact(names)
}

func onlyWeakV1(sa *ike.SAv1, x ike.ExchangeType) []string {
	weakValues := map[uint16][]uint64{ike.V1Encryption: {1, 2, 3, 4, 5, 6}, ike.V1Hash: {1, 3},
		ike.V1Group: {1, 2, 5, 22, 23, 24}}
	strong, weak := map[uint16]bool{}, map[uint16][]string{}
	psk := false
	for _, p := range sa.Proposals {
		for _, t := range p.Transforms {
			for _, a := range t.Attributes {
				n, ok := a.Number()
				values, matters := weakValues[a.Type]
				psk = psk || a.Type == ike.V1AuthMethod && (n == 1 || n == 65001)
				if !matters || !ok {
					continue
				}
				if _, value := ike.V1AttributeText(p.Protocol, a); slices.Contains(values, n) {
					weak[a.Type] = append(weak[a.Type], value)
				} else {
					strong[a.Type] = true
				}
			}
		}
	}
	var names []string
	for _, k := range []uint16{ike.V1Encryption, ike.V1Hash, ike.V1Group} {
		if !strong[k] {
			names = append(names, weak[k]...)
		}
	}
	if x == ike.V1Aggressive && psk {
		names = append(names, aggressiveWithKey)
	}
	return slices.Compact(names)
}
