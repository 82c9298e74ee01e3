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
		messages := [][]byte{a.Message(ike.V1MainMode, 0, 0, true, scene.SAv1(scene.Modern(14, 1))), a.Message(ike.V1MainMode, 1, 0, false, scene.SAv1(scene.Modern(14, 1))),
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

// certificatesV1 is Main Mode whose fifth message goes in three fragments, of which the second has the given fates, one a
// round; every round has an identifier of its own. With a last round that arrives, phases 1 and 2 come up.
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
		messages := [][]byte{a.Message(ike.V1MainMode, 0, 0, true, scene.SAv1(scene.Modern(14, 1))), a.Message(ike.V1MainMode, 1, 0, false, scene.SAv1(scene.Modern(14, 1))),
			a.Main3(0), a.Main3(1)}
		for i, m := range messages[:n] {
			s.IKE(i%2, 500, m)
		}
	}
}

// aggressive is Aggressive Mode with an answer that carries a hash, which side by does not believe: it says so with a notification in clear,
// or encrypted when that is 0. When B does not, A's third message comes first.
func aggressive(by int, number uint16) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.V1(0)
		s.IKE(0, 500, a.Message(ike.V1Aggressive, 0, 0, true, scene.SAv1(scene.Modern(14, 1))))
		s.IKE(1, 500, a.Message(ike.V1Aggressive, 1, 0, false, scene.SAv1(scene.Modern(14, 1)), &ike.BytesV1{Number: ike.V1PayloadHASH, Data: make([]byte, 32)}))
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

// xauth is phase 1 and the Transaction exchanges of XAUTH, then an Informational when refused, and n messages of Quick Mode.
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

// deletedV1 is a tunnel of IKEv1 with liveness checks that B ends with two Informationals of a size, for the IPsec SA and the ISAKMP SA.
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

var _ = add(v1Cases)

func v1Cases() []findingCase {
	refuse := func(a *scene.V1) { a.S.IKE(1, 500, a.SealedInfo(1)) }
	return []findingCase{
		{"tunnel-established", hit, "IKEv1", scene.HealthyV1, map[string]any{"version": 1, "initiator": "A", "confidence": "certain"}},
		{"tunnel-established", near, "Quick Mode lacks its third message", quick(2, nil), nil},

		{"tunnel-established", hit, "IKEv1, certificates in fragments", certificatesV1(scene.Fate{}), map[string]any{"version": 1, "initiator": "A", "confidence": "certain"}},
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
		{"main-mode-stalled", hit, "after message 5, in fragments", certificatesV1(scene.Lost, scene.Lost), map[string]any{"last_message": 5, "waiting_side": "A"}},
		{"psk-mismatch-v1", hit, "the fifth message came in fragments", func(s *scene.Scene) {
			a := s.V1(0)
			a.Main12(scene.SAv1(scene.Modern(14, 1)), scene.SAv1(scene.Modern(14, 1)))
			a.Main34()
			a.InFrags(0, 1, a.Sealed(ike.V1MainMode, 0, 0, ike.V1PayloadID, 240), nil)
			s.IKE(1, 500, a.Info(1, 16))
		}, map[string]any{"refusing_side": "B", "confidence": "certain"}},
		{"main-mode-stalled", hit, "after message 3", stalledAfter(3), map[string]any{"last_message": 3, "waiting_side": "A"}},
		{"main-mode-stalled", hit, "after message 1", stalledAfter(1), map[string]any{"last_message": 1, "waiting_side": "A"}},
		{"main-mode-stalled", near, "phase 1 is complete", stalledAfter(6), nil},
		{"main-mode-stalled", near, "the keys differ", fifth(func(a *scene.V1) { a.S.IKE(1, 500, a.Info(1, 16)) }), nil},
		{"main-mode-stalled", near, "the captures end with message 3", endsAfter(3), nil},
		{"main-mode-stalled", near, "the captures end with message 4, of B", endsAfter(4), nil},
		{"main-mode-stalled", none, "IKEv2", scene.Healthy, nil},

		{"psk-mismatch-v1", hit, "PAYLOAD-MALFORMED in clear", fifth(func(a *scene.V1) { a.S.IKE(1, 500, a.Info(1, 16)) }),
			map[string]any{"refusing_side": "B", "confidence": "certain"}},
		{"psk-mismatch-v1", hit, "encrypted answers", fifth(refuse), map[string]any{"refusing_side": "B", "confidence": "certain"}},
		{"psk-mismatch-v1", hit, "silence", fifth(nil), map[string]any{"refusing_side": "B", "confidence": "probable"}},
		{"psk-mismatch-v1", near, "message 5 never arrives", func(s *scene.Scene) {
			a := s.V1(0)
			a.Main12(scene.SAv1(scene.Modern(14, 1)), scene.SAv1(scene.Modern(14, 1)))
			a.Main34()
			s.Repeat(4, 0, 500, a.Main5(0), scene.Lost)
		}, nil},
		{"psk-mismatch-v1", hit, "Aggressive Mode: A cannot verify B's hash", aggressive(0, 23), map[string]any{"refusing_side": "A", "confidence": "certain"}},
		{"psk-mismatch-v1", hit, "Aggressive Mode: B cannot verify A's", aggressive(1, 24), map[string]any{"refusing_side": "B", "confidence": "certain"}},
		{"psk-mismatch-v1", hit, "Aggressive Mode: encrypted", aggressive(0, 0), map[string]any{"refusing_side": "A", "confidence": "probable"}},
		{"psk-mismatch-v1", near, "Aggressive Mode: another error", aggressive(0, 14), nil},
		{"psk-mismatch-v1", none, "healthy", scene.HealthyV1, nil},

		{"user-authentication-failed", hit, "Transactions, an Informational, silence", xauth(true, 0), map[string]any{"refusing_side": "B", "confidence": "probable"}},
		{"user-authentication-failed", near, "Quick Mode follows", xauth(true, 3), nil},
		{"user-authentication-failed", near, "no Informational", xauth(false, 0), nil},
		{"user-authentication-failed", none, "healthy", scene.HealthyV1, nil},

		{"quick-mode-refused", hit, "answered by an Informational", quick(1, refuse), map[string]any{"refusing_side": "B", "confidence": "probable"}},
		{"quick-mode-refused", near, "answered by Quick Mode", quick(2, nil), nil},
		{"quick-mode-refused", near, "an Informational long before", func(s *scene.Scene) {
			a := s.V1(0).Phase1()
			s.IKE(1, 500, a.SealedInfo(1))
			a.QuickMode(3)
		}, nil},
		{"quick-mode-refused", none, "healthy", scene.HealthyV1, nil},

		{"quick-mode-stalled", hit, "after message 1", quick(1, nil), map[string]any{"last_message": 1}},
		{"quick-mode-stalled", hit, "after message 2", quick(2, nil), map[string]any{"last_message": 2}},
		{"quick-mode-stalled", near, "refused", quick(1, refuse), nil},
		{"quick-mode-stalled", none, "healthy", scene.HealthyV1, nil},
	}
}
