package facts

import (
	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/pair"
)

// Empty says whether the capture of s holds no packet of the tunnel while the other side's does, so
// that nothing proves that it worked. One that holds pieces of datagrams, or mostly what is not
// read, is not empty.
func Empty(c *pair.Case, s pair.Side) bool {
	if !c.TwoSided() {
		return false
	}
	mine := c.Story(s)
	return mine.Counts.Tunnel() == 0 && len(mine.Datagrams) == 0 && c.Story(s.Other()).Counts.Tunnel() > 0 && !Unread(mine)
}

// AnyEmpty says whether one of the captures is.
func AnyEmpty(c *pair.Case) bool { return Empty(c, pair.A) || Empty(c, pair.B) }

// Unread says whether what a capture holds is, for the greater part, wrapped in what is not read,
// so that what it lacks means nothing.
func Unread(s *exchange.Story) bool {
	n := 0
	for _, u := range s.Unread {
		n += u.Packets
	}
	return n > 0 && n*2 >= s.Counts.Packets-s.Counts.Tunnel()
}

// Disjoint says whether the two captures were taken at different times, so that what one of them
// lacks was not captured.
func Disjoint(c *pair.Case) bool { return c.TwoSided() && !c.Overlap && !AnyEmpty(c) }
