package diagnose_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moncap/moncap/analysis/scene"
)

// ikeProfileText is `show crypto ikev2 profile` of a router whose profile is for
// the given identities.
func ikeProfileText(name, local, sends, accepts string, identities ...string) string {
	all := []string{"", "IKEv2 profile: " + name, " Shutdown : No", " Ref Count: 5", " Match criteria: ", "  Fvrf: global",
		"  Local address/interface: none", "  Identities: "}
	for _, x := range identities {
		all = append(all, "   "+x)
	}
	return scene.Lines(append(all, "  Certificate maps: none", " Local identity: "+local, " Remote identity: none",
		" Local authentication method: "+sends,
		" Remote authentication method(s): "+accepts, " EAP options: none", " Keyring: KR", " Trustpoint(s): none",
		" Lifetime: 86400 seconds",
		" DPD: disabled", " NAT-keepalive: disabled", " Ivrf: none", " Virtual-template: none", " mode auto: none")...)
}

// A refused authentication is explained by the IKEv2 profiles of both routers.
func TestRefusedAuthenticationIsExplainedByProfiles(t *testing.T) {
	const host = " 255.255.255.255"
	toA, toB := "address 192.168.1.1"+host, "address 192.168.2.1"+host
	shared := func(identities ...string) string {
		return ikeProfileText("HQ", "none", "pre-share", "pre-share", identities...)
	}
	plain := ikeProfileText("BRANCH", "none", "pre-share", "pre-share", toB)
	for name, c := range map[string]struct {
		a, b    string
		more    map[string]string // of A's configuration
		says    string
		differs map[string]any
		lines   []string
	}{
		"only the key is left": {plain, shared(toA), nil, "leaves the pre-shared key", nil, nil},
		"a network": {plain, shared("address 192.168.0.0 255.255.0.0"), nil, "leaves the pre-shared key", nil,
			nil},
		"any":               {plain, shared("any"), nil, "leaves the pre-shared key", nil, nil},
		"nothing collected": {plain, "", nil, "packets do not tell", nil, nil},
		"another address": {plain, shared("address 192.168.9.1" + host), nil,
			"address 192.168.1.1: it matches address 192.168.9.1",
			map[string]any{"identities": sides([]string{"address 192.168.1.1"}, []string{"address 192.168.9.1" + host})},
			[]string{"crypto ikev2 profile HQ", " match identity remote address 192.168.1.1" + host}},
		"a name": {ikeProfileText("BRANCH", "fqdn r1.example.net", "pre-share", "pre-share", toB), shared(toA), nil,
			"fqdn r1.example.net", map[string]any{"identities": sides([]string{"fqdn r1.example.net"}, []string{toA})},
			[]string{"crypto ikev2 profile HQ", " match identity remote fqdn r1.example.net"}},
		"a name of the domain": {ikeProfileText("BRANCH", "fqdn r1.example.net", "pre-share", "pre-share", toB),
			shared(toA, "fqdn domain example.net"), nil, "leaves the pre-shared key", nil, nil},
		"methods": {ikeProfileText("BRANCH", "none", "rsa-sig", "pre-share", toB), shared(toA), nil,
			"accepts pre-share of its peer",
			map[string]any{"authentication methods": sides([]string{"rsa-sig"}, []string{"pre-share"})},
			[]string{"crypto ikev2 profile HQ", " authentication remote rsa-sig"}},
		"one of its methods": {plain, ikeProfileText("HQ", "none", "pre-share", "rsa-sig pre-share", toA), nil,
			"leaves the pre-shared key", nil, nil},
		"of two profiles the one that the crypto map names": {ikeProfileText("OTHER", "none", "pre-share", "pre-share", toB) +
			ikeProfileText("BRANCH", "none", "ecdsa-sig", "pre-share", toB),
			shared(toA), map[string]string{"show-crypto-map": scene.Lines(`Crypto Map IPv4 "CMAP" 10 ipsec-isakmp`,
				"\tPeer = 192.168.2.1", "\tIKEv2 Profile: BRANCH", "\tPFS (Y/N): N")},
			"authenticates with ecdsa-sig",
			map[string]any{"authentication methods": sides([]string{"ecdsa-sig"}, []string{"pre-share"})},
			[]string{"crypto ikev2 profile HQ", " authentication remote ecdsa-sig"}},
		"a distinguished name": {ikeProfileText("BRANCH", "DN", "rsa-sig", "rsa-sig", toB), shared(toA), nil,
			"packets do not tell", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := scene.New(t)
			s.Side[0].Config = map[string]string{"show-ikev2-profile": c.a}
			for k, v := range c.more {
				s.Side[0].Config[k] = v
			}
			s.Side[1].Config = map[string]string{"show-ikev2-profile": c.b}
			answered(41, 8)(s) // one Notify
			r := s.Compare()
			scene.Sound(t, r)
			found := scene.Flatten(t, r).Of("auth-failed")
			if len(found) != 1 {
				t.Fatal(scene.Flatten(t, r).Codes())
			}
			if !strings.Contains(fmt.Sprint(found[0]["explanation"]), c.says) {
				t.Errorf("%q is not in %s", c.says, found[0]["explanation"])
			}
			if d := cmp.Diff(asJSON(t, c.differs), found[0]["configuration_differs"]); d != "" {
				t.Errorf("differs (-want +got):\n%s", d)
			}
			if got := configLines(found[0], "B"); !slices.Equal(got, c.lines) {
				t.Errorf("lines %q, want %q", got, c.lines)
			}
		})
	}
}
