package facts

import (
	"slices"

	"github.com/moncap/moncap/analysis/pair"
)

// LostFragments are IKE packets of one side that left in IP fragments and did not arrive whole.
type LostFragments struct {
	From    pair.Side
	Lost    []*pair.Transmission
	Message *pair.Message      // of the first
	Example *pair.Transmission // one of which a part arrived, or else the first
	Passes  bool               // what is not fragmented arrives
}

// FragmentsLost lists, by side, what was lost for its IP fragments; none of one capture alone.
// Where nothing of a side arrives, fragment or not, that is no reason.
func FragmentsLost(c *pair.Case) []LostFragments {
	if !c.TwoSided() {
		return nil
	}
	var all []LostFragments
	for _, s := range pair.Both {
		if x := fragmentsLost(c, s); len(x.Lost) > 0 && (x.Passes || len(x.Example.Partial()) > 0) {
			all = append(all, x)
		}
	}
	return all
}

func fragmentsLost(c *pair.Case, s pair.Side) LostFragments {
	x := LostFragments{From: s}
	for m, t := range c.SentInTrouble(s) {
		mine := t.At[s]
		if t.Fate != pair.Lost || mine == nil || len(mine.Fragments) == 0 || t.At[s.Other()] != nil {
			continue
		}
		if x.Message == nil {
			x.Message, x.Example = m, t
		}
		x.Lost = append(x.Lost, t)
	}
	if len(x.Lost) == 0 {
		return x
	}
	for _, t := range c.Sent(s, 0) {
		if x.Passes = t.Fate == pair.Delivered && !Fragmented(t); x.Passes {
			break
		}
	}
	partly := func(t *pair.Transmission) bool { return len(t.Partial()) > 0 }
	if i := slices.IndexFunc(x.Lost, partly); i >= 0 {
		x.Example = x.Lost[i]
	}
	return x
}
