package diagnose_test

import (
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/scene"
)

// neighbours are the two ends of a tunnel that shares the captures.
var neighbours = map[string][2]netip.Addr{
	"IPv4": {netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("203.0.113.2")},
	"IPv6": {netip.MustParseAddr("2001:db8:11::1"), netip.MustParseAddr("2001:db8:12::1")},
}

// beside plays a tunnel that works between two other addresses of the gateways, at the same time as
// what s holds already.
func beside(s *scene.Scene, addr [2]netip.Addr) {
	s.Addr, s.Seen, s.Ports, s.Now, s.SPI = addr, [2]netip.Addr{}, [2]uint16{}, 0, 0x0c00_0000
	s.Twins, s.Snap = [2]bool{}, [2]int{}
	a := s.SA(0).Up()
	s.Dialogue(20, time.Second, scene.Passes)
	a.DPD(0)
	a.DPD(1)
}

// sharedLooks are ways to look at captures that two tunnels share.
var sharedLooks = map[string]struct{ before, after func(*scene.Scene) }{
	"as it is": {func(*scene.Scene) {}, func(*scene.Scene) {}},
	"swapped": {func(*scene.Scene) {}, func(s *scene.Scene) {
		s.Rows[0], s.Rows[1] = s.Rows[1], s.Rows[0]
		s.Side[0], s.Side[1] = s.Side[1], s.Side[0]
	}},
	"clocks apart": {func(s *scene.Scene) { s.Ahead += time.Hour }, func(*scene.Scene) {}},
}

// named says whether anything says whose tunnel a scene is about.
func named(s *scene.Scene) bool {
	return s.Alone || s.Side[0].Address.IsValid() || s.Side[1].Address.IsValid() || s.Side[0].NATAddress.IsValid() ||
		s.Side[1].NATAddress.IsValid()
}

// What fails by itself is no success in captures that it shares with a tunnel which works, as long
// as nobody said which of them is meant. MONCAP_CROSSINGS=all shares those of all scenes, not of
// two of each code.
func TestFailureBesideATunnelThatWorks(t *testing.T) {
	all := os.Getenv("MONCAP_CROSSINGS") == "all"
	const most = 2
	played := map[string]int{}
	for _, c := range findingCases() {
		if c.kind != hit || played[c.code] == most && !all {
			continue
		}
		played[c.code]++
		for look, x := range sharedLooks {
			for family, addr := range neighbours {
				if !all && (look == "as it is") != (family == "IPv4") {
					continue
				}
				s := scene.New(t)
				x.before(s)
				c.play(s)
				if named(s) || s.Side[0].Open != nil || s.Side[1].Open != nil {
					continue
				}
				if s.Compare().Verdict.ExitCode != 2 {
					continue
				}
				beside(s, addr)
				x.after(s)
				r := s.Compare()
				scene.Sound(t, r)
				if r.Verdict.ExitCode == 0 {
					t.Errorf("%s/%s, %s, %s: exit 0: %s, %v", c.code, c.name, look, family, r.Verdict.Headline,
						scene.Flatten(t, r).Codes())
				}
			}
		}
	}
}

// Two tunnels that work are well in captures that they share, and so is a hub's with a spoke while
// its other spokes work, or when somebody named the pair and another peer does not answer.
func TestTunnelsThatWorkBesideOthers(t *testing.T) {
	dead := func(s *scene.Scene) { // what the hub asks another peer
		b := s.Addr[1]
		s.Addr[1], s.Now = netip.MustParseAddr("203.0.113.77"), 0
		s.Repeat(5, 0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Lost)
		s.Addr[1] = b
	}
	for name, play := range map[string]struct {
		play func(*scene.Scene)
		code int
	}{
		"IPv4": {func(s *scene.Scene) { beside(s, neighbours["IPv4"]) }, 0},
		"IPv6": {func(s *scene.Scene) { beside(s, neighbours["IPv6"]) }, 0},
		"other spokes": {func(s *scene.Scene) {
			s.Now = 0
			s.Spokes()
		}, 0},
		"a dead spoke":                     {dead, 1},
		"a dead spoke, the pair is named":  {func(s *scene.Scene) { scene.Known(s); dead(s) }, 0},
		"a dead spoke, the spoke is named": {func(s *scene.Scene) { s.Side[1].Address = scene.B; dead(s) }, 0},
	} {
		for kind, tunnel := range map[string]func(*scene.Scene){
			"IKEv2": func(s *scene.Scene) { s.Working(0) }, "of B": func(s *scene.Scene) { s.Working(1) },
			"IKEv1": func(s *scene.Scene) { wellV1(s, 0) },
		} {
			for look, x := range sharedLooks {
				s := scene.New(t)
				x.before(s)
				tunnel(s)
				play.play(s)
				x.after(s)
				want := play.code
				if look == "clocks apart" {
					want = 1 // that is told
				}
				if r := s.Compare(); r.Verdict.ExitCode != want {
					t.Errorf("%s, %s, %s: exit %d, want %d: %s, %v", kind, name, look, r.Verdict.ExitCode, want,
						r.Verdict.Headline, scene.Flatten(t, r).Codes())
				}
			}
		}
	}
}
