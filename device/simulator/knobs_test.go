package simulator

import (
	"bytes"
	"encoding/binary"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestExportForms(t *testing.T) {
	original := udp("192.168.1.1", "192.168.2.1", 500, 500, 77)
	tests := map[string]struct {
		config Config
		check  func(t *testing.T, file []byte)
	}{
		"plain": {Config{}, func(t *testing.T, file []byte) {
			if p, err := readPcap(bytes.NewReader(file)); err != nil || len(p) != 1 || !bytes.Equal(p[0].frame, original) {
				t.Errorf("packets %v, %v", p, err)
			}
		}},
		"nanoseconds": {Config{Knobs: Knobs{PcapNanoseconds: true}}, func(t *testing.T, file []byte) {
			if p, err := readPcap(bytes.NewReader(file)); err != nil || file[0] != 0x4d || len(p) != 1 {
				t.Errorf("packets %v, %v", p, err)
			}
		}},
		"raw": {Config{Knobs: Knobs{PcapRaw: true}}, func(t *testing.T, file []byte) {
			if link := binary.LittleEndian.Uint32(file[20:]); link != linkRaw || !bytes.HasSuffix(file, original[14:]) {
				t.Errorf("link type %d", link)
			}
			if p, err := readPcap(bytes.NewReader(file)); err != nil || len(p) != 1 ||
				!bytes.Equal(p[0].frame[14:], original[14:]) {
				t.Errorf("packets %v, %v", p, err)
			}
		}},
		"cut": {Config{Faults: []Fault{{Match: regexp.MustCompile(`export`), Action: ExportCut}}},
			func(t *testing.T, file []byte) {
				if _, err := readPcap(bytes.NewReader(file)); err == nil {
					t.Error("the file is whole")
				}
			}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.config.Packets = steady{[][]byte{original}, time.Second}
				r := start(t, tt.config)
				r.Type("monitor capture c match any interface gi1 both start")
				time.Sleep(time.Minute)
				login(t, r).run("monitor capture c export bootflash:x")
				tt.check(t, r.FlashFiles()["x"])
			})
		})
	}
}

func TestEmptyExport(t *testing.T) {
	r := start(t, Config{})
	r.Type("monitor capture c match any interface gi1 both", "monitor capture c export bootflash:x")
	if n := len(r.FlashFiles()["x"]); n != 24 {
		t.Errorf("%d bytes, want the header's 24", n)
	}
}

// Packets carry the time of the router's own clock, which may be ahead, and faster.
func TestClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{ClockOffset: time.Hour, ClockDrift: 1000, Zone: time.FixedZone("CET", 3600), NoNTP: true,
			Packets: steady{[][]byte{udp("192.168.1.1", "192.168.2.1", 1, 2, 3)}, 1000 * time.Second}})
		began := time.Now()
		r.Type("monitor capture c match any interface gi1 both start")
		time.Sleep(2000 * time.Second)
		r.Type("monitor capture c export bootflash:x")
		p, err := readPcap(bytes.NewReader(r.FlashFiles()["x"]))
		if err != nil || len(p) != 1 {
			t.Fatalf("%v, %v", p, err)
		}
		if d := p[0].at.Sub(began); d != time.Hour+1001*time.Second {
			t.Errorf("the packet is stamped %s after the beginning", d)
		}
		if got, want := r.Type("show clock detail"), "*02:33:22.000 CET Sat Jan 1 2000\r\nNo time source\r\n"; got != want {
			t.Errorf("clock %q, want %q", got, want)
		}
	})
}

// Every form of log lines and times of day that was recorded is one that a knob makes.
func TestTimeForms(t *testing.T) {
	debug := "IKEv2:(SESSION ID = 31,SA ID = 1):Generating IKE_SA_INIT message"
	for _, tt := range []struct {
		name, file, line string
		config           Config
	}{
		{"msec", "debug-crypto-ikev2-timestamped.txt", `^\*[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d\.\d{3}: IKEv2`,
			Config{NoNTP: true}},
		{"none", "debug-crypto-ikev2-plain-xe16.7.txt", `^IKEv2:\(SESSION ID = \d+,SA ID = \d+\):`,
			Config{Knobs: Knobs{Timestamps: "none"}}},
		{"zone", "debug-crypto-ikev2-seqnum-tz.txt", `^\d+: [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d\.\d{3} [A-Z]{3}: IKEv2`,
			Config{Zone: time.FixedZone("GMT", 0), Knobs: Knobs{Timestamps: "zone"}}},
		{"NTP lost", "genie-ShowClock-output2.txt", `^\.\d\d:\d\d:\d\d\.\d{3} [A-Z]{3} [A-Z][a-z]{2} [A-Z][a-z]{2} \d+ \d{4}`,
			Config{NTPLost: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			form := regexp.MustCompile(`(?m)` + tt.line)
			if !form.MatchString(sample(t, tt.file)) {
				t.Fatalf("not recorded in %s", tt.file)
			}
			tt.config.DebugLog = []string{debug}
			r := start(t, tt.config)
			r.Type("debug crypto ikev2")
			out := strings.ReplaceAll(r.Type("show logging")+r.Type("show clock detail")+r.Type("show ntp status"), "\r\n", "\n")
			if !form.MatchString(out) {
				t.Errorf("not printed:\n%s", out)
			}
			if lost := strings.Contains(out, "unsynchronized"); lost != tt.config.NTPLost {
				t.Errorf("unsynchronised: %v", lost)
			}
		})
	}
}

