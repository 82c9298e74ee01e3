package diagnose_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/analysis/scene"
)

// blockedAtoB: all that A sends vanishes, what B sends arrives.
func blockedAtoB(s *scene.Scene) {
	a, b := s.SA(0), s.SA(1)
	mine, theirs := a.Init(false, scene.Proposals(scene.GCM(19))), b.Init(false, scene.Proposals(scene.GCM(19)))
	for range 3 {
		s.IKE(0, 500, mine, scene.Lost)
		s.IKE(1, 500, theirs)
		s.IKE(0, 500, b.Init(true, scene.Proposals(scene.GCM(19))), scene.Lost)
		s.Wait(2 * time.Second)
	}
}

func answersLost(s *scene.Scene) {
	a := s.SA(0)
	for range 3 {
		s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
		s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19))), scene.Lost)
		s.Wait(2 * time.Second)
	}
}

// lossyStart: the first request is lost, the next arrives.
func lossyStart(s *scene.Scene) {
	a := s.SA(0)
	s.Noise(1)
	s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))), scene.Lost)
	s.Wait(time.Second)
	a.Up()
	a.DPD(0)
}

func natTBlocked(s *scene.Scene) {
	s.Seen[0] = scene.NAT
	a := s.SA(0)
	a.Open()
	s.Repeat(4, 0, 4500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth), scene.Lost)
}

// prohibited6: three times side from sends something over IPv6 that a filter refuses, after a
// tunnel that came up; the captures keep 96 bytes, within the destination that the error quotes.
func prohibited6(from int, send func(*scene.Scene)) func(*scene.Scene) {
	return func(s *scene.Scene) {
		s.Addr = scene.SixAddr
		scene.Known(s)
		s.Side[0].Address, s.Side[1].Address = s.Addr[0], s.Addr[1]
		s.SA(0).Up()
		s.Snap = [2]int{96, 96}
		s.Wait(10 * time.Second)
		for range 3 {
			send(s)
			s.ICMP(from, "2001:db8:ff::1", 1, 1, 0)
			s.Wait(5 * time.Second)
		}
	}
}

func rejectedBy(kind, code byte) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.SA(0)
		m := a.Init(false, scene.Proposals(scene.GCM(19)))
		s.Noise(1)
		for range 3 {
			s.IKE(0, 500, m, scene.Lost)
			s.ICMP(0, "203.0.113.1", kind, code, 1400)
			s.Wait(time.Second)
		}
		s.Noise(1)
	}
}

// torn is a message of which the second fragment is lost; the other side waits for it and says so.
func torn(sides int) func(*scene.Scene) {
	return func(s *scene.Scene) {
		bigAuth(1)(s)
		s.Repeat(1, 0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Lost)
		bigAuth(1)(s)
		s.ICMP(0, scene.B.String(), 11, 1, 0)
		s.Alone = sides == 1
	}
}

// tornThen is torn in A's capture alone, and what comes behind it.
func tornThen(then func(*scene.Scene)) func(*scene.Scene) {
	return func(s *scene.Scene) {
		torn(1)(s)
		then(s)
	}
}

// smallIsAnswered is a negotiation that begins.
func smallIsAnswered(s *scene.Scene) {
	s.Wait(time.Second)
	s.SA(0).Open()
	s.Wait(time.Minute)
}

// comesWhole is a request of which a fragment is lost at first, as the other side tells long after
// that it was sent again and answered.
func comesWhole(s *scene.Scene) {
	a := s.SA(0)
	a.Open()
	asked := a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, 2000)
	s.IKE(0, 500, asked, scene.Fate{MTU: 1480, Keep: 1})
	s.Wait(2 * time.Second)
	s.IKE(0, 500, asked, scene.Fate{MTU: 1480})
	quoted := s.Last
	s.IKE(1, 500, a.Sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, scene.SizeAnswer))
	s.Traffic(5, false)
	s.Wait(30 * time.Second)
	s.Last = quoted
	s.ICMP(0, scene.B.String(), 11, 1, 0)
	s.Alone = true
}

// startsAnew: nobody listens at B while A asks whether it is there; then B begins by itself.
func startsAnew(goesOn bool) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a, b := s.SA(0).Up(), s.SA(1)
		s.IKE(0, 500, a.Sealed(ike.Informational, 0, 2, false, ike.PayloadNone, 0))
		s.ICMP(0, scene.B.String(), 3, 3, 0)
		s.Wait(3 * time.Second)
		if goesOn {
			b.Up()
			s.Traffic(5, false)
			return
		}
		s.IKE(1, 500, b.Init(false, scene.Proposals(scene.GCM(19))))
		s.Repeat(3, 0, 500, b.Init(true, scene.Proposals(scene.GCM(19))), scene.Fate{})
	}
}

// refusedUnseen: a side asks, and the other one says by ICMP that nobody listens there yet. That
// one's own capture has nothing of it: it begins with the second sending.
func refusedUnseen(from int) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.SA(from)
		m := a.Init(false, scene.Proposals(scene.GCM(19)))
		s.IKE(from, 500, m, scene.Lost)
		s.ICMP(from, s.Addr[1-from].String(), 3, 3, 0)
		s.Wait(time.Second)
		s.IKE(from, 500, m)
		s.IKE(1-from, 500, a.Init(true, scene.Proposals(scene.GCM(19))))
		a.Auth(ike.PayloadIDr, scene.SizeAnswer)
		s.Traffic(5, false)
	}
}

