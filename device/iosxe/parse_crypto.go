package iosxe

import (
	"cmp"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// What a router prints of its IKE configuration, in its own words. The texts are those of IOS XE
// 16, 17 and 26; what is not understood is passed over.

// IKEv2Proposal is one proposal of `show crypto ikev2 proposal`.
type IKEv2Proposal struct {
	Name                       string
	Encryption, Integrity, PRF []string // as they are printed: AES-CBC-256, SHA512
	Groups                     []int
	PQC                        []string // post-quantum methods, as the configuration names them: mlkem768
	PQCOptional                bool     // none of them will do as well
}

var (
	proposalName = lazyregexp.New(`(?i)^\s*IKEv2 proposal\s*:\s*(\S+)`)
	proposalLine = lazyregexp.New(`(?i)^\s*(Encryption|Integrity|PRF|DH Group|PQC Key Exchange)\s*:\s*(.+?)\s*$`)
	groupWord    = lazyregexp.New(`(?i)Group\s*(\d{1,5})`)
	pqcMethod    = lazyregexp.New(`(?i)\bML-?KEM-?(\d{1,5})`)
	policyName   = lazyregexp.New(`(?i)^\s*IKEv2 policy\s*:\s*(\S+)`)
	policyUses   = lazyregexp.New(`(?i)^\s*Proposal\s*:\s*(\S+)`)
)

// ParseIKEv2Proposals reads `show crypto ikev2 proposal`: a block a proposal, each kind of
// algorithm on a line. One without encryption or groups is none.
func ParseIKEv2Proposals(out string) []IKEv2Proposal {
	var all []IKEv2Proposal
	for line := range strings.Lines(Clean(out)) {
		if m := proposalName.Get().FindStringSubmatch(line); m != nil {
			all = append(all, IKEv2Proposal{Name: m[1]})
		} else if m := proposalLine.Get().FindStringSubmatch(line); m != nil && len(all) > 0 {
			all[len(all)-1].read(strings.ToLower(m[1]), m[2])
		}
	}
	return slices.DeleteFunc(all, func(p IKEv2Proposal) bool { return len(p.Encryption) == 0 || len(p.Groups) == 0 })
}

func (p *IKEv2Proposal) read(what, words string) {
	list := strings.Fields(strings.ReplaceAll(words, ",", " "))
	switch what {
	case "encryption":
		p.Encryption = list
	case "integrity":
		p.Integrity = list
	case "prf":
		p.PRF = list
	case "dh group":
		for _, g := range groupWord.Get().FindAllStringSubmatch(words, -1) {
			n, _ := strconv.Atoi(g[1]) // digits
			p.Groups = append(p.Groups, n)
		}
	case "pqc key exchange":
		p.PQC = pqcMethods(words)
		p.PQCOptional = strings.Contains(strings.ToLower(words), "optional")
	}
}

// pqcMethods are the methods that are printed as ML-KEM-768, MLKEM768 or so, in the words of
// the configuration.
func pqcMethods(words string) []string {
	var all []string
	for _, m := range pqcMethod.Get().FindAllStringSubmatch(words, -1) {
		all = append(all, "mlkem"+m[1])
	}
	return all
}

// IKEv2Policy is one policy of `show crypto ikev2 policy`, with the names of the
// proposals that it uses.
type IKEv2Policy struct {
	Name      string
	Proposals []string
}

// ParseIKEv2Policies reads `show crypto ikev2 policy`.
func ParseIKEv2Policies(out string) []IKEv2Policy {
	var all []IKEv2Policy
	for line := range strings.Lines(Clean(out)) {
		if m := policyName.Get().FindStringSubmatch(line); m != nil {
			all = append(all, IKEv2Policy{Name: m[1]})
		} else if m := policyUses.Get().FindStringSubmatch(line); m != nil && len(all) > 0 {
			last := &all[len(all)-1]
			last.Proposals = append(last.Proposals, m[1])
		}
	}
	return all
}

// ISAKMPPolicy is one protection suite of `show crypto isakmp policy`, in the router's words.
type ISAKMPPolicy struct {
	Priority                         int    // the lower, the more preferred; 0: not said
	Default                          bool   // it is one that every router has, not a configured one
	Encryption, Hash, Authentication string // "AES - Advanced Encryption Standard (256 bit keys)."
	EncryptionBits, HashBits, Group  int    // 0: not said
}

var (
	suiteStart = lazyregexp.New(`(?i)protection suite(?: of priority (\d{1,5}))?`)
	suiteLine  = lazyregexp.New(
		`(?i)^\s*(encryption algorithm|hash algorithm|authentication method|Diffie-Hellman group)\s*:\s*(.+?)\s*$`)
	keyBits   = lazyregexp.New(`\((\d{1,5}) bit`)
	groupHash = lazyregexp.New(`#(\d{1,5})`)
)

// ParseISAKMPPolicies reads `show crypto isakmp policy`.
func ParseISAKMPPolicies(out string) []ISAKMPPolicy {
	var all []ISAKMPPolicy
	for line := range strings.Lines(Clean(out)) {
		if suiteStart.Get().MatchString(line) {
			all = append(all, ISAKMPPolicy{Priority: firstNumber(suiteStart.Get(), line),
				Default: strings.Contains(strings.ToLower(line), "default")})
		} else if m := suiteLine.Get().FindStringSubmatch(line); m != nil && len(all) > 0 {
			all[len(all)-1].read(strings.ToLower(m[1]), m[2])
		}
	}
	return all
}

func (p *ISAKMPPolicy) read(what, value string) {
	switch what {
	case "encryption algorithm":
		p.Encryption, p.EncryptionBits = value, firstNumber(keyBits.Get(), value)
	case "hash algorithm":
		p.Hash, p.HashBits = value, firstNumber(keyBits.Get(), value)
	case "authentication method":
		p.Authentication = value
	case "diffie-hellman group":
		p.Group = firstNumber(groupHash.Get(), value)
	}
}

// firstNumber is the first group of a pattern as a number; 0 without one.
func firstNumber(p *regexp.Regexp, text string) int {
	m := p.FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1]) // digits
	return n
}

