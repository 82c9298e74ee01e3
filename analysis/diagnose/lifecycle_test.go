package diagnose_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/analysis/scene"
)

var _ = add(lifeCases)

func lifeCases() []findingCase {
	unanswered := func(n int, f scene.Fate) func(*scene.Scene) {
		return func(s *scene.Scene) {
			a := s.SA(0).Up()
			a.DPD(1)
			s.Wait(time.Minute)
			s.Repeat(n, 0, 500, a.Sealed(ike.Informational, 0, a.ID[0], false, ike.PayloadNone, 0), f)
			s.Wait(time.Minute)
			s.Noise(1)
		}
	}
	rekeyAnswer := func(first ike.PayloadType, size int) func(*scene.Scene) {
		return func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Wait(time.Hour)
			a.Exchange(ike.CreateChildSA, 0, ike.PayloadN, 180, first, size)
			s.Wait(10 * time.Second)
			a.DPD(1)
		}
	}
	crossing := func(answer ike.PayloadType, size int) func(*scene.Scene) {
		return func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Wait(time.Hour)
			s.IKE(0, 500, a.Sealed(ike.CreateChildSA, 0, 2, false, ike.PayloadN, 180))
			s.IKE(1, 500, a.Sealed(ike.CreateChildSA, 1, 0, false, ike.PayloadN, 180))
			s.IKE(1, 500, a.Sealed(ike.CreateChildSA, 1, 2, true, answer, size))
			s.IKE(0, 500, a.Sealed(ike.CreateChildSA, 0, 0, true, ike.PayloadSA, 140))
			a.ID = [2]uint32{3, 1}
			a.DPD(0)
		}
	}
	return []findingCase{
		{"dpd-timeout", hit, "five times, and nothing", unanswered(5, scene.Fate{}),
			map[string]any{"side": "B", "requests": 5, "confidence": "certain"}},
		{"dpd-timeout", hit, "the path is gone", unanswered(5, scene.Lost), map[string]any{"side": "B", "requests": 5}},
		{"dpd-timeout", near, "answered at last", func(s *scene.Scene) {
			a := s.SA(0).Up()
			m := a.Sealed(ike.Informational, 0, 2, false, ike.PayloadNone, 0)
			s.Repeat(3, 0, 500, m, scene.Lost)
			s.Wait(4 * time.Second)
			s.IKE(0, 500, m)
			s.IKE(1, 500, a.Sealed(ike.Informational, 1, 2, true, ike.PayloadNone, 0))
		}, nil},
		{"dpd-timeout", hit, "answered when it was given up", thawed(20 * time.Second),
			map[string]any{"side": "B", "requests": 4, "confidence": "certain"}},
		{"path-blocked", near, "answers to all copies of a request at one moment, behind the end of the other capture",
			func(s *scene.Scene) {
				thawed(8 * time.Second)(s)
				for range 3 {
					s.Rows[1] = append(s.Rows[1], s.Rows[1][len(s.Rows[1])-1])
				}
			}, nil},
		{"dpd-timeout", near, "answered before the next one was due", thawed(5 * time.Second), nil},
		{"dpd-timeout", near, "no SA yet", func(s *scene.Scene) {
			s.Repeat(5, 0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Fate{})
		}, nil},
		{"dpd-timeout", hit, "IKEv1: each probe is a message of its own", probesV1(0, true, 3),
			map[string]any{"side": "B", "requests": 3, "confidence": "certain"}},
		{"dpd-timeout", hit, "IKEv1, B asks", probesV1(1, true, 5), map[string]any{"side": "A", "requests": 5}},
		{"dpd-timeout", hit, "IKEv1: two that arrived", probesV1(0, true, 2), map[string]any{"side": "B", "requests": 2,
			"confidence": "probable"}},
		{"dpd-timeout", near, "IKEv1: of two that are unanswered one was lost", probesV1(0, true, 2, scene.Lost), nil},
		{"dpd-timeout", near, "IKEv1: one is too few", probesV1(0, true, 1), nil},
		{"dpd-timeout", near, "IKEv1: what was never answered may be no probe", probesV1(0, false, 5), nil},
		{"dpd-timeout", hit, "the capture of who asked begins late, and it goes on asking",
			askedEarly(ike.Informational, 3), map[string]any{"side": "A"}},
		{"dpd-timeout", none, "healthy", scene.Healthy, nil},

		{"rekey", hit, "a child SA", rekeyAnswer(ike.PayloadSA, 140), map[string]any{"initiator": "A", "count": 1}},
		{"rekey", near, "refused", rekeyAnswer(ike.PayloadN, 8), nil},
		{"rekey", near, "the answers are lost", func(s *scene.Scene) {
			a := s.SA(0).Up()
			for range 4 {
				s.IKE(0, 500, a.Sealed(ike.CreateChildSA, 0, 2, false, ike.PayloadN, 180))
				s.IKE(1, 500, a.Sealed(ike.CreateChildSA, 1, 2, true, ike.PayloadSA, 140), scene.Lost)
				s.Wait(2 * time.Second)
			}
		}, nil},
		{"rekey", near, "a further child SA", furtherChild(time.Minute, 120, ike.PayloadSA, 116), nil},
		{"rekey", near, "the first child SA after a childless beginning", childless, nil},
		{"rekey", none, "healthy", scene.Healthy, nil},

		{"rekey-collision", hit, "crossed", crossing(ike.PayloadSA, 140), map[string]any{"outcome": "both answered"}},
		{"rekey-collision", hit, "one refused", crossing(ike.PayloadN, 8), map[string]any{"outcome": "one refused"}},
		{"rekey-collision", near, "one after the other", func(s *scene.Scene) {
			a := s.SA(0).Up()
			a.RekeyChild(0)
			s.Wait(time.Second)
			a.RekeyChild(1)
		}, nil},
		{"rekey-collision", none, "healthy", scene.Healthy, nil},

		{"rekey-failed", hit, "refused", func(s *scene.Scene) {
			rekeyAnswer(ike.PayloadN, 8)(s)
			s.Wait(time.Minute)
			s.Noise(0)
			s.Noise(1)
		}, map[string]any{"side": "B", "confidence": "certain"}},
		{"rekey-failed", hit, "refused, right before the captures end", rekeyAnswer(ike.PayloadN, 8),
			map[string]any{"side": "B", "confidence": "probable"}},
		{"rekey-failed", hit, "refused, of an SA older than the captures", func(s *scene.Scene) {
			rekeyAnswer(ike.PayloadN, 8)(s)
			s.Rows[0], s.Rows[1] = s.Rows[0][4:], s.Rows[1][4:] // the algorithms are not in them
		}, map[string]any{"side": "B"}},
		{"rekey-failed", near, "a new SA behind a Notify, of an SA older than the captures", func(s *scene.Scene) {
			rekeyAnswer(ike.PayloadN, 150)(s)
			s.Rows[0], s.Rows[1] = s.Rows[0][4:], s.Rows[1][4:]
		}, nil},
		{"rekey-failed", hit, "unanswered", func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Wait(time.Hour)
			s.Repeat(4, 0, 500, a.Sealed(ike.CreateChildSA, 0, 2, false, ike.PayloadN, 180), scene.Fate{})
			s.Wait(time.Minute)
			s.Noise(1)
		}, map[string]any{"side": "B"}},
		{"rekey-failed", hit, "unanswered in the only capture, which ends while it is asked", func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Wait(time.Hour)
			s.Repeat(4, 0, 500, a.Sealed(ike.CreateChildSA, 0, 2, false, ike.PayloadN, 180), scene.Fate{})
			s.Alone = true
		}, map[string]any{"side": "B", "severity": "warning", "confidence": "probable"}},
		{"rekey-failed", hit, "unanswered in the only capture, five times until it ends", func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Wait(time.Hour)
			s.Repeat(5, 0, 500, a.Sealed(ike.CreateChildSA, 0, 2, false, ike.PayloadN, 180), scene.Fate{})
			s.Alone = true
		}, map[string]any{"side": "B", "severity": "critical", "confidence": "probable"}},
		{"rekey-failed", hit, "unanswered in the only capture, and given up", func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Wait(time.Hour)
			s.Repeat(4, 0, 500, a.Sealed(ike.CreateChildSA, 0, 2, false, ike.PayloadN, 180), scene.Fate{})
			s.Wait(time.Minute)
			s.Noise(0)
			s.Alone = true
		}, map[string]any{"side": "B", "severity": "critical", "confidence": "certain"}},
		{"rekey-failed", near, "refused, and done again with success", func(s *scene.Scene) {
			rekeyAnswer(ike.PayloadN, 8)(s)
			a := s.SA(0)
			*a = scene.SA{S: s, I: s.First().I, R: s.First().R, Port: 500, ID: [2]uint32{3, 1}}
			a.RekeyChild(0)
		}, nil},
		{"rekey-failed", hit, "given up, an hour apart", errorsAfterRekeys(slices.Repeat([]time.Duration{time.Hour}, 5)...),
			map[string]any{"side": "A", "confidence": "probable", "severity": "warning"}},
		{"rekey", near, "given up", errorsAfterRekey(1), nil},
		{"rekey-failed", near, "given up, and done again with success", func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Traffic(3, false)
			givesUpRekey(a)
			s.Wait(10 * time.Second)
			a.RekeyChild(0)
		}, nil},
		{"rekey-failed", near, "traffic goes on with the new keys", func(s *scene.Scene) {
			errorsAfterRekey(1)(s)
			s.OnNewSPIs()
		}, nil},
		{"rekey-failed", near, "crossed", crossing(ike.PayloadN, 8), nil},
		{"rekey-failed", hit, "a rekey of the IKE SA", furtherChild(time.Minute, 156, ike.PayloadN, 8),
			map[string]any{"side": "B"}},
		{"rekey-failed", near, "a further child SA is refused", furtherChild(time.Minute, 120, ike.PayloadN, 8), nil},
		{"rekey-failed", hit, "IKE_FOLLOWUP_KE is not answered", followUp(nil), map[string]any{"side": "B"}},
		{"rekey-failed", hit, "IKE_FOLLOWUP_KE is refused", followUp(func(s *scene.Scene, a *scene.SA) {
			s.IKE(1, 500, bare(a, ike.IKEFollowupKE, 1, a.ID[0]))
		}), map[string]any{"side": "B"}},
		{"rekey-failed", near, "IKE_FOLLOWUP_KE is answered", followUp(func(s *scene.Scene, a *scene.SA) {
			s.IKE(1, 500, a.Sealed(ike.IKEFollowupKE, 1, a.ID[0], true, ike.PayloadKE, 1100))
		}), nil},
		{"rekey-failed", near, "the other side has just made new keys", justRenewed(3 * time.Second), nil},
		{"rekey-failed", hit, "the other side made new keys a minute ago", justRenewed(time.Minute),
			map[string]any{"side": "B"}},
		{"rekey-failed", near, "the capture of who asked begins when it was answered", askedEarly(ike.CreateChildSA, 1), nil},
		{"rekey-failed", hit, "the same, and it goes on asking", askedEarly(ike.CreateChildSA, 3),
			map[string]any{"side": "A"}},
		{"rekey-failed", none, "healthy", scene.Healthy, nil},

		{"sa-deleted", hit, "by the last message", func(s *scene.Scene) {
			a := s.SA(0).Up()
			a.DPD(0)
			s.Wait(10 * time.Second)
			a.Exchange(ike.Informational, 1, ike.PayloadD, 8, ike.PayloadNone, 0)
			s.Wait(10 * time.Second)
			s.Noise(0)
		}, map[string]any{"deleting_side": "B"}},
		{"sa-deleted", hit, "in a capture alone, and the tunnel with another peer lives", func(s *scene.Scene) {
			s.Alone = true
			peer, other := s.Addr[1], netip.MustParseAddr("198.18.0.7")
			a := s.SA(0).Up()
			s.Addr[1] = other
			b := s.SA(0).Up()
			s.Addr[1] = peer
			a.Exchange(ike.Informational, 1, ike.PayloadD, 8, ike.PayloadNone, 0)
			s.Addr[1] = other
			s.Wait(10 * time.Second)
			b.DPD(0)
		}, map[string]any{"deleting_side": "B"}},
		{"sa-deleted", near, "in a capture alone, and another SA with the peer lives", func(s *scene.Scene) {
			s.Alone = true
			a := s.SA(0).Up()
			b := s.SA(0).Up()
			a.Exchange(ike.Informational, 1, ike.PayloadD, 8, ike.PayloadNone, 0)
			s.Wait(10 * time.Second)
			b.DPD(0)
		}, nil},
		{"sa-deleted", hit, "the last child SA, and no traffic since", childEnds(1, 0, 20*time.Second),
			map[string]any{"deleting_side": "B", "confidence": "probable"}},
		{"sa-deleted", hit, "the last child SA after a rekey, and no traffic since", childEnds(2, 1, 20*time.Second),
			map[string]any{"deleting_side": "B", "confidence": "probable"}},
		{"sa-deleted", near, "the old child SA after a rekey, and no traffic since", childEnds(1, 1, 20*time.Second), nil},
		{"sa-deleted", hit, "the last child SA, at the captures' end", childEnds(1, 0, time.Second),
			map[string]any{"deleting_side": "B", "confidence": "possible"}},
		{"sa-deleted", near, "the old child SA after a rekey, at the captures' end", childEnds(1, 1, time.Second), nil},
		{"sa-deleted", near, "a child SA", func(s *scene.Scene) {
			a := s.SA(0).Up()
			a.DPD(0)
			a.Exchange(ike.Informational, 1, ike.PayloadD, 12, ike.PayloadD, 12)
			a.DPD(0)
		}, nil},
		{"sa-deleted", near, "the old one after a rekey", func(s *scene.Scene) {
			a := s.SA(0).Up()
			a.Exchange(ike.CreateChildSA, 0, ike.PayloadSA, 180, ike.PayloadSA, 180)
			a.Exchange(ike.Informational, 0, ike.PayloadD, 8, ike.PayloadNone, 0)
			b := s.SA(0)
			b.DPD(0)
			b.DPD(1)
		}, nil},
		{"sa-deleted", hit, "after a rekey of the IKE SA", func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Traffic(3, false)
			a.Exchange(ike.CreateChildSA, 1, ike.PayloadSA, 400, ike.PayloadSA, 400)
			a.Exchange(ike.Informational, 1, ike.PayloadD, 8, ike.PayloadNone, 0)
			s.Wait(time.Second)
			b := s.SA(1)
			b.Exchange(ike.Informational, 1, ike.PayloadD, 8, ike.PayloadNone, 0)
			s.Wait(10 * time.Second)
			s.Noise(0)
		}, map[string]any{"deleting_side": "B"}},
		{"sa-deleted", hit, "a child SA that the initiator does not take", func(s *scene.Scene) {
			a := s.SA(0).Up()
			a.Exchange(ike.Informational, 0, ike.PayloadD, 12, ike.PayloadD, 12)
		}, map[string]any{"deleting_side": "A"}},
		{"sa-deleted", hit, "both at once", func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Traffic(3, false)
			s.IKE(0, 500, a.Sealed(ike.Informational, 0, 2, false, ike.PayloadD, 8))
			s.IKE(1, 500, a.Sealed(ike.Informational, 1, 0, false, ike.PayloadD, 8))
			s.IKE(1, 500, a.Sealed(ike.Informational, 1, 2, true, ike.PayloadNone, 0))
			s.IKE(0, 500, a.Sealed(ike.Informational, 0, 0, true, ike.PayloadNone, 0))
			s.Wait(10 * time.Second)
			s.Noise(0)
		}, map[string]any{"deleting_side": "A"}},
		{"sa-deleted", near, "three within a minute are a flapping", flaps(3), nil},
		{"sa-deleted", none, "healthy", scene.Healthy, nil},
		{"sa-deleted", hit, "in clear", func(s *scene.Scene) {
			a := s.SA(0).Up()
			a.DPD(0)
			s.IKE(1, 500, a.Plain(ike.Informational, 1, 0, false, &ike.Delete{Protocol: ike.ProtocolIKE}))
		}, map[string]any{"deleting_side": "B", "confidence": "certain"}},
		{"sa-deleted", hit, "IKEv1", deletedV1(deleteV1), map[string]any{"deleting_side": "B", "confidence": "probable"}},
		{"sa-deleted", near, "IKEv1: liveness checks", func(s *scene.Scene) {
			scene.HealthyV1(s)
			probesV1(0, true, 0)(s)
		}, nil},
		{"sa-deleted", near, "IKEv1: the old SA after new keys were made", func(s *scene.Scene) {
			a := s.V1(0).Phase1()
			a.QuickMode(3)
			s.Traffic(3, false)
			a.Quick++
			a.QuickMode(3)
			s.IKE(1, 500, a.SealedInfoOf(1, 0x99, deleteV1))
			s.IKE(0, 500, a.SealedInfoOf(0, 0x9a, deleteV1))
			s.Wait(10 * time.Second)
			s.Noise(0)
		}, nil},
		{"sa-deleted", near, "IKEv1: the old SA some time after new keys were made, at the captures' end",
			func(s *scene.Scene) {
				a := s.V1(0).Phase1()
				a.QuickMode(3)
				s.Traffic(3, false)
				a.Quick++
				a.QuickMode(3)
				s.SPI++
				s.Dialogue(40, 100*time.Millisecond, scene.Passes)
				s.IKE(1, 500, a.SealedInfoOf(1, 0x99, deleteV1))
			}, nil},
		{"sa-deleted", hit, "IKEv1: the new SA and the ISAKMP SA, at the captures' end", func(s *scene.Scene) {
			a := s.V1(0).Phase1()
			a.QuickMode(3)
			s.Traffic(3, false)
			a.Quick++
			a.QuickMode(3)
			s.SPI++
			s.Dialogue(40, 100*time.Millisecond, scene.Passes)
			s.IKE(1, 500, a.SealedInfoOf(1, 0x99, deleteV1))
			s.IKE(1, 500, a.SealedInfoOf(1, 0x9a, deleteV1))
		}, map[string]any{"deleting_side": "B"}},

		{"sa-flapping", hit, "three in a minute", flaps(3), map[string]any{"side": "B", "count": 3}},
		{"sa-flapping", hit, "IKEv1, four", flapsV1(4), map[string]any{"side": "B", "count": 4}},
		{"sa-flapping", hit, "an error after every rekey", errorsAfterRekey(3),
			map[string]any{"side": "A", "count": 3, "confidence": "probable", "severity": "critical"}},
		{"sa-flapping", hit, "child SAs, each deleted before the next one is made", childFlaps(4, 15*time.Second),
			map[string]any{"side": "B", "count": 3, "confidence": "probable", "severity": "warning"}},
		{"sa-flapping", hit, "IKEv1: IPsec SAs, each deleted before the next one is made", childFlapsV1(4, true),
			map[string]any{"side": "B", "count": 3, "confidence": "probable", "severity": "warning"}},
		{"sa-flapping", hit, "child SAs, of which one lived for an hour", childFlapsAfter(15*time.Second, 15*time.Second,
			time.Hour, 15*time.Second, 15*time.Second),
			map[string]any{"side": "B", "count": 3, "confidence": "probable", "severity": "warning"}},
		{"sa-flapping", near, "two child SAs", childFlaps(3, 15*time.Second), nil},
		{"sa-flapping", near, "child SAs, in hours", childFlaps(4, time.Hour), nil},
		{"sa-flapping", near, "IKEv1: IPsec SAs, of which the old ones are deleted when new ones are in use",
			childFlapsV1(5, false), nil},
		{"sa-flapping", near, "two", flaps(2), nil},
		{"sa-flapping", near, "two errors after rekeys", errorsAfterRekey(2), nil},
		{"sa-flapping", near, "errors after rekeys, an hour apart",
			errorsAfterRekeys(slices.Repeat([]time.Duration{time.Hour}, 5)...), nil},
		{"sa-flapping", hit, "errors after rekeys, three of five within minutes", errorsAfterRekeys(time.Hour, time.Hour,
			time.Minute, time.Minute, time.Hour), map[string]any{"side": "A", "count": 3}},
		{"sa-flapping", near, "three in hours", func(s *scene.Scene) {
			for range 3 {
				deletedByB(s)
				s.Wait(time.Hour)
			}
		}, nil},
		{"sa-flapping", near, "rekeys of the IKE SA", func(s *scene.Scene) {
			a := s.SA(0).Up()
			for range 4 {
				a.Exchange(ike.CreateChildSA, 0, ike.PayloadSA, 400, ike.PayloadSA, 400)
				a.Exchange(ike.Informational, 0, ike.PayloadD, 8, ike.PayloadNone, 0)
				a = s.SA(0)
			}
			a.DPD(0)
		}, nil},
		{"sa-flapping", none, "healthy", scene.Healthy, nil},
	}
}

