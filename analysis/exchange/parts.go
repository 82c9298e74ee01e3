package exchange

import (
	"hash/maphash"
	"iter"
	"net/netip"
	"slices"
)

// Share is what part of a story is asked for: what is of an address.
type Share struct {
	Of   netip.Addr
	With []netip.Addr // what is between Of and one of these only; nil: whoever is at the other end
}

// Parts divide a story by address.
type Parts struct {
	whole *Story
	of    []*part
	by    map[netip.Addr][]*part    // by addresses that are asked for with whoever is at the other end
	pairs map[[2]netip.Addr][]*part // by pairs of them otherwise, either way round
	ways  map[*Way][]*part          // what between says, for there are few ways and many packets
	index Index                     // room for that of a part's messages
	room  [][]Message               // see Reuse
}

// part is what a story holds of one address; of the messages, their places.
type part struct {
	messages           []int32
	flows              []*Flow
	keepalives, others []*Stream
	icmp               []*ICMP
	datagrams          []*Datagram
	faults             []Fault
}

// Divide tells apart what s holds of each of some shares, in one walk over it. s is not to be
// changed as long as there are parts of it to be asked for.
func (s *Story) Divide(shares []Share) *Parts {
	d := &Parts{whole: s, by: make(map[netip.Addr][]*part, len(shares)), pairs: map[[2]netip.Addr][]*part{},
		ways: map[*Way][]*part{}}
	for _, x := range shares {
		p := &part{}
		d.of = append(d.of, p)
		if x.With == nil {
			d.by[x.Of] = append(d.by[x.Of], p)
		}
		for _, other := range x.With {
			there, back := [2]netip.Addr{x.Of, other}, [2]netip.Addr{other, x.Of}
			d.pairs[there], d.pairs[back] = append(d.pairs[there], p), append(d.pairs[back], p)
		}
	}
	for m := range s.Messages.All() {
		sent := m.Sent()
		for i := range sent {
			for _, p := range d.along(sent[i].Way) {
				if n := len(p.messages); n == 0 || p.messages[n-1] != m.Index {
					p.messages = append(p.messages, m.Index)
				}
			}
		}
	}
	for _, f := range s.Flows {
		for _, p := range d.between(f.Src.Addr(), f.Dst.Addr()) {
			p.flows = append(p.flows, f)
		}
	}
	for _, k := range s.Keepalives {
		for _, p := range d.between(k.Src.Addr(), k.Dst.Addr()) {
			p.keepalives = append(p.keepalives, k)
		}
	}
	for _, k := range s.Others {
		for _, p := range d.between(k.Src.Addr(), k.Dst.Addr()) {
			p.others = append(p.others, k)
		}
	}
	for _, e := range s.ICMP {
		for _, p := range d.quoted(e) {
			p.icmp = append(p.icmp, e)
		}
	}
	for _, g := range s.Datagrams {
		for _, p := range d.between(g.Src, g.Dst) {
			p.datagrams = append(p.datagrams, g)
		}
	}
	for _, f := range s.Faults {
		for _, p := range d.between(f.Src, f.Dst) {
			p.faults = append(p.faults, f)
		}
	}
	return d
}

// between are the parts of what goes from one address to another one.
func (d *Parts) between(src, dst netip.Addr) []*part {
	return join(join(d.by[src], d.by[dst]), d.pairs[[2]netip.Addr{src, dst}])
}

// quoted are those of an ICMP error, and of what it quotes.
func (d *Parts) quoted(e *ICMP) []*part {
	return join(d.between(e.Sight.Src.Addr(), e.Sight.Dst.Addr()), d.between(e.ICMPError.Src, e.ICMPError.Dst))
}

// join are those of either, each once.
func join(some, more []*part) []*part {
	joined := slices.Clip(some)
	for _, p := range more {
		if !slices.Contains(joined, p) {
			joined = append(joined, p)
		}
	}
	return joined
}

