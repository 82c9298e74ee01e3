package diagnose_test

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/analysis/scene"
)

// A crossing is another look at a scene: who is A, the family, the clocks, what else passes, and
// how much of it was captured.
type crossing struct {
	name   string
	before func(*scene.Scene) // before it is played
	after  func(*scene.Scene)
	whole  bool // nothing of the tunnel is missing
}

func crossings() []crossing {
	keep := func(side int, from, to int) func(*scene.Scene) { // sixths of the time that the captures take
		return func(s *scene.Scene) {
			first, last := s.Sorted(0), s.Sorted(1)
			all := append(first, last...)
			if len(all) == 0 {
				return
			}
			low, high := all[0].Nanos, all[0].Nanos
			for _, r := range all {
				low, high = min(low, r.Nanos), max(high, r.Nanos)
			}
			part := (high - low) / 6
			s.Rows[side] = slices.DeleteFunc(s.Sorted(side), func(r scene.Record) bool {
				return r.Nanos < low+part*int64(from) || r.Nanos > high-part*int64(6-to)
			})
		}
	}
	nothing := func(*scene.Scene) {}
	return []crossing{
		{"swapped", nothing, func(s *scene.Scene) {
			s.Rows[0], s.Rows[1] = s.Rows[1], s.Rows[0]
			s.Side[0], s.Side[1] = s.Side[1], s.Side[0]
		}, true},
		{"IPv6", func(s *scene.Scene) { s.Addr = scene.SixAddr }, nothing, true},
		{"clocks apart", func(s *scene.Scene) { s.Ahead += time.Hour }, nothing, true},
		{"other tunnels before", func(s *scene.Scene) { scene.Known(s); s.Spokes() }, nothing, true},
		{"other tunnels behind", scene.Known, (*scene.Scene).Spokes, true},
		{"A alone", nothing, func(s *scene.Scene) { s.Alone = true }, false},
		{"B alone", nothing, (*scene.Scene).OnlyB, false},
		{"A begins at a third", nothing, keep(0, 2, 6), false},
		{"A ends at a third", nothing, keep(0, 0, 2), false},
		{"A begins at two thirds", nothing, keep(0, 4, 6), false},
		{"A ends at two thirds", nothing, keep(0, 0, 4), false},
		{"B begins at a third", nothing, keep(1, 2, 6), false},
		{"B ends at a third", nothing, keep(1, 0, 2), false},
		{"B begins at two thirds", nothing, keep(1, 4, 6), false},
		{"B ends at two thirds", nothing, keep(1, 0, 4), false},
		{"96 bytes", func(s *scene.Scene) { s.Snap = [2]int{96, 96} }, nothing, false},
	}
}

// excuse is why a crossing of a scene may say what it says. Crossing and scene are the beginnings
// of names, or "*".
type excuse struct{ crossing, scene, code, why string }

// unproven are what may be certain although the whole scene does not have it: it is true of what is
// left.
var unproven = []excuse{
	{"*", "*", "no-ike-traffic", "what is left holds no IKE: that is a fact, and leaves the outcome open"},
	{"*", "*", "main-mode-stalled", "of Main Mode that ends without a reason that is left, that it ends is the news"},
	{"*", "*", "error-notify", "it stands there in clear; which failure it tells of takes what was cut"},
	{"*", "psk-mismatch-v1/silence", "peer-not-answering", "the same failure, seen from the silent side"},
	{"B alone", "icmp-rejected/the peer itself", "peer-not-answering", "the scene gives B no ICMP error of its own"},
	{"B alone", "strangers/the path is blocked", "peer-not-answering", "nobody but the scanner is left"},
	{"A alone", "other-tunnel-fails/A is refused", "ike-proposal-mismatch", "of one capture it is like any other"},
	{"96 bytes", "child-sa-refused/a further child SA", "rekey-failed", "the sizes that tell them apart are cut"},
	{"*", "rekey-failed/", "esp-sequence-restart", "the scene's SAs have one SPI, and the rekey is cut away"},
	{"*", "rekey-failed/the other side made new keys a minute ago", "esp-blocked", "as before: numbers begin again"},
	{"other tunnels", "path-blocked/a target that may be wrong", "wrong-peer-address", "here B's address is known"},
	{"other tunnels behind", "*", "esp-blocked", "a capture that had ended goes on with the other tunnels"},
}

// unseen are crossings that leave so little of a scene that nothing is wrong with it.
var unseen = []excuse{
	{"clocks apart", "path-blocked/a target that may be wrong", "", "nothing relates the clocks"},
	{"clocks apart", "strangers/the path is blocked", "", "nothing relates the clocks"},
	{"other tunnels behind", "path-blocked/A's capture is empty", "", "it begins with the others, behind all of it"},
	{"*", "esp-stale-spi/A keeps an SPI from before the captures", "", "only A's whole capture tells that it is older"},
	{"*", "esp-stale-spi/A keeps its SPI, and its capture ended", "", "next to nothing is left of both"},
	{"B ends at ", "esp-one-way/B falls silent, and the capture of A", "", "it ends before the silence"},
}

// excused says whether something is excused, and notes by what.
func excused(all []excuse, crossing, scene, code string) bool {
	i := slices.IndexFunc(all, func(e excuse) bool {
		return matches(e.crossing, crossing) && matches(e.scene, scene) && e.code == code
	})
	if i >= 0 {
		usedExcuses[all[i]] = true
	}
	return i >= 0
}

var usedExcuses = map[excuse]bool{}

