package facts

import (
	"context"
	"net/netip"
	"slices"

	"github.com/moncap/moncap/analysis/pair"
)

// OtherFails is what one of two captures alone holds of a tunnel with somebody else that does not
// come up in it.
type OtherFails struct {
	Side          pair.Side // whose capture
	Remote        netip.Addr
	Conversations []*pair.Conversation // in order of time
	Flow          *pair.Flow           // without negotiations: what leaves, and nothing comes back
	Refused       bool                 // somebody refused
	Again         bool                 // the capturing side began, and again
}

// Heard is the first of the conversations in which the other end sends something; nil where nothing
// comes back.
func (x OtherFails) Heard() *pair.Conversation {
	for _, v := range x.Conversations {
		for _, m := range v.Messages {
			if m.From == x.Side.Other() && m.Copy(x.Side) != nil {
				return v
			}
		}
	}
	return nil
}

// OthersFail lists the tunnels of one capture alone that do not come up, beside one that both hold,
// by their other ends. There are none where anybody said whose tunnel is meant, since others are no
// part of it then. Whom a gateway neither asks nor answers may be a scanner.
func OthersFail(ctx context.Context, c *pair.Case) []OtherFails {
	shared := func(f *pair.Flow) bool { return !f.Foreign && f.InBoth() }
	if !c.TwoSided() || len(c.Strangers) == 0 && !slices.ContainsFunc(c.Flows, (*pair.Flow).OtherTunnel) ||
		c.Said() ||
		!slices.ContainsFunc(c.Conversations, (*pair.Conversation).InBoth) && !slices.ContainsFunc(c.Flows, shared) {
		return nil
	}
	var all []OtherFails
	for _, s := range pair.Both {
		all = append(all, othersFail(ctx, c, s)...)
	}
	return all
}

func othersFail(ctx context.Context, c *pair.Case, s pair.Side) []OtherFails {
	talks := Talks(ctx, c.StrangersOf(s), [2]Config{})
	works := map[netip.Addr]bool{}
	sends := map[netip.Addr][2]bool{} // protected packets, by sender
	for _, f := range c.Flows {
		if a := f.End(s.Other(), s); a.IsValid() {
			by := sends[a]
			by[f.From] = true
			sends[a], works[a] = by, by == [2]bool{true, true}
		}
	}
	for _, t := range talks {
		if a := remoteOf(t.Conversation, s); t.CameUp() || !t.Complete && t.bothEncrypt() {
			works[a] = true
		}
	}
	var all []OtherFails
	at := map[netip.Addr]int{}
	find := func(a netip.Addr) *OtherFails {
		i, known := at[a]
		if !known {
			i = len(all)
			at[a], all = i, append(all, OtherFails{Side: s, Remote: a})
		}
		return &all[i]
	}
	for _, t := range talks {
		a := remoteOf(t.Conversation, s)
		if works[a] || !t.Complete || !t.fails(s) {
			continue
		}
		x := find(a)
		x.Refused = x.Refused || t.End != Broken && t.End != Unanswered
		x.Again = x.Again || t.Messages[0].From == s && (len(x.Conversations) > 0 || len(Sendings(t.Messages[0])) > 1)
		x.Conversations = append(x.Conversations, t.Conversation)
	}
	for _, f := range c.Flows {
		a, x := f.End(s.Other(), s), f.At[s]
		if x != nil && f.OtherTunnel() && f.From == s && f.At[s.Other()] == nil && !works[a] && !sends[a][s.Other()] &&
			x.Packets >= fewestUnanswered && x.Last.Nanos-x.First.Nanos >= answersDue && !c.Parties[s].Coverage.Deaf {
			if o := find(a); o.Flow == nil {
				o.Flow = f
			}
		}
	}
	return all
}

// fails says whether t, which the capture of s alone holds, came to nothing while that went on: it
// was refused, asked again and again, or left alone for long.
func (t *Talk) fails(s pair.Side) bool {
	speaks := func(m *pair.Message) bool { return m.From == s && len(m.Errors()) == 0 }
	if !slices.ContainsFunc(t.Messages, speaks) {
		return false
	}
	const again = 3
	last := t.Messages[len(t.Messages)-1]
	return t.End != Broken && t.End != Unanswered || len(Sendings(last)) >= again ||
		Outlasts(t.c, s, t.Last, Patience)
}

// bothEncrypt says whether both sides send encrypted messages in t.
func (t *Talk) bothEncrypt() bool {
	return !slices.ContainsFunc(pair.Both[:], func(s pair.Side) bool {
		return !slices.ContainsFunc(t.Messages, func(m *pair.Message) bool { return m.From == s && m.Encrypted() })
	})
}

// remoteOf is the other end of what the capture of s holds of v.
func remoteOf(v *pair.Conversation, s pair.Side) netip.Addr {
	for _, m := range v.Messages {
		if a := m.End(s.Other(), s); a.IsValid() {
			return a
		}
	}
	return netip.Addr{}
}