// followUp: a rekey whose first exchange succeeds and that asks for another key exchange (RFC
// 9370), which goes on as answer has it, or is not answered.
func followUp(answer func(*scene.Scene, *scene.SA)) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.Working(0)
		a.Exchange(ike.CreateChildSA, 0, ike.PayloadN, 250, ike.PayloadSA, 220)
		m := a.Sealed(ike.IKEFollowupKE, 0, a.ID[0], false, ike.PayloadKE, 1200)
		if answer == nil {
			s.Repeat(5, 0, 500, m, scene.Fate{})
		} else {
			s.IKE(0, 500, m)
			answer(s, a)
		}
		s.Dialogue(20, time.Second, scene.Passes)
	}
}

// justRenewed: B makes new keys, and some time later refuses A's request for some, and then deletes
// the old SA.
func justRenewed(later time.Duration) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.Working(0)
		a.RekeyChild(1)
		s.SPI = 0x100
		s.Dialogue(int(later/time.Second), time.Second, scene.Passes)
		a.Exchange(ike.CreateChildSA, 0, ike.PayloadN, 180, ike.PayloadN, 8)
		a.Exchange(ike.Informational, 1, ike.PayloadD, 12, ike.PayloadD, 12)
		s.GoOn(1+uint32(later/time.Second), 20, time.Second, scene.Passes)
	}
}

