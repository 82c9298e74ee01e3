package analysis

import (
	"time"

	"github.com/moncap/moncap/analysis/ike"
)

func lifeCases() []findingCase {
	unanswered := func(n int, f fate) func(*scene) {
		return func(s *scene) {
			a := s.sa(0).up()
			a.dpd(1)
			s.wait(time.Minute)
			s.repeat(n, 0, 500, a.sealed(ike.Informational, 0, a.id[0], false, ike.PayloadNone, 0), f)
			s.wait(time.Minute)
			s.noise(1)
		}
	}
	rekeyAnswer := func(first ike.PayloadType, size int) func(*scene) {
		return func(s *scene) {
			a := s.sa(0).up()
			s.wait(time.Hour)
			a.exchange(ike.CreateChildSA, 0, ike.PayloadN, 180, first, size)
			s.wait(10 * time.Second)
			a.dpd(1)
		}
	}
	crossing := func(answer ike.PayloadType, size int) func(*scene) {
		return func(s *scene) {
			a := s.sa(0).up()
			s.wait(time.Hour)
			s.ike(0, 500, a.sealed(ike.CreateChildSA, 0, 2, false, ike.PayloadN, 180))
			s.ike(1, 500, a.sealed(ike.CreateChildSA, 1, 0, false, ike.PayloadN, 180))
			s.ike(1, 500, a.sealed(ike.CreateChildSA, 1, 2, true, answer, size))
			s.ike(0, 500, a.sealed(ike.CreateChildSA, 0, 0, true, ike.PayloadSA, 140))
			a.id = [2]uint32{3, 1}
			a.dpd(0)
		}
	}
	return []findingCase{
		{"dpd-timeout", hit, "five times, and nothing", unanswered(5, fate{}), map[string]any{"side": "B", "requests": 5, "confidence": "certain"}},
		{"dpd-timeout", hit, "the path is gone", unanswered(5, lost), map[string]any{"side": "B", "requests": 5}},
		{"dpd-timeout", near, "answered at last", func(s *scene) {
			a := s.sa(0).up()
			m := a.sealed(ike.Informational, 0, 2, false, ike.PayloadNone, 0)
			s.repeat(3, 0, 500, m, lost)
			s.wait(4 * time.Second)
			s.ike(0, 500, m)
			s.ike(1, 500, a.sealed(ike.Informational, 1, 2, true, ike.PayloadNone, 0))
		}, nil},
		{"dpd-timeout", near, "no SA yet", func(s *scene) {
			s.repeat(5, 0, 500, s.sa(0).init(false, proposals(gcm(19))), fate{})
		}, nil},
		{"dpd-timeout", hit, "IKEv1: each probe is a message of its own", probesV1(0, true, 3), map[string]any{"side": "B", "requests": 3, "confidence": "certain"}},
		{"dpd-timeout", hit, "IKEv1, B asks", probesV1(1, true, 5), map[string]any{"side": "A", "requests": 5}},
		{"dpd-timeout", near, "IKEv1: two are too few", probesV1(0, true, 2), nil},
		{"dpd-timeout", near, "IKEv1: what was never answered may be no probe", probesV1(0, false, 5), nil},
		{"dpd-timeout", none, "healthy", healthy, nil},

		{"rekey", hit, "a child SA", rekeyAnswer(ike.PayloadSA, 140), map[string]any{"initiator": "A", "count": 1}},
		{"rekey", near, "refused", rekeyAnswer(ike.PayloadN, 8), nil},
		{"rekey", near, "a further child SA", furtherChild(time.Minute, 120, ike.PayloadSA, 116), nil},
		{"rekey", near, "the first child SA after a childless beginning", childless, nil},
		{"rekey", none, "healthy", healthy, nil},

		{"rekey-collision", hit, "crossed", crossing(ike.PayloadSA, 140), map[string]any{"outcome": "both answered"}},
		{"rekey-collision", hit, "one refused", crossing(ike.PayloadN, 8), map[string]any{"outcome": "one refused"}},
		{"rekey-collision", near, "one after the other", func(s *scene) {
			a := s.sa(0).up()
			a.rekeyChild(0)
			s.wait(time.Second)
			a.rekeyChild(1)
		}, nil},
		{"rekey-collision", none, "healthy", healthy, nil},

		{"rekey-failed", hit, "refused", rekeyAnswer(ike.PayloadN, 8), map[string]any{"side": "B", "confidence": "certain"}},
		{"rekey-failed", hit, "unanswered", func(s *scene) {
			a := s.sa(0).up()
			s.wait(time.Hour)
			s.repeat(4, 0, 500, a.sealed(ike.CreateChildSA, 0, 2, false, ike.PayloadN, 180), fate{})
			s.wait(time.Minute)
			s.noise(1)
		}, map[string]any{"side": "B"}},
		{"rekey-failed", near, "refused, and done again with success", func(s *scene) {
			rekeyAnswer(ike.PayloadN, 8)(s)
			a := s.sa(0)
			*a = sa{s: s, i: s.first().i, r: s.first().r, port: 500, id: [2]uint32{3, 1}}
			a.rekeyChild(0)
		}, nil},
		{"rekey-failed", near, "crossed", crossing(ike.PayloadN, 8), nil},
		{"rekey-failed", hit, "a rekey of the IKE SA", furtherChild(time.Minute, 156, ike.PayloadN, 8), map[string]any{"side": "B"}},
		{"rekey-failed", near, "a further child SA is refused", furtherChild(time.Minute, 120, ike.PayloadN, 8), nil},
		{"rekey-failed", none, "healthy", healthy, nil},

		{"sa-deleted", hit, "by the last message", func(s *scene) {
			a := s.sa(0).up()
			a.dpd(0)
			s.wait(10 * time.Second)
			a.exchange(ike.Informational, 1, ike.PayloadD, 8, ike.PayloadNone, 0)
			s.wait(10 * time.Second)
			s.noise(0)
		}, map[string]any{"deleting_side": "B"}},
		{"sa-deleted", near, "a child SA", func(s *scene) {
			a := s.sa(0).up()
			a.dpd(0)
			a.exchange(ike.Informational, 1, ike.PayloadD, 12, ike.PayloadD, 12)
			a.dpd(0)
		}, nil},
		{"sa-deleted", near, "the old one after a rekey", func(s *scene) {
			a := s.sa(0).up()
			a.exchange(ike.CreateChildSA, 0, ike.PayloadSA, 180, ike.PayloadSA, 180)
			a.exchange(ike.Informational, 0, ike.PayloadD, 8, ike.PayloadNone, 0)
			b := s.sa(0)
			b.dpd(0)
			b.dpd(1)
		}, nil},
		{"sa-deleted", hit, "after a rekey of the IKE SA", func(s *scene) {
			a := s.sa(0).up()
			s.traffic(3, false)
			a.exchange(ike.CreateChildSA, 1, ike.PayloadSA, 400, ike.PayloadSA, 400)
			a.exchange(ike.Informational, 1, ike.PayloadD, 8, ike.PayloadNone, 0)
			s.wait(time.Second)
			b := s.sa(1)
			b.exchange(ike.Informational, 1, ike.PayloadD, 8, ike.PayloadNone, 0)
			s.wait(10 * time.Second)
			s.noise(0)
		}, map[string]any{"deleting_side": "B"}},
		{"sa-deleted", hit, "a child SA that the initiator does not take", func(s *scene) {
			a := s.sa(0).up()
			a.exchange(ike.Informational, 0, ike.PayloadD, 12, ike.PayloadD, 12)
		}, map[string]any{"deleting_side": "A"}},
		{"sa-deleted", hit, "both at once", func(s *scene) {
			a := s.sa(0).up()
			s.traffic(3, false)
			s.ike(0, 500, a.sealed(ike.Informational, 0, 2, false, ike.PayloadD, 8))
			s.ike(1, 500, a.sealed(ike.Informational, 1, 0, false, ike.PayloadD, 8))
			s.ike(1, 500, a.sealed(ike.Informational, 1, 2, true, ike.PayloadNone, 0))
			s.ike(0, 500, a.sealed(ike.Informational, 0, 0, true, ike.PayloadNone, 0))
			s.wait(10 * time.Second)
			s.noise(0)
		}, map[string]any{"deleting_side": "A"}},
		{"sa-deleted", near, "three within a minute are a flapping", flaps(3), nil},
		{"sa-deleted", none, "healthy", healthy, nil},

		{"sa-flapping", hit, "three in a minute", flaps(3), map[string]any{"side": "B", "count": 3}},
		{"sa-flapping", hit, "IKEv1, four", flapsV1(4), map[string]any{"side": "B", "count": 4}},
		{"sa-flapping", hit, "an error after every rekey", errorsAfterRekey(3), map[string]any{"side": "A", "count": 3}},
		{"sa-flapping", near, "two", flaps(2), nil},
		{"sa-flapping", near, "two errors after rekeys", errorsAfterRekey(2), nil},
		{"sa-flapping", near, "three in hours", func(s *scene) {
			for range 3 {
				deletedByB(s)
				s.wait(time.Hour)
			}
		}, nil},
		{"sa-flapping", near, "rekeys of the IKE SA", func(s *scene) {
			a := s.sa(0).up()
			for range 4 {
				a.exchange(ike.CreateChildSA, 0, ike.PayloadSA, 400, ike.PayloadSA, 400)
				a.exchange(ike.Informational, 0, ike.PayloadD, 8, ike.PayloadNone, 0)
				a = s.sa(0)
			}
			a.dpd(0)
		}, nil},
		{"sa-flapping", none, "healthy", healthy, nil},
	}
}

