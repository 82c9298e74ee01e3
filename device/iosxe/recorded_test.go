package iosxe

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// count is how many lines of text match, as a referee that shares nothing with the parsers.
func count(text, line string) int {
	return len(regexp.MustCompile(`(?mi)`+line).FindAllString(text, -1))
}

// recordings says which parser reads which recorded outputs, and what it must find there.
var recordings = []struct {
	pattern string
	read    func(t *testing.T, text string)
}{
	{"genie-ShowMonitorCapture-*", readCaptures},
	{"csr1000v-show-monitor-capture-unattached.txt", readCaptures},
	{"csr1000v-show-monitor-capture-ipv4-filter.txt", readCaptures},
	{"csr1000v-limit-help-and-udp-filter.txt", readCaptures},
	{"csr1000v-show-monitor-capture-parameter.txt", readParameter},
	{"csr1000v-show-monitor-capture-buffer-and-start.txt", readBuffer},
	{"csr-buffer-brief-azure.txt", readBrief},
	{"isr-buffer-brief-dscp.txt", readBrief},
	{"cedge-sdwan-brief-detailed-export.txt", readBrief},
	{"iosxe-buffer-dump.txt", readDump},
	{"genie-ShowMonitorCaptureBuffer*", readSwitch},
	{"genie-ShowMonitorCaptureFile*", readSwitch},
	{"genie-ShowMonitorCaptureStatistics*", readSwitch},
	{"genie-Dir-*", readDir},
	{"ntc-dir.txt", readDir},
	{"dir-missing-file-c8000v-17.12.txt", refusedAs(Missing)},
	{"delete-file-dialog.txt", refusedAs(Missing)},
	{"scp-server-denied.txt", nil}, // it is the SCP client that hears it
	{"genie-ShowVersion-*", readVersion},
	{"show-version-csr1000v-16.12.txt", readVersion},
	{"genie-ShowClock-*", readClock},
	{"ntc-show_clock*", readClock},
	{"show-clock-detail.txt", readClock},
	{"genie-ShowPrivilege-*", readPrivilege},
	{"genie-ShowIpInterfaceBrief-*", readInterfaces},
	{"genie-ShowIpAccessLists-*", readAccessLists},
	{"ntc-show_ip_access-lists.txt", readAccessLists},
	{"genie-ShowNtpStatus-*", readNTP},
	{"genie-ShowDebug-*", readDebug},
	{"genie-ShowCryptoIkev2Sa*", readIKEv2SA},
	{"ikev2-sa-and-pqc-xe26.2.txt", readIKEv2SA},
	{"genie-ShowCryptoIsakmpSa-*", readISAKMPSA},
	{"verify-md5.txt", readMD5},
	{"monitor-capture-messages-genielibs.txt", readMessages},
	{"csr1000v-stop-clear.txt", readStopClear},
	{"genie-MonitorCaptureStop-output.txt", noRefusal},
	{"isr4351-xe3.16-tunnel-capture-export.txt", noRefusal},
	{"csr1000v-export-scp.txt", noRefusal},
	{"cat3850-start-syslog-wireshark-style.txt", noRefusal},
	{"security-warning-xe17.18.txt", readSecurityWarning},
	{"copy-*", readDialog},
	{"genie-ShowPlatformHardware*StatisticsDrop-*", readDrops("show-qfp-drops")},
	{"genie-ShowPlatformHardware*DropsAll-*", readDrops("show-ipsec-drops")},
	{"genie-ShowPlatformSoftwarePuntPolicer-*", readDrops("show-punt-policer")},
	{"genie-ShowPlatformHardware*Punt*", readDrops("show-punt-causes")},
	{"genie-ShowCryptoIkev2StatsExchange-*", readSome(ParseExchanges)},
	{"genie-ShowCryptoIkev2StatsTimeout-*", readTimeouts},
	{"genie-ShowMonitorEventTraceCryptoIkev2EventAll-*", readSome(ParseEventTrace)},
	{"genie-ShowMonitorEventTraceCryptoPkiErrorAll-*", readSome(ParseEventTrace)},
	{"genie-ShowMonitorEventTraceCryptoAllDetail-*", readSome(ParseEventTrace)},
	{"genie-ShowLoggingProcessIos*", readSome(ParseBinaryTrace)},
	{"genie-ShowPolicyMapControlPlane-*", readDrops("show-control-plane-policy")},
	{"genie-ShowInterfaces-*", readDrops("show-interface")},
	{"genie-ShowRedundancy-*", readRedundancy},
	{"genie-ShowPlatformPacketSumm-*", readTraced(ParseTraceSummary)},
	{"genie-ShowPlatformPacketTracePacket-*", readTraced(ParseTracedPackets)},
}

