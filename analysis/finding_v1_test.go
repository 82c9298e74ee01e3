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

		{"main-mode-stalled", hit, "after message 3", stalledAfter(3), map[string]any{"last_message": 3, "waiting_side": "A"}},
		{"main-mode-stalled", hit, "after message 1", stalledAfter(1), map[string]any{"last_message": 1, "waiting_side": "A"}},
		{"main-mode-stalled", near, "phase 1 is complete", stalledAfter(6), nil},
		{"main-mode-stalled", near, "the keys differ", fifth(func(a *v1) { a.s.ike(1, 500, a.info(1, 16)) }), nil},
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
		{"psk-mismatch-v1", none, "healthy", healthyV1, nil},

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
