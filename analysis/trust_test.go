package analysis_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/analysis/scene"
)

// needBoth are the findings that no capture proves alone.
var needBoth = []string{"path-blocked", "nat-t-blocked", "path-loss", "ike-fragments-lost", "mtu-black-hole",
	"esp-blocked", "esp-loss",
	"payload-altered", "duplicated-on-path", "reordered-on-path", "dscp-rewritten", "slow-path", "nat-port-rewritten",
	"nat-mapping-changed",
	"udp-encapsulation-forced", "no-ike-traffic", "capture-empty", "capture-windows-disjoint", "clock-offset",
	"wrong-peer-address"}

// Each capture of each incident alone: no claim about the side that was not captured.
func TestOneCaptureOfEveryIncident(t *testing.T) {
	for _, name := range incidents(t) {
		for _, file := range []string{"a.pcap", "b.pcap"} {
			t.Run(name+"/"+file, func(t *testing.T) {
				side := analysis.Side{Name: "site-a", File: file,
					Open: scene.Opener(scene.Pcap(readRecords(t, incident(name, file))))}
				r, err := analysis.Compare(context.Background(), side, nil, analysis.Options{})
				if err != nil {
					t.Fatal(err)
				}
				scene.Sound(t, r)
				found := scene.Flatten(t, r)
				if len(found.Of("capture-one-sided")) != 1 || r.Sides.B != nil || r.Clock != nil {
					t.Errorf("it is not said that there is one capture only: %v", found.Codes())
				}
				for _, f := range r.Findings {
					if slices.Contains(needBoth, f.Code) || f.Code == "ip-fragments-lost" && f.Confidence == report.Certain ||
						f.Code == "peer-not-answering" && f.Fields["silent_side"] != "A" {
						t.Errorf("%s from one capture: %s", f.Code, f.Explanation)
					}
				}
				for _, c := range r.Conversations {
					for _, m := range c.Messages {
						for _, x := range m.Transmissions {
							if x.Fate == report.Lost || x.B != nil {
								t.Errorf("%s: %+v in one capture", m.Exchange, x)
							}
						}
					}
				}
			})
		}
	}
}

// What one capture proves by itself stays proven without the other.
func TestOneCaptureProves(t *testing.T) {
	for name, codes := range map[string][]string{
		"healthy": {"tunnel-established"}, "psk-mismatch": {"auth-failed"}, "child-proposal-mismatch": {"child-sa-refused"},
		"ike-proposal-mismatch": {"ike-proposal-mismatch"}, "ke-group-retry": {"ke-group-retry", "tunnel-established"},
		"cookie":                {"cookie-challenge"},
		"icmp-admin-prohibited": {"icmp-rejected", "retransmissions-exhausted"}, "ikev1-main-mode": {"tunnel-established"},
		"ikev1-psk-mismatch": {"psk-mismatch-v1"}, "blocked-a-to-b": {"retransmissions-exhausted"},
		"rekey-and-delete": {"rekey"},
		"nat":              {"nat-detected", "tunnel-established"},
		"nat-t-blocked":    {"nat-detected", "retransmissions-exhausted"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := analysis.Compare(context.Background(),
				analysis.Side{Open: scene.Opener(scene.Pcap(readRecords(t, incident(name, "a.pcap"))))}, nil, analysis.Options{})
			if err != nil {
				t.Fatal(err)
			}
			found := scene.Flatten(t, r)
			for _, c := range codes {
				if len(found.Of(c)) == 0 {
					t.Errorf("no %s among %v", c, found.Codes())
				}
			}
		})
	}
}

// An empty capture proves nothing: what is said of the path without it is that nothing can be told.
func TestAnEmptyCaptureProvesNothing(t *testing.T) {
	for _, name := range incidents(t) {
		for emptied := range 2 {
			t.Run(name+"/"+string(rune('A'+emptied)), func(t *testing.T) {
				rows := [2][]scene.Record{readRecords(t, incident(name, "a.pcap")), readRecords(t, incident(name, "b.pcap"))}
				rows[emptied] = nil
				if len(rows[1-emptied]) == 0 {
					t.Skip("the other one is empty too")
				}
				b := analysis.Side{Name: "site-b", Open: scene.Opener(scene.Pcap(rows[1]))}
				r, err := analysis.Compare(context.Background(),
					analysis.Side{Name: "site-a", Open: scene.Opener(scene.Pcap(rows[0]))}, &b, analysis.Options{})
				if err != nil {
					t.Fatal(err)
				}
				scene.Sound(t, r)
				if r.Sides.A.IKE+r.Sides.B.IKE == 0 {
					t.Skip("the other one holds nothing of the tunnel either")
				}
				if r.Pairs.LostAtoB+r.Pairs.LostBtoA+r.Pairs.Matched > 0 {
					t.Errorf("pairs %+v", r.Pairs)
				}
				about := func(f report.Finding) bool {
					return slices.Contains(needBoth, f.Code) && f.Code != "capture-empty" && f.Code != "wrong-peer-address"
				}
				for _, f := range r.Findings {
					guess := f.Code == "path-blocked" && f.Confidence != report.Certain && f.CausedBy != ""
					if about(f) && !guess {
						t.Errorf("%s, %s: %s", f.Code, f.Confidence, f.Explanation)
					}
				}
				if found := scene.Flatten(t, r); len(found.Of("capture-empty")) != 1 {
					t.Errorf("capture-empty is not among %v", found.Codes())
				}
			})
		}
	}
}

