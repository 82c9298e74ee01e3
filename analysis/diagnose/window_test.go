package diagnose_test

import (
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/scene"
)

// tookOver: A's requests of message IDs 2 to 5 are answered; then another gateway goes on for it,
// with the message ID id and other bytes, as then has it.
func tookOver(x ike.ExchangeType, id uint32, then func(s *scene.Scene, request, answer []byte)) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.SA(0).Up()
		s.Traffic(5, false)
		for range 4 {
			s.Wait(10 * time.Second)
			if x == ike.Informational {
				a.DPD(0)
			} else {
				a.RekeyChild(0)
			}
		}
		s.Wait(time.Minute)
		first, size, answer, answerSize := ike.PayloadNone, 0, ike.PayloadNone, 0
		if x == ike.CreateChildSA {
			first, size, answer, answerSize = ike.PayloadN, 180, ike.PayloadSA, 140
		}
		request := a.Sealed(x, 0, id, false, first, size)
		request[len(request)-1] ^= 0x55
		then(s, request, a.Sealed(x, 1, id, true, answer, answerSize))
		s.Wait(time.Minute)
		s.Noise(0)
		s.Noise(1)
	}
}

// A request with a message ID that was answered before is not answered by what was said then: that
// it is dropped, and why, is told, and no answer counts as ignored. A lost answer, and one that is
// said again, are other things.
func TestARequestBehindTheWindowIsNotAnsweredByAnOldAnswer(t *testing.T) {
	silent := func(s *scene.Scene, request, _ []byte) { s.Repeat(5, 0, 500, request, scene.Fate{}) }
	again := func(s *scene.Scene, request, answer []byte) {
		s.Repeat(3, 0, 500, request, scene.Lost)
		s.IKE(0, 500, request)
		s.IKE(1, 500, answer)
	}
	lost := func(s *scene.Scene, request, answer []byte) {
		for range 5 {
			s.IKE(0, 500, request)
			s.IKE(1, 500, answer, scene.Lost)
			s.Wait(4 * time.Second)
		}
	}
	const told = "had 5 answered before"
	for name, c := range map[string]struct {
		play func(*scene.Scene)
		code string // of a finding that there is
		told bool   // it says that the message ID is an old one
	}{
		"a liveness check":                    {tookOver(ike.Informational, 3, silent), "dpd-timeout", true},
		"the last one":                        {tookOver(ike.Informational, 5, silent), "retransmissions-exhausted", true},
		"a rekey":                             {tookOver(ike.CreateChildSA, 3, silent), "rekey-failed", true},
		"a lost answer":                       {tookOver(ike.Informational, 6, lost), "retransmissions-exhausted", false},
		"nobody answers":                      {tookOver(ike.Informational, 6, silent), "dpd-timeout", false},
		"answered as before, when it arrives": {tookOver(ike.Informational, 5, again), "tunnel-established", false},
	} {
		for view, alone := range map[string]func(*scene.Scene){
			"both": func(*scene.Scene) {}, "A alone": func(s *scene.Scene) { s.Alone = true }, "B alone": (*scene.Scene).OnlyB,
		} {
			s := scene.New(t)
			c.play(s)
			alone(s)
			r := s.Compare()
			scene.Sound(t, r)
			if text := wording(r, c.code); text == "" || strings.Contains(text, told) != c.told {
				t.Errorf("%s, %s: %s: %q", name, view, c.code, text)
			}
			if text := wording(r, "response-ignored"); text != "" {
				t.Errorf("%s, %s: %s", name, view, text)
			}
		}
	}
}

// Gateways that synchronise their message IDs ask with the message ID 0 each time that one takes
// over (RFC 6311, Section 5.1): each request has its own answer.
func TestMessageIDsAreSynchronisedAgain(t *testing.T) {
	for _, answered := range []bool{true, false} {
		s := scene.New(t)
		a := s.SA(0).Up()
		for n := range 2 {
			s.Wait(time.Minute)
			a.DPD(0)
			request := a.Sealed(ike.Informational, 0, 0, false, ike.PayloadN, 20)
			answer := a.Sealed(ike.Informational, 1, 0, true, ike.PayloadN, 20)
			request[len(request)-1], answer[len(answer)-1] = byte(n), byte(n)
			if n == 0 || answered {
				s.IKE(0, 500, request)
				s.IKE(1, 500, answer)
			} else {
				s.Repeat(4, 0, 500, request, scene.Fate{})
			}
		}
		s.Wait(time.Minute)
		s.Noise(0)
		s.Noise(1)
		found := scene.Flatten(t, s.Compare())
		if got := found.Has(map[string]any{"code": "retransmissions-exhausted"}); got == answered ||
			found.Has(map[string]any{"code": "response-ignored"}) {
			t.Errorf("answered %v: %v", answered, found.Codes())
		}
	}
}
