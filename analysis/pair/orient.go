package pair

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
)

// Weights of the evidence for whose an address is. One fact of a stronger kind outweighs any number
// of weaker ones in practice.
const (
	byInventory = 1 << 40 // the inventory says so
	byHops      = 1 << 20 // the TTL of the same packet is lower in the other capture
	byGap       = 1 << 16 // the side that asks waits longer for the answer than the answering side takes
	byTTL       = 1 << 4  // no router has lowered the TTL yet
	byAbsence   = 1       // the other capture does not hold the packet
	byOrder     = 0       // nothing: who sends first in the first file owns it
)

// endpoints is an unordered pair of addresses that exchange the tunnel's packets in one capture.
type endpoints struct{ low, high netip.Addr }

func endpointsOf(a, b netip.Addr) (e endpoints, fromLow bool) {
	if a.Compare(b) <= 0 {
		return endpoints{a, b}, true
	}
	return endpoints{b, a}, false
}

// tally is what the votes about one pair of addresses come to.
type tally struct {
	votes int        // positive: the lower address is the side's own
	first netip.Addr // who sent first
}

// compass finds out which addresses of a capture are the capturing side's own.
type compass struct {
	tallies [2]map[endpoints]*tally
	own     [2]map[netip.Addr]bool
	islands [2]map[netip.Addr]*island
	recent  [2][256]recentTally // votes come in thousands for the same pairs
}

type recentTally struct {
	of endpoints
	*tally
}

func newCompass() *compass {
	c := &compass{}
	for _, s := range Both {
		c.tallies[s] = map[endpoints]*tally{}
		c.own[s] = map[netip.Addr]bool{}
	}
	return c
}

// vote says that in s's capture, the packets from src to dst were sent by s itself (weight > 0) or
// by the other side (weight < 0).
func (c *compass) vote(s Side, src, dst netip.Addr, weight int) {
	if dst.IsMulticast() {
		return // a group is nobody's address, and its packets carry whatever TTL they like
	}
	e, fromLow := endpointsOf(src, dst)
	if !fromLow {
		weight = -weight
	}
	low, high := e.low.As16(), e.high.As16()
	recent := &c.recent[s][low[15]^high[15]<<1^low[14]<<4]
	if recent.tally == nil || recent.of != e {
		t := c.tallies[s][e]
		if t == nil {
			t = &tally{first: src}
			c.tallies[s][e] = t
		}
		*recent = recentTally{e, t}
	}
	recent.votes += weight
}

// votes returns the sum for a pair of addresses.
func (c *compass) votes(s Side, e endpoints) int {
	if t := c.tallies[s][e]; t != nil {
		return t.votes
	}
	return 0
}

// sender says whose packet x is, by the capture of s.
func (c *compass) sender(s Side, src netip.Addr) Side {
	if c.own[s][src] {
		return s
	}
	return s.Other()
}

// orient finds the own addresses of both sides. room is for an index.
func orient(parties *[2]Party, links []*Message, room *exchange.Index) *compass {
	c := newCompass()
	for _, s := range Both {
		if parties[s].Story != nil {
			c.alone(s, &parties[s], parties[s.Other()])
		}
	}
	if parties[A].Story != nil && parties[B].Story != nil {
		c.hops(links)
		c.flowHops(parties[A].Story, parties[B].Story)
		c.gaps(links, room)
		c.absences(parties, links)
	}
	c.decide(links)
	return c
}

// alone takes what one capture says by itself: the TTL, and the inventory's addresses.
func (c *compass) alone(s Side, p *Party, other Party) {
	one := func(src, dst netip.Addr, ttl uint8) {
		switch {
		case ttl == 255 || ttl == 128 || ttl == 64:
			c.vote(s, src, dst, byTTL)
		default:
			c.vote(s, src, dst, -byTTL)
		}
		if src == p.Known || dst == other.Known || dst == other.KnownNAT {
			c.vote(s, src, dst, byInventory)
		}
		if dst == p.Known || src == other.Known || src == other.KnownNAT {
			c.vote(s, src, dst, -byInventory)
		}
	}
	for m := range p.Story.Messages.All() {
		one(m.Sent()[0].Src.Addr(), m.Sent()[0].Dst.Addr(), m.Sent()[0].TTL)
	}
	for _, f := range p.Story.Flows {
		one(f.Src.Addr(), f.Dst.Addr(), f.TTL)
	}
}

// hops compares the TTL of the same message in both captures: it is lower where it arrived.
func (c *compass) hops(links []*Message) {
	for _, l := range links {
		if l.at[A] != nil && l.at[B] != nil {
			a, b := &l.at[A].Sent()[0], &l.at[B].Sent()[0]
			c.compare(a.Src.Addr(), a.Dst.Addr(), b.Src.Addr(), b.Dst.Addr(), int(a.TTL)-int(b.TTL), byHops)
		}
	}
}

func (c *compass) compare(srcA, dstA, srcB, dstB netip.Addr, sign, weight int) {
	switch {
	case sign > 0:
		c.vote(A, srcA, dstA, weight)
		c.vote(B, srcB, dstB, -weight)
	case sign < 0:
		c.vote(A, srcA, dstA, -weight)
		c.vote(B, srcB, dstB, weight)
	}
}

