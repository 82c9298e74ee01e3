package diagnose_test

import (
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/analysis/scene"
)

// Where one capture shows a tunnel that is down beside others that are up, and the other capture
// holds nothing or was not given, the outcome is that of the one that is down, be it known which is
// meant or not.
func TestATunnelThatIsUpSaysNothingOfAnother(t *testing.T) {
	type outcomes map[bool]report.Outcome // by whether the addresses are known
	both := func(o report.Outcome) outcomes { return outcomes{true: o, false: o} }
	for name, c := range map[string]struct {
		play func(*scene.Scene)
		want outcomes
	}{
		"up": {scene.Healthy, both(report.Established)},
		"refused": {func(s *scene.Scene) {
			a := s.SA(0)
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
			s.IKE(1, 500, a.Refusal(ike.NoProposalChosen))
		}, both(report.Failed)},
		"ESP of A alone": {func(s *scene.Scene) { s.Monologue(0, 100, 30, time.Second) }, both(report.Inconclusive)},
		"ESP of B alone": {func(s *scene.Scene) { s.Monologue(1, 100, 30, time.Second) }, both(report.Failed)},
		// towards whom nothing passes, only a known peer tells
		"silence": {func(s *scene.Scene) {
			s.Repeat(4, 0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Lost)
		}, outcomes{true: report.Failed, false: report.Inconclusive}},
		"silence of Main Mode": {func(s *scene.Scene) {
			a := s.V1(0)
			s.Repeat(4, 0, 500, a.Message(ike.V1MainMode, 0, 0, true, scene.SAv1(scene.Modern(14, 1))), scene.Lost)
			s.Wait(time.Minute)
		}, both(report.Failed)},
		"A is silent": {func(s *scene.Scene) {
			s.Repeat(4, 1, 500, s.SA(1).Init(false, scene.Proposals(scene.GCM(19))), scene.Fate{})
		}, both(report.Failed)},
	} {
		for _, first := range []bool{true, false} {
			for known, want := range c.want {
				s := scene.New(t)
				if known {
					scene.Known(s)
				}
				if first {
					s.Spokes()
				}
				c.play(s)
				if !first {
					s.Spokes()
				}
				s.Wait(time.Minute)
				s.Rows[1] = nil
				r := s.Compare()
				scene.Sound(t, r)
				if r.Verdict.Outcome != want {
					t.Errorf("%s, known %v, others first %v: %+v, not %s: %v", name, known, first, r.Verdict, want,
						scene.Flatten(t, r).Codes())
				}
			}
		}
	}
}

// In the only capture, too: what is open or failed with one peer is no success with another one.
func TestATunnelThatIsUpSaysNothingOfAnotherInTheOnlyCapture(t *testing.T) {
	for name, c := range map[string]struct {
		play func(*scene.Scene)
		want report.Outcome
	}{
		"refused": {func(s *scene.Scene) {
			a := s.SA(0)
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
			s.IKE(1, 500, a.Refusal(ike.NoProposalChosen))
		}, report.Failed},
		"silence": {func(s *scene.Scene) {
			s.Repeat(4, 0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Lost)
		}, report.Inconclusive},
		"a scanner": {func(s *scene.Scene) {
			s.IKE(1, 500, s.SA(1).Init(false, scene.Proposals(scene.GCM(19))))
		}, report.Established},
		"a peer that moves to another address": {func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Monologue(0, 1, 5, time.Second)
			s.Addr[1] = scene.NAT
			a.DPD(1)
			s.Monologue(0, 6, 5, time.Second)
			s.Monologue(1, 1, 5, time.Second)
		}, report.Established},
	} {
		s := scene.New(t)
		s.Alone = true
		s.Spokes()
		c.play(s)
		r := s.Compare()
		scene.Sound(t, r)
		if r.Verdict.Outcome != c.want {
			t.Errorf("%s: %+v, %v", name, r.Verdict, scene.Flatten(t, r).Codes())
		}
	}
}
