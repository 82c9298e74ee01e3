package analysis_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/analysis/scene"
)

// asksInVain is a negotiation that one side begins and of which nothing arrives.
func asksInVain(s *scene.Scene) {
	s.Repeat(5, 0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Lost)
}

// livesOn is a tunnel that is well.
func livesOn(s *scene.Scene) { s.Working(0) }

// bothAsk is a negotiation that both sides begin while nothing of the first one's arrives.
func bothAsk(s *scene.Scene) {
	asksInVain(s)
	s.Repeat(5, 1, 500, s.SA(1).Init(false, scene.Proposals(scene.GCM(19))), scene.Fate{})
}

// unheard is a negotiation that the second side begins and of which no answer arrives.
func unheard(s *scene.Scene) {
	a := s.SA(1)
	offer := scene.Proposals(scene.GCM(19))
	for range 5 {
		s.IKE(1, 500, a.Init(false, offer))
		s.IKE(0, 500, a.Init(true, offer), scene.Lost)
		s.Wait(time.Second)
	}
}

// livesSealed is a tunnel of which only protected traffic shows.
func livesSealed(s *scene.Scene) {
	s.Dialogue(40, time.Second, scene.Passes)
}

// shared are captures of two tunnels of one gateway, with two addresses of the other side.
func shared(t *testing.T, v6 bool, living, dead func(*scene.Scene)) (s *scene.Scene, good, bad [2]netip.Addr) {
	s = scene.New(t)
	good = s.Addr
	if v6 {
		good = scene.SixAddr
	}
	bad = [2]netip.Addr{good[0], good[1].Next().Next().Next()}
	s.Addr = good
	living(s)
	s.Addr, s.SPI, s.Now = bad, 0x100, 0
	dead(s)
	return s, good, bad
}

func codes(r *report.Report) (all []string) {
	for _, f := range r.Findings {
		all = append(all, f.Code)
	}
	return all
}

// Both captures hold two tunnels of one gateway: the one that is meant is judged by itself, and the
// other one has a line. That holds for each of them, whichever side has the two addresses.
func TestTunnelOfTwoThatShareAnAddress(t *testing.T) {
	for _, tt := range []struct {
		name         string
		living, dead func(*scene.Scene)
		code         string
	}{
		{"asks in vain", livesOn, bothAsk, "path-blocked"},
		{"is not heard", livesOn, unheard, "path-blocked"},
		{"one way", livesOn, oneWay, "esp-one-way"},
		{"refused", livesOn, func(s *scene.Scene) {
			a := s.SA(0)
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
			s.IKE(1, 500, a.Refusal(ike.NoProposalChosen))
		}, "ike-proposal-mismatch"},
		{"traffic beside", livesSealed, bothAsk, "path-blocked"},
	} {
		for _, v6 := range []bool{false, true} {
			for _, turned := range []bool{false, true} {
				name := tt.name + map[bool]string{false: ", IPv4", true: ", IPv6"}[v6] +
					map[bool]string{false: "", true: ", turned"}[turned]
				t.Run(name, func(t *testing.T) {
					s, good, bad := shared(t, v6, tt.living, tt.dead)
					for _, of := range []struct {
						meant, other [2]netip.Addr
						well         bool
					}{{good, bad, true}, {bad, good, false}} {
						a := s.Sides()
						a[0].Address, a[1].Address = of.meant[0], of.meant[1]
						if turned {
							a[0], a[1] = a[1], a[0]
						}
						r, err := analysis.Compare(t.Context(), a[0], &a[1], analysis.Options{})
						if err != nil {
							t.Fatal(err)
						}
						scene.Sound(t, r)
						found := codes(r)
						if well := r.Verdict.ExitCode == 0; well != of.well || slices.Contains(found, tt.code) == of.well ||
							!well && (r.Verdict.Outcome != report.Failed && tt.code == "path-blocked" ||
								slices.Contains(found, "tunnel-established") && tt.code == "path-blocked") {
							t.Errorf("of %v: %v %q, %v", of.meant, r.Verdict.Outcome, r.Verdict.Headline, found)
						}
						named := false
						for _, f := range r.Findings {
							if f.Code == "strangers" {
								named = named || slices.Equal(f.Fields["addresses"].([]string), []string{of.other[1].String()})
							} else if strings.Contains(f.Explanation, of.other[1].String()) {
								t.Errorf("of %v: %s: %s", of.meant, f.Code, f.Explanation)
							}
						}
						if !named {
							t.Errorf("of %v: no line for %s in %v", of.meant, of.other[1], found)
						}
					}
				})
			}
		}
	}
}

