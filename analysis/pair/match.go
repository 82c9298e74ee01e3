package pair

import (
	"cmp"
	"iter"
	"math"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/internal/nearly"
)

// rough is what is known of the offset before the ambiguous messages are matched: the offset near a
// moment, delay included, by the direction of the packet.
type rough struct {
	all  []observation // unambiguous pairs, sorted by A's time
	at   [2][]int32    // the places of those that nothing contradicts, by sender
	last [2]int        // where near looked last, by sender
	only int64         // without any: the offset that most possible pairs agree on
	have bool
	room int64 // see agreement
}

// near returns the offsets of what from sent at A's time a: those of the pairs before and after it,
// best of the same direction. They are the same but where a clock was set between the two.
func (r *rough) near(a int64, from Side) [2]int64 {
	if len(r.at[from]) == 0 {
		from = from.Other()
	}
	at := r.at[from]
	if len(at) == 0 {
		return [2]int64{r.only, r.only}
	}
	i := r.last[from]
	for last := i + 4; i < min(last, len(at)) && r.all[at[i]].a < a; { // most are asked of in the order of time
		i++
	}
	if i < len(at) && r.all[at[i]].a < a || i > 0 && r.all[at[i-1]].a >= a {
		i, _ = slices.BinarySearchFunc(at, a, func(i int32, t int64) int { return cmp.Compare(r.all[i].a, t) })
	}
	r.last[from] = i
	before, after := r.all[at[max(i-1, 0)]], r.all[at[min(i, len(at)-1)]]
	if distance(before.diff(), after.diff()) <= agreement+r.room {
		if a-before.a > after.a-a {
			before = after
		}
		return [2]int64{before.diff(), before.diff()}
	}
	return [2]int64{before.diff(), after.diff()}
}

// agreement is how far offsets may lie apart and still mean the same offset: retransmissions are at
// least half a second apart. Coarse times need more room.
const agreement = 250_000_000

// roughClock collects the pairs that need no clock to be recognised: messages that were seen once
// on either side, and ESP packets by their number, in room. What contradicts its neighbours was
// seen once on either side by two different losses, and is left out. The room is in use as long as
// the clock is. coarse is Case.Coarse.
func roughClock(links []*Message, esp, room []observation, coarse int64) rough {
	r := rough{room: coarse}
	all := room[:0]
	for _, l := range links {
		if x, y, ok := single(l); ok {
			all = append(all, observation{x.Nanos, y.Nanos, l.From, x.Frame, y.Frame, onePacket(x, y)})
		} else if l.at[A] != nil && l.at[B] != nil {
			all = slices.AppendSeq(all, numbered(l))
		}
	}
	all = append(all, esp...)
	nearly.Sort(all, func(x, y observation) int { return cmp.Compare(x.a, y.a) })
	fromA := countFrom(all, A)
	r.all, r.at = all, [2][]int32{make([]int32, 0, fromA), make([]int32, 0, len(all)-fromA)}
	for i := range consistent(all, coarse) {
		from := all[i].from
		r.at[from] = append(r.at[from], int32(i))
	}
	r.have = len(all) > 0
	if !r.have {
		r.only, r.have = vote(links, coarse)
	}
	return r
}

func countFrom(all []observation, s Side) int {
	n := 0
	for _, o := range all {
		if o.from == s {
			n++
		}
	}
	return n
}

// onePacket says whether the two sightings of a message that each capture holds but once are one
// packet, whatever the clocks say: who sends it again gives it another IP identification.
func onePacket(x, y *exchange.Sight) bool { return x.IPID != 0 && x.IPID == y.IPID }

func single(l *Message) (a, b *exchange.Sight, ok bool) {
	if l.at[A] == nil || l.at[B] == nil {
		return nil, nil, false
	}
	if len(l.at[A].Sent()) == 1 && len(l.at[B].Sent()) == 1 {
		return &l.at[A].Sent()[0], &l.at[B].Sent()[0], true
	}
	x, y := l.originals(A), l.originals(B)
	if len(x) != 1 || len(y) != 1 {
		return nil, nil, false
	}
	return x[0], y[0], true
}