// Rekeys that are refused one after the other are one thing to tell.
func TestRefusedRekeysAreToldOnce(t *testing.T) {
	s := scene.New(t)
	a := s.SA(1).Up()
	for range 3 {
		a.Exchange(ike.CreateChildSA, 1, ike.PayloadN, 300, ike.PayloadN, 8)
		s.Wait(time.Second)
	}
	var told []string
	for _, f := range s.Compare().Findings {
		if f.Code == "rekey-failed" {
			told = append(told, f.Explanation)
		}
	}
	if len(told) != 1 || !strings.HasSuffix(told[0], "So it went 3 times.") {
		t.Errorf("%q", told)
	}
}

// askedEarly: B sends a request, A answers each sending of it, and B sends it so often in all; its
// capture begins when the last was answered.
func askedEarly(x ike.ExchangeType, times int) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.SA(0).Up()
		first, inside := ike.PayloadN, 180
		answer, room := ike.PayloadSA, 140
		if x == ike.Informational {
			first, inside, answer, room = ike.PayloadNone, 0, ike.PayloadNone, 0
		}
		for range times {
			s.IKE(1, 500, a.Sealed(x, 1, 0, false, first, inside))
			s.IKE(0, 500, a.Sealed(x, 0, 0, true, answer, room), scene.Lost)
			s.Wait(time.Second)
		}
		s.Rows[1] = nil
		s.Dialogue(30, time.Second, scene.Passes)
	}
}

