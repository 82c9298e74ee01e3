package simulator

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var guideACL = []string{
	"configure terminal", "ip access-list extended cap", "permit udp host 192.168.1.1 host 192.168.2.1",
	"permit udp host 192.168.2.1 host 192.168.1.1", "permit esp host 192.168.1.1 host 192.168.2.1",
	"permit esp host 192.168.2.1 host 192.168.1.1", "permit icmp any host 192.168.1.1 unreachable", "end",
}

const guideDefine = "monitor capture cap access-list cap buffer size 10 interface GigabitEthernet1 both"

// The playbook by hand on both routers: what is exported is what the incident's files hold, time
// stamps moved by one and the same amount.
func TestPlaybook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := incident(t, "healthy")
		pair, err := NewPair(a, b, 1)
		if err != nil {
			t.Fatal(err)
		}
		routers := []*Router{
			start(t, Config{Packets: pair.A()}),
			start(t, Config{Hostname: "site-B", Packets: pair.B(), ClockOffset: 90 * time.Second}),
		}
		var before []string
		var consoles []*console
		for _, r := range routers {
			before = append(before, r.RunningConfig())
			c := login(t, r)
			for _, line := range append(slices.Clone(guideACL), guideDefine) {
				if out := c.run(line); strings.Contains(out, "%") {
					t.Fatalf("%s: %s", line, out)
				}
			}
			consoles = append(consoles, c)
		}
		for _, c := range consoles {
			if out := c.run("monitor capture cap start"); out != "Started capture point : cap\n" {
				t.Fatalf("start: %q", out)
			}
		}
		<-pair.Replayed()
		var shift []time.Duration
		for i, c := range consoles {
			if out := c.run("monitor capture cap stop"); out != "Stopped capture point : cap\n" {
				t.Errorf("stop: %q", out)
			}
			if out := c.run("monitor capture cap export bootflash:capture.pcap"); out != "Exported Successfully\n" {
				t.Errorf("export: %q", out)
			}
			exported := routers[i].FlashFiles()["capture.pcap"]
			sum := md5.Sum(exported)
			if out := c.run("verify /md5 bootflash:capture.pcap"); !strings.Contains(out, hex.EncodeToString(sum[:])) {
				t.Errorf("verify: %q", out)
			}
			shift = append(shift, sameFrames(t, exported, [][]byte{a, b}[i]))
			c.run("no monitor capture cap")
			c.run("delete /force bootflash:capture.pcap")
			for _, line := range []string{"configure terminal", "no ip access-list extended cap", "end"} {
				c.run(line)
			}
			if got := routers[i].RunningConfig(); got != before[i] {
				t.Errorf("the configuration changed:\n%s", got)
			}
			if n := len(routers[i].FlashFiles()) + len(routers[i].CapturePoints()); n != 0 {
				t.Errorf("%d files and capture points left", n)
			}
		}
		if d := shift[1] - shift[0]; d != 90*time.Second {
			t.Errorf("the clocks of the routers differ by %s, want 90 s", d)
		}
	})
}

// sameFrames checks that two files hold the same frames, and returns how much later the first one's
// are stamped.
func sameFrames(t *testing.T, got, want []byte) time.Duration {
	t.Helper()
	g, err := readPcap(bytes.NewReader(got))
	if err != nil {
		t.Fatal(err)
	}
	w, err := readPcap(bytes.NewReader(want))
	if err != nil {
		t.Fatal(err)
	}
	if len(g) != len(w) || len(g) == 0 {
		t.Fatalf("%d frames, want %d", len(g), len(w))
	}
	shift := g[0].at.Sub(w[0].at)
	for i := range g {
		if !bytes.Equal(g[i].frame, w[i].frame) || g[i].length != w[i].length {
			t.Errorf("frame %d differs", i+1)
		}
		if d := g[i].at.Sub(w[i].at) - shift; d.Abs() > 2*time.Microsecond {
			t.Errorf("frame %d is stamped %s off", i+1, d)
		}
	}
	return shift
}

