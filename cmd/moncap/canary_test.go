package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/moncap/moncap/device/simulator"
	"github.com/moncap/moncap/testdata"
)

// TestRedactionLeavesNoCanary plants a word in every place of the collected outputs where an
// operator's own words may stand, and looks for each in every byte of the zip.
func TestRedactionLeavesNoCanary(t *testing.T) {
	remote := func(c string) []string {
		return []string{strings.ReplaceAll(c, "ADDR", testdata.A4.String()),
			strings.ReplaceAll(c, "ADDR", testdata.B4.String())}
	}
	l := newLabWith(t, "healthy", func(c *simulator.Config) {
		c.Knobs.Banner, c.Knobs.MOTD = "Property of Canarybank Ltd\n", "Welcome to canarymotd\n"
		c.Show = map[string]string{
			"show users": "    Line       User       Host(s)              Idle       Location\n" +
				"   0 con 0                canaryhost           00:12:01   \n" +
				"*  1 vty 0     moncap     idle                 00:00:00 10.99.7.1\n" +
				"   2 vty 1     canaryuser idle                 1w2d     canarydesk\n" +
				"   3 vty 2     jq         idle                 00:01:00 canary.example.net\n\n" +
				"  Interface    User               Mode         Idle     Peer Address\n" +
				"  Vi1          canarypeer         PPPoVPDN     00:00:01 10.99.7.2\n",
			"show interfaces GigabitEthernet1": "GigabitEthernet1 is up, line protocol is up\n" +
				"  Hardware is CSR vNIC, address is 5254.00ca.4a7e (bia 5254.00ca.4a7e)\n" +
				"  Description: Uplink of canarycorp, circuit canary-4711\n  Internet address is 10.99.7.3/24\n",
			"show ntp status": "Clock is synchronized, stratum 2, reference is canaryntp.example.org\n",
			"show crypto ikev2 profile": "IKEv2 profile: canaryprofile\n Ref Count: 4\n Match criteria:\n  Fvrf: " +
				"canaryvrf\n  Local address/interface: none\n  Identities:\n   fqdn canaryid.example.com\n  Certificate maps: " +
				"none\n Local identity: fqdn canarylocal\n Remote identity: none\n Local authentication method: pre-share\n " +
				"Remote authentication method(s): pre-share\n EAP options: none\n Keyring: canarykeyring\n Trustpoint(s): \n  " +
				"canarytrust\n",
			"show crypto ikev2 policy": "IKEv2 policy : canarypolicy\n      Match fvrf : any\n      Match address " +
				"local : any\n      Proposal    : canaryproposal\n",
			"show crypto ikev2 proposal": "IKEv2 proposal: canaryproposal\n     Encryption : AES-CBC-256\n     Integrity " +
				" : SHA512\n     PRF        : SHA512\n     DH Group   : DH_GROUP_384_ECP/Group 20\n",
			"show crypto ipsec profile": "IPSEC profile canaryipsec\n\tSecurity association lifetime: 4608000 " +
				"kilobytes/3600 seconds\n\tTransform sets={ \n\t\tcanaryset:  { esp-256-aes esp-sha256-hmac  } , \n\t}\n",
			"show crypto ipsec transform-set": "Transform set canaryset: { esp-256-aes esp-sha256-hmac  } \n   will negotiate " +
				"= { Tunnel,  }, \n",
			"show crypto map": "\tInterfaces using crypto map canarymap:\n\nCrypto Map IPv4 \"canarymap\" 10 " +
				"ipsec-isakmp\n\tDescription: canarydescription\n\tPeer = 10.99.7.9\n\tExtended IP access list canaryacl\n\t    " +
				"access-list canaryacl permit ip 10.99.8.0 0.0.0.255 10.99.9.0 0.0.0.255\n",
		}
		for _, cmd := range remote("show crypto session remote ADDR detail") {
			c.Show[cmd] = "Interface: Tunnel0\nProfile: canaryprofile\nUptime: 00:00:10\nSession status: UP-ACTIVE\n" +
				"Peer: 10.99.7.9 port 500 fvrf: canaryvrf ivrf: (none)\n      Phase1_id: canaryphase\n      Desc: " +
				"canarysession\nUsername: canarylogin\n"
		}
	})
	out, packed := filepath.Join(l.dir, "bundle"), filepath.Join(l.dir, "case.zip")
	if r := moncap(t, "run", "demo", "-i", l.inventory, "--out", out, "--until", "packets=4"); r.code > exitInconclusive {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	if r := moncap(t, "bundle", out, "--redact", "-o", packed); r.code != exitOK {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	planted := 0
	for name, b := range unpack(t, packed, filepath.Join(l.dir, "case")) {
		for line := range strings.Lines(string(b)) {
			low := strings.ToLower(line)
			if at := strings.Index(low, "canary"); at >= 0 {
				t.Errorf("%s: %q", name, low[max(0, at-30):min(len(low), at+40)])
			}
			if strings.Contains(low, "10.99.") || strings.Contains(low, "5254.00ca") || strings.Contains(low, " jq ") ||
				strings.HasSuffix(name, "transcript.log") && strings.Contains(low, " moncap ") {
				t.Errorf("%s: %q", name, strings.TrimSpace(low))
			}
		}
	}
	l.eachFile(t, func(path string, b []byte) {
		if strings.HasPrefix(path, out) {
			planted += strings.Count(strings.ToLower(string(b)), "canary")
		}
	})
	if planted < 40 {
		t.Errorf("only %d canaries were in the bundle before", planted)
	}
}
