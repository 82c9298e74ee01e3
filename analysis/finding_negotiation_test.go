package analysis

import (
	"net/netip"
	"strings"
	"time"

	"github.com/moncap/moncap/analysis/ike"
)

// refusedOffer: A offers, B refuses in clear.
func refusedOffer(s *scene, offer ...[]ike.Transform) {
	a := s.sa(0)
	s.ike(0, 500, a.init(false, proposals(offer...)))
	s.ike(1, 500, a.refusal(ike.NoProposalChosen))
	s.wait(time.Second)
}

// counterOffer: B initiates with an offer of its own, and A refuses or does not answer.
func counterOffer(s *scene, offer ...[]ike.Transform) {
	b := s.sa(1)
	s.ike(1, 500, b.init(false, proposals(offer...)))
	s.ike(0, 500, b.refusal(ike.NoProposalChosen))
	s.wait(time.Second)
}

// hybrid adds methods of additional key exchange, as alternatives of the first round, to a proposal; 0 is NONE.
func hybrid(proposal []ike.Transform, methods ...uint16) []ike.Transform {
	for _, id := range methods {
		proposal = append(proposal, ike.Transform{Type: ike.TransformADDKE1, ID: id})
	}
	return proposal
}

// upgraded: B runs a release of IOS XE and refuses what A offers.
func upgraded(release string, offer []ike.Transform) func(*scene) {
	return func(s *scene) {
		s.side[1].Config = map[string]string{"show-version": lines("Cisco IOS XE Software, Version "+release,
			"Cisco IOS Software [Dublin], Virtual XE Software (X86_64_LINUX_IOSD-UNIVERSALK9-M), Version "+release+", RELEASE SOFTWARE (fc2)",
			"site-b uptime is 1 hour, 2 minutes")}
		refusedOffer(s, offer)
	}
}

// groupRefused: B wants group 19, and A offers the groups given, one a round.
func groupRefused(groups ...uint16) func(*scene) {
	return func(s *scene) {
		a := s.sa(0)
		for _, g := range groups {
			s.ike(0, 500, a.init(false, proposals(gcm(g))))
			if g == 19 {
				s.ike(1, 500, a.init(true, proposals(gcm(19))))
				a.auth(ike.PayloadIDr, sizeAnswer)
				return
			}
			s.ike(1, 500, a.refusal(ike.InvalidKEPayload, 0, 19))
			s.wait(time.Second)
		}
	}
}

// groupUnanswered: A comes again with the group that B wants, and B is silent.
func groupUnanswered(s *scene) {
	a := s.sa(0)
	s.ike(0, 500, a.init(false, proposals(gcm(14))))
	s.ike(1, 500, a.refusal(ike.InvalidKEPayload, 0, 19))
	s.repeat(4, 0, 500, a.init(false, proposals(gcm(19))), fate{})
	s.wait(time.Minute)
	s.noise(1)
}

// newSPI: A begins anew with the group that B wants, after a while and under a new SPI.
func newSPI(after time.Duration) func(*scene) {
	return func(s *scene) {
		a := s.sa(0)
		s.ike(0, 500, a.init(false, proposals(gcm(14))))
		s.ike(1, 500, a.refusal(ike.InvalidKEPayload, 0, 19))
		s.wait(after)
		s.sa(0).up().dpd(0)
	}
}

func cookie(answered bool) func(*scene) {
	return func(s *scene) {
		a := s.sa(0)
		s.ike(0, 500, a.init(false, proposals(gcm(19))))
		s.ike(1, 500, a.refusal(ike.Cookie, 1, 2, 3, 4, 5, 6, 7, 8))
		if !answered {
			return
		}
		s.ike(0, 500, a.init(false, proposals(gcm(19)), &ike.Notify{Number: ike.Cookie, Data: []byte{1, 2, 3, 4, 5, 6, 7, 8}}))
		s.ike(1, 500, a.init(true, proposals(gcm(19))))
		a.auth(ike.PayloadIDr, sizeAnswer)
	}
}

