package pair

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
)

// pieceObservations relate the clocks where no whole packet is in both captures: by datagrams of
// which the receiver's capture has some IP fragments and not all. The identification of a fragment
// is that of the whole (RFC 791, Section 3.2; RFC 8200, Section 4.5). What contradicts its
// neighbours has the same one by chance.
func (j *joiner) pieceObservations() (all []observation) {
	var pieces [2]map[uint32][]*exchange.Datagram // by identification, in each capture
	for _, s := range Both {
		pieces[s] = map[uint32][]*exchange.Datagram{}
		if story := j.c.Story(s); story != nil {
			for _, d := range story.Datagrams {
				pieces[s][d.IPID] = append(pieces[s][d.IPID], d)
			}
		}
	}
	if len(pieces[A])+len(pieces[B]) == 0 {
		return nil
	}
	sure := 0
	found := func(from Side, x *exchange.Sight, d *exchange.Datagram) {
		if sure++; d.HasFirst {
			sure++
		}
		if from == A {
			all = append(all, observation{x.Nanos, d.First, A, x.Frame, int32(d.Frames[0]), false})
		} else {
			all = append(all, observation{d.First, x.Nanos, B, int32(d.Frames[0]), x.Frame, false})
		}
	}
	for _, l := range j.links {
		m := l.at[l.From]
		if m == nil || l.at[l.From.Other()] != nil {
			continue
		}
		for i := range m.Sent() {
			x := &m.Sent()[i]
			if len(x.Fragments) == 0 || x.IPID == 0 {
				continue
			}
			if some := pieces[l.From.Other()][x.IPID]; len(some) == 1 && mayBe(some[0], m) {
				found(l.From, x, some[0])
			}
		}
	}
	if sure < 2 {
		return nil // one identification alone, of 16 bits, may be the same by chance
	}
	slices.SortFunc(all, func(x, y observation) int { return cmp.Compare(x.a, y.a) })
	sound := make([]observation, 0, len(all))
	for i := range consistent(all, j.c.Coarse()) {
		sound = append(sound, all[i])
	}
	return sound
}

// mayBe says whether a datagram in pieces may be the message: its first piece has the SPI.
func mayBe(d *exchange.Datagram, m *exchange.Message) bool {
	return !d.HasFirst || len(d.DataStart) >= 8 && binary.BigEndian.Uint64(d.DataStart) == uint64(m.SPIi)
}
