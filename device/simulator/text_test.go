package simulator

import (
	"encoding/hex"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// trimmed drops the blanks at line ends: transcripts have been through terminals that add and
// remove them.
func trimmed(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}

// after is the part of a recorded dialogue between a typed command and the next prompt.
func after(t *testing.T, dialogue, command string) string {
	t.Helper()
	re := regexp.MustCompile(`(?m)^\S+?#` + regexp.QuoteMeta(command) + ` *\n`)
	at := re.FindStringIndex(dialogue)
	if at == nil {
		t.Fatalf("the recording has no %q", command)
	}
	rest := dialogue[at[1]:]
	if end := regexp.MustCompile(`(?m)^\S*?#`).FindStringIndex(rest); end != nil {
		rest = rest[:end[0]]
	}
	return rest
}

// Each command is typed on a simulated router and its output compared with what a router was
// recorded to print.
func TestRecordedDialogues(t *testing.T) {
	one := []string{"monitor capture TEST interface GigabitEthernet1 in", "monitor capture TEST buffer size 10"}
	tests := map[string]struct {
		file    string
		setup   []string
		command string
	}{
		"unattached": {"csr1000v-show-monitor-capture-unattached.txt", []string{"monitor capture TEST match any"},
			"show monitor capture"},
		"prefix filter": {"csr1000v-show-monitor-capture-ipv4-filter.txt",
			append([]string{"monitor capture TEST match ipv4 host 8.8.8.8 192.168.1.0/24"}, one...),
			"show monitor capture TEST"},
		"udp filter": {"csr1000v-limit-help-and-udp-filter.txt",
			append([]string{"monitor capture TEST match ipv4 protocol udp host 8.8.8.8 eq 53 any",
				"monitor capture TEST limit packets 10"}, one...),
			"show monitor capture TEST"},
		"parameter": {"csr1000v-show-monitor-capture-parameter.txt",
			append([]string{"monitor capture TEST match any"}, one...), "show monitor capture TEST parameter"},
		"empty buffer": {"csr1000v-show-monitor-capture-buffer-and-start.txt",
			append([]string{"monitor capture TEST match any"}, one...), "show monitor capture TEST buffer"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			recorded := sample(t, tt.file)
			c := login(t, start(t, Config{Hostname: "csr8"}))
			for _, line := range tt.setup {
				c.run(line)
			}
			if got, want := trimmed(c.run(tt.command)), trimmed(after(t, recorded, tt.command)); got != want {
				t.Errorf("%s\ngot:\n%s\nwant:\n%s", tt.command, got, want)
			}
		})
	}
}

func TestRecordedStartStopClear(t *testing.T) {
	recorded := sample(t, "csr1000v-show-monitor-capture-buffer-and-start.txt") + sample(t, "csr1000v-stop-clear.txt")
	synctest.Test(t, func(t *testing.T) {
		c := login(t, start(t, Config{Hostname: "csr8", NoNTP: true, Knobs: Knobs{TerminalMonitor: true}}))
		c.run("monitor capture TEST match any")
		c.run("monitor capture TEST interface GigabitEthernet 1 both")
		c.send("monitor capture TEST start\n")
		enabled := c.until(regexp.MustCompile(`enabled\.\r\n`))
		c.send("monitor capture TEST stop\n")
		disabled := c.until(regexp.MustCompile(`disabled\.\r\n`))
		c.send("monitor capture TEST clear\n")
		asked := c.until(regexp.MustCompile(`\[confirm\]$`))
		c.send("\n")
		cleared := c.until(prompt)
		for _, line := range []string{"Started capture point : TEST", "Stopped capture point : TEST",
			"Captured data will be deleted [clear]?[confirm]", "cleared buffer : TEST"} {
			if !strings.Contains(recorded, line) {
				t.Errorf("not in the recording: %q", line)
			}
			if !strings.Contains(enabled+disabled+asked+cleared, line) {
				t.Errorf("not printed: %q", line)
			}
		}
		stamp := regexp.MustCompile(`(?m)^\*[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d\.\d{3}: `)
		for _, line := range regexp.MustCompile(`(?m)^\*.*BUFCAP.*`).FindAllString(recorded, -1) {
			plain := stamp.ReplaceAllString(line, "")
			if plain == line || !strings.Contains(stamp.ReplaceAllString(strings.ReplaceAll(enabled+disabled, "\r\n", "\n"), ""),
				plain) {
				t.Errorf("log line %q is not printed like that", line)
			}
		}
	})
}

