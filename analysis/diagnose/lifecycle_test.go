package diagnose_test

import (
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/scene"
)

var _ = add(lifeCases)

func lifeCases() []findingCase {
	unanswered := func(n int, f scene.Fate) func(*scene.Scene) {
		return func(s *scene.Scene) {
			a := s.SA(0).Up()
			a.DPD(1)
			s.Wait(time.Minute)
			s.Repeat(n, 0, 500, a.Sealed(ike.Informational, 0, a.ID[0], false, ike.PayloadNone, 0), f)
			s.Wait(time.Minute)
			s.Noise(1)
		}
	}
	rekeyAnswer := func(first ike.PayloadType, size int) func(*scene.Scene) {
		return func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Wait(time.Hour)
			a.Exchange(ike.CreateChildSA, 0, ike.PayloadN, 180, first, size)
			s.Wait(10 * time.Second)
			a.DPD(1)
		}
	}
	crossing := func(answer ike.PayloadType, size int) func(*scene.Scene) {
		return func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Wait(time.Hour)
			s.IKE(0, 500, a.Sealed(ike.CreateChildSA, 0, 2, false, ike.PayloadN, 180))
			s.IKE(1, 500, a.Sealed(ike.CreateChildSA, 1, 0, false, ike.PayloadN, 180))
			s.IKE(1, 500, a.Sealed(ike.CreateChildSA, 1, 2, true, answer, size))
			s.IKE(0, 500, a.Sealed(ike.CreateChildSA, 0, 0, true, ike.PayloadSA, 140))
			a.ID = [2]uint32{3, 1}
			a.DPD(0)
		}
	}
	return []findingCase{
		{"dpd-timeout", hit, "five times, and nothing", unanswered(5, scene.Fate{}), map[string]any{"side": "B", "requests": 5, "confidence": "certain"}},
		{"dpd-timeout", hit, "the path is gone", unanswered(5, scene.Lost), map[string]any{"side": "B", "requests": 5}},
		{"dpd-timeout", near, "answered at last", func(s *scene.Scene) {
			a := s.SA(0).Up()
			m := a.Sealed(ike.Informational, 0, 2, false, ike.PayloadNone, 0)
			s.Repeat(3, 0, 500, m, scene.Lost)
			s.Wait(4 * time.Second)
			s.IKE(0, 500, m)
			s.IKE(1, 500, a.Sealed(ike.Informational, 1, 2, true, ike.PayloadNone, 0))
		}, nil},
		{"dpd-timeout", near, "no SA yet", func(s *scene.Scene) {
			s.Repeat(5, 0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Fate{})
		}, nil},
		{"dpd-timeout", hit, "IKEv1: each probe is a message of its own", probesV1(0, true, 3), map[string]any{"side": "B", "requests": 3, "confidence": "certain"}},
		{"dpd-timeout", hit, "IKEv1, B asks", probesV1(1, true, 5), map[string]any{"side": "A", "requests": 5}},
		{"dpd-timeout", near, "IKEv1: two are too few", probesV1(0, true, 2), nil},
		{"dpd-timeout", near, "IKEv1: what was never answered may be no probe", probesV1(0, false, 5), nil},
		{"dpd-timeout", none, "healthy", scene.Healthy, nil},

		{"rekey", hit, "a child SA", rekeyAnswer(ike.PayloadSA, 140), map[string]any{"initiator": "A", "count": 1}},
		{"rekey", near, "refused", rekeyAnswer(ike.PayloadN, 8), nil},
		{"rekey", near, "the answers are lost", func(s *scene.Scene) {
			a := s.SA(0).Up()
			for range 4 {
				s.IKE(0, 500, a.Sealed(ike.CreateChildSA, 0, 2, false, ike.PayloadN, 180))
				s.IKE(1, 500, a.Sealed(ike.CreateChildSA, 1, 2, true, ike.PayloadSA, 140), scene.Lost)
				s.Wait(2 * time.Second)
			}
		}, nil},
		{"rekey", near, "a further child SA", furtherChild(time.Minute, 120, ike.PayloadSA, 116), nil},
		{"rekey", near, "the first child SA after a childless beginning", childless, nil},
		{"rekey", none, "healthy", scene.Healthy, nil},

		{"rekey-collision", hit, "crossed", crossing(ike.PayloadSA, 140), map[string]any{"outcome": "both answered"}},
		{"rekey-collision", hit, "one refused", crossing(ike.PayloadN, 8), map[string]any{"outcome": "one refused"}},
		{"rekey-collision", near, "one after the other", func(s *scene.Scene) {
			a := s.SA(0).Up()
			a.RekeyChild(0)
			s.Wait(time.Second)
			a.RekeyChild(1)
		}, nil},
		{"rekey-collision", none, "healthy", scene.Healthy, nil},

		{"rekey-failed", hit, "refused", rekeyAnswer(ike.PayloadN, 8), map[string]any{"side": "B", "confidence": "certain"}},
		{"rekey-failed", hit, "unanswered", func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Wait(time.Hour)
			s.Repeat(4, 0, 500, a.Sealed(ike.CreateChildSA, 0, 2, false, ike.PayloadN, 180), scene.Fate{})
			s.Wait(time.Minute)
			s.Noise(1)
		}, map[string]any{"side": "B"}},
		{"rekey-failed", near, "refused, and done again with success", func(s *scene.Scene) {
			rekeyAnswer(ike.PayloadN, 8)(s)
			a := s.SA(0)
			*a = scene.SA{S: s, I: s.First().I, R: s.First().R, Port: 500, ID: [2]uint32{3, 1}}
			a.RekeyChild(0)
		}, nil},
		{"rekey-failed", near, "crossed", crossing(ike.PayloadN, 8), nil},
		{"rekey-failed", hit, "a rekey of the IKE SA", furtherChild(time.Minute, 156, ike.PayloadN, 8), map[string]any{"side": "B"}},
		{"rekey-failed", near, "a further child SA is refused", furtherChild(time.Minute, 120, ike.PayloadN, 8), nil},
		{"rekey-failed", none, "healthy", scene.Healthy, nil},

		{"sa-deleted", hit, "by the last message", func(s *scene.Scene) {
			a := s.SA(0).Up()
			a.DPD(0)
			s.Wait(10 * time.Second)
			a.Exchange(ike.Informational, 1, ike.PayloadD, 8, ike.PayloadNone, 0)
			s.Wait(10 * time.Second)
			s.Noise(0)
		}, map[string]any{"deleting_side": "B"}},
		{"sa-deleted", near, "a child SA", func(s *scene.Scene) {
			a := s.SA(0).Up()
			a.DPD(0)
			a.Exchange(ike.Informational, 1, ike.PayloadD, 12, ike.PayloadD, 12)
			a.DPD(0)
		}, nil},
		{"sa-deleted", near, "the old one after a rekey", func(s *scene.Scene) {
			a := s.SA(0).Up()
			a.Exchange(ike.CreateChildSA, 0, ike.PayloadSA, 180, ike.PayloadSA, 180)
			a.Exchange(ike.Informational, 0, ike.PayloadD, 8, ike.PayloadNone, 0)
			b := s.SA(0)
			b.DPD(0)
			b.DPD(1)
		}, nil},
		{"sa-deleted", hit, "after a rekey of the IKE SA", func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Traffic(3, false)
			a.Exchange(ike.CreateChildSA, 1, ike.PayloadSA, 400, ike.PayloadSA, 400)
			a.Exchange(ike.Informational, 1, ike.PayloadD, 8, ike.PayloadNone, 0)
			s.Wait(time.Second)
			b := s.SA(1)
			b.Exchange(ike.Informational, 1, ike.PayloadD, 8, ike.PayloadNone, 0)
			s.Wait(10 * time.Second)
			s.Noise(0)
		}, map[string]any{"deleting_side": "B"}},
		{"sa-deleted", hit, "a child SA that the initiator does not take", func(s *scene.Scene) {
			a := s.SA(0).Up()
			a.Exchange(ike.Informational, 0, ike.PayloadD, 12, ike.PayloadD, 12)
		}, map[string]any{"deleting_side": "A"}},
		{"sa-deleted", hit, "both at once", func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Traffic(3, false)
			s.IKE(0, 500, a.Sealed(ike.Informational, 0, 2, false, ike.PayloadD, 8))
			s.IKE(1, 500, a.Sealed(ike.Informational, 1, 0, false, ike.PayloadD, 8))
			s.IKE(1, 500, a.Sealed(ike.Informational, 1, 2, true, ike.PayloadNone, 0))
			s.IKE(0, 500, a.Sealed(ike.Informational, 0, 0, true, ike.PayloadNone, 0))
			s.Wait(10 * time.Second)
			s.Noise(0)
		}, map[string]any{"deleting_side": "A"}},
		{"sa-deleted", near, "three within a minute are a flapping", flaps(3), nil},
		{"sa-deleted", none, "healthy", scene.Healthy, nil},
		{"sa-deleted", hit, "in clear", func(s *scene.Scene) {
			a := s.SA(0).Up()
			a.DPD(0)
			s.IKE(1, 500, a.Plain(ike.Informational, 1, 0, false, &ike.Delete{Protocol: ike.ProtocolIKE}))
		}, map[string]any{"deleting_side": "B", "confidence": "certain"}},
		{"sa-deleted", hit, "IKEv1", deletedV1(deleteV1), map[string]any{"deleting_side": "B", "confidence": "probable"}},
		{"sa-deleted", near, "IKEv1: liveness checks", func(s *scene.Scene) {
			scene.HealthyV1(s)
			probesV1(0, true, 0)(s)
		}, nil},
		{"sa-deleted", near, "IKEv1: the old SA after new keys were made", func(s *scene.Scene) {
			a := s.V1(0).Phase1()
			a.QuickMode(3)
			s.Traffic(3, false)
			a.Quick++
			a.QuickMode(3)
			s.IKE(1, 500, a.SealedInfoOf(1, 0x99, deleteV1))
			s.IKE(0, 500, a.SealedInfoOf(0, 0x9a, deleteV1))
			s.Wait(10 * time.Second)
			s.Noise(0)
		}, nil},
		{"sa-deleted", near, "IKEv1: the old SA some time after new keys were made, at the captures' end", func(s *scene.Scene) {
			a := s.V1(0).Phase1()
			a.QuickMode(3)
			s.Traffic(3, false)
			a.Quick++
			a.QuickMode(3)
			s.SPI++
			s.Dialogue(40, 100*time.Millisecond, scene.Passes)
			s.IKE(1, 500, a.SealedInfoOf(1, 0x99, deleteV1))
		}, nil},
		{"sa-deleted", hit, "IKEv1: the new SA and the ISAKMP SA, at the captures' end", func(s *scene.Scene) {
			a := s.V1(0).Phase1()
			a.QuickMode(3)
			s.Traffic(3, false)
			a.Quick++
			a.QuickMode(3)
			s.SPI++
			s.Dialogue(40, 100*time.Millisecond, scene.Passes)
			s.IKE(1, 500, a.SealedInfoOf(1, 0x99, deleteV1))
			s.IKE(1, 500, a.SealedInfoOf(1, 0x9a, deleteV1))
		}, map[string]any{"deleting_side": "B"}},

		{"sa-flapping", hit, "three in a minute", flaps(3), map[string]any{"side": "B", "count": 3}},
		{"sa-flapping", hit, "IKEv1, four", flapsV1(4), map[string]any{"side": "B", "count": 4}},
		{"sa-flapping", hit, "an error after every rekey", errorsAfterRekey(3), map[string]any{"side": "A", "count": 3}},
		{"sa-flapping", near, "two", flaps(2), nil},
		{"sa-flapping", near, "two errors after rekeys", errorsAfterRekey(2), nil},
		{"sa-flapping", near, "three in hours", func(s *scene.Scene) {
			for range 3 {
				deletedByB(s)
				s.Wait(time.Hour)
			}
		}, nil},
		{"sa-flapping", near, "rekeys of the IKE SA", func(s *scene.Scene) {
			a := s.SA(0).Up()
			for range 4 {
				a.Exchange(ike.CreateChildSA, 0, ike.PayloadSA, 400, ike.PayloadSA, 400)
				a.Exchange(ike.Informational, 0, ike.PayloadD, 8, ike.PayloadNone, 0)
				a = s.SA(0)
			}
			a.DPD(0)
		}, nil},
		{"sa-flapping", none, "healthy", scene.Healthy, nil},
	}
}

