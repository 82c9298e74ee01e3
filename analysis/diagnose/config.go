package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// The configuration that a run collected says what packets cannot: the very lines that differ.

// childConfig is what a side's configuration says of its child SAs with the peer.
type childConfig struct {
	entry      *childEntry
	transforms []string // as they are configured, of the sets that the entry uses
	modes      []string
	permits    []string
}

// childConfigOf is the entry for the peer with what it refers to, or nil.
func (j *judge) childConfigOf(s pair.Side) *childConfig {
	e := j.entryOf(s)
	if e == nil {
		return nil
	}
	shows := j.o.Config[s]
	c := &childConfig{entry: e, permits: e.Permits}
	sets := shows.TransformSets()
	for _, name := range e.TransformSets {
		if t, ok := sets[name]; ok {
			c.transforms = append(c.transforms, t.Transforms)
			c.modes = append(c.modes, t.Mode)
		}
	}
	if len(c.permits) == 0 && e.ACL != "" {
		c.permits = shows.Permits(e.ACL)
	}
	return c
}

// childEntry is one crypto map entry or IPsec profile: what both sides of a child SA must agree on.
type childEntry struct{ *facts.CryptoEntry }

// entryOf picks the crypto map entry for the peer, else an entry without a peer (a dynamic map),
// else the IPsec profile that is not the default one; nil without any.
func (j *judge) entryOf(s pair.Side) *childEntry {
	var entries []*childEntry
	for _, e := range j.o.Config[s].CryptoEntries() {
		entries = append(entries, &childEntry{e})
	}
	peer := &j.c.Parties[s.Other()]
	names := func(e *childEntry) bool {
		return slices.ContainsFunc(e.Peers, func(p string) bool {
			return p == j.seenAs(s.Other()) || p == j.address(s.Other()) || p == peer.KnownNAT.String()
		})
	}
	for _, fits := range []func(*childEntry) bool{
		names,
		func(e *childEntry) bool { return !e.Profile && len(e.Peers) == 0 },
		func(e *childEntry) bool { return e.Profile && e.Name != "default" },
		func(e *childEntry) bool { return e.Profile },
	} {
		if i := slices.IndexFunc(entries, fits); i >= 0 {
			return entries[i]
		}
	}
	return nil
}

// compareChildConfig adds to a refusal of phase 2 what the configurations of both
// sides say about it.
func (j *judge) compareChildConfig(f *report.Finding) {
	a, b := j.childConfigOf(pair.A), j.childConfigOf(pair.B)
	if a == nil || b == nil {
		return
	}
	differs := map[string]any{}
	note := func(what string, mine, theirs []string) {
		differs[what] = map[string]any{"A": mine, "B": theirs}
		f.Explanation += fmt.Sprintf(" The configured %s differ: %s has %s, %s has %s.", what, j.partyName(pair.A),
			strings.Join(mine, "; "), j.partyName(pair.B), strings.Join(theirs, "; "))
	}
	advise := func(who pair.Side, lines ...string) {
		f.Actions = append(f.Actions, j.config(who, "what "+j.partyName(who.Other())+" has (a suggestion)", lines...))
	}
	if disjoint(a.transforms, b.transforms) {
		note("transform sets", a.transforms, b.transforms)
		switch weakA, weakB := weakTransformSet(a.transforms[0]), weakTransformSet(b.transforms[0]); {
		case !weakA:
			advise(pair.B, "crypto ipsec transform-set "+b.entry.TransformSets[0]+" "+a.transforms[0])
		case !weakB: // never the weaker one for the stronger side
			advise(pair.A, "crypto ipsec transform-set "+a.entry.TransformSets[0]+" "+b.transforms[0])
		}
	} else if disjoint(a.modes, b.modes) {
		note("modes", a.modes, b.modes)
		advise(pair.B, "crypto ipsec transform-set "+b.entry.TransformSets[0]+" "+b.transforms[0], " mode "+a.modes[0])
	}
	if a.entry.pfsText() != b.entry.pfsText() {
		j.adviseOnPFS(f, a.entry, b.entry, differs)
	}
	j.compareACLs(f, a, b, differs)
	if len(differs) > 0 {
		tell(f, "configuration_differs", differs)
	}
}

// weakTransformSet says whether a transform set has an algorithm that is broken, or none.
func weakTransformSet(transforms string) bool {
	return slices.ContainsFunc(strings.Fields(transforms), func(w string) bool {
		return w == "esp-des" || w == "esp-3des" || w == "esp-null" || strings.Contains(w, "md5")
	})
}

