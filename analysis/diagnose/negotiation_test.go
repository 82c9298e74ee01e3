package diagnose_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/scene"
)

// refusedOffer: A offers, B refuses in clear.
func refusedOffer(s *scene.Scene, offer ...[]ike.Transform) {
	a := s.SA(0)
	s.IKE(0, 500, a.Init(false, scene.Proposals(offer...)))
	s.IKE(1, 500, a.Refusal(ike.NoProposalChosen))
	s.Wait(time.Second)
}

// counterOffer: B initiates with an offer of its own, and A refuses or does not answer.
func counterOffer(s *scene.Scene, offer ...[]ike.Transform) {
	b := s.SA(1)
	s.IKE(1, 500, b.Init(false, scene.Proposals(offer...)))
	s.IKE(0, 500, b.Refusal(ike.NoProposalChosen))
	s.Wait(time.Second)
}

// hybrid adds methods of additional key exchange, as alternatives of the first round, to a
// proposal; 0 is NONE.
func hybrid(proposal []ike.Transform, methods ...uint16) []ike.Transform {
	for _, id := range methods {
		proposal = append(proposal, ike.Transform{Type: ike.TransformADDKE1, ID: id})
	}
	return proposal
}

// upgraded: B runs a release of IOS XE and refuses what A offers.
func upgraded(release string, offer []ike.Transform) func(*scene.Scene) {
	return func(s *scene.Scene) {
		s.Side[1].Config = map[string]string{"show-version": scene.Lines("Cisco IOS XE Software, Version "+release,
			"Cisco IOS Software [Dublin], Virtual XE Software (X86_64_LINUX_IOSD-UNIVERSALK9-M), Version "+release+
				", RELEASE SOFTWARE (fc2)",
			"site-b uptime is 1 hour, 2 minutes")}
		refusedOffer(s, offer)
	}
}

// groupRefused: B wants group 19, and A offers the groups given, one a round.
func groupRefused(groups ...uint16) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.SA(0)
		for _, g := range groups {
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(g))))
			if g == 19 {
				s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19))))
				a.Auth(ike.PayloadIDr, scene.SizeAnswer)
				return
			}
			s.IKE(1, 500, a.Refusal(ike.InvalidKEPayload, 0, 19))
			s.Wait(time.Second)
		}
	}
}

// groupPending: B wants the second of the groups that A offers, and then what comes after that.
func groupPending(after func(*scene.Scene)) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.SA(0)
		both := scene.GCM(19)
		both = append(both, ike.Transform{Type: ike.TransformKE, ID: 14})
		s.IKE(0, 500, a.Init(false, scene.Proposals(both)))
		s.IKE(1, 500, a.Refusal(ike.InvalidKEPayload, 0, 19))
		if after != nil {
			after(s)
		}
	}
}

// withoutRequest: B wants another group than that of a request which neither capture holds, and
// then what comes after that.
func withoutRequest(after func(*scene.Scene)) func(*scene.Scene) {
	return func(s *scene.Scene) {
		s.IKE(1, 500, s.SA(0).Refusal(ike.InvalidKEPayload, 0, 19))
		if after != nil {
			after(s)
		}
	}
}

// groupUnanswered: A comes again with the group that B wants, and B is silent.
func groupUnanswered(s *scene.Scene) {
	a := s.SA(0)
	s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(14))))
	s.IKE(1, 500, a.Refusal(ike.InvalidKEPayload, 0, 19))
	s.Repeat(4, 0, 500, a.Init(false, scene.Proposals(scene.GCM(19))), scene.Fate{})
	s.Wait(time.Minute)
	s.Noise(1)
}

// newSPI: A begins anew with the group that B wants, after a while and under a new SPI.
func newSPI(after time.Duration) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.SA(0)
		s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(14))))
		s.IKE(1, 500, a.Refusal(ike.InvalidKEPayload, 0, 19))
		s.Wait(after)
		s.SA(0).Up().DPD(0)
	}
}

func cookie(answered bool) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.SA(0)
		s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
		s.IKE(1, 500, a.Refusal(ike.Cookie, 1, 2, 3, 4, 5, 6, 7, 8))
		if !answered {
			return
		}
		s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19)),
			&ike.Notify{Number: ike.Cookie, Data: []byte{1, 2, 3, 4, 5, 6, 7, 8}}))
		s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19))))
		a.Auth(ike.PayloadIDr, scene.SizeAnswer)
	}
}

