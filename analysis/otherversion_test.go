package analysis_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/scene"
)

// standing is a tunnel that came up, of either version of IKE.
type standing struct {
	s  *scene.Scene
	v1 *scene.V1
	v2 *scene.SA
}

func stands(s *scene.Scene, version, from int) standing {
	if version == 1 {
		a := s.V1(from).Phase1()
		a.QuickMode(3)
		return standing{s: s, v1: a}
	}
	return standing{s: s, v2: s.SA(from).Up()}
}

// renew makes a new child SA.
func (u standing) renew() {
	if u.v1 == nil {
		u.v2.RekeyChild(0)
		return
	}
	u.v1.Quick++
	u.v1.QuickMode(3)
}

// replace makes a new IKE SA of one of IKEv2, and a new child SA with that.
func (u standing) replace() {
	u.v2 = u.v2.Renewed(1)
	u.s.Wait(time.Second)
	u.renew()
}

// carry is traffic of both sides, from a sequence number on.
func (u standing) carry(spi, first uint32) {
	for i := range uint32(5) {
		for from := range 2 {
			u.s.ESP(from, 0xa0000001+spi+uint32(from)<<28, first+i, 100, false)
		}
		u.s.Wait(300 * time.Millisecond)
	}
}

// inVain is a negotiation that comes to nothing.
type inVain struct {
	name     string
	version  int
	answered bool // so that it may have made a child SA, for all that one of the captures shows
	play     func(s *scene.Scene, from int)
}

func allInVain() []inVain {
	first := func(a *scene.V1, from int) []byte {
		return a.Sealed(ike.V1QuickMode, from, a.Quick, ike.V1PayloadHASH, 160)
	}
	refused := func(s *scene.Scene, a *scene.V1, from int) {
		a.QuickMode(1)
		s.IKE(1-from, 500, a.SealedInfo(1-from))
	}
	asks := func(a *scene.SA, from int) []byte {
		return a.Sealed(ike.IKEAuth, from, 1, false, ike.PayloadIDi, scene.SizeAuth)
	}
	return []inVain{
		{"Quick Mode refused", 1, false, func(s *scene.Scene, from int) { refused(s, s.V1(from).Phase1(), from) }},
		{"Quick Mode refused after Aggressive Mode", 1, false,
			func(s *scene.Scene, from int) { refused(s, s.V1(from).Aggressive(), from) }},
		{"Quick Mode unanswered", 1, false, func(s *scene.Scene, from int) {
			s.Repeat(5, from, 500, first(s.V1(from).Phase1(), from), scene.Fate{})
		}},
		{"Quick Mode's answer lost", 1, true, func(s *scene.Scene, from int) {
			a := s.V1(from).Phase1()
			for range 4 {
				s.IKE(from, 500, first(a, from))
				s.IKE(1-from, 500, a.Sealed(ike.V1QuickMode, 1-from, a.Quick, ike.V1PayloadHASH, 144), scene.Lost)
				s.Wait(time.Second)
			}
		}},
		{"IKE_AUTH's answer lost", 2, true, func(s *scene.Scene, from int) {
			a := s.SA(from)
			a.Open()
			for range 4 {
				s.IKE(from, 500, asks(a, from))
				s.IKE(1-from, 500, a.Sealed(ike.IKEAuth, 1-from, 1, true, ike.PayloadIDr, scene.SizeAnswer), scene.Lost)
				s.Wait(time.Second)
			}
		}},
		{"IKE_AUTH unanswered", 2, false, func(s *scene.Scene, from int) {
			a := s.SA(from)
			a.Open()
			s.Repeat(5, from, 500, asks(a, from), scene.Fate{})
		}},
		{"EAP fails", 2, false, func(s *scene.Scene, from int) {
			a := s.SA(from)
			a.Open()
			a.Auth(ike.PayloadIDr, 900)
			for range 2 {
				a.Exchange(ike.IKEAuth, from, ike.PayloadEAP, 60, ike.PayloadEAP, 8)
			}
		}},
		{"child SA refused", 2, true, func(s *scene.Scene, from int) {
			a := s.SA(from)
			a.Open()
			a.Auth(ike.PayloadIDr, scene.SizeNoChild)
		}},
		{"responder rejected", 2, true, func(s *scene.Scene, from int) {
			s.SA(from).Up().Exchange(ike.Informational, from, ike.PayloadN, 8, ike.PayloadNone, 0)
		}},
	}
}

