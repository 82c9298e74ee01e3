package diagnose_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/analysis/scene"
)

// wording is all that a finding of a code says, commands included; empty when there is none.
func wording(r *report.Report, code string) string {
	var all []string
	for _, f := range r.Findings {
		if f.Code == code {
			all = append(all, f.Title, f.Explanation)
			for _, a := range f.Actions {
				all = append(all, append(a.Commands, a.Why)...)
			}
		}
	}
	return strings.Join(all, "\n")
}

// aggressiveOf is Aggressive Mode with a key in two messages.
func aggressiveOf(group uint16) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.V1(0)
		for from, first := range []bool{true, false} {
			s.IKE(from, 500, a.Message(ike.V1Aggressive, from, 0, first, scene.SAv1(scene.Modern(group, 1))))
		}
	}
}

// forgetful is a tunnel of A behind a NAT, which comes up; then nothing more arrives at a side.
func forgetful(at int) func(*scene.Scene) {
	return func(s *scene.Scene) {
		s.Seen[0] = scene.NAT
		a := s.SA(0)
		a.Port = 4500
		a.Up()
		s.Wait(time.Minute)
		s.Repeat(6, 1-at, 4500, a.Sealed(ike.CreateChildSA, 1-at, 2, false, ike.PayloadN, 180), scene.Lost)
		s.Wait(time.Second)
		s.Noise(at) // it captures still
	}
}

