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

// arriving are the packets of a capture that came in: those with fewer hops left.
func arriving(all []scene.Record) []scene.Record {
	return scene.MapRecords(all, func(r scene.Record) []scene.Record {
		if r.Data[22] == 255 {
			return nil
		}
		return []scene.Record{r}
	})
}

var _ = add(espCases)

func espCases() []findingCase {
	return []findingCase{
		{"esp-blocked", hit, "A to B", func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Stream(0, 10, scene.Vanishes)
			s.Stream(1, 10, scene.Arrives)
			a.DPD(0)
		}, map[string]any{"direction": "A->B", "spi": "0xa0000001", "encapsulation": "esp", "sent": 10, "confidence": "certain"}},
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
		}, map[string]any{"direction": "B->A", "spi": "0xb0000001", "encapsulation": "udp", "confidence": "certain"}},
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
		{"esp-blocked", none, "healthy", scene.Healthy, nil},

		{"esp-one-way", hit, "B sends none", oneWay(10, time.Second), map[string]any{"silent_side": "B", "spi": "0xa0000001", "confidence": "probable"}},
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
		{"esp-one-way", hit, "nothing comes back, by one capture", func(s *scene.Scene) {
			s.Alone = true
			oneWay(10, time.Second)(s)
		}, map[string]any{"silent_side": "B", "confidence": "possible"}},
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
		{"esp-stale-spi", none, "healthy", scene.Healthy, nil},

		{"esp-sequence-restart", hit, "B begins again with numbers that were not seen, and its capture holds all twice", func(s *scene.Scene) {
			s.Twins[1] = true
			s.Monologue(1, 50_000, 40, 100*time.Millisecond)
			s.Monologue(1, 1, 40, 100*time.Millisecond)
			s.Monologue(0, 1, 3, 100*time.Millisecond)
		}, map[string]any{"direction": "B->A", "spi": "0xb0000001"}},
		{"esp-sequence-restart", hit, "A begins again", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Dialogue(6, 100*time.Millisecond, scene.Passes)
			s.Dialogue(4, 100*time.Millisecond, scene.Passes)
		}, map[string]any{"direction": "A->B", "spi": "0xa0000001", "highest_before": 6, "restarted_at": 1, "confidence": "certain"}},
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
		}, map[string]any{"direction": "A->B", "spi": "0xa0000001", "lost": 2, "sent": 20, "loss_ratio": 0.1, "confidence": "certain"}},
		{"esp-loss", near, "B's capture ended earlier", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Stream(0, 20, scene.Arrives)
			s.Stream(1, 20, scene.Arrives)
			s.Wait(30 * time.Second)
			for i := range 10 {
				s.ESP(0, 0xa0000001, uint32(21+i), 100, false, scene.Lost)
			}
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
		if len(found) != 1 || strings.Contains(fmt.Sprint(found[0]["explanation"]), "up to number 50 and then no more: 149 packets sent") != c.ends {
			t.Errorf("%s: %v", name, found)
		}
		if c.ends != (r.Verdict.Outcome == report.Failed) {
			t.Errorf("%s: verdict %+v", name, r.Verdict)
		}
	}
}

// What other peers of a hub do decides nothing: a tunnel that failed is failed although theirs work, and one that works is not theirs.
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