// halfOpen is n attempts with ever new SPIs.
func halfOpen(n int, answered bool) func(*scene) {
	return func(s *scene) {
		for range n {
			if a := s.sa(0); answered {
				a.up()
			} else {
				s.ike(0, 500, a.init(false, proposals(gcm(19))))
				s.ike(1, 500, a.init(true, proposals(gcm(19))))
			}
			s.wait(100 * time.Millisecond)
		}
	}
}

// redirectedInside: B's IKE_AUTH response redirects A, which asks elsewhere and says whence it comes.
func redirectedInside(s *scene) {
	a := s.sa(0)
	a.open()
	s.ike(0, 500, a.sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, sizeAuth))
	s.ike(1, 500, a.sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, sizeAnswer))
	from := &ike.Notify{Number: ike.RedirectedFrom, Data: []byte{1, 4, 192, 168, 2, 1}}
	s.repeat(4, 0, 500, s.sa(0).init(false, proposals(gcm(19)), from), fate{lost: true, to: netip.MustParseAddr("203.0.113.9")})
}

func weakSuite(encr, prf, integ, group uint16) []ike.Transform {
	return []ike.Transform{{Type: ike.TransformENCR, ID: encr}, {Type: ike.TransformPRF, ID: prf}, {Type: ike.TransformINTEG, ID: integ},
		{Type: ike.TransformKE, ID: group}}
}

func chosen(offer *ike.SA, choice []ike.Transform) func(*scene) {
	return func(s *scene) {
		a := s.sa(0)
		s.ike(0, 500, a.init(false, offer))
		s.ike(1, 500, a.init(true, proposals(choice)))
		a.auth(ike.PayloadIDr, sizeAnswer)
	}
}

func intermediate(done bool) func(*scene) {
	return func(s *scene) {
		a := s.sa(0)
		hybrid := append(gcm(19), ike.Transform{Type: ike.TransformADDKE1, ID: 36})
		s.ike(0, 500, a.init(false, proposals(hybrid), supported(ike.IntermediateSupported)))
		s.ike(1, 500, a.init(true, proposals(hybrid), supported(ike.IntermediateSupported)))
		s.ike(0, 500, a.sealed(ike.IKEIntermediate, 0, 1, false, ike.PayloadKE, 1192))
		if done {
			s.ike(1, 500, a.sealed(ike.IKEIntermediate, 1, 1, true, ike.PayloadKE, 1096))
		}
	}
}

func versions(second func(*scene)) func(*scene) {
	return func(s *scene) {
		s.repeat(3, 0, 500, s.sa(0).init(false, proposals(gcm(19))), fate{})
		second(s)
	}
}

