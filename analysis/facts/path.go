package facts

import (
	"cmp"
	"math"
	"slices"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/internal/nearly"
)

// ports are those of IKE.
var ports = []uint16{500, 4500}

// Stretch is what happened to the sendings of one side to one port, in order of time.
type Stretch struct {
	From      pair.Side
	Port      uint16
	Sent      []Sending
	Lost      int
	Missing   int // not at the receiver, for whatever reason
	Delivered int
	Empty     bool // the receiver's capture holds nothing of the tunnel, so that nothing proves that it worked
	Unshared  bool // packets are lost and packets arrive, and nothing at all is in both captures
	Torn      bool // all of it left in IP fragments, and so did whatever else of this side could have arrived

	tail   []Sending // all since the last that arrived: nothing passes any more
	before int       // how many were lost before the last that arrived
	noise  float64   // the part of the other direction that is lost in between what arrives there
	beside float64   // the part of the other port that is lost, in the same direction, where something arrives
	block  *block    // what Blocked found, once asked
	timed  bool      // the captures have times
	vain   bool      // something of the tail is asked again, or waits in vain, as the sender's capture shows
	until  int64     // aligned: the end of the receiver's capture
}

// block is what Blocked says of a stretch.
type block struct {
	lost        []Sending
	certain, ok bool
}

// Sending is a transmission with its message.
type Sending struct {
	*pair.Transmission
	Message *pair.Message
}

// Path is what became of the IKE packets of a case, stretch by stretch.
type Path struct {
	of map[stretchKey]*Stretch
}

type stretchKey struct {
	from pair.Side
	port uint16
}

// PathOf gathers the stretches of a case; none of one capture alone, which tells no loss.
func PathOf(c *pair.Case) *Path {
	p := &Path{map[stretchKey]*Stretch{}}
	if !c.TwoSided() {
		return p
	}
	for _, s := range pair.Both {
		for _, port := range ports {
			p.of[stretchKey{s, port}] = &Stretch{From: s, Port: port}
		}
	}
	p.gather(c)
	shared := slices.ContainsFunc(c.Conversations, (*pair.Conversation).InBoth) ||
		slices.ContainsFunc(c.Flows, (*pair.Flow).InBoth)
	for k, st := range p.of {
		to := c.Story(k.from.Other())
		st.Empty = !to.Shows()
		st.timed = !c.Untimed()
		st.until = c.Aligned(to.Last, k.from.Other())
		st.sum()
		st.Unshared = !shared && st.Lost > 0 && st.Delivered > 0
		st.vain = !st.timed || slices.ContainsFunc(st.tail, func(x Sending) bool { return waitsInVain(c, x) })
	}
	for k, st := range p.of {
		back := p.Of(k.from.Other(), k.port)
		st.noise = share(back.before, len(back.Sent)-len(back.tail))
		if other := p.Of(k.from, ports[0]+ports[1]-k.port); other.Delivered > 0 {
			st.beside = share(other.before, len(other.Sent)-len(other.tail))
		}
	}
	return p
}

// Of is the stretch of what s sent to a port, which may hold nothing.
func (p *Path) Of(s pair.Side, port uint16) *Stretch {
	if st := p.of[stretchKey{s, port}]; st != nil {
		return st
	}
	return &Stretch{From: s, Port: port}
}

// Stretches are all that hold a sending, by side and port.
func (p *Path) Stretches() []*Stretch {
	var all []*Stretch
	for _, s := range pair.Both {
		for _, port := range ports {
			if st := p.Of(s, port); len(st.Sent) > 0 {
				all = append(all, st)
			}
		}
	}
	return all
}

// OnlyNATT says whether nothing of the stretch passes while UDP 500 does in the same direction: of
// the port that serves a negotiation through a NAT.
func (p *Path) OnlyNATT(st *Stretch) bool {
	_, certain, blocked := st.Blocked()
	return st.Port == 4500 && certain && blocked && st.Delivered == 0 && p.Of(st.From, 500).Delivered > 0
}

