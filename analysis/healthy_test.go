package analysis

import (
	"net/netip"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/report"
)

// working are tunnels that work, however strange they look.
var working = map[string]func(*scene){
	"plain": healthy, "behind a NAT": healthyNAT, "IKEv1": healthyV1,
	"both behind NATs": func(s *scene) {
		s.seen = [2]netip.Addr{sceneNAT, netip.MustParseAddr("198.51.100.2")}
		s.sa(0).up().dpd(1)
		s.traffic(10, true)
	},
	"ports rewritten": func(s *scene) {
		s.ports[0] = 31000
		healthyNAT(s)
	},
	"keepalives for an hour": func(s *scene) {
		s.seen[0] = sceneNAT
		a := s.sa(0).up()
		for range 180 {
			s.wait(20 * time.Second)
			s.keepalive(0)
		}
		a.dpd(1)
	},
	"idle for hours": func(s *scene) {
		a := s.sa(0).up()
		for range 5 {
			s.wait(time.Hour)
			a.dpd(0)
		}
	},
	"rekeyed many times": func(s *scene) {
		a := s.sa(0).up()
		for i := range 6 {
			s.wait(50 * time.Minute)
			a.rekeyChild(i % 2)
			a.exchange(ike.Informational, i%2, ike.PayloadD, 12, ike.PayloadD, 12)
		}
	},
	"the IKE SA rekeyed": func(s *scene) {
		a := s.sa(0).up()
		s.wait(time.Hour)
		a.exchange(ike.CreateChildSA, 1, ike.PayloadSA, 180, ike.PayloadSA, 180)
		b := s.sa(1)
		a.exchange(ike.Informational, 1, ike.PayloadD, 8, ike.PayloadNone, 0)
		b.dpd(0)
		b.dpd(1)
		s.traffic(5, false)
	},
	"several children": func(s *scene) {
		a := s.sa(0).up()
		for i := range uint32(5) {
			a.exchange(ike.CreateChildSA, 0, ike.PayloadSA, 200, ike.PayloadSA, 170)
			for n := range uint32(8) {
				s.esp(0, 0xa0000010+i, n+1, 100, false)
				s.esp(1, 0xb0000010+i, n+1, 100, false)
			}
		}
	},
	"MOBIKE moves A": func(s *scene) {
		a := s.sa(0).up()
		a.port = 4500
		a.dpd(1)
		s.wait(time.Minute)
		s.addr[0] = netip.MustParseAddr("172.16.9.9")
		a.exchange(ike.Informational, 0, ike.PayloadN, 64, ike.PayloadN, 56)
		a.dpd(1)
		a.dpd(0)
	},
	"a hub with other spokes": func(s *scene) {
		healthy(s)
		for i, spoke := range []string{"203.0.113.21", "203.0.113.22", "203.0.113.23"} {
			s.addr[1] = netip.MustParseAddr(spoke)
			a := s.sa(i % 2)
			own := func(from int) fate { return fate{lost: from == 0, hidden: from == 1} }
			for n, m := range [][]byte{a.init(false, proposals(gcm(19))), a.init(true, proposals(gcm(19))),
				a.sealed(ike.IKEAuth, a.from, 1, false, ike.PayloadIDi, sizeAuth), a.sealed(ike.IKEAuth, 1-a.from, 1, true, ike.PayloadIDr, sizeAnswer)} {
				from := (a.from + n) % 2
				s.ike(from, 500, m, own(from))
			}
			for n := range uint32(10) {
				s.esp(0, 0xa0000100+uint32(i), n+1, 100, false, own(0))
				s.esp(1, 0xb0000100+uint32(i), n+1, 100, false, own(1))
			}
		}
	},
	"IKEv1 and IKEv2 between the same two": func(s *scene) { healthyV1(s); healthy(s) },
	"aggressive mode": func(s *scene) {
		a := s.v1(0)
		s.ike(0, 500, a.message(ike.V1Aggressive, 0, 0, true, saV1(modern(14, 1))))
		s.ike(1, 500, a.message(ike.V1Aggressive, 1, 0, false, saV1(modern(14, 1))))
		s.ike(0, 500, a.sealed(ike.V1Aggressive, 0, 0, ike.V1PayloadHASH, 48))
		a.quickMode(3)
		s.traffic(5, false)
	},
	"IKE fragments both ways": func(s *scene) {
		a := s.sa(0)
		a.open()
		for side := range 2 {
			for i := uint16(1); i <= 3; i++ {
				s.ike(side, 500, a.sealedPart(ike.IKEAuth, side, 1, side == 1, ike.PayloadIDi+ike.PayloadType(side), 500, i, 3))
			}
		}
		a.id[0] = 2
		a.dpd(0)
	},
	"certificates in IP fragments": func(s *scene) {
		a := s.sa(0)
		a.open()
		s.ike(0, 500, a.sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, 2400), fate{mtu: 1480})
		s.ike(1, 500, a.sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, 2300), fate{mtu: 1480})
		s.traffic(5, false)
	},
	"EAP": func(s *scene) {
		a := s.sa(0)
		a.open()
		s.ike(0, 500, a.sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, 120))
		s.ike(1, 500, a.sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, 900))
		for id := uint32(2); id < 5; id++ {
			s.ike(0, 500, a.sealed(ike.IKEAuth, 0, id, false, ike.PayloadEAP, 40))
			s.ike(1, 500, a.sealed(ike.IKEAuth, 1, id, true, ike.PayloadEAP, []int{60, 60, 8}[id-2]))
		}
		s.ike(0, 500, a.sealed(ike.IKEAuth, 0, 5, false, ike.PayloadAUTH, 40))
		s.ike(1, 500, a.sealed(ike.IKEAuth, 1, 5, true, ike.PayloadAUTH, 150))
		a.id[0] = 6
		a.dpd(0)
	},
	"cookie, other group, then up": func(s *scene) {
		a := s.sa(0)
		s.ike(0, 500, a.init(false, proposals(gcm(14))))
		s.ike(1, 500, a.refusal(ike.Cookie, 1, 2, 3, 4))
		cookie := &ike.Notify{Number: ike.Cookie, Data: []byte{1, 2, 3, 4}}
		s.ike(0, 500, a.init(false, proposals(gcm(14)), cookie))
		s.ike(1, 500, a.refusal(ike.InvalidKEPayload, 0, 19))
		s.ike(0, 500, a.init(false, proposals(gcm(19)), cookie))
		s.ike(1, 500, a.init(true, proposals(gcm(19))))
		a.auth(ike.PayloadIDr, sizeAnswer)
	},
	"both began, one SA is deleted": func(s *scene) {
		a, b := bothBegin(s)
		b.exchange(ike.Informational, 1, ike.PayloadD, 8, ike.PayloadNone, 0)
		a.dpd(0)
	},
	"deleted, and negotiated anew": func(s *scene) {
		a := s.sa(0).up()
		a.exchange(ike.Informational, 0, ike.PayloadD, 8, ike.PayloadNone, 0)
		s.wait(3 * time.Second)
		s.sa(0).up().dpd(0)
	},
	"a spoke that was reloaded": func(s *scene) {
		s.sa(0).up().dpd(0)
		s.wait(2 * time.Minute)
		s.sa(0).up().dpd(0)
		s.traffic(5, false)
	},
	"only traffic": func(s *scene) {
		for i := range uint32(50) {
			s.esp(0, 0xa0000001, 4_000_000_000+i, 100, false)
			s.esp(1, 0xb0000001, 77_000+i, 100, false)
		}
	},
	"captured from the middle on": func(s *scene) {
		a := s.sa(0).up()
		a.dpd(0)
		s.traffic(10, false)
		s.rows[0], s.rows[1] = s.rows[0][3:], s.rows[1][3:]
	},
	"B's capture began later and ended earlier": func(s *scene) {
		a := s.sa(0).up()
		for range 30 {
			s.wait(2 * time.Second)
			a.dpd(0)
			n := uint32(s.now / time.Second)
			s.esp(0, 0xa0000001, n, 100, false)
			s.esp(1, 0xb0000001, n, 100, false)
		}
		s.rows[1] = s.rows[1][40 : len(s.rows[1])-40]
	},
	"traffic slowed and varied": func(s *scene) {
		s.sa(0).up()
		for i := range uint32(60) {
			f := fate{late: time.Duration(i%7) * 200 * time.Microsecond}
			s.esp(0, 0xa0000001, i+1, 60+int(i)*20, false, f)
			s.esp(1, 0xb0000001, i+1, 1400, false, f)
		}
	},
	"a slow responder": func(s *scene) {
		a := s.sa(0)
		s.ike(0, 500, a.init(false, proposals(gcm(19))))
		s.wait(1500 * time.Millisecond)
		s.ike(1, 500, a.init(true, proposals(gcm(19))))
		s.ike(0, 500, a.sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, sizeAuth))
		s.wait(1500 * time.Millisecond)
		s.ike(1, 500, a.sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, sizeAnswer))
		a.id[0] = 2
		a.dpd(0)
	},
	"EAP and a busy line": func(s *scene) { s.twins = [2]bool{true, false}; healthy(s) },
}

