package diagnose_test

import (
	"net/netip"
	"time"

	"github.com/moncap/moncap/analysis/ike"
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

// elsewhere is a negotiation in which B answers from another address or port, and A goes on to ask where it asked before.
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

var _ = add(pathCases)

func pathCases() []findingCase {
	return []findingCase{
		{"answer-from-other-address", hit, "another address", elsewhere(netip.MustParseAddr("192.168.2.9"), 0, 3, scene.Lost), map[string]any{"side": "B", "asked": "192.168.2.1", "answered_from": "192.168.2.9"}},
		{"answer-from-other-address", hit, "another port", elsewhere(scene.B, 1500, 3, scene.Fate{}), map[string]any{"side": "B", "answered_from": "192.168.2.1:1500"}},
		{"answer-from-other-address", hit, "one capture", func(s *scene.Scene) { s.Alone = true; elsewhere(scene.B, 1500, 3, scene.Lost)(s) }, map[string]any{"side": "B"}},
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

		{"path-blocked", hit, "A to B", blockedAtoB, map[string]any{"direction": "A->B", "protocol": "udp", "port": 500, "phase": "IKE_SA_INIT",
			"lost": 6, "sent": 6, "confidence": "certain"}},
		{"path-blocked", hit, "answers", answersLost, map[string]any{"direction": "B->A", "lost": 3, "sent": 3, "confidence": "certain"}},
		{"path-blocked", hit, "the other capture is empty", func(s *scene.Scene) {
			s.Repeat(4, 0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Lost)
		}, map[string]any{"direction": "A->B", "confidence": "probable"}},
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
		{"path-blocked", near, "it arrives and is not answered", func(s *scene.Scene) {
			s.Repeat(4, 0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Fate{})
		}, nil},
		{"path-blocked", none, "healthy", scene.Healthy, nil},

		{"nat-t-blocked", hit, "A to B", natTBlocked, map[string]any{"direction": "A->B", "lost": 4, "sent": 4, "confidence": "certain"}},
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

		{"path-loss", hit, "the first request", lossyStart, map[string]any{"direction": "A->B", "protocol": "udp", "port": 500, "lost": 1, "confidence": "certain"}},
		{"path-loss", near, "all are lost", blockedAtoB, nil},
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
		{"path-loss", hit, "it was the sender's own queue", grew(0, "show-interface-policy", "class-default", 3, 5, lossyStart), map[string]any{"caused_by": "egress-drop"}},
		{"path-loss", near, "the receiver's capture was policed", grew(1, "show-punt-policer", "75    EPC", 0, 994, lossyStart), nil},

		{"icmp-rejected", hit, "a filter", rejectedBy(3, 13), map[string]any{"icmp_type": 3, "icmp_code": 13, "rejected_by": "203.0.113.1", "direction": "A->B",
			"meaning": "administratively prohibited"}},
		{"icmp-rejected", hit, "no route", rejectedBy(3, 0), map[string]any{"icmp_code": 0}},
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
		{"icmp-rejected", hit, "one error in both captures", func(s *scene.Scene) {
			s.IKE(0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))))
			s.ICMP(0, scene.B.String(), 3, 3, 0)
			s.Now -= 3 * time.Millisecond
			s.ICMP(1, scene.B.String(), 3, 3, 0)
		}, map[string]any{"severity": "critical", "explanation": "site-b (192.168.2.1) refuses what site-a (192.168.1.1) sends (IKE) and says so (port unreachable): ICMP type 3 code 3, 1 time."}},
		{"icmp-rejected", near, "it quotes another tunnel", func(s *scene.Scene) {
			scene.Healthy(s)
			s.IKE(0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Fate{To: scene.NAT, Lost: true, Hidden: true})
			s.Last[14+16], s.Last[14+12], s.Last[14+28+4] = 7, 7, 0x77
			s.ICMP(0, "203.0.113.1", 3, 13, 0)
		}, nil},
		{"icmp-rejected", near, "too big", rejectedBy(3, 4), nil},
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
		{"duplicated-on-path", none, "healthy", scene.Healthy, nil},

		{"reordered-on-path", hit, "fragments overtake", func(s *scene.Scene) {
			a := s.SA(0)
			a.Open()
			for i := uint16(1); i <= 3; i++ {
				s.IKE(0, 500, a.SealedPart(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, 400, i, 3), scene.Fate{Late: time.Duration(3-i) * 50 * time.Millisecond})
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
