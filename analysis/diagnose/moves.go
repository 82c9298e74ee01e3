package diagnose

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/pair"
)

// nameAtFirst is a side's name with the address that it had when t began: it may have moved.
func (j *judge) nameAtFirst(t *talk, s pair.Side) string {
	for _, m := range t.Messages {
		if x := m.Transmissions()[0].At[s]; x != nil && m.From == s && facts.StrayedOf(m) == nil {
			if at := x.Src.Addr(); j.c.Parties[s].Is(at) {
				return j.partyName(s) + " (" + at.String() + ")"
			}
			break
		}
	}
	return j.name(s)
}

// moves tells how a side went on from another address of its own within an IKE SA (MOBIKE,
// RFC 4555): its own capture shows it, so it is no NAT's doing. A responder that answers from
// another address than was asked has not moved. Empty when neither did.
func (j *judge) moves(t *talk) (text string) {
	for _, s := range pair.Both {
		var at netip.Addr
		strayed := false
		for _, m := range t.Messages {
			x := m.Transmissions()[0].At[s]
			if m.From != s || x == nil {
				continue
			}
			if o := facts.StrayedOf(m); o != nil && o.Asked.Addr() != o.From.Addr() {
				if !strayed {
					text += fmt.Sprintf(" %s was asked at %s and answered %s from %s, which %s took.", capital(j.partyName(s)),
						o.Asked.Addr(), one(m.Exchange), o.From.Addr(), j.partyName(s.Other()))
				}
				strayed = true
				continue
			}
			if from := x.Src.Addr(); at.IsValid() && from != at {
				text += fmt.Sprintf(" %s moved from %s to %s at %s.", capital(j.partyName(s)), at, from,
					time.Unix(0, x.Nanos).UTC().Format("15:04:05.000"))
			}
			at = x.Src.Addr()
		}
	}
	return text
}
