package analysis

import (
	"time"

	"github.com/moncap/moncap/analysis/ike"
)

func healthyV1(s *scene) {
	a := s.v1(0).phase1()
	a.quickMode(3)
	s.traffic(10, false)
}

// fifth: B cannot read the fifth message of Main Mode, and then does the answer.
func fifth(answer func(*v1)) func(*scene) {
	return func(s *scene) {
		a := s.v1(0)
		a.main12(saV1(modern(14, 1)), saV1(modern(14, 1)))
		a.main34()
		for range 4 {
			s.ike(0, 500, a.main5(0))
			if answer != nil {
				answer(a)
			}
			s.wait(2 * time.Second)
		}
	}
}

func stalledAfter(n int) func(*scene) {
	return func(s *scene) {
		a := s.v1(0)
		messages := [][]byte{a.message(ike.V1MainMode, 0, 0, true, saV1(modern(14, 1))), a.message(ike.V1MainMode, 1, 0, false, saV1(modern(14, 1))),
			a.main3(0), a.main3(1), a.main5(0), a.main5(1)}
		for i, m := range messages[:n] {
			s.ike(i%2, 500, m)
		}
		s.wait(5 * time.Second)
		s.repeat(3, (n-1)%2, 500, messages[n-1], fate{})
		s.wait(time.Minute)
		s.noise(1)
	}
}

func quick(n int, answer func(*v1)) func(*scene) {
	return func(s *scene) {
		a := s.v1(0).phase1()
		a.quickMode(n)
		if answer != nil {
			answer(a)
		}
		s.wait(time.Minute)
		s.noise(0)
		s.noise(1)
	}
}

// inFrags sends a message in FRAG payloads of 100 bytes; each has its fate, by its number from 0.
func (a *v1) inFrags(from int, id uint16, message []byte, fates map[int]fate) {
	h, err := ike.ParseHeader(message)
	if err != nil {
		a.s.t.Fatal(err)
	}
	h.Flags, h.NextPayload, h.Length = 0, 0, 0
	for n := 0; n*100 < len(message); n++ {
		f := &ike.Frag{ID: id, Part: uint8(n + 1), Data: message[n*100 : min(len(message), n*100+100)]}
		if n*100+100 >= len(message) {
			f.Last, f.Bits = true, 1
		}
		a.s.ike(from, 500, a.s.bytes(&ike.Message{Header: h, Payloads: []ike.Payload{f}}), fates[n])
	}
}

// certificatesV1 is Main Mode whose fifth message goes in three fragments, of which the second has the given fates, one a
// round; every round has an identifier of its own. With a last round that arrives, phases 1 and 2 come up.
func certificatesV1(second ...fate) func(*scene) {
	return func(s *scene) {
		a := s.v1(0)
		a.main12(saV1(modern(14, 3)), saV1(modern(14, 3)))
		a.main34()
		fifth := a.sealed(ike.V1MainMode, 0, 0, ike.V1PayloadID, 240)
		for i, f := range second {
			a.inFrags(0, uint16(i+1), fifth, map[int]fate{1: f})
			s.wait(10 * time.Second)
		}
		if !second[len(second)-1].lost {
			a.inFrags(1, 1, a.sealed(ike.V1MainMode, 1, 0, ike.V1PayloadID, 230), nil)
			a.quickMode(3)
			s.traffic(10, false)
		}
		s.noise(0)
		s.noise(1)
	}
}

// endsAfter is phase 1 whose captures end with message n.
func endsAfter(n int) func(*scene) {
	return func(s *scene) {
		a := s.v1(0)
		messages := [][]byte{a.message(ike.V1MainMode, 0, 0, true, saV1(modern(14, 1))), a.message(ike.V1MainMode, 1, 0, false, saV1(modern(14, 1))),
			a.main3(0), a.main3(1)}
		for i, m := range messages[:n] {
			s.ike(i%2, 500, m)
		}
	}
}

// aggressive is Aggressive Mode with an answer that carries a hash, which side by does not believe: it says so with a notification in clear,
// or encrypted when that is 0. When B does not, A's third message comes first.
func aggressive(by int, number uint16) func(*scene) {
	return func(s *scene) {
		a := s.v1(0)
		s.ike(0, 500, a.message(ike.V1Aggressive, 0, 0, true, saV1(modern(14, 1))))
		s.ike(1, 500, a.message(ike.V1Aggressive, 1, 0, false, saV1(modern(14, 1)), &ike.BytesV1{Number: ike.V1PayloadHASH, Data: make([]byte, 32)}))
		if by == 1 {
			s.ike(0, 500, a.sealed(ike.V1Aggressive, 0, 0, ike.V1PayloadHASH, 64))
		}
		if number == 0 {
			s.ike(by, 500, a.sealedInfo(by))
		} else {
			s.ike(by, 500, a.info(by, number))
		}
		s.wait(time.Minute)
		s.noise(0)
		s.noise(1)
	}
}

