package analysis_test

import (
	"context"
	"encoding/binary"
	"net/netip"
	"os"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/moncap/moncap/analysis"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/analysis/scene"
)

// probes puts requests of a scanner to an address into a capture, a new attempt and its repetition
// at a time, from its beginning to its end.
func probes(all []scene.Record, to netip.Addr, spi uint64) []scene.Record {
	const count = 6
	scanner := [4]byte{192, 0, 2, 177}
	first, last := all[0].Nanos, all[len(all)-1].Nanos
	for i := range count {
		m := make([]byte, 28)
		binary.BigEndian.PutUint64(m, spi+uint64(i/2))
		m[17], m[18], m[19], m[27] = 0x20, byte(ike.IKESAInit), 0x08, 28
		f := append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 20 + 8 + 28, 0, byte(i), 0, 0, 47, 17, 0, 0},
			scanner[:]...)
		f = append(f, to.AsSlice()...)
		f = append(f, 1, 0xf4, 1, 0xf4, 0, 8+28, 0, 0)
		f = append(f, m...)
		all = append(all, scene.Record{Nanos: first + (last-first)*int64(i)/count + 1000, Wire: len(f), Data: f})
	}
	slices.SortStableFunc(all, func(x, y scene.Record) int { return int(x.Nanos - y.Nanos) })
	return all
}

// A scanner that knocks at both gateways all the time changes nothing of what is
// said of their tunnel.
func TestScannersDecideNothing(t *testing.T) {
	for _, name := range fieldIncidents(t) {
		w := parseTruth(t, field(name, "truth.json"))
		if len(w.files()) != 2 || w.Tunnel != nil {
			continue
		}
		was := compareField(t, name, "")
		var sides [2]analysis.Side
		usable := true
		for i, file := range w.files() {
			b, err := os.ReadFile(field(name, file))
			if err != nil {
				t.Fatal(err)
			}
			own := []*report.SideInfo{was.Sides.A, was.Sides.B}[i].Addresses
			if usable = usable && len(own) > 0 && binary.LittleEndian.Uint32(b) == 0xa1b2c3d4 &&
				binary.LittleEndian.Uint32(b[20:]) == scene.LinkEthernet; !usable {
				break
			}
			a := netip.MustParseAddr(own[0])
			if usable = a.Is4(); !usable {
				break
			}
			rows := probes(readRecords(t, field(name, file)), a, uint64(i+1)<<32)
			sides[i] = analysis.Side{Name: "site-" + string("ab"[i]), File: file, Open: scene.Opener(scene.Pcap(rows))}
		}
		if !usable {
			continue
		}
		t.Run(name, func(t *testing.T) {
			r, err := analysis.Compare(context.Background(), sides[0], &sides[1], analysis.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if d := gocmp.Diff(saidOf(was), saidOf(r)); d != "" {
				t.Errorf("with scanners (+):\n%s", d)
			}
		})
	}
}

// saidOf is the outcome and what was found, but for the scanners.
func saidOf(r *report.Report) []string {
	said := []string{string(r.Verdict.Outcome)}
	for _, f := range r.Findings {
		if f.Code != "strangers" {
			said = append(said, f.Code)
		}
	}
	return said
}