// redirectedNowhere: B names another gateway, and a router knows no way there.
func redirectedNowhere(s *scene.Scene) {
	a, b := s.SA(0), s.SA(0)
	s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
	s.IKE(1, 500, a.Refusal(ike.Redirect, append([]byte{1, 4}, outside().AsSlice()...)...))
	from := &ike.Notify{Number: ike.RedirectedFrom, Data: append([]byte{1, 4}, scene.B.AsSlice()...)}
	for range 3 {
		s.IKE(0, 500, b.Init(false, scene.Proposals(scene.GCM(19)), from), scene.Fate{To: outside(), Lost: true})
		s.ICMP(0, "203.0.113.1", 3, 1, 0)
		s.Wait(time.Second)
	}
}

// elsewhere is a negotiation in which B answers from another address or port, and A goes on to ask
// where it asked before.
func elsewhere(from netip.Addr, port uint16, times int, auth scene.Fate) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.SA(0)
		s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
		answer := a.Init(true, scene.Proposals(scene.GCM(19)))
		own, ports := s.Addr[1], s.Ports[1]
		s.Addr[1], s.Ports[1] = from, 0
		s.IKEFrom(1, max(port, 500), answer)
		s.Addr[1], s.Ports[1] = own, ports
		s.Repeat(times, 0, 500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth), auth)
		s.Wait(10 * time.Second)
		s.Noise(1)
	}
}

// lateButOne: of the last four messages of a side three arrive a second late, all but one.
func lateButOne(from, one int) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.SA(0).Up()
		s.Traffic(10, false)
		for i := range 4 {
			f := scene.Fate{Late: time.Second}
			if i == one {
				f.Late = 0
			}
			id := uint32(i)
			if from == 0 {
				id += 2
			}
			s.IKE(from, 500, a.Sealed(ike.Informational, from, id, false, ike.PayloadNone, 0), f)
		}
	}
}

var _ = add(pathCases)