// comparing are the codes that only both captures tell, by what leaves one and is not in the other.
var comparing = []string{"path-blocked", "nat-t-blocked", "esp-blocked", "esp-loss", "ip-fragments-lost",
	"ike-fragments-lost", "mtu-black-hole", "payload-altered"}

// matches says whether a name is meant: by itself, its beginning, or "*".
func matches(meant, name string) bool { return meant == "*" || strings.HasPrefix(name, meant) }

// Every scene is looked at in other ways: from the other side, over IPv6, with clocks an hour
// apart, among other tunnels, in one capture, cut in time and in its packets. Nothing critical is
// certain then that the whole scene does not have, and what is critical is no success while its
// evidence is still there. MONCAP_CROSSINGS=all crosses all scenes, not two of each code.
func TestCrossings(t *testing.T) {
	all := os.Getenv("MONCAP_CROSSINGS") == "all"
	const most = 2 // scenes of a code, unless all are asked for
	played := map[string]int{}
	for _, c := range findingCases() {
		if c.kind != hit || played[c.code] == most && !all {
			continue
		}
		s := scene.New(t)
		c.play(s)
		if s.Alone {
			continue
		}
		played[c.code]++
		whole := s.Compare()
		for _, x := range crossings() {
			t.Run(x.name+"/"+c.code+"/"+c.name, func(t *testing.T) { x.check(t, c, s, whole) })
		}
	}
	for _, e := range slices.Concat(unproven, unseen) {
		if all && !usedExcuses[e] {
			t.Errorf("%+v excuses nothing", e)
		}
	}
}

func (x crossing) check(t *testing.T, c findingCase, of *scene.Scene, whole *report.Report) {
	s := scene.New(t)
	x.before(s)
	c.play(s)
	if x.name == "IPv6" && mixed(s) {
		return // it has addresses of IPv4 of its own
	}
	x.after(s)
	r := s.Compare()
	name := c.code + "/" + c.name
	critical := map[string]bool{}
	evident := false
	for _, f := range whole.Findings {
		if f.Severity == report.Critical && f.Code != "no-ike-traffic" {
			critical[f.Code] = true
			evident = evident || f.CausedBy == "" && (x.whole || !slices.Contains(comparing, f.Code) && left(f, of, s))
		}
	}
	for _, f := range r.Findings {
		if f.Severity != report.Critical || f.Confidence != report.Certain || critical[f.Code] {
			continue
		}
		if !excused(unproven, x.name, name, f.Code) {
			t.Errorf("%s is certain: %s", f.Code, f.Explanation)
		}
	}
	if evident && r.Verdict.ExitCode == 0 && !excused(unseen, x.name, name, "") {
		t.Errorf("exit 0: %s; the whole scene has %v", r.Verdict.Headline, scene.Flatten(t, whole).Codes())
	}
	if x.whole && len(critical) > 0 && r.Verdict.ExitCode != 2 && !excused(unseen, x.name, name, "") {
		t.Errorf("exit %d, not 2: %s", r.Verdict.ExitCode, r.Verdict.Headline)
	}
}

// left says whether all packets that a finding names as its evidence are in what is left of a
// scene.
func left(f report.Finding, of, s *scene.Scene) bool {
	for _, e := range f.Evidence {
		side := map[report.Side]int{report.A: 0, report.B: 1}[e.Side]
		all := of.Sorted(side)
		if e.Frame > len(all) {
			return false
		}
		there := func(at int) bool {
			return slices.ContainsFunc(s.Rows[at], func(r scene.Record) bool { return bytes.Equal(r.Data, all[e.Frame-1].Data) })
		}
		if !there(0) && (s.Alone || !there(1)) {
			return false
		}
	}
	return true
}

// mixed says whether a scene that should be of IPv6 has packets of IPv4.
func mixed(s *scene.Scene) bool {
	for at := range 2 {
		for _, r := range s.Rows[at] {
			if len(r.Data) > 14 && r.Data[12] == 8 && r.Data[13] == 0 {
				return true
			}
		}
	}
	return false
}

// Scenes that have nothing critical, and looks at them that had: each once a false accusation.
var accusedOnce = []struct{ crossing, scene string }{
	{"clocks apart", "response-ignored/A's capture holds the last answer alone"},
	{"A ends at two thirds", "dpd-timeout/answered at last"},
	{"B ends at a third", "ike-fragments-lost/IKEv1, it arrives in the second round"},
	{"A alone", "answer-from-other-address/asked but once"},
	{"96 bytes", "version-mismatch/refused once, and then up"},
	{"B begins at a third", "strangers/a scanner of one"},
	{"B begins at two thirds", "strangers/a scanner of one"},
	{"B alone", "esp-one-way/both are quiet"},
	{"A begins at a third", "esp-one-way/both are quiet"},
}

func TestNothingWrongIsAccusedInAnotherLook(t *testing.T) {
	cases := map[string]findingCase{}
	for _, c := range findingCases() {
		cases[c.code+"/"+c.name] = c
	}
	for _, a := range accusedOnce {
		c, ok := cases[a.scene]
		if !ok {
			t.Fatalf("there is no case %s", a.scene)
		}
		for _, x := range crossings() {
			if x.name != a.crossing {
				continue
			}
			s := scene.New(t)
			x.before(s)
			c.play(s)
			x.after(s)
			for _, f := range s.Compare().Findings {
				if f.Severity == report.Critical {
					t.Errorf("%s, %s: %s: %s", a.scene, a.crossing, f.Code, f.Explanation)
				}
			}
		}
	}
}
