package analysis_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/analysis/scene"
)

// oneWay is a tunnel of which one side alone sends protected traffic.
func oneWay(s *scene.Scene) {
	s.SA(0).Up()
	for i := range uint32(20) {
		s.ESP(1, 0xe920f930, 1+i, 100, false)
		s.Wait(time.Second)
	}
}

// moves is a tunnel of which one side goes on from another address.
func moves(s *scene.Scene) {
	a := s.SA(0).Up()
	s.Addr[0] = s.Addr[0].Next().Next().Next()
	a.DPD(0)
	s.Dialogue(20, time.Second, scene.Passes)
}

// Two tunnels of two pairs of addresses in unfiltered captures: the life of one does not hide that
// the other one is dead, and two that are well are well.
func TestTunnelsThatShareTheCaptures(t *testing.T) {
	lives := func(s *scene.Scene) {
		s.Working(0)
	}
	others := [2]netip.Addr{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("203.0.113.2")}
	for name, addr := range map[string][2]netip.Addr{"IPv4": others, "IPv6": scene.SixAddr} {
		for _, tt := range []struct {
			name  string
			other func(*scene.Scene)
			code  int
			first bool // the other one comes first
		}{
			{"both well", lives, 0, false}, {"both well", lives, 0, true},
			{"one moves", moves, 0, false}, {"one moves", moves, 0, true},
			{"one dead", oneWay, 2, false}, {"one dead", oneWay, 2, true},
		} {
			t.Run(name+"/"+tt.name, func(t *testing.T) {
				s := scene.New(t)
				own, play := s.Addr, func(addr [2]netip.Addr, spi uint32, f func(*scene.Scene)) {
					s.Addr, s.SPI, s.Now = addr, spi, 0 // at the same time
					f(s)
				}
				if tt.first {
					play(addr, 0x100, tt.other)
					play(own, 0, lives)
				} else {
					play(own, 0, lives)
					play(addr, 0x100, tt.other)
				}
				r := s.Compare()
				told := len(r.Notes) == 1 && r.Notes[0].Code == report.NoteOneOfSome &&
					strings.Contains(r.Notes[0].Text, addr[0].String())
				if r.Verdict.ExitCode != tt.code || told != (tt.code != 0) {
					t.Errorf("exit %d, want %d: %s; %v", r.Verdict.ExitCode, tt.code, r.Verdict.Headline, r.Notes)
				}
			})
		}
	}
}

// Of very many tunnels one that is dead is found, wherever it comes.
func TestVeryManyTunnelsShareTheCaptures(t *testing.T) {
	working := func(s *scene.Scene) { s.Working(0) }
	for _, tt := range []struct {
		name  string
		other func(*scene.Scene)
		code  int
	}{
		{"well", working, 0},
		{"one way", oneWay, 2},
		{"refused", func(s *scene.Scene) {
			a := s.SA(0)
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
			s.IKE(1, 500, a.Refusal(ike.NoProposalChosen))
		}, 2},
		{"rejected", func(s *scene.Scene) {
			a := s.SA(0).Up()
			a.Exchange(ike.Informational, 0, ike.PayloadN, 8, ike.PayloadNone, 0)
			s.Wait(20 * time.Second)
			a = s.SA(0).Up()
			a.Exchange(ike.Informational, 0, ike.PayloadN, 8, ike.PayloadNone, 0)
		}, 2},
		{"stale", func(s *scene.Scene) {
			s.Working(0).RekeyChild(0)
			s.KeptSPI(60)
		}, 2},
		{"lost", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Dialogue(40, time.Second, func(from, i int) scene.Fate {
				if from == 0 && i > 10 {
					return scene.Lost
				}
				return scene.Fate{}
			})
		}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := scene.New(t)
			a, b := netip.MustParseAddr("198.18.0.1"), netip.MustParseAddr("198.19.0.1")
			told := ""
			const tunnels, at = 40, 30
			for i := range uint32(tunnels) {
				s.Addr, s.SPI, s.Now = [2]netip.Addr{a, b}, 0x100*(i+1), 0
				if i == at {
					told = "told is that of " + a.String() + " and " + b.String()
					tt.other(s)
				} else {
					working(s)
				}
				a, b = a.Next(), b.Next()
			}
			r := s.Compare()
			named := len(r.Notes) == 1 && strings.Contains(r.Notes[0].Text, told)
			if r.Verdict.ExitCode != tt.code || named != (tt.code != 0) {
				t.Errorf("exit %d, want %d: %s; %v", r.Verdict.ExitCode, tt.code, r.Verdict.Headline, r.Notes)
			}
		})
	}
}

// Of two tunnels only one of which can be told apart, because the other one moves, that one is told
// of as the only one.
func TestTunnelThatSharesTheCaptures(t *testing.T) {
	s := scene.New(t)
	own := s.Addr
	s.Addr = [2]netip.Addr{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("203.0.113.2")}
	moves(s)
	s.Addr, s.Now = own, 0
	oneWay(s)
	r := s.Compare()
	want := "the captures hold a tunnel that has nothing in common with the others: told is that of " + own[0].String() +
		" and " + own[1].String()
	if r.Verdict.ExitCode != 2 || len(r.Notes) != 1 || !strings.HasPrefix(r.Notes[0].Text, want) {
		t.Errorf("exit %d, %v; want exit 2, %q", r.Verdict.ExitCode, r.Notes, want)
	}
}
