package diagnose_test

import (
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/analysis/scene"
)

// wellV1 is a tunnel of IKEv1 that works: its messages of Main and Quick Mode, six and three, and
// then liveness checks from time to time.
func wellV1(s *scene.Scene, from int) {
	a := s.V1(from).Phase1()
	a.QuickMode(3)
	for i := range uint32(3) {
		s.IKE(0, 500, a.SealedInfoOf(0, 77+10*i, 80))
		s.IKE(1, 500, a.SealedInfoOf(1, 78+10*i, 80))
		s.Wait(5 * time.Second)
	}
}

func wellV1Aggressive(s *scene.Scene, from int) {
	a := s.V1(from)
	a.Aggressive()
	a.QuickMode(3)
	s.Dialogue(10, time.Second, scene.Passes)
}

func wellV2(s *scene.Scene, from int) {
	a := s.SA(from).Up()
	s.Dialogue(3, time.Second, scene.Passes)
	a.RekeyChild(from)
	s.SPI++
	s.Dialogue(3, time.Second, scene.Passes)
}

// A capture that begins in the middle of a negotiation, or holds one direction only, or both, takes
// what is missing for refused, stalled, lost or unanswered nowhere.
func TestAHealthyBeginningThatIsNotWholeIsNoFailure(t *testing.T) {
	both := func(f func([]scene.Record) []scene.Record) func(*scene.Scene) {
		return func(s *scene.Scene) { s.Rows[0], s.Rows[1] = f(s.Rows[0]), f(s.Rows[1]) }
	}
	ways := map[string]func(*scene.Scene){
		"both":                   func(*scene.Scene) {},
		"A alone":                func(s *scene.Scene) { s.Alone = true },
		"B alone":                (*scene.Scene).OnlyB,
		"A alone, what leaves":   func(s *scene.Scene) { s.Rows[0], s.Alone = leaving(s.Rows[0]), true },
		"A alone, what comes in": func(s *scene.Scene) { s.Rows[0], s.Alone = arriving(s.Rows[0]), true },
		"A what leaves, B whole": func(s *scene.Scene) { s.Rows[0] = leaving(s.Rows[0]) },
		"B what comes in":        func(s *scene.Scene) { s.Rows[1] = arriving(s.Rows[1]) },
		"B what leaves":          func(s *scene.Scene) { s.Rows[1] = leaving(s.Rows[1]) },
		"what leaves":            both(leaving),
		"what comes in":          both(arriving),
	}
	for name, play := range map[string]struct {
		play func(*scene.Scene, int)
		// so many packets may be missing: of what is left, something still proves the other direction
		both, oneWay int
	}{"Main Mode": {wellV1, 9, 5}, "Aggressive Mode": {wellV1Aggressive, 6, 1}, "IKEv2": {wellV2, 4, 1}} {
		for way, change := range ways {
			for from := range 2 {
				for side := range 3 { // whose beginning is cut; 2: of both
					most := play.both
					if way != "both" && way != "A alone" && way != "B alone" {
						most = play.oneWay
					}
					for n := range most + 1 {
						s := scene.New(t)
						play.play(s, from)
						for at := range 2 {
							if side == at || side == 2 {
								s.Rows[at] = s.Rows[at][n:]
							}
						}
						change(s)
						r := s.Compare()
						scene.Sound(t, r)
						for _, f := range r.Findings {
							if f.Severity == report.Critical {
								t.Errorf("%s of side %d, %s, %d cut of %d: %s: %s", name, from, way, n, side, f.Code, f.Explanation)
							}
						}
					}
				}
			}
		}
	}
}

// What one side sent before the other one's capture begins was not lost when it went on as only an
// answer lets it, though its own capture does not hold the answers.
func TestARequestThatItsSenderWentOnFromWasNotLost(t *testing.T) {
	for from := range 2 {
		for n := range 8 {
			s := scene.New(t)
			s.SA(from).Up()
			s.Dialogue(10, 100*time.Millisecond, scene.Passes)
			s.Rows[from], s.Rows[1-from] = leaving(s.Rows[from]), s.Rows[1-from][n:]
			for _, f := range s.Compare().Findings {
				if f.Code == "path-blocked" || f.Code == "path-loss" {
					t.Errorf("of side %d, %d cut: %s: %s", from, n, f.Code, f.Explanation)
				}
			}
		}
	}
}

// A Quick Mode that is begun as the SA is deleted is refused by nobody, though the captures do not
// hold how the SA was made.
func TestQuickModeOnADeletedSAIsNotRefused(t *testing.T) {
	for from := range 2 {
		s := scene.New(t)
		a := s.V1(from).Phase1()
		a.QuickMode(3)
		n := [2]int{len(s.Rows[0]), len(s.Rows[1])}
		for i := range uint32(4) {
			s.IKE(0, 500, a.SealedInfoOf(0, 70+4*i, 96))
			s.IKE(1, 500, a.SealedInfoOf(1, 71+4*i, 96))
			s.Wait(2 * time.Second)
		}
		s.IKE(1-from, 500, a.SealedInfoOf(1-from, 100, 80))
		a.Quick++
		a.QuickMode(1)
		s.IKE(1-from, 500, a.SealedInfoOf(1-from, 101, 80))
		s.Rows[0], s.Rows[1] = s.Rows[0][n[0]:], s.Rows[1][n[1]:]
		r := s.Compare()
		found := scene.Flatten(t, r)
		if found.Has(map[string]any{"code": "quick-mode-refused"}) || !found.Has(map[string]any{"code": "sa-deleted"}) {
			t.Errorf("of side %d: %+v, %v", from, r.Verdict, found.Codes())
		}
	}
}
