package iosxe

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The same two packets in every style in which IOS writes its debugs.
func TestParseIKEDebugStyles(t *testing.T) {
	const (
		send = "Sending Packet [To 192.0.2.2:500/From 192.0.2.1:500/VRF i0:f0] \n" +
			"Initiator SPI : 1D418169B24BF95A - Responder SPI : 0000000000000000 Message id: 0\n" +
			"IKEv2 IKE_SA_INIT Exchange REQUEST \nPayload contents: \n SA KE N VID NOTIFY(NAT_DETECTION_SOURCE_IP) \n\n"
		receive = "Received Packet [From 192.0.2.2:4500/To 192.0.2.1:4500/VRF i0:f0] \n" +
			"Initiator SPI : 1D418169B24BF95A - Responder SPI : A645046F734260C6 \nMessage id: 1\n" +
			"IKEv2 IKE_AUTH Exchange RESPONSE \nPayload contents: \n VID IDr AUTH NOTIFY(NO_PROPOSAL_CHOSEN) \n"
	)
	styles := map[string]string{
		"plain":                  "IKEv2:(SESSION ID = 31,SA ID = 1):",
		"tech note":              "Ikev2:(SESSION ID = 18,SA ID = 2):",
		"no session":             "IKEv2:(SA ID = 1):",
		"msec":                   "*Apr  3 08:17:36.001: IKEv2:(SESSION ID = 7,SA ID = 1):",
		"zone and sequence":      "2328304: Jun  8 19:14:38.051 GMT: IKEv2:(SESSION ID = 7,SA ID = 1):",
		"year":                   "000123: *Apr  3 2026 08:17:36.001 UTC: IKEv2:(SESSION ID = 7,SA ID = 1):",
		"no fraction":            ".Apr 13 08:17:36: IKEv2:(SESSION ID = 7,SA ID = 1):",
		"uptime":                 "1w2d: IKEv2:(SESSION ID = 7,SA ID = 1):",
		"packet debug":           "*Apr  3 08:17:36.001 CEST: IKEv2-PAK:(SESSION ID = 7,SA ID = 1):",
		"relayed by a log host":  "<191>45: hub: *Apr  3 08:17:36.001: IKEv2:(SESSION ID = 7,SA ID = 1):",
		"uptime hours and times": "00:12:07: IKEv2:(SESSION ID = 7,SA ID = 1):",
	}
	for name, prefix := range styles {
		t.Run(name, func(t *testing.T) {
			noise := "%LINK-3-UPDOWN: Interface GigabitEthernet1, changed state to up\n"
			if stamp, _, timed := strings.Cut(prefix, "IKEv2:"); timed && strings.Contains(stamp, ":36") {
				each := strings.NewReplacer("\nInitiator", "\n"+stamp+"Initiator", "\nMessage", "\n"+stamp+"Message", "\nIKEv2",
					"\n"+stamp+"IKEv2",
					"\nPayload", "\n"+stamp+"Payload", "\n SA", "\n"+stamp+" SA", "\n VID", "\n"+stamp+" VID")
				stamped := ParseIKEDebug(each.Replace(prefix + send + prefix + receive))
				if len(stamped.Packets) != 2 || len(stamped.Packets[0].Payloads) != 5 || stamped.Packets[1].MessageID != 1 {
					t.Errorf("every line stamped: %+v", stamped)
				}
			}
			log := ParseIKEDebug(prefix + "Generating IKE_SA_INIT message\n" + prefix + send + noise + prefix + receive +
				prefix + "Deleting SA\n")
			if len(log.Packets) != 2 || log.Lines != 4 {
				t.Fatalf("%d packets in %d lines, want 2 in 4: %+v", len(log.Packets), log.Lines, log)
			}
			s, r := log.Packets[0], log.Packets[1]
			if !s.Sent || s.Response || s.Line != 2 || s.Remote.String() != "192.0.2.2:500" ||
				s.Local.String() != "192.0.2.1:500" ||
				s.SPIi != 0x1D418169B24BF95A || s.SPIr != 0 || s.Exchange != "IKE_SA_INIT" {
				t.Errorf("sent: %+v", s)
			}
			if diff := cmp.Diff([]string{"SA", "KE", "N", "VID", "NOTIFY(NAT_DETECTION_SOURCE_IP)"}, s.Payloads); diff != "" {
				t.Errorf("sent payloads:\n%s", diff)
			}
			if r.Sent || !r.Response || r.MessageID != 1 || r.SPIr != 0xA645046F734260C6 || r.Remote.Port() != 4500 {
				t.Errorf("received: %+v", r)
			}
			if diff := cmp.Diff([]string{"VID", "IDr", "AUTH", "NOTIFY(NO_PROPOSAL_CHOSEN)"}, r.Payloads); diff != "" {
				t.Errorf("received payloads:\n%s", diff)
			}
			if timed := strings.Contains(prefix, ":36"); timed && s.At.Second() != 36 {
				t.Errorf("time %v", s.At)
			}
		})
	}
}

func TestParseIKEDebugIPv6(t *testing.T) {
	log := ParseIKEDebug("IKEv2:(SESSION ID = 31,SA ID = 1):Sending Packet [To FC00:123:123:123::1:500/From " +
		"FC00:123:123:123::2:500/VRF i0:f0] \nInitiator SPI : 1D418169B24BF95A - Responder SPI : 0000000000000000 Message " +
		"id: 0\nIKEv2 IKE_SA_INIT Exchange REQUEST \n")
	if len(log.Packets) != 1 || log.Packets[0].Remote.String() != "[fc00:123:123:123::1]:500" {
		t.Errorf("%+v", log)
	}
}

