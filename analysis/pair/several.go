package pair

import (
	"iter"
	"net/netip"
	"slices"
	"sync"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
)

// Tunnel is what the two captures hold between two addresses.
type Tunnel struct {
	Between [2]netip.Addr // each side's own, as its own capture shows it
	// by side, where others use its address, too: with whom its capture shows it to speak in this
	// tunnel; nil: all of that address is of this one
	With [2][]netip.Addr
}

// Share is what part of the capture of s is of the tunnel.
func (t *Tunnel) Share(s Side) exchange.Share {
	return exchange.Share{Of: t.Between[s], With: t.With[s]}
}

// Said says whether anybody said which tunnel is meant: then what is with others is no part of it.
func (c *Case) Said() bool { return c.Parties[A].Known.IsValid() || c.Parties[B].Known.IsValid() }

// Tunnels are those that the two captures hold and that can be told apart by their addresses: each
// shows in both captures, between two addresses that no other one has there. It is nil where there
// is but one, and where an address is known already. A tunnel of several addresses is left out: one
// that moved, that goes on elsewhere, or of which a NAT changed its mind. With one capture alone
// they are those in which its side speaks. all says that nothing else of the two sides is in the
// captures.
func (c *Case) Tunnels() (alone []Tunnel, all bool) {
	if c.Said() {
		return nil, false
	}
	ways := sync.OnceValue(func() []*Message { return eachWay(c.Conversations) })
	held := c.inBoth(ways)
	if !c.TwoSided() {
		held = c.spokenIn()
	}
	place := map[[2]netip.Addr]int{}
	uses := map[netip.Addr]int{} // by how many tunnels an address is used
	var some []Tunnel
	for between := range held {
		if _, known := place[between]; !known {
			place[between] = len(some)
			some = append(some, Tunnel{Between: between})
			uses[between[A]]++
			uses[between[B]]++
		}
	}
	if len(some) < 2 {
		return nil, false
	}
	spoken, several := c.spoken(ways(), place)
	unsure := c.unsure(ways())
	of := [2]map[[2]netip.Addr]bool{{}, {}} // the ends in the capture of a side; invalid: whoever is the other end
	for i := range some {
		t := &some[i]
		if several[i] || unsure[A][t.Between[A]] || unsure[B][t.Between[B]] {
			continue
		}
		for _, s := range Both {
			own := t.Between[s]
			if c.Story(s) == nil {
				continue
			}
			if uses[own] == 1 {
				of[s][[2]netip.Addr{own}] = true
				continue
			}
			t.With[s] = spoken[s][i]
			for _, a := range t.With[s] {
				of[s][[2]netip.Addr{own, a}] = true
			}
		}
		alone = append(alone, *t)
	}
	ours := func(s Side, own, other netip.Addr) bool {
		return !own.IsValid() || of[s][[2]netip.Addr{own}] || of[s][[2]netip.Addr{own, other}]
	}
	other := slices.ContainsFunc(ways(), func(m *Message) bool {
		return !m.Conversation.Foreign &&
			(!ours(A, m.End(A, A), m.End(B, A)) || !ours(B, m.End(B, B), m.End(A, B)))
	}) || slices.ContainsFunc(c.Flows, func(f *Flow) bool {
		return !f.Foreign && (!ours(A, f.End(A, A), f.End(B, A)) || !ours(B, f.End(B, B), f.End(A, B)))
	})
	return alone, !other
}

// eachWay are messages of conversations, in their order: of those that went the same way by both
// captures, in conversations between the same ends, which tell the same addresses, one or few.
// There may be a million messages, and few ways.
func eachWay(all []*Conversation) []*Message {
	type way struct {
		in   [2]*exchange.Way // as each side's capture has it
		from Side
	}
	type ends struct {
		between [2]netip.Addr
		foreign bool
	}
	const most = 4096
	var some []*Message
	known := map[way]ends{}
	var recent [8]way // a conversation goes there and back, and what is lost is in one capture alone
	for _, v := range all {
		its, seen := ends{v.Between(), v.Foreign}, recent[:0]
		for _, m := range v.Messages {
			w := way{from: m.From}
			for s, x := range m.at {
				if x != nil {
					w.in[s] = x.Sent()[0].Way
				}
			}
			if slices.Contains(seen, w) {
				continue
			}
			if len(seen) == len(recent) {
				seen = seen[:0]
			}
			seen = append(seen, w)
			if last, ok := known[w]; ok && last == its {
				continue
			}
			if len(known) == most {
				clear(known)
			}
			known[w], some = its, append(some, m)
		}
	}
	return some
}