func negotiationCases() []findingCase {
	mainMode := func(s *scene) {
		b := s.v1(1)
		s.repeat(3, 1, 500, b.message(ike.V1MainMode, 1, 0, true, saV1(modern(14, 1))), fate{})
	}
	return []findingCase{
		{"ike-proposal-mismatch", hit, "nothing is known of B", func(s *scene) { refusedOffer(s, cbc(128, 14)) },
			map[string]any{"refusing_side": "B", "mismatch": "unproven", "confidence": "certain", "suggestion": nil}},
		{"ike-proposal-mismatch", hit, "B's own offer differs", func(s *scene) { refusedOffer(s, cbc(128, 14)); counterOffer(s, gcm(19)) },
			map[string]any{"refusing_side": "B", "mismatch": "proven"}},
		{"ike-proposal-mismatch", hit, "B's own offer is the same", func(s *scene) { refusedOffer(s, gcm(19)); counterOffer(s, gcm(19)) },
			map[string]any{"refusing_side": "B", "mismatch": "excluded"}},
		{"ike-proposal-mismatch", hit, "B's configuration differs", func(s *scene) {
			s.side[1].Config = map[string]string{"show-ikev2-proposal": " IKEv2 proposal: P1\n     Encryption : AES-CBC-256\n     Integrity  : SHA256\n" +
				"     PRF        : SHA256\n     DH Group   : DH_GROUP_256_ECP/Group 19\n"}
			refusedOffer(s, cbc(128, 14))
		}, map[string]any{"mismatch": "proven", "accepted_by_refuser": "[ENCR_AES_CBC_256 + AUTH_HMAC_SHA2_256_128 + PRF_HMAC_SHA2_256 + group 19]"}},
		{"ike-proposal-mismatch", hit, "A requires ML-KEM, B has none: its type is NONE", func(s *scene) {
			refusedOffer(s, hybrid(gcm(19), 36))
			counterOffer(s, gcm(19))
		}, map[string]any{"refusing_side": "B", "mismatch": "proven", "differs": "[ADDKE1]"}},
		{"ike-proposal-mismatch", hit, "A would do without ML-KEM", func(s *scene) {
			refusedOffer(s, hybrid(gcm(19), 36, 0))
			counterOffer(s, gcm(19))
		}, map[string]any{"refusing_side": "B", "mismatch": "excluded"}},
		{"ike-proposal-mismatch", hit, "one method for two rounds", func(s *scene) {
			two := append(hybrid(gcm(19), 36), ike.Transform{Type: ike.TransformADDKE1 + 1, ID: 36})
			refusedOffer(s, two)
			counterOffer(s, two)
		}, map[string]any{"refusing_side": "B", "mismatch": "proven", "differs": "[ADDKE2]"}},
		{"ike-proposal-mismatch", hit, "two methods for two rounds", func(s *scene) {
			two := append(hybrid(gcm(19), 36, 37), ike.Transform{Type: ike.TransformADDKE1 + 1, ID: 36})
			refusedOffer(s, two)
			counterOffer(s, two)
		}, map[string]any{"refusing_side": "B", "mismatch": "excluded"}},
		{"ike-proposal-mismatch", hit, "B's configuration has another ML-KEM", func(s *scene) {
			s.side[1].Config = map[string]string{"show-ikev2-proposal": lines(" IKEv2 proposal: P1", "     Encryption : AES-CBC-256", "     Integrity  : SHA512",
				"     PRF        : SHA512", "     DH Group   : DH_GROUP_521_ECP/Group 21", "     PQC Key Exchange: ML-KEM-1024 ML-KEM-512")}
			refusedOffer(s, hybrid(cbc(256, 21), 36))
		}, map[string]any{"mismatch": "proven", "suggestion": "[crypto ikev2 proposal MONCAP-SUGGESTION  encryption aes-cbc-256  integrity sha512  prf sha512  group 21  pqc mlkem1024 mlkem512 " +
			"crypto ikev2 policy MONCAP-SUGGESTION  proposal MONCAP-SUGGESTION]"}},
		{"ike-proposal-mismatch", hit, "A is weak: it is told what B has", func(s *scene) {
			refusedOffer(s, weakSuite(3, 1, 1, 2))
			counterOffer(s, cbc(256, 20))
		}, map[string]any{"refusing_side": "A", "suggestion": "[crypto ikev2 proposal MONCAP-SUGGESTION  encryption aes-cbc-256  integrity sha256  prf sha256  group 20 " +
			"crypto ikev2 policy MONCAP-SUGGESTION  proposal MONCAP-SUGGESTION]"}},
		{"ike-proposal-mismatch", hit, "both are weak: neither is told the other's", func(s *scene) {
			refusedOffer(s, weakSuite(3, 1, 1, 2))
			counterOffer(s, weakSuite(3, 2, 2, 5))
		}, map[string]any{"refusing_side": "A", "mismatch": "proven", "suggestion": nil}},
		{"ike-proposal-mismatch", near, "a later attempt succeeds", func(s *scene) { refusedOffer(s, cbc(128, 14)); healthy(s) }, nil},
		{"ike-proposal-mismatch", none, "healthy", healthy, nil},

		{"upgrade-refuses-weak", hit, "B was upgraded, A has 3DES", upgraded("17.12.03", weakSuite(3, 2, 2, 14)),
			map[string]any{"side": "B", "version": "17.12.3", "refused": "[ENCR_3DES]"}},
		{"upgrade-refuses-weak", hit, "group 5", upgraded("26.1.1", cbc(256, 5)), map[string]any{"side": "B", "refused": "[group 5]"}},
		{"upgrade-refuses-weak", near, "a release before", upgraded("17.9.04a", weakSuite(3, 2, 2, 14)), nil},
		{"upgrade-refuses-weak", near, "a group beside that it takes", upgraded("17.12.03", append(cbc(256, 5), ike.Transform{Type: ike.TransformKE, ID: 14})), nil},
		{"upgrade-refuses-weak", near, "it came up all the same", func(s *scene) {
			upgraded("17.12.03", weakSuite(3, 2, 2, 14))(s)
			healthy(s)
		}, nil},
		{"upgrade-refuses-weak", none, "healthy", healthy, nil},

		{"ke-group-mismatch", hit, "A insists", groupRefused(14, 14, 14), map[string]any{"refusing_side": "B", "offered_group": 14, "wanted_group": 19}},
		{"ke-group-mismatch", near, "A yields", groupRefused(14, 19), nil},
		{"ke-group-mismatch", hit, "the very group that A used", func(s *scene) {
			a := s.sa(0)
			s.ike(0, 500, a.init(false, proposals(gcm(31))))
			s.ike(1, 500, a.refusal(ike.InvalidKEPayload, 0, 31))
			s.wait(time.Second)
		}, map[string]any{"refusing_side": "B", "unusable_at": "B"}},
		{"ke-group-mismatch", hit, "A insists, nobody's group is unusable", groupRefused(14, 14), map[string]any{"unusable_at": nil}},
		{"ke-group-mismatch", near, "the retry with the wanted group stays unanswered", groupUnanswered, nil},
		{"peer-not-answering", hit, "the retry with the wanted group", groupUnanswered, map[string]any{"silent_side": "B"}},
		{"ke-group-mismatch", none, "healthy", healthy, nil},

		{"ke-group-retry", hit, "one round", groupRefused(14, 19), map[string]any{"offered_group": 14, "wanted_group": 19}},
		{"ke-group-retry", hit, "A begins anew with it, under a new SPI", newSPI(2 * time.Second), map[string]any{"offered_group": 14, "wanted_group": 19}},
		{"ke-group-retry", near, "another negotiation a minute later", newSPI(time.Minute), nil},
		{"ke-group-retry", hit, "the refusal comes twice, and the request", func(s *scene) {
			a := s.sa(0)
			m := a.init(false, proposals(gcm(14)))
			for range 3 {
				s.ike(0, 500, m)
				s.ike(1, 500, a.refusal(ike.InvalidKEPayload, 0, 19))
				s.wait(500 * time.Millisecond)
			}
			s.ike(0, 500, a.init(false, proposals(gcm(19))))
			s.ike(1, 500, a.init(true, proposals(gcm(19))))
			a.auth(ike.PayloadIDr, sizeAnswer)
		}, map[string]any{"offered_group": 14, "wanted_group": 19}},
		{"ke-group-retry", near, "A insists", groupRefused(14, 14), nil},
		{"ke-group-retry", none, "healthy", healthy, nil},

		{"cookie-challenge", hit, "answered", cookie(true), map[string]any{"challenging_side": "B"}},
		{"cookie-challenge", near, "not answered", cookie(false), nil},
		{"cookie-challenge", none, "healthy", healthy, nil},

		{"version-mismatch", hit, "INVALID_MAJOR_VERSION", func(s *scene) {
			a := s.sa(0)
			s.ike(0, 500, a.init(false, proposals(gcm(19))))
			s.ike(1, 500, a.refusal(ike.InvalidMajorVersion))
		}, map[string]any{"side_a_version": 2, "side_b_version": 1, "confidence": "certain"}},
		{"version-mismatch", hit, "INVALID-MAJOR-VERSION of IKEv1 for an IKEv2 request", func(s *scene) {
			a := s.v1(0)
			s.ike(0, 500, a.init(false, proposals(gcm(19))))
			s.ike(1, 500, a.info(1, 5))
		}, map[string]any{"side_a_version": 2, "side_b_version": 1, "confidence": "certain"}},
		{"version-mismatch", hit, "IKEv1 unanswered by a side that was heard to speak IKEv2 only", func(s *scene) {
			old, a := s.sa(1), s.v1(0)
			s.ike(1, 500, old.sealed(ike.Informational, 1, 7, false, ike.PayloadNone, 0))
			s.repeat(3, 0, 500, a.message(ike.V1MainMode, 0, 0, true, saV1(modern(14, 1))), fate{})
		}, map[string]any{"side_a_version": 1, "side_b_version": 2, "confidence": "probable"}},
		{"version-mismatch", near, "refused once, and then up", func(s *scene) {
			a := s.sa(0)
			s.ike(0, 500, a.init(false, proposals(gcm(19))))
			s.ike(1, 500, a.refusal(ike.InvalidMajorVersion))
			s.sa(0).up()
		}, nil},
		{"version-mismatch", hit, "each begins its own", versions(mainMode), map[string]any{"side_a_version": 2, "side_b_version": 1, "confidence": "certain"}},
		{"version-mismatch", near, "both versions, and one comes up", func(s *scene) { mainMode(s); healthy(s) }, nil},
		{"version-mismatch", near, "both speak IKEv2", blockedAtoB, nil},
		{"version-mismatch", none, "healthy", healthy, nil},

		{"redirected", hit, "to an address", func(s *scene) {
			a := s.sa(0)
			s.ike(0, 500, a.init(false, proposals(gcm(19)), &ike.Notify{Number: 16406}))
			s.ike(1, 500, a.refusal(ike.Redirect, 1, 4, 203, 0, 113, 9))
		}, map[string]any{"to": "203.0.113.9"}},
		{"redirected", hit, "with a nonce behind", func(s *scene) {
			a := s.sa(0)
			s.ike(0, 500, a.init(false, proposals(gcm(19)), &ike.Notify{Number: 16406}))
			s.ike(1, 500, a.refusal(ike.Redirect, 1, 4, 203, 0, 113, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16))
		}, map[string]any{"to": "203.0.113.9"}},
		{"redirected", hit, "inside, and told where it goes", redirectedInside, map[string]any{"to": "203.0.113.9"}},
		{"redirected", near, "only supported", func(s *scene) {
			a := s.sa(0)
			s.ike(0, 500, a.init(false, proposals(gcm(19)), &ike.Notify{Number: 16406}))
			s.ike(1, 500, a.init(true, proposals(gcm(19))))
		}, nil},
		{"redirected", none, "healthy", healthy, nil},

		{"selection-not-offered", hit, "another key length", chosen(proposals(cbc(256, 14)), cbc(128, 14)),
			map[string]any{"refusing_side": "A", "transform": "ENCR_AES_CBC_128"}},
		{"selection-not-offered", near, "one of two", chosen(proposals(cbc(256, 14), cbc(128, 14)), cbc(128, 14)), nil},
		{"selection-not-offered", none, "healthy", healthy, nil},

		{"additional-key-exchange", hit, "ML-KEM-768", intermediate(true), map[string]any{"methods": "[ml-kem-768]"}},
		{"additional-key-exchange", near, "IKE_INTERMEDIATE without an additional method", func(s *scene) {
			a := s.sa(0)
			s.ike(0, 500, a.init(false, proposals(gcm(19)), supported(ike.IntermediateSupported)))
			s.ike(1, 500, a.init(true, proposals(gcm(19)), supported(ike.IntermediateSupported)))
			a.exchange(ike.IKEIntermediate, 0, ike.PayloadNone, 0, ike.PayloadNone, 0)
		}, nil},
		{"additional-key-exchange", near, "never answered", intermediate(false), nil},
		{"additional-key-exchange", none, "healthy", healthy, nil},

		{"weak-crypto", hit, "3DES, MD5 and group 2", chosen(proposals(weakSuite(3, 1, 1, 2)), weakSuite(3, 1, 1, 2)),
			map[string]any{"transforms": "[ENCR_3DES PRF_HMAC_MD5 AUTH_HMAC_MD5_96 group 2]"}},
		{"weak-crypto", hit, "aggressive mode", func(s *scene) {
			a := s.v1(0)
			s.ike(0, 500, a.message(ike.V1Aggressive, 0, 0, true, saV1(modern(14, 1))))
			s.ike(1, 500, a.message(ike.V1Aggressive, 1, 0, false, saV1(modern(14, 1))))
		}, nil},
		{"weak-crypto", near, "offered beside better, which is chosen", chosen(proposals(weakSuite(3, 1, 1, 2), gcm(19)), gcm(19)), nil},
		{"weak-crypto", none, "healthy", healthy, nil},

		{"half-open-flood", hit, "thirty", halfOpen(30, false), map[string]any{"side": "A", "half_open": 30}},
		{"half-open-flood", near, "ten", halfOpen(10, false), nil},
		{"half-open-flood", near, "thirty that come up", halfOpen(30, true), nil},
		{"half-open-flood", none, "healthy", healthy, nil},

		{"error-notify", hit, "INVALID_SYNTAX", func(s *scene) {
			a := s.sa(0)
			s.ike(0, 500, a.init(false, proposals(gcm(19))))
			s.ike(1, 500, a.refusal(ike.InvalidSyntax))
		}, map[string]any{"side": "B", "notify": "INVALID_SYNTAX"}},
		{"error-notify", near, "one with a finding of its own", func(s *scene) { refusedOffer(s, cbc(128, 14)) }, nil},
		{"error-notify", none, "healthy", healthy, nil},

		{"invalid-spi", hit, "INVALID_IKE_SPI", func(s *scene) {
			a := s.sa(0).up()
			s.ike(0, 500, a.sealed(ike.Informational, 0, 2, false, ike.PayloadNone, 0))
			s.ike(1, 500, a.plain(ike.Informational, 1, 2, true, &ike.Notify{Number: ike.InvalidIKESPI}))
		}, map[string]any{"side": "B"}},
		{"invalid-spi", hit, "INVALID_SPI", func(s *scene) {
			healthy(s)
			a := s.sa(1)
			a.r = 0
			s.ike(1, 500, a.plain(ike.Informational, 1, 0, false, &ike.Notify{Number: ike.InvalidSPI, Data: []byte{0xa0, 0, 0, 1}}))
		}, map[string]any{"side": "B", "spi": "a0000001"}},
		{"invalid-spi", hit, "IKEv1, in the SPI field", func(s *scene) {
			for i := range uint32(3) {
				s.ike(1, 500, s.v1(1).message(ike.V1Informational, 1, 7+i, true, &ike.NotifyV1{DOI: 1, Protocol: 3, Number: 11, SPI: []byte{0xa0, 0, 0, 2}}))
			}
		}, map[string]any{"side": "B", "spi": "a0000002"}},
		{"invalid-spi", near, "another error", func(s *scene) {
			a := s.sa(0)
			s.ike(0, 500, a.init(false, proposals(gcm(19))))
			s.ike(1, 500, a.refusal(ike.InvalidSyntax))
		}, nil},
		{"invalid-spi", none, "healthy", healthy, nil},

		{"no-ike-traffic", hit, "both captures hold other packets", func(s *scene) {
			known(s)
			for range 5 {
				s.noise(0)
				s.noise(1)
			}
		}, map[string]any{"confidence": "certain"}},
		{"no-ike-traffic", hit, "both captures are empty", func(*scene) {}, map[string]any{"confidence": "certain"}},
		{"no-ike-traffic", near, "ESP of a tunnel that is up", func(s *scene) { s.traffic(10, false) }, nil},
		{"no-ike-traffic", near, "captures that are not read", func(s *scene) {
			healthy(s)
			retype(s.rows[0], 0x88b5, 0)
			retype(s.rows[1], 0x88b5, 0)
		}, nil},
		{"no-ike-traffic", near, "one capture", func(s *scene) { s.noise(0); s.alone = true }, nil},
		{"no-ike-traffic", none, "healthy", healthy, nil},
	}
}

// lines joins lines of a router's output.
func lines(all ...string) string { return strings.Join(all, "\n") + "\n" }
