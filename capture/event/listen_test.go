package event

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func loopback(a netip.Addr) bool { return a == netip.MustParseAddr("127.0.0.1") }

// listening serves at an address until the test ends, and returns the lines that come in.
func listening(t *testing.T, at string, known func(netip.Addr) bool) (address string, lines chan string) {
	t.Helper()
	l, err := Listen(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	lines = make(chan string, 100)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- l.Serve(ctx, known, func(from netip.Addr, line []byte) { lines <- from.String() + " " + string(line) })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Address(), lines
}

func next(t *testing.T, lines chan string) string {
	t.Helper()
	select {
	case l := <-lines:
		return l
	case <-time.After(10 * time.Second):
		t.Fatal("no line came")
		return ""
	}
}

func TestUDP(t *testing.T) {
	at, lines := listening(t, "udp:127.0.0.1:0", loopback)
	send := func(from, text string) {
		d := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)}}
		c, err := d.DialContext(t.Context(), "udp", strings.TrimPrefix(at, "udp:"))
		if err != nil {
			t.Skipf("no second loopback address: %v", err)
		}
		defer c.Close()
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	send("127.0.0.1", "<189>1: one")
	if got := next(t, lines); got != "127.0.0.1 <189>1: one" {
		t.Error(got)
	}
	send("127.0.0.7", "<189>1: of a stranger")
	send("127.0.0.1", "<189>2: two")
	if got := next(t, lines); got != "127.0.0.1 <189>2: two" {
		t.Error(got)
	}
}

func TestTCPFrames(t *testing.T) {
	for name, c := range map[string]struct {
		sent string
		want []string
	}{
		"newline":        {"<1>a\n<1>b\r\n\n<1>c\x00<1>d", []string{"<1>a", "<1>b", "<1>c", "<1>d"}},
		"octet counting": {"4 <1>a6 <1>b\nc4 <1>d", []string{"<1>a", "<1>b\nc", "<1>d"}},
		"mixed":          {"4 <1>a<1>b\n4 <1>c", []string{"<1>a", "<1>b", "<1>c"}},
		"too long": {"<1>" + strings.Repeat("a", 3*MaxLine) + "\n<1>b\n",
			[]string{"<1>" + strings.Repeat("a", MaxLine-2), "<1>b"}},
		"no number":      {"4 <1>a4x <1>b\n", []string{"<1>a"}},
		"too large":      {"4 <1>a9999 <1>b\n", []string{"<1>a"}},
		"endless number": {"4 <1>a" + strings.Repeat("1", 10_000), []string{"<1>a"}},
		"cut":            {"4 <1>a10 <1>b", []string{"<1>a"}},
	} {
		r := bufio.NewReaderSize(strings.NewReader(c.sent), MaxLine+16)
		var got []string
		for {
			line, err := frame(r)
			if len(line) > 0 {
				got = append(got, string(line))
			}
			if err != nil {
				break
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %.80q, want %.80q", name, got, c.want)
		}
	}
}

func TestTCP(t *testing.T) {
	at, lines := listening(t, "tcp:127.0.0.1:0", loopback)
	var d net.Dialer
	dial := func() net.Conn {
		c, err := d.DialContext(t.Context(), "tcp", strings.TrimPrefix(at, "tcp:"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	one, two := dial(), dial()
	fmt.Fprint(one, "<189>1: one\n<189>")
	fmt.Fprint(two, "13 <189>1: two!!")
	got := []string{next(t, lines), next(t, lines)}
	slices.Sort(got)
	if want := []string{"127.0.0.1 <189>1: one", "127.0.0.1 <189>1: two!!"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	fmt.Fprint(one, "2: three\n")
	if got := next(t, lines); got != "127.0.0.1 <189>2: three" {
		t.Error(got)
	}
}

func TestTCPHangsUpOnStrangers(t *testing.T) {
	at, lines := listening(t, "tcp:127.0.0.1:0", func(netip.Addr) bool { return false })
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", strings.TrimPrefix(at, "tcp:"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "<189>1: one\n")
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); err == nil || n > 0 {
		t.Error("a stranger is listened to")
	} else if e, ok := err.(net.Error); ok && e.Timeout() {
		t.Error("a stranger is not hung up on")
	}
	if len(lines) > 0 {
		t.Errorf("a line of a stranger was taken: %s", <-lines)
	}
}

func TestParseListen(t *testing.T) {
	for _, bad := range []string{"", "udp", "udp:", "udp:514", "tls:127.0.0.1:6514", "127.0.0.1:514", "udp:[::1",
		"udp:127.0.0.1:"} {
		if _, _, err := ParseListen(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	for _, good := range []string{"udp::514", "tcp:[::1]:6514", "udp:0.0.0.0:5514"} {
		if _, _, err := ParseListen(good); err != nil {
			t.Error(err)
		}
	}
}
