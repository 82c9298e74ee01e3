package diagnose_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/scene"
)

// strayRequests: A asks an address that is not B's, while B's capture works.
func strayRequests(to string, nat netip.Addr) func(*scene.Scene) {
	return func(s *scene.Scene) {
		scene.Known(s)
		s.Side[1].NATAddress = nat
		s.Noise(1)
		s.Repeat(4, 0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Fate{To: netip.MustParseAddr(to), Lost: true})
		s.Wait(time.Minute)
		s.Noise(1)
	}
}

var _ = add(peerCases)

func peerCases() []findingCase {
	return []findingCase{
		{"peer-not-answering", hit, "IKE_SA_INIT", func(s *scene.Scene) {
			s.Repeat(4, 0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Fate{})
			s.Wait(30 * time.Second)
			s.Noise(1)
		}, map[string]any{"silent_side": "B", "phase": "IKE_SA_INIT", "requests": 4, "confidence": "certain"}},
		{"peer-not-answering", hit, "IKE_AUTH", func(s *scene.Scene) {
			a := s.SA(0)
			a.Open()
			s.Repeat(4, 0, 500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth), scene.Fate{})
		}, map[string]any{"silent_side": "B", "phase": "IKE_AUTH"}},
		{"peer-not-answering", near, "its answers are lost", answersLost, nil},
		{"peer-not-answering", near, "the capture of B ends with the request", func(s *scene.Scene) {
			a := s.SA(0)
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
			s.Wait(time.Minute)
			s.Noise(0)
		}, nil},
		{"peer-not-answering", near, "only A's capture", func(s *scene.Scene) {
			s.Repeat(4, 0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Fate{})
			s.Alone = true
		}, nil},
		{"peer-not-answering", none, "healthy", scene.Healthy, nil},

		{"response-ignored", hit, "IKE_SA_INIT", func(s *scene.Scene) {
			a := s.SA(0)
			for range 4 {
				s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
				s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19))))
				s.Wait(2 * time.Second)
			}
		}, map[string]any{"ignoring_side": "A", "phase": "IKE_SA_INIT", "responses": 4}},
		{"response-ignored", near, "the answers never arrive", answersLost, nil},
		{"response-ignored", near, "one repetition was under way", func(s *scene.Scene) {
			a := s.SA(0)
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
			s.Wait(time.Second)
			a.Up()
		}, nil},
		{"response-ignored", near, "a refusal in clear is not to be trusted", func(s *scene.Scene) {
			a := s.SA(0)
			for range 4 {
				s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
				s.IKE(1, 500, a.Refusal(ike.NoProposalChosen))
				s.Wait(2 * time.Second)
			}
		}, nil},
		{"response-ignored", near, "it took the answer late", func(s *scene.Scene) {
			a := s.SA(0)
			for range 4 {
				s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
				s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19))))
				s.Wait(2 * time.Second)
			}
			a.Auth(ike.PayloadIDr, scene.SizeAnswer)
			s.Traffic(3, false)
		}, nil},
		{"response-ignored", none, "healthy", scene.Healthy, nil},

		{"wrong-peer-address", hit, "an address of nobody", strayRequests("192.168.9.9", netip.Addr{}),
			map[string]any{"side": "A", "sent_to": "192.168.9.9", "expected": "192.168.2.1", "confidence": "certain"}},
		{"wrong-peer-address", hit, "no inventory: A knows B by another address, and is silent to its true one", crossed(false),
			map[string]any{"side": "A", "sent_to": "192.168.9.9", "expected": "192.168.2.1", "confidence": "probable"}},
		{"peer-not-answering", hit, "it knows the peer by another address", crossed(false), map[string]any{"silent_side": "A", "caused_by": "wrong-peer-address"}},
		{"peer-not-answering", hit, "the retry with the wanted group", groupUnanswered, map[string]any{"silent_side": "B"}},
		{"peer-not-answering", hit, "the counters say why", grew(1, "show-control-plane-policy", "COPP-VPN", 7, 12, silentPeer), map[string]any{"caused_by": "control-plane-drop"}},
		{"path-blocked", hit, "a target that may be wrong", crossed(true), map[string]any{"direction": "A->B", "lost": 5}},
		{"wrong-peer-address", near, "no inventory, and nothing arrives either way: it may be a NAT", crossed(true), nil},
		{"wrong-peer-address", near, "B's address behind its NAT", strayRequests("198.51.100.1", scene.NAT), nil},
		{"wrong-peer-address", near, "another tunnel of A, answered", func(s *scene.Scene) {
			scene.Known(s)
			scene.Healthy(s)
			s.Addr[1] = netip.MustParseAddr("203.0.113.50")
			a := s.SA(0)
			for i, m := range [][]byte{a.Init(false, scene.Proposals(scene.GCM(19))), a.Init(true, scene.Proposals(scene.GCM(19)))} {
				s.IKE(i, 500, m, scene.Fate{Lost: i == 0, Hidden: i == 1})
			}
		}, nil},
		{"wrong-peer-address", near, "the peer sends it there", redirectedInside, nil},
		{"wrong-peer-address", none, "healthy", func(s *scene.Scene) { scene.Known(s); scene.Healthy(s) }, nil},

		{"retransmissions-exhausted", hit, "four times", func(s *scene.Scene) {
			s.Noise(1)
			s.Repeat(4, 0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Lost)
			s.Wait(time.Minute)
			s.Noise(0)
			s.Noise(1)
		}, map[string]any{"side": "A", "phase": "IKE_SA_INIT", "transmissions": 4, "intervals_ms": "[1020 2020 4020]"}},
		{"retransmissions-exhausted", near, "the third was answered", func(s *scene.Scene) {
			a := s.SA(0)
			s.Repeat(2, 0, 500, a.Init(false, scene.Proposals(scene.GCM(19))), scene.Lost)
			s.Wait(2 * time.Second)
			a.Up()
		}, nil},
		{"retransmissions-exhausted", none, "healthy", scene.Healthy, nil},

		{"simultaneous-initiation", hit, "both at once", func(s *scene.Scene) { scene.BothBegin(s) }, map[string]any{"confidence": "certain"}},
		{"simultaneous-initiation", near, "B begins an hour later", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Wait(time.Hour)
			s.SA(1).Up()
		}, nil},
		{"simultaneous-initiation", near, "A begins twice", func(s *scene.Scene) {
			s.SA(0).Open()
			s.SA(0).Up()
		}, nil},
		{"simultaneous-initiation", none, "healthy", scene.Healthy, nil},
	}
}

// crossed: without an inventory, A asks an address that B does not bear, and B asks A, in vain or unheard.
func crossed(unheard bool) func(*scene.Scene) {
	return func(s *scene.Scene) {
		mine, theirs := s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), s.SA(1).Init(false, scene.Proposals(scene.GCM(19)))
		for range 5 {
			s.IKE(0, 500, mine, scene.Fate{To: netip.MustParseAddr("192.168.9.9"), Lost: true})
			s.IKE(1, 500, theirs, scene.Fate{Lost: unheard})
			s.Wait(2 * time.Second)
		}
	}
}

// The sentence about a path on which nothing passes names a target that the other side does not bear; what is plainly the peer's is not doubted.
func TestABlockedPathToADoubtfulAddress(t *testing.T) {
	s := scene.New(t)
	crossed(true)(s)
	for _, f := range s.Compare().Findings {
		if f.Code == "path-blocked" && strings.Contains(f.Explanation, "192.168.9.9") != (f.Fields["direction"] == "A->B") {
			t.Errorf("%v: %s", f.Fields["direction"], f.Explanation)
		}
	}
}
