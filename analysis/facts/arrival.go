package facts

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
)

// Sendings are the transmissions of m without duplicates; not to be changed.
func Sendings(m *pair.Message) []*pair.Transmission {
	if !slices.ContainsFunc(m.Transmissions(), func(t *pair.Transmission) bool { return t.Duplicate }) {
		return slices.Clip(m.Transmissions()) // as nearly always
	}
	var all []*pair.Transmission
	for _, t := range m.Transmissions() {
		if !t.Duplicate {
			all = append(all, t)
		}
	}
	return all
}

// RepeatedAfter counts how often a request was sent again after its answer had arrived. What was on
// its way to the wire when the answer came is no proof.
func RepeatedAfter(c *pair.Case, q *pair.Message) int {
	if q.AnsweredBy() == nil {
		return 0
	}
	at := answeredAt(c, q)
	if at < 0 {
		return 0
	}
	return sentAfter(q, at+grace)
}

// answeredAt is when the answer to q first arrived, aligned; -1 when it never did. Where the answer
// to an earlier request of the same message ID was sent again for it, that is what counts.
func answeredAt(c *pair.Case, q *pair.Message) int64 {
	first, _ := FirstArrival(c, q.AnsweredBy())
	asked := q.Transmissions()[0].Aligned
	if first >= asked-slowly {
		return first
	}
	to := q.From
	if c.Story(to) == nil {
		to = to.Other()
	}
	for _, x := range q.AnsweredBy().Transmissions() {
		if s := x.At[to]; s != nil {
			if at := c.Aligned(s.Nanos, to); at >= asked {
				return at
			}
		}
	}
	return first
}

// grace is how long what is on its way to the wire when an answer comes may take to get there.
const grace = 100e6

// slowly is how long an initiator may take to verify an answer, within which it may ask again.
const slowly = 500e6

// AsksOn says whether a request was sent again well after its answer had arrived.
func AsksOn(c *pair.Case, q *pair.Message) bool {
	at := answeredAt(c, q)
	sent := Sendings(q)
	return at >= 0 && sent[len(sent)-1].Aligned > at+slowly
}

// AskedUnheard counts how often a request was sent again well after an answer that the capture of
// who asked does not cover, so that nobody knows whether it arrived.
func AskedUnheard(c *pair.Case, q *pair.Message) int {
	r := q.AnsweredBy()
	if r == nil || c.Story(q.From) == nil {
		return 0
	}
	i := slices.IndexFunc(r.Transmissions(), func(x *pair.Transmission) bool {
		return x.At[q.From] == nil && x.Fate == pair.Unknown && !x.Duplicate
	})
	if i < 0 {
		return 0
	}
	return sentAfter(q, r.Transmissions()[i].Aligned+slowly)
}

// FirstArrival is when m first reached the receiver's capture, aligned, and how often it did; -1
// when it never did. Without that capture, what was sent counts as arrived: the doubt is about the
// receiver then.
func FirstArrival(c *pair.Case, m *pair.Message) (at int64, count int) {
	at = -1
	to := m.From.Other()
	if c.Story(to) == nil {
		to = m.From
	}
	for _, x := range m.Transmissions() {
		if s := x.At[to]; s != nil {
			count++
			if n := c.Aligned(s.Nanos, to); at < 0 || n < at {
				at = n
			}
		}
	}
	return at, count
}

// AnswerArrived says whether the answer to m reached who asked. Without the capture of that side,
// or where that does not cover the time, one that goes on asking did not get it.
func AnswerArrived(c *pair.Case, m *pair.Message) bool {
	if m.AnsweredBy() == nil {
		return false
	}
	if c.Story(m.From) == nil {
		return RepeatedAfter(c, m) < 2
	}
	if at, _ := FirstArrival(c, m.AnsweredBy()); at >= 0 {
		return true
	}
	return m.AnsweredBy().Tally().Lost == 0 && sentAfter(m, m.AnsweredBy().Transmissions()[0].Aligned+grace) < 2
}

// AnsweredInVain is how long, in nanoseconds, the answer to m comes after the last sending of m,
// when its sender had given up by then: the next copy was due, as each pause is at most twice the
// one before, and as long again has passed. 0: it does not come, or not so late.
func AnsweredInVain(c *pair.Case, m *pair.Message) int64 {
	const pauses = 4 // two for the next copy, and as many for the doubt
	r, sent := m.AnsweredBy(), Sendings(m)
	if r == nil || len(sent) < 2 || c.Untimed() {
		return 0
	}
	at, _ := FirstArrival(c, r)
	if at < 0 {
		at = r.Transmissions()[0].Aligned
	}
	last, longest := sent[len(sent)-1].Aligned, int64(0)
	for i := range sent[1:] {
		longest = max(longest, sent[i+1].Aligned-sent[i].Aligned)
	}
	if late := at - last; late > pauses*longest && late > Patience {
		return late
	}
	return 0
}