// numbered yields the sendings that both captures hold of a message that was sent again: those
// whose IP identification is that of just one sighting in each.
func numbered(l *Message) iter.Seq[observation] {
	return func(yield func(observation) bool) {
		of := [2]map[uint32]*exchange.Sight{{}, {}}
		for _, s := range Both {
			for _, x := range l.originals(s) {
				if _, again := of[s][x.IPID]; again {
					of[s][x.IPID] = nil
				} else {
					of[s][x.IPID] = x
				}
			}
		}
		for id, x := range of[A] {
			if y := of[B][id]; id != 0 && x != nil && y != nil &&
				!yield(observation{x.Nanos, y.Nanos, l.From, x.Frame, y.Frame, true}) {
				return
			}
		}
	}
}

// originals returns the sightings in s's capture that are no copies, in order of time. Without an
// IP identification, what arrives at the same moment may as well be two sendings that were held up
// together, so it counts until the sender's capture says otherwise.
func (l *Message) originals(s Side) []*exchange.Sight {
	m := l.at[s]
	if m == nil {
		return nil
	}
	all := make([]*exchange.Sight, 0, len(m.Sent()))
	for i := range m.Sent() {
		if x := &m.Sent()[i]; !x.Copy || l.unsure(s, x) {
			all = append(all, x)
		}
	}
	slices.SortStableFunc(all, func(x, y *exchange.Sight) int { return cmp.Compare(x.Nanos, y.Nanos) })
	return all
}

// consistent yields the places of all pairs but those whose offset neither the pairs before nor
// those behind share, when these agree with each other.
func consistent(all []observation, coarse int64) iter.Seq[int] {
	const reach = 2
	return func(yield func(int) bool) {
		around := make([]observation, 0, 2*reach)
		for i, o := range all {
			around = append(around[:0], all[max(0, i-reach):i]...)
			around = append(around, all[i+1:min(len(all), i+1+reach)]...)
			agrees := len(all) < 3 || o.sure || o.shared(around, coarse) > 0 ||
				(observation{b: medianDiff(around)}).shared(around, coarse) < 2
			if agrees && !yield(i) {
				return
			}
		}
	}
}

// shared counts those that have the same offset as o.
func (o observation) shared(others []observation, coarse int64) int {
	n := 0
	for _, x := range others {
		if distance(x.diff(), o.diff()) <= agreement+coarse {
			n++
		}
	}
	return n
}

func distance(a, b int64) int64 {
	if a < b {
		return b - a
	}
	return a - b
}

// vote takes all possible pairs of the retransmitted messages and returns the offset that most of
// them share; of equals, the one that is nearest to no offset at all.
func vote(links []*Message, coarse int64) (int64, bool) {
	const most, each = 1 << 16, 32
	var diffs []int64
	for _, l := range links {
		x, y := l.originals(A), l.originals(B)
		for _, a := range x[:min(len(x), each)] {
			for _, b := range y[:min(len(y), each)] {
				if len(diffs) < most {
					diffs = append(diffs, b.Nanos-a.Nanos)
				}
			}
		}
	}
	if len(diffs) == 0 {
		return 0, false
	}
	slices.Sort(diffs)
	best, at := 0, int64(0)
	for i, j := 0, 0; i < len(diffs); i++ {
		for j < len(diffs) && diffs[j]-diffs[i] <= agreement+coarse {
			j++
		}
		m := diffs[i+(j-i)/2]
		if n := j - i; n > best || n == best && distance(m, 0) < distance(at, 0) {
			best, at = n, m
		}
	}
	return at, true
}

// maxObservations bounds the ESP packets that the clock is read from; every flow gives its share.
const maxObservations = 1 << 14