// The ESP of a negotiation that comes up proves nothing of another one that failed before it, or
// while it stands, whoever begins them: not of one of the other version of IKE, and of the same
// version not what an older one renews.
func TestESPOfAnotherNegotiationProvesNothing(t *testing.T) {
	for _, f := range allInVain() {
		for _, order := range []string{"then up", "while up, quiet before", "while up", "while up, which renews",
			"while up, which is replaced", "its own version renews", "its own version is replaced"} {
			for n := range 8 {
				from, other, alone := n&1, n>>1&1, n>>2 == 1
				if f.answered && (order == "while up, quiet before" || alone && order == "then up" && from == 1) {
					continue // for all that shows, it made what begins
				}
				name := f.name + "/" + order + map[bool]string{true: ", one capture"}[alone] +
					map[int]string{0: "/A", 1: "/B"}[from] + map[int]string{0: "A", 1: "B"}[other]
				t.Run(name, func(t *testing.T) {
					s := scene.New(t)
					version, which, replaced := 3-f.version, 1, strings.HasSuffix(order, "replaced")
					if strings.HasPrefix(order, "its own version") {
						version = f.version
					}
					switch order {
					case "then up":
						which = 0
						f.play(s, from)
						s.Wait(5 * time.Second)
						stands(s, version, other).carry(0, 1)
					case "while up, quiet before":
						u := stands(s, version, other)
						s.Wait(3 * time.Second)
						f.play(s, from)
						u.carry(0, 1)
					default:
						u := stands(s, version, other)
						u.carry(0, 1)
						f.play(s, from)
						if order == "while up" {
							u.carry(0, 6)
							break
						}
						s.Wait(5 * time.Second)
						if replaced && u.v2 != nil {
							u.replace()
						} else {
							u.renew()
						}
						u.carry(0x100, 1)
					}
					s.Alone = alone
					r := s.Compare()
					scene.Sound(t, r)
					if got := r.Conversations[which].Outcome; got == "established" {
						t.Errorf("what failed is %s: %v", got, codes(r))
					}
					if got := r.Conversations[1-which].Outcome; got != "established" {
						t.Errorf("what came up is %s: %v", got, codes(r))
					}
					for _, found := range r.Findings {
						if found.Code == "tunnel-established" && found.Conversation == r.Conversations[which].ID {
							t.Errorf("%s: %s", found.Code, found.Explanation)
						}
					}
				})
			}
		}
	}
}

// The ESP of an SA that is older than the captures proves nothing of a negotiation that fails in
// them, of whichever version, though it is first seen behind that: its numbers tell. Low numbers do
// where the IKE of the older SA is seen as well.
func TestESPOfAnOlderSAProvesNothing(t *testing.T) {
	for _, f := range allInVain() {
		for n := range 32 {
			from, alone, udp, alive, version := n&1, n>>1&1 == 1, n>>2&1 == 1, n>>3&1 == 1, 1+n>>4&1
			first := uint32(5000)
			if alive {
				first = 100
			}
			name := fmt.Sprintf("%s/%d, udp %v, alone %v, IKEv%d seen %v", f.name, from, udp, alone, version, alive)
			t.Run(name, func(t *testing.T) {
				s := scene.New(t)
				if n%3 == 0 {
					s.Addr = scene.SixAddr
				}
				asks, which := func() {}, 0
				if alive && version == 2 {
					old := s.SA(1 - from)
					asks, which = func() { old.DPD(0) }, 1
				} else if alive {
					old, id := s.V1(1-from), uint32(0x200)
					asks, which = func() {
						s.IKE(0, 500, old.SealedInfoOf(0, id, 80))
						s.IKE(1, 500, old.SealedInfoOf(1, id+1, 80))
						id += 2
					}, 1
				}
				asks()
				asks()
				s.Wait(3 * time.Second)
				f.play(s, from)
				s.Wait(time.Second)
				for i := range uint32(20) {
					s.ESP(0, 0xa0000001, first+i, 100, udp)
					s.ESP(1, 0xb0000001, first+i, 100, udp)
					s.Wait(time.Second)
				}
				asks()
				s.Alone = alone
				r := s.Compare()
				scene.Sound(t, r)
				if got := r.Conversations[which].Outcome; got == "established" {
					t.Errorf("what failed is %s: %v", got, codes(r))
				}
				for _, found := range r.Findings {
					if found.Code == "tunnel-established" && found.Conversation == r.Conversations[which].ID ||
						found.Code == "esp-stale-spi" {
						t.Errorf("%s: %s", found.Code, found.Explanation)
					}
				}
			})
		}
	}
}

// An SA that is made in the captures begins with number 1, so that its ESP tells that the answer
// which no capture holds was there, an older one beside it or not.
func TestESPOfANewSAProvesIt(t *testing.T) {
	for _, older := range []bool{false, true} {
		s := scene.New(t)
		which := 0
		if older {
			s.SA(1).DPD(0)
			which = 1
		}
		a := s.SA(0)
		a.Open()
		s.IKE(0, 500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth))
		s.IKE(1, 500, a.Sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, scene.SizeAnswer),
			scene.Fate{Hidden: true, Lost: true})
		s.Dialogue(20, time.Second, scene.Passes)
		if r := s.Compare(); r.Conversations[which].Outcome != "established" {
			t.Errorf("older %v: %s: %v", older, r.Conversations[which].Outcome, codes(r))
		}
	}
}

