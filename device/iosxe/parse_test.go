package iosxe

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParseCaptures(t *testing.T) {
	tests := []struct {
		file string
		want []Capture
	}{
		{"genie-ShowMonitorCapture-output1.txt",
			[]Capture{{Name: "CAPTURE", Interfaces: []Attachment{{"Control Plane", "both"}},
				Filter: []string{"Capture all packets"}, BufferMB: 10, PPS: 1000}}},
		{"genie-ShowMonitorCapture-output2.txt",
			[]Capture{{Name: "NTP", Interfaces: []Attachment{{"GigabitEthernet0/0/0", "both"}}, Active: true,
				Filter: []string{"Capture all packets"}, BufferMB: 10, PPS: 1000}}},
		{"genie-ShowMonitorCapture-output3.txt",
			[]Capture{{Name: "mycap", Interfaces: []Attachment{{"GigabitEthernet1/0/3", "both"}},
				Filter: []string{"IPv4", "Source IP:  any", "Destination IP:  any", "Protocol: any"}, File: "flash:mycap.pcap",
				AnyPPS: true}}},
		{"csr1000v-show-monitor-capture-unattached.txt", []Capture{{Name: "TEST", Filter: []string{"Capture all packets"}}}},
		{"csr1000v-limit-help-and-udp-filter.txt",
			[]Capture{{Name: "TEST", Interfaces: []Attachment{{"GigabitEthernet1", "in"}},
				Filter: []string{"IPv4", "Source IP:  host 8.8.8.8", "Destination IP:  any", "Protocol: udp",
					"Source port(s): = 53"},
				BufferMB: 10, Packets: 10, PPS: 1000}}},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			got, err := ParseCaptures(sample(t, tt.file))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The status of a capture on both sides as a router prints it, without the indentation that web
// pages lose.
func TestParseCapturesOfBothSides(t *testing.T) {
	out := `Status Information for Capture VPNCAP
Target Type:
Interface: GigabitEthernet1, Direction: BOTH
Status : Active
Filter Details:
Access-list: VPNACL
Buffer Details:
Buffer Type: CIRCULAR
Buffer Size (in MB): 10
Limit Details:
Number of Packets to capture: 500
Packet Capture duration: 60 (seconds)
Packet Size to capture: 0 (no limit)
Maximum number of packets to capture per second: 1000
Packet sampling rate: 0 (no sampling)
Status Information for Capture OTHER
Target Type:
Interface: GigabitEthernet2, Direction: BOTH
Status : Inactive
site-A#`
	got, err := ParseCaptures(out)
	if err != nil {
		t.Fatal(err)
	}
	want := []Capture{
		{Name: "VPNCAP", Interfaces: []Attachment{{"GigabitEthernet1", "both"}}, Active: true, ACL: "VPNACL", Circular: true,
			BufferMB: 10, Packets: 500, Duration: time.Minute, PPS: 1000},
		{Name: "OTHER", Interfaces: []Attachment{{"GigabitEthernet2", "both"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	none, err := ParseCaptures("\r\n")
	if err != nil || none != nil {
		t.Errorf("no capture point: got %v, %v", none, err)
	}
}

func TestParseParameter(t *testing.T) {
	want := []string{
		"monitor capture TEST interface GigabitEthernet1 IN", "monitor capture TEST match any",
		"monitor capture TEST buffer size 10", "monitor capture TEST limit pps 1000",
	}
	if diff := cmp.Diff(want, ParseParameter(sample(t, "csr1000v-show-monitor-capture-parameter.txt"))[:4]); diff != "" {
		t.Error(diff)
	}
}

func TestParseBuffer(t *testing.T) {
	got, err := ParseBuffer(" buffer size (KB) : 10240\r\n buffer used (KB) : 128\r\n packets in buf   : 5\r\n packets " +
		"dropped  : 2\r\n packets per sec  : 1\r\n")
	if want := (Buffer{10240, 128, 5, 2, 1}); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if _, err := ParseBuffer("% Invalid input"); err == nil {
		t.Error("no error for an output without a count")
	}
	last, err := ParseBuffer(sample(t, "csr1000v-show-monitor-capture-buffer-and-start.txt"))
	if err != nil || last.Packets != 5 {
		t.Errorf("got %+v, %v", last, err)
	}
}

// Twelve packets of a negotiation that both sides began at once, in the columns of the router.
const brief = ` ----------------------------------------------------------------------------
 #   size   timestamp     source             destination      dscp    protocol
 ----------------------------------------------------------------------------
   0  496    0.000000   192.0.2.1        ->  192.0.2.129      48 CS6  UDP
   1  529    0.011992   192.0.2.129      ->  192.0.2.1        48 CS6  UDP
   2  682    0.026991   192.0.2.1        ->  192.0.2.129      48 CS6  UDP
   3  362    0.035993   192.0.2.129      ->  192.0.2.1        48 CS6  UDP
  10  138   61.641009   192.0.2.1        ->  192.0.2.129      0  BE   ESP
  11 1394   61.655016   2001:db8::1      ->  2001:db8::2      UDP
`

func TestParseBrief(t *testing.T) {
	got := ParseBrief(brief)
	if len(got) != 6 {
		t.Fatalf("got %d rows, want 6", len(got))
	}
	want := BriefRow{10, 138, 61*time.Second + 641009*time.Microsecond, netip.MustParseAddr("192.0.2.1"),
		netip.MustParseAddr("192.0.2.129"), 0, "ESP"}
	if got[4] != want {
		t.Errorf("got %+v, want %+v", got[4], want)
	}
	if got[5].DSCP != -1 || got[5].Src != netip.MustParseAddr("2001:db8::1") {
		t.Errorf("a row without dscp: %+v", got[5])
	}
	for file, rows := range map[string]int{"csr-buffer-brief-azure.txt": 4} {
		if got := ParseBrief(sample(t, file)); len(got) < rows || got[1].Offset != 8987*time.Microsecond ||
			got[0].Protocol != "ICMP" {
			t.Errorf("%s: %+v", file, got)
		}
	}
}

func TestSwitchListingIsRecognised(t *testing.T) {
	out := sample(t, "genie-ShowMonitorCaptureBuffer-output1.txt")
	if !SwitchStyle(out) || len(ParseBrief(out)) != 0 {
		t.Error("the listing of a switch must be told apart and give no rows")
	}
}

func TestParseDir(t *testing.T) {
	tests := []struct {
		file, path  string
		files       int
		total, free int64
		has         FileInfo
	}{
		{"ntc-dir.txt", "bootflash:/", 12, 7835619328, 6612774912, FileInfo{Name: ".CsrLxc_LastInstall", Size: 46}},
		{"genie-Dir-output_c9200.txt", "", 1, 0, 0, FileInfo{Name: "cat9k_lite_iosxe.17.09.01.SPA.bin", Size: 490586943}},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			d, err := ParseDir(sample(t, tt.file))
			if err != nil {
				t.Fatal(err)
			}
			if d.Path != tt.path || len(d.Files) != tt.files {
				t.Errorf("path %q, %d files; want %q, %d", d.Path, len(d.Files), tt.path, tt.files)
			}
			if tt.total > 0 && (d.Total != tt.total || d.Free != tt.free) {
				t.Errorf("total %d, free %d", d.Total, d.Free)
			}
			f, ok := d.File(tt.has.Name)
			if diff := cmp.Diff(tt.has, f, cmpopts.IgnoreFields(FileInfo{}, "Modified")); !ok || diff != "" {
				t.Error(diff)
			}
		})
	}
	for _, name := range samplesMatching(t, "genie-Dir-*.txt") {
		if d, err := ParseDir(sample(t, name)); err != nil || len(d.Files) == 0 {
			t.Errorf("%s: %d files, %v", name, len(d.Files), err)
		}
	}
}

func TestParseMD5(t *testing.T) {
	got, err := ParseMD5("..........Done!\r\nverify /md5 (bootflash:capture.pcap) = 2C9BF2C64BEE6FB22277FC89BD1C8FF0\r\n")
	if err != nil || got != "2c9bf2c64bee6fb22277fc89bd1c8ff0" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := ParseMD5("%Error opening bootflash:x (No such file or directory)"); err == nil {
		t.Error("no error without a checksum")
	}
	if got, err := ParseMD5(sample(t, "verify-md5.txt")); err != nil || len(got) != 32 {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestParseVersion(t *testing.T) {
	tests := []struct {
		file, model, software string
		supported             bool
	}{
		{"genie-ShowVersion-output_c8000v.txt", "C8000V", "17.15.20240326:010319", true},
		{"genie-ShowVersion-output_isr4k.txt", "ISR4451-X/K9", "16.6.5", true},
		{"genie-ShowVersion-output_asr1k.txt", "ASR1006", "16.3.20170410:103306", true},
		{"genie-ShowVersion-output_c9300.txt", "C9300-24P", "17.6.20210302:012459", false},
		{"show-version-csr1000v-16.12.txt", "", "16.12.6", true},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			v, err := ParseVersion(sample(t, tt.file))
			if err != nil {
				t.Fatal(err)
			}
			if tt.model != "" && v.Model != tt.model || v.Software != tt.software {
				t.Errorf("model %q, software %q; want %q, %q", v.Model, v.Software, tt.model, tt.software)
			}
			if err := v.CaptureSupport(); (err == nil) != tt.supported {
				t.Errorf("capture support: %v", err)
			}
		})
	}
}

func TestParseClock(t *testing.T) {
	tests := []struct {
		file     string
		at       time.Time
		zone     string
		notSet   bool
		unsynced bool
	}{
		{"genie-ShowClock-output.txt", time.Date(2016, 10, 17, 18, 56, 4, 554e6, time.UTC), "EST", false, false},
		{"genie-ShowClock-output1.txt", time.Date(2025, 8, 7, 4, 45, 0, 857e6, time.UTC), "UTC", true, false},
		{"genie-ShowClock-output2.txt", time.Date(2025, 8, 7, 4, 37, 54, 849e6, time.UTC), "UTC", false, true},
		{"ntc-show_clock.txt", time.Date(2015, 10, 19, 18, 57, 38, 347e6, time.UTC), "UTC", true, false},
		{"show-clock-detail.txt", time.Date(2021, 11, 17, 21, 11, 51, 844e6, time.UTC), "UTC", false, false},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			c, err := ParseClock(sample(t, tt.file))
			if err != nil {
				t.Fatal(err)
			}
			if !c.Time.Equal(tt.at) || c.Zone != tt.zone || c.NotSet != tt.notSet || c.Unsynced != tt.unsynced {
				t.Errorf("got %+v", c)
			}
		})
	}
	moscow, err := ParseClock("19:48:33.852 MSK Mon Dec 11 2023\r\nTime source is NTP\r\n")
	if err != nil || moscow.Source != "NTP" {
		t.Fatalf("%+v, %v", moscow, err)
	}
	near := time.Date(2023, 12, 11, 16, 48, 30, 0, time.UTC)
	if got, want := moscow.Instant(near), time.Date(2023, 12, 11, 16, 48, 33, 852e6, time.UTC); !got.Equal(want) {
		t.Errorf("instant %s, want %s", got, want)
	}
}

func TestParsePrivilege(t *testing.T) {
	if n, err := ParsePrivilege(sample(t, "genie-ShowPrivilege-output_1.txt")); err != nil || n != 15 {
		t.Errorf("got %d, %v", n, err)
	}
	if _, err := ParsePrivilege("% Unknown command"); err == nil {
		t.Error("no error without a level")
	}
}

func TestParseInterfaces(t *testing.T) {
	all, err := ParseInterfaces(sample(t, "genie-ShowIpInterfaceBrief-golden.txt"))
	if err != nil {
		t.Fatal(err)
	}
	ten, err := ParseInterface("TenGigabitEthernet0/0/4")
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, s := range all {
		if ten.Is(s.Name) {
			found = true
			if !s.Up() || s.Address != netip.MustParseAddr("10.121.10.1") {
				t.Errorf("got %+v", s)
			}
		}
	}
	if !found {
		t.Error("Te0/0/4 was not recognised as TenGigabitEthernet0/0/4")
	}
}

func TestParseAccessLists(t *testing.T) {
	all := ParseAccessLists(sample(t, "ntc-show_ip_access-lists.txt"))
	byName := map[string]AccessList{}
	for _, a := range all {
		byName[a.Name] = a
	}
	if got := byName["99"]; got.Kind != "Standard IP" || got.Entries[2] != "permit 10.0.10.0, wildcard bits 0.255.0.255" {
		t.Errorf("got %+v", got)
	}
	if got := byName["101"]; got.Kind != "Extended IP" || len(got.Entries) != 11 {
		t.Errorf("list 101 has %d entries", len(got.Entries))
	}
	if got := ParseAccessLists(""); got != nil {
		t.Errorf("none: %+v", got)
	}
}

func TestParseIKEv2SA(t *testing.T) {
	got := ParseIKEv2SA(sample(t, "genie-ShowCryptoIkev2SaDetail-output.txt"))
	want := []IKESA{{Version: 2, Local: netip.MustParseAddrPort("92.1.121.1:500"),
		Remote: netip.MustParseAddrPort("22.1.1.2:500"),
		Status: "READY", LocalSPI: "000D3669857A0F82", RemoteSPI: "E0419B1DB02DE6AE",
		Session: "17155", Life: 24 * time.Hour, Age: 12689 * time.Second}}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Error(diff)
	}
	for _, name := range samplesMatching(t, "genie-ShowCryptoIkev2Sa*-output*.txt") {
		for _, sa := range ParseIKEv2SA(sample(t, name)) {
			if sa.Status == "" || !sa.Remote.IsValid() {
				t.Errorf("%s: %+v", name, sa)
			}
		}
	}
	if len(ParseISAKMPSA(sample(t, "genie-ShowCryptoIsakmpSa-output_isakmp.txt"))) == 0 {
		t.Error("no IKEv1 SA was read")
	}
}

func TestParseCryptoSessions(t *testing.T) {
	const text = "Crypto session current status\r\n\r\nInterface: Tunnel1\r\nUptime: 00:00:31\r\nSession status: " +
		"UP-ACTIVE     \r\nPeer: 17.27.1.11 port 38452 fvrf: (none) ivrf: 10\r\n      Phase1_id: scale\r\n\r\n" +
		"Interface: Tunnel2\r\nSession status: DOWN-NEGOTIATING\r\nPeer: 2001:DB8::2 port 500 fvrf: (none) ivrf: (none)\r\n"
	want := []CryptoSession{
		{"UP-ACTIVE", netip.MustParseAddrPort("17.27.1.11:38452")},
		{"DOWN-NEGOTIATING", netip.MustParseAddrPort("[2001:db8::2]:500")},
	}
	if diff := cmp.Diff(want, ParseCryptoSessions(text), cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Error(diff)
	}
	if got := ParseCryptoSessions(""); len(got) != 0 {
		t.Errorf("%v of no output", got)
	}
}

func TestSmallOutputs(t *testing.T) {
	cpu, err := ParseCPU("CPU utilization for five seconds: 7%/1%; one minute: 5%; five minutes: 93%\r\n")
	if err != nil || cpu != (CPU{7, 5, 93}) {
		t.Errorf("cpu %+v, %v", cpu, err)
	}
	mem, err := ParseMemory("                Head    Total(b)     Used(b)     Free(b)   Lowest(b)  " +
		"Largest(b)\nProcessor  7F2A1C0048   2147483648   300000000   1847483648   1800000000  1700000000\n")
	if err != nil || mem != (Memory{2147483648, 300000000, 1847483648}) {
		t.Errorf("memory %+v, %v", mem, err)
	}
	ntp, err := ParseNTP(sample(t, "genie-ShowNtpStatus-output_1.txt"))
	if err != nil || !ntp.Synchronised || ntp.Stratum != 1 {
		t.Errorf("ntp %+v, %v", ntp, err)
	}
	if got := ParseDebug("IKEV2:\r\n  IKEV2 default debugging is on\r\n"); len(got) != 2 {
		t.Errorf("debugs %q", got)
	}
}

func TestParseDump(t *testing.T) {
	out := `site-A#show monitor capture c buffer dump
0
  0000:  00000C07 AC154C5D 3C259068 08004500   ......L]<%.h..E.
  0010:  0054                                  .T

1
  0000:  4C5D3C25 90                           0000:
`
	var got []DumpedPacket
	for p, err := range ParseDump(strings.NewReader(out)) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p)
	}
	if len(got) != 2 || len(got[0].Data) != 18 || len(got[1].Data) != 5 || got[1].Data[4] != 0x90 {
		t.Errorf("got %+v", got)
	}
	for name, bad := range map[string]string{
		"a missing line":      "0\n  0000:  00000C07 AC154C5D 3C259068 08004500   x\n  0020:  0054   x\n",
		"a missing packet":    "0\n  0000:  00                                    .\n2\n  0000:  00           .\n",
		"a packet of nothing": "0\n1\n  0000:  00        .\n",
	} {
		var err error
		for _, e := range ParseDump(strings.NewReader(bad)) {
			err = errors.Join(err, e)
		}
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	n := 0
	for p, err := range ParseDump(strings.NewReader(sample(t, "iosxe-buffer-dump.txt"))) {
		if err != nil || len(p.Data) != 98 {
			t.Errorf("packet %d: %d bytes, %v", p.Index, len(p.Data), err)
		}
		n++
	}
	if n != 2 {
		t.Errorf("%d packets, want 2", n)
	}
}

func FuzzParsers(f *testing.F) {
	f.Add(brief)
	f.Add("Status Information for Capture x\n Status : Active\n")
	f.Add("0\n  0000:  00000C07 AC154C5D   ....\n")
	f.Fuzz(func(t *testing.T, s string) {
		ParseCaptures(s)
		ParseParameter(s)
		ParseBuffer(s)
		ParseBrief(s)
		ParseDir(s)
		ParseMD5(s)
		ParseVersion(s)
		ParseClock(s)
		ParseAccessLists(s)
		ParseInterfaces(s)
		ParseIKEv2SA(s)
		ParseISAKMPSA(s)
		ParseMemory(s)
		for _, err := range ParseDump(strings.NewReader(s)) {
			if err != nil {
				break
			}
		}
		if r := Refused(ShowCaptures(), s); r != nil && len([]rune(r.Text)) > 300 {
			t.Error("a refusal is quoted at any length")
		}
		for _, r := range Printable(s) {
			if r == 0x1b || r == 0x9b || r == 0x202e {
				t.Errorf("control character %U survives", r)
			}
		}
	})
}