// What no parser of this package reads: it is kept as text for the report, or is no output of a
// router that is driven.
var unread = []string{
	"classic-ios-buffer-dump.txt", "csr1000v-export-linktype.txt", "csr1000v-monitor-capture-help.txt", "debug-*",
	"genie-ShowCryptoIkev2Count*",
	"genie-ShowCryptoIkev2Diagnose*", "genie-ShowCryptoIkev2Performance*", "genie-ShowCryptoIkev2Policy*",
	"genie-ShowCryptoIkev2Proposal*",
	"genie-ShowCryptoIkev2Session*", "genie-ShowCryptoIkev2Stats-*", "genie-ShowCryptoIkev2StatsExt-*",
	"genie-ShowCryptoIkev2StatsPsh-*", "genie-ShowCryptoIkev2StatsReconnect-*", "genie-ShowCryptoIpsec*",
	"genie-ShowCryptoIsakmpSaCount*",
	"genie-ShowCryptoIsakmpSaDetail*", "genie-ShowCryptoIsakmpSaStatus*", "genie-ShowCryptoSession*",
	"genie-ShowFileSystems*", "genie-ShowIpNat*",
	"genie-ShowIpSsh*", "genie-ShowLine-*", "genie-ShowNtpAssociations*", "genie-ShowNtpConfig*", "genie-ShowUsers-*",
	"ntc-show_crypto*", "ntc-show_ip_nat*", "ntc-show_users.txt", "prompt-regexes-from-tools.txt",
	"scp-o-upload-xe26.2.txt", "ssh-*",
}

// readSome reads an output of which something is made.
func readSome[T any](parse func(string) []T) func(*testing.T, string) {
	return func(t *testing.T, text string) {
		if len(parse(text)) == 0 {
			t.Error("nothing is made out of it")
		}
	}
}

func readTimeouts(t *testing.T, text string) {
	if len(ParseTimeouts(text)) == 0 {
		t.Error("nothing is made out of it")
	}
}

func TestEveryRecordingIsRead(t *testing.T) {
	read := map[string]bool{}
	for _, r := range recordings {
		for _, name := range recorded(t, r.pattern) {
			read[name] = true
			t.Run(name, func(t *testing.T) {
				if r.read != nil {
					r.read(t, sample(t, name))
				}
			})
		}
	}
	for _, name := range recorded(t, "*.txt") {
		known := read[name]
		for _, pattern := range unread {
			if ok, _ := filepath.Match(pattern, name); ok && known {
				t.Errorf("%s is read, and listed as unread by %s", name, pattern)
			} else {
				known = known || ok
			}
		}
		if !known {
			t.Errorf("%s: no parser reads it, and no reason is given", name)
		}
	}
}

func readCaptures(t *testing.T, text string) {
	all, err := ParseCaptures(text)
	if err != nil || len(all) != count(text, `^\s*Status Information for Capture `) || len(all) == 0 {
		t.Fatalf("%d captures, %v", len(all), err)
	}
	active, attached := 0, 0
	for _, c := range all {
		attached += len(c.Interfaces)
		if c.Active {
			active++
		}
	}
	if active != count(text, `^\s*Status : Active`) || attached != count(text, `^\s*Interface: .*Direction`) {
		t.Errorf("%d active, %d attached", active, attached)
	}
	if mb := all[0].BufferMB; mb > 0 != (count(text, `Buffer Size \(in MB\): \d`) > 0) {
		t.Errorf("buffer of %d MB", mb)
	}
}