// espObservations are sampled packets that both captures hold.
func espObservations(flows []*Flow) []observation {
	all := make([]observation, 0, maxObservations)
	share := max(4, maxObservations/max(1, len(flows)))
	for _, f := range flows {
		all = append(all, flowObservations(f, share)...)
	}
	return all
}

// flowObservations are at most about limit of f's sampled packets, evenly chosen.
func flowObservations(f *Flow, limit int) (all []observation) {
	once := f.numbersOnce()
	for a, b := range f.pairs(limit) {
		if !once && a.Mark != b.Mark {
			continue // of a number that was used again, they are two packets
		}
		all = append(all, observation{a.Nanos, b.Nanos, f.From, a.Frame, b.Frame, once})
	}
	return all
}

// numbersOnce says whether no number of f is known to be that of several packets.
func (f *Flow) numbersOnce() bool {
	return !slices.ContainsFunc(f.At[:],
		func(x *exchange.Flow) bool { return x == nil || x.Again > 0 || x.Restart != nil })
}

// pairs yields at most about limit of f's sampled packets that both captures hold, evenly chosen.
func (f *Flow) pairs(limit int) iter.Seq2[exchange.Point, exchange.Point] {
	if f.At[A] == nil || f.At[B] == nil {
		return func(func(a, b exchange.Point) bool) {}
	}
	step := max(f.At[A].SampleStep, f.At[B].SampleStep, 1)
	for n := max(len(f.At[A].Samples), len(f.At[B].Samples)); n > limit; n /= 2 {
		step *= 2 // a power of two, so that both sides choose the same numbers
	}
	return func(yield func(a, b exchange.Point) bool) {
		b := f.At[B].Samples
		for _, p := range f.At[A].Samples {
			if p.Seq&(step-1) != 0 {
				continue
			}
			for len(b) > 0 && b[0].Seq < p.Seq || len(b) > 1 && b[1].Seq == p.Seq {
				b = b[1:]
			}
			if len(b) > 0 && b[0].Seq == p.Seq && !yield(p, b[0]) {
				return
			}
		}
	}
}

// Costs of a matching, in nanoseconds: a pair costs its distance from the expected moment, a
// sighting without a partner costs half of the longest distance at which a pair is still believed.
const (
	longestDelay = 10_000_000_000
	aloneCost    = longestDelay / 2
	// denseLimit bounds the exact matching's table; more sightings than that are matched greedily.
	denseLimit = 1 << 14
)

// matching is one question of which sending is which arrival.
type matching struct {
	a, b   []*exchange.Sight // in A's and B's capture, ascending in time
	expect [][2]int64        // for every one of a, its time on B's clock before and after that was set
	from   Side
	ids    bool  // the IP identification survives the path
	blind  bool  // the times are made up: only the order counts
	coarse int64 // see Case.Coarse
}

// early is how much earlier than expected a packet may arrive: the expectation is as uncertain as
// the jitter.
const early = agreement

// cost is that of taking a[i] and b[j] for the same packet; false where they cannot be.
func (m *matching) cost(i, j int) (int64, bool) { return m.costOf(m.a[i], m.b[j], m.expect[i]) }

func (m *matching) costOf(a, b *exchange.Sight, expect [2]int64) (int64, bool) {
	cost, ok := m.costAt(a, b, expect[0])
	if expect[1] != expect[0] {
		if other, also := m.costAt(a, b, expect[1]); also && (!ok || other < cost) {
			return other, true
		}
	}
	return cost, ok
}

func (m *matching) costAt(a, b *exchange.Sight, expect int64) (int64, bool) {
	late := b.Nanos - expect
	if m.from == B {
		late = -late
	}
	if m.blind {
		return min(distance(late, 0), aloneCost), !m.ids || a.IPID == b.IPID
	}
	if late < -early-m.coarse || late >= longestDelay || m.ids && a.IPID != b.IPID {
		return 0, false
	}
	return distance(late, 0), true
}

