package analysis_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/analysis/scene"
)

// working are tunnels that work, however strange they look.
var working = map[string]func(*scene.Scene){
	"plain": scene.Healthy, "behind a NAT": scene.HealthyNAT, "IKEv1": scene.HealthyV1,
	"both behind NATs": func(s *scene.Scene) {
		s.Seen = [2]netip.Addr{scene.NAT, netip.MustParseAddr("198.51.100.2")}
		s.SA(0).Up().DPD(1)
		s.Traffic(10, true)
	},
	"ports rewritten": func(s *scene.Scene) {
		s.Ports[0] = 31000
		scene.HealthyNAT(s)
	},
	"keepalives for an hour": func(s *scene.Scene) {
		s.Seen[0] = scene.NAT
		a := s.SA(0).Up()
		for range 180 {
			s.Wait(20 * time.Second)
			s.Keepalive(0)
		}
		a.DPD(1)
	},
	"idle for hours": func(s *scene.Scene) {
		a := s.SA(0).Up()
		for range 5 {
			s.Wait(time.Hour)
			a.DPD(0)
		}
	},
	"rekeyed many times": func(s *scene.Scene) {
		a := s.SA(0).Up()
		for i := range 6 {
			s.Wait(50 * time.Minute)
			a.RekeyChild(i % 2)
			a.Exchange(ike.Informational, i%2, ike.PayloadD, 12, ike.PayloadD, 12)
		}
	},
	"the IKE SA rekeyed": func(s *scene.Scene) {
		a := s.SA(0).Up()
		s.Wait(time.Hour)
		a.Exchange(ike.CreateChildSA, 1, ike.PayloadSA, 180, ike.PayloadSA, 180)
		b := s.SA(1)
		a.Exchange(ike.Informational, 1, ike.PayloadD, 8, ike.PayloadNone, 0)
		b.DPD(0)
		b.DPD(1)
		s.Traffic(5, false)
	},
	"several children": func(s *scene.Scene) {
		a := s.SA(0).Up()
		for i := range uint32(5) {
			a.Exchange(ike.CreateChildSA, 0, ike.PayloadSA, 200, ike.PayloadSA, 170)
			for n := range uint32(8) {
				s.ESP(0, 0xa0000010+i, n+1, 100, false)
				s.ESP(1, 0xb0000010+i, n+1, 100, false)
			}
		}
	},
	"MOBIKE moves A": func(s *scene.Scene) {
		a := s.SA(0).Up()
		a.Port = 4500
		a.DPD(1)
		s.Wait(time.Minute)
		s.Addr[0] = netip.MustParseAddr("172.16.9.9")
		a.Exchange(ike.Informational, 0, ike.PayloadN, 64, ike.PayloadN, 56)
		a.DPD(1)
		a.DPD(0)
	},
	"a hub with other spokes": func(s *scene.Scene) {
		scene.Healthy(s)
		for i, spoke := range []string{"203.0.113.21", "203.0.113.22", "203.0.113.23"} {
			s.Addr[1] = netip.MustParseAddr(spoke)
			a := s.SA(i % 2)
			own := func(from int) scene.Fate { return scene.Fate{Lost: from == 0, Hidden: from == 1} }
			for n, m := range [][]byte{a.Init(false, scene.Proposals(scene.GCM(19))),
				a.Init(true, scene.Proposals(scene.GCM(19))),
				a.Sealed(ike.IKEAuth, a.From, 1, false, ike.PayloadIDi, scene.SizeAuth),
				a.Sealed(ike.IKEAuth, 1-a.From, 1, true, ike.PayloadIDr, scene.SizeAnswer)} {
				from := (a.From + n) % 2
				s.IKE(from, 500, m, own(from))
			}
			for n := range uint32(10) {
				s.ESP(0, 0xa0000100+uint32(i), n+1, 100, false, own(0))
				s.ESP(1, 0xb0000100+uint32(i), n+1, 100, false, own(1))
			}
		}
	},
	"IKEv1 and IKEv2 between the same two": func(s *scene.Scene) { scene.HealthyV1(s); scene.Healthy(s) },
	"aggressive mode": func(s *scene.Scene) {
		a := s.V1(0)
		s.IKE(0, 500, a.Message(ike.V1Aggressive, 0, 0, true, scene.SAv1(scene.Modern(14, 1))))
		s.IKE(1, 500, a.Message(ike.V1Aggressive, 1, 0, false, scene.SAv1(scene.Modern(14, 1))))
		s.IKE(0, 500, a.Sealed(ike.V1Aggressive, 0, 0, ike.V1PayloadHASH, 48))
		a.QuickMode(3)
		s.Traffic(5, false)
	},
	"IKE fragments both ways": func(s *scene.Scene) {
		a := s.SA(0)
		a.Open()
		for side := range 2 {
			for i := uint16(1); i <= 3; i++ {
				s.IKE(side, 500, a.SealedPart(ike.IKEAuth, side, 1, side == 1, ike.PayloadIDi+ike.PayloadType(side), 500, i, 3))
			}
		}
		a.ID[0] = 2
		a.DPD(0)
	},
	"certificates in IP fragments": func(s *scene.Scene) {
		a := s.SA(0)
		a.Open()
		s.IKE(0, 500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, 2400), scene.Fate{MTU: 1480})
		s.IKE(1, 500, a.Sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, 2300), scene.Fate{MTU: 1480})
		s.Traffic(5, false)
	},
	"EAP": func(s *scene.Scene) {
		a := s.SA(0)
		a.Open()
		s.IKE(0, 500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, 120))
		s.IKE(1, 500, a.Sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, 900))
		for id := uint32(2); id < 5; id++ {
			s.IKE(0, 500, a.Sealed(ike.IKEAuth, 0, id, false, ike.PayloadEAP, 40))
			s.IKE(1, 500, a.Sealed(ike.IKEAuth, 1, id, true, ike.PayloadEAP, []int{60, 60, 8}[id-2]))
		}
		s.IKE(0, 500, a.Sealed(ike.IKEAuth, 0, 5, false, ike.PayloadAUTH, 40))
		s.IKE(1, 500, a.Sealed(ike.IKEAuth, 1, 5, true, ike.PayloadAUTH, 150))
		a.ID[0] = 6
		a.DPD(0)
	},
	"cookie, other group, then up": func(s *scene.Scene) {
		a := s.SA(0)
		s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(14))))
		s.IKE(1, 500, a.Refusal(ike.Cookie, 1, 2, 3, 4))
		cookie := &ike.Notify{Number: ike.Cookie, Data: []byte{1, 2, 3, 4}}
		s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(14)), cookie))
		s.IKE(1, 500, a.Refusal(ike.InvalidKEPayload, 0, 19))
		s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19)), cookie))
		s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19))))
		a.Auth(ike.PayloadIDr, scene.SizeAnswer)
	},
	"both began, one SA is deleted": func(s *scene.Scene) {
		a, b := scene.BothBegin(s)
		b.Exchange(ike.Informational, 1, ike.PayloadD, 8, ike.PayloadNone, 0)
		a.DPD(0)
	},
	"deleted, and negotiated anew": func(s *scene.Scene) {
		a := s.SA(0).Up()
		a.Exchange(ike.Informational, 0, ike.PayloadD, 8, ike.PayloadNone, 0)
		s.Wait(3 * time.Second)
		s.SA(0).Up().DPD(0)
	},
	"a spoke that was reloaded": func(s *scene.Scene) {
		s.SA(0).Up().DPD(0)
		s.Wait(2 * time.Minute)
		s.SA(0).Up().DPD(0)
		s.Traffic(5, false)
	},
	"only traffic": func(s *scene.Scene) {
		for i := range uint32(50) {
			s.ESP(0, 0xa0000001, 4_000_000_000+i, 100, false)
			s.ESP(1, 0xb0000001, 77_000+i, 100, false)
		}
	},
	"captured from the middle on": func(s *scene.Scene) {
		a := s.SA(0).Up()
		a.DPD(0)
		s.Traffic(10, false)
		s.Rows[0], s.Rows[1] = s.Rows[0][3:], s.Rows[1][3:]
	},
	"B's capture began later and ended earlier": func(s *scene.Scene) {
		a := s.SA(0).Up()
		for range 30 {
			s.Wait(2 * time.Second)
			a.DPD(0)
			n := uint32(s.Now / time.Second)
			s.ESP(0, 0xa0000001, n, 100, false)
			s.ESP(1, 0xb0000001, n, 100, false)
		}
		s.Rows[1] = s.Rows[1][40 : len(s.Rows[1])-40]
	},
	"traffic slowed and varied": func(s *scene.Scene) {
		s.SA(0).Up()
		for i := range uint32(60) {
			f := scene.Fate{Late: time.Duration(i%7) * 200 * time.Microsecond}
			s.ESP(0, 0xa0000001, i+1, 60+int(i)*20, false, f)
			s.ESP(1, 0xb0000001, i+1, 1400, false, f)
		}
	},
	"a slow responder": func(s *scene.Scene) {
		a := s.SA(0)
		s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
		s.Wait(1500 * time.Millisecond)
		s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19))))
		s.IKE(0, 500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth))
		s.Wait(1500 * time.Millisecond)
		s.IKE(1, 500, a.Sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, scene.SizeAnswer))
		a.ID[0] = 2
		a.DPD(0)
	},
	"EAP and a busy line": func(s *scene.Scene) { s.Twins = [2]bool{true, false}; scene.Healthy(s) },
}

