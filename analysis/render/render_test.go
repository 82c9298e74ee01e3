package render_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/moncap/moncap/analysis"
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
	r, err := analysis.Compare(t.Context(), analysis.Side{Name: "site-a", File: "a.pcap", Open: open(i.A), Interface: "GigabitEthernet1"}, &b,
		analysis.Options{Tunnel: "hq-branch", Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return r, i
}
