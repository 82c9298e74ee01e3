package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// succeeded says whether t, or the attempt that followed it, came up.
func (j *judge) succeeded(t *talk) bool {
	for v := t.Conversation; v != nil; v = v.Next {
		for _, x := range j.talks {
			if x.Conversation == v && x.end == established {
				return true
			}
		}
	}
	return false
}

// initAnswered says whether the initial exchange of t led to a selection.
func (t *talk) initAnswered() bool {
	for _, m := range t.messagesOf(ike.IKESAInit, exchange.Response) {
		if m.SA() != nil {
			return true
		}
	}
	return false
}

// noProposal is the message that refuses the proposals in clear, of either version.
func (t *talk) noProposal() *pair.Message {
	for _, m := range t.Messages {
		if m.Has(uint16(ike.NoProposalChosen)) && (m.Exchange == ike.IKESAInit || t.Version == 1 && m.Exchange != ike.V1QuickMode) {
			return m
		}
	}
	return nil
}

// cameUpAfter says whether t, or a later negotiation of the same two ends, came up.
func (j *judge) cameUpAfter(t *talk) bool {
	return slices.ContainsFunc(j.talks, func(x *talk) bool {
		return x.end == established && x.First >= t.First && x.Ends[pair.A].Addr() == t.Ends[pair.A].Addr() && x.Ends[pair.B].Addr() == t.Ends[pair.B].Addr()
	})
}

func proposalMismatch(j *judge) []report.Finding {
	var all []report.Finding
	reported := map[pair.Side]bool{}
	for _, t := range j.talks {
		m := t.noProposal()
		if m == nil || t.initAnswered() || j.cameUpAfter(t) || j.has("", "version-mismatch") || reported[m.From] {
			continue
		}
		reported[m.From] = true
		all = append(all, j.mismatch(t, m))
	}
	return all
}

func (j *judge) mismatch(t *talk, m *pair.Message) report.Finding {
	refuser := m.From
	offered := j.offersOf(refuser.Other(), t, t.Version)
	own, source := j.knownOf(refuser, t.Version)
	f := report.Finding{
		Confidence: report.Certain, Conversation: t.ID, Evidence: evidence("NO_PROPOSAL_CHOSEN", m),
		Fields: map[string]any{"refusing_side": refuser.String(), "offered": names(offered), "accepted_by_refuser": nil, "mismatch": "unproven", "suggestion": nil},
	}
	text := fmt.Sprintf("%s refused every IKE proposal of %s (NO_PROPOSAL_CHOSEN). Offered: %s.", j.name(refuser), j.name(refuser.Other()), strings.Join(names(offered), "; "))
	shows := []string{"show crypto ikev2 proposal", "show crypto ikev2 policy"}
	if t.Version == 1 {
		shows = []string{"show crypto isakmp policy"}
	}
	if len(own) > 0 {
		f.Fields["accepted_by_refuser"] = names(own)
		mine, theirs, differing := closest(offered, own)
		if len(differing) == 0 {
			f.Fields["mismatch"] = "excluded"
			text += fmt.Sprintf(" It would accept that by %s (%s), so the algorithms are not the reason: no policy or profile of it matches this peer, address or VRF.", source, strings.Join(names(own), "; "))
			shows = append(shows, "show crypto ikev2 profile")
		} else {
			f.Fields["mismatch"] = "proven"
			f.Fields["differs"] = differing
			if lines := j.suggest(refuser.Other(), t.Version, theirs); len(lines) > 0 {
				f.Fields["suggestion"] = lines
			}
			text += fmt.Sprintf(" By %s it wants: %s.", source, strings.Join(names(own), "; "))
			text += j.tellDifferences(f.Fields, refuser, mine, theirs, differing)
		}
	} else {
		text += " Which of them it would have taken does not show in the captures."
	}
	f.Explanation = text
	f.Actions = []report.Action{j.exec(refuser, "what it would accept", shows...), j.exec(refuser.Other(), "what is offered", shows...)}
	if s, ok := f.Fields["suggestion"].([]string); ok {
		f.Actions = append(f.Actions, j.config(refuser.Other(), "one proposal that the other side has (a suggestion)", s...))
	}
	return f
}