// The one file is another gateway's than the inventory says, with which the first has a tunnel,
// too: what both hold is that one's, and of the one that is meant nothing is concluded.
func TestFileOfAnotherGatewaysTunnel(t *testing.T) {
	for name, living := range map[string]func(*scene.Scene){"IKE": livesOn, "traffic": livesSealed} {
		for file := range 2 {
			t.Run(name+map[int]string{0: ", turned", 1: ""}[file], func(t *testing.T) {
				s, _, bad := shared(t, false, living, asksInVain)
				a := s.Sides() // nothing arrives, so that the second capture holds nothing of it
				a[0].Address, a[1].Address = bad[0], bad[1]
				if file == 0 {
					a[0], a[1] = a[1], a[0]
				}
				r, err := analysis.Compare(t.Context(), a[0], &a[1], analysis.Options{})
				if err != nil {
					t.Fatal(err)
				}
				scene.Sound(t, r)
				if r.Verdict.Outcome != report.Inconclusive || !slices.Contains(codes(r), "capture-of-other-tunnel") {
					t.Errorf("%v %q: %v", r.Verdict.Outcome, r.Verdict.Headline, codes(r))
				}
			})
		}
	}
}

// What the one that is meant refuses, or is refused, in the file that is of it, is told all the
// same: the refusal stands in it, and needs no other file.
func TestRefusalBesideAFileOfAnotherGateway(t *testing.T) {
	for name, refused := range map[string]struct {
		play func(s *scene.Scene, from int)
		code string
	}{
		"proposals": {func(s *scene.Scene, from int) {
			a := s.SA(from)
			s.IKE(from, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
			s.IKE(1-from, 500, a.Refusal(ike.NoProposalChosen))
		}, "ike-proposal-mismatch"},
		"authentication": {func(s *scene.Scene, from int) {
			a := s.SA(from)
			a.Open()
			a.Auth(ike.PayloadN, 8)
		}, "auth-failed"},
		"child SA": {func(s *scene.Scene, from int) {
			a := s.SA(from)
			a.Open()
			a.Auth(ike.PayloadIDr, scene.SizeNoChild)
		}, "child-sa-refused"},
		"group": {func(s *scene.Scene, from int) {
			a := s.SA(from)
			s.IKE(from, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
			s.IKE(1-from, 500, a.Refusal(ike.InvalidKEPayload, 0, 20))
			s.Wait(10 * time.Second)
		}, "ke-group-mismatch"},
	} {
		for n := range 8 {
			file, from, shares := n&1, n>>1&1, n>>2 == 1
			t.Run(fmt.Sprintf("%s, file %d, from %d, shared %v", name, file, from, shares), func(t *testing.T) {
				s := scene.New(t)
				refused.play(s, from) // the first file has it
				s.Rows[1] = nil
				if shares {
					s.Addr[1] = netip.MustParseAddr("203.0.113.9") // with whom the first has a tunnel, too
				} else {
					s.Addr = [2]netip.Addr{netip.MustParseAddr("203.0.113.2"), netip.MustParseAddr("203.0.113.9")}
				}
				own := len(s.Rows[0])
				s.SA(0).Up()
				s.Dialogue(10, time.Second, scene.Passes)
				if !shares {
					s.Rows[0] = s.Rows[0][:own]
				}
				a := s.Sides()
				a[0].Address, a[1].Address = scene.A, scene.B
				if file == 1 {
					a[0], a[1] = a[1], a[0]
				}
				r, err := analysis.Compare(t.Context(), a[0], &a[1], analysis.Options{})
				if err != nil {
					t.Fatal(err)
				}
				scene.Sound(t, r)
				found := codes(r)
				if r.Verdict.ExitCode != 2 || !slices.Contains(found, refused.code) {
					t.Errorf("exit %d %q: %v", r.Verdict.ExitCode, r.Verdict.Headline, found)
				}
				// Who asks and is refused may be anybody, so that the other one may be the peer.
				if sure := from == 0 || !shares; sure && (!slices.Contains(found, "capture-of-other-tunnel") ||
					slices.Contains(found, "tunnel-established")) {
					t.Errorf("whose the other file is: %v", found)
				}
			})
		}
	}
}
