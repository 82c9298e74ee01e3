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
		{"dpd-timeout", none, "healthy", healthy, nil},

		{"rekey", hit, "a child SA", rekeyAnswer(ike.PayloadSA, 140), map[string]any{"initiator": "A", "count": 1}},
		{"rekey", near, "refused", rekeyAnswer(ike.PayloadN, 8), nil},
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
		{"sa-deleted", none, "healthy", healthy, nil},
	}
}

// first is the first IKE SA of the scene, by its number.
func (s *scene) first() *sa {
	n := ike.SPI(1)<<32 | 0x0a11
	return &sa{s: s, i: n | 1<<60, r: n | 2<<60}
}
