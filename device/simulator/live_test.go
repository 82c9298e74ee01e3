package simulator

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// loopback is a router that captures from the loopback interface of this machine, between two of
// its addresses.
func loopback(t *testing.T, change func(*Config)) (*Router, *net.UDPConn, *net.UDPAddr) {
	t.Helper()
	source, err := Live("lo")
	if err != nil {
		t.Skip("no live capture here:", err)
	}
	c := Config{Packets: source,
		Interfaces: []Interface{{Name: "GigabitEthernet1", Address: netip.MustParseAddr("127.0.0.2")}}}
	if change != nil {
		change(&c)
	}
	r := start(t, c)
	to, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 3)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { to.Close() })
	from, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2)}, to.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { from.Close() })
	return r, from, to.LocalAddr().(*net.UDPAddr)
}

const liveFilter = "monitor capture c match ipv4 protocol udp host 127.0.0.2 host 127.0.0.3 bidirectional interface " +
	"gi1 both buffer size 50"

func TestLiveCapture(t *testing.T) {
	r, from, _ := loopback(t, nil)
	s := login(t, r)
	s.run(liveFilter)
	fmt.Fprint(from, "before")
	s.run("monitor capture c start")
	for i := range 5 {
		fmt.Fprintf(from, "packet %d", i)
	}
	held := func() string { return s.run("show monitor capture c buffer") }
	// The loopback interface shows a packet where it leaves and where it comes in.
	waitFor(t, func() bool { return strings.Contains(held(), "packets in buf   : 10") })
	s.run("monitor capture c stop")
	fmt.Fprint(from, "behind")
	if out := held(); !strings.Contains(out, "packets in buf   : 10") || !strings.Contains(out, "packets dropped  : 0") {
		t.Error(out)
	}
	dump := s.run("show monitor capture c buffer dump")
	for _, word := range []string{"before", "behind"} {
		if strings.Contains(dump, word) {
			t.Errorf("%s is captured", word)
		}
	}
}

func TestLiveCaptureNeedsAnInterface(t *testing.T) {
	if _, err := Live("no-such-interface0"); err == nil || !strings.Contains(err.Error(), "no-such-interface0") {
		t.Errorf("error %v", err)
	}
}

func TestInboxIsBounded(t *testing.T) {
	var b inbox
	now := time.Unix(100, 0)
	frame := make([]byte, mostLive/4)
	for range 6 {
		b.put([]Packet{{Arrives: now, Frame: frame}})
	}
	if n := len(b.take(now)); n != 4 {
		t.Errorf("%d packets are held", n)
	}
	if n := b.lost(3); n != 5 {
		t.Errorf("%d were lost, want 2 and the kernel's 3", n)
	}
	b.put([]Packet{{Arrives: now.Add(time.Second), Frame: frame}})
	if len(b.take(now)) != 0 || len(b.take(now.Add(time.Second))) != 1 {
		t.Error("a packet of the future")
	}
}