func pathCases() []findingCase {
	return []findingCase{
		{"answer-from-other-address", hit, "another address", elsewhere(netip.MustParseAddr("192.168.2.9"), 0, 3, scene.Lost),
			map[string]any{"side": "B", "asked": "192.168.2.1", "answered_from": "192.168.2.9"}},
		{"answer-from-other-address", hit, "another port", elsewhere(scene.B, 1500, 3, scene.Fate{}),
			map[string]any{"side": "B", "answered_from": "192.168.2.1:1500"}},
		{"answer-from-other-address", hit, "one capture",
			func(s *scene.Scene) { s.Alone = true; elsewhere(scene.B, 1500, 3, scene.Lost)(s) }, map[string]any{"side": "B"}},
		{"answer-from-other-address", near, "asked but once", elsewhere(scene.B, 1500, 1, scene.Fate{}), nil},
		{"answer-from-other-address", near, "a NAT before B", func(s *scene.Scene) {
			s.Seen[1] = scene.NAT
			a := s.SA(0)
			a.Open()
			s.Repeat(3, 0, 4500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth), scene.Fate{})
		}, nil},
		{"answer-from-other-address", none, "healthy", scene.Healthy, nil},

		{"inconsistent-answers", hit, "two boxes", func(s *scene.Scene) {
			a := s.SA(0)
			m := a.Init(false, scene.Proposals(scene.GCM(19)))
			s.IKE(0, 500, m)
			s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19))))
			s.Wait(time.Second)
			s.IKE(0, 500, m)
			a.R++
			s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19))))
		}, map[string]any{"side": "B", "exchange": "IKE_SA_INIT", "severity": "critical"}},
		{"inconsistent-answers", hit, "it does not know its own cookies", ownCookies(3),
			map[string]any{"side": "B", "exchange": "IKE_SA_INIT", "answers": 3}},
		{"inconsistent-answers", near, "its secret changed while one cookie was under way", ownCookies(2), nil},
		{"inconsistent-answers", near, "the same answer twice", func(s *scene.Scene) {
			a := s.SA(0)
			m, r := a.Init(false, scene.Proposals(scene.GCM(19))), a.Init(true, scene.Proposals(scene.GCM(19)))
			for range 2 {
				s.IKE(0, 500, m)
				s.IKE(1, 500, r)
				s.Wait(time.Second)
			}
		}, nil},
		{"inconsistent-answers", none, "healthy", scene.Healthy, nil},

		{"path-blocked", hit, "A to B", blockedAtoB, map[string]any{"direction": "A->B", "protocol": "udp", "port": 500,
			"phase": "IKE_SA_INIT",
			"lost":  6, "sent": 6, "confidence": "certain"}},
		{"path-blocked", hit, "answers", answersLost,
			map[string]any{"direction": "B->A", "lost": 3, "sent": 3, "confidence": "certain"}},
		{"path-blocked", hit, "the other capture is empty", func(s *scene.Scene) {
			s.Repeat(4, 0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Lost)
		}, map[string]any{"direction": "A->B", "confidence": "probable"}},
		{"path-blocked", hit, "all in fragments, and the other capture is empty", func(s *scene.Scene) {
			s.Repeat(4, 0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Fate{MTU: 160, Lost: true})
		}, map[string]any{"direction": "A->B", "port": 500, "lost": 4, "confidence": "probable"}},
		{"path-blocked", hit, "all in fragments, and B's own arrive", func(s *scene.Scene) {
			s.Repeat(3, 0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Fate{MTU: 160, Lost: true})
			s.Repeat(3, 1, 500, s.SA(1).Init(false, scene.Proposals(scene.GCM(19))), scene.Fate{})
		}, map[string]any{"direction": "A->B", "port": 500, "lost": 3, "confidence": "probable"}},
		{"path-blocked", near, "all in fragments, of which some arrive", func(s *scene.Scene) {
			s.Repeat(3, 0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Fate{MTU: 160, Keep: 1})
		}, nil},
		{"path-blocked", near, "fragments alone are lost on its port, and the other port passes", func(s *scene.Scene) {
			a := s.SA(0)
			a.Open()
			s.Repeat(3, 0, 4500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, 2000), scene.Fate{MTU: 1480, Lost: true})
		}, nil},
		{"path-blocked", hit, "after it was up", func(s *scene.Scene) {
			a := s.SA(0).Up()
			a.DPD(0)
			s.Wait(time.Minute)
			for range 5 {
				s.IKE(1, 500, a.Sealed(ike.Informational, 1, 0, false, ike.PayloadNone, 0))
				s.IKE(0, 500, a.Sealed(ike.Informational, 0, 0, true, ike.PayloadNone, 0), scene.Lost)
				s.Wait(5 * time.Second)
			}
		}, map[string]any{"direction": "A->B", "phase": "INFORMATIONAL", "lost": 5, "sent": 5}},
		{"path-blocked", near, "one of them arrives", lossyStart, nil},
		{"path-blocked", near, "A's capture begins behind an answer, as its own request shows", func(s *scene.Scene) {
			s.V1(0).Phase1().QuickMode(3)
			s.Traffic(5, false)
			s.Rows[0] = s.Rows[0][8:] // from Quick Mode 3 on
		}, nil},
		{"path-blocked", near, "B's capture ends, the second IKE fragments are lost", func(s *scene.Scene) {
			skf(scene.Lost, scene.Lost, scene.Lost)(s)
			s.Rows[1] = s.Rows[1][:len(s.Rows[1])/2]
		}, nil},
		{"path-blocked", near, "it arrives and is not answered", func(s *scene.Scene) {
			s.Repeat(4, 0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Fate{})
		}, nil},
		{"path-blocked", none, "healthy", scene.Healthy, nil},

		{"nat-t-blocked", hit, "A to B", natTBlocked,
			map[string]any{"direction": "A->B", "lost": 4, "sent": 4, "confidence": "certain"}},
		{"nat-t-blocked", near, "only some are lost", func(s *scene.Scene) {
			s.Seen[0] = scene.NAT
			a := s.SA(0)
			a.Open()
			s.IKE(0, 4500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth), scene.Lost)
			s.Wait(time.Second)
			a.Port = 4500
			a.Auth(ike.PayloadIDr, scene.SizeAnswer)
			a.DPD(0)
		}, nil},
		{"nat-t-blocked", near, "500 is blocked as well", blockedAtoB, nil},
		{"nat-t-blocked", none, "healthy behind a NAT", scene.HealthyNAT, nil},

		{"path-loss", hit, "nothing is in both captures", nothingShared,
			map[string]any{"direction": "A->B", "confidence": "possible"}},
		{"path-loss", hit, "the first request", lossyStart,
			map[string]any{"direction": "A->B", "protocol": "udp", "port": 500, "lost": 1, "confidence": "certain"}},
		{"path-loss", near, "all are lost", blockedAtoB, nil},
		{"path-loss", near, "B refused it by ICMP before its capture began", refusedUnseen(0), nil},
		{"path-loss", near, "A refused it by ICMP before its capture began", refusedUnseen(1), nil},
		{"path-loss", near, "the capture of B began later", func(s *scene.Scene) {
			a := s.SA(0)
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))), scene.Lost)
			s.Wait(time.Minute)
			a.Up()
			a.DPD(0)
		}, nil},
		{"path-blocked", hit, "a rekey at night, of whose end B's capture lacks a part", func(s *scene.Scene) {
			a := s.SA(0).Up()
			for range 8 {
				s.Wait(30 * time.Minute)
				a.DPD(1)
			}
			s.Repeat(6, 0, 500, a.Sealed(ike.CreateChildSA, 0, 2, false, ike.PayloadN, 180), scene.Lost)
		}, map[string]any{"direction": "A->B", "phase": "CREATE_CHILD_SA"}},
		{"path-loss", near, "the capture of B ended before the last repetition", func(s *scene.Scene) {
			a := s.V1(0)
			a.Main12(scene.SAv1(scene.Modern(14, 1)), scene.SAv1(scene.Modern(14, 1)))
			a.Main34()
			s.Repeat(4, 0, 500, a.Main5(0), scene.Fate{})
			s.Wait(4 * time.Second)
			s.IKE(0, 500, a.Main5(0), scene.Lost)
		}, nil},
		{"path-loss", none, "healthy", scene.Healthy, nil},
		{"path-loss", hit, "it was the sender's own queue",
			grew(0, "show-interface-policy", "class-default", 3, 5, lossyStart), map[string]any{"caused_by": "egress-drop"}},
		{"path-loss", near, "the receiver's capture was policed",
			grew(1, "show-punt-policer", "75    EPC", 0, 994, lossyStart), nil},

		{"icmp-rejected", hit, "a filter", rejectedBy(3, 13),
			map[string]any{"icmp_type": 3, "icmp_code": 13, "rejected_by": "203.0.113.1", "direction": "A->B",
				"meaning": "administratively prohibited"}},
		{"icmp-rejected", hit, "no route", rejectedBy(3, 0), map[string]any{"icmp_code": 0}},
		{"icmp-rejected", hit, "the way to another gateway, which the peer named", redirectedNowhere,
			map[string]any{"caused_by": "redirected"}},
		{"icmp-rejected", hit, "a loop", rejectedBy(11, 0), map[string]any{"icmp_type": 11}},
		{"icmp-rejected", hit, "the peer itself", func(s *scene.Scene) {
			a := s.SA(0)
			for range 3 {
				s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
				s.ICMP(0, scene.B.String(), 3, 3, 0)
				s.Wait(time.Second)
			}
		}, map[string]any{"icmp_code": 3, "rejected_by": scene.B.String()}},
		{"icmp-rejected", hit, "over, as the peer listens later", func(s *scene.Scene) {
			a := s.SA(0)
			m := a.Init(false, scene.Proposals(scene.GCM(19)))
			s.IKE(0, 500, m)
			s.ICMP(0, scene.B.String(), 3, 3, 0)
			s.Wait(time.Second)
			s.IKE(0, 500, m)
			s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19))))
			s.IKE(0, 500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth))
			s.IKE(1, 500, a.Sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, scene.SizeAnswer))
		}, map[string]any{"severity": "info"}},
		{"icmp-rejected", hit, "over, as the peer begins later, and goes on from the answer", startsAnew(true),
			map[string]any{"severity": "info"}},
		{"icmp-rejected", hit, "not over, as the peer begins later, and never goes on", startsAnew(false),
			map[string]any{"severity": "critical"}},
		{"icmp-rejected", hit, "one error in both captures", func(s *scene.Scene) {
			s.IKE(0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))))
			s.ICMP(0, scene.B.String(), 3, 3, 0)
			s.Now -= 3 * time.Millisecond
			s.ICMP(1, scene.B.String(), 3, 3, 0)
		}, map[string]any{"severity": "critical", "explanation": "site-b (192.168.2.1) refuses what site-a (192.168.1.1) " +
			"sends (IKE) and says so (port unreachable): ICMP type 3 code 3, 1 time."}},
		{"icmp-rejected", hit, "it is not over because another address answers later", func(s *scene.Scene) {
			there := s.Addr[1]
			s.Addr[1] = there.Next()
			s.IKE(0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Lost)
			s.ICMP(0, "203.0.113.1", 3, 13, 0)
			s.Addr[1] = there
			s.Wait(time.Second)
			scene.Healthy(s)
		}, map[string]any{"severity": "warning"}},
		{"icmp-rejected", near, "it quotes another tunnel", func(s *scene.Scene) {
			scene.Healthy(s)
			s.IKE(0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))),
				scene.Fate{To: scene.NAT, Lost: true, Hidden: true})
			s.Last[14+16], s.Last[14+12], s.Last[14+28+4] = 7, 7, 0x77
			s.ICMP(0, "203.0.113.1", 3, 13, 0)
		}, nil},
		{"icmp-rejected", hit, "IKE over IPv6, and the capture keeps 96 bytes", prohibited6(0, func(s *scene.Scene) {
			s.IKE(0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Lost)
		}), map[string]any{"rejected_by": "2001:db8:ff::1", "direction": "A->B", "confidence": "probable"}},
		{"icmp-rejected", hit, "ESP of B over IPv6, and the capture keeps 96 bytes", prohibited6(1, func(s *scene.Scene) {
			s.ESP(1, 0xb0000001, uint32(s.ID)+1, 100, false, scene.Lost)
		}), map[string]any{"direction": "B->A", "confidence": "certain"}},
		{"icmp-rejected", hit, "ESP in UDP over IPv6, and the capture keeps 96 bytes", prohibited6(0, func(s *scene.Scene) {
			s.ESP(0, 0xa0000001, uint32(s.ID)+1, 100, true, scene.Lost)
		}), map[string]any{"direction": "A->B", "confidence": "probable"}},
		{"icmp-rejected", near, "other traffic over IPv6, and the capture keeps 96 bytes",
			prohibited6(0, func(s *scene.Scene) { s.Datagram(0, 123, 123) }), nil},
		{"icmp-rejected", near, "another peer of the network over IPv6, and the capture keeps 96 bytes",
			prohibited6(0, func(s *scene.Scene) {
				s.ESP(0, 0xc0000001, uint32(s.ID)+1, 100, false,
					scene.Fate{Lost: true, To: netip.MustParseAddr("2001:db8:2::77")})
			}), nil},
		{"icmp-rejected", near, "too big", rejectedBy(3, 4), nil},
		{"icmp-rejected", near, "a redirect, with which the packet was passed on", rejectedBy(5, 1), nil},
		{"icmp-rejected", near, "a source quench", rejectedBy(4, 0), nil},
		{"icmp-rejected", near, "fragments are lost, of which the peer tells", torn(2), nil},
		{"icmp-rejected", hit, "fragments are lost, of which the peer tells, and A's capture is alone", torn(1),
			map[string]any{"icmp_type": 11, "icmp_code": 1}},
		{"icmp-rejected", hit, "fragments are lost, and what is small is answered later", tornThen(smallIsAnswered),
			map[string]any{"severity": "critical", "icmp_code": 1}},
		{"icmp-rejected", hit, "fragments were lost, and the message came whole when it was sent again", comesWhole,
			map[string]any{"severity": "info", "icmp_code": 1}},
		{"icmp-rejected", none, "healthy", scene.Healthy, nil},

		{"payload-altered", hit, "a byte of IKE_AUTH", func(s *scene.Scene) {
			a := s.SA(0)
			a.Open()
			s.Repeat(3, 0, 500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth), scene.Fate{Altered: 60})
		}, map[string]any{"direction": "A->B", "first_difference_offset": 60, "confidence": "certain"}},
		{"payload-altered", near, "B's capture cuts packets", func(s *scene.Scene) {
			s.Snap[1] = 120
			scene.Healthy(s)
		}, nil},
		{"payload-altered", none, "healthy", scene.Healthy, nil},

		{"duplicated-on-path", hit, "one request arrives twice", func(s *scene.Scene) {
			a := s.SA(0)
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))), scene.Fate{Twice: true})
			s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19))))
			a.Auth(ike.PayloadIDr, scene.SizeAnswer)
		}, map[string]any{"direction": "A->B", "count": 1}},
		{"duplicated-on-path", hit, "each copy of two sendings comes behind the next sending", twiceTwice,
			map[string]any{"direction": "B->A", "count": 2}},
		{"capture-filter-incomplete", near, "each copy of two sendings comes behind the next sending", twiceTwice, nil},
		{"duplicated-on-path", near, "the capture doubles", func(s *scene.Scene) {
			s.Twins[1] = true
			scene.Healthy(s)
		}, nil},
		{"duplicated-on-path", near, "it was sent twice", func(s *scene.Scene) {
			a := s.SA(0)
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
			s.Wait(time.Second)
			a.Up()
		}, nil},
		{"duplicated-on-path", near, "two that were held up together leave and arrive together", together(false), nil},
		{"duplicated-on-path", near, "so without an IP identification in IPv4", together(true), nil},
		{"duplicated-on-path", none, "healthy", scene.Healthy, nil},

		{"reordered-on-path", hit, "fragments overtake", func(s *scene.Scene) {
			a := s.SA(0)
			a.Open()
			for i := uint16(1); i <= 3; i++ {
				s.IKE(0, 500, a.SealedPart(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, 400, i, 3),
					scene.Fate{Late: time.Duration(3-i) * 50 * time.Millisecond})
			}
			s.Wait(100 * time.Millisecond)
			s.IKE(1, 500, a.Sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, scene.SizeAnswer))
		}, map[string]any{"direction": "A->B", "count": 2}},
		{"reordered-on-path", near, "a varying delay", func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.IKE(0, 500, a.Sealed(ike.Informational, 0, 2, false, ike.PayloadNone, 0), scene.Fate{Late: 50 * time.Millisecond})
			s.Wait(time.Second)
			a.ID[0]++
			a.DPD(0)
		}, nil},
		{"reordered-on-path", hit, "the last but one of A's last four comes in time", lateButOne(0, 2),
			map[string]any{"direction": "A->B", "count": 2}},
		{"reordered-on-path", hit, "the last but one of B's last four comes in time, over IPv6", func(s *scene.Scene) {
			s.Addr = scene.SixAddr
			lateButOne(1, 2)(s)
		}, map[string]any{"direction": "B->A", "count": 2}},
		{"path-loss", near, "the last but one of A's last four comes in time", lateButOne(0, 2), nil},
		{"path-loss", near, "the last one of B's last four comes in time, over IPv6", func(s *scene.Scene) {
			s.Addr = scene.SixAddr
			lateButOne(1, 3)(s)
		}, nil},
		{"capture-filter-incomplete", near, "the last one of A's last four comes in time", lateButOne(0, 3), nil},
		{"reordered-on-path", none, "healthy", scene.Healthy, nil},

		{"dscp-rewritten", hit, "CS6 becomes another", func(s *scene.Scene) {
			a := s.SA(0)
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))), scene.Fate{DSCP: 10})
			s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19))))
			a.Auth(ike.PayloadIDr, scene.SizeAnswer)
		}, map[string]any{"direction": "A->B", "dscp_sent": 48, "dscp_received": 10}},
		{"dscp-rewritten", near, "ESP has another than IKE", scene.Healthy, nil},
		{"dscp-rewritten", none, "one capture", func(s *scene.Scene) { scene.Healthy(s); s.Alone = true }, nil},

		{"slow-path", hit, "three seconds there and back", func(s *scene.Scene) {
			s.Delay = 1500 * time.Millisecond
			a := s.SA(0)
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
			s.Wait(2 * time.Second)
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
			s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19))))
			s.Wait(3 * time.Second)
			a.Auth(ike.PayloadIDr, scene.SizeAnswer)
		}, map[string]any{"confidence": "certain"}},
		{"slow-path", hit, "one packet is held, the others are not", func(s *scene.Scene) {
			a := s.SA(0)
			s.Delay = 1500 * time.Millisecond
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
			s.Delay = 10 * time.Millisecond
			s.Wait(1490 * time.Millisecond)
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
			s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19))))
			a.Auth(ike.PayloadIDr, scene.SizeAnswer)
		}, map[string]any{"title": "The path held one packet longer than the sender waits"}},
		{"slow-path", near, "the peer is slow, not the path", func(s *scene.Scene) {
			a := s.SA(0)
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
			s.Wait(2 * time.Second)
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
			s.Wait(100 * time.Millisecond)
			s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19))))
			a.Auth(ike.PayloadIDr, scene.SizeAnswer)
		}, nil},
		{"slow-path", none, "healthy", scene.Healthy, nil},
	}
}