// Limits of the capture that should have seen what is missing.
func TestLostIsOnlySaidOfACaptureThatWorked(t *testing.T) {
	requests := func(n int, wait time.Duration) func(*scene.Scene) {
		return func(s *scene.Scene) {
			a := s.SA(0)
			m := a.Init(false, scene.Proposals(scene.GCM(19)))
			for range n {
				s.IKE(0, 500, m, scene.Lost)
				s.Wait(wait)
			}
		}
	}
	alive := func(s *scene.Scene) { s.IKE(1, 500, s.SA(1).Init(false, scene.Proposals(scene.GCM(19)))) }
	for name, c := range map[string]struct {
		play func(*scene.Scene)
		lost int
	}{
		"it worked before and after": {func(s *scene.Scene) { alive(s); requests(3, time.Second)(s); alive(s) }, 3},
		"it began a minute later": {func(s *scene.Scene) { requests(3, time.Second)(s); s.Wait(time.Minute); alive(s) },
			0},
		"it ended a minute before": {func(s *scene.Scene) { alive(s); s.Wait(time.Minute); requests(3, time.Second)(s) }, 0},
		"it ended in between":      {func(s *scene.Scene) { alive(s); requests(4, 8*time.Second)(s) }, 2},
		"clocks an hour apart": {func(s *scene.Scene) {
			s.Ahead = time.Hour
			alive(s)
			requests(3, time.Second)(s)
			alive(s)
		}, 3},
		"clocks an hour apart, it began later": {func(s *scene.Scene) {
			s.Ahead = time.Hour
			requests(3, time.Second)(s)
			s.Wait(time.Minute)
			alive(s)
		}, 0},
		"its buffer was full": {func(s *scene.Scene) {
			s.Side[1].Config = map[string]string{"show-capture-buffer": scene.Buffer("10240", "9")}
			alive(s)
			requests(3, time.Second)(s)
		}, 0},
		"its circular buffer was full": {func(s *scene.Scene) {
			s.Side[1].Config = map[string]string{"show-capture": scene.CircularPoint,
				"show-capture-buffer": scene.Buffer("10240", "0")}
			requests(3, time.Second)(s)
			alive(s)
		}, 0},
		"it reached its rate limit": {func(s *scene.Scene) {
			scene.Busy(4, 1000)(s)
			requests(3, time.Second)(s)
			alive(s)
		}, 0},
		"its filter hides port 4500": {func(s *scene.Scene) {
			a := s.SA(0)
			a.Open()
			s.IKE(1, 4500, a.Sealed(ike.Informational, 1, 0, false, ike.PayloadNone, 0), scene.Fate{Hidden: true})
			s.Repeat(3, 0, 4500, a.Sealed(ike.Informational, 0, 2, false, ike.PayloadNone, 0), scene.Lost)
			alive(s)
		}, 0},
		"its filter hides fragments": {func(s *scene.Scene) {
			a := s.SA(0)
			a.Open()
			s.IKE(1, 500, a.Sealed(ike.Informational, 1, 0, false, ike.PayloadN, 2000), scene.Fate{MTU: 1480, Hidden: true})
			s.Repeat(3, 0, 500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, 2000), scene.Fate{MTU: 1480, Lost: true})
			alive(s)
		}, 0},
		"its filter hides ESP": {func(s *scene.Scene) {
			s.SA(0).Up().DPD(0)
			s.Stream(1, 5, func(int) scene.Fate { return scene.Fate{Hidden: true} })
			s.Stream(0, 5, scene.Vanishes)
			alive(s)
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := scene.New(t)
			c.play(s)
			r := s.Compare()
			scene.Sound(t, r)
			if r.Pairs.LostAtoB != c.lost {
				t.Errorf("%d are lost, want %d: %v", r.Pairs.LostAtoB, c.lost, scene.Flatten(t, r).Codes())
			}
			blocked := scene.Flatten(t, r).Of("path-blocked")
			if len(blocked) > 0 && c.lost == 0 {
				t.Errorf("and yet %v", blocked)
			}
			if c.lost >= 2 && (len(blocked) != 1 || blocked[0]["confidence"] != "certain" ||
				blocked[0]["lost"] != float64(c.lost) || blocked[0]["sent"] != float64(c.lost)) {
				t.Errorf("path-blocked: %v", blocked)
			}
		})
	}
}
