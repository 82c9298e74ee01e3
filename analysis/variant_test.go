package analysis_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/moncap/moncap/analysis/report"
)

// lasting is what must stay the same, however the captures were taken.
type lasting struct {
	Pairs         report.Pairs
	NAT           []report.Translation
	Conversations []string
	Flows         []string
}

func lastingOf(r *report.Report) lasting {
	f := lasting{Pairs: r.Pairs, NAT: r.NAT}
	for _, c := range r.Conversations {
		lines := []string{}
		for _, m := range c.Messages {
			line := fmt.Sprintf("%s %s %d", m.From, m.Exchange, m.MessageID)
			for _, t := range m.Transmissions {
				if !t.Duplicate {
					line += " " + string(t.Fate)
				}
			}
			lines = append(lines, line)
		}
		slices.Sort(lines) // without times, the order of what only one side saw is not known
		f.Conversations = append(f.Conversations, fmt.Sprintf("v%d %s %s %s:\n%s", c.Version, c.Initiator, c.SPIi, c.SPIr,
			strings.Join(lines, "\n")))
	}
	for _, x := range r.Flows {
		f.Flows = append(f.Flows, fmt.Sprint(x.SPI, x.Direction, x.Lost))
	}
	slices.Sort(f.Flows)
	f.NAT = slices.SortedFunc(slices.Values(r.NAT), func(x, y report.Translation) int {
		return cmp.Compare(fmt.Sprint(x.Original, x.OriginalPort, x.Port), fmt.Sprint(y.Original, y.OriginalPort, y.Port))
	})
	return f
}

// excused are the variants of an incident that take away what a fact rests on.
var excused = map[string]func(variant) bool{
	// Of a datagram whose other fragments are hidden, a first one that is cut is read as far as it
	// goes, a whole one is not.
	"capture-without-fragments": func(v variant) bool { return v.cut },
	// That the last packet was sent when the other capture had ended already, only the times tell.
	"nat-rebinding": func(v variant) bool { return strings.HasSuffix(v.name, "without times") },
	"lossy-path":    func(v variant) bool { return strings.HasSuffix(v.name, "without times") },
}

// TestFactsSurviveVariants: who sent what, what arrived and what was lost does not depend on
// clocks, containers, copies or noise.
func TestFactsSurviveVariants(t *testing.T) {
	for _, name := range incidents(t) {
		want := lastingOf(variant{}.compare(t, name))
		if want.Pairs.Matched == 0 {
			continue // nothing but the clocks relates the captures, so what is known changes with them
		}
		for _, v := range variants() {
			if v.orCapture || v.swapped || v.keys {
				continue
			}
			if f := excused[name]; f != nil && f(v) {
				continue
			}
			t.Run(name+"/"+v.name, func(t *testing.T) {
				got := lastingOf(v.compare(t, name))
				got.Pairs.OnlyA, got.Pairs.OnlyB = want.Pairs.OnlyA, want.Pairs.OnlyB // copies count there
				got.Pairs.CopiesA, got.Pairs.CopiesB = want.Pairs.CopiesA, want.Pairs.CopiesB
				if v.name == "A doubled" || v.name == "B doubled" || v.name == "both doubled" {
					got.NAT = want.NAT // counts packets
				}
				if d := gocmp.Diff(want, got); d != "" {
					t.Errorf("facts differ (-as it is +%s):\n%s", v.name, d)
				}
			})
		}
	}
}
