package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/ike"
)

// proposalWords turns the words of `show crypto ikev2 proposal` into the names that offers have.
var proposalWords = map[string]string{
	"AES-CBC-128": "ENCR_AES_CBC_128", "AES-CBC-192": "ENCR_AES_CBC_192", "AES-CBC-256": "ENCR_AES_CBC_256",
	"AES-GCM-128": "ENCR_AES_GCM_16_128",
	"AES-GCM-256": "ENCR_AES_GCM_16_256", "3DES": "ENCR_3DES", "DES": "ENCR_DES",
	"SHA96": "AUTH_HMAC_SHA1_96", "SHA1": "AUTH_HMAC_SHA1_96", "MD596": "AUTH_HMAC_MD5_96", "MD5": "AUTH_HMAC_MD5_96",
	"SHA256": "AUTH_HMAC_SHA2_256_128", "SHA384": "AUTH_HMAC_SHA2_384_192", "SHA512": "AUTH_HMAC_SHA2_512_256",
}

var prfWords = map[string]string{"SHA1": "PRF_HMAC_SHA1", "MD5": "PRF_HMAC_MD5", "SHA256": "PRF_HMAC_SHA2_256",
	"SHA384": "PRF_HMAC_SHA2_384", "SHA512": "PRF_HMAC_SHA2_512"}

// ikeConfig is a side's phase 1 by its configuration: what it would accept, and the
// lines that say so.
type ikeConfig struct {
	sets   []set
	policy string // IKEv2: the policy in force that is not the default one; empty without
}

// configured is what a side's configuration accepts in phase 1.
func configured(shows facts.Config, version int) ikeConfig {
	var c ikeConfig
	if version == 1 {
		for _, p := range shows.ISAKMPPolicies() {
			c.sets = append(c.sets, setOfISAKMP(p))
		}
		return c
	}
	uses, policy := shows.IKEv2Uses()
	c.policy = policy
	for _, p := range shows.IKEv2Proposals() {
		x := setOfProposal(p)
		understood := len(x["ENCR"]) > 0 && len(x["KE"]) > 0 // else its words are new ones
		if understood && (len(uses) == 0 || slices.Contains(uses, p.Name)) {
			c.sets = append(c.sets, x)
		}
	}
	return c
}

// setOfProposal names the algorithms of a configured proposal as offers do.
func setOfProposal(p facts.IKEv2Proposal) set {
	const pqc = additional + "1"
	s := set{}
	add := func(kind string, names ...string) {
		if len(names) > 0 {
			s[kind] = append(s[kind], names...)
		}
	}
	add("ENCR", translated(p.Encryption, proposalWords)...)
	add("INTEG", translated(p.Integrity, proposalWords)...)
	add("PRF", translated(p.PRF, prfWords)...)
	for _, g := range p.Groups {
		add("KE", fmt.Sprintf("group %d", g))
	}
	for _, m := range p.PQC {
		add(pqc, strings.Replace(m, "mlkem", "ml-kem-", 1))
	}
	if p.PQCOptional && len(p.PQC) > 0 {
		add(pqc, noTransform)
	}
	return s
}

func translated(words []string, names map[string]string) []string {
	var all []string
	for _, w := range words {
		if n, ok := names[strings.ToUpper(w)]; ok {
			all = append(all, n)
		}
	}
	return all
}

// setOfISAKMP names the algorithms of a configured protection suite as offers do.
func setOfISAKMP(p facts.ISAKMPPolicy) set {
	s := set{}
	add := func(attribute uint16, n int) {
		name, text := ike.V1AttributeText(ike.ProtocolIKE, ike.Attribute{Type: attribute, Short: true, Value: uint16(n)})
		if attribute == ike.V1Group {
			text = fmt.Sprintf("group %d", n)
		}
		s[name] = append(s[name], text)
	}
	switch low := strings.ToLower(p.Encryption); {
	case strings.HasPrefix(low, "aes"):
		add(ike.V1Encryption, 7)
		add(ike.V1KeyLength, p.EncryptionBits)
	case strings.Contains(low, "three"), strings.HasPrefix(low, "3des"):
		add(ike.V1Encryption, 5)
	case strings.HasPrefix(low, "des"):
		add(ike.V1Encryption, 1)
	}
	switch low := strings.ToLower(p.Hash); {
	case strings.HasPrefix(low, "message digest"):
		add(ike.V1Hash, 1)
	case strings.HasPrefix(low, "secure hash standard 2"):
		add(ike.V1Hash, map[int]int{256: 4, 384: 5, 512: 6}[p.HashBits])
	case strings.HasPrefix(low, "secure hash standard"):
		add(ike.V1Hash, 2)
	}
	if low := strings.ToLower(p.Authentication); low != "" {
		add(ike.V1AuthMethod, map[bool]int{true: 1, false: 3}[strings.HasPrefix(low, "pre-shared")])
	}
	if p.Group > 0 {
		add(ike.V1Group, p.Group)
	}
	return s
}