// together has A's first request leave twice within microseconds, as after a neighbor was asked
// for, and B's answer as well; what tells two such packets from two copies is missing.
func together(four bool) func(*scene.Scene) {
	return func(s *scene.Scene) {
		if !four {
			s.Addr = scene.SixAddr
		}
		again := func(from int, message []byte, apart [2]time.Duration) {
			s.ID = ^uint16(0) // the next one is 0
			s.IKE(from, 500, message)
			for at := range 2 {
				last := s.Rows[at][len(s.Rows[at])-1]
				last.Nanos += int64(apart[at])
				s.Rows[at] = append(s.Rows[at], last)
			}
		}
		a := s.SA(0)
		again(0, a.Init(false, scene.Proposals(scene.GCM(19))), [2]time.Duration{12 * time.Microsecond, 0})
		again(1, a.Init(true, scene.Proposals(scene.GCM(19))), [2]time.Duration{38 * time.Microsecond, 2 * time.Millisecond})
		a.Auth(ike.PayloadIDr, scene.SizeAnswer)
		a.DPD(1)
	}
}

// A path that doubles everything has a side answer twice as well: of what was sent twice a copy may
// come just before the second sending does, which sets no clock, and no capture doubles packets of
// which it holds some once.
func TestWhatIsSentTwiceArrivesFourTimes(t *testing.T) {
	s := scene.New(t)
	s.Addr, s.Delay = scene.SixAddr, 20*time.Microsecond
	a := s.SA(0)
	answer := a.Init(true, scene.Proposals(scene.GCM(19)))
	s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))), scene.Fate{Twice: true})
	s.IKE(1, 500, answer, scene.Fate{Twice: true})
	s.Wait(60 * time.Microsecond) // it comes just behind the copy of the first, and is held for a moment
	s.IKE(1, 500, answer, scene.Fate{Twice: true, Late: 100 * time.Microsecond})
	s.Now -= 20 * time.Millisecond
	s.IKE(1, 500, answer, scene.Fate{Twice: true}) // at the same moment
	s.Wait(time.Second)
	a.Auth(ike.PayloadIDr, scene.SizeAnswer)
	a.DPD(0)
	r := s.Compare()
	found := scene.Flatten(t, r)
	if r.Clock == nil || r.Clock.Steps != 0 {
		t.Errorf("the clocks: %+v, want no step", r.Clock)
	}
	if len(found.Of("duplicated-on-path")) == 0 || len(found.Of("capture-duplicates")) > 0 {
		t.Errorf("it is %v", found.Codes())
	}
}