func (c *compass) flowHops(a, b *exchange.Story) {
	bySPI := map[uint32]*exchange.Flow{}
	for _, f := range b.Flows {
		bySPI[f.SPI] = f
	}
	for _, f := range a.Flows {
		if o := bySPI[f.SPI]; o != nil {
			c.compare(f.Src.Addr(), f.Dst.Addr(), o.Src.Addr(), o.Dst.Addr(), int(f.TTL)-int(o.TTL), byHops)
		}
	}
}

// gaps compares how long the answer takes in both captures: at the asking side the way there and
// back comes on top.
func (c *compass) gaps(links []*Message, index *exchange.Index) {
	index.Reset(len(links) / 2)
	request := func(k asked) int {
		return index.Find(k.hash(), func(i int) bool { return askKey(links[i].at[A]) == k })
	}
	for i, l := range links {
		if l.at[A] != nil && l.at[B] != nil && l.at[A].Kind == exchange.Request {
			if k := askKey(l.at[A]); request(k) < 0 {
				index.Add(k.hash(), i)
			}
		}
	}
	for _, l := range links {
		if l.at[A] == nil || l.at[B] == nil || l.at[A].Kind != exchange.Response {
			continue
		}
		i := request(askKey(l.at[A]))
		if i < 0 {
			continue
		}
		q := links[i]
		if len(q.at[A].Sent()) != len(q.at[B].Sent()) || len(l.at[A].Sent()) != len(l.at[B].Sent()) {
			continue
		}
		waitA := l.at[A].Sent()[0].Nanos - q.at[A].Sent()[0].Nanos
		waitB := l.at[B].Sent()[0].Nanos - q.at[B].Sent()[0].Nanos
		a, b := &q.at[A].Sent()[0], &q.at[B].Sent()[0]
		c.compare(a.Src.Addr(), a.Dst.Addr(), b.Src.Addr(), b.Dst.Addr(), sign(waitA-waitB), byGap)
	}
}

func sign(n int64) int {
	switch {
	case n > 0:
		return 1
	case n < 0:
		return -1
	}
	return 0
}

// asked is what an IKEv2 request and its response share.
type asked struct {
	spiI     ike.SPI
	id       uint32
	exchange ike.ExchangeType
	asker    exchange.Role
}

// hash spreads what is asked.
func (k asked) hash() uint64 {
	return exchange.Mix(uint64(k.spiI), uint64(k.id)<<16|uint64(k.exchange)<<8|uint64(k.asker))
}

func askKey(m *exchange.Message) asked {
	role := m.Role
	if m.Kind == exchange.Response {
		role = exchange.Initiator + exchange.Responder - role
	}
	return asked{m.SPIi, m.MessageID, m.Exchange, role}
}

// absences: a packet that only one capture holds was more likely lost after it than before it.
func (c *compass) absences(parties *[2]Party, links []*Message) {
	for _, s := range Both {
		if parties[s.Other()].Story.Counts.Packets == 0 {
			continue
		}
		for _, l := range links {
			if m := l.at[s]; m != nil && l.at[s.Other()] == nil {
				c.vote(s, m.Sent()[0].Src.Addr(), m.Sent()[0].Dst.Addr(), byAbsence)
			}
		}
	}
}

// decide turns votes into addresses. Where they say nothing, the matched messages carry A's answer
// over to B.
func (c *compass) decide(links []*Message) {
	c.decideSide(A)
	for _, l := range links {
		if l.at[A] == nil || l.at[B] == nil {
			continue
		}
		a, b := &l.at[A].Sent()[0], &l.at[B].Sent()[0]
		if e, _ := endpointsOf(b.Src.Addr(), b.Dst.Addr()); c.votes(B, e) == 0 {
			c.compare(a.Src.Addr(), a.Dst.Addr(), b.Src.Addr(), b.Dst.Addr(),
				map[bool]int{true: 1, false: -1}[c.own[A][a.Src.Addr()]], byTTL)
		}
	}
	c.decideSide(B)
	c.settleConflicts()
}

// settleConflicts: one address cannot be both sides' own, as the same capture given twice would
// have it. The weaker evidence yields.
func (c *compass) settleConflicts() {
	yielded := map[*island]bool{}
	for _, e := range sorted(c.tallies[A]) {
		if c.tallies[B][e] == nil || c.own[A][e.low] == c.own[A][e.high] || c.own[A][e.low] != c.own[B][e.low] ||
			c.own[A][e.high] != c.own[B][e.high] {
			continue
		}
		weaker, a, b := B, c.islands[A][e.low], c.islands[B][e.low]
		if max(b.votes, -b.votes) > max(a.votes, -a.votes) {
			weaker = A
		}
		if i := c.islands[weaker][e.low]; !yielded[i] {
			yielded[i] = true
			for x := range i.opposite {
				c.own[weaker][x] = !c.own[weaker][x]
			}
		}
	}
}