func readParameter(t *testing.T, text string) {
	if got, want := len(ParseParameter(text)), count(text, `^ +monitor capture `); got != want || want == 0 {
		t.Errorf("%d lines, want %d", got, want)
	}
}

func readBuffer(t *testing.T, text string) {
	for part := range strings.SplitSeq(text, "#show ") {
		if b, err := ParseBuffer(part); count(part, `packets in buf`) > 0 && (err != nil || b.SizeKB != 10240) {
			t.Errorf("%+v, %v", b, err)
		}
	}
}

func readBrief(t *testing.T, text string) {
	rows := ParseBrief(text)
	if want := count(text, ` ->  `); len(rows) != want || want == 0 {
		t.Fatalf("%d rows, want %d", len(rows), want)
	}
	for _, r := range rows {
		if !r.Src.IsValid() || !r.Dst.IsValid() || r.Size < 54 || r.DSCP < 0 || count(r.Protocol, `^[A-Z]+$`) != 1 {
			t.Errorf("row %+v", r)
		}
	}
}

func readDump(t *testing.T, text string) {
	n, bytes := 0, 0
	for p, err := range ParseDump(strings.NewReader(text)) {
		if err != nil {
			t.Fatal(err)
		}
		n, bytes = n+1, bytes+len(p.Data)
	}
	if n != count(text, `^\d+ *$`) || bytes <= 16*(count(text, `^ +[0-9A-F]{4}: `)-n) {
		t.Errorf("%d packets of %d bytes", n, bytes)
	}
}

// What a switch prints must give no rows, so that nothing is made of it.
func readSwitch(t *testing.T, text string) {
	if rows := ParseBrief(text); len(rows) > 0 {
		t.Errorf("%d rows of a router's listing", len(rows))
	}
	if strings.Contains(text, "Starting the packet display") && !SwitchStyle(text) {
		t.Error("it is a switch")
	}
}

func readDir(t *testing.T, text string) {
	d, err := ParseDir(text)
	if err != nil || len(d.Files) == 0 {
		t.Fatalf("%d files, %v", len(d.Files), err)
	}
	if want := count(text, `^ *\d* *[d-][rwx -]{3,9} +\d+ .*\S`); len(d.Files) != want {
		t.Errorf("%d files, want %d", len(d.Files), want)
	}
	if (count(text, `bytes free\)`) > 0) != (d.Free >= 0) {
		t.Errorf("%d bytes free", d.Free)
	}
}

func refusedAs(kind RefusalKind) func(*testing.T, string) {
	return func(t *testing.T, text string) {
		for line := range strings.SplitSeq(text, "\n") {
			if !strings.HasPrefix(line, "%") {
				continue
			}
			if r := Refused(exec("dir-file", "dir bootflash:x"), line); r == nil || r.Kind != kind {
				t.Errorf("%q: %+v", line, r)
			}
			return
		}
		t.Error("the recording has no refusal")
	}
}

func readVersion(t *testing.T, text string) {
	v, err := ParseVersion(text)
	if err != nil || v.Software == "" {
		t.Fatalf("%+v, %v", v, err)
	}
	if count(text, `^\S+ uptime is`) > 0 && (v.Hostname == "" || v.Model == "") {
		t.Errorf("%+v", v)
	}
}

func readClock(t *testing.T, text string) {
	c, err := ParseClock(text)
	if err != nil || c.Time.IsZero() || c.Zone == "" {
		t.Fatalf("%+v, %v", c, err)
	}
	if !strings.Contains(text, c.Time.Format("15:04:05.000")) || c.Time.Format("Mon") == "" ||
		!strings.Contains(text, c.Time.Format("Mon Jan")) {
		t.Errorf("%s is not in the recording", c.Time.Format(time.RFC3339Nano))
	}
}