// twiceTwice: B answers twice within 10 ms, and the path delivers each a second time 20 ms later.
func twiceTwice(s *scene.Scene) {
	a := s.SA(0)
	answer := a.Init(true, scene.Proposals(scene.GCM(19)))
	s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
	s.IKE(1, 500, answer, scene.Fate{Twice: true})
	s.Now -= 10 * time.Millisecond
	s.IKE(1, 500, answer, scene.Fate{Twice: true})
	a.Auth(ike.PayloadIDr, scene.SizeAnswer)
	a.DPD(0)
}

// A path that drops one exchange of every attempt, and passes what comes between, has not closed:
// nothing of the exchange passes, and no line of ports and addresses in a filter makes it.
func TestPathThatPassesAllButOneExchange(t *testing.T) {
	const (
		closed = "passes at first and then no more"
		but    = "passes, but for"
	)
	for _, version := range []int{1, 2} {
		for _, from := range []int{0, 1} { // who sends what is lost
			for _, answers := range []bool{false, true} {
				for _, c := range []struct {
					attempts, uncovered int
					bye                 bool
					want                string
				}{{1, 0, false, closed}, {2, 0, false, but}, {3, 0, false, but}, {2, 1, false, but}, {2, 0, true, but}} {
					const each = 4
					s := scene.New(t)
					starts := from
					if answers {
						starts = 1 - from
					}
					lost := 0
					if c.bye && version == 2 {
						continue // its own exchange of a request and an answer tells more than the path
					}
					for n := range c.attempts {
						var ask, answer, bye []byte
						if version == 2 {
							a := s.SA(starts)
							a.Open()
							ask = a.Sealed(ike.IKEAuth, starts, 1, false, ike.PayloadIDi, scene.SizeAuth)
							answer = a.Sealed(ike.IKEAuth, 1-starts, 1, true, ike.PayloadIDr, scene.SizeAnswer)
						} else {
							a := s.V1(starts).Phase1()
							ask = a.Sealed(ike.V1QuickMode, starts, a.Quick, ike.V1PayloadHASH, 160)
							answer = a.Sealed(ike.V1QuickMode, 1-starts, a.Quick, ike.V1PayloadHASH, 144)
							bye = a.Sealed(ike.V1Informational, from, 77, ike.V1PayloadHASH, 80)
						}
						for range each {
							if answers {
								s.IKE(starts, 500, ask)
								s.IKE(from, 500, answer, scene.Lost)
							} else {
								s.IKE(from, 500, ask, scene.Lost)
							}
							lost++
							s.Wait(2 * time.Second)
						}
						if c.bye {
							s.IKE(from, 500, bye, scene.Lost)
							lost++
						}
						s.Wait(20 * time.Second)
						if n == c.attempts-1 && c.uncovered == 0 {
							s.Noise(1 - from)
						}
					}
					r := s.Compare()
					scene.Sound(t, r)
					name := fmt.Sprintf("IKEv%d, side %d, answers %v, %+v", version, from, answers, c)
					found := scene.Flatten(t, r)
					if !found.Has(map[string]any{"code": "path-blocked"}) || found.Has(map[string]any{"code": "tunnel-established"}) {
						t.Errorf("%s: %v", name, found.Codes())
						continue
					}
					text := wording(r, "path-blocked")
					if !strings.Contains(text, c.want) || strings.Contains(text, but) != (c.want == but) ||
						strings.Contains(text, "permit udp") != (c.want == closed) {
						t.Errorf("%s: %s", name, text)
					}
					if c.uncovered == 0 && !strings.Contains(text, fmt.Sprintf("%d sent, 0 arrived", lost)) {
						t.Errorf("%s: not all of %d: %s", name, lost, text)
					}
				}
			}
		}
	}
}

