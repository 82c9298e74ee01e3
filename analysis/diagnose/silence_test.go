package diagnose_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/analysis/scene"
)

// strayRequests: A asks an address that is not B's, while B's capture works.
func strayRequests(to string, nat netip.Addr) func(*scene.Scene) {
	return func(s *scene.Scene) {
		scene.Known(s)
		s.Side[1].NATAddress = nat
		s.Noise(1)
		s.Repeat(4, 0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))),
			scene.Fate{To: netip.MustParseAddr(to), Lost: true})
		s.Wait(time.Minute)
		s.Noise(1)
	}
}

// inVain is a negotiation of A of which B answers the beginning alone; what happens meanwhile, or
// after it a second one that comes up.
func inVain(meanwhile func(*scene.Scene)) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.SA(0)
		a.Open()
		s.Repeat(4, 0, 500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth), scene.Fate{})
		if meanwhile != nil {
			meanwhile(s)
		} else {
			s.Wait(4 * time.Second)
			s.SA(0).Up()
		}
		s.Traffic(10, false)
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
		{"peer-not-answering", hit, "the second IKE_AUTH, with EAP", func(s *scene.Scene) {
			a := s.SA(0)
			a.Open()
			a.Auth(ike.PayloadIDr, 1100) // with certificates and the first EAP packet
			s.Repeat(5, 0, 500, a.Sealed(ike.IKEAuth, 0, 2, false, ike.PayloadEAP, 40), scene.Fate{})
		}, map[string]any{"silent_side": "B", "phase": "IKE_AUTH"}},
		{"peer-not-answering", near, "the second IKE_AUTH, with EAP, and the third are answered", func(s *scene.Scene) {
			a := s.SA(0)
			a.Open()
			a.Auth(ike.PayloadIDr, 1100)
			a.Exchange(ike.IKEAuth, 0, ike.PayloadEAP, 40, ike.PayloadEAP, 8)
			a.Exchange(ike.IKEAuth, 0, ike.PayloadAUTH, 40, ike.PayloadAUTH, 150)
			s.Traffic(10, false)
		}, nil},
		{"peer-not-answering", near, "its answers are lost", answersLost, nil},
		{"peer-not-answering", near, "the next negotiation comes up", inVain(nil), nil},
		{"retransmissions-exhausted", hit, "the next negotiation comes up", inVain(nil),
			map[string]any{"phase": "IKE_AUTH"}},
		{"peer-not-answering", near, "the one that B began meanwhile comes up", inVain(func(s *scene.Scene) {
			s.SA(1).Up()
		}), nil},
		{"retransmissions-exhausted", hit, "the one that B began meanwhile comes up", inVain(func(s *scene.Scene) {
			s.SA(1).Up()
		}), map[string]any{"phase": "IKE_AUTH", "severity": "warning"}},
		{"retransmissions-exhausted", hit, "the one that B began at the same time comes up", func(s *scene.Scene) {
			a, b := s.SA(0), s.SA(1)
			a.Open()
			b.Up()
			s.Repeat(4, 0, 500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth), scene.Fate{})
			s.Traffic(10, false)
		}, map[string]any{"phase": "IKE_AUTH", "severity": "info"}},
		{"tunnel-established", near, "the answers are lost, and the last one is of the captures' end", func(s *scene.Scene) {
			s.Seen[0] = scene.NAT
			for range 2 {
				a := s.SA(0)
				a.Open()
				for range 4 {
					s.IKE(0, 4500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth))
					s.IKE(1, 4500, a.Sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, scene.SizeAnswer), scene.Lost)
					s.Wait(time.Second)
				}
				s.Wait(4 * time.Second)
			}
			s.Rows[0], s.Rows[1] = s.Rows[0][:len(s.Rows[0])-3], s.Rows[1][:len(s.Rows[1])-6]
		}, nil},
		{"peer-not-answering", hit, "the one before came up", func(s *scene.Scene) {
			s.SA(0).Up().DPD(0)
			s.Wait(time.Minute)
			s.Repeat(4, 0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Fate{})
			s.Wait(30 * time.Second)
			s.Noise(1)
		}, map[string]any{"silent_side": "B"}},
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
		{"response-ignored", near, "a refusal in clear of IKE_AUTH is not to be trusted either", anotherBox, nil},
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
		{"response-ignored", hit, "IKE_AUTH, and A's capture begins with the answer to the last but one",
			begunLate(askedAgain, 0, 3),
			map[string]any{"ignoring_side": "A", "phase": "IKE_AUTH", "responses": 2, "confidence": "probable"}},
		{"response-ignored", hit, "Main Mode of B, whose capture begins with the last but one", begunLate(askedAgainV1, 1, 4),
			map[string]any{"ignoring_side": "B", "confidence": "probable"}},
		{"response-ignored", near, "A's capture holds the last answer alone", begunLate(askedAgain, 0, 1), nil},
		{"response-ignored", near, "A's capture holds the last request and its answer", begunLate(askedAgain, 0, 2), nil},
		{"response-ignored", near, "A's capture begins with the last answer but one, and A takes the last",
			func(s *scene.Scene) {
				begunLate(askedAgain, 0, 3)(s)
				a := s.First()
				a.Port, a.ID[0] = 500, 2
				a.DPD(0)
				s.Traffic(3, false)
			}, nil},
		{"response-ignored", none, "healthy", scene.Healthy, nil},

		{"wrong-peer-address", hit, "an address of nobody", strayRequests("192.168.9.9", netip.Addr{}),
			map[string]any{"side": "A", "sent_to": "192.168.9.9", "expected": "192.168.2.1", "confidence": "certain"}},
		{"wrong-peer-address", hit, "no inventory: A knows B by another address, and is silent to its true one",
			crossed(false),
			map[string]any{"side": "A", "sent_to": "192.168.9.9", "expected": "192.168.2.1", "confidence": "probable"}},
		{"peer-not-answering", hit, "it knows the peer by another address", crossed(false),
			map[string]any{"silent_side": "A", "caused_by": "wrong-peer-address"}},
		{"peer-not-answering", hit, "the retry with the wanted group", groupUnanswered, map[string]any{"silent_side": "B"}},
		{"peer-not-answering", hit, "the counters say why",
			grew(1, "show-control-plane-policy", "COPP-VPN", 7, 12, silentPeer),
			map[string]any{"caused_by": "control-plane-drop"}},
		{"path-blocked", hit, "a target that may be wrong", crossed(true), map[string]any{"direction": "A->B", "lost": 5}},
		{"wrong-peer-address", near, "no inventory, and nothing arrives either way: it may be a NAT", crossed(true), nil},
		{"wrong-peer-address", near, "B's address behind its NAT", strayRequests("198.51.100.1", scene.NAT), nil},
		{"wrong-peer-address", near, "another tunnel of A, answered", func(s *scene.Scene) {
			scene.Known(s)
			scene.Healthy(s)
			s.Addr[1] = netip.MustParseAddr("203.0.113.50")
			a := s.SA(0)
			for i, m := range [][]byte{a.Init(false, scene.Proposals(scene.GCM(19))),
				a.Init(true, scene.Proposals(scene.GCM(19)))} {
				s.IKE(i, 500, m, scene.Fate{Lost: i == 0, Hidden: i == 1})
			}
		}, nil},
		{"wrong-peer-address", near, "another tunnel of A, which is down", func(s *scene.Scene) {
			s.SA(0).Up()
			asksInVain(s, 0, "203.0.113.21")
		}, nil},
		{"wrong-peer-address", near, "another tunnel of B, which is down, and A is refused", func(s *scene.Scene) {
			a := s.SA(0)
			a.Open()
			a.Auth(ike.PayloadIDr, scene.SizeNoChild)
			asksInVain(s, 1, "203.0.113.21")
		}, nil},
		{"wrong-peer-address", hit, "A refuses B, and asks another address", func(s *scene.Scene) {
			a := s.SA(1)
			a.Open()
			a.Auth(ike.PayloadN, 8)
			asksInVain(s, 0, "203.0.113.21")
		}, map[string]any{"side": "A", "sent_to": "203.0.113.21"}},
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
		{"retransmissions-exhausted", hit, "A alone, with another SPI each time", func(s *scene.Scene) {
			beginsAnew(5, func(a *scene.SA) { a.S.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19)))) })(s)
			s.Alone = true
		}, map[string]any{"side": "A", "phase": "IKE_SA_INIT", "transmissions": 5, "confidence": "probable"}},
		{"retransmissions-exhausted", hit, "A alone, IKE_AUTH with another SPI each time", func(s *scene.Scene) {
			beginsAnew(3, func(a *scene.SA) {
				a.Open()
				a.S.IKE(0, 500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth))
			})(s)
			s.Alone = true
		}, map[string]any{"side": "A", "phase": "IKE_AUTH", "transmissions": 3, "confidence": "probable"}},
		{"retransmissions-exhausted", hit, "A alone, IKEv1 with another cookie each time", func(s *scene.Scene) {
			for range 3 {
				s.IKE(0, 500, s.V1(0).Message(ike.V1MainMode, 0, 0, true, scene.SAv1(scene.Modern(14, 1))))
				s.Wait(10 * time.Second)
			}
			s.Alone = true
		}, map[string]any{"side": "A", "transmissions": 3, "confidence": "probable"}},
		{"retransmissions-exhausted", hit, "B alone answers, with another SPI each time", func(s *scene.Scene) {
			beginsAnew(4, (*scene.SA).Open)(s)
			s.OnlyB()
		}, map[string]any{"transmissions": 4, "confidence": "probable"}},
		{"retransmissions-exhausted", near, "A alone, twice with another SPI", func(s *scene.Scene) {
			beginsAnew(2, func(a *scene.SA) { a.S.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19)))) })(s)
			s.Alone = true
		}, nil},
		{"retransmissions-exhausted", near, "A alone, each is another's attempt: one comes up in between",
			func(s *scene.Scene) {
				ask := func(a *scene.SA) { a.S.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19)))) }
				beginsAnew(2, ask)(s)
				s.SA(0).Up()
				s.Wait(time.Minute)
				beginsAnew(2, ask)(s)
				s.Alone = true
			}, nil},
		{"retransmissions-exhausted", none, "healthy", scene.Healthy, nil},

		{"simultaneous-initiation", hit, "both at once", func(s *scene.Scene) { scene.BothBegin(s) },
			map[string]any{"confidence": "certain"}},
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

