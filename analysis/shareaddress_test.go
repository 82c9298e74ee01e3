package analysis_test

import (
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/analysis/scene"
)

// tunnelFiles are the captures of a tunnel, and what is known of it by them.
type tunnelFiles struct {
	name  string
	rows  [2][]scene.Record
	addr  [2]netip.Addr
	ahead time.Duration // B's clock
	exit  int
}

// failing are all incidents of which both captures show that the tunnel fails.
func failing(t *testing.T) (all []tunnelFiles) {
	t.Helper()
	add := func(name string, path func(string) string, files []string) {
		if len(files) != 2 {
			return
		}
		x := tunnelFiles{name: name}
		for i, file := range files {
			b, err := os.ReadFile(path(file))
			if err != nil {
				t.Fatal(err)
			}
			if len(b) < 24 || b[0] != 0xd4 && b[0] != 0x4d || b[20] != scene.LinkEthernet {
				return // no pcap of Ethernet
			}
			x.rows[i] = append([]scene.Record{}, readRecords(t, path(file))...)
		}
		r := compareRows(t, x.rows)
		x.exit = r.Verdict.ExitCode
		if x.exit != 2 || len(r.Sides.A.Addresses) == 0 || len(r.Sides.B.Addresses) == 0 {
			return
		}
		x.addr = [2]netip.Addr{netip.MustParseAddr(r.Sides.A.Addresses[0]), netip.MustParseAddr(r.Sides.B.Addresses[0])}
		if c := r.Clock; c != nil {
			x.ahead = time.Duration(c.OffsetMS * float64(time.Millisecond))
		}
		all = append(all, x)
	}
	for _, name := range incidents(t) {
		add(name, func(f string) string { return incident(name, f) }, []string{"a.pcap", "b.pcap"})
	}
	for _, name := range fieldIncidents(t) {
		add(name, func(f string) string { return field(name, f) }, parseTruth(t, field(name, "truth.json")).files())
	}
	return all
}