// Late is what arrives behind what was sent later, and not what overtook it.
func TestLatePacketsAreThoseOvertaken(t *testing.T) {
	for _, version := range []int{1, 2} {
		for _, from := range []int{0, 1} {
			for _, slow := range [][]int{{0}, {1}, {0, 1}, {0, 2}} { // of four sendings
				s := scene.New(t)
				var messages [4][]byte
				for i := range messages {
					if version == 2 {
						a := s.SA(from).Up()
						messages[i] = a.Sealed(ike.Informational, from, a.ID[from]+2, false, ike.PayloadN, 80)
					} else {
						a := s.V1(from).Phase1()
						messages[i] = a.Sealed(ike.V1Informational, from, uint32(70+i), ike.V1PayloadHASH, 80)
					}
				}
				var want []int // the frames of them in the capture of the receiver
				for i, message := range messages {
					fate := scene.Fate{}
					if slices.Contains(slow, i) {
						fate.Late = time.Second
					}
					s.IKE(from, 500, message, fate)
				}
				rows := s.Sorted(1 - from)
				for n := range slow {
					want = append(want, len(rows)-len(slow)+n+1)
				}
				s.Wait(5 * time.Second)
				s.Noise(0)
				s.Noise(1)
				r := s.Compare()
				scene.Sound(t, r)
				var got []int
				count, sides := 0, [2]report.Side{"A", "B"}
				for _, f := range r.Findings {
					if f.Code != "reordered-on-path" {
						continue
					}
					count = f.Fields["count"].(int)
					for _, e := range f.Evidence {
						if e.Side == sides[1-from] {
							got = append(got, e.Frame)
						}
					}
				}
				slices.Sort(got)
				if count != len(want) || !slices.Equal(got, want) {
					t.Errorf("IKEv%d, side %d, slow %v: %d packets, frames %v, want %v", version, from, slow, count, got, want)
				}
			}
		}
	}
}

