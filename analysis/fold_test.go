package analysis

import (
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
)

// An initiator that is refused again and again is one finding about all of its attempts.
func TestRepeatedAttemptsAreToldOnce(t *testing.T) {
	s := newScene(t)
	for range 5 {
		a := s.sa(0)
		a.open()
		a.auth(ike.PayloadN, 8)
		s.wait(10 * time.Second)
	}
	r := s.compare()
	sound(t, r)
	found := flatten(t, r).of("auth-failed")
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
	s := newScene(t)
	for i := range 2 {
		a := s.sa(i)
		a.open()
		a.auth(ike.PayloadN, 8)
		s.wait(10 * time.Second)
	}
	for range 3 {
		s.repeat(4, 0, 500, s.sa(0).init(false, proposals(gcm(19))), fate{})
		s.wait(time.Minute)
	}
	s.noise(1)
	r := s.compare()
	sound(t, r)
	found := flatten(t, r)
	if len(found.of("auth-failed")) != 2 {
		t.Errorf("%v", found.of("auth-failed"))
	}
	if silent := found.of("peer-not-answering"); len(silent) != 1 || silent[0]["requests"] != 12.0 {
		t.Errorf("%v", silent)
	}
}
