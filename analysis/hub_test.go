package analysis_test

import (
	"bytes"
	"io"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/moncap/moncap/analysis"
	"github.com/moncap/moncap/analysis/report"
)

// A hub's single capture is judged by the tunnel that was asked for; the others have a line. Whose
// capture it is, its packets say.
func TestTunnelOfAHubsCapture(t *testing.T) {
	pcap, err := os.ReadFile("../testdata/field/hub-two-one-way-tunnels/a.pcap")
	if err != nil {
		t.Fatal(err)
	}
	side := func(name, address string) analysis.Side {
		return analysis.Side{Name: name, Address: netip.MustParseAddr(address),
			Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(pcap)), nil }}
	}
	hub, out, in := side("hub", "192.0.2.1"), side("out", "198.51.100.1"), side("in", "198.51.100.77")
	for _, tt := range []struct {
		a, b       analysis.Side
		oneWay     report.Side // who sends nothing
		other, why string
	}{
		{hub, out, report.B, "198.51.100.77", "the hub sends, nothing comes back"},
		{hub, in, report.A, "198.51.100.1", "the hub sends nothing"},
		{out, hub, report.B, "198.51.100.77", "the capture is the second side's"},
	} {
		r, err := analysis.Compare(t.Context(), tt.a, nil, analysis.Options{Peer: &tt.b})
		if err != nil {
			t.Fatal(err)
		}
		var silent []report.Side
		var others []string
		for _, f := range r.Findings {
			switch f.Code {
			case "esp-one-way":
				silent = append(silent, f.Subject.Side)
			case "strangers":
				others = f.Fields["addresses"].([]string)
			}
		}
		if !slices.Equal(silent, []report.Side{tt.oneWay}) || !slices.Equal(others, []string{tt.other}) ||
			r.Sides.A.Name != "hub" {
			t.Errorf("%s: silent %v, others %v, A is %s", tt.why, silent, others, r.Sides.A.Name)
		}
	}
}

// Without an inventory a hub's capture has several peers: what is to be typed, the words and the
// table of ESP name the one that is meant.
func TestPeersOfAHubAreToldApart(t *testing.T) {
	pcap, err := os.ReadFile("../testdata/field/hub-two-one-way-tunnels/a.pcap")
	if err != nil {
		t.Fatal(err)
	}
	r, err := analysis.Compare(t.Context(), analysis.Side{Name: "hub",
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(pcap)), nil }}, nil, analysis.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		if f.Code != "esp-one-way" || f.Subject.Side != report.A {
			continue
		}
		if c := f.Actions[0].Commands[0]; c != "show crypto ipsec sa peer 198.51.100.77" {
			t.Errorf("of %q: %s", f.Explanation, c)
		}
	}
	var peers []string
	for _, f := range r.Flows {
		peers = append(peers, f.Peer)
	}
	if !slices.Equal(peers, []string{"198.51.100.1", "198.51.100.77"}) {
		t.Errorf("peers of the flows: %v", peers)
	}
}