// beginsAnew: A begins n negotiations, ten seconds apart, of which each goes as play says.
func beginsAnew(n int, play func(*scene.SA)) func(*scene.Scene) {
	return func(s *scene.Scene) {
		for range n {
			play(s.SA(0))
			s.Wait(10 * time.Second)
		}
	}
}

// askedAgain: side from repeats IKE_AUTH, which is answered each time.
func askedAgain(s *scene.Scene, from int) {
	a := s.SA(from)
	a.Open()
	for range 5 {
		s.IKE(from, 500, a.Sealed(ike.IKEAuth, from, 1, false, ike.PayloadIDi, scene.SizeAuth))
		s.IKE(1-from, 500, a.Sealed(ike.IKEAuth, 1-from, 1, true, ike.PayloadIDr, scene.SizeAnswer))
		s.Wait(2 * time.Second)
	}
}

// askedAgainV1 is the same with the last two messages of Main Mode.
func askedAgainV1(s *scene.Scene, from int) {
	a := s.V1(from)
	a.Main12(scene.SAv1(scene.Modern(14, 1)), scene.SAv1(scene.Modern(14, 1)))
	a.Main34()
	for range 5 {
		s.IKE(from, a.Port, a.Main5(from))
		s.IKE(1-from, a.Port, a.Main5(1-from))
		s.Wait(2 * time.Second)
	}
}

