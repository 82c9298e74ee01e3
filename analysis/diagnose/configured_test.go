package diagnose

import (
	"strings"
	"testing"

	"github.com/moncap/moncap/analysis/facts"
)

func TestPostQuantumPFSIsRead(t *testing.T) {
	for line, want := range map[string]string{
		"     PFS (Y/N): Y, DH group: group14, AKE group: AKE1: MLKEM512":      " set pfs group14 pqc mlkem512",
		"     PFS (Y/N): Y, DH group: group20, PQC Key Exchange: ML-KEM-1024":  " set pfs group20 pqc mlkem1024",
		"\tPFS (Y/N): Y\n\tDH group:  group14":                                 " set pfs group14",
		"\tPFS (Y/N): Y\n\tDH group:  group14\n\tPQC Key Exchange: ML-KEM-768": " set pfs group14 pqc mlkem768",
	} {
		entries := facts.Config{"show-ipsec-profile": "IPSEC profile P\n" + line + "\n"}.CryptoEntries()
		if len(entries) != 1 || (&childEntry{entries[0]}).setPFS() != want {
			t.Errorf("%q: %q, want %q", line, (&childEntry{entries[0]}).setPFS(), want)
		}
	}
}

func TestPostQuantumProposalIsRead(t *testing.T) {
	const text = ` IKEv2 proposal: ikev2proposal
     Encryption : AES-CBC-256
     Integrity  : SHA512
     PRF        : SHA512
     DH Group   : DH_GROUP_521_ECP/Group 21
     PQC Key Exchange: ML-KEM-1024 Optional
`
	for words, want := range map[string]string{
		"ML-KEM-1024 Optional": "ml-kem-1024|NONE", "ML-KEM-768 ML-KEM-1024 [Optional]": "ml-kem-768|ml-kem-1024|NONE",
		"MLKEM512": "ml-kem-512",
	} {
		shown := strings.Replace(text, "ML-KEM-1024 Optional", words, 1)
		all := configured(facts.Config{"show-ikev2-proposal": shown}, 2).sets
		if len(all) != 1 || strings.Join(all[0]["ADDKE1"], "|") != want {
			t.Errorf("%s: %v, want %s", words, all, want)
		}
	}
}

func TestTransformSetsThatAreNotAdvised(t *testing.T) {
	for transforms, weak := range map[string]bool{"esp-3des esp-sha-hmac": true, "esp-aes 256 esp-md5-hmac": true,
		"esp-null esp-sha-hmac":       true,
		"esp-aes 256 esp-sha256-hmac": false, "esp-gcm 256": false} {
		if weakTransformSet(transforms) != weak {
			t.Errorf("%s: weak is not %v", transforms, weak)
		}
	}
}

// Crypto ACLs of IPv6 are compared as those of IPv4 are, and the advice is of their family.
func TestMirrorsOfBothFamilies(t *testing.T) {
	for _, c := range []struct{ line, mirror, context string }{
		{"permit ip 10.1.0.0 0.0.255.255 host 10.2.0.1", "permit ip host 10.2.0.1 10.1.0.0 0.0.255.255",
			"ip access-list extended VPN"},
		{"permit ipv6 2001:DB8:1::/64 2001:DB8:2::/64", "permit ipv6 2001:DB8:2::/64 2001:DB8:1::/64",
			"ipv6 access-list VPN"},
		{"permit tcp any any eq 80", "", "ip access-list extended VPN"},
	} {
		if got := mirrored(c.line); got != c.mirror {
			t.Errorf("%s: mirror %q, want %q", c.line, got, c.mirror)
		}
		if got := listContext("VPN", []string{c.line}); got != c.context {
			t.Errorf("%s: under %q, want %q", c.line, got, c.context)
		}
	}
}