// childless is a beginning without a child SA (RFC 6023), and then its first one.
func childless(s *scene.Scene) {
	a := s.SA(0)
	s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
	s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19)), scene.Supported(ike.ChildlessIKEv2Supported)))
	s.IKE(0, 500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeNoChild))
	s.IKE(1, 500, a.Sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, scene.SizeNoChild))
	a.ID[0] = 2
	a.Exchange(ike.CreateChildSA, 0, ike.PayloadSA, 200, ike.PayloadSA, 180)
	s.Traffic(3, false)
}

// The lengths of encrypted Informational messages of IKEv1 with SHA2-256 and AES: a liveness check, and a Delete.
const (
	probeV1  = 80
	deleteV1 = 64
)

// probesV1: liveness checks of side from, of which the first is answered when so, and n are not.
func probesV1(from int, answered bool, n int) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.V1(0).Phase1()
		a.QuickMode(3)
		id := uint32(0x100)
		if answered {
			s.IKE(from, 500, a.SealedInfoOf(from, id, probeV1))
			s.IKE(1-from, 500, a.SealedInfoOf(1-from, id+1, probeV1))
		}
		for range n {
			id += 7
			s.Wait(2 * time.Second)
			s.IKE(from, 500, a.SealedInfoOf(from, id, probeV1))
		}
		s.Wait(10 * time.Second)
		s.Noise(0)
		s.Noise(1)
	}
}

