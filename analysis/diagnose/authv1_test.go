package diagnose_test

import (
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/scene"
)

// fifth: B cannot read the fifth message of Main Mode, and then does the answer.
func fifth(answer func(*scene.V1)) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.V1(0)
		a.Main12(scene.SAv1(scene.Modern(14, 1)), scene.SAv1(scene.Modern(14, 1)))
		a.Main34()
		for range 4 {
			s.IKE(0, 500, a.Main5(0))
			if answer != nil {
				answer(a)
			}
			s.Wait(2 * time.Second)
		}
	}
}

func stalledAfter(n int) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.V1(0)
		messages := [][]byte{a.Message(ike.V1MainMode, 0, 0, true, scene.SAv1(scene.Modern(14, 1))),
			a.Message(ike.V1MainMode, 1, 0, false, scene.SAv1(scene.Modern(14, 1))),
			a.Main3(0), a.Main3(1), a.Main5(0), a.Main5(1)}
		for i, m := range messages[:n] {
			s.IKE(i%2, 500, m)
		}
		s.Wait(5 * time.Second)
		s.Repeat(3, (n-1)%2, 500, messages[n-1], scene.Fate{})
		s.Wait(time.Minute)
		s.Noise(1)
	}
}

func quick(n int, answer func(*scene.V1)) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.V1(0).Phase1()
		a.QuickMode(n)
		if answer != nil {
			answer(a)
		}
		s.Wait(time.Minute)
		s.Noise(0)
		s.Noise(1)
	}
}

// certificatesV1 is Main Mode whose fifth message goes in three fragments, of which the second has
// the given fates, one a round; every round has an identifier of its own. With a last round that
// arrives, phases 1 and 2 come up.
func certificatesV1(second ...scene.Fate) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.V1(0)
		a.Main12(scene.SAv1(scene.Modern(14, 3)), scene.SAv1(scene.Modern(14, 3)))
		a.Main34()
		fifth := a.Sealed(ike.V1MainMode, 0, 0, ike.V1PayloadID, 240)
		for i, f := range second {
			a.InFrags(0, uint16(i+1), fifth, map[int]scene.Fate{1: f})
			s.Wait(10 * time.Second)
		}
		if !second[len(second)-1].Lost {
			a.InFrags(1, 1, a.Sealed(ike.V1MainMode, 1, 0, ike.V1PayloadID, 230), nil)
			a.QuickMode(3)
			s.Traffic(10, false)
		}
		s.Noise(0)
		s.Noise(1)
	}
}

// endsAfter is phase 1 whose captures end with message n.
func endsAfter(n int) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.V1(0)
		messages := [][]byte{a.Message(ike.V1MainMode, 0, 0, true, scene.SAv1(scene.Modern(14, 1))),
			a.Message(ike.V1MainMode, 1, 0, false, scene.SAv1(scene.Modern(14, 1))), a.Main3(0), a.Main3(1)}
		for i, m := range messages[:n] {
			s.IKE(i%2, 500, m)
		}
	}
}

// aggressive is Aggressive Mode with an answer that carries a hash, which side by does not believe:
// it says so with a notification in clear, or encrypted when that is 0. When B does not, A's third
// message comes first.
func aggressive(by int, number uint16) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.V1(0)
		s.IKE(0, 500, a.Message(ike.V1Aggressive, 0, 0, true, scene.SAv1(scene.Modern(14, 1))))
		s.IKE(1, 500, a.Message(ike.V1Aggressive, 1, 0, false, scene.SAv1(scene.Modern(14, 1)),
			&ike.BytesV1{Number: ike.V1PayloadHASH, Data: make([]byte, 32)}))
		if by == 1 {
			s.IKE(0, 500, a.Sealed(ike.V1Aggressive, 0, 0, ike.V1PayloadHASH, 64))
		}
		if number == 0 {
			s.IKE(by, 500, a.SealedInfo(by))
		} else {
			s.IKE(by, 500, a.Info(by, number))
		}
		s.Wait(time.Minute)
		s.Noise(0)
		s.Noise(1)
	}
}

// xauth is phase 1 and the Transaction exchanges of XAUTH, then an Informational when refused, and
// n messages of Quick Mode.
func xauth(refused bool, n int) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.V1(0).Phase1()
		for i, from := range []int{1, 0, 1} {
			s.IKE(from, 500, a.Sealed(ike.V1Transaction, from, uint32(0x300+i/2), ike.V1PayloadHASH, 64))
		}
		if refused {
			s.IKE(0, 500, a.SealedInfoOf(0, 0x400, deleteV1))
		}
		a.QuickMode(n)
		s.Wait(time.Minute)
		s.Noise(0)
	}
}

