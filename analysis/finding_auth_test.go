package analysis

import (
	"time"

	"github.com/moncap/moncap/analysis/ike"
)

// answered is a negotiation whose IKE_AUTH answer begins with first and holds size bytes.
func answered(first ike.PayloadType, size int) func(*scene) {
	return func(s *scene) {
		a := s.sa(0)
		a.open()
		a.auth(first, size)
		s.wait(time.Second)
	}
}

// rejects: the whole IKE_AUTH exchange, then one INFORMATIONAL request of side from.
func rejects(from int, first ike.PayloadType, size int) func(*scene) {
	return func(s *scene) {
		a := s.sa(0).up()
		a.exchange(ike.Informational, from, first, size, ike.PayloadNone, 0)
		s.wait(time.Second)
	}
}

func authCases() []findingCase {
	return []findingCase{
		{"tunnel-established", hit, "by the size of the answer", func(s *scene) { s.sa(0).up() },
			map[string]any{"initiator": "A", "version": 2, "port": 500, "confidence": "certain"}},
		{"tunnel-established", hit, "B began, behind a NAT", func(s *scene) { s.seen[0] = sceneNAT; s.sa(1).up().dpd(0) },
			map[string]any{"initiator": "B", "port": 4500}},
		{"tunnel-established", hit, "the size admits both", answered(ike.PayloadIDr, 140), map[string]any{"confidence": "probable"}},
		{"tunnel-established", hit, "the size admits both, and traffic decides", func(s *scene) {
			answered(ike.PayloadIDr, 140)(s)
			s.traffic(5, false)
		}, map[string]any{"confidence": "certain"}},
		{"tunnel-established", near, "the child SA was refused", answered(ike.PayloadIDr, sizeNoChild), nil},
		{"tunnel-established", near, "the answer was lost", func(s *scene) {
			a := s.sa(0)
			a.open()
			s.ike(0, 500, a.sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, sizeAuth))
		}, nil},
		{"tunnel-established", none, "nobody answers", blockedAtoB, nil},

		{"auth-failed", hit, "one bare Notify", answered(ike.PayloadN, 8), map[string]any{"refusing_side": "B", "confidence": "probable", "plaintext_max": 8}},
		{"auth-failed", hit, "in clear", func(s *scene) {
			a := s.sa(0)
			a.open()
			s.ike(0, 500, a.sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, sizeAuth))
			s.ike(1, 500, a.plain(ike.IKEAuth, 1, 1, true, &ike.Notify{Number: ike.AuthenticationFailed}))
		}, map[string]any{"refusing_side": "B", "confidence": "certain"}},
		{"auth-failed", near, "identity and a Notify", answered(ike.PayloadIDr, sizeNoChild), nil},
		{"auth-failed", near, "a Notify before a whole answer", answered(ike.PayloadN, 240), nil},
		{"auth-failed", none, "healthy", healthy, nil},

		{"child-sa-refused", hit, "identity first", answered(ike.PayloadIDr, sizeNoChild),
			map[string]any{"refusing_side": "B", "reason": nil, "confidence": "probable", "plaintext_max": sizeNoChild}},
		{"child-sa-refused", hit, "vendor ID first, as IOS XE", answered(ike.PayloadV, 20+sizeNoChild), map[string]any{"refusing_side": "B"}},
		{"child-sa-refused", near, "room for a child SA", answered(ike.PayloadIDr, sizeAnswer), nil},
		{"child-sa-refused", near, "one bare Notify", answered(ike.PayloadN, 8), nil},
		{"child-sa-refused", near, "the child SA was made afterwards", func(s *scene) {
			a := s.sa(0)
			a.open()
			a.auth(ike.PayloadIDr, sizeNoChild)
			a.exchange(ike.CreateChildSA, 0, ike.PayloadSA, 200, ike.PayloadSA, 180)
		}, nil},
		{"child-sa-refused", none, "healthy", healthy, nil},

		{"responder-auth-rejected", hit, "one bare Notify of the initiator", rejects(0, ike.PayloadN, 8),
			map[string]any{"rejecting_side": "A", "confidence": "probable"}},
		{"responder-auth-rejected", near, "of the responder", rejects(1, ike.PayloadN, 8), nil},
		{"responder-auth-rejected", near, "a liveness check", rejects(0, ike.PayloadNone, 0), nil},
		{"responder-auth-rejected", near, "a large notification", rejects(0, ike.PayloadN, 60), nil},
		{"responder-auth-rejected", none, "healthy", healthy, nil},
	}
}
