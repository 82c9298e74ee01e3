package diagnose_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/analysis/scene"
)

// oneWay: A sends n packets over so long a time, B none.
func oneWay(n int, each time.Duration) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.SA(0).Up()
		for i := range n {
			s.ESP(0, 0xa0000001, uint32(i+1), 100, false)
			s.Wait(each)
		}
		a.DPD(0)
	}
}

// fallsSilent: both send for four seconds, then a side no more, and the other one n packets.
func fallsSilent(side, n int, each time.Duration) func(*scene.Scene) {
	return func(s *scene.Scene) {
		s.SA(0).Up()
		s.Dialogue(40, 100*time.Millisecond, scene.Passes)
		s.Monologue(1-side, 41, n, each)
	}
}

// restarts is a tunnel of a second's traffic, which a side then negotiates anew.
func restarts(side int, udp bool, n int) func(*scene.Scene) {
	return func(s *scene.Scene) {
		s.SA(1 - side).Up()
		for i := range uint32(5) {
			for from := range 2 {
				s.ESP(from, 0xa0000001+uint32(from)<<28, i+1, 100, udp)
			}
			s.Wait(200 * time.Millisecond)
		}
		s.SA(side).Up()
		outlived(s, side, udp, n)
	}
}

// outlived: a side sends by a new SPI, the other one goes on with its old one, n packets each.
func outlived(s *scene.Scene, side int, udp bool, n int) {
	for i := range uint32(n) {
		s.ESP(1-side, 0xa0000001+uint32(1-side)<<28, 6+i, 100, udp)
		s.ESP(side, 0xa0000101+uint32(side)<<28, 1+i, 100, udp)
		s.Wait(time.Second)
	}
}

// sameSPI are captures of different hours: in each a tunnel comes up, and A has the same SPI.
func sameSPI(udp bool) func(*scene.Scene) {
	return func(s *scene.Scene) {
		for at := range 2 {
			n := len(s.Rows[1-at])
			s.SA(0).Up()
			for i := range uint32(30) {
				s.ESP(0, 0xa0000001, 1+i, 100, udp)
				s.ESP(1, 0xb0000001+uint32(at), 1+i, 100, udp)
				s.Wait(time.Second)
			}
			s.Rows[1-at] = s.Rows[1-at][:n]
			s.Wait(5 * time.Hour)
		}
	}
}

// vanishing are packets of A that nobody sees arrive.
func vanishing(s *scene.Scene) {
	for i := range uint32(10) {
		s.ESP(0, 0xa0000001, i+1, 100, false, scene.Lost)
		s.Wait(200 * time.Millisecond)
	}
}

// newSA is one that B made, after which A sends from a number on.
func newSA(s *scene.Scene, first uint32) {
	s.SA(1).Up()
	newTraffic(s, first)
}

func newTraffic(s *scene.Scene, first uint32) {
	for i := range uint32(30) {
		s.ESP(0, 0xa0000001, first+i, 100, false)
		s.ESP(1, 0xb0000002, i+1, 100, false)
		s.Wait(time.Second)
	}
}

// arriving are the packets of a capture that came in: those with fewer hops left.
func arriving(all []scene.Record) []scene.Record {
	return scene.MapRecords(all, func(r scene.Record) []scene.Record {
		if r.Data[22] == 255 {
			return nil
		}
		return []scene.Record{r}
	})
}

// leaving is what a side sends itself.
func leaving(all []scene.Record) []scene.Record {
	return scene.MapRecords(all, func(r scene.Record) []scene.Record {
		if r.Data[22] != 255 {
			return nil
		}
		return []scene.Record{r}
	})
}

// losesFrom: of what a side sends in a dialogue, one in so many is lost.
func losesFrom(side, every int) func(from, i int) scene.Fate {
	return func(from, i int) scene.Fate { return scene.Fate{Lost: from == side && i%every == every/2} }
}

// lostSA: A sends on, and B says again and again that it does not know the SPI.
func lostSA(s *scene.Scene) {
	for i := range uint32(8) {
		s.ESP(0, 0xa0000001, i+1, 100, false)
		s.Wait(time.Second)
		if i%2 == 1 {
			s.IKE(1, 500, s.V1(1).Message(ike.V1Informational, 1, 7+i, true,
				&ike.NotifyV1{DOI: 1, Protocol: 3, Number: 11, SPI: []byte{0xa0, 0, 0, 1}}))
		}
	}
}

// What is said again in messages of its own is no further negotiation, and where both captures are
// given, none is asked for.
func TestLostSAIsToldOnce(t *testing.T) {
	s := scene.New(t)
	lostSA(s)
	for _, f := range s.Compare().Findings {
		if strings.Contains(f.Explanation, "further negotiation") ||
			strings.Contains(f.Explanation, "A capture on that side") {
			t.Errorf("%s: %s", f.Code, f.Explanation)
		}
		if f.Code == "invalid-spi" && !strings.Contains(f.Explanation, "The same happened 3 more times.") {
			t.Error(f.Explanation)
		}
	}
}

var _ = add(espCases)