// solve pairs a with b in order (the n-th copy of a packet never overtakes a later one that it is
// told from by nothing), so that the sum of the costs is least. The result holds for every one of a
// the index of its b, or -1.
func (m *matching) solve() []int {
	partner := make([]int, len(m.a))
	for i := range partner {
		partner[i] = -1
	}
	switch {
	case len(m.a) == 0 || len(m.b) == 0:
	case len(m.a)*len(m.b) > denseLimit:
		m.greedy(partner)
	default:
		m.exact(partner)
	}
	return partner
}

// exact is the alignment of two sequences by dynamic programming.
func (m *matching) exact(partner []int) {
	width := len(m.b) + 1
	cost := make([]int64, (len(m.a)+1)*width)
	together := func(i, j int) int64 {
		if c, ok := m.cost(i, j); ok {
			return c
		}
		return math.MaxInt64 / 4
	}
	for i := range m.a {
		cost[(i+1)*width] = int64(i+1) * aloneCost
	}
	for j := range m.b {
		cost[j+1] = int64(j+1) * aloneCost
	}
	for i := range m.a {
		for j := range m.b {
			cost[(i+1)*width+j+1] = min(cost[i*width+j]+together(i, j), cost[i*width+j+1]+aloneCost,
				cost[(i+1)*width+j]+aloneCost)
		}
	}
	for i, j := len(m.a), len(m.b); i > 0 && j > 0; {
		switch cost[i*width+j] {
		case cost[(i-1)*width+j-1] + together(i-1, j-1):
			partner[i-1] = j - 1
			i, j = i-1, j-1
		case cost[(i-1)*width+j] + aloneCost:
			i--
		default:
			j--
		}
	}
}

// greedy walks both sequences once: for floods of identical packets.
func (m *matching) greedy(partner []int) {
	for i, j := 0, 0; i < len(m.a) && j < len(m.b); {
		d := m.b[j].Nanos - m.expect[i][0]
		switch {
		case d < -early-m.coarse:
			j++
		case d > longestDelay, i+1 < len(m.a) && distance(m.b[j].Nanos, m.expect[i+1][0]) < distance(d, 0):
			i++
		default:
			partner[i] = j
			i, j = i+1, j+1
		}
	}
}

// expected is when a packet of A's capture stands in B's.
func expected(x *exchange.Sight, offset func(int64) [2]int64) [2]int64 {
	o := offset(x.Nanos)
	return [2]int64{x.Nanos + o[0], x.Nanos + o[1]}
}

// matchLink makes the transmissions of l.
func matchLink(l *Message, blind bool, coarse int64, offset func(int64) [2]int64,
	overtook func(a, b *exchange.Sight, from Side) bool) {
	m := matching{from: l.From, blind: blind, coarse: coarse}
	if x, y, ok := single(l); ok {
		if _, ok := m.costOf(x, y, expected(x, offset)); ok || onePacket(x, y) || !blind && overtook(x, y, l.From) {
			l.room(1)
			l.send(Transmission{At: [2]*exchange.Sight{x, y}})
			return
		}
	}
	m.a, m.b = l.originals(A), l.originals(B)
	m.ids = sharedIDs(m.a, m.b)
	m.expect = make([][2]int64, 0, len(m.a))
	for _, s := range m.a {
		m.expect = append(m.expect, expected(s, offset))
	}
	partner := m.byID()
	used := make([]bool, len(m.b))
	n := len(m.a) + len(m.b)
	for _, j := range partner {
		if j >= 0 {
			used[j] = true
			n--
		}
	}
	l.room(n)
	for i, s := range m.a {
		t := Transmission{At: [2]*exchange.Sight{s, nil}}
		if j := partner[i]; j >= 0 {
			t.At[B] = m.b[j]
		}
		l.send(t)
	}
	for j, s := range m.b {
		if !used[j] {
			l.send(Transmission{At: [2]*exchange.Sight{nil, s}})
		}
	}
}