// ownCookies: B asks for a cookie n times, each time for another one, as responders with secrets of
// their own do behind one address.
func ownCookies(n int) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.SA(0)
		a.R = 0
		var more []ike.Payload
		for i := range n {
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19)), more...))
			data := []byte{byte(i + 1), 2, 3, 4, 5, 6, 7, 8}
			s.IKE(1, 500, a.Refusal(ike.Cookie, data...))
			more = []ike.Payload{&ike.Notify{Number: ike.Cookie, Data: data}}
		}
		s.Wait(5 * time.Second)
		s.Noise(0)
		s.Noise(1)
	}
}

// halfOpen is n attempts with ever new SPIs.
func halfOpen(n int, answered bool) func(*scene.Scene) {
	return func(s *scene.Scene) {
		for range n {
			if a := s.SA(0); answered {
				a.Up()
			} else {
				s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
				s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19))))
			}
			s.Wait(100 * time.Millisecond)
		}
	}
}

// redirectedInside: B's IKE_AUTH response redirects A, which asks elsewhere and
// says whence it comes.
func redirectedInside(s *scene.Scene) {
	a := s.SA(0)
	a.Open()
	s.IKE(0, 500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth))
	s.IKE(1, 500, a.Sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, scene.SizeAnswer))
	from := &ike.Notify{Number: ike.RedirectedFrom, Data: []byte{1, 4, 192, 168, 2, 1}}
	s.Repeat(4, 0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19)), from),
		scene.Fate{Lost: true, To: netip.MustParseAddr("203.0.113.9")})
}

func weakSuite(encr, prf, integ, group uint16) []ike.Transform {
	return []ike.Transform{{Type: ike.TransformENCR, ID: encr}, {Type: ike.TransformPRF, ID: prf},
		{Type: ike.TransformINTEG, ID: integ},
		{Type: ike.TransformKE, ID: group}}
}

func chosen(offer *ike.SA, choice []ike.Transform) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.SA(0)
		s.IKE(0, 500, a.Init(false, offer))
		s.IKE(1, 500, a.Init(true, scene.Proposals(choice)))
		a.Auth(ike.PayloadIDr, scene.SizeAnswer)
	}
}

func intermediate(done bool) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.SA(0)
		hybrid := append(scene.GCM(19), ike.Transform{Type: ike.TransformADDKE1, ID: 36})
		s.IKE(0, 500, a.Init(false, scene.Proposals(hybrid), scene.Supported(ike.IntermediateSupported)))
		s.IKE(1, 500, a.Init(true, scene.Proposals(hybrid), scene.Supported(ike.IntermediateSupported)))
		s.IKE(0, 500, a.Sealed(ike.IKEIntermediate, 0, 1, false, ike.PayloadKE, 1192))
		if done {
			s.IKE(1, 500, a.Sealed(ike.IKEIntermediate, 1, 1, true, ike.PayloadKE, 1096))
		}
	}
}

func versions(second func(*scene.Scene)) func(*scene.Scene) {
	return func(s *scene.Scene) {
		s.Repeat(3, 0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Fate{})
		second(s)
	}
}

var _ = add(negotiationCases)