// A rekey that was refused for the moment would be tried again, if the captures went on.
func TestARefusalAtTheEndMayBeForTheMoment(t *testing.T) {
	for _, later := range []time.Duration{time.Second, time.Minute} {
		s := scene.New(t)
		a := s.SA(0).Up()
		a.Exchange(ike.CreateChildSA, 0, ike.PayloadN, 180, ike.PayloadN, 8)
		s.Wait(later)
		a.DPD(1)
		for _, f := range s.Compare().Findings {
			if f.Code == "rekey-failed" && strings.Contains(f.Explanation, "TEMPORARY_FAILURE") != (later == time.Second) {
				t.Errorf("%s: %s", later, f.Explanation)
			}
		}
	}
}

// childEnds: traffic, so many rekeys of the child SA and so many Deletes of child SAs by B, and
// only liveness checks for some time.
func childEnds(deletes, rekeys int, later time.Duration) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.Working(0)
		for range rekeys {
			a.RekeyChild(0)
			s.SPI += 0x100
			s.Dialogue(5, time.Second, scene.Passes)
		}
		for range deletes {
			a.Exchange(ike.Informational, 1, ike.PayloadD, 12, ike.PayloadD, 12)
		}
		s.Wait(later)
		a.DPD(0)
	}
}

// thawed: A asks four times whether B is there, and it says so a while after the last time.
func thawed(late time.Duration) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.Working(0)
		m := a.Sealed(ike.Informational, 0, a.ID[0], false, ike.PayloadNone, 0)
		for range 4 {
			s.IKE(0, 500, m)
			s.Wait(2 * time.Second)
		}
		s.Wait(late - 2*time.Second)
		s.IKE(1, 500, a.Sealed(ike.Informational, 1, a.ID[0], true, ike.PayloadNone, 0))
	}
}

