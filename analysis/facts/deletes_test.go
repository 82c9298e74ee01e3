package facts_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/scene"
)

// ofDeletes are conversations of which so many Deletes follow each other, and none is the last word
// by its size: whether one ends the tunnel depends on all that is before it, and behind it.
var ofDeletes = map[string]func(s *scene.Scene, n int){
	"IKEv2": func(s *scene.Scene, n int) {
		a := s.SA(0).Up()
		for range n {
			a.Exchange(ike.CreateChildSA, 0, ike.PayloadSA, 180, ike.PayloadSA, 180)
		}
		for range n {
			a.Exchange(ike.Informational, 0, ike.PayloadD, 8, ike.PayloadNone, 0)
		}
	},
	"IKEv1": func(s *scene.Scene, n int) {
		a := s.V1(0).Phase1()
		a.QuickMode(3)
		for i := range n { // all within a moment
			s.IKE(0, 500, a.SealedInfoOf(0, uint32(i)+0x1000, 64))
			s.Now -= 20*time.Millisecond - time.Microsecond
		}
		a.Quick++
		a.QuickMode(3)
	},
}

// talkOf is the conversation of a scene, by the capture of A.
func talkOf(t testing.TB, play func(*scene.Scene, int), n int) *facts.Talk {
	t.Helper()
	s := scene.New(t)
	play(s, n)
	all := facts.Talks(t.Context(), caseOf(t, s), [2]facts.Config{})
	if len(all) != 1 {
		t.Fatalf("%d conversations", len(all))
	}
	return all[0]
}

func TestManyDeletesAreNoEnd(t *testing.T) {
	if m, _ := talkOf(t, ofDeletes["IKEv1"], 200).Deletion(); m != nil {
		t.Errorf("message %d ends a tunnel that goes on with a Quick Mode", m.MessageID)
	}
}

// BenchmarkDeletes tells what one Delete costs, which stays the same when there are more.
func BenchmarkDeletes(b *testing.B) {
	for name, play := range ofDeletes {
		for _, n := range []int{2000, 16000} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				talk := talkOf(b, play, n)
				for b.Loop() {
					talk.Deletion()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/Delete")
			})
		}
	}
}
