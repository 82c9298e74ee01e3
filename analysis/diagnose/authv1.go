package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

func pskMismatchV1(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		if t.Version != 1 || t.End != facts.AuthRefused {
			continue
		}
		by, other := t.By, t.By.Other()
		what := "read the fifth message of Main Mode, the first encrypted one, of " + j.name(other)
		proof, how, differ := "the first encrypted message", "", "the pre-shared keys differ"
		if !t.Certain && len(t.Proof) > 1 {
			what, differ = "read or does not accept"+strings.TrimPrefix(what, "read"), differ+", or it expects another identity"
			how = " It answered with an encrypted Informational, and only keys would show which."
		}
		if t.Proof[0].Exchange == ike.V1Aggressive {
			differ = "the pre-shared keys differ"
			what, proof = "verify the hash in the Aggressive Mode message of "+j.name(other), "the hash that was not believed"
			if !t.Certain {
				how = " It sent an encrypted Informational where the next message was due, " +
					"which only keys would show to be an error or a Delete."
			}
		}
		f := report.Finding{
			Confidence: certainIf(t.Certain), Conversation: t.ID,
			Explanation: fmt.Sprintf("%s cannot %s: %s.%s", j.name(by), what, differ, how),
			Evidence:    append(evidence(proof, t.Proof[0]), evidence("what came back", t.Proof[1:]...)...),
			Actions: []report.Action{
				j.exec(by, "the key for "+orWord(j.seenAs(other), "the peer"), "show crypto isakmp key", showProfile(true),
					"show logging"),
				j.exec(other, "the key for "+orWord(j.seenAs(by), "the peer"), "show crypto isakmp key"),
			},
			Subject: onSide(by),
		}
		all = append(all, f)
	}
	return all
}

func userRefused(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		if t.Version != 1 || t.End != facts.UserRefused {
			continue
		}
		all = append(all, report.Finding{
			Confidence: certainIf(t.Certain), Conversation: t.ID,
			Explanation: fmt.Sprintf("Phase 1 came up, %s asked for a user (XAUTH, Mode Config), and then the SA was given up "+
				"before Quick Mode: the user name or password of %s was refused.", j.name(t.By), j.name(t.By.Other())),
			Evidence: evidence("the last Transaction exchange, and what ended it", t.Proof...),
			Actions: []report.Action{j.exec(t.By,
				"why the user was refused", "show crypto isakmp sa", "show aaa servers", "show logging"),
				j.exec(t.By.Other(), "with which user it comes", "show crypto ipsec client ezvpn", "show crypto isakmp sa")},
			Subject: onSide(t.By),
		})
	}
	return all
}

func quickModeRefused(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		if t.Version != 1 || t.End != facts.ChildRefused {
			continue
		}
		f := report.Finding{
			Confidence: report.Probable, Conversation: t.ID,
			Explanation: fmt.Sprintf("Phase 1 came up; %s answered the first message of Quick Mode with an Informational "+
				"exchange: it refuses phase 2. Whether transform sets, proxy identities or PFS differ, packets do not tell.",
				j.name(t.By)),
			Evidence: evidence("Quick Mode and its answer", t.Proof...),
			Subject:  onSide(t.By),
		}
		for _, s := range pair.Both {
			f.Actions = append(f.Actions, j.exec(s, "transform set, crypto ACL (they must mirror each other) and PFS",
				"show crypto ipsec transform-set", "show crypto map"))
		}
		j.compareChildConfig(&f)
		all = append(all, f)
	}
	return all
}

// stalls says whether the next message after m, which the other side owes, would be in the
// captures: m was sent again, or they go on.
func (j *judge) stalls(m *pair.Message) bool {
	sent := facts.Sendings(m)
	return len(sent) > 1 || facts.Outlasts(j.c, m.From.Other(), sent[len(sent)-1].Aligned, facts.Patience)
}

// oneVoiced says whether a message that was not repeated is of the only side that anything shows,
// in captures that do not hold the beginning: it may well have been answered.
func (j *judge) oneVoiced(m *pair.Message) bool {
	speaks := func(f *pair.Flow) bool { return f.From != m.From && !f.Foreign }
	if len(facts.Sendings(m)) > 1 || j.c.TwoSided() && slices.ContainsFunc(j.c.Flows, speaks) {
		return false
	}
	return !slices.ContainsFunc(m.Conversation.Messages, func(o *pair.Message) bool { return o.From != m.From })
}

func quickModeStalled(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		quick := t.QuickMode()
		if t.Version != 1 || t.CameUp() || t.End == facts.ChildRefused || len(quick) == 0 || !j.stalls(quick[len(quick)-1]) {
			continue
		}
		last, after := quick[len(quick)-1], ""
		if facts.Unheard(j.c, last.From.Other()) || !t.Complete && j.oneVoiced(last) {
			continue
		}
		if len(quick) > 2 && len(facts.Sendings(quick[1])) > 1 {
			after = fmt.Sprintf(" %s sends message 2 again all the same: message 3 did not reach it, or it does not take it.",
				capital(j.name(last.From.Other())))
		}
		all = append(all, report.Finding{
			Confidence: report.Certain, Conversation: t.ID,
			Explanation: fmt.Sprintf("Phase 1 came up; Quick Mode stopped after message %d, of %s.%s", len(quick),
				j.name(last.From), after),
			Evidence: evidence("the last message of Quick Mode", last),
			Actions: []report.Action{j.exec(last.From.Other(), "why it does not go on", "show crypto ipsec sa",
				"show logging")},
			Fields: map[string]any{"last_message": len(quick)},
		})
	}
	return all
}

func mainModeStalled(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		phase1 := t.Phase1()
		need := facts.Phase1Needs(phase1)
		if t.Version != 1 || len(phase1) == 0 || len(phase1) >= need || t.HasQuickMode() || t.Foreign || !t.Complete ||
			j.versionsDiffer(t) {
			continue
		}
		// What came back encrypted instead of the third message of Aggressive Mode is most likely a
		// rejected hash, and a stop in any case.
		inferred := t.End == facts.AuthRefused && !t.Certain && need == 3
		if t.End != facts.Broken && t.End != facts.Unanswered && !inferred {
			continue
		}
		last := phase1[len(phase1)-1]
		if !j.stalls(last) {
			continue
		}
		all = append(all, report.Finding{
			Confidence: report.Certain, Conversation: t.ID,
			Explanation: fmt.Sprintf("Phase 1 stopped after message %d of %d, of %s.", len(phase1), need, j.name(last.From)),
			Evidence:    evidence("the last message of phase 1", last),
			Actions: []report.Action{j.exec(last.From.Other(), "policy, key and state for the peer",
				"show crypto isakmp sa", "show crypto isakmp policy", "show crypto isakmp key"),
				j.exec(last.From, "state of the negotiation", "show crypto isakmp sa")},
			Subject: onSide(last.From),
			Fields:  map[string]any{"last_message": len(phase1)},
		})
	}
	return all
}