// sentAfter counts the sendings of a request after a moment.
func sentAfter(q *pair.Message, at int64) (n int) {
	for _, x := range Sendings(q) {
		if x.Aligned > at {
			n++
		}
	}
	return n
}

// Patience is how long an answer is waited for.
const Patience = 2e9

// Outlasts says whether the capture that would show what s sends goes on for a while after a
// moment: else what s did then is not known.
func Outlasts(c *pair.Case, s pair.Side, at, while int64) bool {
	x := c.Observer(s)
	story := c.Story(x)
	return story != nil && c.Aligned(story.Last, x) >= at+while
}

// espUse is the ESP that may be a conversation's: with its peer, and with nobody whose negotiation
// is seen, as after a move to another address.
type espUse []*espStarts

// espStarts knows when the ESP with one peer began.
type espStarts struct {
	starts [2][]pair.Start              // of every flow in each capture, by sender, in order of time
	last   [2]int64                     // when each side's last packet was seen
	busy   []span                       // when packets of some flow passed, in order and apart
	agreed []pair.Agreement             // on child SAs with the peer, in order of time
	older  map[*pair.Conversation]bool  // the IKE SAs with the peer that are older than the captures
	first  map[*pair.Conversation]int64 // when the first of agreed was, by the origin of who did
	paths  *paths                       // once asked for
}

// paths are the addresses between which the IKE SAs with one peer go that agreed on child SAs, and
// their ESP, too (RFC 7296, Section 2.23).
type paths struct {
	agreed map[pair.Path]int64 // when the first one between them did
	some   bool                // there are several in one capture
	// of all IKE SAs of an origin, once asked for
	of map[*pair.Conversation]map[pair.Path]bool
}

func (e *espStarts) pathsAgreed() *paths {
	if e.paths != nil {
		return e.paths
	}
	p := &paths{agreed: map[pair.Path]int64{}, of: map[*pair.Conversation]map[pair.Path]bool{}}
	taken, n := map[*pair.Conversation]bool{}, [2]int{}
	for _, a := range e.agreed {
		if taken[a.By] {
			continue
		}
		taken[a.By] = true
		a.By.Paths(func(x pair.Path) {
			if _, known := p.agreed[x]; !known {
				p.agreed[x] = a.At
				n[x.In]++
			}
		})
	}
	p.some = max(n[pair.A], n[pair.B]) > 1
	e.paths = p
	return p
}

// ofOrigin are the paths of an IKE SA and of all that it was replaced by.
func (p *paths) ofOrigin(v *pair.Conversation) map[pair.Path]bool {
	all := p.of[v]
	if all == nil {
		all = map[pair.Path]bool{}
		p.of[v] = all
		for ; v != nil; v = v.Successor {
			v.Paths(func(x pair.Path) { all[x] = true })
		}
	}
	return all
}

// elsewhere says whether ESP that began goes between addresses that are none of t's, and of another
// negotiation that has agreed on a child SA by then.
func (e *espStarts) elsewhere(t *Talk, start pair.Start) bool {
	p := e.pathsAgreed()
	if !p.some {
		return false
	}
	own := p.ofOrigin(t.Conversation.Origin())
	shown := [2]bool{}
	for x := range own {
		shown[x.In] = true
	}
	its, others := false, false
	start.Flow.Paths(func(x pair.Path) {
		at, agreed := p.agreed[x]
		its = its || own[x]
		others = others || shown[x.In] && agreed && at <= start.At+overtaken
	})
	return others && !its
}

// espUseOf tells the ESP of each conversation. A gateway that is captured alone has tunnels with
// others, too: what goes through one of them says nothing about another.
func espUseOf(c *pair.Case) func(v *pair.Conversation) espUse {
	remotes := c.Remotes()
	negotiates := map[netip.Addr]bool{}
	for _, v := range c.Conversations {
		negotiates[remotes.With(v)] = true
	}
	by := map[netip.Addr]*espStarts{}
	for _, f := range c.Flows {
		peer := remotes.Of(f)
		if !negotiates[peer] {
			peer = netip.Addr{}
		}
		if by[peer] == nil {
			by[peer] = &espStarts{older: map[*pair.Conversation]bool{}, first: map[*pair.Conversation]int64{}}
		}
		e := by[peer]
		for _, s := range pair.Both {
			if x := f.At[s]; x != nil && !f.Foreign {
				e.starts[f.From] = append(e.starts[f.From], pair.Start{At: c.Aligned(x.First.Nanos, s), Flow: f})
				e.last[f.From] = max(e.last[f.From], c.Aligned(x.Last.Nanos, s))
				e.busy = append(e.busy, span{c.Aligned(x.First.Nanos, s), c.Aligned(x.Last.Nanos, s) + 1})
			}
		}
	}
	for _, e := range by {
		slices.SortFunc(e.busy, func(x, y span) int { return cmp.Compare(x.from, y.from) })
		e.busy = joined(e.busy)
		pair.SortStarts(e.starts[pair.A])
		pair.SortStarts(e.starts[pair.B])
	}
	for _, a := range c.Agreements() {
		if e := by[remotes.With(a.By)]; e != nil {
			e.agreed = append(e.agreed, a)
			o := a.By.Origin()
			if _, some := e.first[o]; !some {
				e.first[o] = a.At
			}
		}
	}
	for _, v := range c.Conversations {
		if e := by[remotes.With(v)]; e != nil && standsBefore(v) {
			e.older[v] = true
		}
	}
	return func(v *pair.Conversation) (use espUse) {
		peer, nobody := remotes.With(v), netip.Addr{}
		if e := by[peer]; e != nil {
			use = append(use, e)
		}
		if e := by[nobody]; e != nil && peer != nobody {
			use = append(use, e)
		}
		return use
	}
}

