package facts

import (
	"cmp"
	"math"
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
	Brief   bool // it lasts to the end of the captures, and not for long: traffic that wants no answer may have begun
}

// A side that never sent protected packets is silent beside so many of the other side's. One that
// did has a rhythm of its own: it is silent beside as many over so long a time, and several times
// longer than ever before.
const (
	fewestUnanswered  = 5
	steadyUnanswered  = 10
	shortestSilence   = 10_000_000_000
	longerThanUsually = 5
	// One that has just begun when the captures end, and for so much longer than ever before; beside
	// so many packets, unless it began with new SAs.
	fewestAtLast   = 50
	fewestOfNew    = 20
	shortestAtLast = 3_000_000_000
	farLonger      = 20
	// So many packets that were answered one by one are a rhythm, however short the time.
	fewestAnswered = 10
	// a side that never sends is silent beside packets of so long a time, or of so long ago if the SA
	// began with them: else its answers may be on their way, or the packets be the last of a dialogue
	answersDue = 500_000_000
)

// Silences lists, for every peer, when one side was silent; none where a capture without times
// cannot tell.
func (t *Traffic) Silences() []Silence {
	if t.c.Untimed() || !t.c.Related() {
		return t.neverSent()
	}
	blocked := func(f *pair.Flow) bool { _, yes := t.blocked(f); return yes }
	var all []Silence
	for _, p := range t.Peers {
		for _, s := range pair.Both {
			if slices.ContainsFunc(p.Flows[s.Other()], blocked) {
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

// silence returns the longest silence of s that is none by its habit, or else that with which the
// captures end.
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
		} else if !whole {
			pause.from = min(pause.from+overtaken, pause.to) // what was on its way to it is no answer due
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
		case whole && found.Packets >= fewestUnanswered && p.answersDue(found, pause),
			found.Packets >= steadyUnanswered && length >= max(shortestSilence, longerThanUsually*usual):
			return found, true
		}
		break // the shorter ones are no better
	}
	return p.silentAtLast(s, pauses)
}

// silentAtLast returns that of the pauses of s with which the captures end, if it is a silence: it
// answered all the time, for as long as it must be silent at least, or each packet of the kind that
// still comes, and then no more, be it since new SAs were made.
func (p *Peer) silentAtLast(s pair.Side, pauses []span) (Silence, bool) {
	if len(p.spans[s]) == 0 {
		return Silence{}, false
	}
	i := slices.IndexFunc(pauses, func(x span) bool { return x.to == p.watch[s][1]+1 })
	if i < 0 || pauses[i].to-pauses[i].from < shortestAtLast {
		return Silence{}, false
	}
	last := pauses[i]
	answered := busyIn(joined(p.spans[s.Other()]), span{p.spans[s][0].from, last.from})
	if answered < shortestAtLast && !p.answeredEach(s, last.from) {
		return Silence{}, false
	}
	newest := p.lastBegun(s)
	anew := slices.ContainsFunc(p.births, func(b birth) bool {
		return b.at > last.from-stepAside && b.at < last.from+stepAside && b.at >= newest+overtaken
	})
	last.from = min(last.from+overtaken, last.to)
	found := p.during(s, last)
	found.Brief = !anew
	fewest := fewestAtLast
	if anew {
		fewest = fewestOfNew
	}
	long := max(shortestAtLast, farLonger*p.usual(s, slices.Delete(pauses, i, i+1)))
	return found, found.Packets >= fewest && found.To-found.From >= long
}

// answeredEach says whether s answered the other side's packets one by one until a moment, as it
// does with pings, and those since are of the same size.
func (p *Peer) answeredEach(s pair.Side, until int64) bool {
	type packet struct {
		at   int64
		from pair.Side
	}
	var all []packet
	size := uint16(0)
	for _, from := range pair.Both {
		for _, f := range p.seen[from] {
			if f.SampleStep > 1 {
				return false
			}
			for _, x := range f.Samples {
				if from != s && size == 0 {
					size = x.Size
				}
				if from != s && x.Size != size {
					return false
				}
				if at := f.c.Aligned(x.Nanos, f.side); at <= until {
					all = append(all, packet{at, from})
				}
			}
		}
	}
	slices.SortStableFunc(all, func(a, b packet) int { return cmp.Compare(a.at, b.at) })
	asked, answered, due := 0, 0, false
	for _, x := range all {
		switch {
		case x.from != s:
			asked, due = asked+1, true
		case due:
			answered, due = answered+1, false
		}
	}
	return answered >= fewestAnswered && answered >= asked-asked/10
}

// lastBegun is when the last of the flows of s began; the earliest time of all without any.
func (p *Peer) lastBegun(s pair.Side) int64 {
	last := int64(math.MinInt64)
	for _, f := range p.seen[s] {
		last = max(last, f.first())
	}
	return last
}

// answersDue says whether it was time to answer what the other side sent in a pause.
func (p *Peer) answersDue(found Silence, pause span) bool {
	until := found.To
	if found.Flow.At[found.In].Seqs.Min() == 1 { // of an SA (RFC 4303, Section 3.3.3)
		until = pause.to
	}
	return p.c.Untimed() || until-found.From >= answersDue
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

// usual is how long s is silent at other times while the other side is busy. When neither sends,
// there may be nothing to say.
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

// hears says whether what the other side sends reaches the capture of s, as far as that is there. A
// capture that had not begun, or had ended, says nothing of what came, and then the talker's own is
// like one capture alone.
func (p *Peer) hears(s pair.Side) bool {
	return !p.own[s] || p.absent(s) ||
		slices.ContainsFunc(p.Flows[s.Other()], func(f *pair.Flow) bool { return f.At[s] != nil })
}

// absent says whether the capture of s, which holds none of the other side's packets, holds nothing
// at all from the time in which they were sent, while the talker's own would hold what came back.
func (p *Peer) absent(s pair.Side) bool {
	talker := s.Other()
	story := p.c.Story(s)
	if !p.own[talker] || p.c.Parties[talker].Coverage.Deaf || story == nil || story.Counts.Packets == 0 ||
		p.c.Parties[s].Untimed || p.c.Parties[talker].Untimed {
		return false
	}
	from, to := p.c.Aligned(story.First, s), p.c.Aligned(story.Last, s)
	return !slices.ContainsFunc(p.seen[talker], func(f *seenFlow) bool { return f.last() >= from && f.first() <= to })
}

// pauses are the times in which s sent nothing though its packets would have been seen,
// the longest first.
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
	found := Silence{Peer: p, Side: s, From: pause.to, To: pause.from, Arrives: p.own[s] &&
		!p.c.Parties[s].Coverage.Mute && !p.absent(s) && p.heard(s)}
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
		begins := found.From
		if found.In == s && found.Flow.At[s] != nil { // by its own capture, which the doubt about the clocks is none of
			begins = max(begins, p.c.Aligned(found.First.Nanos, s))
		}
		found.Arrives = found.Arrives && p.c.Aligned(own.First, s) <= begins &&
			p.c.Aligned(own.Last, s) >= found.To-(found.To-found.From)/2
	}
	return found
}

// heard says whether a capture holds anything that s sent, to whomever: where none does, they may
// be of the other direction only.
func (p *Peer) heard(s pair.Side) bool {
	if slices.ContainsFunc(p.c.Flows, func(f *pair.Flow) bool { return f.From == s }) ||
		slices.ContainsFunc(p.c.ICMP, func(e pair.ICMP) bool { return p.c.Parties[s].Is(e.Sight.Src.Addr()) }) {
		return true
	}
	for m := range p.c.Messages() {
		if m.From == s {
			return true
		}
	}
	return false
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
