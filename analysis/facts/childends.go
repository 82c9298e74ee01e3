package facts

import (
	"cmp"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
)

// ChildEnd is a Delete after which an IKE SA, of either version, has no child SA for a while: no
// protected traffic passes over it, and a new one is made only later.
type ChildEnd struct {
	Delete *pair.Message
	Lived  int64 // nanoseconds from when the child SA was made
}

// over is how long before and after a Delete of a child SA packets of it may still be seen.
const over = 1e9

// ChildEnds lists these Deletes, of an IKE SA that was captured from its beginning. Which SA a
// Delete is of cannot be read: of one that was replaced before, traffic goes on beside it.
func (t *Talk) ChildEnds() []ChildEnd {
	if !t.Complete || !t.CameUp() {
		return nil
	}
	deletes, made := t.childDeletes(), t.childrenMade()
	if len(deletes) == 0 || len(made) < 2 {
		return nil
	}
	busy := t.carried()
	if len(busy) == 0 {
		return nil
	}
	var all []ChildEnd
	last := int64(0) // the making whose end is told
	for _, m := range deletes {
		at := m.Transmissions()[0].Aligned
		i, _ := slices.BinarySearch(made, at)
		if i == 0 || i == len(made) || made[i-1] == last {
			continue
		}
		n, _ := slices.BinarySearchFunc(busy, at+over, func(s span, x int64) int { return cmp.Compare(s.from, x) })
		if n == 0 || busy[n-1].to > at+over || busy[n-1].to < made[i-1] || n < len(busy) && busy[n].from < made[i]-over {
			continue // traffic goes on, or there was none of this child SA
		}
		all, last = append(all, ChildEnd{m, at - made[i-1]}), made[i-1]
	}
	return all
}

// idle is how long after the end of its last child SA an IKE SA is seen to have none.
const idle = 10e9

// LastChildEnd is the Delete of the last child SA of an IKE SA that stays: as many were deleted as
// were made, and what they carried ended with it; nil without one. stays says whether the captures
// go on without any for a while. In IKEv1 both sides delete one, so that there is nothing to count.
func (t *Talk) LastChildEnd() (m *pair.Message, stays bool) {
	if t.Version != 2 || !t.Complete || t.End != Established || t.Successor != nil {
		return nil, false
	}
	deletes, made := t.childDeletes(), t.childrenMade()
	if len(deletes) == 0 || len(made) == 0 || len(deletes) < len(made) {
		return nil, false
	}
	m = deletes[len(deletes)-1]
	at, busy := m.Transmissions()[0].Aligned, t.carried()
	if n := len(busy); at < made[len(made)-1] || n == 0 || busy[n-1].to > at+over || busy[n-1].to < made[len(made)-1] {
		return nil, false
	}
	for _, s := range pair.Both {
		if story := t.c.Story(s); story != nil && t.c.Aligned(story.Last, s) < at+idle {
			return m, false
		}
	}
	return m, true
}

// childDeletes are the Deletes of child SAs, as far as sizes and answers tell.
func (t *Talk) childDeletes() []*pair.Message {
	var all []*pair.Message
	if t.Version == 1 {
		for _, m := range t.ofV1().encrypted {
			if t.isDeleteV1(m) {
				all = append(all, m)
			}
		}
		return all
	}
	for m := range t.Each(ike.Informational, exchange.Request) {
		if m.FirstInner == ike.PayloadD && deletesChild(m) {
			all = append(all, m)
		}
	}
	return all
}

// childrenMade are the times when child SAs were made, aligned, ascending.
func (t *Talk) childrenMade() []int64 {
	var all []int64
	if t.Version == 1 {
		count := map[uint32]int{}
		for _, m := range WholeV1(t.Messages) {
			if m.Exchange == ike.V1QuickMode {
				if count[m.MessageID]++; count[m.MessageID] == 3 {
					all = append(all, m.Transmissions()[0].Aligned)
				}
			}
		}
		slices.Sort(all)
		return all
	}
	if len(t.Answer.Messages) > 0 {
		all = append(all, t.Answer.Messages[0].Transmissions()[0].Aligned)
	}
	for _, m := range t.MessagesOf(ike.CreateChildSA, exchange.Response) {
		if q := m.Answers(); q != nil && t.Renews(q) && t.Makes(q) != RekeyIKE {
			all = append(all, m.Transmissions()[0].Aligned)
		}
	}
	slices.Sort(all)
	return all
}

// carried are the stretches of time in which ESP of the conversation's peer passed, in order and
// apart.
func (t *Talk) carried() []span {
	if len(t.esp) == 1 {
		return t.esp[0].busy
	}
	var all []span
	for _, e := range t.esp {
		all = append(all, e.busy...)
	}
	slices.SortFunc(all, func(x, y span) int { return cmp.Compare(x.from, y.from) })
	return joined(all)
}