func compareRows(t *testing.T, rows [2][]scene.Record) *report.Report {
	t.Helper()
	var sides []*analysis.Side
	for i, r := range rows {
		if r != nil {
			sides = append(sides, &analysis.Side{File: string("ab"[i]) + ".pcap", Open: scene.Opener(scene.Pcap(r))})
		}
	}
	sides = append(sides, nil)
	r, err := analysis.Compare(t.Context(), *sides[0], sides[1], analysis.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// beside plays a tunnel that is well in the captures of x, from an address of it to a third one.
func (x tunnelFiles) beside(t *testing.T, common int, play func(*scene.Scene)) [2][]scene.Record {
	t.Helper()
	s := scene.New(t)
	s.Addr = x.addr
	third := "203.0.113.77"
	if x.addr[common].Is6() {
		third = "2001:db8:77::77"
	}
	s.Addr[1-common] = netip.MustParseAddr(third)
	s.SPI, s.ID, s.Ahead = 0x77000, 20_000, x.ahead
	play(s)
	rows := [2][]scene.Record{s.Sorted(0), s.Sorted(1)}
	var start int64
	if len(x.rows[0]) > 0 {
		start = x.rows[0][0].Nanos
	} else {
		start = x.rows[1][0].Nanos - int64(x.ahead)
	}
	by := start - rows[0][0].Nanos
	for i := range rows {
		for k := range rows[i] {
			rows[i][k].Nanos += by
		}
		rows[i] = append(rows[i], x.rows[i]...)
		slices.SortStableFunc(rows[i], func(a, b scene.Record) int { return cmp.Compare(a.Nanos, b.Nanos) })
	}
	return rows
}

// That a tunnel is up says nothing of another one that shares an address with it: whatever fails is
// told, beside a tunnel that is well, too. Of what one capture alone holds there is a warning.
func TestFailingBesideAWorkingTunnelOfTheSameGateway(t *testing.T) {
	all := failing(t)
	if len(all) < 60 {
		t.Fatalf("%d incidents", len(all))
	}
	warned := 0
	for _, x := range all {
		for common := range 2 {
			t.Run(fmt.Sprintf("%s, address %d", x.name, common), func(t *testing.T) {
				r := compareRows(t, x.beside(t, common, livesOn))
				scene.Sound(t, r)
				other := slices.Contains(codes(r), "other-tunnel-fails")
				if r.Verdict.ExitCode != 2 && !(r.Verdict.ExitCode == 1 && other) {
					t.Errorf("exit %d: %s", r.Verdict.ExitCode, r.Verdict.Headline)
				}
				if r.Verdict.ExitCode == 1 {
					warned++
				}
			})
		}
	}
	if warned > 4 {
		t.Errorf("of %d a warning only", warned)
	}
}

// The same of one capture alone, be it the gateway's that has both tunnels, or one of a place where
// both of two gateways are seen: what is told of a tunnel by itself is told beside another one. One
// that begins as a scanner does, and is refused, may be one.
func TestFailingBesideAWorkingTunnelInOneCapture(t *testing.T) {
	for _, x := range failing(t) {
		for side := range 2 {
			one := func(rows [2][]scene.Record) [2][]scene.Record { rows[1-side] = nil; return rows }
			own := compareRows(t, one(x.rows))
			begun := slices.ContainsFunc(own.Conversations, func(v report.Conversation) bool { return v.Outcome != "refused" })
			if own.Verdict.ExitCode != 2 || !begun {
				continue
			}
			for common := range 2 {
				t.Run(fmt.Sprintf("%s, capture %d, address %d", x.name, side, common), func(t *testing.T) {
					r := compareRows(t, one(x.beside(t, common, livesOn)))
					scene.Sound(t, r)
					if r.Verdict.ExitCode != 2 {
						t.Errorf("exit %d: %s", r.Verdict.ExitCode, r.Verdict.Headline)
					}
				})
			}
		}
	}
}

// Two tunnels of one gateway that are well are well, and one that a side gave up for another one is
// a warning at least, whichever of the two addresses it left; where it comes back, or both go on,
// it fails as any.
func TestBackupOfATunnelThatFails(t *testing.T) {
	refused := func(s *scene.Scene) {
		a := s.SA(0)
		s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
		s.IKE(1, 500, a.Refusal(ike.NoProposalChosen))
	}
	rejected := func(s *scene.Scene) {
		s.SA(0).Up().Exchange(ike.Informational, 0, ike.PayloadN, 8, ike.PayloadNone, 0)
	}
	const before, together, behind = -time.Minute, 0, time.Minute
	for _, tt := range []struct {
		name  string
		other func(*scene.Scene)
		when  time.Duration
		code  int
	}{
		{"well", livesOn, together, 0}, {"well, one later", livesOn, behind, 0},
		{"rejected before", rejected, before, 1}, {"rejected meanwhile", rejected, together, 2},
		{"rejected behind", rejected, behind, 2},
		{"refused before", refused, before, 2}, {"refused meanwhile", refused, together + 10*time.Second, 2},
		{"refused behind", refused, behind, 2},
		{"one way before", oneWay, before, 2}, {"one way meanwhile", oneWay, together, 2},
		{"comes back", func(s *scene.Scene) { refused(s); s.Now += 2 * time.Minute; refused(s) }, before, 2},
		{"moves", moves, together, 0},
	} {
		for common := range 2 {
			for name, addr := range map[string][2]netip.Addr{"IPv4": {scene.A, scene.B}, "IPv6": scene.SixAddr} {
				t.Run(fmt.Sprintf("%s, address %d, %s", tt.name, common, name), func(t *testing.T) {
					s := scene.New(t)
					s.Addr, s.Now = addr, time.Hour
					livesOn(s)
					s.Addr = addr
					s.Addr[1-common] = addr[1-common].Next().Next()
					s.SPI, s.Now = 0x100, time.Hour+tt.when
					tt.other(s)
					r := s.Compare()
					scene.Sound(t, r)
					if told := slices.Contains(codes(r), "other-tunnel-fails"); r.Verdict.ExitCode != tt.code ||
						told != (tt.code == 1) {
						t.Errorf("exit %d, want %d: %s %v", r.Verdict.ExitCode, tt.code, r.Verdict.Headline, codes(r))
					}
				})
			}
		}
	}
}

// Where in time a path passes is told of the two addresses in question: that another tunnel of the
// same gateway passes does not make it one that passes at first.
func TestPathOfTwoThatShareAnAddress(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for _, side := range []int{0, 1} {
			s, _, bad := shared(t, v6, livesOn, bothAsk)
			if side == 1 {
				s.Rows[0], s.Rows[1] = s.Rows[1], s.Rows[0]
			}
			r := s.Compare()
			scene.Sound(t, r)
			told := false
			for _, f := range r.Findings {
				if f.Code == "path-blocked" {
					told = strings.Contains(f.Explanation, bad[1].String())
					if strings.Contains(f.Explanation, "passes at first") || strings.Contains(f.Explanation, "passes, but") {
						t.Errorf("side %d: %s", side, f.Explanation)
					}
				}
			}
			if !told || r.Verdict.ExitCode != 2 {
				t.Errorf("side %d: exit %d, %v: %s", side, r.Verdict.ExitCode, codes(r), r.Verdict.Headline)
			}
		}
	}
}
