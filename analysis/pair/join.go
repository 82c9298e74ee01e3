package pair

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"net/netip"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
)

// Options are what is known beside the captures.
type Options struct {
	Parties [2]Party  // Name, Interface, File, Known and KnownNAT are read
	Keys    *ike.Keys // opens encrypted messages; nil: none
	NoSwap  bool      // keep a for A and b for B, also where the addresses say otherwise
	// Room is that of a case which nobody looks at any more; nil: there is none. It is that of the new
	// case then
	Room *Room
	// Progress is told how many of the steps of the work are done; nil: nobody wants to know.
	Progress func(done, of int)
}

// Join makes one case of two stories. b is nil when only one capture was given. The stories are not
// to be used by anybody else afterwards. It ends early with ctx's cause.
func Join(ctx context.Context, a, b *exchange.Story, o Options) (*Case, error) {
	if a == nil {
		return nil, errors.New("compare: no capture of side A was given")
	}
	j := joiner{ctx: ctx, c: &Case{Parties: o.Parties}, keys: o.Keys, room: cmp.Or(o.Room, &Room{})}
	for _, s := range Both {
		j.c.Parties[s].Side = s
	}
	j.c.Parties[A].Story, j.c.Parties[B].Story = a, b
	steps := []func(){
		func() { j.link(!o.NoSwap) }, j.retime, j.locate, j.match, j.converse, j.translate, j.part, j.cover, j.patience,
		j.judgeFates, j.finishFlows, j.detect, j.icmp, j.count,
	}
	for i, step := range steps {
		if o.Progress != nil {
			o.Progress(i, len(steps))
		}
		step()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	return j.c, nil
}

// link finds the messages that both captures hold, and which capture is whose.
func (j *joiner) link(mayBeSwapped bool) {
	p := &j.c.Parties
	j.links = linkMessages(p[A].Story, p[B].Story, j.room)
	if mayBeSwapped && swapped(p, j.links, &j.index) {
		j.swap()
	}
	for _, s := range Both {
		if story := j.c.Story(s); story != nil {
			story.Linked()
		}
	}
}

// part sets aside what is with others than the two sides.
func (j *joiner) part() {
	j.c.partOtherTunnels()
	j.c.findForeign()
	j.c.partForeign()
}

// hearing is after how many messages or conversations the context is looked at.
const hearing = 1024

// until yields elements until the context ends: what is left undone then, nobody sees.
func until[T any](ctx context.Context, all []T) iter.Seq[T] {
	return func(yield func(T) bool) {
		for i, x := range all {
			if i%hearing == 0 && ctx.Err() != nil || !yield(x) {
				return
			}
		}
	}
}

// joiner holds what Join needs while it works.
type joiner struct {
	ctx     context.Context
	c       *Case
	links   []*Message
	compass *compass
	keys    *ike.Keys
	index   exchange.Index // room for whoever needs one
	room    *Room
	refined [2]bool // the coarse times of a side are worked out by the other's
}

// Room is where the messages of a case lie. Who joins one case after the other, and keeps few of
// them, need not make it anew for each. The zero value is empty.
type Room struct {
	messages []Message
	links    []*Message
}

// of makes room for n messages: all are the zero value, and all are linked to.
func (r *Room) of(n int) ([]Message, []*Message) {
	if cap(r.messages) < n {
		r.messages, r.links = make([]Message, n), make([]*Message, n)
	} else {
		r.messages, r.links = r.messages[:n], r.links[:n]
		clear(r.messages)
	}
	for i := range r.messages {
		r.links[i] = &r.messages[i]
	}
	return r.messages, r.links
}

// swap exchanges the captures and leaves the names where the inventory has them. A single capture
// stays A's: the names are exchanged.
func (j *joiner) swap() {
	p := &j.c.Parties
	if p[B].Story == nil {
		p[A], p[B] = p[B], p[A]
		p[A].Side, p[B].Side = A, B
	}
	alone := p[A].Story == nil
	p[A].Story, p[B].Story = p[B].Story, p[A].Story
	p[A].File, p[B].File = p[B].File, p[A].File
	p[A].Leaky, p[B].Leaky = p[B].Leaky, p[A].Leaky // that shows in the capture; whether it was full, its router said
	p[A].TimesGoodTo, p[B].TimesGoodTo = p[B].TimesGoodTo, p[A].TimesGoodTo
	if j.c.Swapped, j.c.Renamed = !alone, alone; alone {
		return // what was exchanged twice is where it was
	}
	j.links = linkMessages(p[A].Story, p[B].Story, j.room)
}

// locate says of every message and flow who sent it, and joins what was altered on its way.
func (j *joiner) locate() {
	p := &j.c.Parties
	j.compass = orient(p, j.links, &j.index)
	j.links = j.compass.partStrangers(j.links)
	doubles := [2]bool{true, true}
	for _, l := range j.links {
		l.From = j.sender(l)
		if m := l.at[l.From]; m != nil && !slices.ContainsFunc(m.Sent(), func(x exchange.Sight) bool { return x.Copy }) {
			doubles[l.From] = false
		}
	}
	for _, l := range j.links {
		l.doubled = doubles[l.From]
	}
	if p[B].Story != nil {
		j.links = linkAltered(j.links)
	}
	j.c.Flows = joinFlows(p, j.compass)
	var remote [2][]netip.Addr
	for _, s := range Both {
		if p[s].Story != nil {
			p[s].Addresses, remote[s] = j.compass.ownAddresses(s, p[s].Story)
		}
	}
	for _, s := range Both {
		if len(p[s].Addresses) > 0 || p[s].Known.IsValid() {
			continue
		}
		if p[s].Addresses = reachedByPieces(p[s].Story, p[s.Other()].Addresses); len(p[s].Addresses) == 0 {
			p[s].Addresses = remote[s.Other()]
		}
	}
}

// reachedByPieces are the addresses in a story to which the peer's datagrams came in fragments
// alone: of a capture that holds no whole packet of the tunnel they are what tells whose it is.
func reachedByPieces(story *exchange.Story, peer []netip.Addr) (own []netip.Addr) {
	if story == nil {
		return nil
	}
	for _, d := range story.Datagrams {
		if slices.Contains(peer, d.Src) && !slices.Contains(own, d.Dst) {
			own = append(own, d.Dst)
		}
	}
	return own
}

func (j *joiner) sender(l *Message) Side {
	for _, s := range Both {
		if m := l.at[s]; m != nil {
			return j.compass.sender(s, m.Sent()[0].Src.Addr())
		}
	}
	return A
}

// match pairs the transmissions: first by what needs no clock, then by the clock
// that follows from it. Where that shows a clock to have been set, it is done again without.
func (j *joiner) match() {
	for n := range mostSettings {
		if all := j.pairUp(); j.c.Untimed() || n == mostSettings-1 || !j.even(all) {
			break
		}
	}
	if !j.c.Untimed() {
		for _, s := range Both {
			j.refine(s)
		}
		j.turnAround()
		j.c.tellSteps()
	}
	for l := range until(j.ctx, j.links) {
		j.duplicates(l)
		for _, t := range l.Transmissions() {
			t.Aligned = j.aligned(t, l.From)
		}
		if sends := l.Transmissions(); len(sends) > 1 {
			slices.SortStableFunc(sends, func(x, y *Transmission) int { return cmp.Compare(x.Aligned, y.Aligned) })
		}
	}
}

// mostSettings are how often it is looked for steps of the clocks.
const mostSettings = 3

// pairUp pairs the transmissions, and finds out how the clocks relate: by all of those that it
// returns.
func (j *joiner) pairUp() (all []observation) {
	esp := espObservations(j.c.Flows)
	room := make([]observation, 0, j.mostMatched()+len(esp))
	coarse := j.c.Coarse()
	rough := roughClock(j.links, esp, room, coarse)
	blind := j.c.Untimed()
	var near [2]func(int64) [2]int64 // by sender
	for _, s := range Both {
		near[s] = func(a int64) [2]int64 { return rough.near(a, s) }
	}
	for l := range until(j.ctx, j.links) {
		matchLink(l, blind, coarse, near[l.From], rough.overtook)
	}
	if blind {
		return nil
	}
	all = j.matched(esp, room, false)
	if len(all) == 0 {
		all = j.pieceObservations()
	}
	j.c.Clock = j.c.fit(all)
	if c := j.c.Clock; c != nil && len(c.Steps) > 0 {
		certain := j.matched(esp, nil, true)
		if sure := j.c.fit(certain); sure != nil && len(sure.Steps) < len(c.Steps) {
			j.c.Clock, all = sure, certain
		}
	}
	return all
}

// mostMatched is how many transmissions there are at most that both captures hold.
func (j *joiner) mostMatched() (n int) {
	for _, l := range j.links {
		if l.at[A] != nil && l.at[B] != nil {
			n += min(len(l.at[A].Sent()), len(l.at[B].Sent()))
		}
	}
	return n
}

// matched are the transmissions and the ESP packets that both captures hold, in room. Those that
// copies may have come in between can be left out.
func (j *joiner) matched(esp, room []observation, sure bool) []observation {
	all := room[:0]
	for _, l := range j.links {
		if sure && l.muddled() {
			continue
		}
		unsure := l.indistinct()
		for _, t := range l.Transmissions() {
			if t.At[A] == nil || t.At[B] == nil {
				continue
			}
			at := t.At
			if unsure != nil {
				at[l.From] = unsure.earliest(at[l.From], at[l.From.Other()])
			}
			all = append(all, observation{at[A].Nanos, at[B].Nanos, l.From, at[A].Frame, at[B].Frame, false})
		}
	}
	return append(all, esp...)
}

// indistinct is a message that was sent more often than it arrived, where only the times say which
// of the sendings did. For a clock to be read from a pair of them it would have to be known.
type indistinct struct {
	sent    []*exchange.Sight // in order of time
	arrived []int64           // when what is no copy did, ascending
}

// indistinct is l as such a message; nil where it is none.
func (l *Message) indistinct() *indistinct {
	if l.at[A] == nil || l.at[B] == nil || len(l.at[l.From].Sent()) < 2 {
		return nil
	}
	sent, arrived := l.originals(l.From), l.originals(l.From.Other())
	if len(sent) <= len(arrived) || sharedIDs(sent, arrived) {
		return nil
	}
	x := &indistinct{sent: sent}
	for _, s := range arrived {
		if !s.Copy {
			x.arrived = append(x.arrived, s.Nanos)
		}
	}
	return x
}

// earliest is the first of the sendings that may be the one that arrived, taken for mine so far: as
// many were sent before it as arrived before it, and none is under way for longer than is believed.
func (x *indistinct) earliest(mine, arrival *exchange.Sight) *exchange.Sight {
	before, _ := slices.BinarySearch(x.arrived, arrival.Nanos)
	may := x.sent[min(before, len(x.sent)):]
	i, _ := slices.BinarySearchFunc(may, mine.Nanos-longestDelay+1,
		func(s *exchange.Sight, at int64) int { return cmp.Compare(s.Nanos, at) })
	if i == len(may) {
		return mine
	}
	return may[i]
}

// aligned is the moment of sending, or else of arrival.
func (j *joiner) aligned(t *Transmission, from Side) int64 {
	for _, s := range [2]Side{from, from.Other()} {
		if t.At[s] != nil {
			return j.c.Aligned(t.At[s].Nanos, s)
		}
	}
	return 0
}

// copyWindow is how long after an arrival an identical one without a sending is still a copy of it.
const copyWindow = 400_000_000

// duplicates recognises arrivals that are no sendings of their own, and adds the copies
// within each capture.
func (j *joiner) duplicates(l *Message) {
	to := l.From.Other()
	if l.at[A] != nil && l.at[B] != nil && len(l.Transmissions()) > 1 {
		var proper map[uint32][]*Transmission
		for _, t := range l.Transmissions() {
			if t.At[l.From] != nil || t.At[to] == nil {
				continue
			}
			if proper == nil {
				proper = arrivals(l.Transmissions(), to)
			}
			of := proper[t.At[to].IPID]
			if o := nearest(of, t.At[to], to); o != nil && sameDatagram(o.At[to], t.At[to]) {
				t.Duplicate, t.strange = true, &strange{copyOf: o}
			}
		}
	}
	for _, s := range Both {
		if m := l.at[s]; m != nil && len(m.Sent()) > 1 {
			if more := l.copies(m, s); len(more) > 0 {
				l.more().sends = slices.Concat(l.Transmissions(), more)
			}
		}
	}
}

func sameDatagram(x, y *exchange.Sight) bool {
	if x.IPID != 0 || y.IPID != 0 {
		return x.IPID == y.IPID && x.Src == y.Src && distance(x.Nanos, y.Nanos) < longestDelay
	}
	return distance(x.Nanos, y.Nanos) <= copyWindow
}

// arrivals returns the transmissions with a sending and an arrival at to, in order of arrival, by
// the IP identification that they arrived with: a copy may come behind a later sending.
func arrivals(all []*Transmission, to Side) map[uint32][]*Transmission {
	proper := map[uint32][]*Transmission{}
	for _, t := range all {
		if t.At[A] != nil && t.At[B] != nil {
			proper[t.At[to].IPID] = append(proper[t.At[to].IPID], t)
		}
	}
	for _, of := range proper {
		slices.SortStableFunc(of, func(x, y *Transmission) int { return cmp.Compare(x.At[to].Nanos, y.At[to].Nanos) })
	}
	return proper
}

// nearest returns the one of proper that arrived nearest to x.
func nearest(proper []*Transmission, x *exchange.Sight, to Side) *Transmission {
	i, _ := slices.BinarySearchFunc(proper, x.Nanos,
		func(t *Transmission, n int64) int { return cmp.Compare(t.At[to].Nanos, n) })
	var best *Transmission
	for _, k := range [2]int{i - 1, i} {
		if k < 0 || k >= len(proper) {
			continue
		}
		if best == nil || distance(proper[k].At[to].Nanos, x.Nanos) < distance(best.At[to].Nanos, x.Nanos) {
			best = proper[k]
		}
	}
	return best
}

// copies makes the duplicate transmissions of the sightings that are copies of the one before them.
func (l *Message) copies(m *exchange.Message, s Side) []*Transmission {
	if !slices.ContainsFunc(m.Sent(), func(x exchange.Sight) bool { return x.Copy }) {
		return nil
	}
	var more []*Transmission
	of := map[*exchange.Sight]*Transmission{}
	for _, t := range l.Transmissions() {
		if t.At[s] != nil {
			of[t.At[s]] = t
		}
	}
	var last *exchange.Sight
	for i := range m.Sent() {
		x := &m.Sent()[i]
		if !x.Copy || l.unsure(s, x) {
			last = x
			continue
		}
		t := &Transmission{Duplicate: true, strange: &strange{copyOf: of[last]}}
		t.At[s] = x
		more = append(more, t)
	}
	return more
}