func espCases() []findingCase {
	return []findingCase{
		{"esp-blocked", hit, "A to B", func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Stream(0, 10, scene.Vanishes)
			s.Stream(1, 10, scene.Arrives)
			a.DPD(0)
		}, map[string]any{"direction": "A->B", "spi": "0xa0000001", "encapsulation": "esp", "sent": 10,
			"confidence": "certain"}},
		{"esp-blocked", near, "some arrive", func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Stream(0, 10, func(i int) scene.Fate { return scene.Fate{Lost: i > 5} })
			s.Stream(1, 10, scene.Arrives)
			a.DPD(0)
		}, nil},
		{"esp-blocked", hit, "B to A, no IKE at all", func(s *scene.Scene) {
			for i := range uint32(40) {
				s.ESP(1, 0xb0000001, 7000+i, 100, true, scene.Lost)
				s.ESP(0, 0xa0000001, 900+i, 100, true)
				s.Wait(50 * time.Millisecond)
			}
		}, map[string]any{"direction": "B->A", "spi": "0xb0000001", "encapsulation": "udp", "confidence": "probable"}},
		{"esp-blocked", hit, "B to A, no IKE at all, and another SPI of B's passes", func(s *scene.Scene) {
			for i := range uint32(40) {
				s.ESP(1, 0xb0000001, 7000+i, 100, true, scene.Lost)
				s.ESP(1, 0xb0000002, 300+i, 100, true)
				s.ESP(0, 0xa0000001, 900+i, 100, true)
				s.Wait(50 * time.Millisecond)
			}
		}, map[string]any{"direction": "B->A", "spi": "0xb0000001", "encapsulation": "udp", "confidence": "certain"}},
		{"esp-blocked", hit, "both ways, no IKE at all: or each capture is of one direction", func(s *scene.Scene) {
			s.Dialogue(40, 50*time.Millisecond, func(int, int) scene.Fate { return scene.Lost })
		}, map[string]any{"direction": "B->A", "spi": "0xb0000001", "confidence": "possible"}},
		{"esp-blocked", hit, "from the 41st on", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Dialogue(80, 200*time.Millisecond, func(from, i int) scene.Fate { return scene.Fate{Lost: from == 0 && i >= 40} })
		}, map[string]any{"direction": "A->B", "spi": "0xa0000001"}},
		{"esp-blocked", near, "what was on its way when the capture of B ended", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Dialogue(40, 200*time.Millisecond, scene.Passes)
			for i := range uint32(20) {
				s.ESP(0, 0xa0000002, i+1, 100, false, scene.Lost)
			}
		}, nil},
		{"esp-blocked", hit, "and the capture of B may have ended before", func(s *scene.Scene) {
			s.SA(0).Up()
			vanishing(s)
		}, map[string]any{"direction": "A->B", "sent": 10, "confidence": "probable"}},
		{"esp-blocked", near, "all of it is under way on a slow path when the capture of B ends", func(s *scene.Scene) {
			s.Delay = 500 * time.Millisecond
			s.SA(0).Up()
			for i := range uint32(20) {
				s.ESP(0, 0xa0000001, i+1, 100, false, scene.Lost)
				s.Wait(20 * time.Millisecond)
			}
		}, nil},
		{"esp-blocked", near, "the capture of B began behind it", func(s *scene.Scene) {
			a := s.SA(0).Up()
			vanishing(s)
			s.Rows[1] = nil
			a.DPD(0)
		}, nil},
		{"esp-blocked", near, "the capture of B had ended long before", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Wait(15 * time.Second)
			vanishing(s)
		}, nil},
		{"esp-blocked", near, "to a group", func(s *scene.Scene) {
			s.SA(0).Up().DPD(0)
			for i := range uint32(20) {
				s.ESP(0, 0xa0000009, i+1, 100, false, scene.Fate{Lost: true, To: netip.MustParseAddr("224.0.0.5")})
				s.Wait(time.Second)
			}
			s.SA(0).Up().DPD(0)
		}, nil},
		{"esp-blocked", near, "the capture of B holds no ESP at all", func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Stream(0, 10, scene.Vanishes)
			s.Stream(1, 10, func(int) scene.Fate { return scene.Fate{Hidden: true} })
			a.DPD(0)
		}, nil},
		{"esp-blocked", near, "captures of different hours, in which one SPI is the same", sameSPI(false), nil},
		{"capture-filter-incomplete", near, "captures of different hours, in which one SPI is the same, in UDP",
			sameSPI(true), nil},
		{"capture-windows-disjoint", hit, "one SPI is the same, over IPv6", func(s *scene.Scene) {
			s.Addr = scene.SixAddr
			sameSPI(false)(s)
		}, nil},
		{"capture-windows-disjoint", near, "the same packets, of which all else was left out", func(s *scene.Scene) {
			s.Ahead = 5 * time.Hour
			s.Monologue(0, 1, 30, time.Second)
		}, nil},
		{"esp-blocked", none, "healthy", scene.Healthy, nil},

		{"esp-one-way", hit, "B sends none", oneWay(10, time.Second),
			map[string]any{"silent_side": "B", "spi": "0xa0000001", "confidence": "probable"}},
		{"esp-one-way", hit, "B falls silent", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Dialogue(30, 100*time.Millisecond, scene.Passes)
			s.Monologue(0, 31, 60, 500*time.Millisecond)
		}, map[string]any{"silent_side": "B", "confidence": "probable"}},
		{"esp-one-way", hit, "A falls silent after a rekey, without IKE", func(s *scene.Scene) {
			s.Dialogue(30, 100*time.Millisecond, scene.Passes)
			for i := range uint32(60) {
				s.ESP(1, 0xb0000002, i+1, 100, true)
				s.Wait(500 * time.Millisecond)
			}
		}, map[string]any{"silent_side": "A"}},
		{"esp-one-way", hit, "both captures begin with it, and B says that it lost the SA", lostSA,
			map[string]any{"silent_side": "B", "confidence": "probable", "caused_by": "invalid-spi"}},
		{"esp-one-way", hit, "nothing comes back, by one capture", func(s *scene.Scene) {
			s.Alone = true
			oneWay(10, time.Second)(s)
		}, map[string]any{"silent_side": "B", "confidence": "possible"}},
		{"esp-one-way", hit, "nothing comes back, and the capture of B had ended before", func(s *scene.Scene) {
			s.SA(0).Up()
			n := len(s.Rows[1])
			s.Wait(15 * time.Second) // nobody knows of a capture that ended so long ago
			s.Monologue(0, 1, 10, 200*time.Millisecond)
			s.Rows[1] = s.Rows[1][:n]
		}, map[string]any{"silent_side": "B", "spi": "0xa0000001", "confidence": "possible"}},
		{"esp-one-way", near, "B answers, and its capture had ended before", func(s *scene.Scene) {
			s.SA(0).Up()
			n := len(s.Rows[1])
			s.Wait(15 * time.Second)
			s.Dialogue(10, 200*time.Millisecond, scene.Passes)
			s.Rows[1] = s.Rows[1][:n]
		}, nil},
		{"esp-one-way", near, "the capture of B had ended before, and that of A holds only what leaves",
			func(s *scene.Scene) {
				s.SA(0).Up()
				n := len(s.Rows[1])
				s.Wait(15 * time.Second)
				s.Dialogue(10, 200*time.Millisecond, scene.Passes)
				s.Rows[0], s.Rows[1] = leaving(s.Rows[0]), s.Rows[1][:n]
			}, nil},
		{"esp-one-way", hit, "B falls silent, and the capture of A ends early", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Dialogue(30, 100*time.Millisecond, scene.Passes)
			n := len(s.Rows[0])
			s.Monologue(0, 31, 60, 500*time.Millisecond)
			s.Rows[0] = s.Rows[0][:n]
		}, map[string]any{"silent_side": "B", "confidence": "probable"}},
		{"esp-one-way", hit, "B falls silent shortly before the captures end", fallsSilent(1, 60, 100*time.Millisecond),
			map[string]any{"silent_side": "B", "confidence": "possible", "severity": "warning"}},
		{"esp-one-way", hit, "B falls silent after a second in which it answered each packet", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Dialogue(12, 80*time.Millisecond, scene.Passes)
			s.Monologue(0, 13, 60, 100*time.Millisecond)
		}, map[string]any{"silent_side": "B", "confidence": "possible", "severity": "warning"}},
		{"esp-one-way", near, "B answers each packet for a second, and then A sends others", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Dialogue(12, 80*time.Millisecond, scene.Passes)
			for i := range uint32(60) {
				s.ESP(0, 0xa0000001, 13+i, 1000, false)
				s.Wait(100 * time.Millisecond)
			}
		}, nil},
		{"esp-one-way", hit, "A falls silent shortly before the captures end, over IPv6", func(s *scene.Scene) {
			s.Addr = scene.SixAddr
			fallsSilent(0, 60, 100*time.Millisecond)(s)
		}, map[string]any{"silent_side": "A", "confidence": "possible", "severity": "warning"}},
		{"esp-one-way", hit, "B falls silent with new SAs, shortly before the captures end", func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Dialogue(40, 100*time.Millisecond, scene.Passes)
			a.RekeyChild(0)
			s.SPI = 0x100
			s.Monologue(0, 1, 40, 100*time.Millisecond)
		}, map[string]any{"silent_side": "B", "confidence": "probable", "severity": "critical"}},
		{"esp-one-way", hit, "B falls silent shortly after it began to use new SAs", func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Dialogue(40, 100*time.Millisecond, scene.Passes)
			a.RekeyChild(0)
			s.SPI = 0x100
			s.Dialogue(8, 100*time.Millisecond, scene.Passes)
			s.Monologue(0, 9, 60, 100*time.Millisecond)
		}, map[string]any{"silent_side": "B", "confidence": "possible", "severity": "warning"}},
		{"esp-one-way", near, "B answers twice, and then A sends what wants no answer", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Dialogue(2, 10*time.Millisecond, scene.Passes)
			s.Monologue(0, 3, 80, 100*time.Millisecond)
		}, nil},
		{"esp-one-way", near, "each sends for a while what wants no answer", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Monologue(1, 1, 60, 100*time.Millisecond)
			s.Monologue(0, 1, 80, 100*time.Millisecond)
		}, nil},
		{"esp-one-way", near, "B falls silent beside few packets", fallsSilent(1, 9, 500*time.Millisecond), nil},
		{"esp-one-way", near, "B falls silent for two seconds", fallsSilent(1, 60, 30*time.Millisecond), nil},
		{"esp-one-way", near, "B falls silent for a while, and answers again", func(s *scene.Scene) {
			fallsSilent(1, 60, 100*time.Millisecond)(s)
			s.Monologue(1, 41, 1, time.Second)
			s.Monologue(0, 101, 5, 100*time.Millisecond)
		}, nil},
		{"esp-one-way", near, "B says something each second, and no more shortly before the captures end",
			func(s *scene.Scene) {
				s.SA(0).Up()
				for i := range uint32(8) {
					s.Monologue(1, 1+i, 1, 0)
					s.Monologue(0, 1+10*i, 10, 100*time.Millisecond)
				}
				s.Monologue(0, 81, 60, 100*time.Millisecond)
			}, nil},
		{"esp-one-way", near, "B has been as quiet before", func(s *scene.Scene) {
			s.SA(0).Up()
			for range 4 {
				s.Dialogue(10, 100*time.Millisecond, scene.Passes)
				s.Monologue(0, 11, 24, 500*time.Millisecond)
				s.SPI += 0x10
			}
		}, nil},
		{"esp-one-way", near, "both are quiet", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Dialogue(30, 100*time.Millisecond, scene.Passes)
			s.Wait(5 * time.Minute)
			s.Monologue(0, 31, 12, time.Millisecond)
		}, nil},
		{"esp-one-way", near, "B sends by another interface than the captured one", func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Dialogue(30, 100*time.Millisecond, scene.Passes)
			a.DPD(0)
			s.Rows[1] = arriving(s.Rows[1])
			s.Rows[0], s.Rows[1] = s.Rows[1], nil
			s.Side[0], s.Side[1], s.Alone = s.Side[1], s.Side[0], true
		}, nil},
		{"esp-one-way", near, "B's packets come in by another interface than the captured one", func(s *scene.Scene) {
			s.Alone = true
			s.SA(0).Up()
			s.Dialogue(30, 100*time.Millisecond, scene.Passes)
			s.Rows[0] = leaving(s.Rows[0])
		}, nil},
		{"esp-one-way", near, "three packets prove nothing", oneWay(3, time.Second), nil},
		{"esp-one-way", near, "B's are lost", func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Stream(0, 10, scene.Arrives)
			s.Stream(1, 10, scene.Vanishes)
			a.DPD(0)
		}, nil},
		{"esp-one-way", none, "healthy", scene.Healthy, nil},

		{"esp-stale-spi", hit, "A keeps its SPI after a new IKE SA of B", func(s *scene.Scene) {
			s.Monologue(0, 7000, 10, time.Second)
			s.SA(1).Up()
			s.KeptSPI(30)
		}, map[string]any{"side": "A", "spi": "0xa0000001", "newest_spi": "0xb0000002", "confidence": "probable"}},
		{"esp-stale-spi", hit, "A keeps its SPI, and its capture ended with the new IKE SA", func(s *scene.Scene) {
			s.Monologue(0, 7000, 10, time.Second)
			s.SA(1).Up()
			n := len(s.Rows[0])
			s.KeptSPI(30)
			s.Rows[0] = s.Rows[0][:n]
		}, map[string]any{"side": "A", "spi": "0xa0000001", "newest_spi": "0xb0000002"}},
		{"esp-stale-spi", hit, "A keeps an SPI from before the captures: its numbers are too high for the new one",
			func(s *scene.Scene) { newSA(s, 70000) },
			map[string]any{"side": "A", "spi": "0xa0000001", "newest_spi": "0xb0000002"}},
		{"esp-stale-spi", near, "A's numbers are those of a new SA, but for a few that the capture lacks",
			func(s *scene.Scene) { newSA(s, 40) }, nil},
		{"esp-stale-spi", near, "A's numbers are high, and A's capture began after the new IKE SA", func(s *scene.Scene) {
			s.SA(1).Up()
			n := len(s.Rows[0])
			s.Wait(time.Second)
			newTraffic(s, 70000)
			s.Rows[0] = s.Rows[0][n:]
		}, nil},
		{"esp-stale-spi", hit, "B keeps its SPI, in UDP and without IKE", func(s *scene.Scene) {
			for i := range uint32(40) {
				s.ESP(1, 0xb0000001, 500+i, 100, true)
				spi := uint32(0xa0000001)
				if i >= 10 {
					spi++
				}
				s.ESP(0, spi, i+1, 100, true)
				s.Wait(time.Second)
			}
		}, map[string]any{"side": "B", "spi": "0xb0000001", "newest_spi": "0xa0000002"}},
		{"esp-stale-spi", hit, "A keeps its SPI after its Delete was answered", func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Dialogue(30, 100*time.Millisecond, scene.Passes)
			a.RekeyChild(1)
			a.Exchange(ike.Informational, 1, ike.PayloadD, 12, ike.PayloadD, 12)
			s.KeptSPI(9)
		}, map[string]any{"side": "A", "spi": "0xa0000001", "newest_spi": "0xb0000002"}},
		{"esp-stale-spi", near, "A keeps its SPI for as long, and no Delete was answered yet", func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Dialogue(30, 100*time.Millisecond, scene.Passes)
			a.RekeyChild(1)
			s.KeptSPI(9)
		}, nil},
		{"esp-stale-spi", hit, "the answers to its rekey are lost", func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Dialogue(5, time.Second, scene.Passes)
			for range 4 {
				s.IKE(0, 500, a.Sealed(ike.CreateChildSA, 0, 2, false, ike.PayloadN, 180))
				s.IKE(1, 500, a.Sealed(ike.CreateChildSA, 1, 2, true, ike.PayloadSA, 140), scene.Lost)
				s.Wait(2 * time.Second)
			}
			s.KeptSPI(20)
		}, map[string]any{"side": "A", "caused_by": "path-blocked"}},
		{"esp-stale-spi", near, "A follows after two seconds", func(s *scene.Scene) {
			s.Monologue(0, 7000, 10, time.Second)
			s.SA(1).Up()
			s.KeptSPI(2)
			for i := range uint32(30) {
				s.ESP(0, 0xa0000002, i+1, 100, false)
				s.ESP(1, 0xb0000002, i+10, 100, false)
				s.Wait(time.Second)
			}
		}, nil},
		{"esp-stale-spi", near, "B uses both: another child", func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Dialogue(10, time.Second, scene.Passes)
			a.Exchange(ike.CreateChildSA, 1, ike.PayloadSA, 200, ike.PayloadSA, 170)
			for i := range uint32(30) {
				s.ESP(0, 0xa0000001, i+11, 100, false)
				s.ESP(1, 0xb0000001, i+11, 100, false)
				s.ESP(1, 0xb0000002, i+1, 100, false)
				s.Wait(time.Second)
			}
		}, nil},
		{"esp-stale-spi", hit, "B restarts a second after its SA", restarts(1, false, 30),
			map[string]any{"side": "A", "spi": "0xa0000001", "newest_spi": "0xb0000101", "confidence": "probable"}},
		{"esp-stale-spi", hit, "A restarts a second after its SA, in UDP over IPv6, by B's capture alone",
			func(s *scene.Scene) {
				s.Addr = scene.SixAddr
				restarts(0, true, 30)(s)
				s.OnlyB()
			}, map[string]any{"spi": "0xb0000001", "newest_spi": "0xa0000101"}},
		{"esp-stale-spi", hit, "B restarts a second after its SA of IKEv1", func(s *scene.Scene) {
			s.V1(0).Phase1().QuickMode(3)
			s.Dialogue(5, 200*time.Millisecond, scene.Passes)
			s.V1(1).Phase1().QuickMode(3)
			outlived(s, 1, false, 30)
		}, map[string]any{"side": "A", "spi": "0xa0000001", "newest_spi": "0xb0000101"}},
		{"esp-stale-spi", near, "B restarts a second after its SA, and A follows after two", func(s *scene.Scene) {
			restarts(1, false, 2)(s)
			s.SPI = 0x100
			s.Monologue(0, 1, 30, time.Second)
		}, nil},
		{"esp-stale-spi", near, "B makes another child SA a second after the first, and uses both", func(s *scene.Scene) {
			restarts(1, false, 0)(s)
			for i := range uint32(30) {
				s.ESP(0, 0xa0000001, 6+i, 100, false)
				s.ESP(1, 0xb0000001, 6+i, 100, false)
				s.ESP(1, 0xb0000101, 1+i, 100, false)
				s.Wait(time.Second)
			}
		}, nil},
		{"esp-stale-spi", near, "both began at once, and each uses its own SA", func(s *scene.Scene) {
			scene.BothBegin(s)
			outlived(s, 1, false, 30)
		}, nil},
		{"esp-stale-spi", none, "healthy", scene.Healthy, nil},

		{"esp-sequence-restart", hit, "B begins again with numbers that were not seen, and its capture holds all twice",
			func(s *scene.Scene) {
				s.Twins[1] = true
				s.Monologue(1, 50_000, 40, 100*time.Millisecond)
				s.Monologue(1, 1, 40, 100*time.Millisecond)
				s.Monologue(0, 1, 3, 100*time.Millisecond)
			}, map[string]any{"direction": "B->A", "spi": "0xb0000001"}},
		{"esp-sequence-restart", hit, "A begins again", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Dialogue(6, 100*time.Millisecond, scene.Passes)
			s.Dialogue(4, 100*time.Millisecond, scene.Passes)
		}, map[string]any{"direction": "A->B", "spi": "0xa0000001", "highest_before": 6, "restarted_at": 1,
			"confidence": "certain"}},
		{"esp-sequence-restart", hit, "below what was captured, by B's capture alone", func(s *scene.Scene) {
			s.Alone = true
			s.SA(0).Up()
			s.Monologue(1, 5000, 50, 20*time.Millisecond)
			s.Monologue(1, 3, 50, 20*time.Millisecond)
			s.Rows[0], s.Rows[1] = s.Rows[1], s.Rows[0]
		}, map[string]any{"highest_before": 5049, "restarted_at": 3}},
		{"esp-sequence-restart", near, "every packet is captured twice", func(s *scene.Scene) {
			s.Twins = [2]bool{true, true}
			s.SA(0).Up()
			s.Dialogue(20, 100*time.Millisecond, scene.Passes)
		}, nil},
		{"esp-sequence-restart", near, "the path delivers a burst again", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Dialogue(20, time.Millisecond, func(int, int) scene.Fate { return scene.Fate{Twice: true} })
		}, nil},
		{"esp-sequence-restart", near, "a new SA happens to have the SPI", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Dialogue(6, 100*time.Millisecond, scene.Passes)
			s.SA(0).Up()
			s.Dialogue(6, 100*time.Millisecond, scene.Passes)
		}, nil},
		{"esp-sequence-restart", near, "64-bit numbers wrap", func(s *scene.Scene) {
			s.SA(0).Up()
			for i := range uint32(20) {
				s.ESP(0, 0xa0000001, i-10, 100, false)
				s.ESP(1, 0xb0000001, i-10, 100, false)
			}
		}, nil},
		{"esp-sequence-restart", none, "healthy", scene.Healthy, nil},

		{"esp-encapsulation-differs", hit, "A in UDP, B not", func(s *scene.Scene) {
			s.SA(0).Up()
			for i := range uint32(10) {
				s.ESP(0, 0xa0000001, i+1, 100, true)
				s.ESP(1, 0xb0000001, i+1, 100, false)
			}
		}, map[string]any{"side_a": "udp", "side_b": "esp", "confidence": "certain"}},
		{"esp-encapsulation-differs", hit, "A in UDP, B in TCP", func(s *scene.Scene) {
			s.SA(0).Up()
			for i := range uint32(10) {
				s.ESP(0, 0xa0000001, i+1, 100, true)
				s.ESPinTCP(1, 0xb0000001, i+1, 100)
			}
		}, map[string]any{"side_a": "udp", "side_b": "tcp", "confidence": "certain"}},
		{"esp-encapsulation-differs", near, "both in TCP", func(s *scene.Scene) {
			s.SA(0).Up()
			for i := range uint32(10) {
				s.ESPinTCP(0, 0xa0000001, i+1, 100)
				s.ESPinTCP(1, 0xb0000001, i+1, 100)
			}
		}, nil},
		{"esp-encapsulation-differs", near, "both changed, one after the other", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Dialogue(10, 100*time.Millisecond, scene.Passes)
			s.ESP(0, 0xa0000002, 1, 100, true)
			s.ESP(1, 0xb0000001, 11, 100, false)
			for i := range uint32(10) {
				s.ESP(0, 0xa0000002, i+2, 100, true)
				s.ESP(1, 0xb0000002, i+1, 100, true)
			}
		}, nil},
		{"esp-encapsulation-differs", none, "healthy", scene.Healthy, nil},

		{"traffic-in-clear", hit, "GRE of B", func(s *scene.Scene) {
			scene.Healthy(s)
			for range 5 {
				s.Carry(1, 47)
			}
		}, map[string]any{"side": "B", "protocol": "GRE", "packets": 5, "confidence": "certain"}},
		{"traffic-in-clear", hit, "L2TP that its IPsec does not protect", func(s *scene.Scene) {
			scene.Healthy(s)
			for range 5 {
				s.Datagram(0, 1701, 1701)
			}
		}, map[string]any{"side": "A", "protocol": "L2TP", "packets": 5}},
		{"traffic-in-clear", near, "other UDP between the gateways", func(s *scene.Scene) {
			scene.Healthy(s)
			for range 5 {
				s.Datagram(0, 123, 123)
				s.Datagram(1, 49000, 162)
			}
		}, nil},
		{"traffic-in-clear", near, "pings and BGP between the gateways", func(s *scene.Scene) {
			scene.Healthy(s)
			for range 5 {
				s.Carry(0, 1)
				s.Carry(1, 6)
			}
		}, nil},
		{"traffic-in-clear", near, "GRE of others", func(s *scene.Scene) {
			scene.Healthy(s)
			s.Addr[1] = netip.MustParseAddr("203.0.113.99")
			for range 5 {
				s.Carry(0, 47)
			}
		}, nil},
		{"traffic-in-clear", none, "healthy", scene.Healthy, nil},

		{"esp-loss", hit, "two of twenty", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Stream(0, 20, func(i int) scene.Fate { return scene.Fate{Lost: i == 7 || i == 12} })
			s.Stream(1, 20, scene.Arrives)
		}, map[string]any{"direction": "A->B", "spi": "0xa0000001", "lost": 2, "sent": 20, "loss_ratio": 0.1,
			"confidence": "certain"}},
		{"esp-loss", near, "B's capture ended earlier", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Stream(0, 20, scene.Arrives)
			s.Stream(1, 20, scene.Arrives)
			s.Wait(30 * time.Second)
			for i := range 10 {
				s.ESP(0, 0xa0000001, uint32(21+i), 100, false, scene.Lost)
			}
		}, nil},
		{"esp-loss", hit, "B's capture alone lacks numbers, and none of B's own", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Dialogue(60, 50*time.Millisecond, losesFrom(0, 10))
			s.OnlyB()
			// the last one may still come
		}, map[string]any{"direction": "B->A", "spi": "0xa0000001", "lost": 5, "sent": 59, "loss_ratio": 0.0847,
			"confidence": "probable"}},
		{"esp-loss", hit, "A's capture alone lacks numbers, IPv6, in UDP, no IKE", func(s *scene.Scene) {
			s.Alone, s.Addr = true, scene.SixAddr
			for i := range uint32(60) {
				s.ESP(0, 0xa0000001, 700+i, 100, true)
				s.ESP(1, 0xb0000001, 9000+i, 100, true, scene.Fate{Lost: i%20 == 9 || i%20 == 10})
				s.Wait(50 * time.Millisecond)
			}
		}, map[string]any{"direction": "B->A", "lost": 6, "sent": 60, "confidence": "probable"}},
		{"esp-loss", hit, "an outage, by B's capture alone, and B sends no ESP", func(s *scene.Scene) {
			s.SA(0).Up()
			for i := range uint32(60) {
				s.ESP(0, 0xa0000001, 1+i, 100, false, scene.Fate{Lost: i >= 20 && i < 30})
				s.Wait(50 * time.Millisecond)
			}
			s.OnlyB()
		}, map[string]any{"direction": "B->A", "lost": 10, "sent": 60, "confidence": "possible"}},
		{"esp-loss", hit, "A's capture ended before", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Dialogue(20, 50*time.Millisecond, scene.Passes)
			n := len(s.Rows[0])
			for i := range uint32(60) {
				s.ESP(0, 0xa0000001, 21+i, 100, false, scene.Fate{Lost: i%10 == 5})
				s.ESP(1, 0xb0000001, 21+i, 100, false)
				s.Wait(50 * time.Millisecond)
			}
			s.Rows[0] = s.Rows[0][:n]
		}, map[string]any{"direction": "A->B", "lost": 5, "sent": 59, "confidence": "probable"}},
		{"esp-loss", hit, "most of A's packets, by B's capture alone", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Dialogue(80, 50*time.Millisecond, func(from, i int) scene.Fate {
				return scene.Fate{Lost: from == 0 && i*i%7 > 1}
			})
			s.OnlyB()
		}, map[string]any{"direction": "B->A", "confidence": "possible"}},
		{"esp-loss", near, "B's capture alone, and packets overtake others", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Dialogue(60, 50*time.Millisecond, func(from, i int) scene.Fate {
				return scene.Fate{Late: time.Duration(i%10/9) * 120 * time.Millisecond}
			})
			s.OnlyB()
			s.Rows[0] = s.Rows[0][:len(s.Rows[0])-1]
		}, nil},
		{"esp-loss", near, "B's capture alone, which lacks some of B's own", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Dialogue(60, 50*time.Millisecond, func(from, i int) scene.Fate {
				return scene.Fate{Lost: from == 0 && i%10 == 5, Hidden: from == 1 && i%10 == 5}
			})
			s.OnlyB()
		}, nil},
		{"esp-loss", near, "B's capture alone, of one in four", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Dialogue(80, 50*time.Millisecond, func(from, i int) scene.Fate { return scene.Fate{Lost: from == 0 && i%4 > 0} })
			s.OnlyB()
		}, nil},
		{"esp-loss", near, "A's capture alone, and every other packet comes in by another interface", func(s *scene.Scene) {
			s.Alone = true
			s.SA(0).Up()
			s.Dialogue(80, 50*time.Millisecond, func(from, i int) scene.Fate { return scene.Fate{Lost: from == 1 && i%2 > 0} })
		}, nil},
		{"esp-loss", near, "B's capture alone, and another router of A goes on with higher numbers", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Monologue(0, 1, 30, 50*time.Millisecond)
			s.Monologue(0, 10_031, 30, 50*time.Millisecond)
			s.OnlyB()
		}, nil},
		{"esp-loss", near, "B's capture alone, whose router dropped packets of it", func(s *scene.Scene) {
			grew(1, "show-punt-policer", "75    EPC", 0, 994, func(s *scene.Scene) {
				s.SA(0).Up()
				s.Dialogue(60, 50*time.Millisecond, losesFrom(0, 10))
			})(s)
			s.OnlyB()
		}, nil},
		{"esp-loss", near, "A's capture alone lacks numbers of its own", func(s *scene.Scene) {
			s.Alone = true
			s.SA(0).Up()
			s.Dialogue(60, 50*time.Millisecond, func(from, i int) scene.Fate {
				return scene.Fate{Hidden: from == 0 && i%10 == 5}
			})
		}, nil},
		{"esp-loss", none, "healthy", scene.Healthy, nil},

		{"esp-replay-window-exceeded", hit, "a hundred behind", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Stream(0, 200, func(i int) scene.Fate {
				if i == 50 {
					return scene.Fate{Late: 100 * time.Millisecond}
				}
				return scene.Fate{}
			})
			s.Stream(1, 20, scene.Arrives)
		}, map[string]any{"direction": "A->B", "confidence": "probable"}},
		{"esp-replay-window-exceeded", near, "ten behind", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Stream(0, 200, func(i int) scene.Fate {
				if i == 50 {
					return scene.Fate{Late: 10 * time.Millisecond}
				}
				return scene.Fate{}
			})
			s.Stream(1, 20, scene.Arrives)
		}, nil},
		{"esp-replay-window-exceeded", none, "in order", scene.Healthy, nil},
	}
}

