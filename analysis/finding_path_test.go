package analysis

import (
	"net/netip"
	"time"

	"github.com/moncap/moncap/analysis/ike"
)

func healthy(s *scene) {
	a := s.sa(0).up()
	s.traffic(10, false)
	a.dpd(0)
	a.dpd(1)
}

func healthyNAT(s *scene) {
	s.seen[0] = sceneNAT
	a := s.sa(0).up()
	s.traffic(10, true)
	a.dpd(0)
}

// blockedAtoB: all that A sends vanishes, what B sends arrives.
func blockedAtoB(s *scene) {
	a, b := s.sa(0), s.sa(1)
	mine, theirs := a.init(false, proposals(gcm(19))), b.init(false, proposals(gcm(19)))
	for range 3 {
		s.ike(0, 500, mine, lost)
		s.ike(1, 500, theirs)
		s.ike(0, 500, b.init(true, proposals(gcm(19))), lost)
		s.wait(2 * time.Second)
	}
}

func answersLost(s *scene) {
	a := s.sa(0)
	for range 3 {
		s.ike(0, 500, a.init(false, proposals(gcm(19))))
		s.ike(1, 500, a.init(true, proposals(gcm(19))), lost)
		s.wait(2 * time.Second)
	}
}

// lossyStart: the first request is lost, the next arrives.
func lossyStart(s *scene) {
	a := s.sa(0)
	s.noise(1)
	s.ike(0, 500, a.init(false, proposals(gcm(19))), lost)
	s.wait(time.Second)
	a.up()
	a.dpd(0)
}

func natTBlocked(s *scene) {
	s.seen[0] = sceneNAT
	a := s.sa(0)
	a.open()
	s.repeat(4, 0, 4500, a.sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, sizeAuth), lost)
}

func rejectedBy(kind, code byte) func(*scene) {
	return func(s *scene) {
		a := s.sa(0)
		m := a.init(false, proposals(gcm(19)))
		s.noise(1)
		for range 3 {
			s.ike(0, 500, m, lost)
			s.icmp(0, "203.0.113.1", kind, code, 1400)
			s.wait(time.Second)
		}
		s.noise(1)
	}
}

// elsewhere is a negotiation in which B answers from another address or port, and A goes on to ask where it asked before.
func elsewhere(from netip.Addr, port uint16, times int, auth fate) func(*scene) {
	return func(s *scene) {
		a := s.sa(0)
		s.ike(0, 500, a.init(false, proposals(gcm(19))))
		answer := a.init(true, proposals(gcm(19)))
		own, ports := s.addr[1], s.ports[1]
		s.addr[1], s.ports[1] = from, 0
		s.ikeFrom(1, max(port, 500), answer)
		s.addr[1], s.ports[1] = own, ports
		s.repeat(times, 0, 500, a.sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, sizeAuth), auth)
		s.wait(10 * time.Second)
		s.noise(1)
	}
}