func TestParseIKEDebugExpectedPolicies(t *testing.T) {
	log := ParseIKEDebug("IKEv2-ERROR:(SESSION ID = 89,SA ID = 1):Expected Policies: : Failed to find a matching " +
		"policyProposal 1:  ENCRYPTION: AES-CBC-256 PRF: SHA512 INTEGRITY: SHA512 DH GROUP: DH_GROUP_384_ECP/Group 20\n")
	want := []string{"Proposal 1:  ENCRYPTION: AES-CBC-256 PRF: SHA512 INTEGRITY: SHA512 DH GROUP: " +
		"DH_GROUP_384_ECP/Group 20"}
	if diff := cmp.Diff(want, log.Expected); diff != "" {
		t.Error(diff)
	}
}

// A block that lacks one of its parts, and a log cut anywhere, give no packet and no panic.
func TestParseIKEDebugTruncated(t *testing.T) {
	text := "*Apr  3 08:17:36.001: IKEv2:(SESSION ID = 7,SA ID = 1):Sending Packet [To 192.0.2.2:500/From " +
		"192.0.2.1:500/VRF i0:f0] \nInitiator SPI : 1D418169B24BF95A - Responder SPI : 0000000000000000 Message id: " +
		"7\nIKEv2 INFORMATIONAL Exchange REQUEST"
	for i := range text {
		if got := ParseIKEDebug(text[:i]); len(got.Packets) != 0 {
			t.Fatalf("%d bytes give %+v", i, got.Packets)
		}
	}
	if got := ParseIKEDebug(text); len(got.Packets) != 1 {
		t.Fatalf("the whole gives %+v", got.Packets)
	}
}

// Real logs, as they were published.
func TestParseIKEDebugSamples(t *testing.T) {
	for file, want := range map[string][2]int{ // packets, lines of IKEv2
		"debug-crypto-ikev2-plain-xe16.7.txt": {4, 37},
		"debug-crypto-ikev2-timestamped.txt":  {0, 11},
		"debug-crypto-ikev2-seqnum-tz.txt":    {0, 7},
	} {
		b, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "ios-samples", file))
		if os.IsNotExist(err) {
			t.Skip("the samples are not here")
		}
		log := ParseIKEDebug(string(b))
		if got := [2]int{len(log.Packets), log.Lines}; err != nil || got != want {
			t.Errorf("%s: %v packets and lines, want %v", file, got, want)
		}
	}
}

func FuzzParseIKEDebug(f *testing.F) {
	f.Add("*Apr  3 08:17:36.001: IKEv2:(SA ID = 1):Sending Packet [To 192.0.2.2:500/From 192.0.2.1:500/VRF i0:f0]\n" +
		"Initiator SPI : 1D418169B24BF95A - Responder SPI : 0000000000000000 Message id: 0\nIKEv2 IKE_SA_INIT Exchange " +
		"REQUEST\nPayload contents: \n SA\n")
	f.Fuzz(func(t *testing.T, text string) {
		log := ParseIKEDebug(text)
		if len(log.Packets) > log.Lines {
			t.Errorf("%d packets in %d lines", len(log.Packets), log.Lines)
		}
	})
}

// A log has what others debugged before, and after; two runs may have had the same name. The two
// lines are those of ios-samples/csr1000v-show-monitor-capture-buffer-and-start.txt and
// csr1000v-stop-clear.txt.
func TestLoggedWhile(t *testing.T) {
	const (
		on   = "*Feb  3 00:58:13.901: %BUFCAP-6-ENABLE: Capture Point TEST enabled.\r\n"
		off  = "*Feb  3 00:58:37.654: %BUFCAP-6-DISABLE: Capture Point TEST disabled.\r\n"
		sent = "*Feb  3 00:58:14.001: IKEv2:(SESSION ID = 7,SA ID = 1):Sending Packet\r\n"
		got  = "*Feb  3 00:58:14.002: IKEv2:(SESSION ID = 7,SA ID = 1):Received Packet\r\n"
	)
	other := func(s string) string { return strings.ReplaceAll(s, "TEST", "TESTp") }
	name, err := ParseName("TEST")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ what, log, want string }{
		{"of before and of after", sent + on + got + off + sent, got},
		{"the same name twice", on + sent + off + sent + on + got + off, got},
		{"it runs still", sent + on + got, got},
		{"its end before its beginning", sent + off + on + got, got},
		{"rotated: its beginning is gone", sent + off + got, sent + off + got},
		{"neither is logged", sent + got, sent + got},
		{"of another name", sent + other(on) + got + other(off) + sent, sent + other(on) + got + other(off) + sent},
		{"another ends meanwhile", sent + on + got + other(off) + sent, got + other(off) + sent},
		{"ended by itself", on + got + strings.Replace(off, "DISABLE:", "DISABLE_ASYNC:", 1) + sent, got},
		{"nothing", "", ""},
	} {
		if part := LoggedWhile(tt.log, name); part != tt.want {
			t.Errorf("%s: %q, want %q", tt.what, part, tt.want)
		}
	}
}
