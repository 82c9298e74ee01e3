package analysis_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/moncap/moncap/analysis"
	"github.com/moncap/moncap/analysis/render"
	"github.com/moncap/moncap/analysis/scene"
)

// inOneFile are captures as one pcapng, an interface each, in the order of their times.
func inOneFile(sides ...[]scene.Record) []byte {
	file := scene.PcapngOf(nil)
	const section = 28
	iface := bytes.Clone(file[section:])
	for range sides[1:] {
		file = append(file, iface...)
	}
	for i, rows := range sides {
		for _, r := range rows {
			block := scene.PcapngOf([]scene.Record{r})[len(scene.PcapngOf(nil)):]
			block[8] = byte(i)
			file = append(file, block...)
		}
	}
	return file
}

func compareOne(t *testing.T, file []byte) (pairs int, twoSided bool) {
	t.Helper()
	r, err := analysis.Compare(context.Background(), analysis.Side{File: "one", Open: scene.Opener(file)}, nil, analysis.Options{})
	if err != nil {
		t.Fatal(err)
	}
	scene.Sound(t, r)
	return r.Pairs.Matched, r.Sides.B != nil
}

func TestBothSidesInOneFile(t *testing.T) {
	s := scene.New(t)
	scene.Healthy(s)
	a, b := s.Sorted(0), s.Sorted(1)
	want := s.Compare().Pairs.Matched
	if n, two := compareOne(t, inOneFile(a, b)); !two || n != want {
		t.Errorf("an interface a side: two sides %v with %d pairs, want %d", two, n, want)
	}
	if _, two := compareOne(t, inOneFile(a, a)); two {
		t.Error("two interfaces of one router, each with a copy, are taken for two sides")
	}
	if _, two := compareOne(t, inOneFile(a[:len(a)/2], a[len(a)/2:])); two {
		t.Error("two interfaces of one router, the one after the other, are taken for two sides")
	}
	if _, two := compareOne(t, scene.PcapngOf(a)); two {
		t.Error("one interface is taken for two sides")
	}
}

// What moncap writes as pcapng, it reads again as the two sides that it was made of: also when B's packets come first.
func TestAReportInPcapngIsReadAgain(t *testing.T) {
	s := scene.New(t)
	s.SA(1).Up()
	s.Traffic(5, false)
	r := s.Compare()
	var file bytes.Buffer
	if err := render.PCAPNG(&file, r, bytes.NewReader(scene.Pcap(s.Sorted(0))), bytes.NewReader(scene.Pcap(s.Sorted(1)))); err != nil {
		t.Fatal(err)
	}
	again, err := analysis.Compare(context.Background(), analysis.Side{File: "one", Open: scene.Opener(file.Bytes())}, nil, analysis.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if again.Sides.B == nil || again.Pairs != r.Pairs || again.Verdict.Outcome != r.Verdict.Outcome || again.Sides.A.Addresses[0] != r.Sides.A.Addresses[0] {
		t.Errorf("it was %s with %+v, and is %s with %+v", r.Verdict.Outcome, r.Pairs, again.Verdict.Outcome, again.Pairs)
	}
}
