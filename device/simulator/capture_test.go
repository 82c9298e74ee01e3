package simulator

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var question = regexp.MustCompile(`\[confirm\]$`)

// Dialogues of the capture point's life: "Y " before a line answers its question with a newline, "N
// " with n.
func TestCaptureStates(t *testing.T) {
	define := "monitor capture c match any interface gi1 both"
	tests := map[string]struct {
		knobs Knobs
		lines []string // command => what must be in its output
	}{
		"start needs an interface": {lines: []string{"monitor capture c match any", "", "monitor capture c start",
			"Unable to activate Capture."}},
		"start needs a filter": {lines: []string{"monitor capture c interface gi1 both", "", "monitor capture c start",
			"Unable to activate Capture."}},
		"start twice": {lines: []string{define, "", "monitor capture c start", "Started",
			"monitor capture c start", "Unable to activate Capture."}},
		"start on the same line": {lines: []string{define + " start", "Started capture point : c"}},
		"change while active": {lines: []string{define + " start", "Started", "monitor capture c buffer size 5",
			"Capture c is active"}},
		"remove while active": {lines: []string{define + " start", "Started", "no monitor capture c",
			"Capture c is active", "show monitor capture c", "Status : Active"}},
		"remove while active, knob": {Knobs{DeleteActive: true},
			[]string{define + " start", "Started", "no monitor capture c", "", "show monitor capture c", "does not exist"}},
		"export while active": {lines: []string{define + " start", "Started", "monitor capture c export flash:x",
			"Exported Successfully"}},
		"export while active, knob": {Knobs{RefuseExport: true},
			[]string{define + " start", "Started", "monitor capture c export flash:x", "Failed to Export"}},
		"export elsewhere": {lines: []string{define, "", "monitor capture c export tftp://192.0.2.9/x", "Failed to Export"}},
		"export over a file": {lines: []string{define, "", "monitor capture c export flash:x", "Exported",
			"N monitor capture c export flash:x", "overwrite?",
			"Y monitor capture c export flash:x", "Exported Successfully"}},
		"stop statistics": {Knobs{StopStatistics: true}, []string{define + " start", "Started", "monitor capture c stop",
			"Packets received - 0"}},
		"no capture at all": {Knobs{NoEPC: true}, []string{define, "Capture is not Supported", "show monitor capture",
			"Capture is not Supported"}},
		"replaced filter": {lines: []string{define, "", "Y monitor capture c match ipv4 any any", "Replace",
			"show monitor capture c param", "match ipv4 any any"}},
		"kept filter": {lines: []string{define, "", "N monitor capture c match ipv4 any any", "Replace",
			"show monitor capture c param", "match any"}},
		"replaced limit": {lines: []string{"monitor capture c limit packets 5", "", "Y monitor capture c limit packets 6",
			"replace?", "show monitor capture c", "to capture: 6"}},
		"default pps asks": {Knobs{AskPPS: true},
			[]string{"Y monitor capture c limit pps 5", "Packets per second limit is already set"}},
		"same interface": {lines: []string{define, "", "monitor capture c interface gi1 both",
			"already attached to the capture"}},
		"two interfaces": {lines: []string{define, "", "monitor capture c interface gi2 in", "", "show monitor capture c",
			"GigabitEthernet2, Direction: IN"}},
		"control plane": {lines: []string{"monitor capture c control-plane both match any", "", "show monitor capture c",
			"Control Plane, Direction : both"}},
		"clear": {lines: []string{define, "", "N monitor capture c clear", "[clear]?",
			"Y monitor capture c clear", "cleared buffer : c"}},
		"several limits": {lines: []string{"monitor capture c limit duration 60 packets 100 pps 9 buffer circular size 3",
			"", "show monitor capture c param", "buffer circular size 3"}},
		"limits show": {lines: []string{"monitor capture c limit every 2 packet-len 64", "", "show monitor capture c",
			"Packet sampling rate: 2"}},
		"list of other type": {lines: []string{"conf t", "", "ipv6 access-list six", "", "permit ipv6 any any", "", "end", "",
			"monitor capture c access-list six", ""}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := login(t, start(t, Config{Knobs: tt.knobs}))
			for i := 0; i < len(tt.lines); i += 2 {
				if got := dialogue(c, tt.lines[i]); !strings.Contains(got, tt.lines[i+1]) || tt.lines[i+1] == "" &&
					strings.Contains(got, "%") {
					t.Errorf("%s: %q, want %q", tt.lines[i], got, tt.lines[i+1])
				}
			}
		})
	}
}

