package facts

import (
	"cmp"
	"math"
	"slices"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
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

	tail   []Sending // all since the last that arrived: nothing passes any more
	before int       // how many were lost before the last that arrived
	noise  float64   // the part of the other direction that is lost in between what arrives there
	block  *block    // what Blocked found, once asked
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
	for k, st := range p.of {
		to := c.Story(k.from.Other())
		st.Empty = to.Counts.Tunnel() == 0 && len(to.Datagrams) == 0
		st.sum()
	}
	for k, st := range p.of {
		back := p.Of(k.from.Other(), k.port)
		st.noise = share(back.before, len(back.Sent)-len(back.tail))
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
	_, _, blocked := st.Blocked()
	return st.Port == 4500 && blocked && st.Delivered == 0 && p.Of(st.From, 500).Delivered > 0
}

// gather finds the unfragmented sendings of every stretch, in order of time. Fragmented datagrams are a fact of their own, and what went to
// strangers says nothing about the path.
func (p *Path) gather(c *pair.Case) {
	each := func(take func(from pair.Side, port int, t *pair.Transmission, m *pair.Message)) {
		for m := range c.MessagesWhere(func(v *pair.Conversation) bool { return !v.Foreign }) {
			for _, t := range m.Transmissions() {
				if i := slices.Index(ports, t.Port()); i >= 0 && !t.Duplicate && !Fragmented(t) {
					take(m.From, i, t, m)
				}
			}
		}
	}
	var count [2][2]int // by sender, and place among the ports
	each(func(from pair.Side, port int, _ *pair.Transmission, _ *pair.Message) { count[from][port]++ })
	var sent [2][2][]Sending
	for _, s := range pair.Both {
		for i := range ports {
			sent[s][i] = make([]Sending, 0, count[s][i])
		}
	}
	each(func(from pair.Side, port int, t *pair.Transmission, m *pair.Message) {
		sent[from][port] = append(sent[from][port], Sending{t, m})
	})
	for _, s := range pair.Both {
		for i, port := range ports {
			inOrder(sent[s][i])
			p.of[stretchKey{s, port}].Sent = sent[s][i]
		}
	}
}

// inOrder sorts sendings by time, those of one moment as they come. The times are laid beside them for that: to look behind two pointers
// at each comparison takes several times as long.
func inOrder(all []Sending) {
	if slices.IsSortedFunc(all, func(a, b Sending) int { return cmp.Compare(a.Aligned, b.Aligned) }) {
		return
	}
	type timed struct {
		aligned int64
		place   int
		Sending
	}
	order := make([]timed, len(all))
	for i, x := range all {
		order[i] = timed{x.Aligned, i, x}
	}
	slices.SortFunc(order, func(a, b timed) int { return cmp.Or(cmp.Compare(a.aligned, b.aligned), cmp.Compare(a.place, b.place)) })
	for i := range order {
		all[i] = order[i].Sending
	}
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
		return st.proven(), st.Lost >= 2, st.Missing == len(st.Sent) && (st.Lost > 0 || st.Empty)
	}
	// The end of what was sent may be more than the capture covered: what it did cover decides.
	if lost := st.proven(); len(lost) > 0 && st.system(lost) {
		return lost, true, true
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

// system says whether the lost are no chance: three in a row, one of them repeated, unless the path
// loses so many of the other exchanges, or in the other direction, that as many are to be expected.
func (st *Stretch) system(lost []Sending) bool {
	const fewest, rare = 3, 0.01
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

// Ended says whether lost are what was sent last: after them nothing passes any more.
func (st *Stretch) Ended(lost []Sending) bool {
	return len(st.tail) > 0 && st.tail[0].Transmission == lost[0].Transmission
}

func share(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}
