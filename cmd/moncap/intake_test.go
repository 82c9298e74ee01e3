package main

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Addresses of UDP can be forged: a flood from a million of them is complained of a hundred times,
// and kept no more often.
func TestStrangersTakeNoMemory(t *testing.T) {
	in := &intake{app: &app{environment: environment{stderr: io.Discard}}, told: map[string]bool{}}
	for i := range 10_000 {
		in.once(fmt.Sprint("stranger ", i), "a stranger")
	}
	if len(in.told) > maxTold {
		t.Errorf("%d complaints are kept", len(in.told))
	}
}

// A watch knows the inventory as serve does: a line of a hub that may be about several tunnels is
// none of the one that is watched, its interface tells, and lines come from where log_sources says.
func TestWatchReadsLinesAsServeDoes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "inventory.yaml")
	if err := os.WriteFile(file, []byte(`version: 1
defaults: {username: moncap, password: "env:X"}
peers:
  hub: {host: 127.0.0.1, log_sources: [203.0.113.9], wan: {interface: GigabitEthernet1, address: 192.0.2.1}}
  s1: {host: 127.0.0.2, wan: {interface: GigabitEthernet1, address: 192.0.2.11}}
  s2: {host: 127.0.0.3, wan: {interface: GigabitEthernet1, address: 192.0.2.12}}
tunnels:
  one: {a: hub, b: s1, interfaces: {a: Tunnel1, b: Tunnel0}}
  two: {a: hub, b: s2, interfaces: {a: Tunnel2, b: Tunnel0}}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &app{environment: environment{stderr: io.Discard, getenv: func(string) string { return "" }}, inventory: file}
	tunnel, err := a.loadTunnel("one")
	if err != nil {
		t.Fatal(err)
	}
	book, err := a.bookFor(t.Context(), tunnel)
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"%LINEPROTO-5-UPDOWN: Line protocol on Interface Tunnel1, changed state to down": "one",
		"%LINEPROTO-5-UPDOWN: Line protocol on Interface Tunnel2, changed state to down": "two",
		"%IKEV2-5-SA_DOWN: SA DOWN": "",
		"%CRYPTO-5-SESSION_STATUS: Crypto tunnel is DOWN.  Peer 192.0.2.12:500       Id: 192.0.2.12": "two",
	} {
		if e, err := book.Read(netip.MustParseAddr("203.0.113.9"), []byte(line), time.Now()); e.Tunnel != want ||
			(err == nil) != (want != "") {
			t.Errorf("%s: of %q, %v, want %q", line, e.Tunnel, err, want)
		}
	}
}
