package diagnose_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/analysis/scene"
)

// ownFragmentHidden: A's capture has the first fragment of its IKE_AUTH and not the second.
func ownFragmentHidden(s *scene.Scene) *scene.SA {
	a := s.SA(0)
	a.Open()
	s.IKE(0, 500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, 2000), scene.Fate{MTU: 1480, Lost: true})
	s.Rows[0] = s.Rows[0][:len(s.Rows[0])-1]
	s.Wait(time.Second)
	s.Noise(0) // its capture goes on
	return a
}

// otherTunnel puts another tunnel that works into B's capture instead of what it holds.
func otherTunnel(s *scene.Scene, a, b netip.Addr) {
	n := [2]int{len(s.Rows[0]), len(s.Rows[1])}
	s.Addr, s.Now, s.SPI = [2]netip.Addr{a, b}, s.Now/2, 0x1000
	s.SA(0).Up()
	s.Dialogue(10, 100*time.Millisecond, scene.Passes)
	s.Rows[0], s.Rows[1] = s.Rows[0][:n[0]], s.Rows[1][n[1]:]
}

// bothAsk is a path that lets nothing through.
func bothAsk(s *scene.Scene) {
	for from := range 2 {
		s.Repeat(4, from, 500, s.SA(from).Init(false, scene.Proposals(scene.GCM(19))), scene.Lost)
	}
}

// Of captures of two tunnels nothing is concluded: neither that one is up, nor that packets are
// lost.
func TestCapturesOfTwoTunnelsAreInconclusive(t *testing.T) {
	s := scene.New(t)
	scene.Healthy(s)
	s.Dialogue(20, 100*time.Millisecond, scene.Passes)
	otherTunnel(s, netip.MustParseAddr("203.0.113.2"), netip.MustParseAddr("203.0.113.130"))
	r := s.Compare()
	v := r.Verdict
	if v.Outcome != report.Inconclusive || v.ExitCode != 3 || !strings.Contains(v.Headline, "same tunnel") {
		t.Errorf("verdict: %+v", v)
	}
	if len(r.Findings) != 1 || r.Findings[0].Code != "capture-of-other-tunnel" {
		t.Errorf("findings: %v", scene.Flatten(t, r).Codes())
	}
}

func withBuffer(text string) func(*scene.Scene) {
	return func(s *scene.Scene) {
		s.Side[1].Config = map[string]string{"show-capture-buffer": text}
		scene.Healthy(s)
	}
}

func clocks(ahead time.Duration) func(*scene.Scene) {
	return func(s *scene.Scene) { s.Ahead = ahead; scene.Healthy(s) }
}

// rebuilt are captures whose times were put together from listings.
func rebuilt(ahead time.Duration) func(*scene.Scene) {
	return func(s *scene.Scene) {
		for i := range s.Side {
			s.Side[i].TimesGoodTo = time.Second
		}
		clocks(ahead)(s)
	}
}

// An offset is told no better than the captures have their routers' times, in the finding and
// beside the captures alike.
func TestOffsetIsToldAsWellAsItIsKnown(t *testing.T) {
	s := scene.New(t)
	rebuilt(5 * time.Millisecond)(s)
	r := s.Compare()
	for _, f := range r.Findings {
		if f.Code == "clock-offset" && !strings.Contains(f.Explanation, "agree to within 2.1 s.") {
			t.Errorf("%s", f.Explanation)
		}
	}
	if c := r.Clock; c == nil || c.LowMS == nil || *c.LowMS > -1990 || *c.HighMS < 2010 || *c.HighMS > 2020 {
		t.Errorf("clock: %+v", c)
	}
	s = scene.New(t)
	answersLost(s)
	for _, f := range s.Compare().Findings {
		if f.Code == "clock-offset" && !strings.Contains(f.Explanation, " is at most ") {
			t.Errorf("one direction: %s", f.Explanation)
		}
	}
}

var _ = add(captureCases)

