package diagnose

import (
	"fmt"
	"strings"

	"github.com/moncap/moncap/analysis/pair"
)

// knownOf is what s is known to accept, and from where: its own offers in the captures, or its configuration.
func (j *judge) knownOf(s pair.Side, version int) ([]set, string) {
	if own := j.offersOf(s, nil, version); len(own) > 0 {
		return own, "its own offers in the captures"
	}
	if own := configured(j.o.Config[s], version); len(own.sets) > 0 {
		return own.sets, "its configuration"
	}
	return nil, ""
}

// tellDifferences says what the two sides have where they have nothing in common, and keeps it in fields by side.
func (j *judge) tellDifferences(fields map[string]any, refuser pair.Side, offered, wanted set, differing []string) string {
	differs := map[string]any{}
	var parts []string
	for _, k := range differing {
		differs[k] = map[string]any{refuser.Other().String(): offered[k], refuser.String(): wanted[k]}
		parts = append(parts, fmt.Sprintf("%s (%s: %s; %s: %s)", k, j.partyName(refuser.Other()), orWord(strings.Join(offered[k], ", "), "none"),
			j.partyName(refuser), orWord(strings.Join(wanted[k], ", "), "none")))
	}
	fields["configuration_differs"] = differs
	return fmt.Sprintf(" They have nothing in common in: %s.", strings.Join(parts, ", "))
}

// suggest are the lines that add what the other side has to the configuration of s.
func (j *judge) suggest(s pair.Side, version int, wanted set) []string {
	if version == 1 {
		return suggestV1(wanted)
	}
	if len(wanted["ENCR"]) == 0 {
		return nil
	}
	const name = "MONCAP-SUGGESTION"
	lines := []string{"crypto ikev2 proposal " + name}
	for _, x := range []struct{ kind, keyword string }{{"ENCR", "encryption"}, {"INTEG", "integrity"}, {"PRF", "prf"}, {"KE", "group"}} {
		if x.kind == "INTEG" && strings.Contains(strings.Join(wanted["ENCR"], " "), "GCM") {
			continue // a combined cipher takes none
		}
		var words []string
		for _, n := range wanted[x.kind] {
			if word := configWord(n); word != "" {
				words = append(words, word)
			}
		}
		if len(words) > 0 {
			lines = append(lines, " "+x.keyword+" "+strings.Join(words, " "))
		}
	}
	policy := configured(j.o.Config[s], 2).policy
	return append(lines, "crypto ikev2 policy "+orWord(policy, name), " proposal "+name)
}

// configWords are the names of algorithms in IOS XE's configuration of IKEv2 proposals.
var configWords = map[string]string{
	"ENCR_AES_CBC_128": "aes-cbc-128", "ENCR_AES_CBC_192": "aes-cbc-192", "ENCR_AES_CBC_256": "aes-cbc-256",
	"ENCR_AES_GCM_16_128": "aes-gcm-128", "ENCR_AES_GCM_16_256": "aes-gcm-256", "ENCR_3DES": "3des", "ENCR_DES": "des",
	"AUTH_HMAC_SHA1_96": "sha1", "AUTH_HMAC_MD5_96": "md5", "AUTH_HMAC_SHA2_256_128": "sha256", "AUTH_HMAC_SHA2_384_192": "sha384",
	"AUTH_HMAC_SHA2_512_256": "sha512", "PRF_HMAC_SHA1": "sha1", "PRF_HMAC_MD5": "md5", "PRF_HMAC_SHA2_256": "sha256",
	"PRF_HMAC_SHA2_384": "sha384", "PRF_HMAC_SHA2_512": "sha512",
}

func configWord(name string) string {
	if n, ok := strings.CutPrefix(name, "group "); ok {
		return n
	}
	return configWords[name]
}

// suggestV1 is the isakmp policy of a transform.
func suggestV1(wanted set) []string {
	first := func(kind string) string {
		if len(wanted[kind]) == 0 {
			return ""
		}
		return wanted[kind][0]
	}
	encryption := map[string]string{"AES-CBC": strings.TrimSpace("aes " + first("Key-Length")), "3DES-CBC": "3des", "DES-CBC": "des"}[first("Encryption-Algorithm")]
	hash := map[string]string{"MD5": "md5", "SHA": "sha", "SHA2-256": "sha256", "SHA2-384": "sha384", "SHA2-512": "sha512"}[first("Hash-Algorithm")]
	if encryption == "" || hash == "" {
		return nil
	}
	lines := []string{"crypto isakmp policy 5", " encryption " + encryption, " hash " + hash}
	if first("Authentication-Method") == "pre-shared key" {
		lines = append(lines, " authentication pre-share")
	}
	if group := first("Group-Description"); group != "" {
		lines = append(lines, " "+group)
	}
	return lines
}