// deletedByB is a tunnel that carries traffic and that B deletes after five seconds.
func deletedByB(s *scene.Scene) {
	a := s.SA(0).Up()
	s.Traffic(3, false)
	s.Wait(5 * time.Second)
	a.Exchange(ike.Informational, 1, ike.PayloadD, 8, ike.PayloadNone, 0)
	s.Wait(5 * time.Second)
}

func flaps(n int) func(*scene.Scene) {
	return func(s *scene.Scene) {
		for range n {
			deletedByB(s)
		}
		s.Noise(0)
	}
}

func flapsV1(n int) func(*scene.Scene) {
	return func(s *scene.Scene) {
		for range n {
			a := s.V1(0).Phase1()
			a.QuickMode(3)
			s.Wait(5 * time.Second)
			s.IKE(1, 500, a.SealedInfoOf(1, 0x77ab, deleteV1))
			s.Wait(5 * time.Second)
		}
		s.Noise(0)
	}
}

// errorsAfterRekey: A makes new keys of the child SA n times, and refuses what came of it each time with one bare Notify.
func errorsAfterRekey(n int) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.SA(0).Up()
		s.Traffic(3, false)
		for range n {
			s.Wait(10 * time.Second)
			a.RekeyChild(0)
			a.Exchange(ike.Informational, 0, ike.PayloadN, 8, ike.PayloadNone, 0)
			a.Exchange(ike.Informational, 0, ike.PayloadD, 12, ike.PayloadD, 12)
		}
	}
}
