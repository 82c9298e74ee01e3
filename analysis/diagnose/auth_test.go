package diagnose_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/scene"
)

// answered is a negotiation whose IKE_AUTH answer begins with first and holds size bytes.
func answered(first ike.PayloadType, size int) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.SA(0)
		a.Open()
		a.Auth(first, size)
		s.Wait(time.Second)
	}
}

// childAfterwards: the answer has no room for a child SA; later a side asks for one, and gets it.
func childAfterwards(from int) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.SA(0)
		a.Open()
		a.Auth(ike.PayloadIDr, scene.SizeNoChild)
		a.Exchange(ike.CreateChildSA, from, ike.PayloadSA, 200, ike.PayloadSA, 180)
	}
}

// rejects: the whole IKE_AUTH exchange, then one INFORMATIONAL request of side from.
func rejects(from int, first ike.PayloadType, size int) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.SA(0).Up()
		a.Exchange(ike.Informational, from, first, size, ike.PayloadNone, 0)
		s.Wait(time.Second)
	}
}

// furtherChild asks for a child SA beside the first, by a CREATE_CHILD_SA request without REKEY_SA.
func furtherChild(after time.Duration, size int, answer ike.PayloadType, answerSize int) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.SA(0).Up()
		s.Traffic(3, false)
		s.Wait(after)
		a.Exchange(ike.CreateChildSA, 0, ike.PayloadSA, size, answer, answerSize)
		s.Wait(10 * time.Second)
		a.DPD(1)
	}
}

// byCertificate is a negotiation with certificates.
func byCertificate(s *scene.Scene) *scene.SA {
	a := s.SA(0)
	request := &ike.CertReq{Encoding: 4, Data: make([]byte, 20)}
	s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
	s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19)), request))
	a.Auth(ike.PayloadIDr, 1400)
	return a
}

// askedTwice asks for a child SA beside the first, is refused it, and gets one that it asks for
// later.
func askedTwice(apart time.Duration) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.SA(0).Up()
		s.Traffic(3, false)
		s.Wait(time.Minute)
		a.Exchange(ike.CreateChildSA, 0, ike.PayloadSA, 120, ike.PayloadN, 8)
		s.Wait(apart)
		a.Exchange(ike.CreateChildSA, 0, ike.PayloadSA, 120, ike.PayloadSA, 116)
	}
}

// certified is a negotiation with certificates, after which A's capture goes on for a while without
// a word of either side.
func certified(silence time.Duration) func(*scene.Scene) {
	return func(s *scene.Scene) {
		byCertificate(s)
		if silence > 0 {
			s.Wait(silence)
			s.Noise(0)
		}
	}
}

// goesOn is a negotiation with certificates whose responder tells of its addresses, and what comes
// then.
func goesOn(then func(a *scene.SA)) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := byCertificate(s)
		a.Exchange(ike.Informational, 1, ike.PayloadN, 8, ike.PayloadNone, 0)
		then(a)
		s.Wait(time.Second)
		s.Noise(0)
	}
}

// onRouter is a negotiation, and what A's router then shows of its SA: as READY, and with the
// peer's SPI or another one.
func onRouter(negotiation func(*scene.Scene), peerSPI string) func(*scene.Scene) {
	return func(s *scene.Scene) {
		negotiation(s)
		const message = 14 + 20 + 8 // Ethernet, IPv4, UDP
		answer := s.Rows[0][1].Data[message:]
		if peerSPI == "" {
			peerSPI = fmt.Sprintf("%016X", binary.BigEndian.Uint64(answer[8:]))
		}
		s.Side[0].Config = map[string]string{
			"show-ikev2-sa": "Tunnel-id Local                 Remote                fvrf/ivrf            Status \r\n" +
				"1         192.0.2.1/500         198.51.100.1/500      none/none            READY  \r\n" +
				fmt.Sprintf("      Local spi: %016X       Remote spi: %s\r\n", binary.BigEndian.Uint64(answer), peerSPI),
			"show-crypto-session": fmt.Sprintf("Interface: Tunnel1\r\nSession status: UP-ACTIVE     \r\nPeer: %s port 500 "+
				"fvrf: (none) ivrf: (none)\r\n", s.Addr[1]),
		}
	}
}

