package analysis

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/report"
)

// stream is n ESP packets of side from, each with the fate that f gives it.
func (s *scene) stream(from, n int, f func(i int) fate) {
	for i := range n {
		s.esp(from, 0xa0000001+uint32(from)<<28, uint32(i+1), 100, false, f(i))
	}
}

func arrives(int) fate { return fate{} }

func vanishes(int) fate { return lost }

// oneWay: A sends n packets over so long a time, B none.
func oneWay(n int, each time.Duration) func(*scene) {
	return func(s *scene) {
		a := s.sa(0).up()
		for i := range n {
			s.esp(0, 0xa0000001, uint32(i+1), 100, false)
			s.wait(each)
		}
		a.dpd(0)
	}
}

// dialogue is n ESP packets of each side, one pair at a time.
func (s *scene) dialogue(n int, each time.Duration, f func(from, i int) fate) {
	for i := range n {
		for from := range 2 {
			s.esp(from, 0xa0000001+s.spi+uint32(from)<<28, uint32(i+1), 100, s.seen[0].IsValid(), f(from, i))
		}
		s.wait(each)
	}
}

func passes(int, int) fate { return fate{} }

// monologue is n ESP packets of one side, from a sequence number on.
func (s *scene) monologue(from int, first uint32, n int, each time.Duration) {
	for i := range uint32(n) {
		s.esp(from, 0xa0000001+s.spi+uint32(from)<<28, first+i, 100, s.seen[0].IsValid())
		s.wait(each)
	}
}

// keptSPI: A goes on with its old SPI for n seconds, B uses a new one.
func (s *scene) keptSPI(n int) {
	for i := range uint32(n) {
		s.esp(0, 0xa0000001, 7100+i, 100, false)
		s.esp(1, 0xb0000002, i+1, 100, false)
		s.wait(time.Second)
	}
}

// carry sends a packet of another IP protocol.
func (s *scene) carry(from int, proto byte) {
	s.now += 10 * time.Millisecond
	s.id++
	for at := range 2 {
		s.datagram(from, at, proto, make([]byte, 64), 0, fate{})
	}
}

// arriving are the packets of a capture that came in: those with fewer hops left.
func arriving(all []record) []record {
	return mapRecords(all, func(r record) []record {
		if r.data[22] == 255 {
			return nil
		}
		return []record{r}
	})
}