// What a report must say, and must not, where it said what leads astray.
func TestWordsFitWhatIsKnown(t *testing.T) {
	refusedWeak := func(s *scene.Scene) *scene.SA {
		a := s.SA(0)
		s.IKE(0, 500, a.Init(false, scene.Proposals([]ike.Transform{{Type: ike.TransformENCR, ID: 3},
			{Type: ike.TransformPRF, ID: 5}, {Type: ike.TransformINTEG, ID: 12}, {Type: ike.TransformKE, ID: 2}})))
		return a
	}
	for _, tt := range []struct {
		name, code string
		play       func(*scene.Scene)
		has, lacks []string
	}{
		{"IKE_AUTH on 4500 is not answered", "retransmissions-exhausted", func(s *scene.Scene) {
			a := s.SA(0)
			a.Open()
			s.Repeat(4, 0, 4500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth), scene.Lost)
			s.Alone = true
		}, []string{"may drop UDP 4500", "eq 4500"}, []string{"traceroute", "IP fragments"}},
		{"IKE_AUTH on 500 is not answered", "retransmissions-exhausted", func(s *scene.Scene) {
			a := s.SA(0)
			a.Open()
			s.Repeat(4, 0, 500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth), scene.Lost)
			s.Alone = true
		}, []string{"traceroute"}, []string{"4500", "IP fragments"}},
		{"IKE_AUTH in fragments is not answered", "retransmissions-exhausted", func(s *scene.Scene) {
			a := s.SA(0)
			a.Open()
			s.Repeat(4, 0, 500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, 2000), scene.Fate{MTU: 1480, Lost: true})
			s.Alone = true
		}, []string{"may drop IP fragments", "crypto ikev2 fragmentation mtu"}, []string{"traceroute", "drop UDP 4500"}},
		{"nothing was answered", "retransmissions-exhausted", func(s *scene.Scene) {
			s.Repeat(4, 0, 4500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Lost)
			s.Alone = true
		}, []string{"traceroute"}, []string{"drop UDP 4500"}},

		{"a file of which nothing can be read", "capture-empty", cutB(20), []string{"damaged at byte 24"},
			[]string{"another interface", "show ip cef"}},
		{"it is damaged first of all", "capture-damaged", cutB(20), []string{"No packet before it", "fetch the file again"},
			[]string{"The 0 packets"}},
		{"an empty file that is whole", "capture-empty", func(s *scene.Scene) { scene.Healthy(s); s.Rows[1] = nil },
			[]string{"another interface", "show ip cef"}, []string{"damaged"}},

		{"a refusal of what goes elsewhere", "icmp-rejected", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Traffic(5, false)
			s.IKE(0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))),
				scene.Fate{Lost: true, To: netip.MustParseAddr("203.0.113.200")})
			s.Last = s.Frame(scene.A, netip.MustParseAddr("203.0.113.200"), 17, 0xc0, 254, scene.Part{Data: s.Last[34:]})
			s.ICMP(0, "203.0.113.1", 3, 1, 0)
		}, []string{"sends to 203.0.113.200 "}, nil},
		{"a refusal of what goes to the peer", "icmp-rejected", func(s *scene.Scene) {
			s.IKE(0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Lost)
			s.ICMP(0, "203.0.113.1", 3, 1, 0)
		}, []string{"refuses what"}, []string{"sends to"}},

		{"weak algorithms are refused", "weak-crypto", func(s *scene.Scene) {
			a := refusedWeak(s)
			s.IKE(1, 500, a.Refusal(ike.NoProposalChosen))
		}, []string{"is offered", "not in use"}, []string{"uses", "crypto ikev2 proposal"}},
		{"weak algorithms are not answered", "weak-crypto", func(s *scene.Scene) { refusedWeak(s) },
			[]string{"is offered", "No answer", "MONCAP-STRONGER"}, []string{"uses", "MONCAP-SUGGESTION"}},

		{"weak algorithms of IKEv2 are in use", "weak-crypto",
			chosen(scene.Proposals(weakSuite(3, 1, 1, 2)), weakSuite(3, 1, 1, 2)),
			[]string{"crypto ikev2 proposal MONCAP-STRONGER",
				"crypto ikev2 policy MONCAP-STRONGER\n proposal MONCAP-STRONGER"}, nil},
		{"weak algorithms of IKEv1 are in use, with a key", "weak-crypto", func(s *scene.Scene) {
			s.V1(0).Main12(scene.SAv1(scene.Modern(2, 1)), scene.SAv1(scene.Modern(2, 1)))
		}, []string{"show crypto isakmp policy", "a free one", "authentication pre-share"},
			[]string{"Aggressive", "rsa-sig"}},
		{"weak algorithms of IKEv1 are in use, with RSA signatures", "weak-crypto", func(s *scene.Scene) {
			s.V1(0).Main12(scene.SAv1(scene.Modern(2, 3)), scene.SAv1(scene.Modern(2, 3)))
		}, []string{"show crypto isakmp policy", "authentication rsa-sig"}, []string{"Aggressive", "pre-share"}},
		{"Aggressive Mode with a key, and nothing else is weak", "weak-crypto", aggressiveOf(14),
			[]string{"Main Mode", "IKEv2", "show running-config | section crypto"},
			[]string{"isakmp policy", "stronger algorithms"}},
		{"Aggressive Mode with a key, and a weak group", "weak-crypto", aggressiveOf(2),
			[]string{"Main Mode", "crypto isakmp policy", "authentication pre-share"}, nil},
		{"a group that is refused", "ke-group-mismatch", func(s *scene.Scene) {
			for range 2 {
				a := s.SA(0)
				s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(14))))
				s.IKE(1, 500, a.Refusal(ike.InvalidKEPayload, 0, 19))
				s.Wait(20 * time.Second)
			}
		}, []string{" encryption aes-gcm-", " group 19 14\ncrypto ikev2 policy MONCAP-SUGGESTION\n proposal"}, nil},
		{"IKE_SA_INIT in IP fragments", "ip-fragments-lost", func(s *scene.Scene) {
			large := s.SA(0).Init(false, scene.Proposals(scene.GCM(19)),
				&ike.Unknown{Number: 43, Data: make([]byte, 1600)})
			s.Repeat(4, 0, 500, large, scene.Fate{MTU: 1480, Keep: 1})
		}, []string{"fewer proposals", "IP fragments of UDP 500"}, []string{"fragmentation mtu"}},
		{"IKE_AUTH in IP fragments", "ip-fragments-lost", bigAuth(1), []string{"crypto ikev2 fragmentation mtu"},
			[]string{"fewer proposals"}},
		{"IKE_SA_INIT that does not fit", "packet-too-big", rejectedBy(3, 4),
			[]string{"fewer proposals", "crypto ikev2 fragmentation mtu 1200", "df-bit clear"}, nil},
		{"IKE_AUTH that does not fit, over IPv6", "packet-too-big", func(s *scene.Scene) {
			s.Addr = scene.SixAddr
			a := s.SA(0)
			a.Open()
			s.IKE(0, 500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, 1400), scene.Lost)
			s.ICMP(0, "2001:db8::1", 2, 0, 1400)
		}, []string{"crypto ikev2 fragmentation mtu 1200"}, []string{"df-bit", "fewer proposals"}},
		{"a host key that is not known, over IPv6", "transfer-host-key-changed", func(s *scene.Scene) {
			s.Addr = scene.SixAddr
			scene.Healthy(s)
			s.Side[1].TransferHostKey = "its host key is not the one that is known"
		}, []string{"show ip ssh"}, nil},
		{"ESP in IP fragments, over IPv6", "ip-fragments-lost", func(s *scene.Scene) {
			s.Addr = scene.SixAddr
			largeESP(false, scene.Fate{MTU: 1480, Keep: 1})(s)
		}, []string{"ping 2001:db8:2::1 size 1400"}, []string{"df-bit"}},
		{"a NAT that forgets", "path-blocked", forgetful(0),
			[]string{"forgotten its mapping", "crypto ikev2 nat keepalive 20"}, nil},
		{"what the NAT's own side sends stops", "path-blocked", forgetful(1), []string{"passes at first"},
			[]string{"forgotten", "keepalive"}},
		{"one way over IPv6", "esp-one-way", func(s *scene.Scene) { s.Addr = scene.SixAddr; oneWay(10, time.Second)(s) },
			[]string{"show ipv6 route"}, []string{"show ip "}},
		{"one way over IPv4", "esp-one-way", oneWay(10, time.Second), []string{"show ip route", "show ip nat"},
			[]string{"ipv6"}},

		{"A moves behind its negotiation", "tunnel-established", func(s *scene.Scene) {
			a := s.SA(0)
			a.Port = 4500
			a.Up()
			s.Addr[0] = netip.MustParseAddr("192.0.2.9")
			for range 9 {
				s.Wait(time.Second)
				a.DPD(0)
			}
		}, []string{"(192.168.1.1) began", "moved from 192.168.1.1 to 192.0.2.9"}, []string{"(192.0.2.9) began"}},

		{"Quick Mode's third message is lost", "quick-mode-stalled", func(s *scene.Scene) {
			a := s.V1(0).Phase1()
			a.QuickMode(2)
			s.IKE(0, 500, a.Sealed(ike.V1QuickMode, 0, a.Quick, ike.V1PayloadHASH, 48), scene.Lost)
			s.Repeat(3, 1, 500, a.Sealed(ike.V1QuickMode, 1, a.Quick, ike.V1PayloadHASH, 144), scene.Fate{})
			s.Alone = true
		}, []string{"stopped after message 3", "Side B (192.168.2.1) sends message 2 again"}, nil},
		{"Main Mode is not answered", "peer-not-answering", func(s *scene.Scene) {
			m := s.V1(0).Message(ike.V1MainMode, 0, 0, true, scene.SAv1(scene.Modern(14, 1)))
			s.Repeat(4, 0, 500, m, scene.Fate{})
		}, []string{"4 Main Mode requests"}, []string{"Identity Protection"}},
		{"IKEv1 behind a NAT, UDP 4500 is dropped", "nat-t-blocked", func(s *scene.Scene) {
			s.Seen[0] = scene.NAT
			a := s.V1(0)
			for from, first := range []bool{true, false} {
				s.IKE(from, 500, a.Message(ike.V1Aggressive, from, 0, first, scene.SAv1(scene.Modern(14, 1)),
					&ike.BytesV1{Number: ike.V1PayloadKE, Data: make([]byte, 256)},
					&ike.BytesV1{Number: ike.V1PayloadNONCE, Data: make([]byte, 20)}))
			}
			s.Repeat(4, 0, 4500, a.Sealed(ike.V1Aggressive, 0, 0, ike.V1PayloadHASH, 64), scene.Lost)
		}, []string{"Aggressive Mode"}, []string{"IKE_SA_INIT"}},
		{"an initiator that falls silent is not said to reject", "responder-auth-rejected", func(s *scene.Scene) {
			for range 2 {
				a := s.SA(0)
				a.Open()
				a.Auth(ike.PayloadIDr, 1100)
				s.Wait(40 * time.Second)
			}
		}, []string{"Whether the initiator accepted the responder is open"}, []string{"The initiator rejected"}},
		{"child SAs come and go", "sa-flapping", childFlaps(4, 15*time.Second), []string{"A child SA is made",
			"site-b sent 3 of the Deletes"}, []string{"The tunnel is made"}},
		{"each side deletes as many SAs", "sa-flapping", func(s *scene.Scene) {
			for range 4 {
				a, b := scene.BothBegin(s)
				a.Exchange(ike.Informational, 1, ike.PayloadD, 8, ike.PayloadNone, 0)
				b.Exchange(ike.Informational, 0, ike.PayloadD, 8, ike.PayloadNone, 0)
				s.Wait(3 * time.Second)
			}
		}, []string{"each side sent 4 of the Deletes"}, nil},
		{"traffic of one direction, by the sender's capture", "esp-one-way", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Monologue(0, 1, 60, time.Second)
			s.Alone = true
		}, []string{"is seen in one direction only"}, []string{"Only one side sends"}},
		{"SAs that come and go are counted once", "sa-flapping", flaps(4), []string{"4 SAs of"},
			[]string{"The same happened"}},
		{"several attempts are redirected", "redirected", func(s *scene.Scene) {
			for range 3 {
				s.IKE(0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))))
				s.IKE(1, 500, s.LastSA(0).Refusal(ike.Redirect, 1, 4, 198, 51, 100, 9))
				s.Wait(5 * time.Second)
			}
		}, []string{"to another gateway: 198.51.100.9.", "The same happened in 2 further negotiations."}, nil},
		{"the gateway of before redirects, in one capture", "redirected", func(s *scene.Scene) {
			s.SA(0).Up()
			from := &ike.Notify{Number: ike.RedirectedFrom, Data: []byte{1, 4, 192, 168, 2, 1}}
			s.Repeat(3, 0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19)), from),
				scene.Fate{Lost: true, To: outside()})
			s.Alone = true
		}, []string{"192.168.2.1 sends site-a (192.168.1.1) to another gateway: 198.51.100.9."}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := scene.New(t)
			tt.play(s)
			text := wording(s.Compare(), tt.code)
			for _, x := range tt.has {
				if !strings.Contains(text, x) {
					t.Errorf("no %q in:\n%s", x, text)
				}
			}
			for _, x := range tt.lacks {
				if strings.Contains(text, x) {
					t.Errorf("%q in:\n%s", x, text)
				}
			}
		})
	}
}

// cutB is a file of B that ends so many bytes behind its header, inside its first record.
func cutB(n int) func(*scene.Scene) {
	return func(s *scene.Scene) {
		scene.Healthy(s)
		const header = 24
		s.Side[1].Open = scene.Opener(scene.Pcap(s.Sorted(1))[:header+n])
	}
}