func negotiationCases() []findingCase {
	mainMode := func(s *scene.Scene) {
		b := s.V1(1)
		s.Repeat(3, 1, 500, b.Message(ike.V1MainMode, 1, 0, true, scene.SAv1(scene.Modern(14, 1))), scene.Fate{})
	}
	return []findingCase{
		{"ike-proposal-mismatch", hit, "nothing is known of B", func(s *scene.Scene) { refusedOffer(s, scene.CBC(128, 14)) },
			map[string]any{"refusing_side": "B", "mismatch": "unproven", "confidence": "certain", "suggestion": nil}},
		{"ike-proposal-mismatch", hit, "B's own offer differs",
			func(s *scene.Scene) { refusedOffer(s, scene.CBC(128, 14)); counterOffer(s, scene.GCM(19)) },
			map[string]any{"refusing_side": "B", "mismatch": "proven"}},
		{"ike-proposal-mismatch", hit, "B's own offer is the same",
			func(s *scene.Scene) { refusedOffer(s, scene.GCM(19)); counterOffer(s, scene.GCM(19)) },
			map[string]any{"refusing_side": "B", "mismatch": "excluded"}},
		{"ike-proposal-mismatch", hit, "B's configuration differs", func(s *scene.Scene) {
			s.Side[1].Config = map[string]string{"show-ikev2-proposal": " IKEv2 proposal: P1\n     Encryption : AES-CBC-256\n " +
				"    Integrity  : SHA256\n     PRF        : SHA256\n     DH Group   : DH_GROUP_256_ECP/Group 19\n"}
			refusedOffer(s, scene.CBC(128, 14))
		}, map[string]any{"mismatch": "proven",
			"accepted_by_refuser": "[ENCR_AES_CBC_256 + AUTH_HMAC_SHA2_256_128 + PRF_HMAC_SHA2_256 + group 19]"}},
		{"ike-proposal-mismatch", hit, "A requires ML-KEM, B has none: its type is NONE", func(s *scene.Scene) {
			refusedOffer(s, hybrid(scene.GCM(19), 36))
			counterOffer(s, scene.GCM(19))
		}, map[string]any{"refusing_side": "B", "mismatch": "proven", "differs": "[ADDKE1]"}},
		{"ike-proposal-mismatch", hit, "A would do without ML-KEM", func(s *scene.Scene) {
			refusedOffer(s, hybrid(scene.GCM(19), 36, 0))
			counterOffer(s, scene.GCM(19))
		}, map[string]any{"refusing_side": "B", "mismatch": "excluded"}},
		{"ike-proposal-mismatch", hit, "one method for two rounds", func(s *scene.Scene) {
			two := append(hybrid(scene.GCM(19), 36), ike.Transform{Type: ike.TransformADDKE1 + 1, ID: 36})
			refusedOffer(s, two)
			counterOffer(s, two)
		}, map[string]any{"refusing_side": "B", "mismatch": "proven", "differs": "[ADDKE2]"}},
		{"ike-proposal-mismatch", hit, "two methods for two rounds", func(s *scene.Scene) {
			two := append(hybrid(scene.GCM(19), 36, 37), ike.Transform{Type: ike.TransformADDKE1 + 1, ID: 36})
			refusedOffer(s, two)
			counterOffer(s, two)
		}, map[string]any{"refusing_side": "B", "mismatch": "excluded"}},
		{"ike-proposal-mismatch", hit, "B's configuration has another ML-KEM", func(s *scene.Scene) {
			s.Side[1].Config = map[string]string{"show-ikev2-proposal": scene.Lines(" IKEv2 proposal: P1",
				"     Encryption : AES-CBC-256", "     Integrity  : SHA512",
				"     PRF        : SHA512", "     DH Group   : DH_GROUP_521_ECP/Group 21",
				"     PQC Key Exchange: ML-KEM-1024 ML-KEM-512")}
			refusedOffer(s, hybrid(scene.CBC(256, 21), 36))
		}, map[string]any{"mismatch": "proven", "suggestion": "[crypto ikev2 proposal MONCAP-SUGGESTION  encryption " +
			"aes-cbc-256  integrity sha512  prf sha512  group 21  pqc mlkem1024 mlkem512 crypto ikev2 policy " +
			"MONCAP-SUGGESTION  proposal MONCAP-SUGGESTION]"}},
		{"ike-proposal-mismatch", hit, "A is weak: it is told what B has", func(s *scene.Scene) {
			refusedOffer(s, weakSuite(3, 1, 1, 2))
			counterOffer(s, scene.CBC(256, 20))
		}, map[string]any{"refusing_side": "A", "suggestion": "[crypto ikev2 proposal MONCAP-SUGGESTION  encryption " +
			"aes-cbc-256  integrity sha256  prf sha256  group 20 crypto ikev2 policy MONCAP-SUGGESTION  proposal " +
			"MONCAP-SUGGESTION]"}},
		{"ike-proposal-mismatch", hit, "both are weak: neither is told the other's", func(s *scene.Scene) {
			refusedOffer(s, weakSuite(3, 1, 1, 2))
			counterOffer(s, weakSuite(3, 2, 2, 5))
		}, map[string]any{"refusing_side": "A", "mismatch": "proven", "suggestion": nil}},
		{"ike-proposal-mismatch", near, "a later attempt succeeds",
			func(s *scene.Scene) { refusedOffer(s, scene.CBC(128, 14)); scene.Healthy(s) }, nil},
		{"ike-proposal-mismatch", none, "healthy", scene.Healthy, nil},
		{"ike-proposal-mismatch", hit, "IKEv1", func(s *scene.Scene) {
			a := s.V1(0)
			for range 3 {
				s.IKE(0, 500, a.Message(ike.V1MainMode, 0, 0, true, scene.SAv1(scene.Modern(14, 1))))
				s.IKE(1, 500, a.Info(1, 14))
				s.Wait(time.Second)
			}
		}, map[string]any{"refusing_side": "B"}},

		{"upgrade-refuses-weak", hit, "B was upgraded, A has 3DES", upgraded("17.12.03", weakSuite(3, 2, 2, 14)),
			map[string]any{"side": "B", "version": "17.12.3", "refused": "[ENCR_3DES]"}},
		{"upgrade-refuses-weak", hit, "group 5", upgraded("26.1.1", scene.CBC(256, 5)),
			map[string]any{"side": "B", "refused": "[group 5]"}},
		{"upgrade-refuses-weak", near, "a release before", upgraded("17.9.04a", weakSuite(3, 2, 2, 14)), nil},
		{"upgrade-refuses-weak", near, "a group beside that it takes",
			upgraded("17.12.03", append(scene.CBC(256, 5), ike.Transform{Type: ike.TransformKE, ID: 14})), nil},
		{"upgrade-refuses-weak", near, "it came up all the same", func(s *scene.Scene) {
			upgraded("17.12.03", weakSuite(3, 2, 2, 14))(s)
			scene.Healthy(s)
		}, nil},
		{"upgrade-refuses-weak", none, "healthy", scene.Healthy, nil},

		{"ke-group-mismatch", hit, "A insists", groupRefused(14, 14, 14),
			map[string]any{"refusing_side": "B", "offered_group": 14, "wanted_group": 19}},
		{"ke-group-mismatch", hit, "A does not have the group, and nothing follows", groupRefused(14),
			map[string]any{"refusing_side": "B", "wanted_group": 19, "unusable_at": nil}},
		{"ke-group-mismatch", near, "A has the group, and the captures end before its retry", groupPending(nil), nil},
		{"ke-group-mismatch", hit, "A has the group, and the captures go on without a retry",
			groupPending(func(s *scene.Scene) {
				s.Wait(10 * time.Second)
				s.Noise(0)
				s.Noise(1)
			}), map[string]any{"offered_group": 14, "wanted_group": 19}},
		{"ke-group-mismatch", near, "A yields", groupRefused(14, 19), nil},
		{"ke-group-mismatch", near, "the request is from before the captures, and a later attempt came up",
			withoutRequest(func(s *scene.Scene) { s.Wait(5 * time.Second); scene.Healthy(s) }), nil},
		{"ke-group-mismatch", near, "the request is from before the captures, and they end before the next",
			withoutRequest(nil), nil},
		{"ke-group-mismatch", hit, "the request is from before the captures, and nothing follows",
			withoutRequest(func(s *scene.Scene) { s.Wait(10 * time.Second); s.Noise(0); s.Noise(1) }),
			map[string]any{"wanted_group": 19, "offered_group": nil}},
		{"ke-group-mismatch", hit, "the very group that A used", func(s *scene.Scene) {
			a := s.SA(0)
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(31))))
			s.IKE(1, 500, a.Refusal(ike.InvalidKEPayload, 0, 31))
			s.Wait(time.Second)
		}, map[string]any{"refusing_side": "B", "unusable_at": "B"}},
		{"ke-group-mismatch", hit, "A insists, nobody's group is unusable", groupRefused(14, 14),
			map[string]any{"unusable_at": nil}},
		{"ke-group-mismatch", near, "the retry with the wanted group stays unanswered", groupUnanswered, nil},
		{"ke-group-mismatch", none, "healthy", scene.Healthy, nil},

		{"ke-group-retry", hit, "one round", groupRefused(14, 19), map[string]any{"offered_group": 14, "wanted_group": 19}},
		{"ke-group-retry", hit, "A begins anew with it, under a new SPI", newSPI(2 * time.Second),
			map[string]any{"offered_group": 14, "wanted_group": 19}},
		{"ke-group-retry", near, "another negotiation a minute later", newSPI(time.Minute), nil},
		{"ke-group-retry", hit, "the refusal comes twice, and the request", func(s *scene.Scene) {
			a := s.SA(0)
			m := a.Init(false, scene.Proposals(scene.GCM(14)))
			for range 3 {
				s.IKE(0, 500, m)
				s.IKE(1, 500, a.Refusal(ike.InvalidKEPayload, 0, 19))
				s.Wait(500 * time.Millisecond)
			}
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
			s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19))))
			a.Auth(ike.PayloadIDr, scene.SizeAnswer)
		}, map[string]any{"offered_group": 14, "wanted_group": 19}},
		{"ke-group-retry", near, "A insists", groupRefused(14, 14), nil},
		{"ke-group-retry", none, "healthy", scene.Healthy, nil},

		{"cookie-challenge", hit, "answered", cookie(true), map[string]any{"challenging_side": "B"}},
		{"cookie-challenge", near, "not answered", cookie(false), nil},
		{"cookie-challenge", none, "healthy", scene.Healthy, nil},

		{"version-mismatch", hit, "INVALID_MAJOR_VERSION", func(s *scene.Scene) {
			a := s.SA(0)
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
			s.IKE(1, 500, a.Refusal(ike.InvalidMajorVersion))
		}, map[string]any{"side_a_version": 2, "side_b_version": 1, "confidence": "certain"}},
		{"version-mismatch", hit, "INVALID-MAJOR-VERSION of IKEv1 for an IKEv2 request", func(s *scene.Scene) {
			a := s.V1(0)
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
			s.IKE(1, 500, a.Info(1, 5))
		}, map[string]any{"side_a_version": 2, "side_b_version": 1, "confidence": "certain"}},
		{"version-mismatch", hit, "IKEv1 unanswered by a side that was heard to speak IKEv2 only", func(s *scene.Scene) {
			old, a := s.SA(1), s.V1(0)
			s.IKE(1, 500, old.Sealed(ike.Informational, 1, 7, false, ike.PayloadNone, 0))
			s.Repeat(3, 0, 500, a.Message(ike.V1MainMode, 0, 0, true, scene.SAv1(scene.Modern(14, 1))), scene.Fate{})
		}, map[string]any{"side_a_version": 1, "side_b_version": 2, "confidence": "probable"}},
		{"version-mismatch", hit, "IKEv2 refuses, of a request that was not captured", func(s *scene.Scene) {
			s.IKE(1, 500, s.SA(0).Refusal(ike.InvalidMajorVersion))
		}, map[string]any{"side_a_version": nil, "side_b_version": nil, "confidence": "possible", "severity": "warning"}},
		{"version-mismatch", hit, "IKEv1 refuses, of a request that was not captured", func(s *scene.Scene) {
			s.IKE(0, 500, s.V1(1).Info(0, 5))
		}, map[string]any{"side_a_version": nil, "side_b_version": nil, "confidence": "possible", "severity": "warning"}},
		{"version-mismatch", hit, "a refusal of no negotiation's SPI", func(s *scene.Scene) {
			a := s.V1(0)
			a.I, a.R = 0, 0
			s.IKE(1, 500, a.Info(1, 5))
		}, map[string]any{"side_a_version": nil, "side_b_version": nil, "confidence": "possible", "severity": "warning"}},
		{"version-mismatch", near, "refused once, and then up", func(s *scene.Scene) {
			a := s.SA(0)
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
			s.IKE(1, 500, a.Refusal(ike.InvalidMajorVersion))
			s.SA(0).Up()
		}, nil},
		{"version-mismatch", hit, "each begins its own", versions(mainMode),
			map[string]any{"side_a_version": 2, "side_b_version": 1, "confidence": "certain"}},
		{"version-mismatch", near, "both versions, and one comes up", func(s *scene.Scene) { mainMode(s); scene.Healthy(s) },
			nil},
		{"version-mismatch", near, "both speak IKEv2", blockedAtoB, nil},
		{"version-mismatch", none, "healthy", scene.Healthy, nil},

		{"redirected", hit, "to an address", func(s *scene.Scene) {
			a := s.SA(0)
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19)), &ike.Notify{Number: 16406}))
			s.IKE(1, 500, a.Refusal(ike.Redirect, 1, 4, 203, 0, 113, 9))
		}, map[string]any{"to": "203.0.113.9"}},
		{"redirected", hit, "with a nonce behind", func(s *scene.Scene) {
			a := s.SA(0)
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19)), &ike.Notify{Number: 16406}))
			s.IKE(1, 500, a.Refusal(ike.Redirect, 1, 4, 203, 0, 113, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16))
		}, map[string]any{"to": "203.0.113.9"}},
		{"redirected", hit, "inside, and told where it goes", redirectedInside, map[string]any{"to": "203.0.113.9"}},
		{"redirected", hit, "in IKE_AUTH", redirectedInAuth, map[string]any{"to": "198.51.100.9"}},
		{"redirected", near, "only supported", func(s *scene.Scene) {
			a := s.SA(0)
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19)), &ike.Notify{Number: 16406}))
			s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19))))
		}, nil},
		{"redirected", none, "healthy", scene.Healthy, nil},

		{"selection-not-offered", hit, "another key length", chosen(scene.Proposals(scene.CBC(256, 14)), scene.CBC(128, 14)),
			map[string]any{"refusing_side": "A", "transform": "ENCR_AES_CBC_128"}},
		{"selection-not-offered", near, "the captures cut the offer short", func(s *scene.Scene) {
			s.Snap = [2]int{128, 128}
			chosen(scene.Proposals(scene.CBC(256, 20), scene.CBC(192, 19), scene.CBC(128, 14)), scene.CBC(128, 14))(s)
		}, nil},
		{"selection-not-offered", near, "one of two", chosen(scene.Proposals(scene.CBC(256, 14), scene.CBC(128, 14)),
			scene.CBC(128, 14)), nil},
		{"selection-not-offered", none, "healthy", scene.Healthy, nil},

		{"additional-key-exchange", hit, "ML-KEM-768", intermediate(true), map[string]any{"methods": "[ml-kem-768]"}},
		{"additional-key-exchange", near, "IKE_INTERMEDIATE without an additional method", func(s *scene.Scene) {
			a := s.SA(0)
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19)), scene.Supported(ike.IntermediateSupported)))
			s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19)), scene.Supported(ike.IntermediateSupported)))
			a.Exchange(ike.IKEIntermediate, 0, ike.PayloadNone, 0, ike.PayloadNone, 0)
		}, nil},
		{"additional-key-exchange", near, "never answered", intermediate(false), nil},
		{"additional-key-exchange", none, "healthy", scene.Healthy, nil},

		{"weak-crypto", hit, "3DES, MD5 and group 2", chosen(scene.Proposals(weakSuite(3, 1, 1, 2)), weakSuite(3, 1, 1, 2)),
			map[string]any{"transforms": "[ENCR_3DES PRF_HMAC_MD5 AUTH_HMAC_MD5_96 group 2]"}},
		{"weak-crypto", hit, "aggressive mode", func(s *scene.Scene) {
			a := s.V1(0)
			s.IKE(0, 500, a.Message(ike.V1Aggressive, 0, 0, true, scene.SAv1(scene.Modern(14, 1))))
			s.IKE(1, 500, a.Message(ike.V1Aggressive, 1, 0, false, scene.SAv1(scene.Modern(14, 1))))
		}, nil},
		{"weak-crypto", near, "offered beside better, which is chosen",
			chosen(scene.Proposals(weakSuite(3, 1, 1, 2), scene.GCM(19)), scene.GCM(19)), nil},
		{"weak-crypto", none, "healthy", scene.Healthy, nil},

		{"half-open-flood", hit, "thirty", halfOpen(30, false), map[string]any{"side": "A", "half_open": 30}},
		{"half-open-flood", near, "ten", halfOpen(10, false), nil},
		{"half-open-flood", near, "thirty that come up", halfOpen(30, true), nil},
		{"half-open-flood", none, "healthy", scene.Healthy, nil},

		{"error-notify", hit, "INVALID_SYNTAX", func(s *scene.Scene) {
			a := s.SA(0)
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
			s.IKE(1, 500, a.Refusal(ike.InvalidSyntax))
		}, map[string]any{"side": "B", "notify": "INVALID_SYNTAX"}},
		{"error-notify", hit, "INVALID-FLAGS in the middle of what came up", flagged(false),
			map[string]any{"side": "A", "severity": "info"}},
		{"error-notify", hit, "INVALID-FLAGS when it was up", flagged(true),
			map[string]any{"side": "A", "severity": "critical"}},
		{"error-notify", hit, "IKEv1, AUTHENTICATION-FAILED for the first message of Aggressive Mode", func(s *scene.Scene) {
			a := s.V1(0)
			s.IKE(0, 500, a.Message(ike.V1Aggressive, 0, 0, true, scene.SAv1(scene.Modern(14, 1))))
			s.IKE(1, 500, a.Info(1, 24)) // RFC 2408, Section 3.14.1
		}, map[string]any{"severity": "critical", "side": "B", "notify": "AUTHENTICATION-FAILED"}},
		{"error-notify", near, "one with a finding of its own", func(s *scene.Scene) { refusedOffer(s, scene.CBC(128, 14)) },
			nil},
		{"error-notify", none, "healthy", scene.Healthy, nil},

		{"invalid-spi", hit, "INVALID_IKE_SPI", func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.IKE(0, 500, a.Sealed(ike.Informational, 0, 2, false, ike.PayloadNone, 0))
			s.IKE(1, 500, a.Plain(ike.Informational, 1, 2, true, &ike.Notify{Number: ike.InvalidIKESPI}))
		}, map[string]any{"side": "B"}},
		{"invalid-spi", hit, "INVALID_SPI", func(s *scene.Scene) {
			scene.Healthy(s)
			a := s.SA(1)
			a.R = 0
			s.IKE(1, 500, a.Plain(ike.Informational, 1, 0, false,
				&ike.Notify{Number: ike.InvalidSPI, Data: []byte{0xa0, 0, 0, 1}}))
		}, map[string]any{"side": "B", "spi": "a0000001"}},
		{"invalid-spi", hit, "IKEv1, in the SPI field", func(s *scene.Scene) {
			for i := range uint32(3) {
				s.IKE(1, 500, s.V1(1).Message(ike.V1Informational, 1, 7+i, true,
					&ike.NotifyV1{DOI: 1, Protocol: 3, Number: 11, SPI: []byte{0xa0, 0, 0, 2}}))
			}
		}, map[string]any{"side": "B", "spi": "a0000002"}},
		{"invalid-spi", near, "another error", func(s *scene.Scene) {
			a := s.SA(0)
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
			s.IKE(1, 500, a.Refusal(ike.InvalidSyntax))
		}, nil},
		{"invalid-spi", none, "healthy", scene.Healthy, nil},

		{"no-ike-traffic", hit, "both captures hold other packets", func(s *scene.Scene) {
			scene.Known(s)
			for range 5 {
				s.Noise(0)
				s.Noise(1)
			}
		}, map[string]any{"confidence": "certain"}},
		{"no-ike-traffic", hit, "both captures are empty", func(*scene.Scene) {}, map[string]any{"confidence": "certain"}},
		{"no-ike-traffic", hit, "both cut TCP segments short", func(s *scene.Scene) {
			s.Snap = [2]int{64, 64}
			s.ESPinTCP(0, 0xa0000001, 1, 100)
			s.ESPinTCP(1, 0xb0000001, 1, 100)
		}, map[string]any{"confidence": "probable"}},
		{"no-ike-traffic", near, "ESP of a tunnel that is up", func(s *scene.Scene) { s.Traffic(10, false) }, nil},
		{"no-ike-traffic", near, "captures that are not read", func(s *scene.Scene) {
			scene.Healthy(s)
			retype(s.Rows[0], 0x88b5, 0)
			retype(s.Rows[1], 0x88b5, 0)
		}, nil},
		{"no-ike-traffic", near, "one capture", func(s *scene.Scene) { s.Noise(0); s.Alone = true }, nil},
		{"no-ike-traffic", none, "healthy", scene.Healthy, nil},
	}
}

