package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// refusedSince are the algorithms, by the names that offers have, that IOS XE refuses by default
// from 17.11.1 on (Cisco Field Notice 72510).
var refusedSince = []string{"ENCR_DES", "ENCR_DES_IV64", "ENCR_DES_IV32", "ENCR_3DES", "PRF_HMAC_MD5",
	"AUTH_HMAC_MD5_96", "DES-CBC", "3DES-CBC", "MD5", "group 1", "group 2", "group 5", "group 24"}

// refusedOf are the algorithms of a set that such a release refuses, of kinds of
// which it has no others.
func (s set) refusedOf() []string {
	var all []string
	for _, k := range kinds {
		if len(s[k]) > 0 && !slices.ContainsFunc(s[k], func(n string) bool { return !slices.Contains(refusedSince, n) }) {
			all = append(all, s[k]...)
		}
	}
	return all
}

func upgradeRefusesWeak(j *judge) []report.Finding {
	if j.establishedTalk() != nil {
		return nil
	}
	var all []report.Finding
	for _, s := range pair.Both {
		release, refuses := facts.RefusesWeak(j.o.Config[s].Text("show-version"))
		if !refuses {
			continue
		}
		for _, version := range []int{2, 1} {
			refused, source := j.onlyRefused(s.Other(), version)
			m := j.openedBy(version)
			if len(refused) == 0 || m == nil {
				continue
			}
			all = append(all, report.Finding{
				Confidence: report.Certain, Conversation: m.Conversation.ID,
				Explanation: fmt.Sprintf("%s runs IOS XE %s, which refuses weak algorithms by default since "+
					"17.11.1 (Field Notice 72510), and %s has nothing else by %s: %s.", j.name(s), release, j.name(s.Other()), source,
					strings.Join(refused, ", ")),
				Evidence: evidence("the negotiation", m),
				Actions: append([]report.Action{j.exec(s, "the release, and what it says of weak algorithms", "show version",
					"show logging")}, j.stronger(version, setsOf(m)...)...),
				Subject: onSide(s),
				Fields:  map[string]any{"version": release, "refused": refused},
			})
			break
		}
	}
	return all
}

// onlyRefused are the algorithms without which s has no whole proposal that such a release would
// take, and how that is known; none when it has one.
func (j *judge) onlyRefused(s pair.Side, version int) ([]string, string) {
	sets, source := j.knownOf(s, version)
	var all []string
	for _, x := range sets {
		some := x.refusedOf()
		if len(some) == 0 {
			return nil, ""
		}
		for _, n := range some {
			if !slices.Contains(all, n) {
				all = append(all, n)
			}
		}
	}
	return all, source
}

// openedBy is the first message of a negotiation of a version, whoever began it.
func (j *judge) openedBy(version int) *pair.Message {
	for _, t := range j.talks {
		if t.opens() && t.Version == version && t.Messages[0].Kind == exchange.Request {
			return t.Messages[0]
		}
	}
	return nil
}
