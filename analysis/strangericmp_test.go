package analysis_test

import (
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

// What a device refuses of a negotiation with somebody else says nothing of the tunnel: it is no
// cause of what that lacks, it does not lead, and where the tunnel is named it has a line only.
func TestRefusalOfWhatGoesToOthersIsNoCause(t *testing.T) {
	third := netip.MustParseAddr("203.0.113.77")
	asks := map[string]func(s *scene.Scene, from int) []byte{
		"IKEv2": func(s *scene.Scene, from int) []byte { return s.SA(from).Init(false, scene.Proposals(scene.GCM(19))) },
		"IKEv1": func(s *scene.Scene, from int) []byte {
			return s.V1(from).Message(ike.V1MainMode, from, 0, true, scene.SAv1(scene.Modern(14, 1)))
		},
	}
	for version, ask := range asks {
		for _, kind := range []struct {
			name      string
			typ, code byte
			mtu       uint16
		}{{"prohibited", 3, 13, 0}, {"no route", 3, 1, 0}, {"too big", 3, 4, 1300}} {
			for hub := range 2 {
				for _, blocked := range []bool{false, true} {
					for _, known := range []bool{false, true} {
						for _, alone := range []bool{false, true} {
							if alone && (hub == 1 || blocked || !known) {
								continue
							}
							name := version + "/" + kind.name + map[int]string{0: "/of A", 1: "/of B"}[hub] +
								map[bool]string{true: ", traffic blocked"}[blocked] + map[bool]string{true: ", named"}[known] +
								map[bool]string{true: ", one capture"}[alone]
							t.Run(name, func(t *testing.T) {
								s := scene.New(t)
								s.SA(0).Up()
								s.Dialogue(20, 500*time.Millisecond, func(from, _ int) scene.Fate {
									return scene.Fate{Lost: blocked && from == hub}
								})
								peer := s.Addr[1-hub]
								s.Addr[1-hub] = third
								m := ask(s, hub)
								for range 4 {
									s.IKE(hub, 500, m, scene.Lost)
									s.ICMP(hub, "192.0.2.254", kind.typ, kind.code, kind.mtu)
									s.Wait(time.Second)
								}
								s.Addr[1-hub] = peer
								sides := s.Sides()
								if known {
									sides[0].Address, sides[1].Address = s.Addr[0], s.Addr[1]
								}
								b, options := &sides[1], analysis.Options{}
								if alone {
									b, options.Peer = nil, &analysis.Side{Address: s.Addr[1]}
								}
								r, err := analysis.Compare(t.Context(), sides[0], b, options)
								if err != nil {
									t.Fatal(err)
								}
								scene.Sound(t, r)
								judgeStrangersRefusal(t, r, known, blocked)
							})
						}
					}
				}
			}
		}
	}
}

func judgeStrangersRefusal(t *testing.T, r *report.Report, known, blocked bool) {
	t.Helper()
	if want := map[bool]int{false: 0, true: 2}[blocked]; r.Verdict.ExitCode != want && (known || blocked) {
		t.Errorf("exit code %d: %q, %v", r.Verdict.ExitCode, r.Verdict.Headline, codes(r))
	}
	if (known || blocked) && strings.Contains(r.Verdict.Headline, "192.0.2.254") {
		t.Errorf("it leads: %s", r.Verdict.Headline)
	}
	of := []string{"icmp-rejected", "packet-too-big"}
	for _, f := range r.Findings {
		if slices.Contains(of, f.Code) && (known || f.Severity != report.Warning || f.CausedBy != "") {
			t.Errorf("%s, %s: %s", f.Code, f.Severity, f.Explanation)
		}
		if slices.Contains(of, f.CausedBy) {
			t.Errorf("%s is caused by %s", f.Code, f.CausedBy)
		}
	}
	i := slices.IndexFunc(r.Findings, func(f report.Finding) bool { return f.Code == "strangers" })
	told := i >= 0 && strings.Contains(r.Findings[i].Explanation, "203.0.113.77")
	if known && !told {
		t.Errorf("nothing tells of it: %v", codes(r))
	}
}
