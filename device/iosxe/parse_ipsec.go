package iosxe

import (
	"strings"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// CryptoEntry is one crypto map entry or IPsec profile: what both sides of a
// child SA must agree on.
type CryptoEntry struct {
	Name          string   // of the map with its sequence number, or of the profile
	Profile       bool     // it is an IPsec profile
	Peers         []string // of a crypto map entry
	ACL           string   // name of the crypto ACL
	Permits       []string // its permit lines
	IKEv2         string   // the IKEv2 profile that it names
	PFS           string   // "N", or the group
	PQC           []string // post-quantum methods of PFS, as they are configured
	TransformSets []string // names of transform sets, in order
}

var (
	mapLine     = lazyregexp.New(`(?i)^\s*Crypto Map (?:IPv[46] )?"([^"]+)" (\d+) `)
	profileLine = lazyregexp.New(`(?i)^\s*IPSEC profile (\S+)`)
	peerLine    = lazyregexp.New(`(?i)^\s*(?:Current peer:|Peer =)\s*(\S+)`)
	entryACL    = lazyregexp.New(`(?i)^\s*(?:Extended IP|IPv6) access list (\S+)`)
	entryPermit = lazyregexp.New(
		`(?i)^\s*(?:access-list \S+ |\d{1,10} )?(permit .+?)(?:\s*\(\d+ match(?:es)?\))?(?:\s+sequence \d+)?\s*$`)
	pfsLine   = lazyregexp.New(`(?i)^\s*PFS \(Y/N\):\s*([^\s,]+)`)
	groupLine = lazyregexp.New(`(?i)^\s*(?:PFS \(Y/N\):\s*Y,\s*)?DH group:\s*([^\s,]+)`)
	pfsPQC    = lazyregexp.New(`(?i)(?:AKE group|PQC Key Exchange)\s*:\s*(.+?)\s*$`)
	usesLine  = lazyregexp.New(`^\s*(\S+):\s*\{\s*(.*?)\s*\}`)
	setLine   = lazyregexp.New(`(?i)^\s*Transform set (\S+):\s*\{\s*(.*?)\s*\}`)
	modeLine  = lazyregexp.New(`(?i)will negotiate = \{\s*(\w+)`)
)

// ParseCryptoEntries reads `show crypto map` and `show crypto ipsec profile`.
func ParseCryptoEntries(out string) []*CryptoEntry {
	var all []*CryptoEntry
	var e *CryptoEntry
	begin := func(name string, profile bool) {
		e = &CryptoEntry{Name: name, Profile: profile, PFS: "N"}
		all = append(all, e)
	}
	for line := range strings.Lines(Clean(out)) {
		if m := mapLine.Get().FindStringSubmatch(line); m != nil {
			begin(m[1]+" "+m[2], false)
		} else if m := profileLine.Get().FindStringSubmatch(line); m != nil {
			begin(m[1], true)
		} else if e != nil {
			e.read(line)
		}
	}
	return all
}

func (e *CryptoEntry) read(line string) {
	switch {
	case ikev2ProfileName.Get().MatchString(line):
		e.IKEv2 = ikev2ProfileName.Get().FindStringSubmatch(line)[1]
	case peerLine.Get().MatchString(line):
		e.Peers = append(e.Peers, peerLine.Get().FindStringSubmatch(line)[1])
	case entryACL.Get().MatchString(line):
		e.ACL = entryACL.Get().FindStringSubmatch(line)[1]
	case entryPermit.Get().MatchString(line):
		e.Permits = append(e.Permits, oneBlank(entryPermit.Get().FindStringSubmatch(line)[1]))
	case pfsLine.Get().MatchString(line):
		e.PFS = pfsLine.Get().FindStringSubmatch(line)[1]
		e.readGroup(line)
	case groupLine.Get().MatchString(line), pfsPQC.Get().MatchString(line):
		e.readGroup(line)
	case usesLine.Get().MatchString(line):
		e.TransformSets = append(e.TransformSets, usesLine.Get().FindStringSubmatch(line)[1])
	}
}

// readGroup reads the groups of PFS, a classic one and post-quantum ones: `DH group: group14, AKE
// group: AKE1: MLKEM512`. They become the words of `set pfs`: group14 pqc mlkem512.
func (e *CryptoEntry) readGroup(line string) {
	if e.PFS == "N" {
		return
	}
	if m := groupLine.Get().FindStringSubmatch(line); m != nil && m[1] != "none" {
		e.PFS = m[1]
	}
	if m := pfsPQC.Get().FindStringSubmatch(line); m != nil {
		e.PQC = append(e.PQC, pqcMethods(m[1])...)
	}
}

// TransformSet is one transform set as it is configured: `esp-aes 256
// esp-sha256-hmac`, and its mode.
type TransformSet struct{ Transforms, Mode string }

var keyedCipher = lazyregexp.New(`\besp-(\d+)-aes\b`)

// ParseTransformSets reads `show crypto ipsec transform-set`, by name.
func ParseTransformSets(out string) map[string]TransformSet {
	all := map[string]TransformSet{}
	name := ""
	for line := range strings.Lines(Clean(out)) {
		if m := setLine.Get().FindStringSubmatch(line); m != nil {
			name = m[1]
			all[name] = TransformSet{Transforms: keyedCipher.Get().ReplaceAllString(oneBlank(strings.ReplaceAll(m[2], " ,", "")),
				"esp-aes $1")}
		} else if m := modeLine.Get().FindStringSubmatch(line); m != nil && name != "" {
			t := all[name]
			t.Mode = strings.ToLower(m[1])
			all[name] = t
		}
	}
	return all
}