func readPrivilege(t *testing.T, text string) {
	if n, err := ParsePrivilege(text); err != nil || count(text, `privilege level is 15`) > 0 != (n == 15) {
		t.Errorf("%d, %v", n, err)
	}
}

func readInterfaces(t *testing.T, text string) {
	all, err := ParseInterfaces(text)
	if want := count(text, `^\s*\S+ +\S+ +(YES|NO) `); err != nil || len(all) != want || want == 0 {
		t.Errorf("%d interfaces, want %d, %v", len(all), want, err)
	}
}

func readAccessLists(t *testing.T, text string) {
	all, entries := ParseAccessLists(text), 0
	for _, a := range all {
		entries += len(a.Entries)
	}
	if want := count(text, ` access list `); len(all) != want || want == 0 {
		t.Errorf("%d lists, want %d", len(all), want)
	}
	if want := count(text, `^\s*(\d+ )?(permit|deny|remark|evaluate|dynamic) `); entries != want {
		t.Errorf("%d entries, want %d", entries, want)
	}
}

func readNTP(t *testing.T, text string) {
	if n, err := ParseNTP(text); err != nil || n.Synchronised != (count(text, `is synchronized`) > 0) {
		t.Errorf("%+v, %v", n, err)
	}
}

func readDebug(t *testing.T, text string) {
	if got, want := len(ParseDebug(text)), count(text, `debugging is on`); got < want || want == 0 {
		t.Errorf("%d debugs, want %d", got, want)
	}
}

func readIKEv2SA(t *testing.T, text string) {
	all := ParseIKEv2SA(text)
	if want := count(text, `\b(READY|IN-NEG|DELETE)\s*$`); len(all) != want {
		t.Errorf("%d SAs, want %d", len(all), want)
	}
	for _, sa := range all {
		if !sa.Local.IsValid() || !sa.Remote.IsValid() || sa.Remote.Port() == 0 ||
			(count(text, `Local spi:`) > 0) != (len(sa.LocalSPI) == 16) {
			t.Errorf("%+v", sa)
		}
	}
}

func readISAKMPSA(t *testing.T, text string) {
	all := ParseISAKMPSA(text)
	// In the IPv6 rows the recording's editor made addresses that are none, as 100.0.10::2.
	if want := count(text, `^\d+\.\d+\.\d+\.\d+ .*\s(QM_IDLE|MM_[A-Z_]+|AG_[A-Z_]+)\s`); len(all) != want {
		t.Errorf("%d SAs, want %d: %+v", len(all), want, all)
	}
}

func readMD5(t *testing.T, text string) {
	if got, err := ParseMD5(text); err != nil || !strings.Contains(text, got) {
		t.Errorf("%q, %v", got, err)
	}
}

// readMessages holds each recorded answer of monitor capture to what it must be taken for.
func readMessages(t *testing.T, text string) {
	name, err := ParseName("cap1")
	if err != nil {
		t.Fatal(err)
	}
	kinds := []struct {
		text string
		kind RefusalKind
	}{
		{"does not exist", Missing}, {"Non-existent access-list", Missing}, {"not found", Missing},
		{"is not active", NotActive},
		{"Clear not supported", Unsupported}, {"Failed to Export", Unclassified},
	}
	for line := range strings.SplitSeq(text, "\n") {
		_, answer, ok := strings.Cut(line, " => ")
		if !ok {
			continue
		}
		_, answer, quoted := strings.Cut("\""+answer, "\"")
		if i := strings.Index(answer, `genie: "`); quoted && i >= 0 {
			answer = strings.Trim(answer[i+len(`genie: "`):], `"`)
		}
		answer = strings.ReplaceAll(answer, `\r\n`, "\r\n")
		want, refuses := Unclassified, false
		for _, k := range kinds {
			if strings.Contains(answer, k.text) {
				want, refuses = k.kind, true
			}
		}
		r := Refused(StartCapture(name), answer)
		switch asks := strings.HasSuffix(answer, "[confirm]"); {
		case asks && !Dialog.Get().MatchString(answer):
			t.Errorf("no dialogue: %q", answer)
		case !asks && refuses != (r != nil):
			t.Errorf("%q: refused as %+v", answer, r)
		case !asks && refuses && r.Kind != want:
			t.Errorf("%q: kind %d, want %d", answer, r.Kind, want)
		}
	}
}