func espCases() []findingCase {
	return []findingCase{
		{"esp-blocked", hit, "A to B", func(s *scene) {
			a := s.sa(0).up()
			s.stream(0, 10, vanishes)
			s.stream(1, 10, arrives)
			a.dpd(0)
		}, map[string]any{"direction": "A->B", "spi": "0xa0000001", "encapsulation": "esp", "sent": 10, "confidence": "certain"}},
		{"esp-blocked", near, "some arrive", func(s *scene) {
			a := s.sa(0).up()
			s.stream(0, 10, func(i int) fate { return fate{lost: i > 5} })
			s.stream(1, 10, arrives)
			a.dpd(0)
		}, nil},
		{"esp-blocked", hit, "B to A, no IKE at all", func(s *scene) {
			for i := range uint32(40) {
				s.esp(1, 0xb0000001, 7000+i, 100, true, lost)
				s.esp(0, 0xa0000001, 900+i, 100, true)
				s.wait(50 * time.Millisecond)
			}
		}, map[string]any{"direction": "B->A", "spi": "0xb0000001", "encapsulation": "udp", "confidence": "certain"}},
		{"esp-blocked", hit, "from the 41st on", func(s *scene) {
			s.sa(0).up()
			s.dialogue(80, 200*time.Millisecond, func(from, i int) fate { return fate{lost: from == 0 && i >= 40} })
		}, map[string]any{"direction": "A->B", "spi": "0xa0000001"}},
		{"esp-blocked", near, "what was on its way when the capture of B ended", func(s *scene) {
			s.sa(0).up()
			s.dialogue(40, 200*time.Millisecond, passes)
			for i := range uint32(20) {
				s.esp(0, 0xa0000002, i+1, 100, false, lost)
			}
		}, nil},
		{"esp-blocked", near, "to a group", func(s *scene) {
			s.sa(0).up().dpd(0)
			for i := range uint32(20) {
				s.esp(0, 0xa0000009, i+1, 100, false, fate{lost: true, to: netip.MustParseAddr("224.0.0.5")})
				s.wait(time.Second)
			}
			s.sa(0).up().dpd(0)
		}, nil},
		{"esp-blocked", near, "the capture of B holds no ESP at all", func(s *scene) {
			a := s.sa(0).up()
			s.stream(0, 10, vanishes)
			s.stream(1, 10, func(int) fate { return fate{hidden: true} })
			a.dpd(0)
		}, nil},
		{"esp-blocked", none, "healthy", healthy, nil},

		{"esp-one-way", hit, "B sends none", oneWay(10, time.Second), map[string]any{"silent_side": "B", "spi": "0xa0000001", "confidence": "probable"}},
		{"esp-one-way", hit, "B falls silent", func(s *scene) {
			s.sa(0).up()
			s.dialogue(30, 100*time.Millisecond, passes)
			s.monologue(0, 31, 60, 500*time.Millisecond)
		}, map[string]any{"silent_side": "B", "confidence": "probable"}},
		{"esp-one-way", hit, "A falls silent after a rekey, without IKE", func(s *scene) {
			s.dialogue(30, 100*time.Millisecond, passes)
			for i := range uint32(60) {
				s.esp(1, 0xb0000002, i+1, 100, true)
				s.wait(500 * time.Millisecond)
			}
		}, map[string]any{"silent_side": "A"}},
		{"esp-one-way", hit, "nothing comes back, by one capture", func(s *scene) {
			s.alone = true
			oneWay(10, time.Second)(s)
		}, map[string]any{"silent_side": "B", "confidence": "possible"}},
		{"esp-one-way", near, "B has been as quiet before", func(s *scene) {
			s.sa(0).up()
			for range 4 {
				s.dialogue(10, 100*time.Millisecond, passes)
				s.monologue(0, 11, 24, 500*time.Millisecond)
				s.spi += 0x10
			}
		}, nil},
		{"esp-one-way", near, "both are quiet", func(s *scene) {
			s.sa(0).up()
			s.dialogue(30, 100*time.Millisecond, passes)
			s.wait(5 * time.Minute)
			s.monologue(0, 31, 12, time.Millisecond)
		}, nil},
		{"esp-one-way", near, "B sends by another interface than the captured one", func(s *scene) {
			a := s.sa(0).up()
			s.dialogue(30, 100*time.Millisecond, passes)
			a.dpd(0)
			s.rows[1] = arriving(s.rows[1])
			s.rows[0], s.rows[1] = s.rows[1], nil
			s.side[0], s.side[1], s.alone = s.side[1], s.side[0], true
		}, nil},
		{"esp-one-way", near, "three packets prove nothing", oneWay(3, time.Second), nil},
		{"esp-one-way", near, "B's are lost", func(s *scene) {
			a := s.sa(0).up()
			s.stream(0, 10, arrives)
			s.stream(1, 10, vanishes)
			a.dpd(0)
		}, nil},
		{"esp-one-way", none, "healthy", healthy, nil},

		{"esp-stale-spi", hit, "A keeps its SPI after a new IKE SA of B", func(s *scene) {
			s.monologue(0, 7000, 10, time.Second)
			s.sa(1).up()
			s.keptSPI(30)
		}, map[string]any{"side": "A", "spi": "0xa0000001", "newest_spi": "0xb0000002", "confidence": "probable"}},
		{"esp-stale-spi", hit, "B keeps its SPI, in UDP and without IKE", func(s *scene) {
			for i := range uint32(40) {
				s.esp(1, 0xb0000001, 500+i, 100, true)
				spi := uint32(0xa0000001)
				if i >= 10 {
					spi++
				}
				s.esp(0, spi, i+1, 100, true)
				s.wait(time.Second)
			}
		}, map[string]any{"side": "B", "spi": "0xb0000001", "newest_spi": "0xa0000002"}},
		{"esp-stale-spi", hit, "A keeps its SPI after its Delete was answered", func(s *scene) {
			a := s.sa(0).up()
			s.dialogue(30, 100*time.Millisecond, passes)
			a.rekeyChild(1)
			a.exchange(ike.Informational, 1, ike.PayloadD, 12, ike.PayloadD, 12)
			s.keptSPI(9)
		}, map[string]any{"side": "A", "spi": "0xa0000001", "newest_spi": "0xb0000002"}},
		{"esp-stale-spi", near, "A keeps its SPI for as long, and no Delete was answered yet", func(s *scene) {
			a := s.sa(0).up()
			s.dialogue(30, 100*time.Millisecond, passes)
			a.rekeyChild(1)
			s.keptSPI(9)
		}, nil},
		{"esp-stale-spi", near, "A follows after two seconds", func(s *scene) {
			s.monologue(0, 7000, 10, time.Second)
			s.sa(1).up()
			s.keptSPI(2)
			for i := range uint32(30) {
				s.esp(0, 0xa0000002, i+1, 100, false)
				s.esp(1, 0xb0000002, i+10, 100, false)
				s.wait(time.Second)
			}
		}, nil},
		{"esp-stale-spi", near, "B uses both: another child", func(s *scene) {
			a := s.sa(0).up()
			s.dialogue(10, time.Second, passes)
			a.exchange(ike.CreateChildSA, 1, ike.PayloadSA, 200, ike.PayloadSA, 170)
			for i := range uint32(30) {
				s.esp(0, 0xa0000001, i+11, 100, false)
				s.esp(1, 0xb0000001, i+11, 100, false)
				s.esp(1, 0xb0000002, i+1, 100, false)
				s.wait(time.Second)
			}
		}, nil},
		{"esp-stale-spi", none, "healthy", healthy, nil},

		{"esp-sequence-restart", hit, "A begins again", func(s *scene) {
			s.sa(0).up()
			s.dialogue(6, 100*time.Millisecond, passes)
			s.dialogue(4, 100*time.Millisecond, passes)
		}, map[string]any{"direction": "A->B", "spi": "0xa0000001", "highest_before": 6, "restarted_at": 1, "confidence": "certain"}},
		{"esp-sequence-restart", hit, "below what was captured, by B's capture alone", func(s *scene) {
			s.alone = true
			s.sa(0).up()
			s.monologue(1, 5000, 50, 20*time.Millisecond)
			s.monologue(1, 3, 50, 20*time.Millisecond)
			s.rows[0], s.rows[1] = s.rows[1], s.rows[0]
		}, map[string]any{"highest_before": 5049, "restarted_at": 3}},
		{"esp-sequence-restart", near, "every packet is captured twice", func(s *scene) {
			s.twins = [2]bool{true, true}
			s.sa(0).up()
			s.dialogue(20, 100*time.Millisecond, passes)
		}, nil},
		{"esp-sequence-restart", near, "the path delivers a burst again", func(s *scene) {
			s.sa(0).up()
			s.dialogue(20, time.Millisecond, func(int, int) fate { return fate{twice: true} })
		}, nil},
		{"esp-sequence-restart", near, "a new SA happens to have the SPI", func(s *scene) {
			s.sa(0).up()
			s.dialogue(6, 100*time.Millisecond, passes)
			s.sa(0).up()
			s.dialogue(6, 100*time.Millisecond, passes)
		}, nil},
		{"esp-sequence-restart", near, "64-bit numbers wrap", func(s *scene) {
			s.sa(0).up()
			for i := range uint32(20) {
				s.esp(0, 0xa0000001, i-10, 100, false)
				s.esp(1, 0xb0000001, i-10, 100, false)
			}
		}, nil},
		{"esp-sequence-restart", none, "healthy", healthy, nil},

		{"esp-encapsulation-differs", hit, "A in UDP, B not", func(s *scene) {
			s.sa(0).up()
			for i := range uint32(10) {
				s.esp(0, 0xa0000001, i+1, 100, true)
				s.esp(1, 0xb0000001, i+1, 100, false)
			}
		}, map[string]any{"side_a": "udp", "side_b": "esp", "confidence": "certain"}},
		{"esp-encapsulation-differs", near, "both changed, one after the other", func(s *scene) {
			s.sa(0).up()
			s.dialogue(10, 100*time.Millisecond, passes)
			s.esp(0, 0xa0000002, 1, 100, true)
			s.esp(1, 0xb0000001, 11, 100, false)
			for i := range uint32(10) {
				s.esp(0, 0xa0000002, i+2, 100, true)
				s.esp(1, 0xb0000002, i+1, 100, true)
			}
		}, nil},
		{"esp-encapsulation-differs", none, "healthy", healthy, nil},

		{"traffic-in-clear", hit, "GRE of B", func(s *scene) {
			healthy(s)
			for range 5 {
				s.carry(1, 47)
			}
		}, map[string]any{"side": "B", "protocol": "GRE", "packets": 5, "confidence": "certain"}},
		{"traffic-in-clear", near, "pings and BGP between the gateways", func(s *scene) {
			healthy(s)
			for range 5 {
				s.carry(0, 1)
				s.carry(1, 6)
			}
		}, nil},
		{"traffic-in-clear", near, "GRE of others", func(s *scene) {
			healthy(s)
			s.addr[1] = netip.MustParseAddr("203.0.113.99")
			for range 5 {
				s.carry(0, 47)
			}
		}, nil},
		{"traffic-in-clear", none, "healthy", healthy, nil},

		{"esp-loss", hit, "two of twenty", func(s *scene) {
			s.sa(0).up()
			s.stream(0, 20, func(i int) fate { return fate{lost: i == 7 || i == 12} })
			s.stream(1, 20, arrives)
		}, map[string]any{"direction": "A->B", "spi": "0xa0000001", "lost": 2, "sent": 20, "loss_ratio": 0.1, "confidence": "certain"}},
		{"esp-loss", near, "B's capture ended earlier", func(s *scene) {
			s.sa(0).up()
			s.stream(0, 20, arrives)
			s.stream(1, 20, arrives)
			s.wait(30 * time.Second)
			for i := range 10 {
				s.esp(0, 0xa0000001, uint32(21+i), 100, false, lost)
			}
		}, nil},
		{"esp-loss", none, "healthy", healthy, nil},

		{"esp-replay-window-exceeded", hit, "a hundred behind", func(s *scene) {
			s.sa(0).up()
			s.stream(0, 200, func(i int) fate {
				if i == 50 {
					return fate{late: 100 * time.Millisecond}
				}
				return fate{}
			})
			s.stream(1, 20, arrives)
		}, map[string]any{"direction": "A->B", "confidence": "probable"}},
		{"esp-replay-window-exceeded", near, "ten behind", func(s *scene) {
			s.sa(0).up()
			s.stream(0, 200, func(i int) fate {
				if i == 50 {
					return fate{late: 10 * time.Millisecond}
				}
				return fate{}
			})
			s.stream(1, 20, arrives)
		}, nil},
		{"esp-replay-window-exceeded", none, "in order", healthy, nil},
	}
}