// overtook says whether a and b, of a message of from that either capture holds but once, are one
// packet although it came earlier than those around it, which were held up: its IP identification
// says that it is the same, or, where it has none, it came no sooner than packets of the other
// direction let it.
func (r *rough) overtook(a, b *exchange.Sight, from Side) bool {
	other := from.Other()
	if a.IPID != b.IPID || a.IPID == 0 && len(r.at[other]) == 0 {
		return false
	}
	if a.IPID != 0 {
		other = from
	}
	offsets := r.near(a.Nanos, other)
	return slices.ContainsFunc(offsets[:], func(offset int64) bool {
		late := b.Nanos - a.Nanos - offset
		if from == B {
			late = -late
		}
		return (late >= 0 || a.IPID != 0) && distance(late, 0) < longestDelay
	})
}

// byID pairs what has an IP identification of its own, whatever overtook it, and the
// rest by its order.
func (m *matching) byID() []int {
	if !m.ids {
		return m.solve()
	}
	first, partner := m.distinct()
	rest := matching{from: m.from, ids: m.ids, blind: m.blind, coarse: m.coarse}
	var ai, bi []int
	for i := range m.a {
		if partner[i] < 0 {
			ai, rest.a, rest.expect = append(ai, i), append(rest.a, m.a[i]), append(rest.expect, m.expect[i])
		}
	}
	for j := range m.b {
		if !first[j] {
			bi, rest.b = append(bi, j), append(rest.b, m.b[j])
		}
	}
	for k, j := range rest.solve() {
		if j >= 0 {
			partner[ai[k]] = bi[j]
		}
	}
	return partner
}

// distinct pairs the sightings whose IP identification is on each side but once.
func (m *matching) distinct() (taken []bool, partner []int) {
	taken, partner = make([]bool, len(m.b)), make([]int, len(m.a))
	count, at := map[uint32]int{}, map[uint32]int{}
	for _, s := range m.a {
		count[s.IPID]++
	}
	for j, s := range m.b {
		count[s.IPID] += 1 << 32
		at[s.IPID] = j
	}
	for i, s := range m.a {
		partner[i] = -1
		if s.IPID == 0 || count[s.IPID] != 1<<32+1 {
			continue
		}
		if _, ok := m.cost(i, at[s.IPID]); ok {
			partner[i], taken[at[s.IPID]] = at[s.IPID], true
		}
	}
	return taken, partner
}

// muddled says whether a message that was sent more than once arrived more often than that. Which
// arrival is of which sending then only their order says: a copy of one may have come just before
// the next, and a clock must not be read from that.
func (l *Message) muddled() bool {
	if m := l.at[l.From]; m == nil || len(m.Sent()) < 2 || l.at[l.From.Other()] == nil {
		return false
	}
	sent := len(l.originals(l.From))
	return sent > 1 && len(l.originals(l.From.Other())) > sent
}

// sharedIDs says whether the path leaves the IP identifications alone: some are the same on both
// sides. With as few as one packet on a side it proves nothing that the times do not.
func sharedIDs(a, b []*exchange.Sight) bool {
	if len(a) > denseLimit || len(b) > denseLimit {
		return false
	}
	seen := make(map[uint32]bool, len(a))
	for _, s := range a {
		seen[s.IPID] = s.IPID != 0
	}
	return slices.ContainsFunc(b, func(s *exchange.Sight) bool { return seen[s.IPID] })
}

// unsure says whether a copy in s's capture may be a packet of its own, for lack of an IP
// identification: an arrival, where the sender's capture holds the message as well; a sending,
// where as many arrived as this capture holds and it does not hold twice all that its side sent.
func (l *Message) unsure(s Side, x *exchange.Sight) bool {
	o := l.at[s.Other()]
	if x.IPID != 0 || o == nil {
		return false
	}
	return s != l.From || len(o.Sent()) >= len(l.at[s].Sent()) && !l.doubled
}