func disjoint(a, b []string) bool {
	return len(a) > 0 && len(b) > 0 && !slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

func (e *childEntry) pfsText() string {
	if e.PFS == "N" {
		return "none"
	}
	return strings.Join(append([]string{e.PFS}, e.PQC...), " ")
}

// setPFS is the line that configures the entry's groups.
func (e *childEntry) setPFS() string {
	line := " set pfs " + e.PFS
	if len(e.PQC) > 0 {
		line += " pqc " + strings.Join(e.PQC, " ")
	}
	return line
}

// weakPFS says how little the entry's PFS protects: 2 without any, 1 with a deprecated group, 0
// with a good one, less with post-quantum methods.
func (e *childEntry) weakPFS() int {
	switch {
	case e.PFS == "N":
		return 2
	case isWeak("group " + strings.TrimPrefix(e.PFS, "group")):
		return 1
	case len(e.PQC) > 0:
		return -1
	}
	return 0
}

// adviseOnPFS says that PFS differs, and gives the side that has the weaker one the other's line.
func (j *judge) adviseOnPFS(f *report.Finding, a, b *childEntry, differs map[string]any) {
	differs["PFS groups"] = map[string]any{"A": []string{a.pfsText()}, "B": []string{b.pfsText()}}
	f.Explanation += fmt.Sprintf(" The configured PFS groups differ: %s has %s, %s has %s.", j.partyName(pair.A),
		a.pfsText(), j.partyName(pair.B), b.pfsText())
	from, to, who := a, b, pair.B
	if a.weakPFS() > b.weakPFS() {
		from, to, who = b, a, pair.A
	}
	if from.weakPFS() < 1 {
		f.Actions = append(f.Actions,
			j.config(who, "what "+j.partyName(who.Other())+" has (a suggestion)", to.context(), from.setPFS()))
	}
}

// context is the line under which the entry is configured.
func (e *childEntry) context() string {
	if e.Profile {
		return "crypto ipsec profile " + e.Name
	}
	return "crypto map " + e.Name + " ipsec-isakmp"
}

func (j *judge) compareACLs(f *report.Finding, a, b *childConfig, differs map[string]any) {
	missing := [2][]string{unmirrored(a.permits, b.permits), unmirrored(b.permits, a.permits)}
	if len(missing[0])+len(missing[1]) == 0 {
		return
	}
	differs["crypto ACL"] = map[string]any{"A": a.permits, "B": b.permits}
	f.Explanation += " The crypto ACLs do not mirror each other:"
	sep := ""
	for _, s := range pair.Both {
		if len(missing[s]) > 0 {
			f.Explanation += fmt.Sprintf("%s %s of %s has no mirror on %s", sep, strings.Join(missing[s], "; "), j.partyName(s),
				j.partyName(s.Other()))
			sep = ";"
		}
	}
	f.Explanation += "."
	var lines []string
	for _, m := range missing[0] {
		lines = append(lines, " "+mirrored(m))
	}
	for _, m := range missing[1] {
		lines = append(lines, " no "+m)
	}
	if b.entry.ACL != "" {
		f.Actions = append(f.Actions, j.config(pair.B, "the mirror of what "+j.partyName(pair.A)+" has (a suggestion)",
			append([]string{listContext(b.entry.ACL, b.permits)}, lines...)...))
	}
}

// listContext is the line under which the lines of an access list are configured.
func listContext(name string, lines []string) string {
	if slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, ":") }) {
		return "ipv6 access-list " + name
	}
	return "ip access-list extended " + name
}

// unmirrored are the lines of a whose mirror b does not have.
func unmirrored(a, b []string) []string {
	if len(a) == 0 || len(b) == 0 {
		return nil
	}
	var missing []string
	for _, line := range a {
		if m := mirrored(line); m != "" && !slices.Contains(b, m) {
			missing = append(missing, line)
		}
	}
	return missing
}

// mirrored exchanges source and destination of a permit line; empty for a line
// with ports or options.
func mirrored(line string) string {
	all := strings.Fields(line)
	if len(all) < 4 || all[0] != "permit" {
		return ""
	}
	src, rest, ok1 := operand(all[2:])
	dst, rest, ok2 := operand(rest)
	if !ok1 || !ok2 || len(rest) > 0 {
		return ""
	}
	return strings.Join(append(append([]string{"permit", all[1]}, dst...), src...), " ")
}

func operand(words []string) (op, rest []string, ok bool) {
	switch {
	case len(words) >= 1 && (words[0] == "any" || strings.Contains(words[0], "/")):
		return words[:1], words[1:], true // any, or an IPv6 prefix
	case len(words) >= 2:
		return words[:2], words[2:], true // host ADDRESS, or ADDRESS WILDCARD
	}
	return nil, nil, false
}