// childless is a beginning without a child SA (RFC 6023), and then its first one.
func childless(s *scene) {
	a := s.sa(0)
	s.ike(0, 500, a.init(false, proposals(gcm(19))))
	s.ike(1, 500, a.init(true, proposals(gcm(19)), supported(ike.ChildlessIKEv2Supported)))
	s.ike(0, 500, a.sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, sizeNoChild))
	s.ike(1, 500, a.sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, sizeNoChild))
	a.id[0] = 2
	a.exchange(ike.CreateChildSA, 0, ike.PayloadSA, 200, ike.PayloadSA, 180)
	s.traffic(3, false)
}

// The lengths of encrypted Informational messages of IKEv1 with SHA2-256 and AES: a liveness check, and a Delete.
const (
	probeV1  = 80
	deleteV1 = 64
)

// probesV1: liveness checks of side from, of which the first is answered when so, and n are not.
func probesV1(from int, answered bool, n int) func(*scene) {
	return func(s *scene) {
		a := s.v1(0).phase1()
		a.quickMode(3)
		id := uint32(0x100)
		if answered {
			s.ike(from, 500, a.sealedInfoOf(from, id, probeV1))
			s.ike(1-from, 500, a.sealedInfoOf(1-from, id+1, probeV1))
		}
		for range n {
			id += 7
			s.wait(2 * time.Second)
			s.ike(from, 500, a.sealedInfoOf(from, id, probeV1))
		}
		s.wait(10 * time.Second)
		s.noise(0)
		s.noise(1)
	}
}