// island are addresses that are joined by pairs which exchange packets. The two of a pair are on
// opposite sides, so that all of an island are decided together: an answer from an address that was
// never asked is the peer's like those before it.
type island struct {
	pairs    []endpoints
	opposite map[netip.Addr]bool // of every address: whether it is opposite to the first one
	odd      bool                // the pairs contradict each other
	votes    int                 // positive: the first address is the side's own
}

// sorted are the pairs of addresses in an order of their own.
func sorted(tallies map[endpoints]*tally) []endpoints {
	return slices.SortedFunc(maps.Keys(tallies), func(x, y endpoints) int {
		return cmp.Or(x.low.Compare(y.low), x.high.Compare(y.high))
	})
}

// explore finds the islands of s's capture.
func (c *compass) explore(s Side) (all []*island) {
	pairs := sorted(c.tallies[s])
	of := map[netip.Addr][]endpoints{}
	for _, e := range pairs {
		of[e.low] = append(of[e.low], e)
		of[e.high] = append(of[e.high], e)
	}
	for _, e := range pairs {
		if c.islands[s][e.low] != nil {
			continue
		}
		i := &island{opposite: map[netip.Addr]bool{e.low: false}}
		all = append(all, i)
		for queue := []netip.Addr{e.low}; len(queue) > 0; queue = queue[1:] {
			a := queue[0]
			c.islands[s][a] = i
			for _, p := range of[a] {
				b := p.low
				if b == a {
					b = p.high
					i.pairs = append(i.pairs, p) // once, from its lower end
				}
				if was, known := i.opposite[b]; !known {
					i.opposite[b] = !i.opposite[a]
					queue = append(queue, b)
				} else if was == i.opposite[a] {
					i.odd = true
				}
			}
		}
	}
	return all
}

func (c *compass) decideSide(s Side) {
	c.islands[s] = map[netip.Addr]*island{}
	for _, i := range c.explore(s) {
		if i.odd {
			c.decideEach(s, i)
			continue
		}
		i.votes = i.sum(func(e endpoints) int { return c.votes(s, e) })
		own := i.votes
		if own == 0 {
			own = i.sum(func(e endpoints) int { return c.tie(s, e, c.tallies[s][e].first) })
		}
		if own == 0 {
			own = i.signed(i.pairs[0], c.tie(s, i.pairs[0], c.tallies[s][i.pairs[0]].first))
		}
		for a, opposite := range i.opposite {
			c.own[s][a] = opposite == (own < 0)
		}
	}
}

// sum adds up what pairs say of the island.
func (i *island) sum(says func(endpoints) int) (n int) {
	for _, e := range i.pairs {
		n += i.signed(e, says(e))
	}
	return n
}

// signed is what a vote for the lower address of a pair is for the island's first one.
func (i *island) signed(e endpoints, vote int) int {
	if i.opposite[e.low] {
		return -vote
	}
	return vote
}

// decideEach decides address by address where the pairs contradict each other.
func (c *compass) decideEach(s Side, i *island) {
	weight := map[netip.Addr]int{}
	for _, e := range i.pairs {
		n := c.votes(s, e)
		if n == 0 {
			n = c.tie(s, e, c.tallies[s][e].first)
		}
		weight[e.low] += n
		weight[e.high] -= n
		i.votes += n
	}
	for a, n := range weight {
		c.own[s][a] = n > 0
	}
}

// tie breaks a draw: what is A's own address cannot be B's, and who spoke first in A's capture is
// taken for A.
func (c *compass) tie(s Side, e endpoints, first netip.Addr) int {
	switch {
	case s == B && (c.own[A][e.low] != c.own[A][e.high]):
		return map[bool]int{true: -1, false: 1}[c.own[A][e.low]]
	case (s == A) == (first == e.low):
		return 1
	}
	return -1
}

// ownAddresses lists the addresses of s that its capture shows, busiest first.
func (c *compass) ownAddresses(s Side, story *exchange.Story) (own, remote []netip.Addr) {
	for _, a := range story.Addresses {
		switch {
		case a.Addr.IsMulticast():
		case c.own[s][a.Addr]:
			own = append(own, a.Addr)
		default:
			remote = append(remote, a.Addr)
		}
	}
	return own, remote
}

// swapped says whether the inventory's addresses prove that the two captures were given the wrong
// way round.
func swapped(parties *[2]Party, links []*Message, room *exchange.Index) bool {
	if !parties[A].Known.IsValid() && !parties[B].Known.IsValid() {
		return false
	}
	var blind [2]Party
	for s := range parties {
		blind[s].Story = parties[s].Story
	}
	c := orient(&blind, links, room)
	score := 0
	for _, s := range Both {
		if blind[s].Story == nil {
			continue
		}
		own, _ := c.ownAddresses(s, blind[s].Story)
		for _, a := range own {
			switch {
			case !a.IsValid():
			case a == parties[s].Known || a == parties[s].KnownNAT:
				score++
			case a == parties[s.Other()].Known || a == parties[s.Other()].KnownNAT:
				score--
			}
		}
	}
	return score < 0
}
