package simulator

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// shape is what remains of a line when numbers, addresses, names and the width of gaps are gone.
func shape(line string) string {
	for _, r := range []struct{ from, to string }{
		{`\b\d+\.\d+\.\d+\.\d+\b`, "ADDRESS"}, {`\b[A-Z][A-Za-z-]+\d[\d/]*\b`, "INTERFACE"},
		{`\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun) `, "DAY "},
		{`\b(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) `, "MONTH "}, {`\b[A-Z]{3} DAY`, "ZONE DAY"},
		{`[0-9A-F]{8}\.[0-9A-F]{8}`, "0.0"},
		{`-?\d+`, "0"}, {` +`, " "}, {`reference is \S+`, "reference is X"}, {`\bother|NVRAM|unset|TFTP\b`, "METHOD"},
		{`INTERFACE unassigned`, "INTERFACE ADDRESS"},
	} {
		line = regexp.MustCompile(r.from).ReplaceAllString(line, r.to)
	}
	return strings.TrimSpace(line)
}

func fixture(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "ios-samples", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Every line that the simulator prints has the shape of a line that a router was recorded to print.
func TestShapes(t *testing.T) {
	tests := []struct {
		command, file string
		knobs         Knobs
		other         []string // shapes that are ours alone
	}{
		{"show line", "genie-ShowLine-output.txt", Knobs{}, nil},
		{"show users", "ntc-show_users.txt", Knobs{}, []string{"* 0 vty 0 moncap idle 0:0:0 ADDRESS"}},
		{"show clock", "genie-ShowClock-output.txt", Knobs{ExecPromptTimestamp: true}, nil},
		{"show privilege", "genie-ShowPrivilege-output_1.txt", Knobs{}, nil},
		{"show ip interface brief", "genie-ShowIpInterfaceBrief-golden.txt", Knobs{}, nil},
		{"show ntp status", "genie-ShowNtpStatus-output_1.txt", Knobs{}, nil},
		{"show crypto ikev2 proposal", "genie-ShowCryptoIkev2Proposal-output.txt", Knobs{}, nil},
		{"show crypto ikev2 policy", "genie-ShowCryptoIkev2Policy-output.txt", Knobs{}, nil},
		{"show crypto ikev2 stats", "genie-ShowCryptoIkev2Stats-output.txt", Knobs{}, nil},
		{"show monitor capture", "genie-ShowMonitorCapture-output2.txt", Knobs{ExecPromptTimestamp: true},
			[]string{"Interface: INTERFACE, Direction: BOTH", "Status Information for Capture c", "Status : Inactive"}},
		{"show access-lists x", "ntc-show_ip_access-lists.txt", Knobs{}, []string{"Extended IP access list x"}},
		{"dir bootflash:", "ntc-dir.txt", Knobs{}, []string{"0 -rw- 0 MONTH 0 0 0:0:0 +0:0 file.txt"}},
		{"show platform hardware qfp active statistics drop", "genie-ShowPlatformHardwareCppActiveStatisticsDrop-output.txt",
			Knobs{}, nil},
		{"show platform hardware qfp active feature ipsec datapath drops all",
			"genie-ShowPlatformHardwareQfpActiveFeatureIpsecDatapathDropsAll-output.txt", Knobs{}, nil},
		{"show platform software punt-policer", "genie-ShowPlatformSoftwarePuntPolicer-output.txt", Knobs{}, nil},
		{"show policy-map control-plane", "genie-ShowPolicyMapControlPlane-output2.txt", Knobs{},
			[]string{"Service-policy input:COPP", "Class-map:TEST (match-any)"}},
		{"show interfaces GigabitEthernet1", "genie-ShowInterfaces-output_3.txt", Knobs{},
			[]string{"Hardware is CSR vNIC, address is 0.0a0.0b0c (bia 0.0a0.0b0c)"}},
		{"show debugging", "genie-ShowDebug-output.txt", Knobs{}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.command, func(t *testing.T) {
			known := map[string]bool{"": true}
			for _, line := range strings.Split(fixture(t, tt.file), "\n") {
				known[shape(line)] = true
			}
			for _, s := range tt.other {
				known[s] = true
			}
			r := start(t, Config{Knobs: tt.knobs, Flash: map[string][]byte{"file.txt": nil},
				Drops: []Drop{{DataPlane, "Ipv4NoRoute", 41, 0}, {ControlPlane, "TEST", 5, 0}},
				ACLs: []ACL{{Name: "x", Entries: []string{"permit icmp 10.10.37.16 0.0.0.3 host 10.10.37.17",
					"permit tcp host 10.1.1.1 eq bgp host 10.1.1.2"}}}})
			r.Type("monitor capture c match any interface gi1 both buffer size 10")
			out := login(t, r).run(tt.command)
			if strings.TrimSpace(out) == "" {
				t.Fatal("nothing printed")
			}
			for _, line := range strings.Split(out, "\n") {
				if !known[shape(line)] {
					t.Errorf("no recorded line has the shape %q of %q", shape(line), line)
				}
			}
		})
	}
}

func TestStopStatisticsAsRecorded(t *testing.T) {
	r := start(t, Config{Knobs: Knobs{StopStatistics: true}})
	r.Type("monitor capture cap1 match any interface gi1 both start")
	_, want, _ := strings.Cut(fixture(t, "genie-MonitorCaptureStop-output.txt"), "\n")
	got := login(t, r).run("monitor capture cap1 stop")
	if shape(strings.Join(strings.Fields(got), " ")) != shape(strings.Join(strings.Fields(want), " ")) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// The chassis line and the uptime of a C8000V.
func TestVersion17(t *testing.T) {
	recorded := fixture(t, "genie-ShowVersion-output_c8000v.txt")
	out := login(t, start(t, Config{Version: "17.9.4a"})).run("show version")
	for _, form := range []string{`(?m)^cisco C8000V \(VXE\) processor \(revision VXE\) with \d+K/\d+K bytes of memory\.$`,
		`(?m)^\S+ uptime is \S.*$`,
		`(?m)^Processor board ID \S+$`, `(?m)^System image file is "bootflash:\S+"$`,
		`(?m)^Router operating mode: Autonomous$`} {
		if re := regexp.MustCompile(form); !re.MatchString(recorded) || !re.MatchString(out) {
			t.Errorf("%s: recorded %v, printed %v", form, re.MatchString(recorded), re.MatchString(out))
		}
	}
	if !strings.Contains(out, "Cisco IOS XE Software, Version 17.09.04a\n") {
		t.Errorf("version:\n%s", out)
	}
}