// deletedByB is a tunnel that carries traffic and that B deletes after five seconds.
func deletedByB(s *scene) {
	a := s.sa(0).up()
	s.traffic(3, false)
	s.wait(5 * time.Second)
	a.exchange(ike.Informational, 1, ike.PayloadD, 8, ike.PayloadNone, 0)
	s.wait(5 * time.Second)
}

func flaps(n int) func(*scene) {
	return func(s *scene) {
		for range n {
			deletedByB(s)
		}
		s.noise(0)
	}
}

func flapsV1(n int) func(*scene) {
	return func(s *scene) {
		for range n {
			a := s.v1(0).phase1()
			a.quickMode(3)
			s.wait(5 * time.Second)
			s.ike(1, 500, a.sealedInfoOf(1, 0x77ab, deleteV1))
			s.wait(5 * time.Second)
		}
		s.noise(0)
	}
}

// errorsAfterRekey: A makes new keys of the child SA n times, and refuses what came of it each time with one bare Notify.
func errorsAfterRekey(n int) func(*scene) {
	return func(s *scene) {
		a := s.sa(0).up()
		s.traffic(3, false)
		for range n {
			s.wait(10 * time.Second)
			a.rekeyChild(0)
			a.exchange(ike.Informational, 0, ike.PayloadN, 8, ike.PayloadNone, 0)
			a.exchange(ike.Informational, 0, ike.PayloadD, 12, ike.PayloadD, 12)
		}
	}
}

// first is the first IKE SA of the scene, by its number.
func (s *scene) first() *sa {
	n := ike.SPI(1)<<32 | 0x0a11
	return &sa{s: s, i: n | 1<<60, r: n | 2<<60}
}
