package diagnose

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strconv"

	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
)

// talkSet is all conversations of a case, with what rules ask of all of them at once:
// each is worked out in one walk, since of thousands of conversations no rule may walk
// through all for each.
type talkSet struct {
	ctx   context.Context
	steps int
	all   []*talk
	spis  map[ike.SPI]*talk       // see bySPI; nil: not asked for yet
	upAt  map[[2]netip.Addr]int64 // when the last that came up between two addresses began, aligned
	begun []int64                 // when each began that was captured from its beginning, aligned, ascending

	taken map[[2]netip.Addr]int64 // when the last began that both its sides accepted, by the two addresses, aligned
	began map[betweenBy][]int64   // when those began that came up, by the two addresses and the initiator, ascending

	remotes *pair.Remotes
	alive   map[netip.Addr]life // of those that stand, by the peer
}

// life is when the last of some SAs began, and when one of them was used last, aligned.
type life struct{ first, last int64 }

func newTalkSet(ctx context.Context, c *pair.Case, talks []*facts.Talk) *talkSet {
	n := len(talks)
	s := &talkSet{ctx: ctx, remotes: c.Remotes(), alive: map[netip.Addr]life{},
		all: make([]*talk, 0, n), upAt: map[[2]netip.Addr]int64{}, taken: map[[2]netip.Addr]int64{},
		began: map[betweenBy][]int64{}}
	all := make([]talk, n)
	for i, t := range talks {
		s.heard()
		all[i].Talk = t
		s.add(&all[i])
	}
	slices.Sort(s.begun)
	for _, t := range slices.Backward(s.all) {
		next := s.of(t.Next)
		t.succeeds = t.CameUp() || next != nil && next.succeeds
	}
	return s
}

func (s *talkSet) add(t *talk) {
	s.all = append(s.all, t)
	if t.Complete {
		s.begun = append(s.begun, t.First)
	}
	if t.CameUp() {
		between := t.Between()
		s.upAt[between] = max(s.upAt[between], t.First)
		if t.Taken {
			s.taken[between] = max(s.taken[between], t.First)
		}
		by := betweenBy{between, t.Initiator}
		s.began[by] = append(s.began[by], t.First)
	}
	if t.End == facts.Established && t.Successor == nil && !t.Foreign {
		peer := s.remotes.With(t.Conversation)
		x := s.alive[peer]
		s.alive[peer] = life{max(x.first, t.First), max(x.last, t.Last)}
	}
}

// talks yields all conversations in order, until the context ends.
func (s *talkSet) talks(yield func(int, *talk) bool) {
	for i, t := range s.all {
		if s.heard(); s.steps%hearing == 0 && s.ended() || !yield(i, t) {
			return
		}
	}
}

// named is the conversation with an ID, or nil. They are numbers, and ascend.
func (s *talkSet) named(id string) *talk {
	i, ok := slices.BinarySearchFunc(s.all, id, func(t *talk, id string) int {
		return cmp.Or(cmp.Compare(len(t.ID), len(id)), cmp.Compare(t.ID, id))
	})
	if !ok {
		return nil
	}
	return s.all[i]
}

// of is what is told of a conversation; nil of none, and of those of strangers. IDs are the places
// in the case, counted from 1.
func (s *talkSet) of(v *pair.Conversation) *talk {
	if v == nil {
		return nil
	}
	i, err := strconv.Atoi(v.ID)
	if err != nil || i < 1 || i > len(s.all) || s.all[i-1].Conversation != v {
		return nil
	}
	return s.all[i-1]
}

// bySPI is the first conversation with an initiator's SPI, or nil.
func (s *talkSet) bySPI(spi ike.SPI) *talk {
	if s.spis == nil {
		s.spis = make(map[ike.SPI]*talk, len(s.all))
		for _, t := range slices.Backward(s.all) {
			s.spis[t.SPIi] = t
		}
	}
	return s.spis[spi]
}

// hearing is after how many steps the context is looked at.
const hearing = 64

// heard counts a step of the work.
func (s *talkSet) heard() { s.steps++ }

// ended says whether the context has ended.
func (s *talkSet) ended() bool { return s.ctx.Err() != nil }

// onlyV1 says whether all that the sides negotiate is IKEv1, which commands of
// IKEv2 do nothing for.
func (s *talkSet) onlyV1() bool {
	some := false
	for _, t := range s.all {
		if !t.Foreign && t.Version != 1 {
			return false
		}
		some = some || !t.Foreign
	}
	return some
}

// succeeded says whether t, or one of the attempts that followed it, came up.
func (s *talkSet) succeeded(t *talk) bool { return t.succeeds }

// cameUpAfter says whether t, or a later negotiation of the same two ends, came up.
func (s *talkSet) cameUpAfter(t *talk) bool {
	at, ok := s.upAt[t.Between()]
	return ok && at >= t.First
}

// betweenBy names the negotiations of two addresses that one side began.
type betweenBy struct {
	addresses [2]netip.Addr
	initiator pair.Side
}

// superseded says whether t does not matter any more: a later SA of the same two ends is in use, or
// one that the other side began at the same time stands, of which two one is given up.
func (s *talkSet) superseded(t *talk) bool {
	at, ok := s.taken[t.Between()]
	return ok && at >= t.First || s.rivalCameUp(t)
}

// rivalCameUp says whether a negotiation came up that the other side began at the same time as t.
func (s *talkSet) rivalCameUp(t *talk) bool {
	rivals := s.began[betweenBy{t.Between(), t.Initiator.Other()}]
	i, _ := slices.BinarySearch(rivals, t.First-facts.Soon)
	return i < len(rivals) && rivals[i] <= t.First+facts.Soon
}

// begunBetween says whether a negotiation began in the time after from, up to to.
func (s *talkSet) begunBetween(from, to int64) bool {
	i, _ := slices.BinarySearch(s.begun, from+1)
	return i < len(s.begun) && s.begun[i] <= to
}

// otherLives says whether another SA with the same peer stands beside t, which a Delete of t at a
// moment leaves: a later one, one that was made with it, or one that is still used.
func (s *talkSet) otherLives(t *talk, at int64) bool {
	x, some := s.alive[s.remotes.With(t.Conversation)]
	return some && (x.first > t.First-facts.Soon || x.last > at)
}

// crossings finds for every CREATE_CHILD_SA request the first one of the other side that crossed
// it: sent before the answer to the first was, and the other way round.
func crossings(requests []*pair.Message) map[*pair.Message]*pair.Message {
	crossed := map[*pair.Message]*pair.Message{}
	begins := func(m *pair.Message) int64 { return m.Transmissions()[0].Aligned }
	for i, m := range requests {
		if m.AnsweredBy() == nil {
			continue
		}
		for _, o := range requests[i+1:] { // they are in the order of their beginnings
			if begins(o) >= begins(m.AnsweredBy()) {
				break
			}
			if o.From == m.From || o.AnsweredBy() == nil || begins(m) >= begins(o.AnsweredBy()) {
				continue
			}
			if crossed[m] == nil {
				crossed[m] = o
			}
			if crossed[o] == nil {
				crossed[o] = m
			}
		}
	}
	return crossed
}