// childDeleted has A delete the child SA as soon as it is there.
func childDeleted(s *scene.Scene) {
	s.SA(0).Up().Exchange(ike.Informational, 0, ike.PayloadD, 12, ike.PayloadD, 12)
}

// idle has A's router know of no IPsec SA in the session.
func idle(play func(*scene.Scene)) func(*scene.Scene) {
	return func(s *scene.Scene) {
		play(s)
		shown := s.Side[0].Config
		shown["show-crypto-session"] = strings.Replace(shown["show-crypto-session"], "UP-ACTIVE", "UP-IDLE", 1)
	}
}

var _ = add(authCases)

func authCases() []findingCase {
	return []findingCase{
		{"tunnel-established", hit, "by the size of the answer, and the initiator uses it",
			func(s *scene.Scene) { s.SA(0).Up().DPD(0) },
			map[string]any{"initiator": "A", "version": 2, "port": 500, "confidence": "certain"}},
		{"tunnel-established", hit, "silence, and the initiator's router lists the SA", onRouter(certified(time.Second), ""),
			map[string]any{"initiator": "A", "confidence": "certain"}},
		{"tunnel-established", hit, "the captures end before the initiator shows anything",
			func(s *scene.Scene) { s.SA(0).Up() },
			map[string]any{"initiator": "A", "version": 2, "port": 500, "confidence": "probable"}},
		{"tunnel-established", hit, "the initiator's traffic alone", func(s *scene.Scene) {
			s.SA(1).Up()
			s.ESP(1, 0xb0000001, 1, 100, false)
		}, map[string]any{"initiator": "B", "confidence": "certain"}},
		{"tunnel-established", hit, "an SA older than the captures", func(s *scene.Scene) {
			a := s.SA(1)
			a.ID = [2]uint32{4, 2}
			a.DPD(0)
			a.DPD(1)
		}, map[string]any{"initiator": nil, "confidence": "probable"}},
		{"tunnel-established", hit, "an SA older than the captures that tells of addresses, and traffic",
			func(s *scene.Scene) {
				a := s.SA(0)
				s.Traffic(5, false)
				a.Exchange(ike.Informational, 0, ike.PayloadN, 8, ike.PayloadNone, 0)
				s.Dialogue(10, 100*time.Millisecond, scene.Passes)
			}, map[string]any{"confidence": "probable"}},
		{"tunnel-established", near, "an SA older than the captures that is deleted", func(s *scene.Scene) {
			a := s.SA(0)
			a.Exchange(ike.Informational, 0, ike.PayloadD, 8, ike.PayloadNone, 0)
		}, nil},
		{"tunnel-established", near, "the initiator deletes it before any use", func(s *scene.Scene) {
			a := s.SA(0).Up()
			a.Exchange(ike.Informational, 0, ike.PayloadD, 8, ike.PayloadNone, 0)
		}, nil},
		{"tunnel-established", hit, "B began, behind a NAT",
			func(s *scene.Scene) { s.Seen[0] = scene.NAT; s.SA(1).Up().DPD(0) },
			map[string]any{"initiator": "B", "port": 4500}},
		{"tunnel-established", hit, "the size admits both", answered(ike.PayloadIDr, 140),
			map[string]any{"confidence": "probable"}},
		{"tunnel-established", hit, "the size admits both, and traffic decides", func(s *scene.Scene) {
			answered(ike.PayloadIDr, 140)(s)
			s.Traffic(5, false)
		}, map[string]any{"confidence": "certain"}},
		{"tunnel-established", near, "A asks once more a while after the answer arrived",
			askedOnceMore(2*time.Second, false), nil},
		{"tunnel-established", hit, "A's repetition was under way when the answer arrived",
			askedOnceMore(10*time.Millisecond, false), map[string]any{"initiator": "A"}},
		{"tunnel-established", hit, "A asks once more, and takes the next answer", askedOnceMore(2*time.Second, true),
			map[string]any{"initiator": "A"}},
		{"tunnel-established", near, "the child SA was refused", answered(ike.PayloadIDr, scene.SizeNoChild), nil},
		{"tunnel-established", near, "the answer was lost", func(s *scene.Scene) {
			a := s.SA(0)
			a.Open()
			s.IKE(0, 500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth))
		}, nil},
		{"tunnel-established", near, "every answer was lost, the last after the capture that would hold it",
			func(s *scene.Scene) {
				a := s.SA(0)
				a.Open()
				for i := range 5 {
					f := scene.Fate{}
					if i == 4 {
						f.Hidden = true
					}
					s.IKE(0, 500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth), f)
					s.IKE(1, 500, a.Sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, scene.SizeAnswer), scene.Lost)
					s.Wait(time.Second << i)
				}
			}, nil},
		{"tunnel-established", none, "nobody answers", blockedAtoB, nil},

		{"auth-failed", hit, "one bare Notify", answered(ike.PayloadN, 8),
			map[string]any{"refusing_side": "B", "confidence": "probable", "plaintext_max": 8}},
		{"auth-failed", hit, "in clear", func(s *scene.Scene) {
			a := s.SA(0)
			a.Open()
			s.IKE(0, 500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth))
			s.IKE(1, 500, a.Plain(ike.IKEAuth, 1, 1, true, &ike.Notify{Number: ike.AuthenticationFailed}))
		}, map[string]any{"refusing_side": "B", "confidence": "certain"}},
		{"auth-failed", hit, "one bare Notify may be another", answered(ike.PayloadN, 8),
			map[string]any{"possible_notifies": "[AUTHENTICATION_FAILED NO_PROPOSAL_CHOSEN TS_UNACCEPTABLE INVALID_SYNTAX " +
				"INTERNAL_ADDRESS_FAILURE FAILED_CP_REQUIRED]"}},
		{"auth-failed", near, "identity and a Notify", answered(ike.PayloadIDr, scene.SizeNoChild), nil},
		{"auth-failed", near, "a Notify before a whole answer", answered(ike.PayloadN, 240), nil},
		{"auth-failed", none, "healthy", scene.Healthy, nil},

		{"child-sa-refused", hit, "identity first", answered(ike.PayloadIDr, scene.SizeNoChild),
			map[string]any{"refusing_side": "B", "reason": nil, "confidence": "probable", "plaintext_max": scene.SizeNoChild}},
		{"child-sa-refused", hit, "vendor ID first, as IOS XE", answered(ike.PayloadV, 20+scene.SizeNoChild),
			map[string]any{"refusing_side": "B"}},
		{"child-sa-refused", hit, "the initiator deletes the child at once, and it is answered by its other half",
			childDeleted, map[string]any{"refusing_side": "A", "confidence": "probable"}},
		{"child-sa-refused", hit, "so, and the initiator tells of its addresses on the IKE SA", func(s *scene.Scene) {
			a := s.SA(0).Up()
			a.Exchange(ike.Informational, 0, ike.PayloadD, 12, ike.PayloadD, 12)
			s.Wait(600 * time.Millisecond)
			a.Exchange(ike.Informational, 0, ike.PayloadN, 8, ike.PayloadNone, 0)
		}, map[string]any{"refusing_side": "A", "confidence": "probable"}},
		{"child-sa-refused", near, "so, and another child SA is made", func(s *scene.Scene) {
			a := s.SA(0).Up()
			a.Exchange(ike.Informational, 0, ike.PayloadD, 12, ike.PayloadD, 12)
			a.Exchange(ike.CreateChildSA, 0, ike.PayloadSA, 200, ike.PayloadSA, 180)
		}, nil},
		{"child-sa-refused", hit, "so, and the initiator's router lists the IKE SA, which stays, as READY",
			idle(onRouter(childDeleted, "")), map[string]any{"refusing_side": "A", "confidence": "probable"}},
		{"child-sa-refused", near, "so, and the initiator's router lists other IPsec SAs", onRouter(childDeleted, ""), nil},
		{"child-sa-refused", hit, "a further child SA", furtherChild(time.Minute, 120, ike.PayloadN, 8),
			map[string]any{"refusing_side": "B", "confidence": "probable"}},
		{"child-sa-refused", hit, "a further child SA with a key exchange", furtherChild(time.Second, 230, ike.PayloadN, 8),
			map[string]any{"refusing_side": "B"}},
		{"child-sa-refused", hit, "a further child SA, and a third one is made", askedTwice(2 * time.Second),
			map[string]any{"refusing_side": "B", "severity": "warning", "confidence": "possible"}},
		{"child-sa-refused", near, "a further child SA, made when it is asked for again at once", askedTwice(0), nil},
		{"child-sa-refused", near, "of its size, hours later, it may be a renewal",
			furtherChild(time.Hour, 230, ike.PayloadN, 8), nil},
		{"child-sa-refused", near, "a further child SA with a key exchange, made",
			furtherChild(time.Second, 230, ike.PayloadSA, 210), nil},
		{"child-sa-refused", near, "a further child SA, made", furtherChild(time.Minute, 120, ike.PayloadSA, 116), nil},
		{"child-sa-refused", near, "what may be a rekey of the IKE SA", furtherChild(time.Minute, 156, ike.PayloadN, 8), nil},
		{"child-sa-refused", near, "room for a child SA", answered(ike.PayloadIDr, scene.SizeAnswer), nil},
		{"child-sa-refused", near, "the answer sends the initiator to another gateway", redirectedInAuth, nil},
		{"tunnel-established", near, "no room for a child SA in captures that cut, and liveness", func(s *scene.Scene) {
			s.Snap = [2]int{96, 96}
			answered(ike.PayloadIDr, scene.SizeNoChild)(s)
			s.First().DPD(0)
		}, nil},
		{"child-sa-refused", near, "one bare Notify", answered(ike.PayloadN, 8), nil},
		{"child-sa-refused", hit, "and the IKE SA is renewed all the same", func(s *scene.Scene) {
			a := s.SA(0)
			a.Open()
			a.Auth(ike.PayloadIDr, scene.SizeNoChild)
			s.Wait(time.Minute)
			a.Exchange(ike.CreateChildSA, 0, ike.PayloadSA, 156, ike.PayloadSA, 156)
		}, map[string]any{"refusing_side": "B"}},
		{"child-sa-refused", hit, "a certificate hides whether there is one, and nothing but the IKE SA goes on",
			goesOn(func(a *scene.SA) { a.DPD(0) }),
			map[string]any{"refusing_side": "B", "severity": "warning", "confidence": "possible"}},
		{"child-sa-refused", near, "so, and traffic passes", goesOn(func(a *scene.SA) { a.S.Traffic(5, false) }), nil},
		{"child-sa-refused", near, "so, and the child SA is renewed",
			goesOn(func(a *scene.SA) { a.Exchange(ike.CreateChildSA, 1, ike.PayloadN, 200, ike.PayloadSA, 180) }), nil},
		{"child-sa-refused", near, "the responder makes the child SA afterwards", childAfterwards(1), nil},
		{"child-sa-refused", hit, "the initiator asks for another child SA, which is made", childAfterwards(0),
			map[string]any{"refusing_side": "B", "severity": "warning", "confidence": "probable"}},
		{"child-sa-refused", none, "healthy", scene.Healthy, nil},

		{"responder-auth-rejected", hit, "one bare Notify of the initiator", rejects(0, ike.PayloadN, 8),
			map[string]any{"rejecting_side": "A", "confidence": "probable"}},
		{"responder-auth-rejected", hit, "in a capture alone, and traffic with another peer", func(s *scene.Scene) {
			s.Alone = true
			peer, other := s.Addr[1], netip.MustParseAddr("198.18.0.7")
			s.Addr[1] = other
			s.SA(0).Up()
			s.Addr[1] = peer
			rejects(0, ike.PayloadN, 8)(s)
			s.Addr[1] = other
			s.Traffic(5, false)
		}, map[string]any{"rejecting_side": "A", "confidence": "probable"}},
		{"responder-auth-rejected", hit, "a Delete at once, answered by nothing inside", rejects(0, ike.PayloadD, 8),
			map[string]any{"rejecting_side": "A", "confidence": "probable"}},
		{"responder-auth-rejected", hit, "B began, behind a NAT, and deletes at once", func(s *scene.Scene) {
			s.Seen[0] = scene.NAT
			a := s.SA(1).Up()
			a.Exchange(ike.Informational, 1, ike.PayloadD, 8, ike.PayloadNone, 0)
		}, map[string]any{"rejecting_side": "B", "confidence": "probable"}},
		{"responder-auth-rejected", hit, "a new SPI at once", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Wait(time.Second)
			s.SA(0).Open()
		}, map[string]any{"rejecting_side": "A", "confidence": "probable"}},
		{"responder-auth-rejected", hit, "a new SPI after a while, and nothing of the first was used", func(s *scene.Scene) {
			for range 3 {
				s.SA(0).Up()
				s.Wait(20 * time.Second)
			}
		}, map[string]any{"rejecting_side": "A", "confidence": "possible", "severity": "warning"}},
		{"responder-auth-rejected", hit, "so it is by the responder's capture alone", func(s *scene.Scene) {
			for range 3 {
				s.SA(0).Up()
				s.Wait(20 * time.Second)
			}
			s.OnlyB()
		}, map[string]any{"rejecting_side": "B", "confidence": "possible", "severity": "warning"}},
		{"responder-auth-rejected", near, "by the responder's capture alone: it was asked again", func(s *scene.Scene) {
			a := s.SA(0)
			a.Open()
			for range 2 {
				s.IKE(0, 500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth))
				s.IKE(1, 500, a.Sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, scene.SizeAnswer), scene.Lost)
				s.Wait(2 * time.Second)
			}
			s.Wait(20 * time.Second)
			s.SA(0).Up().DPD(0)
			s.OnlyB()
		}, nil},
		{"responder-auth-rejected", near, "a new SPI after a while, and the first was used", func(s *scene.Scene) {
			for range 3 {
				s.SA(0).Up().DPD(0)
				s.Wait(20 * time.Second)
			}
		}, nil},
		{"responder-auth-rejected", hit, "silence after a certificate", certified(time.Second),
			map[string]any{"rejecting_side": "A", "confidence": "possible", "severity": "warning"}},
		{"responder-auth-rejected", hit, "the initiator's router lists another SA",
			onRouter(certified(time.Second), "00000000000000FF"), map[string]any{"confidence": "possible"}},
		{"responder-auth-rejected", near, "the initiator's router lists the SA as READY",
			onRouter(certified(time.Second), ""), nil},
		{"responder-auth-rejected", hit, "the responder sends ESP, the initiator nothing", func(s *scene.Scene) {
			s.SA(0).Up()
			for i := range uint32(10) {
				s.Wait(200 * time.Millisecond)
				s.ESP(1, 0xb0000001, i+1, 100, false)
			}
		}, map[string]any{"rejecting_side": "A", "confidence": "possible"}},
		{"responder-auth-rejected", near, "a certificate, and the capture ends with it", certified(0), nil},
		{"responder-auth-rejected", near, "a certificate, and the initiator's traffic", func(s *scene.Scene) {
			certified(0)(s)
			s.ESP(0, 0xa0000001, 1, 100, false)
			s.Wait(time.Second)
			s.Noise(0)
		}, nil},
		{"responder-auth-rejected", near, "the Delete of a child SA, answered by its other half", func(s *scene.Scene) {
			a := s.SA(0).Up()
			a.Exchange(ike.Informational, 0, ike.PayloadD, 12, ike.PayloadD, 12)
		}, nil},
		{"responder-auth-rejected", near, "deleted after traffic", func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Traffic(3, false)
			a.Exchange(ike.Informational, 0, ike.PayloadD, 8, ike.PayloadNone, 0)
		}, nil},
		{"responder-auth-rejected", near, "one bare Notify tells of addresses, and traffic follows", func(s *scene.Scene) {
			a := s.SA(0).Up()
			a.Exchange(ike.Informational, 1, ike.PayloadN, 8, ike.PayloadNone, 0)
			a.Exchange(ike.Informational, 0, ike.PayloadN, 8, ike.PayloadNone, 0)
			s.Traffic(5, false)
		}, nil},
		{"responder-auth-rejected", near, "one bare Notify tells of addresses, and a liveness check follows",
			func(s *scene.Scene) {
				a := s.SA(0).Up()
				a.Exchange(ike.Informational, 0, ike.PayloadN, 8, ike.PayloadNone, 0)
				a.DPD(0)
			}, nil},
		{"responder-auth-rejected", hit, "one bare Notify of the initiator, too late to be sure", func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Wait(300 * time.Millisecond)
			a.Exchange(ike.Informational, 0, ike.PayloadN, 8, ike.PayloadNone, 0)
			s.Wait(30 * time.Second)
			s.Noise(0)
			s.Noise(1)
		}, map[string]any{"confidence": "possible", "severity": "warning", "rejecting_side": "A"}},
		{"responder-auth-rejected", near, "one bare Notify behind traffic of the initiator", func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Traffic(5, false)
			a.Exchange(ike.Informational, 0, ike.PayloadN, 8, ike.PayloadNone, 0)
		}, nil},
		{"responder-auth-rejected", near, "one bare Notify behind an answer of the initiator", func(s *scene.Scene) {
			a := s.SA(0).Up()
			a.Exchange(ike.Informational, 1, ike.PayloadN, 8, ike.PayloadNone, 0)
			a.Exchange(ike.Informational, 0, ike.PayloadN, 8, ike.PayloadNone, 0)
		}, nil},
		{"responder-auth-rejected", near, "one bare Notify of an initiator whose router lists the SA as READY",
			onRouter(rejects(0, ike.PayloadN, 8), ""), nil},
		{"responder-auth-rejected", near, "of the responder", rejects(1, ike.PayloadN, 8), nil},
		{"responder-auth-rejected", near, "a liveness check", rejects(0, ike.PayloadNone, 0), nil},
		{"responder-auth-rejected", near, "a large notification", rejects(0, ike.PayloadN, 60), nil},
		{"responder-auth-rejected", none, "healthy", scene.Healthy, nil},
	}
}

