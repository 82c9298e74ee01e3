package facts

import (
	"cmp"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
)

// answeredIDs tell how far a side's requests were answered: the highest message ID at each moment
// at which it grew, aligned, in their order.
type answeredIDs []answeredID

type answeredID struct {
	at int64
	id uint32
}

// Behind says of a request of IKEv2 whether its message ID is behind the other side's window: its
// sender had that one, or a higher one, answered before, by another request (RFC 7296, Section
// 2.3). Who takes over an SA with an older state asks so. The highest ID that was answered is
// returned. An INFORMATIONAL with message ID 0 sets that right (RFC 6311, Section 5.1); it is none.
func (t *Talk) Behind(m *pair.Message) (answered uint32, behind bool) {
	if t.Version != 2 || m.Kind != exchange.Request || m.MessageID == 0 {
		return 0, false
	}
	if t.answered == nil {
		t.answered = t.findAnswered()
	}
	all := t.answered[m.From]
	i, _ := slices.BinarySearchFunc(all, m.Transmissions()[0].Aligned-grace,
		func(a answeredID, at int64) int { return cmp.Compare(a.at, at) })
	if i == 0 || all[i-1].id < m.MessageID {
		return 0, false
	}
	return all[i-1].id, true
}

func (t *Talk) findAnswered() *[2]answeredIDs {
	var found [2]answeredIDs
	var all [2][]answeredID
	for _, m := range t.Messages {
		if r := m.AnsweredBy(); m.Kind == exchange.Request && r != nil && m.Exchange != ike.IKESAInit {
			all[m.From] = append(all[m.From], answeredID{r.Transmissions()[0].Aligned, m.MessageID})
		}
	}
	for _, s := range pair.Both {
		slices.SortStableFunc(all[s], func(x, y answeredID) int { return cmp.Compare(x.at, y.at) })
		for _, a := range all[s] {
			if n := len(found[s]); n == 0 || a.id > found[s][n-1].id {
				found[s] = append(found[s], a)
			}
		}
	}
	return &found
}
