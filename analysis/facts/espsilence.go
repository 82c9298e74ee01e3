package facts

import (
	"cmp"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/pair"
)

// Silence is a time in which one side sends protected packets and the other none.
type Silence struct {
	*Peer
	Side     pair.Side // who is silent
	Whole    bool      // it never sent any
	AtFirst  bool      // it had not sent any yet
	From, To int64     // aligned: of the other side's first and last packet in it
	Packets  int       // of the other side in it
	Flow     *pair.Flow
	First    exchange.Point // the first of these packets, in the capture of
	In       pair.Side
	// The silent side's own capture shows that they arrive and that it sends none; else they may be
	// lost on the way.
	Arrives bool
}

// A side that never sent protected packets is silent beside so many of the other side's. One that
// did has a rhythm of its own: it is silent beside as many over so long a time, and several times
// longer than ever before.
const (
	fewestUnanswered  = 5
	steadyUnanswered  = 10
	shortestSilence   = 10_000_000_000
	longerThanUsually = 5
)

// Silences lists, for every peer, when one side was silent; none where a capture without times
// cannot tell.
func (t *Traffic) Silences() []Silence {
	if t.c.Parties[pair.A].Untimed || t.c.Parties[pair.B].Untimed {
		return t.neverSent()
	}
	blocked := t.Blocked()
	var all []Silence
	for _, p := range t.Peers {
		for _, s := range pair.Both {
			if slices.ContainsFunc(blocked, func(b Blocked) bool {
				return b.From == s.Other() && slices.Contains(p.Flows[s.Other()], b.Flow)
			}) {
				continue // it has nothing to answer
			}
			if found, ok := p.silence(s); ok {
				all = append(all, found)
			}
		}
	}
	return all
}

func (t *Traffic) neverSent() []Silence {
	var all []Silence
	for _, p := range t.Peers {
		for _, s := range pair.Both {
			if len(p.Flows[s]) > 0 {
				continue
			}
			if found, ok := p.silence(s); ok {
				all = append(all, found)
			}
		}
	}
	return all
}

// silence returns the longest silence of s that is none by its habit.
func (p *Peer) silence(s pair.Side) (Silence, bool) {
	talker := s.Other()
	if len(p.Flows[talker]) == 0 || p.watch[s] == [2]int64{} || !p.hears(s) {
		return Silence{}, false
	}
	pauses := p.pauses(s)
	whole := len(p.Flows[s]) == 0
	times := p.times(talker)
	for i, pause := range pauses {
		atFirst := p.bornIn(pause, s)
		if atFirst {
			pause.from = p.births[0].at + stepAside // it had no SA until then
		}
		if n, _ := slices.BinarySearch(times, pause.from); n == len(times) || times[n] >= pause.to {
			continue // the other side is silent, too; to ask each of its flows is too much work for thousands of pauses
		}
		found := p.during(s, pause)
		found.Whole, found.AtFirst = whole, atFirst
		length, usual := found.To-found.From, p.usual(s, pauses[i+1:])
		switch {
		case found.Packets == 0:
			continue
		case whole && found.Packets >= fewestUnanswered,
			found.Packets >= steadyUnanswered && length >= max(shortestSilence, longerThanUsually*usual):
			return found, true
		}
		return Silence{}, false // the shorter ones are no better
	}
	return Silence{}, false
}

// times are when the packets of s that were sampled passed, aligned, ascending.
func (p *Peer) times(s pair.Side) []int64 {
	var all []int64
	for _, f := range p.seen[s] {
		for _, x := range f.Samples {
			all = append(all, p.c.Aligned(x.Nanos, f.side))
		}
	}
	slices.Sort(all)
	return all
}

// usual is how long s is silent at other times while the other side is busy. When neither sends, there may be nothing to say.
func (p *Peer) usual(s pair.Side, further []span) (longest int64) {
	busy := joined(p.spans[s.Other()])
	for _, pause := range further {
		if pause.to-pause.from <= longest {
			break // they become shorter
		}
		longest = max(longest, busyIn(busy, pause))
	}
	return longest
}

// joined makes one of spans that touch. They are in the order of their beginnings.
func joined(all []span) []span {
	var out []span
	for _, x := range all {
		switch n := len(out); {
		case x.to <= x.from: // a moment, or less where a clock was set back in it
		case n > 0 && x.from <= out[n-1].to:
			out[n-1].to = max(out[n-1].to, x.to)
		default:
			out = append(out, x)
		}
	}
	return out
}

// busyIn is how much of a stretch of time the given ones fill, which are in order and apart.
func busyIn(busy []span, in span) (n int64) {
	first, _ := slices.BinarySearchFunc(busy, in.from, func(b span, t int64) int { return cmp.Compare(b.to, t) })
	for _, b := range busy[first:] {
		if b.from >= in.to {
			break
		}
		n += max(0, min(b.to, in.to)-max(b.from, in.from))
	}
	return n
}

// bornIn says whether a pause of s before its first packet ends with a new SA.
func (p *Peer) bornIn(pause span, s pair.Side) bool {
	return len(p.spans[s]) > 0 && pause.to == p.spans[s][0].from && len(p.births) > 0 && p.births[0].at >= pause.from &&
		p.births[0].at <= pause.to
}

// hears says whether what the other side sends reaches the capture of s, as far as that is there.
func (p *Peer) hears(s pair.Side) bool {
	return !p.own[s] || slices.ContainsFunc(p.Flows[s.Other()], func(f *pair.Flow) bool { return f.At[s] != nil })
}

// pauses are the times in which s sent nothing though its packets would have been seen, the longest
// first.
func (p *Peer) pauses(s pair.Side) []span {
	var all []span
	at := p.watch[s][0]
	for _, busy := range p.spans[s] {
		if busy.from > at {
			all = append(all, span{at, busy.from})
		}
		at = max(at, busy.to)
	}
	if p.watch[s][1] > at {
		all = append(all, span{at, p.watch[s][1] + 1})
	}
	slices.SortStableFunc(all, func(a, b span) int { return cmp.Compare(b.to-b.from, a.to-a.from) })
	return all
}

// during is what the other side sent in a pause of s.
func (p *Peer) during(s pair.Side, pause span) Silence {
	found := Silence{Peer: p, Side: s, From: pause.to, To: pause.from, Arrives: p.own[s] && !p.c.Parties[s].Coverage.Mute}
	for _, f := range p.seen[s.Other()] {
		n, in := f.within(span{pause.from - 1, pause.to})
		if n == 0 {
			continue
		}
		found.Packets += n
		found.From, found.To = min(found.From, in.from), max(found.To, in.to)
		at := f.side
		if f.of.At[s] != nil {
			at = s
		}
		if found.Flow == nil {
			found.Flow, found.In, found.First = f.of, at, firstIn(p.c, f.of.At[at], at, pause)
		}
	}
	if own := p.c.Story(s); own != nil && found.Packets > 0 {
		found.Arrives = found.Arrives && p.c.Aligned(own.First, s) <= found.From &&
			p.c.Aligned(own.Last, s) >= found.To-(found.To-found.From)/2
	}
	return found
}

// firstIn is the first sampled packet of f in a pause.
func firstIn(c *pair.Case, f *exchange.Flow, at pair.Side, pause span) exchange.Point {
	for _, x := range f.Samples {
		if c.Aligned(x.Nanos, at) >= pause.from {
			return x
		}
	}
	return f.Last
}
