package main

import (
	"net/netip"
	"strings"
	"testing"
)

func TestLiveFlags(t *testing.T) {
	for _, tt := range []struct {
		flags liveFlags
		want  string // part of the error; empty: there is none
	}{
		{liveFlags{interfaces: "lo"}, "want two interfaces"},
		{liveFlags{interfaces: "lo,"}, "want two interfaces"},
		{liveFlags{interfaces: "no-such0,lo"}, "no-such0"},
		{liveFlags{interfaces: "lo,lo", addresses: "192.0.2.1"}, "want two addresses"},
		{liveFlags{interfaces: "lo,lo", addresses: "192.0.2.1,x"}, `"x"`},
	} {
		if _, _, err := tt.flags.tunnel(t.TempDir()); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want %q", tt.flags, err, tt.want)
		}
	}
	f := liveFlags{interfaces: "lo,lo", addresses: "192.0.2.1,2001:db8::2", natAddress: "198.51.100.9"}
	tunnel, _, err := f.tunnel(t.TempDir())
	if err != nil {
		t.Skip("no live capture here:", err)
	}
	if tunnel.A.WAN.Address != netip.MustParseAddr("192.0.2.1") ||
		tunnel.B.WAN.Address != netip.MustParseAddr("2001:db8::2") ||
		tunnel.A.WAN.NATAddress != netip.MustParseAddr("198.51.100.9") {
		t.Errorf("%+v, %+v", tunnel.A.WAN, tunnel.B.WAN)
	}
}

func TestLiveReplaysNothing(t *testing.T) {
	r := moncap(t, "simulate", "healthy", "--live", "lo,lo")
	if r.code != exitUsage || !strings.Contains(r.stderr, "replays no incident") {
		t.Errorf("exit %d: %s", r.code, r.stderr)
	}
}
