package diagnose_test

import (
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/diagnose"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/scene"
)

// An initiator that is refused again and again is one finding about all of its attempts.
func TestRepeatedAttemptsAreToldOnce(t *testing.T) {
	s := scene.New(t)
	for range 5 {
		a := s.SA(0)
		a.Open()
		a.Auth(ike.PayloadN, 8)
		s.Wait(10 * time.Second)
	}
	r := s.Compare()
	scene.Sound(t, r)
	found := scene.Flatten(t, r).Of("auth-failed")
	if len(found) != 1 || len(found[0]["further_conversations"].([]any)) != 4 || len(found[0]["evidence"].([]any)) != 10 {
		t.Errorf("%v", found)
	}
	for _, c := range r.Conversations {
		if c.Outcome != "refused" {
			t.Errorf("conversation %s: %s", c.ID, c.Outcome)
		}
	}
}

// Each side's refusal stays a finding of its own, and counts add up.
func TestDifferentThingsStayApart(t *testing.T) {
	s := scene.New(t)
	for i := range 2 {
		a := s.SA(i)
		a.Open()
		a.Auth(ike.PayloadN, 8)
		s.Wait(10 * time.Second)
	}
	for range 3 {
		s.Repeat(4, 0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Fate{})
		s.Wait(time.Minute)
	}
	s.Noise(1)
	r := s.Compare()
	scene.Sound(t, r)
	found := scene.Flatten(t, r)
	if len(found.Of("auth-failed")) != 2 {
		t.Errorf("%v", found.Of("auth-failed"))
	}
	if silent := found.Of("peer-not-answering"); len(silent) != 1 || silent[0]["requests"] != 12.0 {
		t.Errorf("%v", silent)
	}
}

// Of findings that are folded into one, each has its frames told: one with very many leaves room
// for the others, and there are no more than one finding may have.
func TestFoldedFindingsShareTheEvidence(t *testing.T) {
	s := scene.New(t)
	for _, n := range []int{700, 4, 4, 650} {
		m := s.SA(0).Init(false, scene.Proposals(scene.GCM(19)))
		for range n {
			s.IKE(0, 500, m)
		}
		s.Wait(time.Minute)
	}
	s.Noise(1)
	r := s.Compare()
	scene.Sound(t, r)
	of := map[int]string{} // conversations by the frames of their requests
	for _, c := range r.Conversations {
		for _, m := range c.Messages {
			for _, x := range m.Transmissions {
				if x.B != nil {
					of[x.B.Frame] = c.ID
				}
			}
		}
	}
	for _, f := range r.Findings {
		if f.Code != "peer-not-answering" {
			continue
		}
		frames := map[string]int{}
		for _, e := range f.Evidence {
			if e.Side == "B" {
				frames[of[e.Frame]]++
			}
		}
		if len(f.Evidence) > diagnose.MaxEvidence || len(f.Evidence) < diagnose.MaxEvidence*9/10 ||
			frames["2"] != 4 || frames["3"] != 4 || frames["1"] < 100 || frames["4"] < 100 {
			t.Errorf("%d frames, of B by conversations %v", len(f.Evidence), frames)
		}
		return
	}
	t.Error("not told that B answers nothing")
}

// A finding that is about several conversations by itself keeps all of them when it is folded.
func TestFoldedFindingsKeepAllConversations(t *testing.T) {
	s := scene.New(t)
	for range 2 {
		beginsAnew(3, func(a *scene.SA) { a.S.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19)))) })(s)
		s.SA(0).Up()
		s.Wait(time.Minute)
	}
	s.Alone = true
	found := scene.Flatten(t, s.Compare()).Of("retransmissions-exhausted")
	if len(found) != 1 || len(found[0]["further_conversations"].([]any)) != 5 || len(found[0]["evidence"].([]any)) != 6 {
		t.Errorf("%v", found)
	}
}
