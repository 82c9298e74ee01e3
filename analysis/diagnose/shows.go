package diagnose

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/moncap/moncap/analysis/ike"
)

// What a router prints of its crypto configuration, as far as two sides must agree about it. The texts are those of IOS XE 16 and 17;
// what is not understood is passed over.

// shown is the output of a command of the catalogue, under its name there or under the command's own words.
func shown(shows map[string]string, name string) string {
	if s, ok := shows[name]; ok {
		return s
	}
	for _, other := range showNames[name] {
		if s, ok := shows[other]; ok {
			return s
		}
	}
	return ""
}

var showNames = map[string][]string{
	"show-ikev2-proposal": {"show-crypto-ikev2-proposal"}, "show-ikev2-policy": {"show-crypto-ikev2-policy"}, "show-ikev2-profile": {"show-crypto-ikev2-profile"},
	"show-isakmp-policy": {"show-crypto-isakmp-policy"}, "show-transform-set": {"show-crypto-ipsec-transform-set"},
	"show-ipsec-profile": {"show-crypto-ipsec-profile"}, "show-acl": {"show-access-lists", "show-ip-access-lists"},
}

// proposalWords turns the words of `show crypto ikev2 proposal` into the names that offers have.
var proposalWords = map[string]string{
	"AES-CBC-128": "ENCR_AES_CBC_128", "AES-CBC-192": "ENCR_AES_CBC_192", "AES-CBC-256": "ENCR_AES_CBC_256", "AES-GCM-128": "ENCR_AES_GCM_16_128",
	"AES-GCM-256": "ENCR_AES_GCM_16_256", "3DES": "ENCR_3DES", "DES": "ENCR_DES",
	"SHA96": "AUTH_HMAC_SHA1_96", "SHA1": "AUTH_HMAC_SHA1_96", "MD596": "AUTH_HMAC_MD5_96", "MD5": "AUTH_HMAC_MD5_96",
	"SHA256": "AUTH_HMAC_SHA2_256_128", "SHA384": "AUTH_HMAC_SHA2_384_192", "SHA512": "AUTH_HMAC_SHA2_512_256",
}

var prfWords = map[string]string{"SHA1": "PRF_HMAC_SHA1", "MD5": "PRF_HMAC_MD5", "SHA256": "PRF_HMAC_SHA2_256", "SHA384": "PRF_HMAC_SHA2_384", "SHA512": "PRF_HMAC_SHA2_512"}

var (
	proposalName = regexp.MustCompile(`(?i)^\s*IKEv2 proposal\s*:\s*(\S+)`)
	proposalLine = regexp.MustCompile(`(?i)^\s*(Encryption|Integrity|PRF|DH Group|PQC Key Exchange)\s*:\s*(.+?)\s*$`)
	groupWord    = regexp.MustCompile(`(?i)(?:Group\s*|/Group\s*)(\d+)`)
	policyName   = regexp.MustCompile(`(?i)^\s*IKEv2 policy\s*:\s*(\S+)`)
	policyUses   = regexp.MustCompile(`(?i)^\s*Proposal\s*:\s*(\S+)`)
)

// ikeConfig is a side's phase 1 by its configuration: what it would accept, and the lines that say so.
type ikeConfig struct {
	sets   []set
	policy string // IKEv2: the policy in force that is not the default one; empty without
}

// configured reads what a side's configuration accepts in phase 1.
func configured(shows map[string]string, version int) ikeConfig {
	if version == 1 {
		return ikeConfig{sets: isakmpPolicies(shown(shows, "show-isakmp-policy"))}
	}
	named := proposalsOf(shown(shows, "show-ikev2-proposal"))
	uses, policy := policiesOf(shown(shows, "show-ikev2-policy"))
	c := ikeConfig{policy: policy}
	for _, n := range named {
		if len(uses) == 0 || slices.Contains(uses, n.name) {
			c.sets = append(c.sets, n.set)
		}
	}
	return c
}

type namedSet struct {
	name string
	set  set
}

// proposalsOf reads `show crypto ikev2 proposal`: a block a proposal, each kind of algorithm on a line.
func proposalsOf(text string) []namedSet {
	var all []namedSet
	for line := range strings.Lines(text) {
		if m := proposalName.FindStringSubmatch(line); m != nil {
			all = append(all, namedSet{m[1], set{}})
			continue
		}
		if m := proposalLine.FindStringSubmatch(line); m != nil && len(all) > 0 {
			all[len(all)-1].set.read(m[1], m[2])
		}
	}
	return slices.DeleteFunc(all, func(n namedSet) bool { return len(n.set["ENCR"]) == 0 || len(n.set["KE"]) == 0 })
}