// ESP that a device begins to drop is no loss of so many in so many: it is blocked, and the
// sentence says since when. The last packet may have been on its way when the capture ended, so it
// is not counted.
func TestESPThatPassesNoMore(t *testing.T) {
	for name, c := range map[string]struct {
		udp  bool
		lost func(i int) bool
		ends bool
	}{
		"from the 51st on":         {false, func(i int) bool { return i >= 50 }, true},
		"from the 51st on, in UDP": {true, func(i int) bool { return i >= 50 }, true},
		"an outage in between":     {false, func(i int) bool { return i >= 50 && i < 150 }, false},
		"the last ten":             {false, func(i int) bool { return i >= 190 }, false},
		"every tenth":              {false, func(i int) bool { return i%10 == 9 }, false},
	} {
		s := scene.New(t)
		s.SA(0).Up()
		for i := range 200 {
			s.ESP(0, 0xa0000001, uint32(i+1), 100, c.udp, scene.Fate{Lost: c.lost(i)})
			s.ESP(1, 0xb0000001, uint32(i+1), 100, c.udp)
			s.Wait(100 * time.Millisecond)
		}
		r := s.Compare()
		code := map[bool]string{true: "esp-blocked", false: "esp-loss"}[c.ends]
		found := scene.Flatten(t, r).Of(code)
		if len(found) != 1 ||
			strings.Contains(fmt.Sprint(found[0]["explanation"]),
				"up to number 50 and then no more: 149 packets sent") != c.ends {
			t.Errorf("%s: %v", name, found)
		}
		if c.ends != (r.Verdict.Outcome == report.Failed) {
			t.Errorf("%s: verdict %+v", name, r.Verdict)
		}
	}
}