func captureCases() []findingCase {
	hiddenAnswers := func(s *scene.Scene) {
		a := s.SA(0)
		for i, m := range [][]byte{a.Init(false, scene.Proposals(scene.GCM(19))),
			a.Init(true, scene.Proposals(scene.GCM(19))),
			a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth),
			a.Sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, scene.SizeAnswer)} {
			s.IKE(i%2, 500, m, scene.Fate{Hidden: i%2 == 1})
		}
	}
	return []findingCase{
		{"capture-one-sided", hit, "A's", func(s *scene.Scene) { scene.Healthy(s); s.Alone = true }, nil},
		{"capture-one-sided", near, "B's is empty", func(s *scene.Scene) {
			s.Repeat(3, 0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Lost)
		}, nil},
		{"capture-one-sided", none, "healthy", scene.Healthy, nil},

		{"capture-empty", hit, "B's", func(s *scene.Scene) {
			s.Repeat(3, 0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Lost)
		}, map[string]any{"side": "B"}},
		{"capture-empty", hit, "B's holds only noise", func(s *scene.Scene) {
			s.Noise(1)
			scene.Healthy(s)
			s.Rows[1] = s.Rows[1][:1]
		}, map[string]any{"side": "B"}},
		{"path-blocked", near, "A's capture is empty, and what it asked once is answered once", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Rows[0] = nil
			s.Noise(0)
		}, nil},
		{"path-blocked", hit, "A's capture is empty, and what it asked is answered and asked again", func(s *scene.Scene) {
			a := s.SA(0)
			for range 3 {
				s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
				s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19))), scene.Lost)
				s.Wait(2 * time.Second)
			}
			s.Rows[0] = nil
			s.Noise(0)
		}, map[string]any{"direction": "B->A", "confidence": "probable"}},
		{"capture-empty", near, "both are", func(*scene.Scene) {}, nil},
		{"capture-empty", near, "it holds one packet", func(s *scene.Scene) { scene.Healthy(s); s.Rows[1] = s.Rows[1][:1] },
			nil},
		{"capture-empty", none, "healthy", scene.Healthy, nil},

		{"capture-of-other-tunnel", hit, "other gateways", func(s *scene.Scene) {
			scene.Healthy(s)
			otherTunnel(s, netip.MustParseAddr("203.0.113.2"), netip.MustParseAddr("203.0.113.130"))
		}, nil},
		{"capture-of-other-tunnel", hit, "another spoke of A", func(s *scene.Scene) {
			scene.Healthy(s)
			otherTunnel(s, scene.A, netip.MustParseAddr("192.168.3.1"))
		}, nil},
		{"capture-of-other-tunnel", hit, "not the inventory's", func(s *scene.Scene) {
			scene.Known(s)
			scene.Healthy(s)
			otherTunnel(s, netip.MustParseAddr("203.0.113.2"), netip.MustParseAddr("203.0.113.130"))
		}, nil},
		{"capture-of-other-tunnel", near, "both ask, and nothing arrives", func(s *scene.Scene) { bothAsk(s) }, nil},
		{"capture-of-other-tunnel", near, "the same behind a NAT",
			func(s *scene.Scene) { s.Seen[0] = scene.NAT; bothAsk(s) }, nil},
		{"capture-of-other-tunnel", near, "behind two NATs that the inventory has", func(s *scene.Scene) {
			s.Seen = [2]netip.Addr{scene.NAT, netip.MustParseAddr("198.51.100.2")}
			for i := range s.Side {
				s.Side[i].Address, s.Side[i].NATAddress = s.Addr[i], s.Seen[i]
			}
			bothAsk(s)
		}, nil},
		{"capture-of-other-tunnel", near, "A's peer is another one, too, and B is not answered", func(s *scene.Scene) {
			s.Repeat(4, 1, 500, s.SA(1).Init(false, scene.Proposals(scene.GCM(19))), scene.Lost)
			kept := s.Rows[1]
			s.Addr[1] = netip.MustParseAddr("192.168.3.1")
			scene.Healthy(s)
			s.Rows[1] = kept
		}, nil},
		{"capture-of-other-tunnel", near, "another spoke of A, or B behind a NAT an hour later", func(s *scene.Scene) {
			scene.Healthy(s)
			s.Wait(2 * time.Hour)
			otherTunnel(s, scene.A, netip.MustParseAddr("192.168.3.1"))
		}, nil},
		{"capture-of-other-tunnel", near, "another SA of the same two", func(s *scene.Scene) {
			scene.Healthy(s)
			otherTunnel(s, scene.A, scene.B)
		}, nil},
		{"capture-of-other-tunnel", near, "B's is empty", func(s *scene.Scene) { scene.Healthy(s); s.Rows[1] = nil }, nil},
		{"capture-of-other-tunnel", near, "B's has what A sends alone", func(s *scene.Scene) {
			s.Seen[0] = scene.NAT
			a := s.SA(0)
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
			s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19))), scene.Fate{Hidden: true})
			s.Rows[0] = s.Rows[0][1:]
		}, nil},
		{"capture-of-other-tunnel", none, "healthy", scene.Healthy, nil},
		{"capture-of-other-tunnel", none, "one capture", func(s *scene.Scene) { scene.Healthy(s); s.Alone = true }, nil},

		{"capture-unreadable", hit, "a link type", func(s *scene.Scene) {
			scene.Healthy(s)
			s.Side[1].Open = scene.Opener(scene.PcapOf(s.Sorted(1), 147))
		}, map[string]any{"side": "B", "link_type": "link type 147", "wrapping": "link type 147"}},
		{"capture-unreadable", hit, "a tag, one capture alone", func(s *scene.Scene) {
			scene.Healthy(s)
			s.Alone = true
			retype(s.Rows[0], 0x88e5, 0x2c)
		}, map[string]any{"side": "A", "wrapping": "MACsec, encrypted"}},
		{"capture-unreadable", near, "a few frames of another protocol", func(s *scene.Scene) {
			scene.Healthy(s)
			s.Noise(1)
			s.Noise(1)
			s.Noise(1)
			retype(s.Rows[1][len(s.Rows[1])-1:], 0x4242, 0)
		}, nil},
		{"capture-unreadable", near, "nothing but ARP",
			func(s *scene.Scene) { scene.Healthy(s); retype(s.Rows[1], 0x0806, 0) }, nil},
		{"capture-unreadable", none, "healthy", scene.Healthy, nil},
		{"capture-empty", near, "what it holds is not read",
			func(s *scene.Scene) { scene.Healthy(s); retype(s.Rows[1], 0x88e5, 0x2c) }, nil},
		{"capture-empty", near, "it holds a fragment", func(s *scene.Scene) {
			s.IKE(0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Fate{MTU: 160, Keep: 1})
		}, nil},

		{"strangers", hit, "a scanner of both", func(s *scene.Scene) { scanner(s, 0, 1); scene.Healthy(s) },
			map[string]any{"side": "B", "addresses": []any{"203.0.113.77"}, "packets": 3}},
		{"strangers", hit, "a scanner of one", func(s *scene.Scene) { scene.Healthy(s); scanner(s, 0) },
			map[string]any{"side": "A", "packets": 3}},
		{"strangers", hit, "one capture alone", func(s *scene.Scene) { scene.Healthy(s); scanner(s, 0); s.Alone = true },
			map[string]any{"side": "A"}},
		{"strangers", hit, "the path is blocked", func(s *scene.Scene) {
			s.Repeat(4, 0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Lost)
			scanner(s, 1)
		}, map[string]any{"side": "B"}},
		{"strangers", near, "A is behind a NAT", func(s *scene.Scene) { s.Seen[0] = scene.NAT; scene.Healthy(s) }, nil},
		{"strangers", near, "both are behind one NAT",
			func(s *scene.Scene) { s.Seen = [2]netip.Addr{scene.NAT, scene.NAT}; scene.Healthy(s) }, nil},
		{"strangers", near, "A asks another address", func(s *scene.Scene) {
			s.Repeat(4, 0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))),
				scene.Fate{Lost: true, To: netip.MustParseAddr("203.0.113.9")})
			s.Repeat(4, 1, 500, s.SA(1).Init(false, scene.Proposals(scene.GCM(19))), scene.Lost)
		}, nil},
		{"strangers", hit, "the peer is a key server, too", func(s *scene.Scene) { scene.Healthy(s); groupKeys(s) },
			map[string]any{"side": "B", "addresses": []any{"192.168.1.1"}, "packets": 3}},
		{"strangers", hit, "group keys of another key server, in vain", func(s *scene.Scene) {
			scene.Healthy(s)
			s.Addr[1] = netip.MustParseAddr("203.0.113.99")
			groupKeys(s)
		}, map[string]any{"side": "A", "addresses": []any{"203.0.113.99"}, "packets": 3}},
		{"capture-empty", near, "group keys, and no tunnel at all", groupKeys, nil},
		{"strangers", none, "healthy", scene.Healthy, nil},

		{"capture-windows-disjoint", hit, "an hour between them", func(s *scene.Scene) {
			scene.Healthy(s)
			n := len(s.Rows[1])
			s.Wait(time.Hour)
			s.SA(0).Up()
			s.Rows[0], s.Rows[1] = s.Rows[0][:n], s.Rows[1][n:]
		}, nil},
		{"capture-windows-disjoint", near, "only the clocks are", clocks(time.Hour), nil},
		{"capture-windows-disjoint", near, "one ends in the middle of the other",
			func(s *scene.Scene) { scene.Healthy(s); s.Rows[1] = s.Rows[1][:8] }, nil},
		{"capture-windows-disjoint", none, "healthy", scene.Healthy, nil},

		{"capture-truncated-packets", hit, "120 bytes", func(s *scene.Scene) { s.Snap[1] = 120; scene.Healthy(s) },
			map[string]any{"side": "B", "packets": 4}},
		{"capture-truncated-packets", near, "only ESP is cut", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Snap[1] = 120
			s.Traffic(5, false)
		}, nil},
		{"capture-truncated-packets", none, "healthy", scene.Healthy, nil},

		{"capture-buffer-full", hit, "packets were dropped", withBuffer(scene.Buffer("10240", "31")),
			map[string]any{"side": "B"}},
		{"capture-buffer-full", hit, "its size was reached", withBuffer(scene.Buffer("10240", "0")),
			map[string]any{"side": "B"}},
		{"capture-buffer-full", near, "half full", withBuffer(scene.Buffer("5120", "0")), nil},
		{"capture-buffer-full", none, "nothing was collected", scene.Healthy, nil},

		{"transfer-host-key-changed", hit, "B's", func(s *scene.Scene) {
			scene.Healthy(s)
			s.Side[1].TransferHostKey = "its host key is not the one that is known: it presents SHA256:abc"
		}, map[string]any{"side": "B"}},
		{"transfer-host-key-changed", near, "another side's is not B's",
			func(s *scene.Scene) { scene.Healthy(s); s.Side[1].TransferHostKey = "" }, nil},
		{"transfer-host-key-changed", none, "healthy", scene.Healthy, nil},

		{"capture-rate-limited", hit, "a ceiling of 1000", scene.Busy(4, 1000), map[string]any{"pps": 1000}},
		{"capture-rate-limited", near, "far below", scene.Busy(4, 400), nil},
		{"capture-rate-limited", near, "far above: no limit was there", scene.Busy(4, 1500), nil},
		{"capture-rate-limited", none, "healthy", scene.Healthy, nil},

		{"capture-filter-incomplete", near, "A's capture cuts IKE's header",
			func(s *scene.Scene) { s.Snap[0] = 64; scene.Healthy(s) }, nil},
		{"capture-filter-incomplete", near, "B's capture cuts IKE's header",
			func(s *scene.Scene) { s.Snap[1] = 64; scene.Healthy(s) }, nil},
		{"capture-filter-incomplete", near, "ESP in UDP in fragments", largeESP(true, scene.Fate{MTU: 1480}), nil},
		{"capture-filter-incomplete", hit, "nothing is in both captures", nothingShared,
			map[string]any{"side": "A", "confidence": "possible"}},
		{"capture-filter-incomplete", hit, "one direction only", hiddenAnswers, map[string]any{"side": "B", "hidden": 1}},
		{"capture-filter-incomplete", hit, "500 without 4500", func(s *scene.Scene) {
			s.Seen[0] = scene.NAT
			a := s.SA(0)
			a.Open()
			s.IKE(0, 4500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth), scene.Lost)
			s.IKE(1, 4500, a.Sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, scene.SizeAnswer), scene.Fate{Hidden: true})
			s.Wait(time.Second)
			s.Noise(1) // B's capture is still at work
		}, map[string]any{"side": "B", "hidden": 2}},
		{"capture-filter-incomplete", hit, "the second fragment of its own", func(s *scene.Scene) { ownFragmentHidden(s) },
			map[string]any{"side": "A"}},
		{"capture-filter-incomplete", hit, "500 without 4500 on both sides", func(s *scene.Scene) {
			s.Seen[0] = scene.NAT
			s.SA(0).Open()
			s.Wait(30 * time.Second) // it gives up and begins anew
			s.SA(0).Open()
		}, map[string]any{"side": "A", "hidden": 1}},
		{"capture-filter-incomplete", near, "behind a NAT, both end with the answer", func(s *scene.Scene) {
			s.Seen[0] = scene.NAT
			s.SA(0).Open()
		}, nil},
		{"capture-filter-incomplete", hit, "500 without 4500 on both sides, main mode", func(s *scene.Scene) {
			s.Seen[1] = scene.NAT
			a := s.V1(0)
			a.Main12(scene.SAv1(scene.Modern(14, 1)), scene.SAv1(scene.Modern(14, 1)))
			a.Main34()
			s.Wait(time.Minute)
			s.Noise(0)
		}, map[string]any{"side": "A"}},
		{"capture-filter-incomplete", near, "behind a NAT, the answer is not taken", func(s *scene.Scene) {
			s.Seen[0] = scene.NAT
			a := s.SA(0)
			a.Open()
			s.Repeat(3, 0, 500, a.Init(false, scene.Proposals(scene.GCM(19))), scene.Fate{})
		}, nil},
		{"capture-filter-incomplete", near, "no NAT, and nothing after the answer", func(s *scene.Scene) { s.SA(0).Open() },
			nil},
		{"capture-filter-incomplete", near, "the answers are lost", answersLost, nil},
		{"capture-filter-incomplete", near, "B's ended early", func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Traffic(20, false)
			n := len(s.Rows[1])
			s.Traffic(40, false)
			a.DPD(0)
			s.Rows[1] = s.Rows[1][:n]
		}, nil},
		{"capture-filter-incomplete", near, "A's began late, in UDP", func(s *scene.Scene) {
			s.Seen[0] = scene.NAT
			a := s.SA(0).Up()
			s.Traffic(20, true)
			n := len(s.Rows[0])
			s.Traffic(40, true)
			a.DPD(1)
			s.Rows[0] = s.Rows[0][n:]
		}, nil},
		{"capture-filter-incomplete", near, "B's capture ends, and what left later overtakes", func(s *scene.Scene) {
			s.SA(0).Up()
			end := 0
			for n := uint32(1); n <= 24; n++ {
				fate := scene.Fate{}
				if n == 20 {
					fate.Late = 50 * time.Millisecond
				}
				s.ESP(1, 0x5001, n, 100, false, fate)
				s.ESP(0, 0x6001, n, 100, false)
				if n == 20 {
					end = len(s.Rows[1])
				}
			}
			s.Rows[1] = s.Rows[1][:end]
		}, nil},
		{"capture-filter-incomplete", near, "a fragment is lost", bigAuth(1), nil},
		{"capture-filter-incomplete", none, "healthy", scene.Healthy, nil},

		{"capture-duplicates", hit, "everything twice", func(s *scene.Scene) { s.Twins[1] = true; scene.Healthy(s) },
			map[string]any{"side": "B"}},
		{"capture-duplicates", near, "the path delivers one twice", func(s *scene.Scene) {
			a := s.SA(0)
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))), scene.Fate{Twice: true})
			s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19))))
		}, nil},
		{"capture-duplicates", none, "healthy", scene.Healthy, nil},

		{"capture-damaged", hit, "it ends inside a record", func(s *scene.Scene) {
			scene.Healthy(s)
			file := scene.Pcap(s.Sorted(1))
			s.Side[1].Open = scene.Opener(file[:len(file)-10])
		}, map[string]any{"side": "B"}},
		{"capture-damaged", hit, "the router's buffer held more", func(s *scene.Scene) {
			withBuffer(strings.Replace(scene.Buffer("12", "0"), "4711", "34", 1))(s)
			s.Rows[1] = s.Rows[1][:10]
		}, map[string]any{"side": "B"}},
		{"capture-damaged", near, "the router's buffer held as many", func(s *scene.Scene) {
			scene.Healthy(s)
			s.Side[1].Config = map[string]string{"show-capture-buffer": strings.Replace(scene.Buffer("12", "0"), "4711",
				strconv.Itoa(len(s.Rows[1])), 1)}
		}, nil},
		{"capture-damaged", near, "a circular buffer", func(s *scene.Scene) {
			withBuffer(scene.Buffer("12", "0"))(s)
			s.Side[1].Config["show-capture"] = scene.CircularPoint
		}, nil},
		{"capture-damaged", near, "it ends between two records",
			func(s *scene.Scene) { scene.Healthy(s); s.Rows[1] = s.Rows[1][:len(s.Rows[1])-1] }, nil},
		{"capture-damaged", none, "healthy", scene.Healthy, nil},

		{"clock-offset", hit, "37 s", clocks(37500 * time.Millisecond),
			map[string]any{"offset_ms": 37500, "severity": "warning", "confidence": "certain"}},
		{"clock-offset", hit, "behind", clocks(-2 * time.Hour), map[string]any{"severity": "warning"}},
		{"clock-offset", hit, "20 ms", clocks(20 * time.Millisecond),
			map[string]any{"severity": "info", "confidence": "certain"}},
		{"clock-offset", hit, "set back in the middle", clockSet(1, -time.Hour),
			map[string]any{"severity": "warning", "title": "A clock was set during the capture"}},
		{"clock-offset", hit, "set forward at A", clockSet(0, 30*time.Second),
			map[string]any{"severity": "warning", "title": "A clock was set during the capture"}},
		{"clock-offset", hit, "one direction only", answersLost, map[string]any{"confidence": "probable"}},
		{"clock-offset", hit, "one direction only is a bound", answersLost,
			map[string]any{"title": "A bound of the offset between the routers' clocks"}},
		{"clock-offset", hit, "times good to a second each", rebuilt(20 * time.Millisecond), map[string]any{
			"confidence": "probable", "severity": "info", "low_ms": -1988, "high_ms": 2028}},
		{"clock-offset", hit, "times good to a second, and clocks far apart", rebuilt(time.Minute),
			map[string]any{"confidence": "probable", "severity": "warning", "low_ms": 57992, "high_ms": 62008}},
		{"clock-offset", near, "nothing is in both", func(s *scene.Scene) {
			s.Repeat(3, 0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Lost)
			s.Noise(1)
		}, nil},
		{"clock-offset", none, "one capture", func(s *scene.Scene) { scene.Healthy(s); s.Alone = true }, nil},

		{"malformed-message", hit, "a length that cannot be", func(s *scene.Scene) {
			a := s.SA(0)
			m := a.Init(false, scene.Proposals(scene.GCM(19)))
			m[ike.HeaderLen+2] = 0x7f
			s.IKE(0, 500, m)
		}, map[string]any{"side": "A", "frame": 1}},
		{"malformed-message", near, "the capture cuts it",
			func(s *scene.Scene) { s.Snap = [2]int{120, 120}; scene.Healthy(s) }, nil},
		{"malformed-message", near, "the capture cuts the header itself",
			func(s *scene.Scene) { s.Snap = [2]int{64, 64}; scene.Healthy(s) }, nil},
		{"malformed-message", near, "the capture of A cuts the header itself",
			func(s *scene.Scene) { s.Snap[0] = 64; scene.Healthy(s) }, nil},
		{"malformed-message", near, "three zeros behind IKEv1", func(s *scene.Scene) {
			m := s.V1(0).Message(ike.V1MainMode, 0, 0, true, scene.SAv1(scene.Modern(14, 1)))
			m = append(m, make([]byte, 3)...)
			binary.BigEndian.PutUint32(m[24:], uint32(len(m)))
			s.IKE(0, 500, m)
		}, nil},
		{"malformed-message", hit, "four zeros behind IKEv1", func(s *scene.Scene) {
			m := s.V1(0).Message(ike.V1MainMode, 0, 0, true, scene.SAv1(scene.Modern(14, 1)))
			m = append(m, make([]byte, 4)...)
			binary.BigEndian.PutUint32(m[24:], uint32(len(m)))
			s.IKE(0, 500, m)
		}, map[string]any{"side": "A"}},
		{"malformed-message", none, "healthy", scene.Healthy, nil},
	}
}