// looks are ways to look at a scene that change nothing of it.
var looks = map[string]func(*scene.Scene){
	"as it is": func(*scene.Scene) {}, "A alone": func(s *scene.Scene) { s.Alone = true },
	"B alone":            (*scene.Scene).OnlyB,
	"swapped":            func(s *scene.Scene) { s.Rows[0], s.Rows[1] = s.Rows[1], s.Rows[0] },
	"addresses known":    scene.Known,
	"B a year ahead":     func(s *scene.Scene) { s.Rows[1] = shifted(365*24*time.Hour, 0)(s.Rows[1]) },
	"B drifts 50 ppm":    func(s *scene.Scene) { s.Rows[1] = shifted(0, 50)(s.Rows[1]) },
	"B cuts at 96 bytes": func(s *scene.Scene) { s.Rows[1] = cutTo(96)(s.Rows[1]) },
	"noise":              func(s *scene.Scene) { s.Rows[0], s.Rows[1] = noisy(s.Rows[0]), noisy(s.Rows[1]) },
}

// A tunnel that works gives no critical finding, from whichever side and however it is looked at.
func TestWorkingTunnelsAreNotAccused(t *testing.T) {
	for name, play := range working {
		for look, change := range looks {
			t.Run(name+"/"+look, func(t *testing.T) {
				s := scene.New(t)
				play(s)
				change(s)
				r := s.Compare()
				scene.Sound(t, r)
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
				if !s.Alone && r.Verdict.Outcome != report.Established && r.Verdict.Outcome != report.Degraded {
					t.Errorf("verdict %+v", r.Verdict)
				}
			})
		}
	}
}
