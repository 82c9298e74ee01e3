package diagnose_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/scene"
)

var _ = add(otherTunnelFailsCases)

// withAnother plays something of A and another peer at the time of the tunnel, which B's capture
// does not hold.
func withAnother(play func(s *scene.Scene, from func(int) scene.Fate)) func(*scene.Scene) {
	return func(s *scene.Scene) {
		s.Working(0)
		s.Addr[1], s.Now = netip.MustParseAddr("203.0.113.77"), 0
		play(s, func(side int) scene.Fate { return scene.Fate{Lost: side == 0, Hidden: side == 1} })
	}
}

func asksAnother(times int) func(*scene.Scene) {
	return withAnother(func(s *scene.Scene, from func(int) scene.Fate) {
		s.Repeat(times, 0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), from(0))
	})
}

func otherTunnelFailsCases() []findingCase {
	of := func(confidence string) map[string]any {
		return map[string]any{"side": "A", "addresses": []any{"203.0.113.77"}, "confidence": confidence}
	}
	return []findingCase{
		{"other-tunnel-fails", hit, "A asks in vain", asksAnother(4), of("probable")},
		{"other-tunnel-fails", hit, "A is refused", withAnother(func(s *scene.Scene, from func(int) scene.Fate) {
			a := s.SA(0)
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))), from(0))
			s.IKE(1, 500, a.Refusal(ike.NoProposalChosen), from(1))
		}), of("probable")},
		{"other-tunnel-fails", hit, "another asks, and goes no further", withAnother(
			func(s *scene.Scene, from func(int) scene.Fate) {
				a := s.SA(1)
				s.IKE(1, 500, a.Init(false, scene.Proposals(scene.GCM(19))), from(1))
				s.IKE(0, 500, a.Init(true, scene.Proposals(scene.GCM(19))), from(0))
			}), of("possible")},
		{"other-tunnel-fails", hit, "protected traffic that nobody answers", withAnother(
			func(s *scene.Scene, from func(int) scene.Fate) {
				for i := range uint32(10) {
					s.ESP(0, 0xa0000077, 500+i, 100, false, from(0))
					s.Wait(200 * time.Millisecond)
				}
			}), of("possible")},
		{"other-tunnel-fails", near, "the pair is named", func(s *scene.Scene) { scene.Known(s); asksAnother(4)(s) }, nil},
		{"other-tunnel-fails", near, "another asks, and A says nothing", withAnother(
			func(s *scene.Scene, from func(int) scene.Fate) {
				s.Repeat(4, 1, 500, s.SA(1).Init(false, scene.Proposals(scene.GCM(19))), from(1))
			}), nil},
		{"other-tunnel-fails", near, "it comes up", func(s *scene.Scene) { s.Working(0); s.Spokes() }, nil},
		{"other-tunnel-fails", none, "healthy", scene.Healthy, nil},
	}
}

// What comes back from there was not dropped on the way, and the mapping that nothing went to lost
// nothing.
func TestWordsClaimNoMoreThanIsSeen(t *testing.T) {
	refused := withAnother(func(s *scene.Scene, from func(int) scene.Fate) {
		a := s.SA(0)
		s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))), from(0))
		s.IKE(1, 500, a.Refusal(ike.NoProposalChosen), from(1))
	})
	for name, c := range map[string]struct {
		play            func(*scene.Scene)
		code            string
		says, mustNotBe string
	}{
		"another tunnel, in vain": {asksAnother(4), "other-tunnel-fails", "the path drops it", "diagnose error"},
		"another tunnel, refused": {refused, "other-tunnel-fails", "show crypto ikev2 diagnose error",
			"the path drops it"},
		"the first child SA": {answered(ike.PayloadIDr, scene.SizeNoChild), "child-sa-refused",
			"traffic selectors differ", "PFS"},
		"a further child SA": {furtherChild(time.Minute, 120, ike.PayloadN, 8),
			"child-sa-refused", "PFS", "%!"},
		"nothing to the old mapping": {mappingMoves, "nat-mapping-changed", "198.51.100.1:31001.", "no longer arrive"},
		"loss behind the capture": {grew(0, "show-interface-policy", "class-default", 3, 5, lossyStart), "path-loss",
			"did not arrive", "lost between them"},
		"loss on the path": {lossyStart, "path-loss", "lost between them", "did not arrive"},
		"child SAs that are given up": {errorsAfterRekey(3), "sa-flapping", "New SAs are given up again and again",
			"made and deleted"},
	} {
		s := scene.New(t)
		c.play(s)
		r := s.Compare()
		scene.Sound(t, r)
		if text := wording(r, c.code); !strings.Contains(text, c.says) || strings.Contains(text, c.mustNotBe) {
			t.Errorf("%s: %s", name, text)
		}
	}
}