// deletedV1 is a tunnel of IKEv1 with liveness checks that B ends with two Informationals of a
// size, for the IPsec SA and the ISAKMP SA.
func deletedV1(size int) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.V1(0).Phase1()
		a.QuickMode(3)
		s.Traffic(3, false)
		for i := range uint32(2) {
			s.Wait(2 * time.Second)
			s.IKE(0, 500, a.SealedInfoOf(0, 0x200+i, probeV1))
			s.IKE(1, 500, a.SealedInfoOf(1, 0x210+i, probeV1))
		}
		s.Wait(5 * time.Second)
		s.IKE(1, 500, a.SealedInfoOf(1, 0x220, size))
		s.IKE(0, 500, a.SealedInfoOf(0, 0x221, size))
		s.IKE(1, 500, a.SealedInfoOf(1, 0x222, size))
		s.Wait(10 * time.Second)
		s.Noise(0)
		s.Noise(1)
	}
}

// notBelieved is Main Mode that a side began, which does not believe the sixth message: it says so,
// and the two repeat their last messages, n times in all.
func notBelieved(n, begins int) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.V1(begins)
		a.Main12(scene.SAv1(scene.Modern(14, 1)), scene.SAv1(scene.Modern(14, 1)))
		a.Main34()
		fifth, sixth := a.Main5(begins), a.Main5(1-begins)
		for i := range uint32(n) {
			s.IKE(begins, 500, fifth)
			s.IKE(1-begins, 500, sixth)
			s.IKE(begins, 500, a.SealedInfoOf(begins, 0x900+i, 48))
			s.Wait(2 * time.Second)
		}
		s.Wait(20 * time.Second)
		s.Noise(0)
		s.Noise(1)
	}
}

// quickAfterInfo is phase 1 behind which A says something, as INITIAL-CONTACT; with Quick Mode
// after it, or the end of the captures.
func quickAfterInfo(goesOn bool) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.V1(0).Phase1()
		s.IKE(0, 500, a.SealedInfoOf(0, 0x900, 64))
		if goesOn {
			a.QuickMode(3)
			s.Traffic(10, false)
		}
	}
}

// sixthThen is Main Mode that a side began, which then says something of so many bytes with which
// the captures end.
func sixthThen(begins, size int) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.V1(begins).Phase1()
		s.IKE(begins, 500, a.SealedInfoOf(begins, 0x900, size))
	}
}

// madeAgain is phase 1 made again beside an SA that carries traffic, which goes on or ends with it.
func madeAgain(goesOn bool) func(*scene.Scene) {
	return func(s *scene.Scene) {
		s.V1(0).Phase1().QuickMode(3)
		s.Dialogue(5, time.Second, scene.Passes)
		a := s.V1(0).Phase1()
		s.IKE(0, 500, a.SealedInfoOf(0, 0x900, 80))
		if goesOn {
			s.GoOn(6, 10, time.Second, scene.Passes)
			return
		}
		s.Wait(10 * time.Second)
		s.Noise(0)
		s.Noise(1)
	}
}

// aggressiveThen is Aggressive Mode behind which B says something of so many bytes with which the
// captures end.
func aggressiveThen(size int) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.V1(0).Aggressive()
		s.IKE(1, 500, a.SealedInfoOf(1, 0x900, size))
	}
}

// quickLost is phase 1 behind which a side greets the other one; A's first message of Quick Mode is
// lost, and the capture of B, which is the only one, ends so long after that.
func quickLost(a *scene.V1, greets int, after time.Duration) {
	s := a.S
	s.IKE(greets, 500, a.SealedInfoOf(greets, 0x900, 80))
	s.IKE(0, 500, a.Sealed(ike.V1QuickMode, 0, a.Quick, ike.V1PayloadHASH, 160), scene.Lost)
	s.Wait(after)
	s.Noise(1)
	s.OnlyB()
}

// alive: B asks three times whether A is alive, and A answers.
func alive(a *scene.V1) {
	for i := range uint32(3) {
		a.S.IKE(1, 500, a.SealedInfoOf(1, 0x200+i, probeV1))
		a.S.IKE(0, 500, a.SealedInfoOf(0, 0x210+i, probeV1))
		a.S.Wait(time.Second)
	}
}