// ESP that a device begins to drop is no loss of so many in so many: it is blocked, and the sentence says since when. The last
// packet may have been on its way when the capture ended, so it is not counted.
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
		s := newScene(t)
		s.sa(0).up()
		for i := range 200 {
			s.esp(0, 0xa0000001, uint32(i+1), 100, c.udp, fate{lost: c.lost(i)})
			s.esp(1, 0xb0000001, uint32(i+1), 100, c.udp)
			s.wait(100 * time.Millisecond)
		}
		r := s.compare()
		code := map[bool]string{true: "esp-blocked", false: "esp-loss"}[c.ends]
		found := flatten(t, r).of(code)
		if len(found) != 1 || strings.Contains(fmt.Sprint(found[0]["explanation"]), "up to number 50 and then no more: 149 packets sent") != c.ends {
			t.Errorf("%s: %v", name, found)
		}
		if c.ends != (r.Verdict.Outcome == report.Failed) {
			t.Errorf("%s: verdict %+v", name, r.Verdict)
		}
	}
}

// spokes are tunnels of A with others than B, which work; only A's capture holds them.
func (s *scene) spokes() {
	b := s.addr[1]
	own := func(from int) fate { return fate{lost: from == 0, hidden: from == 1} }
	for i, spoke := range []string{"203.0.113.21", "203.0.113.22"} {
		s.addr[1] = netip.MustParseAddr(spoke)
		a := s.sa(0)
		for n, m := range [][]byte{a.init(false, proposals(gcm(19))), a.init(true, proposals(gcm(19))),
			a.sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, sizeAuth), a.sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, sizeAnswer)} {
			s.ike(n%2, 500, m, own(n%2))
		}
		for n := range uint32(20) {
			s.esp(0, 0xa0000100+uint32(i), n+1, 100, false, own(0))
			s.esp(1, 0xb0000100+uint32(i), n+1, 100, false, own(1))
		}
	}
	s.addr[1] = b
}