// An answer from another port of the address that was asked is told as one of another port.
func TestAnswerFromElsewhereSaysWhatDiffers(t *testing.T) {
	for name, c := range map[string]struct {
		from netip.Addr
		port uint16
		says string
		not  []string
	}{
		"port":    {scene.B, 1500, "port", []string{"another address", "show standby brief", "an address where"}},
		"address": {netip.MustParseAddr("192.168.2.9"), 0, "address", []string{"another port", "a port where"}},
		"both":    {netip.MustParseAddr("192.168.2.9"), 1500, "address", []string{"another port", "a port where"}},
	} {
		for _, alone := range []bool{false, true} {
			s := scene.New(t)
			elsewhere(c.from, c.port, 3, scene.Lost)(s)
			s.Alone = alone
			r := s.Compare()
			scene.Sound(t, r)
			text := wording(r, "answer-from-other-address")
			for _, f := range r.Findings {
				if f.Code == "answer-from-other-address" {
					text += "\n" + f.Evidence[0].Note
				}
			}
			if strings.Count(text, "another "+c.says) != 2 {
				t.Errorf("%s, alone %v: %s", name, alone, text)
			}
			for _, not := range c.not {
				if strings.Contains(text, not) {
					t.Errorf("%s, alone %v, %q: %s", name, alone, not, text)
				}
			}
		}
	}
}

// nothingShared has each capture hold a negotiation of A that the other one lacks.
func nothingShared(s *scene.Scene) {
	sent, got := s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), s.SA(0).Init(false, scene.Proposals(scene.GCM(19)))
	for range 4 {
		s.IKE(0, 500, sent, scene.Lost)
		s.IKE(0, 500, got, scene.Fate{Hidden: true})
		s.Wait(2 * time.Second)
	}
	s.Noise(0)
	s.Noise(1)
}

