package diagnose

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// ikeProfile is one profile of `show crypto ikev2 profile`: whom it is for, and how each side authenticates.
type ikeProfile struct {
	name       string
	identities []string // of the peer, that it matches: "address 192.0.2.1 255.255.255.255", "fqdn r1.example", "any"
	local      string   // the identity that it sends; empty: the address
	sends      string   // the authentication method of the router itself
	accepts    []string // those of the peer
}

var (
	ikeProfileName = regexp.MustCompile(`(?i)^\s*IKEv2 profile\s*:\s*([\w.:@-]+)\s*$`)
	identityLine   = regexp.MustCompile(`(?i)^\s*((?:ipv6 )?address|fqdn|email|key-id)\s+([\w.:@/ -]*[\w.:@/-])\s*$`)
	localLine      = regexp.MustCompile(`(?i)^\s*Local identity\s*:\s*(.*?)\s*$`)
	methodLine     = regexp.MustCompile(`(?i)^\s*(Local|Remote) authentication method(?:\(s\))?\s*:\s*([\w ,-]+?)\s*$`)
)

// ikeProfiles reads `show crypto ikev2 profile`.
func ikeProfiles(text string) []*ikeProfile {
	var all []*ikeProfile
	var p *ikeProfile
	inside := false // the list of identities
	for line := range strings.Lines(text) {
		if m := ikeProfileName.FindStringSubmatch(line); m != nil {
			p, inside = &ikeProfile{name: m[1]}, false
			all = append(all, p)
			continue
		}
		if p == nil {
			continue
		}
		trimmed := strings.ToLower(strings.TrimSpace(line))
		switch {
		case strings.HasPrefix(trimmed, "identities"):
			inside = true
		case inside && trimmed == "any":
			p.identities = append(p.identities, "any")
		case inside && identityLine.MatchString(line):
			p.identities = append(p.identities, identityOf(line))
		default:
			inside = false
			p.read(line)
		}
	}
	return all
}

func identityOf(line string) string {
	m := identityLine.FindStringSubmatch(line)
	return strings.TrimPrefix(strings.ToLower(m[1]), "ipv6 ") + " " + words(m[2])
}

func (p *ikeProfile) read(line string) {
	if m := localLine.FindStringSubmatch(line); m != nil {
		switch {
		case identityLine.MatchString(m[1]):
			p.local = identityOf(m[1])
		case strings.EqualFold(m[1], "none"):
		default:
			p.local = "another" // a distinguished name, which certificate maps match
		}
	} else if m := methodLine.FindStringSubmatch(line); m != nil {
		methods := strings.FieldsFunc(strings.ToLower(m[2]), func(r rune) bool { return r == ' ' || r == ',' })
		if strings.EqualFold(m[1], "remote") {
			p.accepts = methods
		} else if len(methods) > 0 {
			p.sends = methods[0]
		}
	}
}

// matches says whether the profile is for a peer of this identity.
func (p *ikeProfile) matches(identity string) bool {
	kind, value, _ := strings.Cut(identity, " ")
	return slices.ContainsFunc(p.identities, func(x string) bool {
		its, pattern, _ := strings.Cut(x, " ")
		switch domain, isDomain := strings.CutPrefix(pattern, "domain "); {
		case x == "any":
			return true
		case its != kind:
			return false
		case kind == "address":
			return addressMatches(pattern, value)
		case isDomain:
			return strings.HasSuffix(strings.ToLower(value), strings.ToLower(domain))
		}
		return strings.EqualFold(pattern, value)
	})
}

// addressMatches says whether "192.0.2.0 255.255.255.0", "2001:db8::/32" or an address alone is for the address.
func addressMatches(pattern, address string) bool {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	if prefix, err := netip.ParsePrefix(pattern); err == nil {
		return prefix.Contains(addr)
	}
	base, mask, _ := strings.Cut(pattern, " ")
	b, errB := netip.ParseAddr(base)
	m, errM := netip.ParseAddr(cmp.Or(mask, "255.255.255.255"))
	if errB != nil || errM != nil || !b.Is4() || !m.Is4() || !addr.Is4() {
		return errB == nil && b == addr
	}
	x, y, z := b.As4(), addr.As4(), m.As4()
	for i := range x {
		if x[i]&z[i] != y[i]&z[i] {
			return false
		}
	}
	return true
}

// profileFor is the profile with which s talks to the peer: the one that its crypto map or IPsec profile names, else the one
// that is for the peer's address, else the only one.
func (j *judge) profileFor(s pair.Side, all []*ikeProfile) *ikeProfile {
	if e := j.entryOf(s); e != nil && e.ikev2 != "" {
		if i := slices.IndexFunc(all, func(p *ikeProfile) bool { return p.name == e.ikev2 }); i >= 0 {
			return all[i]
		}
	}
	peer := s.Other()
	if i := slices.IndexFunc(all, func(p *ikeProfile) bool {
		return p.matches("address "+j.address(peer)) || p.matches("address "+j.seenAs(peer))
	}); i >= 0 {
		return all[i]
	}
	if len(all) == 1 {
		return all[0]
	}
	return nil
}

// compareProfiles adds to a refused authentication what the IKEv2 profiles of both sides say about it.
func (j *judge) compareProfiles(f *report.Finding, refuser pair.Side) {
	other := refuser.Other()
	of := func(s pair.Side) []*ikeProfile { return ikeProfiles(shown(j.o.Config[s], "show-ikev2-profile")) }
	mine, theirs := of(refuser), j.profileFor(other, of(other))
	if len(mine) == 0 || theirs == nil {
		return
	}
	identity := cmp.Or(theirs.local, "address "+j.address(other))
	if identity == "another" {
		return
	}
	differs := map[string]any{}
	note := func(what string, accepts, sends []string) {
		differs[what] = map[string]any{refuser.String(): accepts, other.String(): sends}
	}
	i := slices.IndexFunc(mine, func(p *ikeProfile) bool { return p.matches(identity) })
	switch {
	case i < 0:
		var known []string
		for _, p := range mine {
			known = append(known, p.identities...)
		}
		note("identities", known, []string{identity})
		f.Explanation += fmt.Sprintf(" No IKEv2 profile of %s is for the identity that %s sends, %s: it matches %s.", j.partyName(refuser), j.partyName(other), identity, orWord(strings.Join(known, "; "), "none"))
		if p := j.profileFor(refuser, mine); p != nil {
			f.Actions = append(f.Actions, j.config(refuser, "the identity that "+j.partyName(other)+" sends (a suggestion)", "crypto ikev2 profile "+p.name, " match identity remote "+hostIdentity(identity)))
		}
	case theirs.sends != "" && len(mine[i].accepts) > 0 && !slices.Contains(mine[i].accepts, theirs.sends):
		note("authentication methods", mine[i].accepts, []string{theirs.sends})
		f.Explanation += fmt.Sprintf(" The configured authentication methods differ: %s accepts %s of its peer, %s authenticates with %s.", j.partyName(refuser), strings.Join(mine[i].accepts, "; "), j.partyName(other), theirs.sends)
		f.Actions = append(f.Actions, j.config(refuser, "what "+j.partyName(other)+" authenticates with (a suggestion)", "crypto ikev2 profile "+mine[i].name, " authentication remote "+theirs.sends))
	case theirs.sends == "pre-share":
		f.Explanation += " By the IKEv2 profiles of both sides, identity and method agree, which leaves the pre-shared key."
	}
	if len(differs) > 0 {
		f.Fields["configuration_differs"] = differs
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
