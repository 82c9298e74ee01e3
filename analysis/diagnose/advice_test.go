package diagnose_test

import (
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/scene"
)

// What is advised is of the version of IKE at hand and brings no deprecated algorithm: Sound looks
// at every line, here of findings whose advice depends on it.
func TestAdviceDoesNoHarm(t *testing.T) {
	for code, play := range map[string]func(*scene.Scene){
		"nat-keepalive-missing": func(s *scene.Scene) {
			s.Seen[0] = scene.NAT
			a := s.V1(0).Phase1()
			a.QuickMode(3)
			s.Wait(2 * time.Minute)
			s.IKE(0, 4500, a.SealedInfo(0))
		},
		"ip-fragments-lost": func(s *scene.Scene) {
			a := s.V1(0)
			a.Main12(scene.SAv1(scene.Modern(14, 1)), scene.SAv1(scene.Modern(14, 1)))
			s.Repeat(3, 0, 500, a.Main3(0), scene.Fate{MTU: 64, Keep: 1})
			s.Wait(time.Second)
			s.Noise(1)
		},
		"wrong-peer-address": func(s *scene.Scene) {
			scene.Known(s)
			elsewhere := scene.Fate{Lost: true, To: scene.NAT}
			first := s.V1(0)
			s.Repeat(3, 0, 500, first.Message(ike.V1MainMode, 0, 0, true, scene.SAv1(scene.Modern(14, 1))), elsewhere)
			s.Noise(1)
		},
		"ke-group-mismatch": func(s *scene.Scene) {
			for range 2 {
				a := s.SA(0)
				s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(2))))
				s.IKE(1, 500, a.Refusal(ike.InvalidKEPayload, 0, 19))
				s.Wait(20 * time.Second)
			}
		},
	} {
		t.Run(code, func(t *testing.T) {
			s := scene.New(t)
			play(s)
			r := s.Compare()
			scene.Sound(t, r)
			if found := scene.Flatten(t, r); len(found.Of(code)) == 0 {
				t.Errorf("no %s among %v", code, found.Codes())
			}
		})
	}
}