// standsBefore says whether the IKE SA of v is older than the captures, of which Quick Mode is no
// part.
func standsBefore(v *pair.Conversation) bool {
	return !v.Complete && v.Rekeyed == nil && !slices.ContainsFunc(v.Messages,
		func(m *pair.Message) bool { return Negotiates(m) && m.Exchange != ike.V1QuickMode })
}

// during says whether ESP of both directions began after the conversation did and
// before the next one.
func (u espUse) during(t *Talk) bool { return u.from(t, pair.A) && u.from(t, pair.B) }

// from says whether ESP of s began after the conversation did and before the next negotiation,
// whose ESP it would be.
func (u espUse) from(t *Talk, s pair.Side) bool { return u.fromAfter(t, s, t.First) }

// fromAfter says so of ESP that began after a moment.
func (u espUse) fromAfter(t *Talk, s pair.Side, moment int64) bool {
	return slices.ContainsFunc(u, func(e *espStarts) bool { return e.fromAfter(t, s, moment) })
}

func (e *espStarts) fromAfter(t *Talk, s pair.Side, moment int64) bool {
	starts := e.starts[s]
	i, _ := slices.BinarySearchFunc(starts, moment, pair.Start.Compare)
	if i == len(starts) {
		return false
	}
	at := t.First
	if len(t.Answer.Messages) > 0 {
		at = t.Answer.Messages[0].Transmissions()[0].Aligned
	}
	next := t.following(at)
	for _, start := range starts[i:min(len(starts), i+fewStarts)] {
		if next != nil && start.At >= next.First {
			return false
		}
		if !e.ofAnother(t, start) {
			return true
		}
	}
	return false
}

// fewStarts is how many flows of other conversations are passed over in search of one's own.
const fewStarts = 256

// fewNew is more than the first numbers that a capture may lack of a new SA.
const fewNew = 64

// ofAnother says whether ESP that began is that of another conversation than t, which made a child
// SA last before: one of the other version of IKE, or an older one that renewed what it has, be it
// older than the captures and seen for the first time, or by a new IKE SA, or any while t has made
// none, or one from before the captures, as its numbers tell, or with other addresses, which the
// ESP has. What is begun later in the same version between the same ends has its own bound; see
// following.
func (e *espStarts) ofAnother(t *Talk, start pair.Start) bool {
	others := len(e.older) > 1 || len(e.older) == 1 && !e.older[t.Conversation]
	n, shown := t.c.Lowest(start.Flow, t.First)
	if (t.c.Older(start.Flow, t.First) || others && shown && n > fewNew) && !t.Older() {
		return true
	}
	if e.elsewhere(t, start) {
		return true
	}
	last := pair.LastAgreed(e.agreed, start.At)
	if last == nil {
		return false
	}
	by, own := last.By.Origin(), t.Conversation.Origin()
	switch {
	case last.By.Version != t.Version:
		return true
	case last.At <= t.First || by == own:
		return false
	}
	at, agreed := e.first[own]
	agreed = agreed && at <= start.At+overtaken
	return e.older[by] || !agreed || by.First < t.First && (last.Again || by != last.By)
}

// before says whether ESP of either side began before a moment.
func (u espUse) before(moment int64) bool {
	return slices.ContainsFunc(u, func(e *espStarts) bool {
		return slices.ContainsFunc(e.starts[:], func(all []pair.Start) bool { return len(all) > 0 && all[0].At < moment })
	})
}

// goesOn says whether both sides send ESP after a moment.
func (u espUse) goesOn(at int64) bool { return u.sends(pair.A, at) && u.sends(pair.B, at) }

func (u espUse) sends(s pair.Side, at int64) bool {
	return slices.ContainsFunc(u, func(e *espStarts) bool { return e.last[s] > at })
}
