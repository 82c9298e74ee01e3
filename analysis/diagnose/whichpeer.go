package diagnose

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/report"
)

// tellPeers has the findings of one capture that shows several peers name the peer that each is
// about, in words and commands: a side's name is that of its busiest one.
func (j *judge) tellPeers(all []report.Finding) {
	s, lone := j.c.Lone()
	other := s.Other()
	usual := j.seenAs(other)
	if !lone || usual == "" || j.c.Parties[other].Known.IsValid() {
		return
	}
	w := newWhich(j.c)
	for i := range all {
		f := &all[i]
		peers := w.peers(*f)
		if len(slices.Compact(peers)) != 1 || peers[0] == w.remotes.Peer(netip.MustParseAddr(usual)) {
			continue // of none, or of several, or of that one
		}
		peer, name := peers[0].String(), j.name(other)
		for _, n := range []string{name, capital(name)} {
			f.Explanation = strings.ReplaceAll(f.Explanation, n, peer)
		}
		for k := range f.Actions {
			a := &f.Actions[k]
			if a.Side != sideOf(s) && a.Where != onPath {
				continue
			}
			a.Commands = slices.Clone(a.Commands) // others may share them
			for n, c := range a.Commands {
				a.Commands[n] = instead(c, usual, peer)
			}
		}
	}
}

// instead has another word in each place of one in a command.
func instead(command, word, other string) string {
	words := strings.Split(command, " ")
	for i, w := range words {
		if w == word {
			words[i] = other
		}
	}
	return strings.Join(words, " ")
}
