package diagnose

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/moncap/moncap/analysis/pair"
)

// moves tells how a side went on from another address of its own within an IKE SA (MOBIKE, RFC
// 4555): its own capture shows it, so it is no NAT's doing. Empty when neither did.
func (j *judge) moves(t *talk) (text string) {
	for _, s := range pair.Both {
		var at netip.Addr
		for _, m := range t.Messages {
			x := m.Transmissions()[0].At[s]
			if m.From != s || x == nil {
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