func dialogue(c *console, line string) string {
	answer := map[string]string{"Y ": "\n", "N ": "n"}[line[:2]]
	if answer == "" {
		return c.run(line)
	}
	c.send(line[2:] + "\n")
	asked := c.until(question)
	c.send(answer)
	return asked + c.until(prompt)
}

func frames(n, size int) [][]byte {
	var all [][]byte
	for range n {
		all = append(all, udp("192.168.1.1", "192.168.2.1", 500, 500, size))
	}
	return all
}

// What limits and buffers do to a steady stream of packets.
func TestCaptureLimits(t *testing.T) {
	tests := map[string]struct {
		knobs   Knobs
		source  steady
		options string
		wait    time.Duration
		want    []string // in the counters and the status
		count   int
	}{
		"packets": {source: steady{frames(50, 10), time.Second}, options: "limit packets 7", wait: time.Minute,
			want: []string{"Inactive"}, count: 7},
		"duration": {source: steady{frames(50, 10), time.Second}, options: "limit duration 10", wait: time.Minute,
			want: []string{"Inactive"}, count: 10},
		"neither": {source: steady{frames(50, 10), time.Second}, wait: time.Minute, want: []string{"Status : Active"},
			count: 50},
		"pps": {source: steady{frames(200, 10), 10 * time.Millisecond}, options: "limit pps 20",
			wait: 3 * time.Second, want: []string{"Status : Active", "packets dropped  : 159"}, count: 41},
		"every": {source: steady{frames(50, 10), time.Second}, options: "limit every 10", wait: time.Minute, count: 5},
		"linear": {source: steady{frames(900, 1400), 10 * time.Millisecond}, options: "buffer size 1",
			wait: time.Minute, want: []string{"packets dropped  : 181", "buffer used (KB) : 1024", "Status : Active"},
			count: 719},
		"linear, knob": {knobs: Knobs{StopWhenFull: true}, source: steady{frames(900, 1400), 10 * time.Millisecond},
			options: "buffer size 1", wait: time.Minute, want: []string{"packets dropped  : 1\n", "Inactive"}, count: 719},
		"circular": {source: steady{frames(900, 1400), 10 * time.Millisecond}, options: "buffer circular size 1",
			wait: time.Minute, want: []string{"packets dropped  : 0", "Status : Active"}, count: 719},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := login(t, start(t, Config{Packets: tt.source, Knobs: tt.knobs}))
				c.run("monitor capture c match any interface gi1 both " + tt.options)
				c.run("monitor capture c start")
				time.Sleep(tt.wait)
				got := c.run("show monitor capture c") + c.run("show monitor capture c buffer")
				for _, want := range tt.want {
					if !strings.Contains(got, want) {
						t.Errorf("want %q in\n%s", want, got)
					}
				}
				if n := strings.Count(c.run("show monitor capture c buffer brief"), " -> "); n != tt.count {
					t.Errorf("%d packets, want %d", n, tt.count)
				}
			})
		})
	}
}