// proofUnheard is Aggressive Mode whose third message is lost, behind which A says something of a
// size; the capture of B, which is the only one, ends so long after that.
func proofUnheard(size int, after time.Duration) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.V1(0)
		s.IKE(0, 500, a.Message(ike.V1Aggressive, 0, 0, true, scene.SAv1(scene.Modern(14, 1))))
		s.IKE(1, 500, a.Message(ike.V1Aggressive, 1, 0, false, scene.SAv1(scene.Modern(14, 1)),
			&ike.BytesV1{Number: ike.V1PayloadHASH, Data: make([]byte, 32)}))
		s.IKE(0, 500, a.Sealed(ike.V1Aggressive, 0, 0, ike.V1PayloadHASH, 64), scene.Lost)
		s.IKE(0, 500, a.SealedInfoOf(0, 0x900, size))
		s.Wait(after)
		s.Noise(1)
		s.OnlyB()
	}
}

var _ = add(v1Cases)

func v1Cases() []findingCase {
	refuse := func(a *scene.V1) { a.S.IKE(1, 500, a.SealedInfo(1)) }
	return []findingCase{
		{"tunnel-established", hit, "IKEv1", scene.HealthyV1,
			map[string]any{"version": 1, "initiator": "A", "confidence": "certain"}},
		{"tunnel-established", near, "Quick Mode lacks its third message", quick(2, nil), nil},

		{"tunnel-established", hit, "IKEv1, certificates in fragments", certificatesV1(scene.Fate{}),
			map[string]any{"version": 1, "initiator": "A", "confidence": "certain"}},
		{"tunnel-established", near, "Quick Mode lacks its third message, its first came in fragments", func(s *scene.Scene) {
			a := s.V1(0).Phase1()
			a.InFrags(0, 1, a.Sealed(ike.V1QuickMode, 0, a.Quick, ike.V1PayloadHASH, 300), nil)
			s.IKE(1, 500, a.Sealed(ike.V1QuickMode, 1, a.Quick, ike.V1PayloadHASH, 144))
		}, nil},
		{"quick-mode-stalled", hit, "after message 1, in fragments", func(s *scene.Scene) {
			a := s.V1(0).Phase1()
			a.InFrags(0, 1, a.Sealed(ike.V1QuickMode, 0, a.Quick, ike.V1PayloadHASH, 300), nil)
			s.Wait(time.Minute)
			s.Noise(1)
		}, map[string]any{"last_message": 1}},
		{"main-mode-stalled", hit, "after message 5, in fragments", certificatesV1(scene.Lost, scene.Lost),
			map[string]any{"last_message": 5, "waiting_side": "A"}},
		{"psk-mismatch-v1", hit, "the fifth message came in fragments", func(s *scene.Scene) {
			a := s.V1(0)
			a.Main12(scene.SAv1(scene.Modern(14, 1)), scene.SAv1(scene.Modern(14, 1)))
			a.Main34()
			a.InFrags(0, 1, a.Sealed(ike.V1MainMode, 0, 0, ike.V1PayloadID, 240), nil)
			s.IKE(1, 500, a.Info(1, 16))
		}, map[string]any{"refusing_side": "B", "confidence": "certain"}},
		{"main-mode-stalled", hit, "after message 3", stalledAfter(3),
			map[string]any{"last_message": 3, "waiting_side": "A"}},
		{"main-mode-stalled", hit, "after message 1", stalledAfter(1),
			map[string]any{"last_message": 1, "waiting_side": "A"}},
		{"main-mode-stalled", near, "phase 1 is complete", stalledAfter(6), nil},
		{"main-mode-stalled", near, "the keys differ", fifth(func(a *scene.V1) { a.S.IKE(1, 500, a.Info(1, 16)) }), nil},
		{"main-mode-stalled", near, "the captures end with message 3", endsAfter(3), nil},
		{"main-mode-stalled", near, "the captures end with message 4, of B", endsAfter(4), nil},
		{"main-mode-stalled", none, "IKEv2", scene.Healthy, nil},

		{"psk-mismatch-v1", hit, "PAYLOAD-MALFORMED in clear", fifth(func(a *scene.V1) { a.S.IKE(1, 500, a.Info(1, 16)) }),
			map[string]any{"refusing_side": "B", "confidence": "certain"}},
		{"psk-mismatch-v1", hit, "encrypted answers", fifth(refuse),
			map[string]any{"refusing_side": "B", "confidence": "probable"}},
		{"psk-mismatch-v1", hit, "silence", fifth(nil), map[string]any{"refusing_side": "B", "confidence": "probable"}},
		{"psk-mismatch-v1", near, "message 5 never arrives", func(s *scene.Scene) {
			a := s.V1(0)
			a.Main12(scene.SAv1(scene.Modern(14, 1)), scene.SAv1(scene.Modern(14, 1)))
			a.Main34()
			s.Repeat(4, 0, 500, a.Main5(0), scene.Lost)
		}, nil},
		{"psk-mismatch-v1", hit, "Aggressive Mode: A cannot verify B's hash", aggressive(0, 23),
			map[string]any{"refusing_side": "A", "confidence": "certain"}},
		{"psk-mismatch-v1", hit, "Aggressive Mode: B cannot verify A's", aggressive(1, 24),
			map[string]any{"refusing_side": "B", "confidence": "certain"}},
		{"psk-mismatch-v1", hit, "Aggressive Mode: encrypted", aggressive(0, 0),
			map[string]any{"refusing_side": "A", "confidence": "probable"}},
		{"psk-mismatch-v1", near, "Aggressive Mode: another error", aggressive(0, 14), nil},
		{"psk-mismatch-v1", hit, "Aggressive Mode: encrypted, by B, and no Quick Mode follows", aggressive(1, 0),
			map[string]any{"refusing_side": "B", "confidence": "probable"}},
		{"psk-mismatch-v1", hit, "Aggressive Mode: B says what is no greeting, and the captures end", aggressiveThen(48),
			map[string]any{"refusing_side": "B", "confidence": "probable"}},
		{"psk-mismatch-v1", near, "Aggressive Mode: B greets, and the captures end", aggressiveThen(64), nil},
		{"psk-mismatch-v1", near, "Aggressive Mode: the two check that they are alive, before Quick Mode",
			func(s *scene.Scene) { alive(s.V1(0).Aggressive()) }, nil},
		{"psk-mismatch-v1", near, "Aggressive Mode: B greets, and what follows is lost, by its capture alone",
			func(s *scene.Scene) { quickLost(s.V1(0).Aggressive(), 1, 8*time.Second) }, nil},
		{"psk-mismatch-v1", hit, "Aggressive Mode: B says something, and nothing follows, by its capture alone",
			func(s *scene.Scene) { quickLost(s.V1(0).Aggressive(), 1, 15*time.Second) },
			map[string]any{"refusing_side": "A", "confidence": "probable"}},
		{"psk-mismatch-v1", near, "Aggressive Mode: A greets, and its third message is lost, by the capture of B alone",
			proofUnheard(80, 8*time.Second), nil},
		{"psk-mismatch-v1", hit, "Aggressive Mode: so it does, and nothing follows for longer",
			proofUnheard(80, 15*time.Second), map[string]any{"refusing_side": "B", "confidence": "probable"}},
		{"psk-mismatch-v1", hit, "Aggressive Mode: A says what is no greeting, by the capture of B alone",
			proofUnheard(48, 0), map[string]any{"refusing_side": "B", "confidence": "probable"}},
		{"psk-mismatch-v1", none, "healthy", scene.HealthyV1, nil},

		{"responder-auth-rejected", hit, "IKEv1, it says so to each copy of the proof", notBelieved(3, 0),
			map[string]any{"rejecting_side": "A", "confidence": "probable"}},
		{"responder-auth-rejected", hit, "IKEv1, B began, it says so once", notBelieved(1, 1),
			map[string]any{"rejecting_side": "B", "confidence": "probable"}},
		{"responder-auth-rejected", hit, "IKEv1, the responder ends it too, and so do the captures", func(s *scene.Scene) {
			a := s.V1(0).Phase1()
			s.IKE(0, 500, a.SealedInfoOf(0, 0x900, 64))
			s.IKE(1, 500, a.SealedInfoOf(1, 0x901, 80))
		}, map[string]any{"rejecting_side": "A", "confidence": "probable"}},
		{"responder-auth-rejected", near, "IKEv1, Quick Mode follows what it says", quickAfterInfo(true), nil},
		{"responder-auth-rejected", hit, "IKEv1, the captures end with what may be a greeting", quickAfterInfo(false),
			map[string]any{"rejecting_side": "A", "confidence": "possible", "severity": "warning"}},
		{"responder-auth-rejected", hit, "IKEv1, the captures end with what has no room for a greeting", sixthThen(0, 48),
			map[string]any{"rejecting_side": "A", "confidence": "probable", "severity": "critical"}},
		{"responder-auth-rejected", hit, "IKEv1, so it is by the capture of B, which began, alone", func(s *scene.Scene) {
			sixthThen(1, 48)(s)
			s.OnlyB()
		}, map[string]any{"rejecting_side": "A", "confidence": "probable", "severity": "critical"}},
		{"responder-auth-rejected", hit, "IKEv1, no room for a greeting, but for the Delete of an older SA",
			func(s *scene.Scene) {
				s.Traffic(3, true)
				sixthThen(0, 48)(s)
			}, map[string]any{"confidence": "possible", "severity": "warning"}},
		{"responder-auth-rejected", hit, "IKEv1, phase 1 made again, what may be a greeting, and the older SA goes on",
			madeAgain(true), map[string]any{"confidence": "possible", "severity": "warning"}},
		{"responder-auth-rejected", hit, "IKEv1, phase 1 made again, what may be a greeting, and the older SA ends",
			madeAgain(false), map[string]any{"confidence": "probable", "severity": "critical"}},
		{"responder-auth-rejected", hit, "IKEv1, a greeting, and what follows is lost, by the responder's capture alone",
			func(s *scene.Scene) { quickLost(s.V1(0).Phase1(), 0, 8*time.Second) },
			map[string]any{"confidence": "possible", "severity": "warning"}},
		{"responder-auth-rejected", hit, "IKEv1, nothing follows for longer, by the responder's capture alone",
			func(s *scene.Scene) { quickLost(s.V1(0).Phase1(), 0, 15*time.Second) },
			map[string]any{"confidence": "probable", "severity": "critical"}},
		{"responder-auth-rejected", near, "IKEv1, the responder says it", func(s *scene.Scene) {
			a := s.V1(0).Phase1()
			s.IKE(1, 500, a.SealedInfoOf(1, 0x900, 48))
		}, nil},
		{"response-ignored", near, "IKEv1, the proof is rejected", notBelieved(3, 0), nil},

		{"user-authentication-failed", hit, "Transactions, an Informational, silence", xauth(true, 0),
			map[string]any{"refusing_side": "B", "confidence": "probable"}},
		{"user-authentication-failed", near, "Quick Mode follows", xauth(true, 3), nil},
		{"user-authentication-failed", near, "no Informational", xauth(false, 0), nil},
		{"user-authentication-failed", near, "the user takes his time, and liveness is checked", func(s *scene.Scene) {
			a := s.V1(0).Aggressive()
			for i, from := range []int{1, 0, 1} {
				s.IKE(from, 500, a.Sealed(ike.V1Transaction, from, uint32(0x300+i/2), ike.V1PayloadHASH, 64))
			}
			alive(a)
		}, nil},
		{"user-authentication-failed", none, "healthy", scene.HealthyV1, nil},

		{"quick-mode-refused", hit, "answered by an Informational", quick(1, refuse),
			map[string]any{"refusing_side": "B", "confidence": "probable"}},
		{"quick-mode-refused", near, "answered by Quick Mode", quick(2, nil), nil},
		{"quick-mode-refused", near, "an Informational long before", func(s *scene.Scene) {
			a := s.V1(0).Phase1()
			s.IKE(1, 500, a.SealedInfo(1))
			a.QuickMode(3)
		}, nil},
		{"quick-mode-refused", none, "healthy", scene.HealthyV1, nil},

		{"quick-mode-stalled", hit, "after message 1", quick(1, nil), map[string]any{"last_message": 1}},
		{"quick-mode-stalled", hit, "after message 2", quick(2, nil), map[string]any{"last_message": 2}},
		{"quick-mode-stalled", hit, "message 3 is lost", thirdLost(scene.Lost), map[string]any{"last_message": 3}},
		{"quick-mode-stalled", hit, "message 3 comes to nothing, by A's capture alone", func(s *scene.Scene) {
			thirdLost(scene.Lost)(s)
			s.Alone = true
		}, map[string]any{"last_message": 3}},
		{"quick-mode-stalled", near, "the path is slow, and B repeats message 2 meanwhile", func(s *scene.Scene) {
			thirdLost(scene.Fate{Late: 2500 * time.Millisecond})(s)
		}, nil},
		{"quick-mode-stalled", near, "refused", quick(1, refuse), nil},
		{"quick-mode-stalled", none, "healthy", scene.HealthyV1, nil},
	}
}

// thirdLost: B repeats its message of Quick Mode three times after A's second one was sent, which
// has its fate; where it arrives, B sends traffic.
func thirdLost(f scene.Fate) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.V1(0).Phase1()
		second := a.Sealed(ike.V1QuickMode, 1, a.Quick, ike.V1PayloadHASH, 144)
		s.IKE(0, 500, a.Sealed(ike.V1QuickMode, 0, a.Quick, ike.V1PayloadHASH, 160))
		s.IKE(1, 500, second)
		s.IKE(0, 500, a.Sealed(ike.V1QuickMode, 0, a.Quick, ike.V1PayloadHASH, 48), f)
		for range 3 {
			s.Wait(time.Second)
			s.IKE(1, 500, second)
		}
		s.Monologue(0, 1, 5, time.Second)
		if !f.Lost {
			s.Monologue(1, 1, 5, time.Second)
		}
	}
}