// gather finds the sendings of every stretch, in order of time, but fragmented datagrams that did
// not arrive: they are a fact of their own (FragmentsLost). Where a side has nothing else on a port
// and nothing of it arrives at all, that they are fragmented is no reason any more: they stand for
// the path. What went to strangers says nothing about it.
func (p *Path) gather(c *pair.Case) {
	var arrives [2]bool     // something of a side does, whole or in part
	var unbroken [2][2]bool // something unfragmented was sent, by sender and place among the ports
	torn := func(from pair.Side, port int) bool { return !arrives[from] && !unbroken[from][port] }
	each := func(take func(from pair.Side, port int, t *pair.Transmission, m *pair.Message)) {
		for m := range c.MessagesWhere(func(v *pair.Conversation) bool { return !v.Foreign }) {
			for _, t := range m.Transmissions() {
				if i := slices.Index(ports, t.Port()); i >= 0 && !t.Duplicate {
					take(m.From, i, t, m)
				}
			}
		}
	}
	var count [2][2]int
	each(func(from pair.Side, port int, t *pair.Transmission, _ *pair.Message) {
		arrives[from] = arrives[from] || t.Fate == pair.Delivered || len(t.Partial()) > 0
		fragmented := Fragmented(t)
		unbroken[from][port] = unbroken[from][port] || !fragmented
		if !fragmented || t.Fate == pair.Delivered {
			count[from][port]++
		}
	})
	var sent [2][2][]Sending
	most := 0
	for _, s := range pair.Both {
		for i := range ports {
			sent[s][i] = make([]Sending, 0, count[s][i])
			most = max(most, count[s][i])
		}
	}
	room := make([]timed, 0, most)
	each(func(from pair.Side, port int, t *pair.Transmission, m *pair.Message) {
		if t.Fate == pair.Delivered || !Fragmented(t) || torn(from, port) {
			sent[from][port] = append(sent[from][port], Sending{t, m})
		}
	})
	for _, s := range pair.Both {
		for i, port := range ports {
			st := p.of[stretchKey{s, port}]
			st.Sent, st.Torn = inOrder(sent[s][i], room), torn(s, i) && len(sent[s][i]) > 0
		}
	}
}

// timed is when a sending was sent, and its place among others.
type timed struct {
	aligned int64
	place   int
}

// inOrder sorts sendings by time, those of one moment as they come. The times are laid beside them
// for that, in room: to look behind two pointers at each comparison takes several times as long.
func inOrder(all []Sending, room []timed) []Sending {
	if slices.IsSortedFunc(all, func(a, b Sending) int { return cmp.Compare(a.Aligned, b.Aligned) }) {
		return all
	}
	order := room[:0]
	for i, x := range all {
		order = append(order, timed{x.Aligned, i})
	}
	nearly.Sort(order, func(a, b timed) int {
		if a.aligned != b.aligned {
			return cmp.Compare(a.aligned, b.aligned)
		}
		return cmp.Compare(a.place, b.place)
	})
	sorted := make([]Sending, len(all))
	for i, x := range order {
		sorted[i] = all[x.place]
	}
	return sorted
}

// sum counts what became of the sendings.
func (st *Stretch) sum() {
	for _, t := range st.Sent {
		switch t.Fate {
		case pair.Lost:
			st.Lost++
			st.tail = append(st.tail, t)
		case pair.Delivered:
			st.Delivered++
			st.tail, st.before = nil, st.Lost
		default:
			if t.Missing {
				st.tail = append(st.tail, t)
			}
		}
		if t.Missing {
			st.Missing++
		}
	}
}

// Fragmented says whether a sending left, or arrived, in IP fragments.
func Fragmented(t *pair.Transmission) bool {
	for _, x := range t.At {
		if x != nil && len(x.Fragments) > 0 {
			return true
		}
	}
	return t.Partial() != nil
}

// Blocked says whether nothing of the stretch passes; or nothing any more after something did; or
// nothing of one exchange, again and again, while others do. Of the latter two, several sendings
// must be proven lost.
func (st *Stretch) Blocked() (lost []Sending, certain, ok bool) {
	if st.block == nil {
		st.block = &block{}
		st.block.lost, st.block.certain, st.block.ok = st.blocked()
	}
	return slices.Clip(st.block.lost), st.block.certain, st.block.ok
}

func (st *Stretch) blocked() (lost []Sending, certain, ok bool) {
	if st.Delivered == 0 && st.Missing > 0 {
		return st.proven(), st.Lost >= 2 && !st.mayBeChance(),
			st.Missing == len(st.Sent) && (st.Lost > 0 || st.Empty && st.vain)
	}
	// The end of what was sent may be more than the capture covered: what it did cover decides.
	if lost := st.proven(); len(lost) > 0 && st.system(lost) {
		if all := st.neverPassed(lost); len(all) > 0 && st.system(all) {
			return all, true, true
		}
		return lost, st.outlived(lost), true
	}
	var asked [256]bool
	for _, t := range st.Sent {
		x := t.Message.Exchange
		if asked[x] {
			continue
		}
		asked[x] = true
		if t.Fate != pair.Lost {
			continue
		}
		if all, whole := st.exchangeOf(x); whole && st.system(all) {
			return all, true, true
		}
	}
	return nil, false, false
}

