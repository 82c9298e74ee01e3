package diagnose

import (
	"strings"
	"testing"
)

// FuzzShows: whatever a router prints for its configuration is read without a panic, and no name that is taken from it can
// begin a line of its own.
func FuzzShows(f *testing.F) {
	f.Add("IKEv2 profile: P\n Match criteria:\n  Identities:\n   address 192.0.2.1 255.255.255.255\n Local identity: fqdn r1.example\n Local authentication method: pre-share\n Remote authentication method(s): rsa-sig, pre-share\n")
	f.Add("IKEv2 profile: P\n Identities: \n any\n Local authentication method: ,\n Remote authentication method(s): -\n")
	f.Add("Crypto Map IPv4 \"M\" 10 ipsec-isakmp\n\tPeer = 192.0.2.1\n\tExtended IP access list 101\n\t    access-list 101 permit ip any any\n\tPFS (Y/N): Y\n\tDH group:  group14\n\tTransform sets={ \n\t\tT:  { esp-aes esp-sha-hmac  } ,\n\t}\n")
	f.Add(" IKEv2 proposal: default\n     Encryption : AES-CBC-256\n     DH Group   : DH_GROUP_256_ECP/Group 19\n IKEv2 policy : p\n      Proposal    : default\n")
	f.Add("Global IKE policy\nProtection suite of priority 10\n\tencryption algorithm:\tAES - Advanced Encryption Standard (128 bit keys).\n\thash algorithm: Secure Hash Standard\n")
	f.Fuzz(func(t *testing.T, text string) {
		var names []string
		for _, p := range ikeProfiles(text) {
			p.matches("address 192.0.2.1")
			p.matches("fqdn r1.example.net")
			names = append(append(names, p.name, p.local, p.sends), p.accepts...)
			names = append(names, p.identities...)
		}
		for _, e := range childEntries(text) {
			names = append(append(names, e.name, e.acl, e.ikev2), e.transforms...)
		}
		for _, n := range names {
			if strings.ContainsAny(n, "\r\n") {
				t.Errorf("%q", n)
			}
		}
		proposalsOf(text)
		policiesOf(text)
		isakmpPolicies(text)
		transformSets(text)
	})
}

func TestPostQuantumPFSIsRead(t *testing.T) {
	for line, want := range map[string]string{
		"     PFS (Y/N): Y, DH group: group14, AKE group: AKE1: MLKEM512":      " set pfs group14 pqc mlkem512",
		"     PFS (Y/N): Y, DH group: group20, PQC Key Exchange: ML-KEM-1024":  " set pfs group20 pqc mlkem1024",
		"\tPFS (Y/N): Y\n\tDH group:  group14":                                 " set pfs group14",
		"\tPFS (Y/N): Y\n\tDH group:  group14\n\tPQC Key Exchange: ML-KEM-768": " set pfs group14 pqc mlkem768",
	} {
		entries := childEntries("IPSEC profile P\n" + line + "\n")
		if len(entries) != 1 || entries[0].setPFS() != want {
			t.Errorf("%q: %q, want %q", line, entries[0].setPFS(), want)
		}
	}
}

func TestPostQuantumProposalIsRead(t *testing.T) {
	const text = " IKEv2 proposal: ikev2proposal\n     Encryption : AES-CBC-256\n     Integrity  : SHA512\n     PRF        : SHA512\n" +
		"     DH Group   : DH_GROUP_521_ECP/Group 21\n     PQC Key Exchange: ML-KEM-1024 Optional\n"
	for words, want := range map[string]string{
		"ML-KEM-1024 Optional": "ml-kem-1024|NONE", "ML-KEM-768 ML-KEM-1024 [Optional]": "ml-kem-768|ml-kem-1024|NONE", "MLKEM512": "ml-kem-512",
	} {
		all := proposalsOf(strings.Replace(text, "ML-KEM-1024 Optional", words, 1))
		if len(all) != 1 || strings.Join(all[0].set["ADDKE1"], "|") != want {
			t.Errorf("%s: %v, want %s", words, all, want)
		}
	}
}

func TestTransformSetsThatAreNotAdvised(t *testing.T) {
	for transforms, weak := range map[string]bool{"esp-3des esp-sha-hmac": true, "esp-aes 256 esp-md5-hmac": true, "esp-null esp-sha-hmac": true,
		"esp-aes 256 esp-sha256-hmac": false, "esp-gcm 256": false} {
		if weakTransformSet(transforms) != weak {
			t.Errorf("%s: weak is not %v", transforms, weak)
		}
	}
}
