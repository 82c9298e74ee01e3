package facts

import (
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/pair"
)

// Blocked is ESP of one SPI that does not reach the other side: none of it, or no more of it from a
// number on.
type Blocked struct {
	*pair.Flow
	Lost   exchange.Interval // the last run of numbers that are proven lost
	Passed uint64            // numbers before it that arrived; 0: none of the SPI did
	// the receiver's capture holds packets from before and from after them, and others of that
	// direction
	Certain bool
	Within  bool // it holds packets from before and from after them
	// neither capture holds a protected packet that the other side sent and it received: each may
	// be of one direction only
	Apart bool
}

// What is lost to the end is no chance any more when it is as many packets, or as many over so long
// a time.
const (
	fewestLost  = 2 // of an SPI of which nothing arrives
	endlessLost = 32
	steadyLost  = 10
	steadyTime  = 5_000_000_000
)

// Blocked lists the flows that the path does not let through.
func (t *Traffic) Blocked() []Blocked {
	var all []Blocked
	for _, p := range t.Peers {
		for _, s := range pair.Both {
			for _, f := range p.Flows[s] {
				if b, ok := t.blocked(f); ok {
					all = append(all, b)
				}
			}
		}
	}
	return all
}

func (t *Traffic) blocked(f *pair.Flow) (Blocked, bool) {
	mine, other := f.At[f.From], f.At[f.From.Other()]
	if mine == nil || f.Lost+f.Beyond == 0 {
		return Blocked{}, false
	}
	b := Blocked{Flow: f, Lost: f.Tail}
	if other == nil {
		b.Within = f.Lost >= fewestLost
		b.Certain = b.Within && t.Receives(f.From.Other())
		b.Apart = b.Within && !b.Certain && !t.Receives(f.From)
		return b, f.Lost+f.Beyond >= fewestLost && (mine.Fragmented < mine.Packets || f.Beyond > 0)
	}
	b.Passed, b.Certain, b.Within = other.Seqs.Len(), true, true
	took := t.c.SentAt(f, b.Lost.High) - t.c.SentAt(f, b.Lost.Low)
	n := b.Lost.Len()
	return b, b.Lost.Low > other.Seqs.Max() && (n >= endlessLost || n >= steadyLost && took >= steadyTime)
}

// Receives says whether the capture of s holds anything of the tunnel that came to it: one that
// does not may be of one direction only, which proves nothing of the other one.
func (t *Traffic) Receives(s pair.Side) bool {
	if t.receives == nil {
		t.receives = &[2]bool{t.findReceives(pair.A), t.findReceives(pair.B)}
	}
	return t.receives[s]
}

func (t *Traffic) findReceives(s pair.Side) bool {
	if story := t.c.Story(s); story != nil && story.Unreadable > 0 {
		return true // of IKE that is cut short nobody knows the direction
	}
	for _, p := range t.Peers {
		if slices.ContainsFunc(p.Flows[s.Other()], func(f *pair.Flow) bool { return f.At[s] != nil }) {
			return true
		}
	}
	return t.c.Tally(s.Other()).Delivered > 0
}

// Lossy lists the flows of which some packets were lost, and that are not blocked. Those lost for
// their IP fragments are left out.
func (t *Traffic) Lossy() []*pair.Flow {
	var all []*pair.Flow
	for _, p := range t.Peers {
		for _, s := range pair.Both {
			fragments := p.fragments(s)
			for _, f := range p.Flows[s] {
				_, blocked := t.blocked(f)
				if f.Lost == 0 || f.At[s] == nil || blocked || fragments != nil && f.Lost <= uint64(f.At[s].Fragmented) {
					continue
				}
				all = append(all, f)
			}
		}
	}
	return all
}

// Fragments are packets of one side that left in IP fragments and did not arrive whole.
type Fragments struct {
	From       pair.Side
	Protocol   string // "ESP", "AH" or "ESP in UDP"
	Sent, Lost int    // of those that were sampled
	Flow       *pair.Flow
	Example    exchange.Point     // one of them, in the sender's capture
	Rest       *exchange.Datagram // what the receiver's capture has of it; nil: nothing
}

// Fragments lists, by direction, the IP fragments that a device on the path drops, while packets in
// one piece pass.
func (t *Traffic) Fragments() []Fragments {
	var all []Fragments
	for _, p := range t.Peers {
		for _, s := range pair.Both {
			if f := p.fragments(s); f != nil {
				all = append(all, *f)
			}
		}
	}
	return all
}

func (p *Peer) fragments(s pair.Side) *Fragments {
	const mostly = 2 // more than one in so many is lost
	var found Fragments
	whole, wholeLost := 0, 0 // packets in one piece
	for _, f := range p.Flows[s] {
		mine, other := f.At[s], f.At[s.Other()]
		if mine == nil {
			continue
		}
		if other != nil {
			whole += other.Packets - other.Fragmented
		}
		wholeLost += max(0, int(f.Lost)-mine.Fragmented)
		if f.Split.Lost > 0 && (found.Flow == nil || found.Rest == nil && f.Split.Rest != nil) {
			found.Flow, found.Example, found.Rest = f, f.Split.First, f.Split.Rest
		}
		found.Sent += f.Split.Sent
		found.Lost += f.Split.Lost
	}
	if found.Lost == 0 || found.Lost*mostly <= found.Sent {
		return nil
	}
	if whole == 0 {
		whole = p.c.Tally(s).Delivered
	}
	switch {
	case whole == 0:
		return nil
	case found.Rest == nil && found.Lost < fewestLost:
		return nil // one that vanished whole is a loss like any other
	case wholeLost*found.Sent > found.Lost*whole/2:
		return nil // packets in one piece fare no better
	}
	found.From = s
	found.Protocol = protocolOf(found.Flow.At[s])
	return &found
}

func protocolOf(f *exchange.Flow) string {
	switch {
	case f.AH:
		return "AH"
	case f.UDP:
		return "ESP in UDP"
	}
	return "ESP"
}