// redirectedBy: A says that it follows a REDIRECT; B answers IKE_AUTH with so many bytes, then goes
// on as then has it.
func redirectedBy(size int, follows bool, then func(*scene.SA)) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.SA(0)
		var says []ike.Payload
		if follows {
			says = append(says, scene.Supported(ike.RedirectSupported))
		}
		s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19)), says...))
		s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19))))
		a.Auth(ike.PayloadIDr, size)
		then(a)
		s.Wait(time.Minute)
		s.Noise(0)
		s.Noise(1)
	}
}

// deletesAtOnce: A deletes the IKE SA.
func deletesAtOnce(a *scene.SA) {
	a.Exchange(ike.Informational, 0, ike.PayloadD, 8, ike.PayloadNone, 0)
}

// What nobody can read, and may be a REDIRECT as well as a refusal, is called neither for sure, by
// whichever capture.
func TestARedirectThatNobodyCanReadIsNoRefusal(t *testing.T) {
	told := func(size int, answer ike.PayloadType, answerSize int) func(*scene.SA) {
		return func(a *scene.SA) {
			a.Exchange(ike.Informational, 1, ike.PayloadN, size, ike.PayloadNone, 0)
			a.Exchange(ike.Informational, 0, ike.PayloadD, 8+answerSize/3, answer, answerSize)
		}
	}
	anew := func(a *scene.SA) {
		deletesAtOnce(a)
		a.S.Wait(10 * time.Second)
		a.S.SA(0).Open()
	}
	const refused = "critical probable"
	for name, c := range map[string]struct {
		play    func(*scene.Scene)
		refusal string // severity and confidence of child-sa-refused; empty: there is none
		exit    int
	}{
		"in IKE_AUTH":                 {redirectedBy(70, true, deletesAtOnce), "warning possible", 3},
		"with a name":                 {redirectedBy(90, true, deletesAtOnce), "warning possible", 3},
		"no room for one":             {redirectedBy(scene.SizeNoChild, true, deletesAtOnce), refused, 2},
		"A follows none":              {redirectedBy(70, false, deletesAtOnce), refused, 2},
		"A keeps the IKE SA":          {redirectedBy(70, true, func(a *scene.SA) { a.DPD(0) }), refused, 2},
		"A comes again":               {redirectedBy(70, true, anew), refused, 2},
		"told after it":               {redirectedBy(140, true, told(14, ike.PayloadNone, 0)), "", 1},
		"told after it, by child SAs": {redirectedBy(160, true, told(14, ike.PayloadD, 12)), "warning possible", 3},
		"told too little":             {redirectedBy(160, true, told(8, ike.PayloadD, 12)), refused, 2},
	} {
		for view, alone := range map[string]func(*scene.Scene){
			"both": func(*scene.Scene) {}, "A alone": func(s *scene.Scene) { s.Alone = true }, "B alone": (*scene.Scene).OnlyB,
		} {
			s := scene.New(t)
			c.play(s)
			alone(s)
			r := s.Compare()
			scene.Sound(t, r)
			got := ""
			for _, f := range r.Findings {
				if f.Code == "child-sa-refused" {
					got = fmt.Sprint(f.Severity, " ", f.Confidence)
				}
			}
			if got != c.refusal || r.Verdict.ExitCode != c.exit {
				t.Errorf("%s, %s: %q, %+v", name, view, got, r.Verdict)
			}
			if name == "told after it" && !strings.Contains(wording(r, "sa-deleted"), "may be a REDIRECT") {
				t.Errorf("%s: %s", view, wording(r, "sa-deleted"))
			}
		}
	}
}