// Rows of recorded listings are printed again from packets with those values.
func TestRecordedListings(t *testing.T) {
	row := regexp.MustCompile(`^ +\d+ +(\d+) +(\d+)\.(\d+) +(\S+) +-> +(\S+) +(\d+) +\S+ +(\S+)`)
	number17 := map[string]byte{"UDP": 17, "TCP": 6, "ICMP": 1}
	for _, name := range []string{"csr-buffer-brief-azure.txt", "isr-buffer-brief-dscp.txt",
		"cedge-sdwan-brief-detailed-export.txt"} {
		recorded, _, _ := strings.Cut(sample(t, name), "\n\n")
		var c capturePoint
		var want []string
		begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		for _, line := range strings.Split(recorded, "\n") {
			m := row.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			frame := ipFrame(m[4], m[5], number17[m[7]], 0, make([]byte, 8))
			frame[15] = byte(number(m[6]) << 2)
			at := begin.Add(time.Duration(number(m[2]))*time.Second +
				time.Duration(number(strings.TrimLeft(m[3], "0")))*time.Microsecond)
			c.buffer.packets = append(c.buffer.packets, captured{at, frame, number(m[1])})
			want = append(want, line)
		}
		if len(want) < 4 {
			t.Fatalf("%s: only %d rows", name, len(want))
		}
		got := c.listing(false, 0)
		for _, line := range append(want, strings.Split(strings.TrimSuffix(listingHead, "\n"), "\n")...) {
			if !strings.Contains(got, line+"\n") || !strings.Contains(recorded, line) {
				t.Errorf("%s: row %q is printed otherwise: %q", name, line, strings.SplitN(got, "\n", 6)[3:5])
			}
		}
	}
}