// Nor does the ESP of what an IKE SA that is older than the captures renews in them, be it the
// first that is seen of it.
func TestESPThatAnOlderSARenewsProvesNothing(t *testing.T) {
	for _, f := range allInVain() {
		for n := range 48 {
			from, other, alone, seen, version := n&1, n>>1&1, n>>2&1 == 1, n>>3&1 == 1, min(1+n>>4, 2)
			renew := standing.renew
			if n >= 32 {
				renew = standing.replace
			}
			name := fmt.Sprintf("%s/%d, %d, alone %v, IKEv%d seen before %v, replaced %v", f.name, from, other, alone, version,
				seen, n >= 32)
			t.Run(name, func(t *testing.T) {
				s := scene.New(t)
				which := 0
				u := standing{s: s, v1: s.V1(other)}
				if version == 2 {
					u = standing{s: s, v2: s.SA(other)}
				}
				if seen {
					u.renew()
					u.carry(0, 1)
					which = 1
				}
				f.play(s, from)
				s.Wait(5 * time.Second)
				renew(u)
				u.carry(0x100, 1)
				s.Alone = alone
				r := s.Compare()
				scene.Sound(t, r)
				if got := r.Conversations[which].Outcome; got == "established" {
					t.Errorf("what failed is %s: %v", got, codes(r))
				}
				for _, found := range r.Findings {
					if found.Code == "tunnel-established" && found.Conversation == r.Conversations[which].ID {
						t.Errorf("%s: %s", found.Code, found.Explanation)
					}
				}
			})
		}
	}
}

// Nor does the ESP of a negotiation of the same version that had begun already, and agrees on its
// first child SA behind the one that fails.
func TestESPOfANegotiationUnderWayProvesNothing(t *testing.T) {
	for _, f := range allInVain() {
		for n := range 8 {
			from, other, alone := n&1, n>>1&1, n>>2 == 1
			if f.answered {
				continue // for all that shows, it made what begins
			}
			t.Run(fmt.Sprintf("%s/%d, %d, alone %v", f.name, from, other, alone), func(t *testing.T) {
				s := scene.New(t)
				var agree func()
				if f.version == 1 {
					a := s.V1(other).Phase1()
					agree = func() { a.QuickMode(3) }
				} else {
					a := s.SA(other)
					a.Open()
					agree = func() { a.Auth(ike.PayloadIDr, scene.SizeAnswer) }
				}
				f.play(s, from)
				agree()
				standing{s: s}.carry(0, 1)
				s.Alone = alone
				r := s.Compare()
				scene.Sound(t, r)
				if got := [2]string{r.Conversations[0].Outcome, r.Conversations[1].Outcome}; got[0] != "established" ||
					got[1] == "established" {
					t.Errorf("the one that comes up is %s, the one that fails %s: %v", got[0], got[1], codes(r))
				}
			})
		}
	}
}

// Nor does that of another negotiation of the same version in which a side has another address, be
// it later or before, and also where the failed one was answered and may have made a child SA: ESP
// goes between the addresses of its IKE SA.
func TestESPWithAnotherAddressProvesNothing(t *testing.T) {
	for _, f := range allInVain() {
		for n := range 32 {
			from, other, alone, moves, before := n&1, n>>1&1, n>>2&1 == 1, n>>3&1, n>>4 == 1
			name := fmt.Sprintf("%s/%d, %d, alone %v, %d elsewhere, before %v", f.name, from, other, alone, moves, before)
			t.Run(name, func(t *testing.T) {
				s := scene.New(t)
				which, home, backup := 0, s.Addr, s.Addr
				backup[moves] = netip.MustParseAddr("203.0.113.9")
				var u standing
				if before {
					which, s.Addr = 1, backup
					u = stands(s, f.version, other)
					s.Wait(3 * time.Second)
				}
				s.Addr = home
				f.play(s, from)
				s.Addr = backup
				if !before {
					s.Wait(5 * time.Second)
					u = stands(s, f.version, other)
				}
				u.carry(0, 1)
				s.Alone = alone
				r := s.Compare()
				scene.Sound(t, r)
				for i, v := range r.Conversations {
					if len(r.Conversations) == 1 {
						i = which // the other one is not told
					}
					if i == which && v.Outcome == "established" || i != which && v.Outcome != "established" {
						t.Errorf("%d of %d is %s: %v", i, len(r.Conversations), v.Outcome, codes(r))
					}
				}
			})
		}
	}
}