func (s set) read(what, words string) {
	switch strings.ToLower(what) {
	case "encryption":
		s["ENCR"] = translated(words, proposalWords)
	case "integrity":
		s["INTEG"] = translated(words, proposalWords)
	case "prf":
		s["PRF"] = translated(words, prfWords)
	case "pqc key exchange":
		s.readPQC(words)
	case "dh group":
		for _, g := range groupWord.FindAllStringSubmatch(words, -1) {
			s["KE"] = append(s["KE"], "group "+g[1])
		}
	}
}

var pqcMethod = regexp.MustCompile(`(?i)\bML-?KEM-?(\d+)`)

// readPQC reads the methods behind `PQC Key Exchange:`; with "Optional", in brackets or not, none will do as well.
func (s set) readPQC(words string) {
	const kind = additional + "1"
	for _, m := range pqcMethod.FindAllStringSubmatch(words, -1) {
		s[kind] = append(s[kind], "ml-kem-"+m[1])
	}
	if len(s[kind]) > 0 && strings.Contains(strings.ToLower(words), "optional") {
		s[kind] = append(s[kind], noTransform)
	}
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

// policiesOf reads which proposals the policies use. The default policy is in force only where there is no other.
func policiesOf(text string) (uses []string, policy string) {
	byPolicy := map[string][]string{}
	var order []string
	name := ""
	for line := range strings.Lines(text) {
		if m := policyName.FindStringSubmatch(line); m != nil {
			name = m[1]
			order = append(order, name)
		} else if m := policyUses.FindStringSubmatch(line); m != nil {
			byPolicy[name] = append(byPolicy[name], m[1])
		}
	}
	for _, n := range order {
		if n != "default" {
			uses = append(uses, byPolicy[n]...)
			policy = n
		}
	}
	if policy == "" {
		uses = byPolicy["default"]
	}
	return uses, policy
}

var (
	suiteStart = regexp.MustCompile(`(?i)protection suite`)
	suiteLine  = regexp.MustCompile(`(?i)^\s*(encryption algorithm|hash algorithm|authentication method|Diffie-Hellman group)\s*:\s*(.+?)\s*$`)
	keyBits    = regexp.MustCompile(`\((\d+) bit`)
	groupHash  = regexp.MustCompile(`#(\d+)`)
)

// isakmpPolicies reads `show crypto isakmp policy`: a protection suite a policy. The default ones count only where there is no other.
func isakmpPolicies(text string) []set {
	var own, defaults []set
	var current set
	isDefault := false
	for line := range strings.Lines(text) {
		if suiteStart.MatchString(line) {
			isDefault = strings.Contains(strings.ToLower(line), "default")
			current = set{}
			if isDefault {
				defaults = append(defaults, current)
			} else {
				own = append(own, current)
			}
			continue
		}
		if m := suiteLine.FindStringSubmatch(line); m != nil && current != nil {
			current.readV1(strings.ToLower(m[1]), m[2])
		}
	}
	if len(own) > 0 {
		return own
	}
	return defaults
}

func (s set) readV1(what, value string) {
	add := func(attribute uint16, n uint16) {
		name, text := ike.V1AttributeText(ike.ProtocolIKE, ike.Attribute{Type: attribute, Short: true, Value: n})
		if attribute == ike.V1Group {
			text = fmt.Sprintf("group %d", n)
		}
		s[name] = append(s[name], text)
	}
	number := func(p *regexp.Regexp) uint16 { return uint16(number(p, value)) }
	low := strings.ToLower(value)
	switch what {
	case "encryption algorithm":
		switch {
		case strings.HasPrefix(low, "aes"):
			add(ike.V1Encryption, 7)
			add(ike.V1KeyLength, number(keyBits))
		case strings.Contains(low, "three"), strings.HasPrefix(low, "3des"):
			add(ike.V1Encryption, 5)
		case strings.HasPrefix(low, "des"):
			add(ike.V1Encryption, 1)
		}
	case "hash algorithm":
		switch {
		case strings.HasPrefix(low, "message digest"):
			add(ike.V1Hash, 1)
		case strings.HasPrefix(low, "secure hash standard 2"):
			add(ike.V1Hash, map[uint16]uint16{256: 4, 384: 5, 512: 6}[number(keyBits)])
		case strings.HasPrefix(low, "secure hash standard"):
			add(ike.V1Hash, 2)
		}
	case "authentication method":
		add(ike.V1AuthMethod, map[bool]uint16{true: 1, false: 3}[strings.HasPrefix(low, "pre-shared")])
	case "diffie-hellman group":
		add(ike.V1Group, number(groupHash))
	}
}

// childEntry is one crypto map entry or IPsec profile: what both sides of a child SA must agree on.
type childEntry struct {
	name       string   // of the map with its sequence number, or of the profile
	profile    bool     // it is an IPsec profile
	peers      []string // of a crypto map entry
	acl        string   // name of the crypto ACL
	permits    []string // its permit lines
	ikev2      string   // the IKEv2 profile that it names
	pfs        string   // "N", or the group
	pqc        []string // post-quantum methods of PFS, as they are configured
	transforms []string // names of transform sets, in order
}

var (
	mapLine     = regexp.MustCompile(`(?i)^\s*Crypto Map (?:IPv[46] )?"([^"]+)" (\d+) `)
	profileLine = regexp.MustCompile(`(?i)^\s*IPSEC profile (\S+)`)
	peerLine    = regexp.MustCompile(`(?i)^\s*(?:Current peer:|Peer =)\s*(\S+)`)
	aclName     = regexp.MustCompile(`(?i)^\s*(?:Extended IP|IPv6) access list (\S+)`)
	aclLine     = regexp.MustCompile(`(?i)^\s*(?:access-list \S+|\d+) (permit .+?)(?:\s*\(\d+ match(?:es)?\))?\s*$`)
	pfsLine     = regexp.MustCompile(`(?i)^\s*PFS \(Y/N\):\s*([^\s,]+)`)
	groupLine   = regexp.MustCompile(`(?i)^\s*(?:PFS \(Y/N\):\s*Y,\s*)?DH group:\s*([^\s,]+)`)
	pfsPQC      = regexp.MustCompile(`(?i)(?:AKE group|PQC Key Exchange)\s*:\s*(.+?)\s*$`)
	usesLine    = regexp.MustCompile(`^\s*(\S+):\s*\{\s*(.*?)\s*\}`)
	setLine     = regexp.MustCompile(`(?i)^\s*Transform set (\S+):\s*\{\s*(.*?)\s*\}`)
	modeLine    = regexp.MustCompile(`(?i)will negotiate = \{\s*(\w+)`)
)

// childEntries reads `show crypto map` and `show crypto ipsec profile`.
func childEntries(text string) []*childEntry {
	var all []*childEntry
	var e *childEntry
	begin := func(name string, profile bool) {
		e = &childEntry{name: name, profile: profile, pfs: "N"}
		all = append(all, e)
	}
	for line := range strings.Lines(text) {
		if m := mapLine.FindStringSubmatch(line); m != nil {
			begin(m[1]+" "+m[2], false)
		} else if m := profileLine.FindStringSubmatch(line); m != nil {
			begin(m[1], true)
		} else if e != nil {
			e.read(line)
		}
	}
	return all
}

func (e *childEntry) read(line string) {
	switch {
	case ikeProfileName.MatchString(line):
		e.ikev2 = ikeProfileName.FindStringSubmatch(line)[1]
	case peerLine.MatchString(line):
		e.peers = append(e.peers, peerLine.FindStringSubmatch(line)[1])
	case aclName.MatchString(line):
		e.acl = aclName.FindStringSubmatch(line)[1]
	case aclLine.MatchString(line):
		e.permits = append(e.permits, words(aclLine.FindStringSubmatch(line)[1]))
	case pfsLine.MatchString(line):
		e.pfs = pfsLine.FindStringSubmatch(line)[1]
		e.readGroup(line)
	case groupLine.MatchString(line), pfsPQC.MatchString(line):
		e.readGroup(line)
	case usesLine.MatchString(line):
		e.transforms = append(e.transforms, usesLine.FindStringSubmatch(line)[1])
	}
}

// readGroup reads the groups of PFS, a classic one and post-quantum ones: `DH group: group14, AKE group: AKE1: MLKEM512`. They become the
// words of `set pfs`: group14 pqc mlkem512.
func (e *childEntry) readGroup(line string) {
	if e.pfs == "N" {
		return
	}
	if m := groupLine.FindStringSubmatch(line); m != nil && m[1] != "none" {
		e.pfs = m[1]
	}
	if m := pfsPQC.FindStringSubmatch(line); m != nil {
		for _, x := range pqcMethod.FindAllStringSubmatch(m[1], -1) {
			e.pqc = append(e.pqc, "mlkem"+x[1])
		}
	}
}

func words(s string) string { return strings.Join(strings.Fields(s), " ") }

// transformSet is one transform set as it is configured: `esp-aes 256 esp-sha256-hmac`, and its mode.
type transformSet struct{ transforms, mode string }

var keyedCipher = regexp.MustCompile(`\besp-(\d+)-aes\b`)

// transformSets reads `show crypto ipsec transform-set`, by name.
func transformSets(text string) map[string]transformSet {
	all := map[string]transformSet{}
	name := ""
	for line := range strings.Lines(text) {
		if m := setLine.FindStringSubmatch(line); m != nil {
			name = m[1]
			all[name] = transformSet{transforms: keyedCipher.ReplaceAllString(words(strings.ReplaceAll(m[2], " ,", "")), "esp-aes $1")}
		} else if m := modeLine.FindStringSubmatch(line); m != nil && name != "" {
			t := all[name]
			t.mode = strings.ToLower(m[1])
			all[name] = t
		}
	}
	return all
}

// number is the first group of a pattern as a number; 0 without one.
func number(p *regexp.Regexp, text string) int {
	m := p.FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1]) // digits, and too many of them are as good as none
	return n
}
