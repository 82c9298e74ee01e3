package diagnose_test

import (
	"testing"
	"time"

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