func TestSpeedKeepsStamps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := incident(t, "blocked-a-to-b")
		pair, err := NewPair(a, b, 100)
		if err != nil {
			t.Fatal(err)
		}
		r := start(t, Config{Packets: pair.A()})
		other := start(t, Config{Hostname: "site-B", Packets: pair.B()})
		for _, router := range []*Router{r, other} {
			c := login(t, router)
			c.run("monitor capture x match any interface gi1 both buffer size 10")
			c.run("monitor capture x start")
		}
		began := time.Now()
		<-pair.Replayed()
		if took := time.Since(began); took > pair.Length()+time.Second {
			t.Errorf("took %s, want about %s", took, pair.Length())
		}
		c := login(t, r)
		c.run("monitor capture x stop")
		c.run("monitor capture x export flash:x.pcap")
		sameFrames(t, r.FlashFiles()["x.pcap"], a)
	})
}

// One router alone sees the traffic too, after the grace.
func TestOneSideAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := incident(t, "healthy")
		pair, err := NewPair(a, b, 1)
		if err != nil {
			t.Fatal(err)
		}
		r := start(t, Config{Packets: pair.A()})
		c := login(t, r)
		c.run("monitor capture x match any interface gi1 both")
		for range 2 { // each time anew
			c.run("monitor capture x start")
			time.Sleep(DefaultGrace + pair.Length() + time.Second)
			c.run("monitor capture x stop")
			c.run("monitor capture x export flash:x.pcap")
			sameFrames(t, r.FlashFiles()["x.pcap"], a)
			c.run("delete /force flash:x.pcap")
		}
	})
}

// What a pair replays begins that much later, and is stamped with the time when it passed.
func TestQuietBeforeAReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := incident(t, "healthy")
		pair, err := NewPair(a, b, 1)
		if err != nil {
			t.Fatal(err)
		}
		replay := pair.Length()
		pair.Quiet(time.Minute)
		if pair.Length() != replay+time.Minute {
			t.Errorf("it takes %s, and %s without the minute", pair.Length(), replay)
		}
		r := start(t, Config{Packets: pair.A()})
		c := login(t, r)
		c.run("monitor capture x match any interface gi1 both")
		c.run("monitor capture x start")
		began := time.Now()
		time.Sleep(time.Minute - time.Second)
		if out := c.run("show monitor capture x buffer"); !strings.Contains(out, "packets in buf   : 0\n") {
			t.Errorf("it is not quiet:\n%s", out)
		}
		time.Sleep(DefaultGrace + replay + 2*time.Second)
		c.run("monitor capture x stop")
		c.run("monitor capture x export flash:x.pcap")
		data := r.FlashFiles()["x.pcap"]
		sameFrames(t, data, a)
		packets, err := readPcap(bytes.NewReader(data))
		if err != nil || len(packets) == 0 || packets[0].at.Sub(began) < time.Minute {
			t.Errorf("%v, stamps of %v", err, packets[:min(len(packets), 1)])
		}
	})
}

func TestWrongListCapturesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := incident(t, "healthy")
		src, err := Replay(bytes.NewReader(a), 10)
		if err != nil {
			t.Fatal(err)
		}
		r := start(t, Config{Packets: src,
			ACLs: []ACL{{Name: "other", Entries: []string{"permit udp host 10.0.0.1 host 10.0.0.2"}}}})
		c := login(t, r)
		c.run("monitor capture x access-list other interface gi1 both")
		c.run("monitor capture y match ipv4 host 192.168.2.1 host 192.168.1.1 bidirectional interface gi1 both")
		c.run("monitor capture x start")
		c.run("monitor capture y start")
		time.Sleep(time.Minute)
		if out := c.run("show monitor capture x buffer"); !strings.Contains(out, "packets in buf   : 0\n") {
			t.Errorf("the wrong list let packets in: %s", out)
		}
		if out := c.run("show monitor capture y buffer"); strings.Contains(out, "packets in buf   : 0\n") {
			t.Errorf("the right filter let none in: %s", out)
		}
	})
}