// xauth is phase 1 and the Transaction exchanges of XAUTH, then an Informational when refused, and n messages of Quick Mode.
func xauth(refused bool, n int) func(*scene) {
	return func(s *scene) {
		a := s.v1(0).phase1()
		for i, from := range []int{1, 0, 1} {
			s.ike(from, 500, a.sealed(ike.V1Transaction, from, uint32(0x300+i/2), ike.V1PayloadHASH, 64))
		}
		if refused {
			s.ike(0, 500, a.sealedInfoOf(0, 0x400, deleteV1))
		}
		a.quickMode(n)
		s.wait(time.Minute)
		s.noise(0)
	}
}

// deletedV1 is a tunnel of IKEv1 with liveness checks that B ends with two Informationals of a size, for the IPsec SA and the ISAKMP SA.
func deletedV1(size int) func(*scene) {
	return func(s *scene) {
		a := s.v1(0).phase1()
		a.quickMode(3)
		s.traffic(3, false)
		for i := range uint32(2) {
			s.wait(2 * time.Second)
			s.ike(0, 500, a.sealedInfoOf(0, 0x200+i, probeV1))
			s.ike(1, 500, a.sealedInfoOf(1, 0x210+i, probeV1))
		}
		s.wait(5 * time.Second)
		s.ike(1, 500, a.sealedInfoOf(1, 0x220, size))
		s.ike(0, 500, a.sealedInfoOf(0, 0x221, size))
		s.ike(1, 500, a.sealedInfoOf(1, 0x222, size))
		s.wait(10 * time.Second)
		s.noise(0)
		s.noise(1)
	}
}