// What other peers of a hub do decides nothing: a tunnel that failed is failed although theirs work, and one that works is not theirs.
func TestOtherPeersDecideNothing(t *testing.T) {
	for name, c := range map[string]struct {
		play func(*scene)
		want report.Outcome
	}{
		"ESP to B is blocked": {func(s *scene) {
			s.sa(0).up()
			s.dialogue(30, 50*time.Millisecond, func(from, _ int) fate { return fate{lost: from == 0} })
		}, report.Failed},
		"B refuses": {func(s *scene) {
			a := s.sa(0)
			s.ike(0, 500, a.init(false, proposals(gcm(19))))
			s.ike(1, 500, a.refusal(ike.NoProposalChosen))
		}, report.Failed},
		"ESP alone, B sends none": {func(s *scene) {
			s.monologue(0, 9000, 30, time.Second)
			s.sa(0).up().dpd(0)
		}, report.Degraded},
		"ESP alone, and it passes": {func(s *scene) { s.dialogue(30, time.Second, passes) }, report.Established},
	} {
		s := newScene(t)
		s.spokes()
		c.play(s)
		s.spokes()
		r := s.compare()
		if r.Verdict.Outcome != c.want {
			t.Errorf("%s: %+v, %v", name, r.Verdict, flatten(t, r).codes())
		}
	}
}