// along are those of what went a way.
func (d *Parts) along(w *Way) []*part {
	parts, known := d.ways[w]
	if !known {
		parts = d.between(w.Src.Addr(), w.Dst.Addr())
		d.ways[w] = parts
	}
	return parts
}

// Of is what the story holds of the share of that place among those that it was divided by: the
// packets, and the ICMP errors that quote one of them. All others count as other ones, and
// their times show that the capture went on; so do the IP fragments of datagrams that became whole.
// What has no addresses that could be read is in every part. Parts of stories of one Contents find
// their twins as the stories did, if they are all that is made of both at that time.
func (d *Parts) Of(share int) *Story {
	p, w := d.of[share], d.whole
	s := &Story{
		Info: w.Info, First: w.First, Last: w.Last, Peak: w.Peak, Grain: w.Grain, Unread: w.Unread,
		Unreadable: w.Unreadable, Forgotten: w.Forgotten, Flows: p.flows, Keepalives: p.keepalives,
		Others: p.others, Datagrams: p.datagrams, Faults: p.faults, part: d, Messages: Messages{blocks[Message]{all: d.room}},
		Counts: Counts{Packets: w.Counts.Packets, Bytes: w.Counts.Bytes, Truncated: w.Counts.Truncated,
			IKE: len(p.faults), ICMP: len(p.icmp)},
	}
	d.room = nil
	var own [2]*Way // that were found to be of the part: those there and back, mostly
	others := func(x Sight) bool {
		if x.Way == own[0] || x.Way == own[1] {
			return false
		}
		other := !slices.Contains(d.along(x.Way), p)
		if !other {
			own[0], own[1] = x.Way, own[0]
		}
		return other
	}
	for _, place := range p.messages {
		s.take(w.Messages.At(int(place)), others)
	}
	for _, e := range p.icmp {
		own := *e
		if own.Message = nil; e.Message != nil {
			if i, ok := slices.BinarySearch(p.messages, e.Message.Index); ok {
				own.Message = s.Messages.At(i)
			}
		}
		s.ICMP = append(s.ICMP, &own)
	}
	n := &s.Counts
	for _, f := range p.flows {
		if n.Duplicates += f.Duplicates; f.AH {
			n.AH += f.Packets
		} else {
			n.ESP += f.Packets
		}
	}
	for _, k := range p.keepalives {
		n.Keepalives += k.Packets
	}
	for _, g := range p.datagrams {
		n.Fragments += len(g.Frames)
	}
	n.Other = n.Packets - n.Tunnel() - n.ICMP - n.Fragments
	s.Addresses = addresses(s)
	return s
}

// Reuse takes back the room of a part that nobody looks at any more, for the next one.
func (d *Parts) Reuse(part *Story) { d.room = part.Messages.all }

// partTwins yields the messages of a part that another part holds, too: their places in both.
func (s *Story) partTwins(o *Story) iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		index := &o.part.index
		index.Reset(o.Messages.Len())
		for m := range o.Messages.All() {
			index.Add(maphash.Comparable(seed, m.Content), int(m.Index))
		}
		for m := range s.Messages.All() {
			twin := index.Find(maphash.Comparable(seed, m.Content),
				func(i int) bool { return o.Messages.At(i).Content == m.Content })
			if twin != none && !yield(int(m.Index), twin) {
				return
			}
		}
	}
}

// take takes over the sightings of m but those of others, of which there are some.
func (s *Story) take(m *Message, others func(Sight) bool) {
	sent := m.Sent()
	if slices.ContainsFunc(sent, others) {
		sent = slices.DeleteFunc(slices.Clone(sent), others)
	}
	x, place := s.Messages.add()
	*x = *m
	x.Index = int32(place)
	x.SetSent(sent)
	s.Counts.IKE += len(sent)
	for i := range sent {
		if sent[i].Truncated {
			s.Counts.TruncatedIKE++
		}
		if sent[i].Copy && sent[i].IPID != 0 {
			s.Counts.Duplicates++
		}
	}
}
