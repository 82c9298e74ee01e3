package analysis

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
)

// mappingMoves: the NAT forgets A's port while it is idle.
func mappingMoves(s *scene) {
	s.seen[0] = sceneNAT
	a := s.sa(0).up()
	s.ports[0] = 31000
	s.wait(5 * time.Minute)
	a.dpd(0)
	a.dpd(0)
}

// bothBegin: each side initiates, and both SAs come up.
func bothBegin(s *scene) (a, b *sa) {
	a, b = s.sa(0), s.sa(1)
	s.ike(0, 500, a.init(false, proposals(gcm(19))))
	s.ike(1, 500, b.init(false, proposals(gcm(19))))
	s.ike(1, 500, a.init(true, proposals(gcm(19))))
	s.ike(0, 500, b.init(true, proposals(gcm(19))))
	a.auth(ike.PayloadIDr, sizeAnswer)
	b.auth(ike.PayloadIDr, sizeAnswer)
	return a, b
}

// idleBehindNAT: nothing for so long, with or without keepalives.
func idleBehindNAT(d, keepalive time.Duration) func(*scene) {
	return func(s *scene) {
		s.seen[0] = sceneNAT
		a := s.sa(0).up()
		for end := s.now + d; s.now < end; {
			step := d
			if keepalive > 0 {
				step = keepalive
				s.keepalive(0)
			}
			s.wait(step)
		}
		a.dpd(0)
		a.dpd(1)
	}
}

// forced: A's NAT detection hash is of no address.
func forced(s *scene) {
	a := s.sa(0)
	m := a.init(false, proposals(gcm(19)))
	at := natdOffset(m)
	for i := range 20 {
		m[at+i] = byte(i * 11)
	}
	s.ike(0, 500, m)
	s.ike(1, 500, a.init(true, proposals(gcm(19))))
	a.port = 4500
	a.auth(ike.PayloadIDr, sizeAnswer)
	a.dpd(0)
}

// natdOffset is where the NAT_DETECTION_SOURCE_IP's hash stands in an IKE_SA_INIT message.
func natdOffset(m []byte) int {
	parsed, _ := ike.Parse(m)
	at := ike.HeaderLen
	for _, p := range parsed.Payloads {
		if n, ok := p.(*ike.Notify); ok && n.Number == ike.NATDetectionSourceIP {
			return at + 8
		}
		at += int(m[at+2])<<8 | int(m[at+3])
	}
	return 0
}

func stayedOn500(s *scene) {
	s.seen[0] = sceneNAT
	a := s.sa(0)
	a.open()
	a.auth(ike.PayloadIDr, sizeAnswer)
}

func natCases() []findingCase {
	return []findingCase{
		{"nat-detected", hit, "both captures", healthyNAT, map[string]any{"translated_side": "A", "original": "192.168.1.1", "translated": "198.51.100.1",
			"port_preserved": true, "hash_verified": true, "confidence": "certain"}},
		{"nat-detected", hit, "B is translated", func(s *scene) {
			s.seen[1] = sceneNAT
			s.sa(0).up().dpd(0)
		}, map[string]any{"translated_side": "B", "original": "192.168.2.1", "translated": "198.51.100.1"}},
		{"nat-detected", hit, "one capture", func(s *scene) {
			s.seen[1] = sceneNAT
			s.sa(0).up()
			s.alone = true
		}, map[string]any{"translated_side": "B", "confidence": "probable"}},
		{"nat-detected", near, "encapsulation is forced", forced, nil},
		{"nat-detected", none, "healthy", healthy, nil},

		{"nat-float-missing", hit, "IKE_AUTH on 500", stayedOn500, map[string]any{"confidence": "certain"}},
		{"nat-float-missing", near, "it moved to 4500", healthyNAT, nil},
		{"nat-float-missing", near, "no NAT, on 500", healthy, nil},
		{"nat-float-missing", near, "the NAT is another tunnel's", func(s *scene) {
			healthyNAT(s)
			s.seen[0] = netip.Addr{}
			s.wait(time.Minute)
			healthy(s)
		}, nil},
		{"nat-float-missing", none, "nothing beyond IKE_SA_INIT", func(s *scene) { s.seen[0] = sceneNAT; s.sa(0).open() }, nil},

		{"nat-port-rewritten", hit, "500 becomes 31000", func(s *scene) { s.ports[0] = 31000; healthyNAT(s) },
			map[string]any{"original_port": 500, "translated_port": 31000}},
		{"nat-port-rewritten", near, "the port is kept", healthyNAT, nil},
		{"nat-port-rewritten", none, "healthy", healthy, nil},

		{"nat-mapping-changed", hit, "another port after a pause", mappingMoves, map[string]any{"before": "198.51.100.1:4500", "after": "198.51.100.1:31001"}},
		{"nat-mapping-changed", near, "between two IKE SAs", func(s *scene) {
			healthyNAT(s)
			s.wait(time.Hour)
			s.ports[0] = 31000
			s.sa(0).up().dpd(0)
		}, nil},
		{"nat-mapping-changed", none, "healthy", healthy, nil},

		{"nat-keepalive-missing", hit, "two minutes of silence", idleBehindNAT(2*time.Minute, 0), nil},
		{"nat-keepalive-missing", near, "keepalives every 20 s", idleBehindNAT(2*time.Minute, 20*time.Second), nil},
		{"nat-keepalive-missing", near, "20 s of silence", idleBehindNAT(20*time.Second, 0), nil},
		{"nat-keepalive-missing", none, "no NAT", func(s *scene) {
			a := s.sa(0).up()
			s.wait(5 * time.Minute)
			a.dpd(0)
		}, nil},

		{"udp-encapsulation-forced", hit, "a hash of no address", forced, map[string]any{"confidence": "certain"}},
		{"udp-encapsulation-forced", near, "a real NAT", healthyNAT, nil},
		{"udp-encapsulation-forced", none, "healthy", healthy, nil},
	}
}

