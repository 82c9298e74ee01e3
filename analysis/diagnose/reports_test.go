package diagnose_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/analysis/scene"
)

// told is one failure that users or vendors tell the public of, rebuilt from what was seen on the
// wire: facts only, on addresses of documentation. The source is the report, or what it is about
// where many tell the same. What a right judgement begins with was written down before it was
// judged: the outcome, and the first finding that is no mere fact.
type told struct {
	name, source string
	play         func(*scene.Scene)
	both         string // with both captures, whichever is named first
	a, b         string // with one capture alone
	never        string // codes that are said in no view, but as facts, parted by "|"
	four         bool   // it names addresses of IPv4
}

var views = []string{"both", "swapped", "A alone", "B alone"}

func (r told) in(t *testing.T, view string) (got *report.Report, want string) {
	s := scene.New(t)
	r.play(s)
	want = r.both
	switch view {
	case "A alone":
		s.Alone, want = true, r.a
	case "B alone":
		s.OnlyB()
		want = r.b
	case "swapped":
		s.Rows[0], s.Rows[1] = s.Rows[1], s.Rows[0]
		s.Side[0], s.Side[1] = s.Side[1], s.Side[0]
	}
	return s.Compare(), want
}

func TestPublicReports(t *testing.T) {
	for _, r := range publicReports() {
		for _, view := range views {
			t.Run(r.name+"/"+view, func(t *testing.T) {
				report, want := r.in(t, view)
				scene.Sound(t, report)
				if got := beginning(report); got != want {
					t.Errorf("%s: %s, want %s", r.source, got, want)
				}
				for _, f := range report.Findings {
					if f.Severity != "info" && slices.Contains(strings.Split(r.never, "|"), f.Code) {
						t.Errorf("%s: %s is said: %s", r.source, f.Code, f.Explanation)
					}
				}
			})
		}
	}
}

// The clock of B, the address family and a capture that holds all twice change nothing in what is
// said first.
func TestPublicReportsInOtherWays(t *testing.T) {
	for _, r := range publicReports() {
		for name, vary := range map[string]func(*scene.Scene){
			"B's clock is ahead":       func(s *scene.Scene) { s.Ahead = 37 * time.Second },
			"B's clock is behind":      func(s *scene.Scene) { s.Ahead = -3 * time.Hour },
			"IPv6":                     func(s *scene.Scene) { s.Addr = scene.SixAddr },
			"A's capture holds copies": func(s *scene.Scene) { s.Twins[0] = true },
			"B's capture holds copies": func(s *scene.Scene) { s.Twins[1] = true },
			"the inventory is known":   scene.Known,
		} {
			s := scene.New(t)
			vary(s)
			r.play(s)
			if name == "IPv6" && (r.four || s.Seen[0].IsValid() || s.Seen[1].IsValid()) {
				continue // it names addresses of IPv4
			}
			report := s.Compare()
			scene.Sound(t, report)
			if got := beginning(report); got != r.both {
				t.Errorf("%s, %s: %s, want %s", r.name, name, got, r.both)
			}
		}
	}
}

// beginning is the outcome and the first finding that is no mere fact, nor about the clocks.
func beginning(r *report.Report) string {
	for _, f := range r.Findings {
		if f.Severity != report.Info && f.Code != "clock-offset" {
			return string(r.Verdict.Outcome) + ", " + f.Code
		}
	}
	return string(r.Verdict.Outcome)
}

// rekeyOf is a CREATE_CHILD_SA request of a side, which its caller sends.
func rekeyOf(a *scene.SA, from int) (request, answer []byte) {
	id := a.ID[from]
	a.ID[from]++
	return a.Sealed(ike.CreateChildSA, from, id, false, ike.PayloadN, 180),
		a.Sealed(ike.CreateChildSA, 1-from, id, true, ike.PayloadSA, 140)
}

func bare(a *scene.SA, x ike.ExchangeType, from int, id uint32) []byte {
	return a.Sealed(x, from, id, true, ike.PayloadN, 8)
}

// crossedRekeys: both rekey at once; B's goes through and A's is refused. B deletes the old SA, and
// A does not come to send with the new one.
func crossedRekeys(s *scene.Scene, late time.Duration) {
	a := s.Working(0)
	mine, _ := rekeyOf(a, 0)
	theirs, yes := rekeyOf(a, 1)
	f := scene.Fate{}
	if late > 0 {
		f = scene.Lost
	}
	s.IKE(0, 500, mine, f)
	s.IKE(1, 500, theirs)
	s.IKE(0, 500, yes)
	if late > 0 {
		s.Wait(late)
		s.IKE(0, 500, mine)
	}
	s.IKE(1, 500, bare(a, ike.CreateChildSA, 1, a.ID[0]-1))
	a.Exchange(ike.Informational, 1, ike.PayloadD, 12, ike.PayloadD, 12)
	s.SPI = 0x100
	s.Monologue(1, 1, 90, time.Second)
	a.DPD(1)
}

// pass goes on with ESP of both, with numbers from first.
func pass(s *scene.Scene, first uint32, n int) {
	for i := range uint32(n) {
		for from := range 2 {
			s.ESP(from, 0xa0000001+s.SPI+uint32(from)<<28, first+i, 100, s.Seen[0].IsValid() || s.Seen[1].IsValid())
		}
		s.Wait(time.Second)
	}
}

