package diagnose_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moncap/moncap/analysis/scene"
)

// The outputs of two routers whose crypto maps differ in what the test says.
func cryptoMap(name, peer, acl, permit, pfs, set, transforms string) string {
	group := ""
	if pfs != "N" {
		group = "\tDH group:  " + pfs + "\n"
		pfs = "Y"
	}
	return scene.Lines(`Crypto Map IPv4 "`+name+`" 10 ipsec-isakmp`, "\tPeer = "+peer, "\tExtended IP access list "+acl,
		"\t    access-list "+acl+" "+permit, "\tCurrent peer: "+peer,
		"\tSecurity association lifetime: 4608000 kilobytes/3600 seconds",
		"\tDualstack (Y/N): N", "", "\tResponder-Only (Y/N): N", "\tPFS (Y/N): "+pfs) + group +
		scene.Lines("\tMixed-mode : Disabled", "\tTransform sets={ ", "\t\t"+set+":  { "+transforms+"  } , ", "\t}",
			"\tInterfaces using crypto map "+name+":", "\t\tGigabitEthernet1")
}

func transformText(set, transforms, mode string) string {
	return scene.Lines("Transform set default: { esp-aes esp-sha-hmac  } ", "   will negotiate = { Transport,  }, ", "",
		"Transform set "+set+": { "+transforms+"  } ", "   will negotiate = { "+mode+",  }, ", "")
}

type sideConfig struct{ permit, pfs, transforms, mode string }

func withConfigs(play func(*scene.Scene), a, b sideConfig) func(*scene.Scene) {
	return func(s *scene.Scene) {
		for i, c := range []sideConfig{a, b} {
			set, acl := []string{"TS-A", "TS-B"}[i], []string{"VPN-A", "101"}[i]
			s.Side[i].Config = map[string]string{
				"show-crypto-map": cryptoMap("CMAP", []string{scene.B.String(), scene.A.String()}[i], acl, c.permit, c.pfs, set,
					c.transforms),
				"show-transform-set": transformText(set, c.transforms, c.mode),
				"show-ipsec-profile": scene.Lines("IPSEC profile default", "\tPFS (Y/N): N", "\tTransform sets={ ",
					"\t\tdefault:  { esp-aes esp-sha-hmac  } , ", "\t}"),
			}
		}
		play(s)
	}
}

// A refused child SA is explained by the lines that differ, and what would make them
// agree can be typed.
func TestRefusedChildIsExplainedByConfiguration(t *testing.T) {
	good := sideConfig{"permit ip 10.1.0.0 0.0.255.255 10.2.0.0 0.0.255.255", "group14", "esp-256-aes esp-sha256-hmac",
		"Tunnel"}
	mirror := good
	mirror.permit = "permit ip 10.2.0.0 0.0.255.255 10.1.0.0 0.0.255.255"
	changed := func(f func(*sideConfig)) sideConfig { c := mirror; f(&c); return c }
	for name, c := range map[string]struct {
		b       sideConfig
		differs map[string]any
		lines   []string
	}{
		"they agree": {mirror, nil, nil},
		"transform sets": {changed(func(c *sideConfig) { c.transforms = "esp-gcm 256" }),
			map[string]any{"transform sets": sides([]string{"esp-aes 256 esp-sha256-hmac"}, []string{"esp-gcm 256"})},
			[]string{"crypto ipsec transform-set TS-B esp-aes 256 esp-sha256-hmac"}},
		"mode": {changed(func(c *sideConfig) { c.mode = "Transport" }),
			map[string]any{"modes": sides([]string{"tunnel"}, []string{"transport"})},
			[]string{"crypto ipsec transform-set TS-B esp-aes 256 esp-sha256-hmac", " mode tunnel"}},
		"PFS": {changed(func(c *sideConfig) { c.pfs = "N" }),
			map[string]any{"PFS groups": sides([]string{"group14"}, []string{"none"})},
			[]string{"crypto map CMAP 10 ipsec-isakmp", " set pfs group14"}},
		"crypto ACL": {changed(func(c *sideConfig) { c.permit = "permit ip 10.3.0.0 0.0.255.255 10.1.0.0 0.0.255.255" }),
			map[string]any{"crypto ACL": sides([]string{good.permit},
				[]string{"permit ip 10.3.0.0 0.0.255.255 10.1.0.0 0.0.255.255"})},
			[]string{"ip access-list extended 101", " permit ip 10.2.0.0 0.0.255.255 10.1.0.0 0.0.255.255",
				" no permit ip 10.3.0.0 0.0.255.255 10.1.0.0 0.0.255.255"}},
	} {
		for kind, play := range map[string]func(*scene.Scene){"child-sa-refused": nil, "rekey-failed": nil,
			"quick-mode-refused": nil} {
			switch kind {
			case "child-sa-refused":
				play = answered(36, scene.SizeNoChild) // IDr
			case "rekey-failed":
				play = func(s *scene.Scene) {
					a := s.SA(0).Up()
					a.Exchange(36, 0, 41, 180, 41, 8) // CREATE_CHILD_SA, answered by one Notify
					a.DPD(0)
				}
			case "quick-mode-refused":
				play = quick(1, func(a *scene.V1) { a.S.IKE(1, 500, a.SealedInfo(1)) })
			}
			t.Run(name+"/"+kind, func(t *testing.T) {
				s := scene.New(t)
				withConfigs(play, good, c.b)(s)
				r := s.Compare()
				scene.Sound(t, r)
				found := scene.Flatten(t, r).Of(kind)
				if len(found) != 1 {
					t.Fatalf("%s: %v", kind, scene.Flatten(t, r).Codes())
				}
				if d := cmp.Diff(asJSON(t, c.differs), found[0]["configuration_differs"]); d != "" {
					t.Errorf("differs (-want +got):\n%s", d)
				}
				if got := configLines(found[0], "B"); !slices.Equal(got, c.lines) {
					t.Errorf("lines %q, want %q", got, c.lines)
				}
				for what := range c.differs {
					if !strings.Contains(fmt.Sprint(found[0]["explanation"]), strings.TrimSuffix(what, "s")) {
						t.Errorf("%s is not in %s", what, found[0]["explanation"])
					}
				}
			})
		}
	}
}