// waitsInVain says whether the sender's own capture speaks for it that x did not arrive: a request
// that is repeated, or that nothing answers for a while; an answer to a request that is repeated.
func waitsInVain(c *pair.Case, x Sending) bool {
	if q := x.Message.Answers(); q != nil {
		return len(Sendings(q)) > 1
	}
	return len(Sendings(x.Message)) > 1 || Outlasts(c, x.Message.From, x.Aligned, Patience)
}

// outlived says whether the receiver's capture goes on behind two of the lost: one that has ended
// lacks what comes after, too.
func (st *Stretch) outlived(lost []Sending) bool {
	return !st.timed || len(lost) > 1 && lost[1].Aligned <= st.until
}

// PassesAfter says whether something of this stretch arrives that was sent when x was, or later.
func (st *Stretch) PassesAfter(x Sending) bool {
	return slices.ContainsFunc(st.Sent, func(y Sending) bool { return y.Fate == pair.Delivered && st.after(x, y) })
}

// SendsAfter says whether anything of this stretch was sent when x was, or later.
func (st *Stretch) SendsAfter(x Sending) bool {
	return slices.ContainsFunc(st.Sent, func(y Sending) bool { return st.after(x, y) })
}

func (st *Stretch) after(x, y Sending) bool { return !st.timed || y.Aligned >= x.Aligned }

// proven are the sendings of the tail that were lost while the receiver's capture worked; all where
// it holds nothing.
func (st *Stretch) proven() []Sending {
	if st.Empty {
		return st.tail
	}
	var all []Sending
	for _, t := range st.tail {
		if t.Fate == pair.Lost {
			all = append(all, t)
		}
	}
	return all
}

// exchangeOf returns the sendings of an exchange when all of them were lost.
func (st *Stretch) exchangeOf(x ike.ExchangeType) (all []Sending, whole bool) {
	for _, o := range st.Sent {
		if o.Message.Exchange == x && o.Fate != pair.Lost {
			return nil, false
		}
	}
	for _, o := range st.Sent {
		if o.Message.Exchange == x {
			all = append(all, o)
		}
	}
	return all, true
}

// neverPassed returns, of a tail that begins with an exchange of which none ever arrived though the
// path passed others behind one of its sendings, all of the tail's exchanges that are so: the path
// did not close, it lets these not through. Empty where the tail is all there is.
func (st *Stretch) neverPassed(tail []Sending) []Sending {
	var never, passed [256]bool
	for _, t := range st.Sent {
		if t.Fate != pair.Lost && !t.Missing {
			passed[t.Message.Exchange] = true
		}
	}
	for _, t := range tail {
		never[t.Message.Exchange] = !passed[t.Message.Exchange]
	}
	if !never[tail[0].Message.Exchange] {
		return nil
	}
	var all []Sending
	for _, t := range st.Sent {
		if t.Fate == pair.Lost && never[t.Message.Exchange] {
			all = append(all, t)
		}
	}
	if all[0].Message.Exchange != tail[0].Message.Exchange || !st.Resumes(all) {
		return nil
	}
	return all
}

// system says whether the lost are no chance: three in a row, one of them repeated, unless the path
// loses so many of the other exchanges, or in the other direction, that as many are to be expected.
func (st *Stretch) system(lost []Sending) bool {
	const fewest = 3
	for _, t := range lost {
		if t.Fate != pair.Lost {
			return false
		}
	}
	others, gone := 0, 0
	among := make(map[*pair.Transmission]bool, len(lost))
	for _, t := range lost {
		among[t.Transmission] = true
	}
	for _, t := range st.Sent {
		if t.Message.Exchange != lost[0].Message.Exchange && !among[t.Transmission] {
			others++
			if t.Fate == pair.Lost {
				gone++
			}
		}
	}
	return len(lost) >= fewest && math.Pow(max(share(gone, others), st.noise), float64(len(lost))) <= rare
}

// rare is a chance that explains nothing.
const rare = 0.01

// mayBeChance says of a stretch of which nothing arrives that the path loses so many of the others
// that as few of it may all be lost, too.
func (st *Stretch) mayBeChance() bool {
	return math.Pow(max(st.beside, st.noise), float64(st.Lost)) > rare
}

// Ended says whether lost hold the first of what was sent last: from it on nothing passes any more.
func (st *Stretch) Ended(lost []Sending) bool {
	return len(st.tail) > 0 && slices.Contains(lost, st.tail[0])
}

// Resumes says whether something passes behind the first of lost. That need not be the first of the
// tail for it not to: what is not proven lost may come before it.
func (st *Stretch) Resumes(lost []Sending) bool { return !slices.Contains(st.tail, lost[0]) }

func share(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}
