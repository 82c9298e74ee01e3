package pair

import (
	"cmp"
	"iter"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
)

// Some captures hold no times: texts of show monitor capture NAME buffer dump, and exports that
// give every packet the same one. Their order is all that they say. Their packets are then put
// between those of the other capture, so that everything else works alike; when both are without
// times, the frames of A count as one every untimedStep.

// untimedStep is the made-up distance of two packets.
const untimedStep = 100_000_000

// longestCopy is the coarsest grain that tells what is sent again from a copy: IKE waits longer.
const longestCopy = 100_000_000

// untimed says whether the capture holds no times. The pieces of one datagram come at one moment.
func untimed(s *exchange.Story) bool {
	return s != nil && s.Counts.Packets > 1 && s.First == s.Last &&
		s.Counts.Packets-s.Counts.Fragments+len(s.Datagrams) > 1
}

// timeline tells the time of a frame.
type timeline []anchor

// anchor is a frame whose time is known from the other capture.
type anchor struct {
	frame int
	nanos int64
}

// retime gives captures without times some that put their packets in order.
func (j *joiner) retime() {
	p := &j.c.Parties
	if j.c.Untimed() {
		return // parts of stories whose times were made up before
	}
	for _, s := range Both {
		j.setBack(s)
		if untimed(p[s].Story) {
			p[s].Untimed = true
			p[s].Stamp = p[s].Story.First
		}
	}
	for _, s := range Both {
		if j.c.grain(s).Size > longestCopy {
			orderOnly(p[s].Story)
		}
		j.refine(s)
	}
	if p[A].Untimed && (p[B].Untimed || p[B].Story == nil) {
		timeline{{1, p[A].Stamp}}.apply(p[A].Story)
	}
	switch {
	case p[A].Untimed && p[B].Story != nil && !p[B].Untimed:
		j.timeline(A).apply(p[A].Story)
	case p[B].Untimed:
		j.timeline(B).apply(p[B].Story)
	}
}

// timeline finds the packets of s that the other capture has once too.
func (j *joiner) timeline(s Side) timeline {
	var t timeline
	for _, l := range j.links {
		x, y := l.at[s], l.at[s.Other()]
		if x != nil && y != nil && len(x.Sent()) == 1 && len(y.Sent()) == 1 {
			t = append(t, anchor{int(x.Sent()[0].Frame), y.Sent()[0].Nanos})
		}
	}
	if len(t) == 0 {
		t = append(t, anchor{1, j.c.Parties[s.Other()].Story.First})
	}
	slices.SortFunc(t, func(a, b anchor) int { return cmp.Compare(a.frame, b.frame) })
	rising := t[:1]
	for _, a := range t[1:] {
		if a.nanos > rising[len(rising)-1].nanos {
			rising = append(rising, a)
		}
	}
	return rising
}

// at is the time of a frame, between the anchors around it.
func (t timeline) at(frame int) int64 {
	i, exact := slices.BinarySearchFunc(t, frame, func(a anchor, f int) int { return cmp.Compare(a.frame, f) })
	switch {
	case exact:
		return t[i].nanos
	case i == 0:
		return t[0].nanos - int64(t[0].frame-frame)*untimedStep
	case i == len(t):
		return t[i-1].nanos + int64(frame-t[i-1].frame)*untimedStep
	}
	a, b := t[i-1], t[i]
	return a.nanos + (b.nanos-a.nanos)*int64(frame-a.frame)/int64(b.frame-a.frame)
}

func (t timeline) apply(s *exchange.Story) {
	for frame, nanos := range timesOf(s) {
		*nanos = t.at(frame)
	}
	orderOnly(s)
	s.First, s.Last = t.at(1), t.at(s.Counts.Packets)
}

// orderOnly takes back that what comes at one moment is a copy, where nothing but that says so: in
// times that are none, or coarse, it does not.
func orderOnly(s *exchange.Story) {
	for m := range s.Messages.All() {
		for i := range m.Sent() {
			x := &m.Sent()[i]
			x.Copy = x.Copy && x.IPID != 0
		}
	}
}

// timesOf yields where a story has the times of its packets, with their frames.
func timesOf(s *exchange.Story) iter.Seq2[int, *int64] {
	return func(yield func(int, *int64) bool) {
		for m := range s.Messages.All() {
			for i := range m.Sent() {
				if x := &m.Sent()[i]; !yield(int(x.Frame), &x.Nanos) {
					return
				}
			}
		}
		for _, f := range s.Flows {
			for frame, nanos := range timesOfFlow(f) {
				if !yield(frame, nanos) {
					return
				}
			}
		}
		for _, k := range append(slices.Clone(s.Keepalives), s.Others...) {
			if !yield(k.FirstFrame, &k.First) || !yield(k.LastFrame, &k.Last) {
				return
			}
		}
		for _, d := range s.Datagrams {
			if !yield(d.Frames[0], &d.First) || !yield(d.Frames[len(d.Frames)-1], &d.Last) {
				return
			}
		}
		for _, e := range s.ICMP {
			if !yield(int(e.Frame), &e.Nanos) {
				return
			}
		}
	}
}

func timesOfFlow(f *exchange.Flow) iter.Seq2[int, *int64] {
	return func(yield func(int, *int64) bool) {
		points := []*exchange.Point{&f.First, &f.Last, &f.LatePoint}
		if f.Restart != nil {
			points = append(points, &f.Restart.Point)
			if !yield(int(f.Restart.After), &f.Restart.Prior) {
				return
			}
		}
		for _, some := range [][]exchange.Point{f.Samples, f.Split} {
			for i := range some {
				points = append(points, &some[i])
			}
		}
		for _, p := range points {
			if !yield(int(p.Frame), &p.Nanos) {
				return
			}
		}
	}
}