// set is one set of algorithms: for each kind of transform, the alternatives.
type set map[string][]string

// offersOf are the IKE proposals that s offered, in t or, where t is nil, in any conversation that it began.
func (j *judge) offersOf(s pair.Side, t *talk, version int) []set {
	var all []set
	for _, x := range j.talks {
		if t != nil && x != t || x.Initiator != s || x.Version != version {
			continue
		}
		for _, m := range x.Messages {
			if m.From != s || m.Kind != exchange.Request {
				continue
			}
			all = append(all, setsOf(m)...)
		}
	}
	var unique []set
	for _, x := range all {
		if !slices.ContainsFunc(unique, func(u set) bool { return u.String() == x.String() }) {
			unique = append(unique, x)
		}
	}
	return unique
}

func setsOf(m *pair.Message) []set {
	var all []set
	if sa := m.SA(); sa != nil && m.Exchange == ike.IKESAInit {
		for _, p := range sa.Proposals {
			x := set{}
			for _, t := range p.Transforms {
				x[t.Type.String()] = append(x[t.Type.String()], transformName(t))
			}
			all = append(all, x)
		}
	}
	if sa := m.SAv1(); sa != nil && m.Exchange != ike.V1QuickMode {
		for _, p := range sa.Proposals {
			for _, t := range p.Transforms {
				all = append(all, v1Set(p.Protocol, t))
			}
		}
	}
	return all
}

func v1Set(p ike.Protocol, t ike.TransformV1) set {
	x := set{}
	for _, a := range t.Attributes {
		switch a.Type {
		case ike.V1Encryption, ike.V1Hash, ike.V1AuthMethod, ike.V1Group, ike.V1KeyLength:
			name, value := ike.V1AttributeText(p, a)
			if n, ok := a.Number(); ok && a.Type == ike.V1Group {
				value = fmt.Sprintf("group %d", n) // as it is configured
			}
			x[name] = append(x[name], value)
		}
	}
	return x
}

// transformName is a transform's name with its key length, and for groups the number, by which they are configured.
func transformName(t ike.Transform) string {
	if t.Type == ike.TransformKE {
		return fmt.Sprintf("group %d", t.ID)
	}
	return t.Name()
}

// kinds is the order in which transforms are named.
var kinds = []string{"ENCR", "INTEG", "PRF", "KE", "ESN", "ADDKE1", "ADDKE2", "ADDKE3", "ADDKE4", "ADDKE5", "ADDKE6", "ADDKE7",
	"Encryption-Algorithm", "Key-Length", "Hash-Algorithm", "Authentication-Method", "Group-Description"}

func (s set) String() string {
	var parts []string
	for _, k := range kinds {
		if len(s[k]) > 0 {
			parts = append(parts, strings.Join(s[k], "|"))
		}
	}
	return strings.Join(parts, " + ")
}

func names(sets []set) []string {
	all := make([]string, len(sets))
	for i, s := range sets {
		all[i] = s.String()
	}
	return all
}

// closest are the two sets of a and b that agree best, and the kinds of transforms in which they have nothing in common.
func closest(a, b []set) (x, y set, kindsThatDiffer []string) {
	for _, p := range a {
		for _, q := range b {
			if d := differing(p, q); x == nil || len(d) < len(kindsThatDiffer) {
				x, y, kindsThatDiffer = p, q, d
			}
		}
	}
	return x, y, kindsThatDiffer
}