// Captures that have nothing in common prove no loss between them, be it that each holds what the
// other lacks: what arrives is not what was sent.
func TestNoLossBetweenCapturesWithoutACommonPacket(t *testing.T) {
	for _, version := range []int{1, 2} {
		for _, from := range []int{0, 1} {
			for _, last := range []bool{false, true} { // what is not at the receiver comes last
				for _, common := range []bool{false, true} {
					s := scene.New(t)
					first := func() []byte {
						if version == 1 {
							return s.V1(from).Message(ike.V1MainMode, from, 0, true, scene.SAv1(scene.Modern(14, 1)))
						}
						return s.SA(from).Init(false, scene.Proposals(scene.GCM(19)))
					}
					if common {
						s.IKE(from, 500, first())
						s.Wait(time.Second)
					}
					sent, got := first(), first()
					for range 4 {
						if last {
							s.IKE(from, 500, got, scene.Fate{Hidden: true})
						} else {
							s.IKE(from, 500, sent, scene.Lost)
							s.IKE(from, 500, got, scene.Fate{Hidden: true})
						}
						s.Wait(2 * time.Second)
					}
					for range 4 {
						if last {
							s.IKE(from, 500, sent, scene.Lost)
							s.Wait(2 * time.Second)
						}
					}
					s.Noise(0)
					s.Noise(1)
					r := s.Compare()
					scene.Sound(t, r)
					told := false
					for _, f := range r.Findings {
						if f.Code != "path-loss" && f.Code != "path-blocked" {
							continue
						}
						told = true
						if (f.Confidence == report.Possible) == common ||
							strings.Contains(f.Explanation, "nothing is in both captures") == common {
							t.Errorf("IKEv%d, side %d, last %v, common %v: %s %s", version, from, last, common, f.Confidence,
								f.Explanation)
						}
					}
					if !told {
						t.Errorf("IKEv%d, side %d, last %v, common %v: %v", version, from, last, common,
							scene.Flatten(t, r).Codes())
					}
				}
			}
		}
	}
}

// What begins that nothing passes any more need not be proven lost itself: a request that is sent
// once, with the capture's end within the time that it is under way, may only come too late.
func TestPathThatClosesBehindWhatMayBeLate(t *testing.T) {
	s := scene.New(t)
	s.Delay = 3 * time.Second
	a := s.SA(0)
	a.Up()
	s.Wait(20 * time.Second)
	s.IKE(0, 500, a.Sealed(ike.Informational, 0, 2, false, ike.PayloadNone, 0), scene.Lost)
	for range 4 {
		s.Wait(time.Second)
		s.IKE(0, 500, a.Sealed(ike.CreateChildSA, 0, 3, false, ike.PayloadSA, 200), scene.Lost)
	}
	s.Noise(1)
	r := s.Compare()
	scene.Sound(t, r)
	if text := wording(r, "path-blocked"); !strings.Contains(text, "passes at first and then no more") ||
		!strings.Contains(text, "4 sent, 0 arrived") {
		t.Errorf("%v: %s", scene.Flatten(t, r).Codes(), text)
	}
}

// That a direction passed once does not say that it does after the other one closed.
func TestWhatBecameOfTheOtherDirection(t *testing.T) {
	for _, c := range []struct {
		back *scene.Fate // of what B sends meanwhile; nil: nothing
		want string
	}{
		{&scene.Fate{}, "the other direction passes."},
		{&scene.Fate{Lost: true}, "nor does the other direction pass any more."},
		{nil, "the other direction passed, too, and nothing was sent there since."},
	} {
		for from := range 2 {
			s := scene.New(t)
			a := s.SA(from)
			a.Up()
			s.Wait(20 * time.Second)
			for range 5 {
				s.IKE(from, 500, a.Sealed(ike.Informational, from, 2, false, ike.PayloadNone, 0), scene.Lost)
				if s.Wait(time.Second); c.back != nil {
					s.IKE(1-from, 500, a.Sealed(ike.Informational, 1-from, 0, false, ike.PayloadNone, 0), *c.back)
				}
			}
			s.Noise(0)
			s.Noise(1)
			r := s.Compare()
			scene.Sound(t, r)
			if !strings.Contains(wording(r, "path-blocked"), c.want) {
				t.Errorf("side %d: %v, want %q", from, scene.Flatten(t, r).Codes(), c.want)
			}
		}
	}
}

// Of a path that loses many of all packets, two that are lost prove no filter of their port.
func TestFewLostOnALossyPathProveNoFilter(t *testing.T) {
	for _, lossy := range []bool{false, true} {
		s := scene.New(t)
		a := s.SA(0)
		for i := range 4 {
			f := scene.Fate{}
			if lossy && i < 3 {
				f = scene.Lost
			}
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))), f)
			s.Wait(time.Second)
		}
		s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19))))
		s.Wait(10 * time.Millisecond)
		s.Repeat(2, 0, 4500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, 300), scene.Lost)
		s.Wait(4 * time.Second)
		s.Noise(0)
		s.Noise(1)
		r := s.Compare()
		scene.Sound(t, r)
		found := scene.Flatten(t, r)
		blocked := slices.Concat(found.Of("nat-t-blocked"), found.Of("path-blocked"))
		want := map[bool]string{false: "certain", true: "probable"}[lossy]
		if len(blocked) != 1 || blocked[0]["confidence"] != want {
			t.Errorf("lossy %v: %v", lossy, blocked)
		}
	}
}