func readStopClear(t *testing.T, text string) {
	noRefusal(t, text)
	if clean := Clean(text); strings.Contains(clean, "BUFCAP") || !strings.Contains(clean, "cleared buffer : TEST") {
		t.Errorf("the log line belongs to no output:\n%s", clean)
	}
}

// noRefusal reads recordings of commands that succeeded, line by line.
func noRefusal(t *testing.T, text string) {
	name, err := ParseName("cap1")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(text, "\n") {
		if r := Refused(StopCapture(name), line); r != nil {
			t.Errorf("%q is taken for a refusal: %v", line, r)
		}
	}
}

func readSecurityWarning(t *testing.T, text string) {
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		if SyslogLine(line) {
			n++
		}
	}
	if want := count(text, `WARNING - Module`); n < want || want == 0 {
		t.Errorf("%d lines taken for log lines, want %d", n, want)
	}
}

func readDialog(t *testing.T, text string) {
	asked := 0
	for line := range strings.SplitSeq(text, "\n") {
		for _, end := range []string{"]? ", "]?", "[confirm]"} {
			if i := strings.Index(line, end); i >= 0 && Dialog.Get().MatchString(line[:i+len(end)]) {
				asked++
				break
			}
		}
	}
	if want := count(text, `(\]\?|\[confirm\])`); asked != want || want == 0 {
		t.Errorf("%d questions, want %d", asked, want)
	}
}

// TestGuide reads what the tech note shows of its router, as the page has it: no indentation, tabs
// between columns.
func TestGuide(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join("..", "..", "..", "shared", "guide", "*.txt"))
	if err != nil || len(paths) == 0 {
		t.Skip("the tech note is not here")
	}
	b, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	status := text[strings.Index(text, "Status Information for Capture"):]
	status = status[:strings.Index(status, "```")]
	all, err := ParseCaptures(status)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d captures, %v", len(all), err)
	}
	c := all[0]
	if c.Name != "cap" || c.ACL != "cap" || !c.Active || c.BufferMB != 10 || c.PPS != 1000 || c.Packets != 0 ||
		c.Duration != 0 || len(c.Interfaces) != 1 ||
		c.Interfaces[0] != (Attachment{"GigabitEthernet1", "both"}) {
		t.Errorf("%+v", c)
	}
	var sizes []int
	var last time.Duration
	for i, r := range ParseBrief(text) {
		if r.Index != i || r.DSCP != 48 || r.Protocol != "UDP" || r.Offset < last {
			t.Errorf("row %+v", r)
		}
		sizes, last = append(sizes, r.Size), r.Offset
	}
	if len(sizes) != 12 || sizes[0] != 496 || sizes[11] != 138 || last != 655016*time.Microsecond {
		t.Errorf("%d rows of %v, the last at %s", len(sizes), sizes, last)
	}
}

func readDrops(command string) func(*testing.T, string) {
	return func(t *testing.T, text string) {
		if len(ParseDrops(command, text)) == 0 {
			t.Errorf("%s counts nothing", command)
		}
	}
}

// readTraced wants every packet to have a state, and a number that follows the one before.
func readTraced(read func(string) []TracedPacket) func(*testing.T, string) {
	return func(t *testing.T, text string) {
		all := read(text)
		if len(all) == 0 {
			t.Fatal("no packet is read")
		}
		for i, p := range all {
			if p.State == "" || p.Input == "" || p.Number != all[0].Number+i {
				t.Errorf("packet %d: %+v", i, p)
			}
		}
	}
}

func readRedundancy(t *testing.T, text string) {
	r, err := ParseRedundancy(text)
	if err != nil || r.System < time.Hour || r.Active < time.Hour || r.Active > r.System+time.Minute || r.Reason == "" {
		t.Errorf("%+v, %v", r, err)
	}
}
