package analysis_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/moncap/moncap/analysis"
	"github.com/moncap/moncap/testdata"
)

// What stood behind the fault of a damaged file nobody knows: that it is not there proves no loss
// on the way.
func TestTheEndOfADamagedFileProvesNoLoss(t *testing.T) {
	for _, name := range []string{"nat", "healthy", "rekey-and-delete"} {
		i, err := testdata.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		for cut := 20; cut < len(i.A)*2/3; cut += 97 {
			side := func(name string, b []byte) *analysis.Side {
				return &analysis.Side{Name: name, Open: func() (io.ReadCloser, error) {
					return io.NopCloser(bytes.NewReader(b)),
						nil
				}}
			}
			r, err := analysis.Compare(t.Context(), *side("a", i.A[:len(i.A)-cut]), side("b", i.B), analysis.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if r.Pairs.LostAtoB+r.Pairs.LostBtoA > 0 {
				t.Errorf("%s without its last %d bytes: %+v", name, cut, r.Pairs)
			}
			for _, f := range r.Findings {
				switch f.Code {
				case "path-blocked", "nat-t-blocked", "path-loss", "esp-blocked":
					t.Errorf("%s without its last %d bytes: %s: %s", name, cut, f.Code, f.Explanation)
				}
			}
		}
	}
}
