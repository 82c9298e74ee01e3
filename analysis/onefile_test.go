package analysis

import (
	"bytes"
	"context"
	"testing"

	"github.com/moncap/moncap/analysis/render"
)

// inOneFile are captures as one pcapng, an interface each, in the order of their times.
func inOneFile(sides ...[]record) []byte {
	file := pcapngOf(nil)
	const section = 28
	iface := bytes.Clone(file[section:])
	for range sides[1:] {
		file = append(file, iface...)
	}
	for i, rows := range sides {
		for _, r := range rows {
			block := pcapngOf([]record{r})[len(pcapngOf(nil)):]
			block[8] = byte(i)
			file = append(file, block...)
		}
	}
	return file
}

func compareOne(t *testing.T, file []byte) (pairs int, twoSided bool) {
	t.Helper()
	r, err := Compare(context.Background(), Side{File: "one", Open: opener(file)}, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	sound(t, r)
	return r.Pairs.Matched, r.Sides.B != nil
}

func TestBothSidesInOneFile(t *testing.T) {
	s := newScene(t)
	healthy(s)
	a, b := s.sorted(0), s.sorted(1)
	want := s.compare().Pairs.Matched
	if n, two := compareOne(t, inOneFile(a, b)); !two || n != want {
		t.Errorf("an interface a side: two sides %v with %d pairs, want %d", two, n, want)
	}
	if _, two := compareOne(t, inOneFile(a, a)); two {
		t.Error("two interfaces of one router, each with a copy, are taken for two sides")
	}
	if _, two := compareOne(t, inOneFile(a[:len(a)/2], a[len(a)/2:])); two {
		t.Error("two interfaces of one router, the one after the other, are taken for two sides")
	}
	if _, two := compareOne(t, pcapngOf(a)); two {
		t.Error("one interface is taken for two sides")
	}
}

// What moncap writes as pcapng, it reads again as the two sides that it was made of: also when B's packets come first.
func TestAReportInPcapngIsReadAgain(t *testing.T) {
	s := newScene(t)
	s.sa(1).up()
	s.traffic(5, false)
	r := s.compare()
	var file bytes.Buffer
	if err := render.PCAPNG(&file, r, bytes.NewReader(pcap(s.sorted(0))), bytes.NewReader(pcap(s.sorted(1)))); err != nil {
		t.Fatal(err)
	}
	again, err := Compare(context.Background(), Side{File: "one", Open: opener(file.Bytes())}, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if again.Sides.B == nil || again.Pairs != r.Pairs || again.Verdict.Outcome != r.Verdict.Outcome || again.Sides.A.Addresses[0] != r.Sides.A.Addresses[0] {
		t.Errorf("it was %s with %+v, and is %s with %+v", r.Verdict.Outcome, r.Pairs, again.Verdict.Outcome, again.Pairs)
	}
}