// looks are ways to look at a scene that change nothing of it.
var looks = map[string]func(*scene){
	"as it is": func(*scene) {}, "A alone": func(s *scene) { s.alone = true },
	"B alone": func(s *scene) {
		s.alone = true
		s.rows[0], s.rows[1] = s.rows[1], s.rows[0]
		s.side[0], s.side[1] = s.side[1], s.side[0]
	},
	"swapped":            func(s *scene) { s.rows[0], s.rows[1] = s.rows[1], s.rows[0] },
	"addresses known":    known,
	"B a year ahead":     func(s *scene) { s.rows[1] = shifted(365*24*time.Hour, 0)(s.rows[1]) },
	"B drifts 50 ppm":    func(s *scene) { s.rows[1] = shifted(0, 50)(s.rows[1]) },
	"B cuts at 96 bytes": func(s *scene) { s.rows[1] = cutTo(96)(s.rows[1]) },
	"noise":              func(s *scene) { s.rows[0], s.rows[1] = noisy(s.rows[0]), noisy(s.rows[1]) },
}

// A tunnel that works gives no critical finding, from whichever side and however it is looked at.
func TestWorkingTunnelsAreNotAccused(t *testing.T) {
	for name, play := range working {
		for look, change := range looks {
			t.Run(name+"/"+look, func(t *testing.T) {
				s := newScene(t)
				play(s)
				change(s)
				r := s.compare()
				sound(t, r)
				for _, f := range r.Findings {
					if f.Severity == report.Critical {
						t.Errorf("%s: %s", f.Code, f.Explanation)
					}
				}
				if p := r.Pairs; look != "B cuts at 96 bytes" && p.LostAtoB+p.LostBtoA > 0 {
					t.Errorf("lost %d and %d", p.LostAtoB, p.LostBtoA)
				}
				if r.Verdict.ExitCode > 1 && r.Verdict.ExitCode != 3 {
					t.Errorf("verdict %+v", r.Verdict)
				}
				if !s.alone && r.Verdict.Outcome != report.Established && r.Verdict.Outcome != report.Degraded {
					t.Errorf("verdict %+v", r.Verdict)
				}
			})
		}
	}
}
