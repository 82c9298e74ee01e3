package facts_test

import (
	"fmt"
	"testing"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/scene"
)

// rekeysInParts are n rekeys by A with as many further key exchanges as each says.
func rekeysInParts(s *scene.Scene, further ...int) {
	a := s.SA(0).Up()
	for _, n := range further {
		a.Exchange(ike.CreateChildSA, 0, ike.PayloadN, 250, ike.PayloadSA, 220)
		for range n {
			a.Exchange(ike.IKEFollowupKE, 0, ike.PayloadKE, 1200, ike.PayloadKE, 1100)
		}
		a.Exchange(ike.CreateChildSA, 1, ike.PayloadN, 250, ike.PayloadSA, 220) // IDs of its own
	}
}

// A rekey is concluded by the last of its own further key exchanges, if it has any.
func TestConcludes(t *testing.T) {
	further := []int{2, 0, 1, 3}
	talk := talkOf(t, func(s *scene.Scene, _ int) { rekeysInParts(s, further...) }, 0)
	asked := talk.RequestsOf(ike.CreateChildSA)
	if len(asked) != 2*len(further) {
		t.Fatalf("%d rekeys, want %d", len(asked), 2*len(further))
	}
	for i, n := range further {
		m, theirs := asked[2*i], asked[2*i+1]
		if got := talk.Concludes(m); got.From != m.From || got.MessageID != m.MessageID+uint32(n) {
			t.Errorf("rekey %d is concluded by message %d of %s, want %d", i, got.MessageID, got.From, m.MessageID+uint32(n))
		}
		if got := talk.Concludes(theirs); got != theirs {
			t.Errorf("the other side's rekey %d is concluded by message %d of %s", i, got.MessageID, got.From)
		}
	}
}

// BenchmarkConcludes tells what one rekey costs, which stays the same when there are more.
func BenchmarkConcludes(b *testing.B) {
	for _, n := range []int{1000, 8000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			further := make([]int, n)
			for i := range further {
				further[i] = i % 2
			}
			talk := talkOf(b, func(s *scene.Scene, _ int) { rekeysInParts(s, further...) }, 0)
			asked := talk.RequestsOf(ike.CreateChildSA)
			for b.Loop() {
				for _, m := range asked {
					talk.Concludes(m)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/rekey")
		})
	}
}