// spoken are, by side and the tunnel's place, the addresses of the other side that a capture shows
// in it. several marks the tunnels of which one capture shows the same two addresses, as it does of
// two peers behind one NAT.
func (c *Case) spoken(ways []*Message, place map[[2]netip.Addr]int) (
	with [2]map[int][]netip.Addr, several map[int]bool) {
	with, several = [2]map[int][]netip.Addr{{}, {}}, map[int]bool{}
	var holds [2]map[[2]netip.Addr]int // which tunnel's two addresses are, by the capture
	for _, s := range Both {
		holds[s] = map[[2]netip.Addr]int{}
	}
	note := func(i int, s Side, own, other netip.Addr) {
		if !own.IsValid() {
			return
		}
		ends := [2]netip.Addr{own, other}
		switch first, known := holds[s][ends]; {
		case !known:
			holds[s][ends] = i
			with[s][i] = append(with[s][i], other)
		case first != i:
			several[first], several[i] = true, true
		}
	}
	for _, m := range ways {
		if i, known := place[m.Conversation.Between()]; known && !m.Conversation.Foreign {
			note(i, A, m.End(A, A), m.End(B, A))
			note(i, B, m.End(B, B), m.End(A, B))
		}
	}
	for _, f := range c.Flows {
		if i, known := place[c.between(f)]; known && !f.Foreign {
			note(i, A, f.End(A, A), f.End(B, A))
			note(i, B, f.End(B, B), f.End(A, B))
		}
	}
	for between, i := range place { // pieces, and what only one side shows
		for _, s := range Both {
			if len(with[s][i]) == 0 {
				note(i, s, between[s], between[s.Other()])
			}
		}
	}
	return with, several
}

// unsure are the addresses, by side, of tunnels that use several: who moved (RFC 4555), answers
// from another one, goes on with another one, or is sent there (RFC 5685).
func (c *Case) unsure(ways []*Message) [2]map[netip.Addr]bool {
	unsure := [2]map[netip.Addr]bool{{}, {}}
	for _, m := range ways {
		for _, s := range Both {
			last := m.Conversation.Ends[s].Addr()
			if own := m.End(s, c.Observer(s)); own.IsValid() && own != last {
				unsure[s][own], unsure[s][last] = true, true
			}
		}
	}
	for _, v := range c.Conversations {
		for _, s := range Both {
			last := v.Ends[s].Addr()
			if o := v.Successor; o != nil && o.Ends[s].Addr() != last {
				unsure[s][o.Ends[s].Addr()], unsure[s][last] = true, true
			}
			if v.MaySay(ike.Redirect, ike.RedirectedFrom) && slices.ContainsFunc(v.Messages, func(m *Message) bool {
				return m.Has(uint16(ike.Redirect)) || m.Has(uint16(ike.RedirectedFrom))
			}) {
				unsure[s][last] = true
			}
		}
	}
	for _, f := range c.Flows {
		for _, s := range Both {
			for _, x := range f.moved[c.Observer(s)] {
				was := endOf(s, f.From, x.Src, x.Dst)
				if now := f.End(s, c.Observer(s)); was != now {
					unsure[s][was], unsure[s][now] = true, true
				}
			}
		}
	}
	return unsure
}

// spokenIn yields the addresses of both ends of the negotiations in which the side of the only
// capture speaks.
func (c *Case) spokenIn() iter.Seq[[2]netip.Addr] {
	return func(yield func([2]netip.Addr) bool) {
		s, _ := c.Lone()
		speaks := func(m *Message) bool { return m.From == s }
		for _, v := range c.Conversations {
			if !v.Foreign && slices.ContainsFunc(v.Messages, speaks) && !yield(v.Between()) {
				return
			}
		}
	}
}