// What other peers of a hub do decides nothing: a tunnel that failed is failed although theirs
// work, and one that works is not theirs.
func TestOtherPeersDecideNothing(t *testing.T) {
	for name, c := range map[string]struct {
		play func(*scene.Scene)
		want report.Outcome
	}{
		"ESP to B is blocked": {func(s *scene.Scene) {
			s.SA(0).Up()
			s.Dialogue(30, 50*time.Millisecond, func(from, _ int) scene.Fate { return scene.Fate{Lost: from == 0} })
		}, report.Failed},
		"B refuses": {func(s *scene.Scene) {
			a := s.SA(0)
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
			s.IKE(1, 500, a.Refusal(ike.NoProposalChosen))
		}, report.Failed},
		"ESP alone, B sends none": {func(s *scene.Scene) {
			s.Monologue(0, 9000, 30, time.Second)
			s.SA(0).Up().DPD(0)
		}, report.Degraded},
		"ESP alone, and it passes": {func(s *scene.Scene) { s.Dialogue(30, time.Second, scene.Passes) }, report.Established},
	} {
		s := scene.New(t)
		s.Spokes()
		c.play(s)
		s.Spokes()
		r := s.Compare()
		if r.Verdict.Outcome != c.want {
			t.Errorf("%s: %+v, %v", name, r.Verdict, scene.Flatten(t, r).Codes())
		}
	}
}