func differing(x, y set) []string {
	d := []string{}
	for _, k := range kinds {
		if len(x[k]) == 0 && len(y[k]) == 0 || k == "INTEG" && (len(x[k]) == 0 || len(y[k]) == 0) {
			continue // with a combined cipher the integrity algorithm may be left out
		}
		if len(x[k]) == 0 || len(y[k]) == 0 {
			if strings.HasPrefix(k, "ADDKE") || k == "ESN" || k == "Key-Length" {
				continue
			}
		}
		if !slices.ContainsFunc(x[k], func(n string) bool { return slices.Contains(y[k], n) }) {
			d = append(d, k)
		}
	}
	return d
}

// wanted is the group that an INVALID_KE_PAYLOAD asks for (RFC 7296, Section 1.2).
func wanted(m *pair.Message) (int, bool) {
	n, ok := m.Notify(uint16(ike.InvalidKEPayload))
	if !ok || len(n.Data) != 2 || m.Exchange != ike.IKESAInit {
		return 0, false
	}
	return int(n.Data[0])<<8 | int(n.Data[1]), true
}

// groupRounds are the answers of t that ask for another group, and the first group that was offered.
func (t *talk) groupRounds() (rounds []*pair.Message, offered int) {
	for _, m := range t.Messages {
		if _, ok := wanted(m); ok {
			rounds = append(rounds, m)
		}
		if ke := m.KE(); ke != nil && offered == 0 && m.Exchange == ike.IKESAInit && m.Kind == exchange.Request {
			offered = int(ke.Method)
		}
	}
	return rounds, offered
}

func groupMismatch(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		rounds, offered := t.groupRounds()
		if len(rounds) == 0 || t.initAnswered() && len(rounds) < 2 || j.succeeded(t) {
			continue
		}
		m := rounds[0]
		group, _ := wanted(m)
		all = append(all, report.Finding{
			Confidence: report.Certain, Conversation: t.ID,
			Explanation: fmt.Sprintf("%s wants key exchange group %d, %s offered group %d, and no attempt with a common group succeeded.", j.name(m.From), group, j.name(m.From.Other()), offered),
			Evidence:    evidence(fmt.Sprintf("INVALID_KE_PAYLOAD: wants group %d", group), rounds...),
			Actions: []report.Action{j.config(m.From.Other(), "offer the group that the other side wants (a suggestion)", "crypto ikev2 proposal MONCAP-SUGGESTION", fmt.Sprintf(" group %d %d", group, offered)),
				j.exec(m.From, "which groups it accepts", "show crypto ikev2 proposal")},
			Fields: map[string]any{"refusing_side": m.From.String(), "offered_group": offered, "wanted_group": group},
		})
	}
	return all
}

func groupRetry(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		rounds, offered := t.groupRounds()
		if len(rounds) != 1 || !t.initAnswered() {
			continue
		}
		group, _ := wanted(rounds[0])
		all = append(all, report.Finding{
			Confidence: report.Certain, Conversation: t.ID,
			Explanation: fmt.Sprintf("%s guessed key exchange group %d, %s wanted group %d, and the repetition with it succeeded: one round trip more.", j.name(t.Initiator), offered, j.name(t.responder()), group),
			Evidence:    evidence(fmt.Sprintf("INVALID_KE_PAYLOAD: wants group %d", group), rounds[0]),
			Actions:     []report.Action{j.config(t.Initiator, "the wanted group first", fmt.Sprintf(" group %d %d", group, offered))},
			Fields:      map[string]any{"offered_group": offered, "wanted_group": group},
		})
	}
	return all
}

func cookieChallenge(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		var challenge, retry *pair.Message
		for _, m := range t.Messages {
			if m.Exchange != ike.IKESAInit || !m.Has(uint16(ike.Cookie)) {
				continue
			}
			if m.Kind == exchange.Response && challenge == nil {
				challenge = m
			} else if m.Kind == exchange.Request && challenge != nil {
				retry = m
			}
		}
		if challenge == nil || retry == nil {
			continue
		}
		all = append(all, report.Finding{
			Confidence: report.Certain, Conversation: t.ID,
			Explanation: fmt.Sprintf("%s asked for a cookie before it would work for %s: it has many half-open negotiations, or is told to ask always.", j.name(challenge.From), j.name(challenge.From.Other())),
			Evidence:    evidence("COOKIE", challenge, retry),
			Actions:     []report.Action{j.exec(challenge.From, "how many negotiations are half open", "show crypto ikev2 stats", "show crypto call admission statistics")},
			Fields:      map[string]any{"challenging_side": challenge.From.String()},
		})
	}
	return all
}

