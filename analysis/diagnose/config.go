package diagnose

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// The configuration that a run collected says what packets cannot: the very lines that differ.

// proposalWords turns the words of `show crypto ikev2 proposal` into the names that offers have.
var proposalWords = map[string]string{
	"AES-CBC-128": "ENCR_AES_CBC_128", "AES-CBC-192": "ENCR_AES_CBC_192", "AES-CBC-256": "ENCR_AES_CBC_256", "AES-GCM-128": "ENCR_AES_GCM_16_128",
	"AES-GCM-256": "ENCR_AES_GCM_16_256", "3DES": "ENCR_3DES", "DES": "ENCR_DES",
	"SHA96": "AUTH_HMAC_SHA1_96", "MD596": "AUTH_HMAC_MD5_96", "SHA256": "AUTH_HMAC_SHA2_256_128", "SHA384": "AUTH_HMAC_SHA2_384_192",
	"SHA512": "AUTH_HMAC_SHA2_512_256",
}

var prfWords = map[string]string{"SHA1": "PRF_HMAC_SHA1", "MD5": "PRF_HMAC_MD5", "SHA256": "PRF_HMAC_SHA2_256", "SHA384": "PRF_HMAC_SHA2_384", "SHA512": "PRF_HMAC_SHA2_512"}

var (
	proposalLine = regexp.MustCompile(`(?i)^\s*(Encryption|Integrity|PRF|DH Group)\s*:\s*(.+?)\s*$`)
	groupWord    = regexp.MustCompile(`(?i)(?:Group\s*|/Group\s*)(\d+)`)
)

// configuredProposals reads `show crypto ikev2 proposal`: a block a proposal, each kind of algorithm on a line.
func configuredProposals(text string) []set {
	var all []set
	current := set{}
	flush := func() {
		if len(current) > 0 {
			all = append(all, current)
			current = set{}
		}
	}
	for line := range strings.Lines(text) {
		if strings.Contains(strings.ToLower(line), "proposal:") {
			flush()
		}
		m := proposalLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		switch strings.ToLower(m[1]) {
		case "encryption":
			current["ENCR"] = translated(m[2], proposalWords)
		case "integrity":
			current["INTEG"] = translated(m[2], proposalWords)
		case "prf":
			current["PRF"] = translated(m[2], prfWords)
		case "dh group":
			for _, g := range groupWord.FindAllStringSubmatch(m[2], -1) {
				current["KE"] = append(current["KE"], "group "+g[1])
			}
		}
	}
	flush()
	return slices.DeleteFunc(all, func(s set) bool { return len(s["ENCR"]) == 0 || len(s["KE"]) == 0 })
}

func translated(words string, names map[string]string) []string {
	var all []string
	for _, w := range strings.Fields(strings.ReplaceAll(words, ",", " ")) {
		if n, ok := names[strings.ToUpper(w)]; ok {
			all = append(all, n)
		}
	}
	return all
}

// childFacts are the lines of a side's configuration that both sides of a child SA must agree on.
type childFacts struct {
	transforms []string // { esp-aes 256 esp-sha256-hmac }
	mode       []string // Tunnel, Transport
	pfs        []string
	acl        []string // permit lines of the crypto ACL
}

var (
	transformLine = regexp.MustCompile(`(?i)^\s*Transform set \S+:\s*\{\s*(.*?)\s*\}`)
	modeLine      = regexp.MustCompile(`(?i)will negotiate = \{\s*(\w+)`)
	pfsLine       = regexp.MustCompile(`(?i)^\s*PFS \(Y/N\):\s*(\S+)`)
	groupLine     = regexp.MustCompile(`(?i)^\s*DH group:\s*(\S+)`)
	aclLine       = regexp.MustCompile(`(?i)^\s*access-list \S+ (permit .+?)\s*$`)
)

func childFactsOf(shows map[string]string) childFacts {
	var f childFacts
	gather := func(re *regexp.Regexp, into *[]string, texts ...string) {
		for _, t := range texts {
			for line := range strings.Lines(t) {
				if m := re.FindStringSubmatch(strings.TrimRight(line, "\r\n")); m != nil {
					*into = append(*into, strings.Join(strings.Fields(strings.ReplaceAll(m[1], " ,", "")), " "))
				}
			}
		}
		slices.Sort(*into)
		*into = slices.Compact(*into)
	}
	gather(transformLine, &f.transforms, shows["show-transform-set"])
	gather(modeLine, &f.mode, shows["show-transform-set"])
	gather(pfsLine, &f.pfs, shows["show-crypto-map"], shows["show-ipsec-profile"])
	gather(groupLine, &f.pfs, shows["show-crypto-map"], shows["show-ipsec-profile"])
	gather(aclLine, &f.acl, shows["show-crypto-map"])
	return f
}

// compareChildConfig adds to a refusal of phase 2 what the configurations of both sides say about it.
func (j *judge) compareChildConfig(f *report.Finding) {
	if len(j.o.Config[pair.A]) == 0 || len(j.o.Config[pair.B]) == 0 {
		return
	}
	a, b := childFactsOf(j.o.Config[pair.A]), childFactsOf(j.o.Config[pair.B])
	differs := map[string]any{}
	for _, x := range []struct {
		what string
		a, b []string
	}{{"transform sets", a.transforms, b.transforms}, {"mode", a.mode, b.mode}, {"PFS", a.pfs, b.pfs}} {
		if len(x.a) == 0 || len(x.b) == 0 || slices.ContainsFunc(x.a, func(s string) bool { return slices.Contains(x.b, s) }) {
			continue
		}
		differs[x.what] = map[string]any{"A": x.a, "B": x.b}
		f.Explanation += fmt.Sprintf(" The configured %s differ: %s has %s, %s has %s.", x.what, j.partyName(pair.A), strings.Join(x.a, "; "), j.partyName(pair.B), strings.Join(x.b, "; "))
		if x.what == "transform sets" {
			f.Actions = append(f.Actions, j.config(pair.B, "the transform set of the other side (a suggestion)", "crypto ipsec transform-set MONCAP-SUGGESTION "+x.a[0]))
		}
	}
	if missing := unmirrored(a.acl, b.acl); len(missing) > 0 {
		differs["crypto ACL"] = map[string]any{"A": a.acl, "B": b.acl}
		f.Explanation += fmt.Sprintf(" The crypto ACLs do not mirror each other: %s of %s has no mirror on %s.", strings.Join(missing, "; "), j.partyName(pair.A), j.partyName(pair.B))
		var lines []string
		for _, m := range missing {
			lines = append(lines, mirrored(m))
		}
		f.Actions = append(f.Actions, j.config(pair.B, "the mirror of the other side's lines (a suggestion)", lines...))
	}
	if len(differs) > 0 {
		f.Fields["configuration_differs"] = differs
	}
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

// mirrored exchanges source and destination of a permit line; empty for a line with ports or options.
func mirrored(line string) string {
	words := strings.Fields(line)
	if len(words) < 4 || words[0] != "permit" {
		return ""
	}
	src, rest, ok1 := operand(words[2:])
	dst, rest, ok2 := operand(rest)
	if !ok1 || !ok2 || len(rest) > 0 {
		return ""
	}
	return strings.Join(append(append([]string{"permit", words[1]}, dst...), src...), " ")
}

func operand(words []string) (op, rest []string, ok bool) {
	switch {
	case len(words) >= 1 && words[0] == "any":
		return words[:1], words[1:], true
	case len(words) >= 2:
		return words[:2], words[2:], true // host ADDRESS, or ADDRESS WILDCARD
	}
	return nil, nil, false
}