// One SA that both captures hold, of which one begins or ends anywhere in it, loses nothing for
// that, however its packets overtake each other; and what is lost while both work is counted alone.
func TestESPOfWhichOneCaptureIsCut(t *testing.T) {
	for _, udp := range []bool{false, true} {
		for _, lossy := range []bool{false, true} {
			for side := range 2 {
				for _, ends := range []bool{false, true} {
					for part := 1; part < 8; part++ {
						s := scene.New(t)
						if s.Ahead = time.Hour; !udp {
							s.Addr = scene.SixAddr
						}
						s.SA(0).Up()
						for i := range uint32(80) {
							for from := range 2 {
								s.ESP(from, 0xa0000001+uint32(from)<<28, i+1, 100, udp, scene.Fate{Lost: lossy && i >= 38 && i < 42,
									Late: time.Duration(i%5) * 30 * time.Millisecond})
							}
							s.Wait(40 * time.Millisecond)
						}
						all := s.Sorted(side)
						n := len(all) * part / 8
						if s.Rows[side] = all[n:]; ends {
							s.Rows[side] = all[:n]
						}
						for _, f := range s.Compare().Findings {
							lost, _ := f.Fields["lost"].(uint64)
							if f.Severity == report.Critical || f.Code == "esp-loss" && (!lossy || lost > 4) {
								t.Errorf("UDP %v, lossy %v, side %d, ends %v at %d of 8: %s", udp, lossy, side, ends, part,
									f.Explanation)
							}
						}
					}
				}
			}
		}
	}
}