func redirected(j *judge) []report.Finding {
	var all []report.Finding
	for m := range j.c.Messages() {
		for _, p := range m.Parsed.Payloads {
			n, ok := p.(*ike.Notify)
			if !ok || n.Number != ike.Redirect {
				continue
			}
			all = append(all, report.Finding{
				Confidence: report.Certain, Conversation: m.Conversation.ID,
				Explanation: fmt.Sprintf("%s sends %s to another gateway: %s.", j.name(m.From), j.name(m.From.Other()), n.DataText()),
				Evidence:    evidence("REDIRECT", m),
				Actions:     []report.Action{j.exec(m.From, "why it redirects", "show crypto ikev2 cluster", "show crypto ikev2 stats")},
				Fields:      map[string]any{"to": n.DataText()},
			})
		}
	}
	return all
}

func versionMismatch(j *judge) []report.Finding {
	var begins [2][3]*pair.Message // by side and version: the first message of a conversation that it began
	for _, t := range j.talks {
		if len(t.Messages) > 0 && t.Complete && t.Version <= 2 && begins[t.Initiator][t.Version] == nil {
			begins[t.Initiator][t.Version] = t.Messages[0]
		}
	}
	if j.establishedTalk() != nil {
		return nil
	}
	for m := range j.c.Messages() {
		if m.Has(uint16(ike.InvalidMajorVersion)) && !m.Encrypted() {
			return []report.Finding{j.versions(m.From.Other(), j.askedVersion(m), report.Certain, m)}
		}
	}
	a, b := begins[pair.A], begins[pair.B]
	switch {
	case a[1] != nil && a[2] == nil && b[2] != nil && b[1] == nil:
		return []report.Finding{j.versions(pair.A, 1, report.Certain, a[1], b[2])}
	case a[2] != nil && a[1] == nil && b[1] != nil && b[2] == nil:
		return []report.Finding{j.versions(pair.A, 2, report.Certain, a[2], b[1])}
	}
	for _, s := range pair.Both {
		// An IKEv1 request that a side which was only ever heard to speak IKEv2 refuses, or leaves unanswered.
		if begins[s][1] != nil && begins[s][2] == nil && !j.accepted(begins[s][1]) {
			if spoke := j.spokeOnly(s.Other(), 2); spoke != nil {
				return []report.Finding{j.versions(s, 1, report.Probable, begins[s][1], spoke)}
			}
		}
	}
	return nil
}

// askedVersion is the version of the request that m refuses: the header of m may carry either (RFC 7296, Section 2.5).
func (j *judge) askedVersion(m *pair.Message) int {
	for o := range j.c.Messages() {
		if o.SPIi == m.SPIi && o.From != m.From && o.Kind == exchange.Request {
			return o.Major()
		}
	}
	return m.Major()
}

// accepted says whether m was answered by more than a refusal.
func (j *judge) accepted(m *pair.Message) bool {
	return m.AnsweredBy != nil && len(m.AnsweredBy.Errors()) == 0
}

// spokeOnly is a message of s, when all of them that the captures hold are of a version.
func (j *judge) spokeOnly(s pair.Side, version int) *pair.Message {
	var found *pair.Message
	for m := range j.c.Messages() {
		if m.From != s || m.Conversation.Foreign || len(m.Errors()) > 0 {
			continue
		}
		if m.Major() != version {
			return nil
		}
		found = m
	}
	return found
}

