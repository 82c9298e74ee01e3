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
		permitsOf(text, "101")
	})
}