func TestRecordedDump(t *testing.T) {
	_, recorded, _ := strings.Cut(sample(t, "iosxe-buffer-dump.txt"), "\n")
	hexRow := regexp.MustCompile(`(?m)^  [0-9A-F]{4}:  ([0-9A-F ]{1,35})`)
	packets := strings.Split(strings.TrimSpace(recorded), "\n\n")
	for _, p := range packets {
		_, p, _ = strings.Cut(p, "\n")
		var data []byte
		for _, m := range hexRow.FindAllStringSubmatch(p, -1) {
			b, err := hex.DecodeString(strings.ReplaceAll(m[1], " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			data = append(data, b...)
		}
		if got := dumpText(data); got != p+"\n" {
			t.Errorf("got:\n%swant:\n%s", got, p)
		}
	}
	if len(packets) != 2 {
		t.Errorf("%d packets in the recording", len(packets))
	}
}

// The messages of monitor capture, as collected from other tools' test data: `command => response`.
func TestRecordedMessages(t *testing.T) {
	recorded := sample(t, "monitor-capture-messages-genielibs.txt")
	tests := map[string][]string{ // the response's beginning, and what leads to it
		"Started capture point : cap1": {"monitor capture cap1 match any " +
			"interface gi1 both", "monitor capture cap1 start"},
		"Capture does not exist":                  {"no monitor capture cap1"},
		"Capture point does not exist : capture1": {"monitor capture capture1 clear"},
		"Capture point does not exist : test":     {"monitor capture test start"},
		`Capture cap1 is not active\r\n\r\nUnable to deactivate Capture.`: {"monitor capture cap1 match any " +
			"interface gi1 both", "monitor capture cap1 stop"},
		`Non-existent access-list specified\r\n\r\nFailed to attach existing ACL`: {"monitor capture test " +
			"access-list MYACLV6"},
		`Class-map myclassmap not found\r\n\r\nFailed to attach existing class-map`: {"monitor capture test class-map " +
			"myclassmap"},
		"Duration limit is already set, replace?[confirm]": {"monitor capture x limit duration 5",
			"monitor capture x limit duration 6"},
		"Packet Size limit is already set, replace?[confirm]": {"monitor capture x limit packet-len 64",
			"monitor capture x limit packet-len 65"},
		"Packet count limit is already set, replace?[confirm]": {"monitor capture x limit packets 5",
			"monitor capture x limit packets 6"},
		"Packets per second limit is already set, replace?[confirm]": {"monitor capture x limit pps 5",
			"monitor capture x limit pps 6"},
		"Packet sampling limit is already set, replace?[confirm]": {"monitor capture x limit every 5",
			"monitor capture x limit every 6"},
		"Buffer size was  already specified, replace?[confirm]": {"monitor capture x buffer size 5",
			"monitor capture x buffer circular size 6"},
		"A file by the name already exists, overwrite?[confirm]": {"monitor capture x match any interface gi1 both",
			"monitor capture x export flash:f", "monitor capture x export flash:f"},
	}
	for response, lines := range tests {
		t.Run(response, func(t *testing.T) {
			if !strings.Contains(recorded, response) {
				t.Fatal("not in the recording")
			}
			c := login(t, start(t, Config{}))
			for _, line := range lines[:len(lines)-1] {
				c.run(line)
			}
			c.send(lines[len(lines)-1] + "\n")
			want := strings.ReplaceAll(response, `\r\n`, "\r\n")
			got := c.until(regexp.MustCompile(`\[confirm\]$|\w[>#]$`))
			if _, got, _ = strings.Cut(got, "\r\n"); !strings.HasPrefix(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestRecordedFilterQuestion(t *testing.T) {
	want := "A filter is already attached to the capture . Replace with specified filter?[confirm]"
	if !strings.Contains(sample(t, "csr1000v-show-monitor-capture-ipv4-filter.txt"), want) {
		t.Fatal("not in the recording")
	}
	c := login(t, start(t, Config{}))
	c.run("monitor capture TEST match any")
	c.send("monitor capture TEST match ipv4 host 8.8.8.8 192.168.1.0/24\n")
	if got := c.until(regexp.MustCompile(`\[confirm\]$`)); !strings.Contains(got, want) {
		t.Errorf("got %q", got)
	}
	c.send("n")
	c.until(prompt)
	if out := c.run("show monitor capture TEST parameter"); !strings.Contains(out, "match any") {
		t.Errorf("a refused question changed the filter: %s", out)
	}
}

func TestRecordedFiles(t *testing.T) {
	missing := sample(t, "dir-missing-file-c8000v-17.12.txt")
	c := login(t, start(t,
		Config{Version: "17.12.4a", Flash: map[string][]byte{"test_file.bin": []byte("x"), "staging-startup-config": nil}}))
	line := regexp.MustCompile(`(?m)^%Error opening bootflash:/(\S+) .*$`).FindStringSubmatch(missing)
	if got := c.run("dir bootflash:/" + line[1]); !strings.Contains(got, line[0]+"\n") {
		t.Errorf("dir: %q, want %q", got, line[0])
	}
	dir := c.run("dir bootflash:")
	for _, form := range []string{`(?m)^Directory of bootflash:/$`,
		`(?m)^ +\d+  drwx +16384  [A-Z][a-z]{2} [ \d]\d \d{4} \d\d:\d\d:\d\d [+-]\d\d:\d\d  lost\+found$`,
		`(?m)^ +\d+  -rw- +\d+  [A-Z][a-z]{2} [ \d]\d \d{4} \d\d:\d\d:\d\d [+-]\d\d:\d\d  \S+$`,
		`(?m)^\d+ bytes total \(\d+ bytes free\)$`} {
		re := regexp.MustCompile(form)
		if !re.MatchString(dir) {
			t.Errorf("dir does not match %s:\n%s", form, dir)
		}
	}
	deletion := sample(t, "delete-file-dialog.txt")
	c.send("delete bootflash:/staging-startup-config\n")
	asked := c.until(regexp.MustCompile(`\]\? $`))
	c.send("\n")
	asked += c.until(regexp.MustCompile(`\[confirm\]$`))
	c.send("\n")
	c.until(prompt)
	for _, q := range []string{"Delete filename [staging-startup-config]? ", "/staging-startup-config? [confirm]"} {
		if !strings.Contains(deletion, q) || !strings.Contains(asked, q) {
			t.Errorf("question %q: recorded %v, asked %v", q, strings.Contains(deletion, q), strings.Contains(asked, q))
		}
	}
	verify := regexp.MustCompile(`(?s)\.+Done!\nverify /md5 \(bootflash:\S+\) = [0-9a-f]{32}\n`)
	if !verify.MatchString(sample(t, "verify-md5.txt")) ||
		!verify.MatchString(c.run("verify /md5 bootflash:test_file.bin")) {
		t.Error("verify is not printed as recorded")
	}
}

func TestRecordedVersionAndClock(t *testing.T) {
	c := login(t, start(t, Config{}))
	version := c.run("show version")
	for _, line := range strings.Split(sample(t, "show-version-csr1000v-16.12.txt"), "\n")[2:] {
		if line = strings.TrimSpace(line); strings.Contains(line, "Version") &&
			!strings.Contains(version, strings.TrimSpace(line)+"\n") {
			t.Errorf("not printed: %q", line)
		}
	}
	clock := regexp.MustCompile(
		`(?m)^\d\d:\d\d:\d\d\.\d{3} [A-Z]{3} [A-Z][a-z]{2} [A-Z][a-z]{2} \d{1,2} \d{4}\nTime source is NTP$`)
	if !clock.MatchString(sample(t, "show-clock-detail.txt")) {
		t.Error("the recording has another form")
	}
	if out := c.run("show clock detail"); !clock.MatchString(out) {
		t.Errorf("clock: %q", out)
	}
}

func TestRecordedHelp(t *testing.T) {
	recorded := sample(t, "csr1000v-monitor-capture-help.txt") + sample(t, "csr1000v-limit-help-and-udp-filter.txt")
	c := login(t, start(t, Config{Hostname: "csr8"}))
	for _, command := range []string{"monitor capture TEST limit ?", "monitor capture TEST limit packets ?",
		"monitor capture TEST limit pps ?", "monitor capture TEST interface GigabitEthernet 1 ?"} {
		c.send(command)
		got := body(c.until(regexp.MustCompile(`#` + regexp.QuoteMeta(strings.TrimSuffix(command, "?")) + `$`)))
		c.send("\x15\r")
		c.until(prompt)
		if want := after(t, recorded, command); trimmed(got) != trimmed(want) {
			t.Errorf("%s\ngot:\n%s\nwant:\n%s", command, got, want)
		}
	}
}

// The status of the tech note, its blanks aside.
func TestGuideStatus(t *testing.T) {
	want := []string{"Status Information for Capture cap", "Target Type:", "Interface: GigabitEthernet1, Direction: BOTH",
		"Status : Active", "Filter Details:",
		"Access-list: cap", "Buffer Details:", "Buffer Type: LINEAR (default)", "Buffer Size (in MB): 10", "Limit Details:",
		"Number of Packets to capture: 0 (no limit)", "Packet Capture duration: 0 (no limit)",
		"Packet Size to capture: 0 (no limit)",
		"Maximum number of packets to capture per second: 1000", "Packet sampling rate: 0 (no sampling)"}
	c := login(t, start(t, Config{}))
	for _, line := range append(guideACL, guideDefine, "monitor capture cap start") {
		c.run(line)
	}
	var got []string
	for _, line := range strings.Split(c.run("show monitor capture cap"), "\n") {
		if line = strings.TrimSpace(line); line != "" {
			got = append(got, line)
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}