func known(s *scene) {
	s.side[0].Address, s.side[1].Address = sceneA, sceneB
}

// strayRequests: A asks an address that is not B's, while B's capture works.
func strayRequests(to string, nat netip.Addr) func(*scene) {
	return func(s *scene) {
		known(s)
		s.side[1].NATAddress = nat
		s.noise(1)
		s.repeat(4, 0, 500, s.sa(0).init(false, proposals(gcm(19))), fate{to: netip.MustParseAddr(to), lost: true})
		s.wait(time.Minute)
		s.noise(1)
	}
}

func peerCases() []findingCase {
	return []findingCase{
		{"peer-not-answering", hit, "IKE_SA_INIT", func(s *scene) {
			s.repeat(4, 0, 500, s.sa(0).init(false, proposals(gcm(19))), fate{})
			s.wait(30 * time.Second)
			s.noise(1)
		}, map[string]any{"silent_side": "B", "phase": "IKE_SA_INIT", "requests": 4, "confidence": "certain"}},
		{"peer-not-answering", hit, "IKE_AUTH", func(s *scene) {
			a := s.sa(0)
			a.open()
			s.repeat(4, 0, 500, a.sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, sizeAuth), fate{})
		}, map[string]any{"silent_side": "B", "phase": "IKE_AUTH"}},
		{"peer-not-answering", near, "its answers are lost", answersLost, nil},
		{"peer-not-answering", near, "the capture of B ends with the request", func(s *scene) {
			a := s.sa(0)
			s.ike(0, 500, a.init(false, proposals(gcm(19))))
			s.wait(time.Minute)
			s.noise(0)
		}, nil},
		{"peer-not-answering", near, "only A's capture", func(s *scene) {
			s.repeat(4, 0, 500, s.sa(0).init(false, proposals(gcm(19))), fate{})
			s.alone = true
		}, nil},
		{"peer-not-answering", none, "healthy", healthy, nil},

		{"response-ignored", hit, "IKE_SA_INIT", func(s *scene) {
			a := s.sa(0)
			for range 4 {
				s.ike(0, 500, a.init(false, proposals(gcm(19))))
				s.ike(1, 500, a.init(true, proposals(gcm(19))))
				s.wait(2 * time.Second)
			}
		}, map[string]any{"ignoring_side": "A", "phase": "IKE_SA_INIT", "responses": 4}},
		{"response-ignored", near, "the answers never arrive", answersLost, nil},
		{"response-ignored", near, "one repetition was under way", func(s *scene) {
			a := s.sa(0)
			s.ike(0, 500, a.init(false, proposals(gcm(19))))
			s.wait(time.Second)
			a.up()
		}, nil},
		{"response-ignored", near, "a refusal in clear is not to be trusted", func(s *scene) {
			a := s.sa(0)
			for range 4 {
				s.ike(0, 500, a.init(false, proposals(gcm(19))))
				s.ike(1, 500, a.refusal(ike.NoProposalChosen))
				s.wait(2 * time.Second)
			}
		}, nil},
		{"response-ignored", near, "it took the answer late", func(s *scene) {
			a := s.sa(0)
			for range 4 {
				s.ike(0, 500, a.init(false, proposals(gcm(19))))
				s.ike(1, 500, a.init(true, proposals(gcm(19))))
				s.wait(2 * time.Second)
			}
			a.auth(ike.PayloadIDr, sizeAnswer)
			s.traffic(3, false)
		}, nil},
		{"response-ignored", none, "healthy", healthy, nil},

		{"wrong-peer-address", hit, "an address of nobody", strayRequests("192.168.9.9", netip.Addr{}),
			map[string]any{"side": "A", "sent_to": "192.168.9.9", "expected": "192.168.2.1", "confidence": "certain"}},
		{"wrong-peer-address", hit, "no inventory: A knows B by another address, and is silent to its true one", crossed(false),
			map[string]any{"side": "A", "sent_to": "192.168.9.9", "expected": "192.168.2.1", "confidence": "probable"}},
		{"peer-not-answering", hit, "it knows the peer by another address", crossed(false), map[string]any{"silent_side": "A", "caused_by": "wrong-peer-address"}},
		{"path-blocked", hit, "a target that may be wrong", crossed(true), map[string]any{"direction": "A->B", "lost": 5}},
		{"wrong-peer-address", near, "no inventory, and nothing arrives either way: it may be a NAT", crossed(true), nil},
		{"wrong-peer-address", near, "B's address behind its NAT", strayRequests("198.51.100.1", sceneNAT), nil},
		{"wrong-peer-address", near, "another tunnel of A, answered", func(s *scene) {
			known(s)
			healthy(s)
			s.addr[1] = netip.MustParseAddr("203.0.113.50")
			a := s.sa(0)
			for i, m := range [][]byte{a.init(false, proposals(gcm(19))), a.init(true, proposals(gcm(19)))} {
				s.ike(i, 500, m, fate{lost: i == 0, hidden: i == 1})
			}
		}, nil},
		{"wrong-peer-address", near, "the peer sends it there", redirectedInside, nil},
		{"wrong-peer-address", none, "healthy", func(s *scene) { known(s); healthy(s) }, nil},

		{"retransmissions-exhausted", hit, "four times", func(s *scene) {
			s.noise(1)
			s.repeat(4, 0, 500, s.sa(0).init(false, proposals(gcm(19))), lost)
			s.wait(time.Minute)
			s.noise(0)
			s.noise(1)
		}, map[string]any{"side": "A", "phase": "IKE_SA_INIT", "transmissions": 4, "intervals_ms": "[1020 2020 4020]"}},
		{"retransmissions-exhausted", near, "the third was answered", func(s *scene) {
			a := s.sa(0)
			s.repeat(2, 0, 500, a.init(false, proposals(gcm(19))), lost)
			s.wait(2 * time.Second)
			a.up()
		}, nil},
		{"retransmissions-exhausted", none, "healthy", healthy, nil},

		{"simultaneous-initiation", hit, "both at once", func(s *scene) { bothBegin(s) }, map[string]any{"confidence": "certain"}},
		{"simultaneous-initiation", near, "B begins an hour later", func(s *scene) {
			s.sa(0).up()
			s.wait(time.Hour)
			s.sa(1).up()
		}, nil},
		{"simultaneous-initiation", near, "A begins twice", func(s *scene) {
			s.sa(0).open()
			s.sa(0).up()
		}, nil},
		{"simultaneous-initiation", none, "healthy", healthy, nil},
	}
}

// crossed: without an inventory, A asks an address that B does not bear, and B asks A, in vain or unheard.
func crossed(unheard bool) func(*scene) {
	return func(s *scene) {
		mine, theirs := s.sa(0).init(false, proposals(gcm(19))), s.sa(1).init(false, proposals(gcm(19)))
		for range 5 {
			s.ike(0, 500, mine, fate{to: netip.MustParseAddr("192.168.9.9"), lost: true})
			s.ike(1, 500, theirs, fate{lost: unheard})
			s.wait(2 * time.Second)
		}
	}
}

// The sentence about a path on which nothing passes names a target that the other side does not bear; what is plainly the peer's is not doubted.
func TestABlockedPathToADoubtfulAddress(t *testing.T) {
	s := newScene(t)
	crossed(true)(s)
	for _, f := range s.compare().Findings {
		if f.Code == "path-blocked" && strings.Contains(f.Explanation, "192.168.9.9") != (f.Fields["direction"] == "A->B") {
			t.Errorf("%v: %s", f.Fields["direction"], f.Explanation)
		}
	}
}