// begunLate: of what the capture of side from held, the last packets are left.
func begunLate(play func(*scene.Scene, int), from, left int) func(*scene.Scene) {
	return func(s *scene.Scene) {
		play(s, from)
		s.Rows[from] = s.Rows[from][len(s.Rows[from])-left:]
	}
}

// An answer that the initiator was given again and again before its capture began, and that the
// captures end with, is no success: whether it took the last one nobody knows.
func TestALastAnswerThatEndsTheCapturesIsNoSuccess(t *testing.T) {
	for from := range 2 {
		for left, want := range map[int]report.Outcome{1: report.Inconclusive, 2: report.Inconclusive, 3: report.Failed} {
			s := scene.New(t)
			begunLate(askedAgain, from, left)(s)
			if r := s.Compare(); r.Verdict.Outcome != want {
				t.Errorf("of side %d, %d packets left: %+v", from, left, r.Verdict)
			}
		}
		s := scene.New(t)
		begunLate(askedAgain, from, 1)(s)
		s.Wait(10 * time.Second)
		s.Noise(from)
		if r := s.Compare(); r.Verdict.Outcome != report.Established {
			t.Errorf("of side %d, which asks no more: %+v", from, r.Verdict)
		}
	}
}

// An answer that no capture shows to arrive, while its request is sent again long after it, is no
// success either.
func TestAnswersThatNobodySawArriveAreNoSuccess(t *testing.T) {
	for from := range 2 {
		s := scene.New(t)
		askedAgain(s, from)
		all := s.Rows[from]
		s.Rows[from] = nil // until the fourth request, and of the answers none arrives
		for i, r := range all {
			if i == 0 || i == 1 || i%2 == 0 && i <= 8 {
				s.Rows[from] = append(s.Rows[from], r)
			}
		}
		s.Rows[1-from] = s.Rows[1-from][8:] // the last two requests and answers
		if r := s.Compare(); r.Verdict.ExitCode == 0 {
			t.Errorf("of side %d: %+v", from, r.Verdict)
		}
	}
}

