package analysis_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/scene"
)

// What is lost of an attempt was lost also where a later one works, of either version of IKE: the
// ESP of that one is no proof that anything arrived. What a capture hides of an attempt that works
// was not lost, whatever comes up later.
func TestLossBeforeAnAttemptThatWorks(t *testing.T) {
	plays := map[string]struct {
		lost bool
		play func(s *scene.Scene, from int)
	}{
		"answer": {true, func(s *scene.Scene, from int) {
			a := s.SA(from)
			a.Open()
			for range 4 {
				s.IKE(from, 500, a.Sealed(ike.IKEAuth, from, 1, false, ike.PayloadIDi, scene.SizeAuth))
				s.IKE(1-from, 500, a.Sealed(ike.IKEAuth, 1-from, 1, true, ike.PayloadIDr, scene.SizeAnswer), scene.Lost)
				s.Wait(time.Second)
			}
		}},
		"request": {true, func(s *scene.Scene, from int) {
			a := s.SA(from)
			a.Open()
			s.Repeat(4, from, 500, a.Sealed(ike.IKEAuth, from, 1, false, ike.PayloadIDi, scene.SizeAuth), scene.Lost)
		}},
		"hidden answer": {false, func(s *scene.Scene, from int) {
			a := s.SA(from)
			a.Open()
			s.IKE(from, 500, a.Sealed(ike.IKEAuth, from, 1, false, ike.PayloadIDi, scene.SizeAuth))
			s.IKE(1-from, 500, a.Sealed(ike.IKEAuth, 1-from, 1, true, ike.PayloadIDr, scene.SizeAnswer), scene.Lost)
			standing{s: s}.carry(0x500, 1)
		}},
	}
	for name, p := range plays {
		for _, version := range []int{1, 2} {
			for from := range 2 {
				for other := range 2 {
					for _, wait := range []time.Duration{3 * time.Second, 20 * time.Second} {
						t.Run(fmt.Sprintf("%s, then IKEv%d/%d then %d, %v", name, version, from, other, wait), func(t *testing.T) {
							s := scene.New(t)
							p.play(s, from)
							s.Wait(wait)
							stands(s, version, other).carry(0, 1)
							r := s.Compare()
							scene.Sound(t, r)
							found := codes(r)
							if hidden := slices.Contains(found, "capture-filter-incomplete"); hidden == p.lost {
								t.Errorf("%v", found)
							}
							if n := r.Pairs.LostAtoB + r.Pairs.LostBtoA; n > 0 != p.lost {
								t.Errorf("%d lost: %v", n, found)
							}
						})
					}
				}
			}
		}
	}
}