// A capture that ends by its limit says so on monitoring terminals at that moment,
// though nobody types.
func TestLimitIsAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := login(t, start(t, Config{Knobs: Knobs{TerminalMonitor: true}}))
		c.run("monitor capture c match any interface gi1 both limit duration 90")
		c.send("monitor capture c start\n")
		c.until(regexp.MustCompile(`%BUFCAP-6-ENABLE: Capture Point c enabled\.\r\n`))
		began := time.Now()
		c.until(regexp.MustCompile(`%BUFCAP-6-DISABLE: Capture Point c disabled\.\r\n`))
		if d := time.Since(began); d != 90*time.Second {
			t.Errorf("after %s", d)
		}
		if got := c.run("monitor capture c stop"); !strings.Contains(got,
			"Capture c is not active\n\nUnable to deactivate Capture.\n") {
			t.Errorf("stop: %q", got)
		}
	})
}

func TestDirections(t *testing.T) {
	source := steady{[][]byte{udp("192.168.1.1", "192.168.2.1", 1, 2, 4), udp("192.168.2.1", "192.168.1.1", 2, 1, 4),
		udp("192.168.2.1", "192.168.1.1", 2, 1, 4)}, time.Second}
	synctest.Test(t, func(t *testing.T) {
		c := login(t, start(t, Config{Packets: source}))
		for name, want := range map[string]int{"in": 2, "out": 1, "both": 3} {
			c.run("monitor capture " + name + " match any interface gi1 " + name)
			c.run("monitor capture " + name + " start")
			time.Sleep(time.Minute)
			if n := strings.Count(c.run("show monitor capture "+name+" buffer brief"), " -> "); n != want {
				t.Errorf("%s: %d packets, want %d", name, n, want)
			}
		}
		c.run("monitor capture other match any interface gi2 both start")
		time.Sleep(time.Minute)
		if n := strings.Count(c.run("show monitor capture other buffer brief"), " -> "); n != 0 {
			t.Errorf("%d packets on another interface", n)
		}
	})
}

// The dump has the bytes that the export has, and packet-len cuts both.
func TestDumpIsTheExport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{Packets: steady{[][]byte{udp("192.168.1.1", "192.168.2.1", 500, 500, 77),
			udp("192.168.2.1", "192.168.1.1", 500, 500, 300)}, time.Second}})
		c := login(t, r)
		c.run("monitor capture c match any interface gi1 both limit packet-len 200")
		c.run("monitor capture c start")
		time.Sleep(time.Minute)
		c.run("monitor capture c export bootflash:x")
		exported, err := readPcap(bytes.NewReader(r.FlashFiles()["x"]))
		if err != nil || len(exported) != 2 || len(exported[1].frame) != 200 || exported[1].length != 342 {
			t.Fatalf("exported %v, %v", exported, err)
		}
		dump := c.run("show monitor capture c buffer dump")
		want := "0\n" + dumpText(exported[0].frame) + "\n1\n" + dumpText(exported[1].frame) + "\n"
		if dump != want {
			t.Errorf("dump\n%swant\n%s", dump, want)
		}
	})
}

func TestFlashFull(t *testing.T) {
	r := start(t, Config{FlashFree: 20})
	c := login(t, r)
	c.run("monitor capture c match any interface gi1 both")
	if got := c.run("monitor capture c export bootflash:x"); !strings.Contains(got, "No space left on device") ||
		!strings.Contains(got, "Failed to Export") {
		t.Errorf("export: %s", got)
	}
	if n := len(r.FlashFiles()); n != 0 {
		t.Errorf("%d files", n)
	}
}

func TestFlashSpaceReturns(t *testing.T) {
	c := login(t, start(t, Config{Flash: map[string][]byte{"x": make([]byte, 1000)}, FlashFree: 5000}))
	before := c.run("dir bootflash: | include free")
	c.run("monitor capture c match any interface gi1 both")
	c.run("monitor capture c export bootflash:y")
	if after := c.run("dir bootflash: | include free"); !strings.Contains(after, "(4976 bytes free)") {
		t.Errorf("after the export: %s", after)
	}
	c.run("delete /force bootflash:y")
	if after := c.run("dir bootflash: | include free"); after != before {
		t.Errorf("after the deletion: %s, before: %s", after, before)
	}
}
