package diagnose

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// othersUp is for one capture that shows tunnels with several peers while nobody said which of them
// is meant. A tunnel that is up says nothing about another one: failed says that something critical
// is the matter with a peer with whom none came up, open that a negotiation with such a peer led to
// nothing, or that protected traffic goes one way.
func othersUp(c *pair.Case, findings []report.Finding) (failed, open bool) {
	if c == nil {
		return false, false
	}
	side, lone := c.Lone()
	if !lone {
		return false, false
	}
	w := newWhich(c)
	up := map[netip.Addr]bool{}
	for _, f := range findings {
		if f.Code == "tunnel-established" {
			for _, p := range w.peers(f) {
				up[p] = true
			}
		}
	}
	if len(up) == 0 {
		return false, false
	}
	down := func(p netip.Addr) bool { return !up[p] }
	for _, f := range findings {
		failed = failed || f.Severity == report.Critical && slices.ContainsFunc(w.peers(f), down)
	}
	for _, v := range c.Conversations {
		// what others ask, and nobody answers, may be a scanner's
		asked := v.Messages[0].From == side || len(v.SPIrs) > 0
		open = open || !v.Foreign && v.Complete && asked && down(w.remotes.With(v))
	}
	return failed, open || w.oneWay(down)
}

// which tells with which peer something is.
type which struct {
	c       *pair.Case
	remotes *pair.Remotes
	byID    map[string]netip.Addr // of conversations
	bySPI   map[string]netip.Addr
}

func newWhich(c *pair.Case) *which {
	w := &which{c, c.Remotes(), map[string]netip.Addr{}, map[string]netip.Addr{}}
	for _, v := range c.Conversations {
		w.byID[v.ID] = w.remotes.With(v)
	}
	for _, f := range c.Flows {
		w.bySPI[spiText(f.SPI)] = w.remotes.Of(f)
	}
	return w
}

// peers are those of a finding, by its conversations, or by the SPI of its ESP.
func (w *which) peers(f report.Finding) (all []netip.Addr) {
	for _, id := range append([]string{f.Conversation}, f.Further...) {
		if p := w.byID[id]; p.IsValid() {
			all = append(all, p)
		}
	}
	if p := w.bySPI[fmt.Sprint(f.Fields["spi"])]; p.IsValid() {
		all = append(all, p)
	}
	return all
}

// oneWay says whether protected traffic with a peer of those goes one way.
func (w *which) oneWay(of func(netip.Addr) bool) bool {
	sent := map[netip.Addr]*[2]bool{}
	for _, f := range w.c.Flows {
		if p := w.remotes.Of(f); !f.Foreign && p.IsValid() && of(p) {
			if sent[p] == nil {
				sent[p] = &[2]bool{}
			}
			sent[p][f.From] = true
		}
	}
	for _, s := range sent {
		if s[pair.A] != s[pair.B] {
			return true
		}
	}
	return false
}
