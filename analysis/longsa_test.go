package analysis_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/scene"
)

// lives are what one IKE SA, or a chain of them, may do for months.
var lives = map[string]func(s *scene.Scene, i int){
	"rekeys of the child SA": func(s *scene.Scene, i int) { long(s, i).RekeyChild(i % 2) },
	"refused child SAs": func(s *scene.Scene, i int) {
		long(s, i).Exchange(ike.CreateChildSA, i%2, ike.PayloadSA, 400, ike.PayloadN, 8)
	},
	"liveness checks": func(s *scene.Scene, i int) { long(s, i).DPD(i % 2) },
	"rekeys of the IKE SA": func(s *scene.Scene, i int) {
		s.Long = long(s, i).Renewed(i % 2)
	},
}

// long is the SA that lives on.
func long(s *scene.Scene, i int) *scene.SA {
	if i == 0 {
		s.Long = s.SA(0).Up()
	}
	s.Wait(time.Second)
	return s.Long
}

// quickModes are those of one ISAKMP SA, each with its Delete and a liveness check.
func quickModes() func(s *scene.Scene, i int) {
	var one *scene.V1
	return func(s *scene.Scene, i int) {
		if i == 0 {
			one = s.V1(0).Phase1()
		}
		one.Quick++
		one.QuickMode(3)
		s.Wait(20 * time.Second)
		for n, size := range []int{64, 80} {
			s.IKE(0, one.Port, one.SealedInfoOf(0, uint32(4*i+2*n+1), size))
			s.IKE(1, one.Port, one.SealedInfoOf(1, uint32(4*i+2*n+2), size))
		}
		s.Wait(20 * time.Second)
	}
}

// What an exchange of one SA costs stays the same when there are more of them.
func BenchmarkOneLongSA(b *testing.B) {
	kinds := map[string]func() func(*scene.Scene, int){"Quick Modes": quickModes}
	for name, live := range lives {
		kinds[name] = func() func(*scene.Scene, int) { return live }
	}
	for name, kind := range kinds {
		for _, exchanges := range []int{500, 8000} {
			b.Run(fmt.Sprintf("%s/%d", name, exchanges), func(b *testing.B) {
				s, live := scene.New(b), kind()
				for i := range exchanges {
					live(s, i)
				}
				sides := s.Sides()
				for b.Loop() {
					if _, err := analysis.Compare(b.Context(), sides[0], &sides[1], analysis.Options{}); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*exchanges), "ns/exchange")
			})
		}
	}
}
