package render_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"regexp"
	"testing"

	"github.com/moncap/moncap/analysis"
	"github.com/moncap/moncap/analysis/packet"
	"github.com/moncap/moncap/analysis/render"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/testdata"
)

func incident(t testing.TB, name string) (*report.Report, testdata.Incident) {
	t.Helper()
	i, err := testdata.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	open := func(b []byte) func() (io.ReadCloser, error) {
		return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
	}
	b := analysis.Side{Name: "site-b", File: "b.pcap", Open: open(i.B), Interface: "GigabitEthernet1"}
	r, err := analysis.Compare(t.Context(), analysis.Side{Name: "site-a", File: "a.pcap", Open: open(i.A),
		Interface: "GigabitEthernet1"}, &b,
		analysis.Options{Tunnel: "hq-branch", Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return r, i
}

func TestIncidents(t *testing.T) {
	all, err := testdata.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		r, _ := incident(t, i.Name)
		if got, want := drawn(t, page(t, r)), transmissions(r); got != want || want == 0 {
			t.Errorf("%s: %d transmissions are drawn, want %d", i.Name, got, want)
		}
		var ng bytes.Buffer
		if err := render.PCAPNG(&ng, r, bytes.NewReader(i.A), bytes.NewReader(i.B)); err != nil {
			t.Errorf("%s: %v", i.Name, err)
			continue
		}
		in, err := packet.NewReader(&ng, packet.Options{})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, err := range packet.All(in) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if want := r.Sides.A.Packets + r.Sides.B.Packets; n != want {
			t.Errorf("%s: %d packets in one file, want %d", i.Name, n, want)
		}
	}
}

// Every lost packet has its comment: the lost messages with all their fragments, and ESP.
func TestEveryLostPacketIsCommented(t *testing.T) {
	for name, want := range map[string]int{"esp-blocked-a-to-b": 20, "ip-fragments-lost": 10, "blocked-b-to-a": 6,
		"healthy": 0} {
		r, i := incident(t, name)
		var ng bytes.Buffer
		if err := render.PCAPNG(&ng, r, bytes.NewReader(i.A), bytes.NewReader(i.B)); err != nil {
			t.Fatal(err)
		}
		if got := bytes.Count(ng.Bytes(), []byte("LOST: ")); got != want {
			t.Errorf("%s: %d packets are marked as lost, want %d", name, got, want)
		}
	}
}

// Captures without times, as some tools write them, get none in any form of the report: their
// packets are in order, and that is all.
func TestNoTimesAreInvented(t *testing.T) {
	i, err := testdata.Load("blocked-a-to-b")
	if err != nil {
		t.Fatal(err)
	}
	side := func(pcap []byte) analysis.Side {
		b := bytes.Clone(pcap)
		for at := 24; at+16 <= len(b); at += 16 + int(binary.LittleEndian.Uint32(b[at+8:])) {
			clear(b[at : at+8])
		}
		return analysis.Side{Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
	}
	b := side(i.B)
	r, err := analysis.Compare(t.Context(), side(i.A), &b, analysis.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Sides.Untimed() {
		t.Fatal("the report does not say that the captures hold no times")
	}
	invented := regexp.MustCompile(`again after|\b0\.[1-9]\d* s|[0-9]\.[1-9]00 |\+\d+ ms`)
	for _, form := range []func(io.Writer) error{
		func(w io.Writer) error { return render.Text(w, r, render.Options{}) },
		func(w io.Writer) error { return render.Text(w, r, render.Options{Verbose: true}) },
		func(w io.Writer) error { return render.Markdown(w, r) },
		func(w io.Writer) error { return render.Mermaid(w, r) },
	} {
		var out bytes.Buffer
		if err := form(&out); err != nil {
			t.Fatal(err)
		}
		if found := invented.FindString(out.String()); found != "" {
			t.Errorf("%q in\n%s", found, out.String())
		}
	}
	for _, row := range render.NewLadder(r).Rows {
		if row.Kind == render.RowQuiet || !row.Untimed {
			t.Errorf("a row with a time: %+v", row)
		}
	}
}