func TestShowOverrides(t *testing.T) {
	r := start(t, Config{Show: map[string]string{"show crypto ikev2 sa detailed": "one SA",
		"show crypto pki trustpoints": "none here\n", "show crypto ipsec sa peer 192.168.2.1": "one child"}})
	for line, want := range map[string]string{"sh crypto ikev2 sa det": "one SA\n", "show crypto pki trust": "none here\n",
		"show crypto ipsec sa peer 192.168.2.1": "one child\n", "show crypto ipsec sa peer 192.168.2.9": "\nNo SAs found\n"} {
		if got := strings.ReplaceAll(r.Type(line), "\r\n", "\n"); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

func TestDebug(t *testing.T) {
	c := login(t, start(t,
		Config{NoNTP: true, DebugLog: []string{"IKEv2:(SESSION ID = 7,SA ID = 1):Verify peer's policy"}}))
	c.run("debug crypto condition peer ipv4 192.168.2.1")
	if got := c.run("debug crypto ikev2"); got != "IKEv2 default debugging is on\n" {
		t.Errorf("debug: %q", got)
	}
	if got := c.run("show debugging"); !strings.Contains(got, "IKEv2 default debugging is on") ||
		!strings.Contains(got, "Condition 1: peer ipv4 192.168.2.1") {
		t.Errorf("debugging: %s", got)
	}
	if got := c.run("show logging"); !regexp.MustCompile(
		`(?m)^\*[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d\.\d{3}: IKEv2:\(SESSION ID = 7,SA ID = 1\):Verify peer's policy$`).MatchString(got) {
		t.Errorf("logging: %s", got)
	}
	c.run("no debug crypto ikev2")
	c.run("undebug all")
	if got := c.run("show debugging"); strings.Contains(got, "is on") || strings.Contains(got, "Condition 1") {
		t.Errorf("debugging: %s", got)
	}
}

func TestSlowTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := login(t, start(t, Config{Knobs: Knobs{ByteDelay: 10 * time.Millisecond}}))
		began := time.Now()
		out := c.run("show clock")
		if d := time.Since(began); d < time.Duration(len(out))*10*time.Millisecond {
			t.Errorf("%d bytes in %s", len(out), d)
		}
	})
}

// Both clocks of an incident whose captures differ by hours still tell when a packet arrives.
func TestSkewedOriginals(t *testing.T) {
	frame := udp("192.168.1.1", "192.168.2.1", 500, 500, 100)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	write := func(at time.Time) []byte {
		b := buffer{packets: []captured{{at, frame, len(frame)}}}
		return b.pcap(Knobs{})
	}
	pair, err := NewPair(write(at), write(at.Add(3*time.Hour)), 1)
	if err != nil {
		t.Fatal(err)
	}
	if pair.Length() != 0 {
		t.Errorf("the replay takes %s", pair.Length())
	}
	if d := pair.sides[1].packets[0].stamp - pair.sides[0].packets[0].stamp; d != 3*time.Hour {
		t.Errorf("the stamps differ by %s", d)
	}
}

func TestReplayErrors(t *testing.T) {
	good := (&buffer{}).pcap(Knobs{})
	huge := append(bytes.Clone(good), 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0)
	token := bytes.Clone(good)
	token[20] = 9
	token = append(token, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 7)
	for want, file := range map[string][]byte{"not a pcap file": []byte("hello, this is no capture at all"),
		"4294967295 bytes": huge, "packet 1": huge[:30], "link type 9": token} {
		if _, err := NewPair(good, file, 1); err == nil || !strings.Contains(err.Error(), want) ||
			!strings.Contains(err.Error(), "side B") {
			t.Errorf("%s: %v", want, err)
		}
	}
	if _, err := NewPair(good, good, -1); err == nil {
		t.Error("a negative speed")
	}
}

func FuzzPcap(f *testing.F) {
	b := buffer{packets: []captured{{time.Unix(1, 0), udp("192.168.1.1", "192.168.2.1", 1, 2, 3), 45}}}
	f.Add(b.pcap(Knobs{}))
	f.Add(b.pcap(Knobs{PcapRaw: true, PcapNanoseconds: true}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := NewPair(data, data, 1); err == nil && p.Length() < 0 {
			t.Errorf("length %s", p.Length())
		}
	})
}