// OtherIdentity is a local identity that is none of address, FQDN, e-mail and key ID: a
// distinguished name, which certificate maps match.
const OtherIdentity = "another"

// IKEv2Profile is one profile of `show crypto ikev2 profile`: whom it is for, and how each
// side authenticates.
type IKEv2Profile struct {
	Name       string
	Identities []string // of the peer, that it matches: "address 192.0.2.1 255.255.255.255", "fqdn r1.example", "any"
	Local      string   // the identity that it sends; empty: the address; OtherIdentity: one that is not read
	Sends      string   // the authentication method of the router itself
	Accepts    []string // those of the peer
}

var (
	ikev2ProfileName = lazyregexp.New(`(?i)^\s*IKEv2 profile\s*:\s*([\w.:@-]+)\s*$`)
	identityLine     = lazyregexp.New(`(?i)^\s*((?:ipv6 )?address|fqdn|email|key-id)\s+([\w.:@/ -]*[\w.:@/-])\s*$`)
	localLine        = lazyregexp.New(`(?i)^\s*Local identity\s*:\s*(.*?)\s*$`)
	methodLine       = lazyregexp.New(`(?i)^\s*(Local|Remote) authentication method(?:\(s\))?\s*:\s*([\w ,-]+?)\s*$`)
)

// ParseIKEv2Profiles reads `show crypto ikev2 profile`.
func ParseIKEv2Profiles(out string) []*IKEv2Profile {
	var all []*IKEv2Profile
	var p *IKEv2Profile
	inside := false // the list of identities
	for line := range strings.Lines(Clean(out)) {
		if m := ikev2ProfileName.Get().FindStringSubmatch(line); m != nil {
			p, inside = &IKEv2Profile{Name: m[1]}, false
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
			p.Identities = append(p.Identities, "any")
		case inside && identityLine.Get().MatchString(line):
			p.Identities = append(p.Identities, identityOf(line))
		default:
			inside = false
			p.read(line)
		}
	}
	return all
}

func identityOf(line string) string {
	m := identityLine.Get().FindStringSubmatch(line)
	return strings.TrimPrefix(strings.ToLower(m[1]), "ipv6 ") + " " + oneBlank(m[2])
}

func (p *IKEv2Profile) read(line string) {
	if m := localLine.Get().FindStringSubmatch(line); m != nil {
		switch {
		case identityLine.Get().MatchString(m[1]):
			p.Local = identityOf(m[1])
		case strings.EqualFold(m[1], "none"):
		default:
			p.Local = OtherIdentity // a distinguished name, which certificate maps match
		}
	} else if m := methodLine.Get().FindStringSubmatch(line); m != nil {
		methods := strings.FieldsFunc(strings.ToLower(m[2]), func(r rune) bool { return r == ' ' || r == ',' })
		if strings.EqualFold(m[1], "remote") {
			p.Accepts = methods
		} else if len(methods) > 0 {
			p.Sends = methods[0]
		}
	}
}

// Matches says whether the profile is for a peer of this identity: "address 192.0.2.1",
// "fqdn r1.example".
func (p *IKEv2Profile) Matches(identity string) bool {
	kind, value, _ := strings.Cut(identity, " ")
	return slices.ContainsFunc(p.Identities, func(x string) bool {
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

// addressMatches says whether "192.0.2.0 255.255.255.0", "2001:db8::/32" or an address alone is for
// the address.
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

func oneBlank(s string) string { return strings.Join(strings.Fields(s), " ") }