// retype gives frames another EtherType, and what follows it another first byte.
func retype(rows []scene.Record, kind uint16, first byte) {
	for i := range rows {
		rows[i].Data = append([]byte(nil), rows[i].Data...)
		binary.BigEndian.PutUint16(rows[i].Data[12:], kind)
		rows[i].Data[14] = first
	}
}

// scanner sends the same weak offer to sides, again and again, and gets no answer.
func scanner(s *scene.Scene, sides ...int) {
	m := s.SA(0).Init(false, scene.Proposals(weakSuite(3, 1, 1, 2)))
	for range 3 {
		for _, at := range sides {
			s.Now += 20 * time.Millisecond
			s.ID++
			be := binary.BigEndian
			u := be.AppendUint16(be.AppendUint16(be.AppendUint16(nil, 500), 500), uint16(8+len(m)))
			s.Put(at, s.Now, s.Frame(netip.MustParseAddr("203.0.113.77"), s.Addr[at], 17, 0, 240,
				scene.Part{Data: append(append(u, 0, 0), m...)}))
		}
		s.Wait(time.Second)
	}
}

// groupKeys are requests of A to a key server.
func groupKeys(s *scene.Scene) {
	for range 3 {
		s.Datagram(0, 848, 848)
		s.Wait(time.Second)
	}
}