func pathCases() []findingCase {
	return []findingCase{
		{"answer-from-other-address", hit, "another address", elsewhere(netip.MustParseAddr("192.168.2.9"), 0, 3, lost), map[string]any{"side": "B", "asked": "192.168.2.1", "answered_from": "192.168.2.9"}},
		{"answer-from-other-address", hit, "another port", elsewhere(sceneB, 1500, 3, fate{}), map[string]any{"side": "B", "answered_from": "192.168.2.1:1500"}},
		{"answer-from-other-address", hit, "one capture", func(s *scene) { s.alone = true; elsewhere(sceneB, 1500, 3, lost)(s) }, map[string]any{"side": "B"}},
		{"answer-from-other-address", near, "asked but once", elsewhere(sceneB, 1500, 1, fate{}), nil},
		{"answer-from-other-address", near, "a NAT before B", func(s *scene) {
			s.seen[1] = sceneNAT
			a := s.sa(0)
			a.open()
			s.repeat(3, 0, 4500, a.sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, sizeAuth), fate{})
		}, nil},
		{"answer-from-other-address", none, "healthy", healthy, nil},

		{"inconsistent-answers", hit, "two boxes", func(s *scene) {
			a := s.sa(0)
			m := a.init(false, proposals(gcm(19)))
			s.ike(0, 500, m)
			s.ike(1, 500, a.init(true, proposals(gcm(19))))
			s.wait(time.Second)
			s.ike(0, 500, m)
			a.r++
			s.ike(1, 500, a.init(true, proposals(gcm(19))))
		}, map[string]any{"side": "B", "exchange": "IKE_SA_INIT", "severity": "critical"}},
		{"inconsistent-answers", near, "the same answer twice", func(s *scene) {
			a := s.sa(0)
			m, r := a.init(false, proposals(gcm(19))), a.init(true, proposals(gcm(19)))
			for range 2 {
				s.ike(0, 500, m)
				s.ike(1, 500, r)
				s.wait(time.Second)
			}
		}, nil},
		{"inconsistent-answers", none, "healthy", healthy, nil},

		{"path-blocked", hit, "A to B", blockedAtoB, map[string]any{"direction": "A->B", "protocol": "udp", "port": 500, "phase": "IKE_SA_INIT",
			"lost": 6, "sent": 6, "confidence": "certain"}},
		{"path-blocked", hit, "answers", answersLost, map[string]any{"direction": "B->A", "lost": 3, "sent": 3, "confidence": "certain"}},
		{"path-blocked", hit, "the other capture is empty", func(s *scene) {
			s.repeat(4, 0, 500, s.sa(0).init(false, proposals(gcm(19))), lost)
		}, map[string]any{"direction": "A->B", "confidence": "probable"}},
		{"path-blocked", hit, "after it was up", func(s *scene) {
			a := s.sa(0).up()
			a.dpd(0)
			s.wait(time.Minute)
			for range 5 {
				s.ike(1, 500, a.sealed(ike.Informational, 1, 0, false, ike.PayloadNone, 0))
				s.ike(0, 500, a.sealed(ike.Informational, 0, 0, true, ike.PayloadNone, 0), lost)
				s.wait(5 * time.Second)
			}
		}, map[string]any{"direction": "A->B", "phase": "INFORMATIONAL", "lost": 5, "sent": 5}},
		{"path-blocked", near, "one of them arrives", lossyStart, nil},
		{"path-blocked", near, "it arrives and is not answered", func(s *scene) {
			s.repeat(4, 0, 500, s.sa(0).init(false, proposals(gcm(19))), fate{})
		}, nil},
		{"path-blocked", none, "healthy", healthy, nil},

		{"nat-t-blocked", hit, "A to B", natTBlocked, map[string]any{"direction": "A->B", "lost": 4, "sent": 4, "confidence": "certain"}},
		{"nat-t-blocked", near, "only some are lost", func(s *scene) {
			s.seen[0] = sceneNAT
			a := s.sa(0)
			a.open()
			s.ike(0, 4500, a.sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, sizeAuth), lost)
			s.wait(time.Second)
			a.port = 4500
			a.auth(ike.PayloadIDr, sizeAnswer)
			a.dpd(0)
		}, nil},
		{"nat-t-blocked", near, "500 is blocked as well", blockedAtoB, nil},
		{"nat-t-blocked", none, "healthy behind a NAT", healthyNAT, nil},

		{"path-loss", hit, "the first request", lossyStart, map[string]any{"direction": "A->B", "protocol": "udp", "port": 500, "lost": 1, "confidence": "certain"}},
		{"path-loss", near, "all are lost", blockedAtoB, nil},
		{"path-loss", near, "the capture of B began later", func(s *scene) {
			a := s.sa(0)
			s.ike(0, 500, a.init(false, proposals(gcm(19))), lost)
			s.wait(time.Minute)
			a.up()
			a.dpd(0)
		}, nil},
		{"path-blocked", hit, "a rekey at night, of whose end B's capture lacks a part", func(s *scene) {
			a := s.sa(0).up()
			for range 8 {
				s.wait(30 * time.Minute)
				a.dpd(1)
			}
			s.repeat(6, 0, 500, a.sealed(ike.CreateChildSA, 0, 2, false, ike.PayloadN, 180), lost)
		}, map[string]any{"direction": "A->B", "phase": "CREATE_CHILD_SA"}},
		{"path-loss", near, "the capture of B ended before the last repetition", func(s *scene) {
			a := s.v1(0)
			a.main12(saV1(modern(14, 1)), saV1(modern(14, 1)))
			a.main34()
			s.repeat(4, 0, 500, a.main5(0), fate{})
			s.wait(4 * time.Second)
			s.ike(0, 500, a.main5(0), lost)
		}, nil},
		{"path-loss", none, "healthy", healthy, nil},

		{"icmp-rejected", hit, "a filter", rejectedBy(3, 13), map[string]any{"icmp_type": 3, "icmp_code": 13, "rejected_by": "203.0.113.1", "direction": "A->B",
			"meaning": "administratively prohibited"}},
		{"icmp-rejected", hit, "no route", rejectedBy(3, 0), map[string]any{"icmp_code": 0}},
		{"icmp-rejected", hit, "a loop", rejectedBy(11, 0), map[string]any{"icmp_type": 11}},
		{"icmp-rejected", hit, "the peer itself", func(s *scene) {
			a := s.sa(0)
			for range 3 {
				s.ike(0, 500, a.init(false, proposals(gcm(19))))
				s.icmp(0, sceneB.String(), 3, 3, 0)
				s.wait(time.Second)
			}
		}, map[string]any{"icmp_code": 3, "rejected_by": sceneB.String()}},
		{"icmp-rejected", hit, "over, as the peer listens later", func(s *scene) {
			a := s.sa(0)
			m := a.init(false, proposals(gcm(19)))
			s.ike(0, 500, m)
			s.icmp(0, sceneB.String(), 3, 3, 0)
			s.wait(time.Second)
			s.ike(0, 500, m)
			s.ike(1, 500, a.init(true, proposals(gcm(19))))
			s.ike(0, 500, a.sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, sizeAuth))
			s.ike(1, 500, a.sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, sizeAnswer))
		}, map[string]any{"severity": "info"}},
		{"icmp-rejected", hit, "one error in both captures", func(s *scene) {
			s.ike(0, 500, s.sa(0).init(false, proposals(gcm(19))))
			s.icmp(0, sceneB.String(), 3, 3, 0)
			s.now -= 3 * time.Millisecond
			s.icmp(1, sceneB.String(), 3, 3, 0)
		}, map[string]any{"severity": "critical", "explanation": "site-b (192.168.2.1) refuses what site-a (192.168.1.1) sends (IKE) and says so (port unreachable): ICMP type 3 code 3, 1 time."}},
		{"icmp-rejected", near, "it quotes another tunnel", func(s *scene) {
			healthy(s)
			s.ike(0, 500, s.sa(0).init(false, proposals(gcm(19))), fate{to: sceneNAT, lost: true, hidden: true})
			s.last[14+16], s.last[14+12], s.last[14+28+4] = 7, 7, 0x77
			s.icmp(0, "203.0.113.1", 3, 13, 0)
		}, nil},
		{"icmp-rejected", near, "too big", rejectedBy(3, 4), nil},
		{"icmp-rejected", none, "healthy", healthy, nil},

		{"payload-altered", hit, "a byte of IKE_AUTH", func(s *scene) {
			a := s.sa(0)
			a.open()
			s.repeat(3, 0, 500, a.sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, sizeAuth), fate{altered: 60})
		}, map[string]any{"direction": "A->B", "first_difference_offset": 60, "confidence": "certain"}},
		{"payload-altered", near, "B's capture cuts packets", func(s *scene) {
			s.snap[1] = 120
			healthy(s)
		}, nil},
		{"payload-altered", none, "healthy", healthy, nil},

		{"duplicated-on-path", hit, "one request arrives twice", func(s *scene) {
			a := s.sa(0)
			s.ike(0, 500, a.init(false, proposals(gcm(19))), fate{twice: true})
			s.ike(1, 500, a.init(true, proposals(gcm(19))))
			a.auth(ike.PayloadIDr, sizeAnswer)
		}, map[string]any{"direction": "A->B", "count": 1}},
		{"duplicated-on-path", near, "the capture doubles", func(s *scene) {
			s.twins[1] = true
			healthy(s)
		}, nil},
		{"duplicated-on-path", near, "it was sent twice", func(s *scene) {
			a := s.sa(0)
			s.ike(0, 500, a.init(false, proposals(gcm(19))))
			s.wait(time.Second)
			a.up()
		}, nil},
		{"duplicated-on-path", none, "healthy", healthy, nil},

		{"reordered-on-path", hit, "fragments overtake", func(s *scene) {
			a := s.sa(0)
			a.open()
			for i := uint16(1); i <= 3; i++ {
				s.ike(0, 500, a.sealedPart(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, 400, i, 3), fate{late: time.Duration(3-i) * 50 * time.Millisecond})
			}
			s.wait(100 * time.Millisecond)
			s.ike(1, 500, a.sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, sizeAnswer))
		}, map[string]any{"direction": "A->B", "count": 2}},
		{"reordered-on-path", near, "a varying delay", func(s *scene) {
			a := s.sa(0).up()
			s.ike(0, 500, a.sealed(ike.Informational, 0, 2, false, ike.PayloadNone, 0), fate{late: 50 * time.Millisecond})
			s.wait(time.Second)
			a.id[0]++
			a.dpd(0)
		}, nil},
		{"reordered-on-path", none, "healthy", healthy, nil},

		{"dscp-rewritten", hit, "CS6 becomes another", func(s *scene) {
			a := s.sa(0)
			s.ike(0, 500, a.init(false, proposals(gcm(19))), fate{dscp: 10})
			s.ike(1, 500, a.init(true, proposals(gcm(19))))
			a.auth(ike.PayloadIDr, sizeAnswer)
		}, map[string]any{"direction": "A->B", "dscp_sent": 48, "dscp_received": 10}},
		{"dscp-rewritten", near, "ESP has another than IKE", healthy, nil},
		{"dscp-rewritten", none, "one capture", func(s *scene) { healthy(s); s.alone = true }, nil},

		{"slow-path", hit, "three seconds there and back", func(s *scene) {
			s.delay = 1500 * time.Millisecond
			a := s.sa(0)
			s.ike(0, 500, a.init(false, proposals(gcm(19))))
			s.wait(2 * time.Second)
			s.ike(0, 500, a.init(false, proposals(gcm(19))))
			s.ike(1, 500, a.init(true, proposals(gcm(19))))
			s.wait(3 * time.Second)
			a.auth(ike.PayloadIDr, sizeAnswer)
		}, map[string]any{"confidence": "certain"}},
		{"slow-path", hit, "one packet is held, the others are not", func(s *scene) {
			a := s.sa(0)
			s.delay = 1500 * time.Millisecond
			s.ike(0, 500, a.init(false, proposals(gcm(19))))
			s.delay = 10 * time.Millisecond
			s.wait(1490 * time.Millisecond)
			s.ike(0, 500, a.init(false, proposals(gcm(19))))
			s.ike(1, 500, a.init(true, proposals(gcm(19))))
			a.auth(ike.PayloadIDr, sizeAnswer)
		}, map[string]any{"title": "The path held one packet longer than the sender waits"}},
		{"slow-path", near, "the peer is slow, not the path", func(s *scene) {
			a := s.sa(0)
			s.ike(0, 500, a.init(false, proposals(gcm(19))))
			s.wait(2 * time.Second)
			s.ike(0, 500, a.init(false, proposals(gcm(19))))
			s.wait(100 * time.Millisecond)
			s.ike(1, 500, a.init(true, proposals(gcm(19))))
			a.auth(ike.PayloadIDr, sizeAnswer)
		}, nil},
		{"slow-path", none, "healthy", healthy, nil},
	}
}