// childFlaps: so many child SAs that B deletes, each some time before the next one is made.
func childFlaps(n int, later time.Duration) func(*scene.Scene) {
	return childFlapsAfter(slices.Repeat([]time.Duration{later}, n)...)
}

// childFlapsAfter: the same, with such a pause after each.
func childFlapsAfter(pauses ...time.Duration) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.SA(0).Up()
		for i, later := range pauses {
			if i > 0 {
				a.Exchange(ike.CreateChildSA, 0, ike.PayloadSA, 120, ike.PayloadSA, 116)
				s.SPI += 0x100
			}
			s.Dialogue(5, time.Second, scene.Passes)
			a.Exchange(ike.Informational, 1, ike.PayloadD, 12, ike.PayloadD, 12)
			s.Wait(later)
		}
		a.DPD(0)
	}
}

// childFlapsV1: so many IPsec SAs of one ISAKMP SA, of which B deletes each before the next one is
// made, or some time after that.
func childFlapsV1(n int, before bool) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.V1(0).Phase1()
		for i := range uint32(n) {
			a.Quick++
			a.QuickMode(3)
			s.SPI += 0x100
			s.Dialogue(5, time.Second, scene.Passes)
			if before || i > 0 {
				s.IKE(1, 500, a.SealedInfoOf(1, 0x77aa+i, deleteV1))
			}
			if before {
				s.Wait(15 * time.Second)
				continue
			}
			for n := range uint32(15) {
				s.ESP(0, 0xa0000001+s.SPI, 6+n, 100, false)
				s.ESP(1, 0xb0000001+s.SPI, 6+n, 100, false)
				s.Wait(time.Second)
			}
		}
	}
}