func sides(a, b []string) map[string]any { return map[string]any{"A": a, "B": b} }

// asJSON is v as it comes out of JSON; nil for an empty map.
func asJSON(t *testing.T, v map[string]any) any {
	t.Helper()
	if v == nil {
		return nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// configLines are the configuration lines that a finding suggests for a side.
func configLines(finding map[string]any, side string) []string {
	var all []string
	for _, a := range finding["actions"].([]any) {
		if m := a.(map[string]any); m["mode"] == "config" && m["side"] == side && m["where"] == nil {
			for _, c := range m["commands"].([]any) {
				all = append(all, c.(string))
			}
		}
	}
	return all
}

// An IKE proposal that is refused is explained by what the refusing side has configured.
func TestRefusedProposalIsExplainedByConfiguration(t *testing.T) {
	proposal := func(name, encr, integ, prf, group string) string {
		return scene.Lines(" IKEv2 proposal: "+name+" ", "     Encryption : "+encr, "     Integrity  : "+integ,
			"     PRF        : "+prf, "     DH Group   : "+group, "     PQC Key Exchange: ML-KEM-768 Optional")
	}
	policy := func(name, uses string) string {
		return scene.Lines(" IKEv2 policy : default", "      Match fvrf : any", "      Match address local : any",
			"      Proposal    : default", "",
			" IKEv2 policy : "+name, "      Match fvrf  : global", "      Match address local : any",
			"      Proposal    : "+uses)
	}
	standard := proposal("default", "AES-CBC-256", "SHA512 SHA384", "SHA512 SHA384",
		"DH_GROUP_256_ECP/Group 19 DH_GROUP_2048_MODP/Group 14")
	refuse := func(s *scene.Scene) { refusedOffer(s, scene.CBC(128, 14)) }
	for name, c := range map[string]struct {
		config         map[string]string
		play           func(*scene.Scene)
		mismatch       string
		differs, lines []string
	}{
		"another cipher": {map[string]string{"show-ikev2-proposal": standard + proposal("P1", "AES-CBC-256", "SHA256",
			"SHA256", "DH_GROUP_2048_MODP/Group 14"),
			"show-ikev2-policy": policy("POL", "P1")}, refuse, "proven", []string{"ENCR"},
			[]string{"crypto ikev2 proposal MONCAP-SUGGESTION", " encryption aes-cbc-256", " integrity sha256", " prf sha256",
				" group 14", "crypto ikev2 policy MONCAP-SUGGESTION", " proposal MONCAP-SUGGESTION"}},
		"a combined cipher and another group": {map[string]string{"show-crypto-ikev2-proposal": proposal("P1", "AES-GCM-256",
			"NONE", "SHA384", "DH_GROUP_384_ECP/Group 20")}, refuse, "proven", []string{"ENCR", "PRF", "KE"},
			[]string{"crypto ikev2 proposal MONCAP-SUGGESTION", " encryption aes-gcm-256", " prf sha384", " group 20",
				"crypto ikev2 policy MONCAP-SUGGESTION", " proposal MONCAP-SUGGESTION"}},
		"the same, but in no policy": {map[string]string{"show-ikev2-proposal": proposal("P1", "AES-CBC-128", "SHA256",
			"SHA256", "DH_GROUP_2048_MODP/Group 14") +
			proposal("P2", "AES-CBC-256", "SHA256", "SHA256", "DH_GROUP_2048_MODP/Group 14"),
			"show-ikev2-policy": policy("POL", "P2")}, refuse, "proven", []string{"ENCR"},
			[]string{"crypto ikev2 proposal MONCAP-SUGGESTION", " encryption aes-cbc-256", " integrity sha256",
				" prf sha256", " group 14", "crypto ikev2 policy MONCAP-SUGGESTION", " proposal MONCAP-SUGGESTION"}},
		"the same": {map[string]string{"show-ikev2-proposal": proposal("P1", "AES-CBC-128", "SHA256", "SHA256",
			"DH_GROUP_2048_MODP/Group 14")}, refuse, "excluded", nil, nil},
		"IKEv1": {map[string]string{"show-isakmp-policy": scene.Lines("Global IKE policy", "Protection suite of priority 10",
			"\tencryption algorithm:\tAES - Advanced Encryption Standard (128 bit keys).",
			"\thash algorithm:\t\tSecure Hash Standard 2 (256 bit)",
			"\tauthentication method:\tPre-Shared Key", "\tDiffie-Hellman group:\t#19 (256 bit)",
			"\tlifetime:\t\t86400 seconds, no volume limit")},
			func(s *scene.Scene) {
				a := s.V1(0)
				s.IKE(0, 500, a.Message(2, 0, 0, true, scene.SAv1(scene.Modern(14, 1))))
				s.IKE(1, 500, a.Info(1, 14))
			}, "proven", []string{"Key-Length", "Group-Description"},
			[]string{"crypto isakmp policy 5", " encryption aes 128", " hash sha256", " authentication pre-share", " group 19"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := scene.New(t)
			s.Side[1].Config = c.config
			c.play(s)
			r := s.Compare()
			scene.Sound(t, r)
			found := scene.Flatten(t, r).Of("ike-proposal-mismatch")
			if len(found) != 1 || found[0]["mismatch"] != c.mismatch {
				t.Fatalf("%v", found)
			}
			var differs []string
			if list, ok := found[0]["differs"].([]any); ok {
				for _, x := range list {
					differs = append(differs, x.(string))
				}
			}
			if !slices.Equal(differs, c.differs) {
				t.Errorf("differs in %v, want %v", differs, c.differs)
			}
			if got := configLines(found[0], "A"); !slices.Equal(got, c.lines) {
				t.Errorf("lines %q, want %q", got, c.lines)
			}
		})
	}
}

// A policy that is suggested takes no number that the router has, and one before the others' where
// there is one.
func TestASuggestedPolicyTakesAFreeNumber(t *testing.T) {
	suite := func(heading string) string {
		return scene.Lines(heading, "\tencryption algorithm:\tAES - Advanced Encryption Standard (128 bit keys).",
			"\thash algorithm:\t\tSecure Hash Standard 2 (256 bit)", "\tauthentication method:\tPre-Shared Key",
			"\tDiffie-Hellman group:\t#19 (256 bit)", "\tlifetime:\t\t86400 seconds, no volume limit")
	}
	for _, c := range []struct {
		taken []string
		want  string
	}{
		{nil, "5"}, {[]string{"10"}, "5"}, {[]string{"5"}, "4"}, {[]string{"20", "3", "7"}, "2"}, {[]string{"1"}, "2"},
		{[]string{"1", "2", "3", "5", "10"}, "4"}, {[]string{"2", "1"}, "3"},
	} {
		s := scene.New(t)
		own := scene.Lines("Global IKE policy")
		for _, n := range c.taken {
			own += suite("Protection suite of priority " + n)
		}
		own += suite("Default protection suite of priority 65507")
		s.Side[0].Config = map[string]string{"show-isakmp-policy": own}
		s.Side[1].Config = map[string]string{"show-isakmp-policy": suite("Protection suite of priority 10")}
		a := s.V1(0)
		s.IKE(0, 500, a.Message(2, 0, 0, true, scene.SAv1(scene.Modern(14, 1))))
		s.IKE(1, 500, a.Info(1, 14))
		found := scene.Flatten(t, s.Compare()).Of("ike-proposal-mismatch")
		if len(found) != 1 {
			t.Fatalf("%v: %v", c.taken, found)
		}
		if lines := configLines(found[0], "A"); len(lines) == 0 || lines[0] != "crypto isakmp policy "+c.want {
			t.Errorf("%v are taken: %q, want number %s", c.taken, lines, c.want)
		}
	}
}