// inBoth yields the addresses of both ends of what both captures hold: the same packets, or others
// between the same addresses, and be it pieces of datagrams, where all that one side sends is lost.
func (c *Case) inBoth(ways func() []*Message) iter.Seq[[2]netip.Addr] {
	return func(yield func([2]netip.Addr) bool) {
		for _, v := range c.Conversations {
			if !v.Foreign && v.matched() && !yield(v.Between()) {
				return
			}
		}
		for _, f := range c.Flows {
			a, b := f.End(A, A), f.End(B, B)
			if !f.Foreign && a.IsValid() && b.IsValid() && !yield([2]netip.Addr{a, b}) {
				return
			}
		}
		unmatched := slices.DeleteFunc(slices.Concat(c.Conversations, c.Strangers), (*Conversation).matched)
		if len(unmatched) == 0 {
			return
		}
		all := slices.Concat(ways(), eachWay(c.Strangers))
		held := [2]map[[2]netip.Addr]bool{c.ends(A, all), c.ends(B, all)}
		for _, v := range unmatched {
			if between := v.Between(); held[A][between] && held[B][between] && !yield(between) {
				return
			}
		}
	}
}

// ends are the addresses of both ends of what the capture of s holds, that of A first, as far as
// they are known; pieces of datagrams are there either way round. messages are those of every way.
func (c *Case) ends(s Side, messages []*Message) map[[2]netip.Addr]bool {
	ends := map[[2]netip.Addr]bool{}
	for _, m := range messages {
		if a := m.End(A, s); a.IsValid() {
			ends[[2]netip.Addr{a, m.End(B, s)}] = true
		}
	}
	for _, f := range c.Flows {
		if a := f.End(A, s); a.IsValid() {
			ends[[2]netip.Addr{a, f.End(B, s)}] = true
		}
	}
	for _, d := range c.Story(s).Datagrams {
		ends[[2]netip.Addr{d.Src, d.Dst}], ends[[2]netip.Addr{d.Dst, d.Src}] = true, true
	}
	return ends
}

// between are the addresses of both ends of f, each as its own capture shows it, if there is one.
func (c *Case) between(f *Flow) [2]netip.Addr {
	return [2]netip.Addr{f.End(A, c.Observer(A)), f.End(B, c.Observer(B))}
}

// span is what the captures hold between two addresses, in time.
type span struct {
	first, last int64 // aligned
	by          Side  // who begins the negotiations
	asked       bool  // there are some
	both        bool  // and either side begins some
}

// GivenUp are the tunnels, by the two sides' own addresses, in which a side began all negotiations
// and went on with another address of its own or of its peer when that was over, as to a backup;
// and which side.
func (c *Case) GivenUp() map[[2]netip.Addr]Side {
	spans := map[[2]netip.Addr]*span{}
	note := func(between [2]netip.Addr, first, last int64) *span {
		x := spans[between]
		if x == nil {
			x = &span{first: first, last: last}
			spans[between] = x
		}
		x.first, x.last = min(x.first, first), max(x.last, last)
		return x
	}
	for _, v := range c.Conversations {
		if !v.Foreign {
			x := note(v.Between(), v.First, v.Last)
			x.both = x.both || x.asked && x.by != v.Initiator
			x.by, x.asked = v.Initiator, true
		}
	}
	for _, f := range c.Flows {
		if between, in := c.between(f), c.Observer(f.From); !f.Foreign && between[A].IsValid() && between[B].IsValid() {
			note(between, f.start(c), c.Aligned(f.At[in].Last.Nanos, in))
		}
	}
	type beginner struct {
		end  Side
		addr netip.Addr
		by   Side
	}
	latest := map[beginner]int64{} // when the last of those that a side began with an address did
	for between, x := range spans {
		for _, s := range Both {
			if k := (beginner{s, between[s], x.by}); x.asked && !x.both {
				if at, known := latest[k]; !known || x.first > at {
					latest[k] = x.first
				}
			}
		}
	}
	given := map[[2]netip.Addr]Side{}
	for between, x := range spans {
		for _, s := range Both {
			if at, known := latest[beginner{s, between[s], x.by}]; x.asked && !x.both && known && at > x.last {
				given[between] = x.by
			}
		}
	}
	return given
}