// A side that did not answer is no news where a later SA carries the traffic.
func TestADeadPeerMayComeBack(t *testing.T) {
	for _, back := range []bool{false, true} {
		s := scene.New(t)
		a := s.Working(0)
		s.Repeat(5, 0, 500, a.Sealed(ike.Informational, 0, a.ID[0], false, ike.PayloadNone, 0), scene.Fate{})
		s.Wait(10 * time.Second)
		want := report.Failed
		if back {
			want = report.Degraded
			s.SA(0).Up()
			s.OnNewSPIs()
		}
		r := s.Compare()
		if found := scene.Flatten(t, r); !found.Has(map[string]any{"code": "dpd-timeout"}) {
			t.Errorf("no dpd-timeout: %v", found.Codes())
		}
		if r.Verdict.Outcome != want {
			t.Errorf("it comes back %v: %s, want %s", back, r.Verdict.Outcome, want)
		}
	}
}

// childless is a beginning without a child SA (RFC 6023), and then its first one.
func childless(s *scene.Scene) {
	a := s.SA(0)
	s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
	s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19)), scene.Supported(ike.ChildlessIKEv2Supported)))
	s.IKE(0, 500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeNoChild))
	s.IKE(1, 500, a.Sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, scene.SizeNoChild))
	a.ID[0] = 2
	a.Exchange(ike.CreateChildSA, 0, ike.PayloadSA, 200, ike.PayloadSA, 180)
	s.Traffic(3, false)
}