// versions says that s speaks IKE of one version and the other side of the other.
func (j *judge) versions(s pair.Side, version int, c report.Confidence, evident ...*pair.Message) report.Finding {
	v := [2]int{version, 3 - version}
	if s == pair.B {
		v = [2]int{3 - version, version}
	}
	return report.Finding{
		Confidence: c, Conversation: evident[0].Conversation.ID,
		Explanation: fmt.Sprintf("%s speaks IKEv%d and %s speaks IKEv%d: they cannot understand each other.", j.name(pair.A), v[0], j.name(pair.B), v[1]),
		Evidence:    evidence("the version that it speaks", evident...),
		Actions: []report.Action{j.exec(pair.A, "which version is configured", "show crypto ikev2 profile", "show crypto isakmp policy", "show crypto map"),
			j.exec(pair.B, "which version is configured", "show crypto ikev2 profile", "show crypto isakmp policy", "show crypto map")},
		Fields: map[string]any{"side_a_version": v[0], "side_b_version": v[1]},
	}
}

func selectionNotOffered(j *judge) []report.Finding {
	var all []report.Finding
	for m := range j.c.Messages() {
		sa := m.SA()
		if sa == nil || m.Altered || m.Kind != exchange.Response || m.Exchange != ike.IKESAInit || m.Answers == nil || m.Answers.SA() == nil {
			continue
		}
		for _, p := range sa.Proposals {
			for _, t := range p.Transforms {
				if offers(m.Answers.SA(), t) {
					continue
				}
				all = append(all, report.Finding{
					Confidence: report.Certain, Conversation: m.Conversation.ID,
					Explanation: fmt.Sprintf("%s chose %s, which %s did not offer.", j.name(m.From), transformName(t), j.name(m.From.Other())),
					Evidence:    evidence("offer and selection", m.Answers, m),
					Actions: []report.Action{j.exec(m.From, "what it selects from, and its software's known defects", "show crypto ikev2 proposal", "show version"),
						j.exec(m.From.Other(), "what it offers", "show crypto ikev2 proposal")},
					Fields: map[string]any{"refusing_side": m.From.Other().String(), "transform": transformName(t)},
				})
			}
		}
	}
	return all
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
		rounds := append(t.messagesOf(ike.IKEIntermediate, exchange.Response), t.messagesOf(ike.IKEFollowupKE, exchange.Response)...)
		if len(rounds) == 0 {
			continue
		}
		methods := []string{}
		for _, m := range t.messagesOf(ike.IKESAInit, exchange.Response) {
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
		all = append(all, report.Finding{
			Confidence: report.Certain, Conversation: t.ID,
			Explanation: fmt.Sprintf("After IKE_SA_INIT the sides did %s of additional key exchange (RFC 9370): %s.", plural(len(rounds), "round", "rounds"), orWord(strings.Join(methods, ", "), "methods not seen")),
			Evidence:    evidence("additional key exchange", rounds...),
			Fields:      map[string]any{"methods": methods},
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
		return t.ID == 1 || t.ID == 2 || t.ID == 5 || t.ID >= 22 && t.ID <= 24
	}
	return false
}

func weakCrypto(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		weak, m := t.weak()
		if len(weak) == 0 {
			continue
		}
		all = append(all, report.Finding{
			Confidence: report.Certain, Conversation: t.ID,
			Explanation: fmt.Sprintf("The negotiation uses algorithms that are broken or deprecated: %s.", strings.Join(weak, ", ")),
			Evidence:    evidence("the transforms in clear", m),
			Actions:     j.stronger(t.Version),
			Fields:      map[string]any{"transforms": weak},
		})
		return all
	}
	return all
}

// stronger are the lines that configure algorithms of today on both sides.
func (j *judge) stronger(version int) []report.Action {
	lines := []string{"crypto ikev2 proposal MONCAP-SUGGESTION", " encryption aes-cbc-256", " integrity sha256", " group 19 14"}
	if version == 1 {
		lines = []string{"crypto isakmp policy 10", " encryption aes 256", " hash sha256", " group 14"}
	}
	const why = "stronger algorithms on both sides (a suggestion)"
	return []report.Action{j.config(pair.A, why, lines...), j.config(pair.B, why, lines...)}
}

// weak lists the weak algorithms that were chosen or, where nothing was chosen, that are all that was offered.
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
	weakValues := map[uint16][]uint64{ike.V1Encryption: {1, 2, 3, 4, 5, 6}, ike.V1Hash: {1, 3}, ike.V1Group: {1, 2, 5, 22, 23, 24}}
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
		names = append(names, "Aggressive Mode with a pre-shared key")
	}
	return slices.Compact(names)
}