// askedOnceMore: A sends its IKE_AUTH request again so long after the answer,
// which B answers again.
func askedOnceMore(after time.Duration, goesOn bool) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.SA(0)
		a.Open()
		a.Auth(ike.PayloadIDr, scene.SizeAnswer)
		s.Wait(after)
		s.IKE(0, 500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth))
		s.IKE(1, 500, a.Sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, scene.SizeAnswer))
		if goesOn {
			a.DPD(0)
		}
	}
}

// Who gives up within EAP took what proves the responder: user and password are to be looked at,
// and not keys and certificates. Behind EAP the proof of both comes again.
func TestGivenUpWithinEAP(t *testing.T) {
	for _, from := range []int{0, 1} {
		for _, alone := range []bool{false, true} {
			for _, within := range []bool{true, false} {
				s := scene.New(t)
				a := s.SA(from)
				a.Open()
				a.Exchange(ike.IKEAuth, from, ike.PayloadIDi, scene.SizeAuth, ike.PayloadIDr, 300)
				a.Exchange(ike.IKEAuth, from, ike.PayloadEAP, 40, ike.PayloadEAP, 60)
				a.Exchange(ike.IKEAuth, from, ike.PayloadEAP, 90, ike.PayloadEAP, 70)
				if !within {
					a.Exchange(ike.IKEAuth, from, ike.PayloadAUTH, 40, ike.PayloadAUTH, scene.SizeAnswer)
				}
				a.Exchange(ike.Informational, from, ike.PayloadN, 8, ike.PayloadNone, 0)
				switch {
				case alone && from == 1:
					s.OnlyB()
				case alone:
					s.Alone = true
				}
				r := s.Compare()
				scene.Sound(t, r)
				text := wording(r, "responder-auth-rejected")
				for _, said := range []string{"password", "show aaa servers"} {
					if text == "" || strings.Contains(text, said) != within {
						t.Errorf("side %d, alone %v, within EAP %v, %q: %s", from, alone, within, said, text)
					}
				}
				for _, said := range []string{"the answer's authentication", "remote key", "pki certificates"} {
					if strings.Contains(text, said) == within {
						t.Errorf("side %d, alone %v, within EAP %v, %q: %s", from, alone, within, said, text)
					}
				}
			}
		}
	}
}