// The lengths of encrypted Informational messages of IKEv1 with SHA2-256 and AES: a liveness check,
// and a Delete.
const (
	probeV1  = 80
	deleteV1 = 64
)

// probesV1: liveness checks of side from, of which the first is answered when so, and n are not.
func probesV1(from int, answered bool, n int, first ...scene.Fate) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.V1(0).Phase1()
		a.QuickMode(3)
		id := uint32(0x100)
		if answered {
			s.IKE(from, 500, a.SealedInfoOf(from, id, probeV1))
			s.IKE(1-from, 500, a.SealedInfoOf(1-from, id+1, probeV1))
		}
		for range n {
			id += 7
			s.Wait(2 * time.Second)
			s.IKE(from, 500, a.SealedInfoOf(from, id, probeV1), first...)
			first = nil
		}
		s.Wait(10 * time.Second)
		s.Noise(0)
		s.Noise(1)
	}
}

// deletedByB is a tunnel that carries traffic and that B deletes after five seconds.
func deletedByB(s *scene.Scene) {
	a := s.SA(0).Up()
	s.Traffic(3, false)
	s.Wait(5 * time.Second)
	a.Exchange(ike.Informational, 1, ike.PayloadD, 8, ike.PayloadNone, 0)
	s.Wait(5 * time.Second)
}