func publicReports() []told {
	return []told{
		{"collision-lost", "strongSwan, issue 1896", func(s *scene.Scene) { crossedRekeys(s, 3*time.Second) },
			"degraded, esp-one-way", "degraded, esp-one-way", "degraded, esp-one-way",
			"rekey-failed|child-sa-refused|dpd-timeout", false},
		{"collision-ts", "strongSwan and Cisco ASA, issue 2477", func(s *scene.Scene) { crossedRekeys(s, 0) },
			"degraded, esp-one-way", "degraded, esp-one-way", "degraded, esp-one-way",
			"rekey-failed|child-sa-refused|dpd-timeout", false},
		{"rekey-then-delete-at-once", "strongSwan and Palo Alto, issue 1458", func(s *scene.Scene) {
			a := s.Working(0)
			q, yes := rekeyOf(a, 0)
			s.IKE(0, 500, q)
			s.IKE(1, 500, yes)
			s.Now -= 20 * time.Millisecond
			a.Exchange(ike.Informational, 1, ike.PayloadD, 12, ike.PayloadNone, 0)
			s.SPI = 0x100
			s.Monologue(1, 1, 90, time.Second)
		}, "degraded, esp-one-way", "degraded, esp-one-way", "degraded, esp-one-way",
			"rekey-failed|sa-deleted", false},
		{"main-mode-unheard", "libreswan, issue 790", func(s *scene.Scene) {
			for range 3 {
				a := s.V1(0)
				s.Repeat(7, 0, 500, a.Message(ike.V1MainMode, 0, 0, true, scene.SAv1(scene.Modern(14, 1))), scene.Fate{})
				s.Wait(5 * time.Second)
			}
		}, "failed, peer-not-answering", "failed, main-mode-stalled", "failed, peer-not-answering",
			"ike-proposal-mismatch|psk-mismatch-v1", false},
		{"child-unanswered", "strongSwan 6.0.3 and Check Point, OPNsense issue 9382", func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Dialogue(10, time.Second, scene.Passes)
			id := a.ID[0]
			m := a.Sealed(ike.CreateChildSA, 0, id, false, ike.PayloadSA, 500)
			s.Repeat(5, 0, 500, m, scene.Fate{})
		}, "degraded, rekey-failed", "degraded, rekey-failed", "degraded, rekey-failed",
			"path-blocked|dpd-timeout|path-loss", false},
		{"no-address", "strongSwan and VPP, VPP-1912: FAILED_CP_REQUIRED", func(s *scene.Scene) {
			a := s.SA(0)
			a.Open()
			a.Auth(ike.PayloadIDr, scene.SizeNoChild)
			s.Wait(20 * time.Second)
			a.DPD(0)
		}, "failed, child-sa-refused", "failed, child-sa-refused", "failed, child-sa-refused",
			"auth-failed|responder-auth-rejected", false},
		{"new-nat-address", "libreswan 4.10, issue 1645", func(s *scene.Scene) {
			s.Seen[0] = scene.NAT
			a := s.Working(0)
			s.Seen[0] = outside()
			a.DPD(0) // answered where it came from
			for i := range 30 {
				s.ESP(0, 0xa0000001, uint32(21+i), 100, true)
				s.Seen[0] = scene.NAT // B sends to the old address
				s.ESP(1, 0xb0000001, uint32(21+i), 100, true, scene.Lost)
				s.Seen[0] = outside()
				s.Wait(time.Second)
				if i%10 == 9 {
					a.DPD(0)
				}
			}
		}, "failed, nat-mapping-changed", "degraded, esp-one-way", "degraded, nat-mapping-changed",
			"wrong-peer-address", false},
		{"rekey-on-500", "strongSwan, issue 447", func(s *scene.Scene) {
			s.Seen[0] = scene.NAT
			a := s.Working(0)
			q, _ := rekeyOf(a, 1)
			s.Repeat(5, 1, 500, q, scene.Fate{})
		}, "degraded, rekey-failed", "degraded, rekey-failed", "degraded, rekey-failed",
			"path-blocked|nat-float-missing", false},
		{"rekey-with-cp", "MikroTik and libreswan, setup-ipsec-vpn issue 676", func(s *scene.Scene) {
			a := s.Working(0)
			q, _ := rekeyOf(a, 0)
			s.Repeat(5, 0, 500, q, scene.Fate{})
			s.Wait(10 * time.Second)
			s.SA(0).Up()
			s.OnNewSPIs()
		}, "degraded, rekey-failed", "degraded, rekey-failed", "degraded, rekey-failed",
			"path-blocked|dpd-timeout|sa-flapping", false},
		{"azure-rekey-refused", "Azure and libreswan, issue 765", func(s *scene.Scene) {
			a := s.Working(1)
			for range 3 {
				a.Exchange(ike.CreateChildSA, 1, ike.PayloadN, 300, ike.PayloadN, 8)
				s.Wait(time.Second)
			}
			a.Exchange(ike.Informational, 1, ike.PayloadD, 8, ike.PayloadNone, 0)
			s.Wait(10 * time.Second)
		}, "degraded, rekey-failed", "degraded, rekey-failed", "degraded, rekey-failed",
			"path-blocked|dpd-timeout", false},
		{"twenty-fragments", "Windows and libreswan, request 311", func(s *scene.Scene) {
			a := s.SA(0)
			offer := scene.Proposals(scene.GCM(19))
			s.IKE(0, 500, a.Init(false, offer, scene.Supported(ike.FragmentationSupported)))
			s.IKE(1, 500, a.Init(true, offer, scene.Supported(ike.FragmentationSupported)))
			for range 4 {
				for n := range 20 {
					s.IKE(0, 500, a.SealedPart(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, 400, uint16(n+1), 20))
				}
				s.Wait(2 * time.Second)
			}
		}, "failed, peer-not-answering", "inconclusive, retransmissions-exhausted", "failed, peer-not-answering",
			"ike-fragments-lost|path-blocked|half-open-flood", false},
		{"quick-3-lost", "Openswan, issue 60", func(s *scene.Scene) {
			a := s.V1(0).Phase1()
			q := func(n int) []byte {
				from := []int{0, 1, 0}[n]
				return a.Sealed(ike.V1QuickMode, from, a.Quick, ike.V1PayloadHASH, []int{160, 144, 48}[n])
			}
			s.IKE(0, 500, q(0))
			s.IKE(1, 500, q(1))
			s.IKE(0, 500, q(2), scene.Lost)
			s.Monologue(0, 1, 5, time.Second)
			for i := range 3 {
				s.IKE(1, 500, q(1))
				s.Monologue(0, uint32(6+10*i), 10, time.Second)
			}
		}, "failed, path-loss", "failed, quick-mode-stalled", "failed, quick-mode-stalled",
			"psk-mismatch-v1|quick-mode-refused", false},
		{"cisco-malformed", "strongSwan and Cisco, Azure samples issue 25", func(s *scene.Scene) {
			a := s.V1(0)
			a.Main12(scene.SAv1(scene.Modern(5, 1)), scene.SAv1(scene.Modern(5, 1)))
			a.Main34()
			for range 3 {
				s.IKE(0, 500, a.Main5(0))
				s.IKE(1, 500, a.Info(1, 16))
				s.Wait(4 * time.Second)
			}
		}, "failed, psk-mismatch-v1", "failed, psk-mismatch-v1", "failed, psk-mismatch-v1",
			"malformed-message|response-ignored|error-notify", false},
		{"quick-1-unheard", "Openswan and Cisco VPN 3000, issue 191", func(s *scene.Scene) {
			a := s.V1(0).Phase1()
			for range 3 {
				a.QuickMode(1)
				s.Wait(20 * time.Second)
			}
		}, "failed, peer-not-answering", "failed, quick-mode-stalled", "failed, peer-not-answering",
			"psk-mismatch-v1|path-blocked", false},
		{"init-answers-ignored", "strongSwan, issue 1815", func(s *scene.Scene) {
			a := s.SA(0)
			for range 5 {
				s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
				s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19))))
				s.Wait(4 * time.Second)
			}
		}, "failed, response-ignored", "failed, response-ignored", "inconclusive, retransmissions-exhausted",
			"path-blocked|peer-not-answering", false},
		{"answer-fragments-lost", "libreswan, setup-ipsec-vpn issue 1278", func(s *scene.Scene) {
			s.Seen[0] = scene.NAT
			a := s.SA(0)
			offer := scene.Proposals(scene.GCM(19))
			s.IKE(0, 500, a.Init(false, offer, scene.Supported(ike.FragmentationSupported)))
			s.IKE(1, 500, a.Init(true, offer, scene.Supported(ike.FragmentationSupported)))
			for range 4 {
				for n := range 5 {
					s.IKE(0, 4500, a.SealedPart(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, 400, uint16(n+1), 5))
				}
				for n := range 4 {
					s.IKE(1, 4500, a.SealedPart(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, 400, uint16(n+1), 4), scene.Lost)
				}
				s.Wait(3 * time.Second)
			}
		}, "failed, nat-t-blocked", "inconclusive, retransmissions-exhausted", "inconclusive, retransmissions-exhausted",
			"peer-not-answering|response-ignored", false},
		{"child-made-by-responder", "libreswan, issue 1867", func(s *scene.Scene) {
			a := s.SA(0)
			a.Open()
			s.IKE(0, 500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth))
			a.ID[0] = 2
			s.IKE(1, 500, a.Sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, scene.SizeNoChild))
			m := a.Sealed(ike.CreateChildSA, 1, 0, false, ike.PayloadSA, 180)
			s.IKE(1, 500, m)
			s.Wait(500 * time.Millisecond)
			s.IKE(1, 500, m)
			s.IKE(0, 500, a.Sealed(ike.CreateChildSA, 0, 0, true, ike.PayloadSA, 140))
			a.ID[1] = 1
			s.Dialogue(30, time.Second, scene.Passes)
			a.DPD(0)
		}, "established", "established", "established",
			"auth-failed|rekey-failed|peer-not-answering", false},
		{"no-decapsulation", "strongSwan, issue 861", func(s *scene.Scene) {
			s.Seen[0] = scene.NAT
			a := s.SA(0).Up()
			s.Monologue(0, 1, 40, time.Second)
			a.DPD(0)
			a.DPD(1)
			s.Monologue(0, 41, 20, time.Second)
		}, "degraded, esp-one-way", "degraded, esp-one-way", "degraded, esp-one-way",
			"esp-blocked|dpd-timeout|nat-t-blocked", false},
		{"route-away", "libreswan, issue 514", func(s *scene.Scene) {
			a := s.Working(0)
			q, _ := rekeyOf(a, 0)
			s.Repeat(4, 0, 500, q, scene.Lost)
			b := s.SA(0)
			s.Repeat(3, 0, 500, b.Init(false, scene.Proposals(scene.GCM(19))), scene.Lost)
			s.Wait(8 * time.Second)
			s.SA(0).Up()
			s.OnNewSPIs()
		}, "degraded, path-loss", "degraded, rekey-failed", "established",
			"peer-not-answering|sa-flapping", false},
		{"delete-unanswered", "strongSwan, request 3003", func(s *scene.Scene) {
			a := s.Working(0)
			a.RekeyChild(0)
			id := a.ID[0]
			s.Repeat(5, 0, 500, a.Sealed(ike.Informational, 0, id, false, ike.PayloadD, 12), scene.Fate{})
		}, "degraded, retransmissions-exhausted", "degraded, retransmissions-exhausted",
			"degraded, retransmissions-exhausted",
			"path-blocked|rekey-failed", false},
		{"same-identity", "two gateways with one identity, uniqueids", func(s *scene.Scene) {
			for range 5 {
				a := s.SA(0).Up()
				s.SPI += 0x100
				s.Dialogue(8, time.Second, scene.Passes)
				a.Exchange(ike.Informational, 1, ike.PayloadD, 8, ike.PayloadNone, 0)
				s.Wait(time.Second)
			}
		}, "degraded, sa-flapping", "degraded, sa-flapping", "degraded, sa-flapping",
			"path-blocked|dpd-timeout", false},
		{"cookie-loop", "load balancer before responders with different secrets", func(s *scene.Scene) {
			a := s.SA(0)
			cookie := byte(0)
			for range 6 {
				var more []ike.Payload
				if cookie > 0 {
					more = append(more, &ike.Notify{Number: ike.Cookie, Data: []byte{cookie, 1, 2, 3, 4, 5, 6, 7}})
				}
				s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19)), more...))
				cookie++
				a.R = 0
				s.IKE(1, 500, a.Refusal(ike.Cookie, cookie, 1, 2, 3, 4, 5, 6, 7))
			}
			s.Wait(5 * time.Second)
		}, "failed, inconsistent-answers", "failed, inconsistent-answers", "failed, inconsistent-answers",
			"path-blocked|peer-not-answering", false},
		{"update-unacceptable", "MOBIKE, UNACCEPTABLE_ADDRESSES", func(s *scene.Scene) {
			a := s.Working(0)
			old := s.Addr[0]
			s.Addr[0] = outside()
			a.Exchange(ike.Informational, 0, ike.PayloadN, 64, ike.PayloadN, 8)
			for i := range 30 {
				s.ESP(0, 0xa0000001, uint32(21+i), 100, false)
				s.Addr[0] = old
				s.ESP(1, 0xb0000001, uint32(21+i), 100, false, scene.Lost)
				s.Addr[0] = outside()
				s.Wait(time.Second)
			}
		}, "failed, nat-mapping-changed", "degraded, esp-one-way", "degraded, nat-mapping-changed",
			"sa-deleted", true},
		{"expired-and-deleted-unheard", "IKEv1, lifetimes differ, its Delete is lost", func(s *scene.Scene) {
			a := s.V1(0).Phase1()
			a.QuickMode(3)
			s.Dialogue(20, time.Second, scene.Passes)
			s.IKE(1, 500, a.SealedInfo(1), scene.Lost)
			s.Monologue(0, 21, 60, time.Second)
		}, "degraded, esp-one-way", "degraded, esp-one-way", "degraded, esp-one-way",
			"esp-blocked", false},
		{"main-5-fragment", "DEFENDO: certificates in IKEv1, IP fragments dropped", func(s *scene.Scene) {
			a := s.V1(0)
			a.Main12(scene.SAv1(scene.Modern(14, 3)), scene.SAv1(scene.Modern(14, 3)))
			a.Main34()
			m := a.Sealed(ike.V1MainMode, 0, 0, ike.V1PayloadID, 1648)
			for i := range 3 {
				s.IKE(0, 500, m, scene.Fate{MTU: 1480, Keep: 1})
				if i < 2 {
					s.Wait(10 * time.Second)
					s.IKE(1, 500, a.Main3(1))
				}
			}
		}, "failed, ip-fragments-lost", "failed, main-mode-stalled", "failed, ip-fragments-lost",
			"psk-mismatch-v1|peer-not-answering", false},
		{"child-group-asked", "INVALID_KE_PAYLOAD in CREATE_CHILD_SA, then the group", func(s *scene.Scene) {
			a := s.Working(0)
			a.Exchange(ike.CreateChildSA, 0, ike.PayloadN, 300, ike.PayloadN, 10)
			a.Exchange(ike.CreateChildSA, 0, ike.PayloadN, 220, ike.PayloadSA, 220)
			a.Exchange(ike.Informational, 0, ike.PayloadD, 12, ike.PayloadD, 12)
			s.OnNewSPIs()
			a.DPD(0)
		}, "established", "established", "established",
			"rekey-failed|child-sa-refused|sa-deleted", false},
		{"temporary-failure", "TEMPORARY_FAILURE, then a good rekey", func(s *scene.Scene) {
			a := s.Working(0)
			a.Exchange(ike.CreateChildSA, 0, ike.PayloadN, 180, ike.PayloadN, 8)
			s.Dialogue(1, 10*time.Second, scene.Passes)
			a.RekeyChild(0)
			a.Exchange(ike.Informational, 0, ike.PayloadD, 12, ike.PayloadD, 12)
			s.OnNewSPIs()
			a.DPD(0)
		}, "established", "established", "established",
			"rekey-failed|child-sa-refused|sa-deleted", false},
		{"child-not-found", "CHILD_SA_NOT_FOUND, then a new child", func(s *scene.Scene) {
			a := s.Working(0)
			a.Exchange(ike.CreateChildSA, 0, ike.PayloadN, 180, ike.PayloadN, 12)
			a.Exchange(ike.CreateChildSA, 0, ike.PayloadSA, 168, ike.PayloadSA, 140)
			s.OnNewSPIs()
			a.DPD(0)
		}, "established", "established", "established",
			"child-sa-refused|sa-deleted", false},
		{"no-additional-sas", "NO_ADDITIONAL_SAS, another IKE SA for the second child", func(s *scene.Scene) {
			a := s.Working(0)
			a.Exchange(ike.CreateChildSA, 0, ike.PayloadSA, 168, ike.PayloadN, 8)
			s.GoOn(21, 20, time.Second, scene.Passes)
			a.DPD(0)
		}, "degraded, rekey-failed", "degraded, rekey-failed", "degraded, rekey-failed",
			"path-blocked|sa-deleted", false},
		{"followup-unanswered", "RFC 9370, IKE_FOLLOWUP_KE without an answer", func(s *scene.Scene) {
			a := s.Working(0)
			a.Exchange(ike.CreateChildSA, 0, ike.PayloadN, 250, ike.PayloadSA, 220)
			id := a.ID[0]
			s.Repeat(5, 0, 500, a.Sealed(44, 0, id, false, ike.PayloadKE, 1200), scene.Fate{})
			s.Dialogue(20, time.Second, scene.Passes)
		}, "degraded, rekey-failed", "degraded, rekey-failed", "degraded, rekey-failed",
			"dpd-timeout|path-blocked", false},
		{"followup-done", "RFC 9370, a rekey with an additional key exchange", func(s *scene.Scene) {
			a := s.Working(0)
			a.Exchange(ike.CreateChildSA, 0, ike.PayloadN, 250, ike.PayloadSA, 220)
			a.Exchange(44, 0, ike.PayloadKE, 1200, ike.PayloadKE, 1100)
			a.Exchange(ike.Informational, 0, ike.PayloadD, 12, ike.PayloadD, 12)
			s.OnNewSPIs()
			a.DPD(0)
		}, "established", "established", "established",
			"rekey-failed|sa-deleted", false},
		{"intermediate-fragment", "ML-KEM-768 in IKE_INTERMEDIATE, one fragment lost", func(s *scene.Scene) {
			a := s.SA(0)
			offer := scene.Proposals(append(scene.GCM(19), ike.Transform{Type: 6, ID: 36}))
			for _, response := range []bool{false, true} {
				from := 0
				if response {
					from = 1
				}
				s.IKE(from, 500, a.Init(response, offer, scene.Supported(ike.FragmentationSupported),
					scene.Supported(16438)))
			}
			for range 4 {
				s.IKE(0, 500, a.SealedPart(43, 0, 1, false, ike.PayloadKE, 1100, 1, 2), scene.Lost)
				s.IKE(0, 500, a.SealedPart(43, 0, 1, false, ike.PayloadKE, 200, 2, 2))
				s.Wait(3 * time.Second)
			}
		}, "failed, ike-fragments-lost", "inconclusive, retransmissions-exhausted",
			"inconclusive, retransmissions-exhausted",
			"peer-not-answering|auth-failed", false},
		{"eap-backend-silent", "strongSwan: EAP, the second IKE_AUTH is not answered", func(s *scene.Scene) {
			s.Seen[0] = scene.NAT
			a := s.SA(0)
			a.Open()
			a.Port = 4500
			a.Auth(ike.PayloadIDr, 1100)
			s.Repeat(5, 0, 4500, a.Sealed(ike.IKEAuth, 0, 2, false, ike.PayloadEAP, 40), scene.Fate{})
		}, "failed, peer-not-answering", "inconclusive, retransmissions-exhausted", "failed, peer-not-answering",
			"path-blocked|nat-t-blocked|rekey-failed|dpd-timeout", false},
		{"delete-without-reply", "ASA: no answer to a Delete, a new SA works", func(s *scene.Scene) {
			a := s.Working(0)
			id := a.ID[0]
			s.Repeat(4, 0, 500, a.Sealed(ike.Informational, 0, id, false, ike.PayloadD, 8), scene.Fate{})
			s.SA(0).Up()
			s.OnNewSPIs()
			s.LastSA(0).ID[0] = 2
			s.LastSA(0).DPD(0)
		}, "degraded, retransmissions-exhausted", "degraded, retransmissions-exhausted",
			"degraded, retransmissions-exhausted",
			"path-blocked|sa-flapping", false},
		{"old-delete-unanswered", "no answer to the Delete of the old IKE SA", func(s *scene.Scene) {
			a := s.Working(0)
			a.Exchange(ike.CreateChildSA, 0, ike.PayloadSA, 180, ike.PayloadSA, 180)
			b := s.SA(0)
			id := a.ID[0]
			s.Repeat(4, 0, 500, a.Sealed(ike.Informational, 0, id, false, ike.PayloadD, 8), scene.Fate{})
			s.Dialogue(20, time.Second, func(from, i int) scene.Fate { return scene.Fate{} })
			b.DPD(0)
			b.DPD(1)
		}, "degraded, retransmissions-exhausted", "degraded, retransmissions-exhausted",
			"degraded, retransmissions-exhausted",
			"path-blocked|sa-deleted|sa-flapping", false},
		{"reauthentication", "strongSwan: reauth, break before make", func(s *scene.Scene) {
			a := s.Working(0)
			a.Exchange(ike.Informational, 0, ike.PayloadD, 8, ike.PayloadNone, 0)
			b := s.SA(0).Up()
			s.OnNewSPIs()
			b.DPD(0)
		}, "established", "established", "established",
			"sa-flapping", false},
		{"responder-behind-nat-identity", "AWS, 1:1 NAT: identity is the private address, A ends it",
			func(s *scene.Scene) {
				s.Seen[1] = outside()
				for range 3 {
					a := s.SA(0).Up()
					a.Exchange(ike.Informational, 0, ike.PayloadN, 8, ike.PayloadNone, 0)
					s.Wait(10 * time.Second)
				}
			}, "failed, responder-auth-rejected", "failed, responder-auth-rejected", "failed, responder-auth-rejected",
			"sa-flapping|wrong-peer-address|auth-failed", false},
		{"second-client", "ESP and IKE without NAT-T behind one NAT: answers go to another host",
			func(s *scene.Scene) {
				s.Seen[0] = scene.NAT
				a := s.SA(0)
				for range 5 {
					s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
					s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19))), scene.Lost)
					s.Wait(4 * time.Second)
				}
			}, "failed, path-blocked", "inconclusive, retransmissions-exhausted", "inconclusive, retransmissions-exhausted",
			"peer-not-answering|wrong-peer-address", false},
		{"auth-at-another-box", "k8s/NLB: INIT and AUTH reach different boxes, INVALID_IKE_SPI",
			func(s *scene.Scene) {
				a := s.SA(0)
				a.Open()
				m := a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth)
				for range 4 {
					s.IKE(0, 500, m)
					s.IKE(1, 500, a.Plain(ike.IKEAuth, 1, 1, true, &ike.Notify{Number: ike.InvalidIKESPI}))
					s.Wait(2 * time.Second)
				}
			}, "failed, invalid-spi", "failed, invalid-spi", "failed, invalid-spi",
			"auth-failed|response-ignored", false},
		{"reboot-then-new", "B rebooted: liveness unanswered, then a new SA", func(s *scene.Scene) {
			a := s.Working(0)
			s.Repeat(5, 0, 500, a.Sealed(ike.Informational, 0, a.ID[0], false, ike.PayloadNone, 0), scene.Fate{})
			s.Wait(10 * time.Second)
			s.SA(0).Up()
			s.OnNewSPIs()
		}, "degraded, dpd-timeout", "degraded, dpd-timeout", "degraded, dpd-timeout",
			"path-blocked", false},
		{"slow-backend", "RADIUS takes 9 s: IKE_AUTH is answered late", func(s *scene.Scene) {
			a := s.SA(0)
			a.Open()
			m := a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth)
			s.Repeat(3, 0, 500, m, scene.Fate{})
			s.Wait(3 * time.Second)
			s.IKE(1, 500, a.Sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, scene.SizeAnswer))
			a.ID[0] = 2
			s.Dialogue(20, time.Second, scene.Passes)
			a.DPD(0)
		}, "established", "established", "established",
			"response-ignored|peer-not-answering|retransmissions-exhausted", false},
		{"deletes-the-new", "strongSwan 3042: the new IKE SA of a rekey is deleted at once", func(s *scene.Scene) {
			a := s.Working(0)
			a.Exchange(ike.CreateChildSA, 0, ike.PayloadSA, 180, ike.PayloadSA, 180)
			b := s.SA(0)
			a.Exchange(ike.Informational, 0, ike.PayloadD, 8, ike.PayloadNone, 0)
			s.Dialogue(3, time.Second, scene.Passes)
			b.Exchange(ike.Informational, 0, ike.PayloadD, 8, ike.PayloadNone, 0)
			s.Wait(30 * time.Second)
			s.Noise(0)
			s.Noise(1)
		}, "degraded, sa-deleted", "degraded, sa-deleted", "degraded, sa-deleted",
			"path-blocked", false},
		{"second-tunnel-fails", "two tunnels of the same addresses, of one the keys differ", func(s *scene.Scene) {
			a := s.SA(0).Up()
			for i := range uint32(4) {
				s.GoOn(1+8*i, 8, time.Second, scene.Passes)
				b := s.SA(0)
				b.Open()
				s.IKE(0, 500, b.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth))
				s.IKE(1, 500, b.Sealed(ike.IKEAuth, 1, 1, true, ike.PayloadN, 8))
			}
			a.DPD(0)
		}, "degraded, auth-failed", "degraded, auth-failed", "degraded, auth-failed",
			"sa-flapping|responder-auth-rejected", false},
		{"second-tunnel-fails-first", "the same, and the good one comes up last", func(s *scene.Scene) {
			for range 3 {
				b := s.SA(0)
				b.Open()
				s.IKE(0, 500, b.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth))
				s.IKE(1, 500, b.Sealed(ike.IKEAuth, 1, 1, true, ike.PayloadN, 8))
				s.Wait(5 * time.Second)
			}
			a := s.SA(0).Up()
			s.Dialogue(8, time.Second, scene.Passes)
			a.DPD(0)
		}, "degraded, auth-failed", "degraded, auth-failed", "degraded, auth-failed",
			"sa-flapping|responder-auth-rejected", false},
		{"answers-to-port-500", "PAT of A; B answers to port 500 instead of the port asked from",
			func(s *scene.Scene) {
				s.Seen[0], s.Ports[0] = scene.NAT, 31000
				a := s.SA(0)
				for range 5 {
					s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
					s.Ports[0] = 0
					s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19))), scene.Lost)
					s.Ports[0] = 31000
					s.Wait(4 * time.Second)
				}
			}, "failed, path-blocked", "inconclusive, retransmissions-exhausted", "inconclusive, retransmissions-exhausted",
			"peer-not-answering", false},
		{"crossing-refused", "libreswan 1903: a crossing IKE_SA_INIT is refused, the other comes up",
			func(s *scene.Scene) {
				a, b := s.SA(0), s.SA(1)
				s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
				s.IKE(1, 500, b.Init(false, scene.Proposals(scene.GCM(19))))
				a.R = 0
				s.IKE(1, 500, a.Refusal(ike.NoProposalChosen))
				s.IKE(0, 500, b.Init(true, scene.Proposals(scene.GCM(19))))
				b.Auth(ike.PayloadIDr, scene.SizeAnswer)
				s.Dialogue(20, time.Second, scene.Passes)
				b.DPD(1)
			}, "established", "established", "established",
			"ike-proposal-mismatch", false},
		{"eap-up", "EAP, five rounds, up", func(s *scene.Scene) {
			a := s.SA(0)
			a.Open()
			a.Auth(ike.PayloadIDr, 1100)
			for range 3 {
				a.Exchange(ike.IKEAuth, 0, ike.PayloadEAP, 40, ike.PayloadEAP, 60)
			}
			a.Exchange(ike.IKEAuth, 0, ike.PayloadEAP, 40, ike.PayloadEAP, 8)
			a.Exchange(ike.IKEAuth, 0, ike.PayloadAUTH, 40, ike.PayloadAUTH, 200)
			s.Dialogue(20, time.Second, scene.Passes)
			a.DPD(1)
		}, "established", "established", "established",
			"auth-failed", false},
		{"eap-user-refused", "EAP-Failure after the password", func(s *scene.Scene) {
			for range 2 {
				a := s.SA(0)
				a.Open()
				a.Auth(ike.PayloadIDr, 1100)
				a.Exchange(ike.IKEAuth, 0, ike.PayloadEAP, 40, ike.PayloadEAP, 60)
				a.Exchange(ike.IKEAuth, 0, ike.PayloadEAP, 90, ike.PayloadEAP, 8)
				s.Wait(20 * time.Second)
			}
		}, "failed, auth-failed", "failed, auth-failed", "failed, auth-failed",
			"responder-auth-rejected", false},
		{"eap-client-gives-up", "the user is not asked: silence after the first EAP packet", func(s *scene.Scene) {
			for range 3 {
				a := s.SA(0)
				a.Open()
				a.Auth(ike.PayloadIDr, 1100)
				s.Wait(40 * time.Second)
			}
		}, "degraded, responder-auth-rejected", "degraded, responder-auth-rejected", "degraded, responder-auth-rejected",
			"auth-failed", false},
		{"phase-2-on-idle", "IKEv2: a child SA ends by its idle timer and is made anew, again and again",
			func(s *scene.Scene) {
				a := s.SA(0).Up()
				for i := range 5 {
					s.Dialogue(5, time.Second, scene.Passes)
					a.Exchange(ike.Informational, 1, ike.PayloadD, 12, ike.PayloadD, 12)
					s.Wait(15 * time.Second)
					if i < 4 {
						a.Exchange(ike.CreateChildSA, 0, ike.PayloadSA, 120, ike.PayloadSA, 116)
						s.SPI += 0x100
					}
				}
				a.DPD(0)
			}, "degraded, sa-flapping", "degraded, sa-flapping", "degraded, sa-flapping",
			"rekey-failed", false},
		{"quick-mode-flapping", "phase 2 made and deleted every 20 s, phase 1 stays", func(s *scene.Scene) {
			a := s.V1(0).Phase1()
			for i := range uint32(5) {
				a.Quick = 0x51ab + i
				a.QuickMode(3)
				s.SPI += 0x100
				s.Dialogue(5, time.Second, scene.Passes)
				s.IKE(1, 500, a.SealedInfoOf(1, 0x77aa+i, 64))
				s.Wait(15 * time.Second)
			}
		}, "degraded, sa-flapping", "degraded, sa-flapping", "degraded, sa-flapping",
			"dpd-timeout", false},
		{"no-marker", "IKE_AUTH on UDP 4500 without the non-ESP marker", func(s *scene.Scene) {
			s.Seen[0] = scene.NAT
			a := s.SA(0)
			a.Open()
			m := a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth)
			for range 4 {
				inUDP(s, 0, 4500, m, [2]int{}, nil)
				s.Wait(2 * time.Second)
			}
		}, "failed, peer-not-answering", "inconclusive, retransmissions-exhausted", "failed, peer-not-answering",
			"esp-one-way|established", false},
		{"v1-old-peer-dpd", "IKEv1 DPD never answered since the peer lacks it", func(s *scene.Scene) {
			a := s.V1(0).Phase1()
			a.QuickMode(3)
			for i := range uint32(5) {
				s.SPI += 0x100
				s.Dialogue(10, time.Second, scene.Passes)
				s.IKE(0, 500, a.SealedInfoOf(0, 0x100+i, 80))
			}
		}, "established", "established", "established",
			"dpd-timeout|sa-deleted", false},
		{"two-children-one-rekey-refused", "two child SAs; of one the rekey is refused within seconds of the other's",
			func(s *scene.Scene) {
				a := s.SA(0).Up()
				a.Exchange(ike.CreateChildSA, 0, ike.PayloadSA, 120, ike.PayloadSA, 116)
				s.Dialogue(20, time.Second, scene.Passes)
				a.RekeyChild(1)
				a.Exchange(ike.Informational, 1, ike.PayloadD, 12, ike.PayloadD, 12)
				s.SPI = 0x100
				s.Dialogue(2, time.Second, scene.Passes)
				a.Exchange(ike.CreateChildSA, 0, ike.PayloadN, 180, ike.PayloadN, 8)
				s.GoOn(3, 20, time.Second, scene.Passes)
			}, "degraded, rekey-failed", "degraded, rekey-failed", "degraded, rekey-failed",
			"x", false},
		{"redirect-in-auth", "REDIRECT in IKE_AUTH, then another gateway", func(s *scene.Scene) {
			a := s.SA(0)
			a.Open()
			a.Auth(ike.PayloadIDr, scene.SizeNoChild+10)
			a.Exchange(ike.Informational, 0, ike.PayloadD, 8, ike.PayloadNone, 0)
			b := s.SA(0)
			from := &ike.Notify{Number: ike.RedirectedFrom, Data: []byte{1, 4, 192, 168, 2, 1}}
			m := b.Init(false, scene.Proposals(scene.GCM(19)), from)
			for range 3 {
				s.IKE(0, 500, m, scene.Fate{To: outside(), Lost: true})
				s.Wait(2 * time.Second)
			}
		}, "inconclusive, redirected", "inconclusive, redirected", "failed, child-sa-refused",
			"wrong-peer-address", true},
		{"init-contact-loop", "both begin, each deletes the other's SA, again and again", func(s *scene.Scene) {
			for range 4 {
				a, b := scene.BothBegin(s)
				a.Exchange(ike.Informational, 1, ike.PayloadD, 8, ike.PayloadNone, 0)
				b.Exchange(ike.Informational, 0, ike.PayloadD, 8, ike.PayloadNone, 0)
				s.Wait(3 * time.Second)
			}
			s.Wait(10 * time.Second)
			s.Noise(0)
			s.Noise(1)
		}, "degraded, sa-flapping", "degraded, sa-flapping", "degraded, sa-flapping",
			"", false},
		{"ts-narrowed", "B drops what is not in its narrowed selectors: A's ESP goes on, B answers a part",
			func(s *scene.Scene) {
				a := s.SA(0).Up()
				for i := range uint32(60) {
					s.ESP(0, 0xa0000001, i+1, 100, false)
					if i%6 == 0 {
						s.ESP(1, 0xb0000001, i/6+1, 100, false)
					}
					s.Wait(time.Second)
				}
				a.DPD(0)
			}, "established", "established", "established",
			"esp-loss|esp-one-way", false},
		{"replay-qos", "Cisco: LLQ behind encryption, packets 100 late", func(s *scene.Scene) {
			s.SA(0).Up()
			for i := range uint32(600) {
				f := scene.Fate{}
				if i%50 == 0 {
					f.Late = 300 * time.Millisecond
				}
				s.ESP(0, 0xa0000001, i+1, 100, false, f)
				s.ESP(1, 0xb0000001, i+1, 100, false)
			}
		}, "degraded, esp-replay-window-exceeded", "established", "degraded, esp-replay-window-exceeded",
			"esp-loss|path-loss", false},
		{"inv-spi-after-reboot", "Cisco 115801: B reloads without a word, A sends on; B's own traffic brings a new SA up",
			func(s *scene.Scene) {
				s.SA(0).Up()
				pass(s, 1, 20)
				for i := range uint32(40) {
					s.ESP(0, 0xa0000001, 21+i, 100, false)
					s.Wait(time.Second)
				}
				b := s.SA(1).Up()
				for i := range uint32(40) {
					s.ESP(0, 0xa0000001, 61+i, 100, false)
					s.ESP(1, 0xb0000101, 1+i, 100, false)
					s.Wait(time.Second)
				}
				b.DPD(1)
			}, "degraded, esp-stale-spi", "degraded, esp-stale-spi", "degraded, esp-stale-spi",
			"path-blocked", false},
		{"v1-invalid-spi", "Cisco: INVALID-SPI in clear after a reload, ISAKMP SA gone", func(s *scene.Scene) {
			a := s.V1(0).Phase1()
			a.QuickMode(3)
			pass(s, 1, 20)
			for i := range uint32(20) {
				s.ESP(0, 0xa0000001, 21+i, 100, false)
				if i%5 == 0 {
					n := &ike.NotifyV1{DOI: 1, Protocol: 3, Number: 11, SPI: []byte{0xa0, 0, 0, 1}}
					s.IKE(1, 500, a.Message(ike.V1Informational, 1, 0x99+i, false, n))
				}
				s.Wait(time.Second)
			}
		}, "degraded, invalid-spi", "degraded, invalid-spi", "degraded, invalid-spi",
			"error-notify|path-blocked", false},
		{"asym-encap", "one side sends ESP, the other ESP in UDP (FortiGate nattraversal forced on one side)",
			func(s *scene.Scene) {
				a := s.SA(0).Up()
				for i := range uint32(30) {
					s.ESP(0, 0xa0000001, 1+i, 100, false)
					s.ESP(1, 0xb0000001, 1+i, 100, true)
					s.Wait(time.Second)
				}
				a.DPD(0)
			}, "degraded, esp-encapsulation-differs", "degraded, esp-encapsulation-differs",
			"degraded, esp-encapsulation-differs",
			"esp-blocked", false},
		{"ppk-one-side", "PPK is mandatory on one side: both say USE_PPK, AUTHENTICATION_FAILED",
			func(s *scene.Scene) {
				for range 3 {
					a := s.SA(0)
					offer := scene.Proposals(scene.GCM(19))
					s.IKE(0, 500, a.Init(false, offer, &ike.Notify{Number: 16435}))
					s.IKE(1, 500, a.Init(true, offer, &ike.Notify{Number: 16435}))
					s.IKE(0, 500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, 240))
					s.IKE(1, 500, a.Sealed(ike.IKEAuth, 1, 1, true, ike.PayloadN, 8))
					s.Wait(10 * time.Second)
				}
			}, "failed, auth-failed", "failed, auth-failed", "failed, auth-failed",
			"child-sa-refused", false},
		{"aggressive-nat", "FortiGate dial-up: aggressive mode, third message on 4500 blocked",
			func(s *scene.Scene) {
				s.Seen[0] = scene.NAT
				for range 3 {
					a := s.V1(0)
					for from, first := range []bool{true, false} {
						s.IKE(from, 500, a.Message(ike.V1Aggressive, from, 0, first, scene.SAv1(scene.Modern(14, 1)),
							&ike.BytesV1{Number: ike.V1PayloadKE, Data: make([]byte, 256)},
							&ike.BytesV1{Number: ike.V1PayloadNONCE, Data: make([]byte, 20)}))
					}
					s.IKE(0, 4500, a.Sealed(ike.V1Aggressive, 0, 0, ike.V1PayloadHASH, 64), scene.Lost)
					s.Wait(5 * time.Second)
				}
			}, "failed, nat-t-blocked", "inconclusive, weak-crypto", "failed, main-mode-stalled",
			"psk-mismatch-v1", false},
		{"dpd-one-way-loss", "AWS: B's liveness answered, A's answers lost, B deletes and begins anew",
			func(s *scene.Scene) {
				for range 3 {
					a := s.SA(1).Up()
					s.SPI += 0x100
					s.Dialogue(10, time.Second, scene.Passes)
					m := a.Sealed(ike.Informational, 1, 2, false, ike.PayloadNone, 0)
					yes := a.Sealed(ike.Informational, 0, 2, true, ike.PayloadNone, 0)
					for range 4 {
						s.IKE(1, 500, m)
						s.IKE(0, 500, yes, scene.Lost)
						s.Wait(2 * time.Second)
					}
					s.Wait(3 * time.Second)
				}
			}, "failed, path-blocked", "failed, dpd-timeout", "failed, dpd-timeout",
			"peer-not-answering|response-ignored", false},
		{"simultaneous-rekey-ike", "both rekey the IKE SA, two successors, one is deleted", func(s *scene.Scene) {
			a := s.SA(0).Up()
			pass(s, 1, 10)
			s.IKE(0, 500, a.Sealed(ike.CreateChildSA, 0, 2, false, ike.PayloadSA, 180))
			s.IKE(1, 500, a.Sealed(ike.CreateChildSA, 1, 0, false, ike.PayloadSA, 180))
			s.IKE(1, 500, a.Sealed(ike.CreateChildSA, 1, 2, true, ike.PayloadSA, 180))
			s.IKE(0, 500, a.Sealed(ike.CreateChildSA, 0, 0, true, ike.PayloadSA, 180))
			b, c := s.SA(0), s.SA(1)
			c.Exchange(ike.Informational, 1, ike.PayloadD, 8, ike.PayloadNone, 0)
			s.IKE(0, 500, a.Sealed(ike.Informational, 0, 3, false, ike.PayloadD, 8))
			s.IKE(1, 500, a.Sealed(ike.Informational, 1, 3, true, ike.PayloadNone, 0))
			pass(s, 11, 30)
			b.DPD(0)
			b.DPD(1)
		}, "established", "established", "established",
			"sa-deleted|sa-flapping", false},
		{"temporary-failure-for-ever", "TEMPORARY_FAILURE to each rekey, then B deletes", func(s *scene.Scene) {
			a := s.SA(0).Up()
			pass(s, 1, 10)
			for range 5 {
				a.Exchange(ike.CreateChildSA, 0, ike.PayloadN, 180, ike.PayloadN, 8)
				s.Wait(10 * time.Second)
			}
			a.Exchange(ike.Informational, 1, ike.PayloadD, 12, ike.PayloadD, 12)
			s.Wait(20 * time.Second)
			a.DPD(0)
		}, "degraded, rekey-failed", "degraded, rekey-failed", "degraded, rekey-failed",
			"sa-flapping", false},
		{"child-gone", "the child SA is deleted and not made anew; IKE stays for minutes", func(s *scene.Scene) {
			a := s.SA(0).Up()
			pass(s, 1, 20)
			a.Exchange(ike.Informational, 1, ike.PayloadD, 12, ike.PayloadD, 12)
			for range 6 {
				s.Wait(20 * time.Second)
				a.DPD(0)
			}
		}, "degraded, sa-deleted", "degraded, sa-deleted", "degraded, sa-deleted",
			"path-blocked", false},
		{"child-gone-one-sends", "the child SA is deleted by B; A sends on with it", func(s *scene.Scene) {
			a := s.SA(0).Up()
			pass(s, 1, 20)
			a.Exchange(ike.Informational, 1, ike.PayloadD, 12, ike.PayloadD, 12)
			for i := range uint32(40) {
				s.ESP(0, 0xa0000001, 21+i, 100, false)
				s.Wait(time.Second)
			}
			a.DPD(0)
		}, "degraded, esp-one-way", "degraded, esp-one-way", "degraded, esp-one-way",
			"path-blocked", false},
		{"mm3-lost", "IKEv1 main mode message 3 too large for the path (many vendor IDs), 1 and 2 pass",
			func(s *scene.Scene) {
				a := s.V1(0)
				a.Main12(scene.SAv1(scene.Modern(14, 1)), scene.SAv1(scene.Modern(14, 1)))
				for range 4 {
					s.IKE(0, 500, a.Main3(0), scene.Lost)
					s.Wait(5 * time.Second)
					s.IKE(1, 500, a.Message(ike.V1MainMode, 1, 0, false, scene.SAv1(scene.Modern(14, 1))))
				}
			}, "failed, path-blocked", "failed, main-mode-stalled", "failed, main-mode-stalled",
			"psk-mismatch-v1|peer-not-answering", false},
		{"both-blocked-4500-after-update", "UDP 4500 blocked both ways after the tunnel was up",
			func(s *scene.Scene) {
				s.Seen[0] = scene.NAT
				a := s.SA(0).Up()
				pass(s, 1, 20)
				for i := range uint32(30) {
					s.ESP(0, 0xa0000001, 21+i, 100, true, scene.Lost)
					s.ESP(1, 0xb0000001, 21+i, 100, true, scene.Lost)
					s.Wait(time.Second)
				}
				s.Repeat(5, 0, 4500, a.Sealed(ike.Informational, 0, 2, false, ike.PayloadNone, 0), scene.Lost)
				s.Noise(0)
				s.Noise(1)
			}, "failed, path-blocked", "failed, dpd-timeout", "degraded, esp-one-way",
			"peer-not-answering", false},
		{"init-only-500-blocked-back", "ISP drops UDP 500 answers; the initiator tries 4500 and is up",
			func(s *scene.Scene) {
				a := s.SA(0)
				for range 3 {
					s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
					s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19))), scene.Lost)
					s.Wait(3 * time.Second)
				}
				b := s.SA(0)
				b.Port = 4500
				s.IKE(0, 4500, b.Init(false, scene.Proposals(scene.GCM(19))))
				s.IKE(1, 4500, b.Init(true, scene.Proposals(scene.GCM(19))))
				b.Auth(ike.PayloadIDr, scene.SizeAnswer)
				for i := range uint32(20) {
					s.ESP(0, 0xa0000001, 1+i, 100, true)
					s.ESP(1, 0xb0000001, 1+i, 100, true)
					s.Wait(time.Second)
				}
				b.DPD(0)
			}, "degraded, path-blocked", "degraded, retransmissions-exhausted", "degraded, retransmissions-exhausted",
			"nat-t-blocked|wrong-peer-address", false},
		{"nat-both", "both sides behind NATs", func(s *scene.Scene) {
			s.Seen[0], s.Seen[1] = scene.NAT, outside()
			a := s.SA(0).Up()
			pass(s, 1, 20)
			a.DPD(0)
			a.DPD(1)
		}, "established", "established", "established",
			"wrong-peer-address|nat-mapping-changed", false},
		{"retry-new-spi-each", "MikroTik: every 10 s a new SPI, B's answers are lost", func(s *scene.Scene) {
			for range 12 {
				a := s.SA(0)
				s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
				s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19))), scene.Lost)
				s.Wait(10 * time.Second)
			}
		}, "failed, path-blocked", "inconclusive, retransmissions-exhausted",
			"inconclusive, retransmissions-exhausted",
			"half-open-flood|peer-not-answering", false},
		{"proposal-refused-silently", "FortiGate: no matching gateway, silence; A's SPI new every time",
			func(s *scene.Scene) {
				for range 4 {
					a := s.SA(0)
					s.Repeat(4, 0, 500, a.Init(false, scene.Proposals(scene.GCM(19))), scene.Fate{})
					s.Wait(10 * time.Second)
				}
				s.Noise(1)
			}, "failed, peer-not-answering", "inconclusive, retransmissions-exhausted", "failed, peer-not-answering",
			"path-blocked|half-open-flood", false},
		{"init-syntax", "INVALID_SYNTAX to IKE_SA_INIT", func(s *scene.Scene) {
			a := s.SA(0)
			for range 3 {
				s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
				s.IKE(1, 500, a.Refusal(ike.InvalidSyntax))
				s.Wait(4 * time.Second)
			}
		}, "failed, error-notify", "failed, error-notify", "failed, error-notify",
			"ike-proposal-mismatch|path-blocked", false},
	}
}