// clockSet is a tunnel at work, in the middle of which the clock of side at is
// set; nothing is lost.
func clockSet(at int, by time.Duration) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.SA(0).Up()
		before := 0
		for i := range 40 {
			if i == 20 {
				before = len(s.Rows[at])
			}
			a.DPD(i % 2)
			s.Wait(time.Second)
		}
		for i := range s.Rows[at][before:] {
			s.Rows[at][before+i].Nanos += int64(by)
		}
		s.Side[at].Open = scene.Opener(scene.Pcap(s.Rows[at])) // in the order of capture, as the router writes it
	}
}

// A clock that was set, in either direction, makes up no loss, and no time is told
// that depends on it.
func TestAClockThatWasSetMakesUpNoLoss(t *testing.T) {
	for at := range 2 {
		for _, by := range []time.Duration{-time.Hour, -5 * time.Second, 30 * time.Second, 3 * time.Hour} {
			s := scene.New(t)
			clockSet(at, by)(s)
			r := s.Compare()
			scene.Sound(t, r)
			if r.Pairs.LostAtoB+r.Pairs.LostBtoA > 0 || r.Verdict.Outcome != report.Established {
				t.Errorf("side %d by %s: %s, %+v", at, by, r.Verdict.Outcome, r.Pairs)
			}
			if r.Clock.Steps != 1 {
				t.Errorf("side %d by %s: %d steps", at, by, r.Clock.Steps)
			}
			if found := scene.Flatten(t, r); fmt.Sprint(found.Of("clock-offset")[0]["title"]) != "A clock was set during "+
				"the capture" || found.Of("tunnel-established")[0]["setup_time_ms"] != nil {
				t.Errorf("side %d by %s: %v, %v", at, by, found.Of("clock-offset"), found.Of("tunnel-established"))
			}
		}
	}
}