func flaps(n int) func(*scene.Scene) {
	return func(s *scene.Scene) {
		for range n {
			deletedByB(s)
		}
		s.Noise(0)
	}
}

func flapsV1(n int) func(*scene.Scene) {
	return func(s *scene.Scene) {
		for range n {
			a := s.V1(0).Phase1()
			a.QuickMode(3)
			s.Wait(5 * time.Second)
			s.IKE(1, 500, a.SealedInfoOf(1, 0x77ab, deleteV1))
			s.Wait(5 * time.Second)
		}
		s.Noise(0)
	}
}

// Each side is told with what it gave up itself.
func TestBothSidesGiveUp(t *testing.T) {
	s := scene.New(t)
	a := s.SA(0).Up()
	for _, by := range []int{0, 1, 0, 0} {
		s.Wait(10 * time.Second)
		a.RekeyChild(0)
		a.Exchange(ike.Informational, by, ike.PayloadN, 8, ike.PayloadNone, 0)
	}
	text := wording(s.Compare(), "sa-flapping")
	if !strings.Contains(text, "gave up 3 new SAs") || !strings.Contains(text, "did so with 1.") {
		t.Errorf("told: %s", text)
	}
}

// errorsAfterRekey: A makes new keys of the child SA n times, and refuses what came of it each time
// with one bare Notify.
func errorsAfterRekey(n int) func(*scene.Scene) {
	return errorsAfterRekeys(slices.Repeat([]time.Duration{10 * time.Second}, n)...)
}

// errorsAfterRekeys: the same, with such a pause before each.
func errorsAfterRekeys(pauses ...time.Duration) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.SA(0).Up()
		s.Traffic(3, false)
		for _, pause := range pauses {
			s.Wait(pause)
			givesUpRekey(a)
		}
	}
}

// givesUpRekey: A gets new keys and gives them up.
func givesUpRekey(a *scene.SA) {
	a.RekeyChild(0)
	a.Exchange(ike.Informational, 0, ike.PayloadN, 8, ike.PayloadNone, 0)
	a.Exchange(ike.Informational, 0, ike.PayloadD, 12, ike.PayloadD, 12)
}
