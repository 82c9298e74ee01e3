package diagnose

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// profileFor is the profile with which s talks to the peer: the one that its crypto map or IPsec
// profile names, else the one that is for the peer's address, else the only one.
func (j *judge) profileFor(s pair.Side, all []*facts.IKEv2Profile) *facts.IKEv2Profile {
	if e := j.entryOf(s); e != nil && e.IKEv2 != "" {
		if i := slices.IndexFunc(all, func(p *facts.IKEv2Profile) bool { return p.Name == e.IKEv2 }); i >= 0 {
			return all[i]
		}
	}
	peer := s.Other()
	if i := slices.IndexFunc(all, func(p *facts.IKEv2Profile) bool {
		return p.Matches("address "+j.address(peer)) || p.Matches("address "+j.seenAs(peer))
	}); i >= 0 {
		return all[i]
	}
	if len(all) == 1 {
		return all[0]
	}
	return nil
}

// compareProfiles adds to a refused authentication what the IKEv2 profiles of both
// sides say about it.
func (j *judge) compareProfiles(f *report.Finding, refuser pair.Side) {
	other := refuser.Other()
	of := func(s pair.Side) []*facts.IKEv2Profile { return j.o.Config[s].IKEv2Profiles() }
	mine := of(refuser)
	if len(mine) == 0 {
		return
	}
	theirs := j.profileFor(other, of(other))
	if theirs == nil {
		return
	}
	identity := cmp.Or(theirs.Local, "address "+j.address(other))
	if identity == facts.OtherIdentity {
		return
	}
	differs := map[string]any{}
	note := func(what string, accepts, sends []string) {
		differs[what] = map[string]any{refuser.String(): accepts, other.String(): sends}
	}
	i := slices.IndexFunc(mine, func(p *facts.IKEv2Profile) bool { return p.Matches(identity) })
	switch {
	case i < 0:
		var known []string
		for _, p := range mine {
			known = append(known, p.Identities...)
		}
		note("identities", known, []string{identity})
		f.Explanation += fmt.Sprintf(" No IKEv2 profile of %s is for the identity that %s sends, %s: it matches %s.",
			j.partyName(refuser), j.partyName(other), identity, orWord(strings.Join(known, "; "), "none"))
		if p := j.profileFor(refuser, mine); p != nil {
			f.Actions = append(f.Actions, j.config(refuser, "the identity that "+j.partyName(other)+" sends (a suggestion)",
				"crypto ikev2 profile "+p.Name, " match identity remote "+hostIdentity(identity)))
		}
	case theirs.Sends != "" && len(mine[i].Accepts) > 0 && !slices.Contains(mine[i].Accepts, theirs.Sends):
		note("authentication methods", mine[i].Accepts, []string{theirs.Sends})
		f.Explanation += fmt.Sprintf(" The configured authentication methods differ: %s accepts %s of its peer, "+
			"%s authenticates with %s.", j.partyName(refuser), strings.Join(mine[i].Accepts, "; "),
			j.partyName(other), theirs.Sends)
		f.Actions = append(f.Actions, j.config(refuser, "what "+j.partyName(other)+" authenticates with (a suggestion)",
			"crypto ikev2 profile "+mine[i].Name, " authentication remote "+theirs.Sends))
	case theirs.Sends == "pre-share":
		f.Explanation += " By the IKEv2 profiles of both sides, identity and method agree, which leaves the pre-shared key."
	}
	if len(differs) > 0 {
		tell(f, "configuration_differs", differs)
	}
}

// hostIdentity completes an address by the mask of a host, as `match identity remote` wants it.
func hostIdentity(identity string) string {
	if addr, err := netip.ParseAddr(strings.TrimPrefix(identity, "address ")); err == nil {
		if addr.Is4() {
			return identity + " 255.255.255.255"
		}
		return identity + "/128"
	}
	return identity
}