// together is how soon after the other side's negotiation one of one's own is begun for the same reason: the traffic, or the
// configuration, that started both.
const together = 3e9

func simultaneousInitiation(j *judge) []report.Finding {
	for i, second := range j.rivals() {
		if second == nil {
			continue
		}
		first := j.talks[i]
		done := first.completed()
		if done == 0 {
			done = first.Last
		}
		if second.First > done+together || first.deletedBefore(second.First) {
			continue
		}
		text := "both began a negotiation before either was complete"
		if second.First >= done {
			text = "each began a negotiation of its own within moments"
		}
		return []report.Finding{{
			Confidence: report.Certain, Conversation: second.ID,
			Explanation: fmt.Sprintf("%s and %s %s. It is harmless unless the two SAs keep replacing each other.", j.name(first.Initiator), j.name(second.Initiator), text),
			Evidence:    evidence("an initial request of each side", first.Messages[0], second.Messages[0]),
		}}
	}
	return nil
}

// rivals returns for every talk that opens the next one of its version that the other side opened. The talks are in the order of their beginnings, so
// that no later one is nearer.
func (j *judge) rivals() []*talk {
	rivals := make([]*talk, len(j.talks))
	type opener struct {
		side    pair.Side
		version int
	}
	next := map[opener]*talk{}
	for i, t := range slices.Backward(j.talks) {
		if t.opens() {
			rivals[i] = next[opener{t.Initiator.Other(), t.Version}]
			next[opener{t.Initiator, t.Version}] = t
		}
	}
	return rivals
}

// opens says whether t is a negotiation from its first message on, with the peer, and no rekey.
func (t *talk) opens() bool {
	return t.Complete && !t.Foreign && t.Rekeyed == nil && len(t.Messages) > 0
}

func (t *talk) deletedBefore(at int64) bool {
	m, _ := t.deletion()
	return m != nil && m.Transmissions[0].Aligned < at
}

// completed is when the IKE SA was complete, aligned; 0 when it never was.
func (t *talk) completed() int64 {
	if t.end != established {
		return 0
	}
	if len(t.answer.messages) > 0 {
		return t.answer.messages[0].Transmissions[0].Aligned
	}
	return t.Last
}

// flood is how many attempts without an end make a flood, within a minute.
const flood = 20

func halfOpenFlood(j *judge) []report.Finding {
	var all []report.Finding
	for _, s := range pair.Both {
		open := 0
		var first []*pair.Message
		for _, t := range j.talks {
			if t.Initiator != s || !t.Complete || t.end != unfinished || len(t.messagesOf(ike.IKEAuth, exchange.Request)) > 0 || t.Version != 2 {
				continue
			}
			if open++; open <= flood {
				first = append(first, t.Messages[0])
			}
		}
		if open < flood {
			continue
		}
		all = append(all, report.Finding{
			Confidence:  report.Certain,
			Explanation: fmt.Sprintf("%d initial requests from %s have different SPIs and none goes on: a flood, or an initiator that starts anew without end.", open, j.name(s)),
			Evidence:    evidence("one of the initial requests", first...),
			Actions:     []report.Action{j.config(s.Other(), "limit half-open negotiations (a suggestion)", "crypto ikev2 cookie-challenge 50", "crypto ikev2 limit max-in-negotation-sa 100")},
			Fields:      map[string]any{"side": s.String(), "half_open": open},
		})
	}
	return all
}
