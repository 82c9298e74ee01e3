package iosxe

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// FuzzCryptoShows: whatever a router prints for its configuration is read without a panic, and no
// name that is taken from it can begin a line of its own.
func FuzzCryptoShows(f *testing.F) {
	f.Add("IKEv2 profile: P\n Match criteria:\n  Identities:\n   address 192.0.2.1 255.255.255.255\n Local identity: " +
		"fqdn r1.example\n Local authentication method: pre-share\n Remote authentication method(s): rsa-sig, pre-share\n")
	f.Add("IKEv2 profile: P\n Identities: \n any\n Local authentication method: ,\n Remote authentication method(s): -\n")
	f.Add("Crypto Map IPv4 \"M\" 10 ipsec-isakmp\n\tPeer = 192.0.2.1\n\tExtended IP access list 101\n\t    access-list " +
		"101 permit ip any any\n\tPFS (Y/N): Y\n\tDH group:  group14\n\tTransform sets={ \n\t\tT:  { esp-aes esp-sha-hmac  " +
		"} ,\n\t}\n")
	f.Add(" IKEv2 proposal: default\n     Encryption : AES-CBC-256\n     DH Group   : DH_GROUP_256_ECP/Group 19\n IKEv2 " +
		"policy : p\n      Proposal    : default\n")
	f.Add("Global IKE policy\nProtection suite of priority 10\n\tencryption algorithm:\tAES - Advanced Encryption " +
		"Standard (128 bit keys).\n\thash algorithm: Secure Hash Standard\n")
	f.Fuzz(func(t *testing.T, text string) {
		var names []string
		for _, p := range ParseIKEv2Profiles(text) {
			p.Matches("address 192.0.2.1")
			p.Matches("fqdn r1.example.net")
			names = append(append(names, p.Name, p.Local, p.Sends), p.Accepts...)
			names = append(names, p.Identities...)
		}
		for _, e := range ParseCryptoEntries(text) {
			names = append(append(names, e.Name, e.ACL, e.IKEv2), e.TransformSets...)
		}
		for _, n := range names {
			if strings.ContainsAny(n, "\r\n") {
				t.Errorf("%q", n)
			}
		}
		ParseIKEv2Proposals(text)
		ParseIKEv2Policies(text)
		ParseISAKMPPolicies(text)
		ParseTransformSets(text)
	})
}

// The headings are those of a router with policies of its own, and of the default ones.
func TestPrioritiesOfISAKMPPolicies(t *testing.T) {
	all := ParseISAKMPPolicies("Global IKE policy\nProtection suite of priority 10\n\tlifetime:\t\t86400 seconds\n" +
		"Protection suite of priority 2\nDefault protection suite of priority 65507\nDefault protection suite\n")
	var got []string
	for _, p := range all {
		got = append(got, fmt.Sprint(p.Priority, p.Default))
	}
	if want := []string{"10 false", "2 false", "65507 true", "0 true"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