// crossed: without an inventory, A asks an address that B does not bear, and B asks A,
// in vain or unheard.
func crossed(unheard bool) func(*scene.Scene) {
	return func(s *scene.Scene) {
		mine, theirs := s.SA(0).Init(false, scene.Proposals(scene.GCM(19))),
			s.SA(1).Init(false, scene.Proposals(scene.GCM(19)))
		for range 5 {
			s.IKE(0, 500, mine, scene.Fate{To: netip.MustParseAddr("192.168.9.9"), Lost: true})
			s.IKE(1, 500, theirs, scene.Fate{Lost: unheard})
			s.Wait(2 * time.Second)
		}
	}
}

// The sentence about a path on which nothing passes names a target that the other side does not
// bear; what is plainly the peer's is not doubted.
func TestABlockedPathToADoubtfulAddress(t *testing.T) {
	s := scene.New(t)
	crossed(true)(s)
	for _, f := range s.Compare().Findings {
		if f.Code == "path-blocked" && strings.Contains(f.Explanation, "192.168.9.9") != (f.Fields["direction"] == "A->B") {
			t.Errorf("%v: %s", f.Fields["direction"], f.Explanation)
		}
	}
}

// asksInVain: side from begins a negotiation with somebody else, who is silent.
func asksInVain(s *scene.Scene, from int, to string) {
	a := s.SA(from)
	s.Repeat(4, from, 500, a.Init(false, scene.Proposals(scene.GCM(19))),
		scene.Fate{To: netip.MustParseAddr(to), Lost: true})
}

// anotherBox: IKE_AUTH reaches a responder that does not know the SPI, and says so in clear.
func anotherBox(s *scene.Scene) {
	a := s.SA(0)
	a.Open()
	m := a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth)
	for range 4 {
		s.IKE(0, 500, m)
		s.IKE(1, 500, a.Plain(ike.IKEAuth, 1, 1, true, &ike.Notify{Number: ike.InvalidIKESPI}))
		s.Wait(2 * time.Second)
	}
}