// redirectedInAuth: the answer to IKE_AUTH, which nobody can read, sends A to another gateway (RFC
// 5685, Section 6), where nobody is.
func redirectedInAuth(s *scene.Scene) {
	a := s.SA(0)
	s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19)), scene.Supported(ike.RedirectSupported)))
	s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19))))
	a.Auth(ike.PayloadIDr, scene.SizeNoChild+10)
	a.Exchange(ike.Informational, 0, ike.PayloadD, 8, ike.PayloadNone, 0)
	b := s.SA(0)
	from := &ike.Notify{Number: ike.RedirectedFrom, Data: append([]byte{1, 4}, scene.B.AsSlice()...)}
	for range 3 {
		s.IKE(0, 500, b.Init(false, scene.Proposals(scene.GCM(19)), from), scene.Fate{To: outside(), Lost: true})
		s.Wait(2 * time.Second)
	}
}

// flagged has A complain in clear of a message that it got again when its keys were there already.
func flagged(behind bool) func(*scene.Scene) {
	return func(s *scene.Scene) {
		const invalidFlags = 8 // RFC 2408, Section 3.14.1
		a := s.V1(0).Phase1()
		if !behind {
			s.IKE(0, 500, a.Info(0, invalidFlags))
		}
		a.QuickMode(3)
		if behind {
			s.IKE(0, 500, a.Info(0, invalidFlags))
		}
		s.Traffic(10, false)
	}
}