func v1Cases() []findingCase {
	refuse := func(a *v1) { a.s.ike(1, 500, a.sealedInfo(1)) }
	return []findingCase{
		{"tunnel-established", hit, "IKEv1", healthyV1, map[string]any{"version": 1, "initiator": "A", "confidence": "certain"}},
		{"tunnel-established", near, "Quick Mode lacks its third message", quick(2, nil), nil},

		{"ike-proposal-mismatch", hit, "IKEv1", func(s *scene) {
			a := s.v1(0)
			for range 3 {
				s.ike(0, 500, a.message(ike.V1MainMode, 0, 0, true, saV1(modern(14, 1))))
				s.ike(1, 500, a.info(1, 14))
				s.wait(time.Second)
			}
		}, map[string]any{"refusing_side": "B"}},

		{"tunnel-established", hit, "IKEv1, certificates in fragments", certificatesV1(fate{}), map[string]any{"version": 1, "initiator": "A", "confidence": "certain"}},
		{"tunnel-established", near, "Quick Mode lacks its third message, its first came in fragments", func(s *scene) {
			a := s.v1(0).phase1()
			a.inFrags(0, 1, a.sealed(ike.V1QuickMode, 0, a.quick, ike.V1PayloadHASH, 300), nil)
			s.ike(1, 500, a.sealed(ike.V1QuickMode, 1, a.quick, ike.V1PayloadHASH, 144))
		}, nil},
		{"quick-mode-stalled", hit, "after message 1, in fragments", func(s *scene) {
			a := s.v1(0).phase1()
			a.inFrags(0, 1, a.sealed(ike.V1QuickMode, 0, a.quick, ike.V1PayloadHASH, 300), nil)
			s.wait(time.Minute)
			s.noise(1)
		}, map[string]any{"last_message": 1}},
		{"ike-fragments-lost", hit, "IKEv1", certificatesV1(lost, lost, lost), map[string]any{"direction": "A->B", "fragments_sent": 3, "fragments_seen": 2}},
		{"ike-fragments-lost", near, "IKEv1, it arrives in the second round", certificatesV1(lost, fate{}), nil},
		{"main-mode-stalled", hit, "after message 5, in fragments", certificatesV1(lost, lost), map[string]any{"last_message": 5, "waiting_side": "A"}},
		{"psk-mismatch-v1", hit, "the fifth message came in fragments", func(s *scene) {
			a := s.v1(0)
			a.main12(saV1(modern(14, 1)), saV1(modern(14, 1)))
			a.main34()
			a.inFrags(0, 1, a.sealed(ike.V1MainMode, 0, 0, ike.V1PayloadID, 240), nil)
			s.ike(1, 500, a.info(1, 16))
		}, map[string]any{"refusing_side": "B", "confidence": "certain"}},
		{"main-mode-stalled", hit, "after message 3", stalledAfter(3), map[string]any{"last_message": 3, "waiting_side": "A"}},
		{"main-mode-stalled", hit, "after message 1", stalledAfter(1), map[string]any{"last_message": 1, "waiting_side": "A"}},
		{"main-mode-stalled", near, "phase 1 is complete", stalledAfter(6), nil},
		{"main-mode-stalled", near, "the keys differ", fifth(func(a *v1) { a.s.ike(1, 500, a.info(1, 16)) }), nil},
		{"main-mode-stalled", near, "the captures end with message 3", endsAfter(3), nil},
		{"main-mode-stalled", near, "the captures end with message 4, of B", endsAfter(4), nil},
		{"main-mode-stalled", none, "IKEv2", healthy, nil},

		{"psk-mismatch-v1", hit, "PAYLOAD-MALFORMED in clear", fifth(func(a *v1) { a.s.ike(1, 500, a.info(1, 16)) }),
			map[string]any{"refusing_side": "B", "confidence": "certain"}},
		{"psk-mismatch-v1", hit, "encrypted answers", fifth(refuse), map[string]any{"refusing_side": "B", "confidence": "certain"}},
		{"psk-mismatch-v1", hit, "silence", fifth(nil), map[string]any{"refusing_side": "B", "confidence": "probable"}},
		{"psk-mismatch-v1", near, "message 5 never arrives", func(s *scene) {
			a := s.v1(0)
			a.main12(saV1(modern(14, 1)), saV1(modern(14, 1)))
			a.main34()
			s.repeat(4, 0, 500, a.main5(0), lost)
		}, nil},
		{"psk-mismatch-v1", hit, "Aggressive Mode: A cannot verify B's hash", aggressive(0, 23), map[string]any{"refusing_side": "A", "confidence": "certain"}},
		{"psk-mismatch-v1", hit, "Aggressive Mode: B cannot verify A's", aggressive(1, 24), map[string]any{"refusing_side": "B", "confidence": "certain"}},
		{"psk-mismatch-v1", hit, "Aggressive Mode: encrypted", aggressive(0, 0), map[string]any{"refusing_side": "A", "confidence": "probable"}},
		{"psk-mismatch-v1", near, "Aggressive Mode: another error", aggressive(0, 14), nil},
		{"psk-mismatch-v1", none, "healthy", healthyV1, nil},

		{"user-authentication-failed", hit, "Transactions, an Informational, silence", xauth(true, 0), map[string]any{"refusing_side": "B", "confidence": "probable"}},
		{"user-authentication-failed", near, "Quick Mode follows", xauth(true, 3), nil},
		{"user-authentication-failed", near, "no Informational", xauth(false, 0), nil},
		{"user-authentication-failed", none, "healthy", healthyV1, nil},

		{"sa-deleted", hit, "IKEv1", deletedV1(deleteV1), map[string]any{"deleting_side": "B", "confidence": "probable"}},
		{"sa-deleted", near, "IKEv1: liveness checks", func(s *scene) {
			healthyV1(s)
			probesV1(0, true, 0)(s)
		}, nil},
		{"sa-deleted", near, "IKEv1: the old SA after new keys were made", func(s *scene) {
			a := s.v1(0).phase1()
			a.quickMode(3)
			s.traffic(3, false)
			a.quick++
			a.quickMode(3)
			s.ike(1, 500, a.sealedInfoOf(1, 0x99, deleteV1))
			s.ike(0, 500, a.sealedInfoOf(0, 0x9a, deleteV1))
			s.wait(10 * time.Second)
			s.noise(0)
		}, nil},

		{"sa-deleted", near, "IKEv1: the old SA some time after new keys were made, at the captures' end", func(s *scene) {
			a := s.v1(0).phase1()
			a.quickMode(3)
			s.traffic(3, false)
			a.quick++
			a.quickMode(3)
			s.spi++
			s.dialogue(40, 100*time.Millisecond, passes)
			s.ike(1, 500, a.sealedInfoOf(1, 0x99, deleteV1))
		}, nil},
		{"sa-deleted", hit, "IKEv1: the new SA and the ISAKMP SA, at the captures' end", func(s *scene) {
			a := s.v1(0).phase1()
			a.quickMode(3)
			s.traffic(3, false)
			a.quick++
			a.quickMode(3)
			s.spi++
			s.dialogue(40, 100*time.Millisecond, passes)
			s.ike(1, 500, a.sealedInfoOf(1, 0x99, deleteV1))
			s.ike(1, 500, a.sealedInfoOf(1, 0x9a, deleteV1))
		}, map[string]any{"deleting_side": "B"}},

		{"quick-mode-refused", hit, "answered by an Informational", quick(1, refuse), map[string]any{"refusing_side": "B", "confidence": "probable"}},
		{"quick-mode-refused", near, "answered by Quick Mode", quick(2, nil), nil},
		{"quick-mode-refused", near, "an Informational long before", func(s *scene) {
			a := s.v1(0).phase1()
			s.ike(1, 500, a.sealedInfo(1))
			a.quickMode(3)
		}, nil},
		{"quick-mode-refused", none, "healthy", healthyV1, nil},

		{"quick-mode-stalled", hit, "after message 1", quick(1, nil), map[string]any{"last_message": 1}},
		{"quick-mode-stalled", hit, "after message 2", quick(2, nil), map[string]any{"last_message": 2}},
		{"quick-mode-stalled", near, "refused", quick(1, refuse), nil},
		{"quick-mode-stalled", none, "healthy", healthyV1, nil},
	}
}
