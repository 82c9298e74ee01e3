package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// knownOf is what s is known to accept, and from where: its own offers in the captures, or
// its configuration.
func (j *judge) knownOf(s pair.Side, version int) ([]set, string) {
	if own := j.offersOf(s, nil, version); len(own) > 0 {
		return own, "its own offers in the captures"
	}
	if own := configured(j.o.Config[s], version); len(own.sets) > 0 {
		return own.sets, "its configuration"
	}
	return nil, ""
}

// tellDifferences says what the two sides have where they have nothing in common, and keeps it in
// fields by side.
func (j *judge) tellDifferences(fields map[string]any, refuser pair.Side, offered, wanted set,
	differing []string) string {
	differs := map[string]any{}
	var parts []string
	for _, k := range differing {
		differs[k] = map[string]any{refuser.Other().String(): offered[k], refuser.String(): wanted[k]}
		parts = append(parts, fmt.Sprintf("%s (%s: %s; %s: %s)", k, j.partyName(refuser.Other()),
			orWord(strings.Join(offered[k], ", "), "none"), j.partyName(refuser), orWord(strings.Join(wanted[k], ", "), "none")))
	}
	fields["configuration_differs"] = differs
	return fmt.Sprintf(" They have nothing in common in: %s.", strings.Join(parts, ", "))
}

// suggest are the lines that add what the other side has to the configuration of s.
func (j *judge) suggest(s pair.Side, version int, wanted set) []string {
	if version == 1 {
		return j.suggestV1(s, wanted)
	}
	if len(wanted["ENCR"]) == 0 {
		return nil
	}
	const name = "MONCAP-SUGGESTION"
	lines := []string{"crypto ikev2 proposal " + name}
	for _, x := range []struct{ kind, keyword string }{{"ENCR", "encryption"}, {"INTEG", "integrity"}, {"PRF", "prf"},
		{"KE", "group"}} {
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
	if word := pqcWords(wanted); word != "" {
		lines = append(lines, " pqc "+word)
	}
	return append(lines, j.inPolicy(s, name)...)
}

// pqcWords are the post-quantum methods of a set as IOS XE 26 configures them: `pqc mlkem768
// mlkem1024 optional`; empty without.
func pqcWords(wanted set) string {
	var words []string
	optional := true
	for _, k := range kinds {
		if !strings.HasPrefix(k, additional) || len(wanted[k]) == 0 {
			continue
		}
		optional = optional && slices.Contains(wanted[k], noTransform)
		for _, n := range wanted[k] {
			if word := strings.ReplaceAll(n, "-", ""); strings.HasPrefix(word, "mlkem") && !slices.Contains(words, word) {
				words = append(words, word)
			}
		}
	}
	if optional && len(words) > 0 {
		words = append(words, "optional")
	}
	return strings.Join(words, " ")
}

// advise suggests lines for a proposal that both sides have, and for which side: never weaker ones
// for the stronger side. Where both are weak, today's algorithms for both are the advice.
func (j *judge) advise(f *report.Finding, refuser pair.Side, version int, offered, wanted set) {
	who, what, has := refuser.Other(), wanted, offered
	weakWanted, weakOffered := len(wanted.weakOf()) > 0, len(offered.weakOf()) > 0
	switch {
	case weakWanted && weakOffered:
		f.Explanation += " Both have algorithms that are broken or deprecated."
		f.Actions = append(f.Actions, j.stronger(version, offered, wanted)...)
		return
	case weakWanted, !weakOffered && offered.postQuantum() && !wanted.postQuantum():
		who, what, has = refuser, offered, wanted
	}
	what = what.strong()
	if !what.postQuantum() && !has.hybrid() {
		what = what.classic() // what is optional there, and unknown here, is not the reason
	}
	lines := j.suggest(who, version, what)
	if len(lines) == 0 {
		return
	}
	f.Fields["suggestion"] = lines
	why := "one proposal that the other side has (a suggestion; on one of the sides is enough)"
	if version == 1 {
		f.Actions = append(f.Actions, j.exec(who, freeNumber, "show crypto isakmp policy"))
		why += ": " + inNewPolicy
	}
	f.Actions = append(f.Actions, j.config(who, why, lines...))
}

// configWords are the names of algorithms in IOS XE's configuration of IKEv2 proposals.
var configWords = map[string]string{
	"ENCR_AES_CBC_128": "aes-cbc-128", "ENCR_AES_CBC_192": "aes-cbc-192", "ENCR_AES_CBC_256": "aes-cbc-256",
	"ENCR_AES_GCM_16_128": "aes-gcm-128", "ENCR_AES_GCM_16_256": "aes-gcm-256", "ENCR_3DES": "3des", "ENCR_DES": "des",
	"AUTH_HMAC_SHA1_96": "sha1", "AUTH_HMAC_MD5_96": "md5", "AUTH_HMAC_SHA2_256_128": "sha256",
	"AUTH_HMAC_SHA2_384_192": "sha384",
	"AUTH_HMAC_SHA2_512_256": "sha512", "PRF_HMAC_SHA1": "sha1", "PRF_HMAC_MD5": "md5", "PRF_HMAC_SHA2_256": "sha256",
	"PRF_HMAC_SHA2_384": "sha384", "PRF_HMAC_SHA2_512": "sha512",
}

func configWord(name string) string {
	if n, ok := strings.CutPrefix(name, "group "); ok {
		return n
	}
	return configWords[name]
}

// suggestV1 is the isakmp policy of a transform, on s.
func (j *judge) suggestV1(s pair.Side, wanted set) []string {
	first := func(kind string) string {
		if len(wanted[kind]) == 0 {
			return ""
		}
		return wanted[kind][0]
	}
	encryption := map[string]string{"AES-CBC": strings.TrimSpace("aes " + first("Key-Length")), "3DES-CBC": "3des",
		"DES-CBC": "des"}[first("Encryption-Algorithm")]
	hash := map[string]string{"MD5": "md5", "SHA": "sha", "SHA2-256": "sha256", "SHA2-384": "sha384",
		"SHA2-512": "sha512"}[first("Hash-Algorithm")]
	if encryption == "" || hash == "" {
		return nil
	}
	lines := []string{j.newPolicyV1(s), " encryption " + encryption, " hash " + hash}
	lines = append(lines, authenticationV1(wanted)...)
	if group := first("Group-Description"); group != "" {
		lines = append(lines, " "+group)
	}
	return lines
}
