package dissect

import (
	"bytes"
	"context"
	"net/netip"

	"github.com/moncap/moncap/analysis/ike"
)

// natSearch finds what NAT detection hashes were made of. Each search takes seconds, so that a hash
// is searched for once, and only so many are; an address that was found is tried first, for a peer
// has one.
type natSearch struct {
	progress func(searches, most int)
	most     int
	searches int
	known    []netip.AddrPort
	results  map[string]netip.AddrPort // by hash; the zero value: nothing was found
}

// maxSearches bounds the searches, at a second a port each.
const maxSearches = 32

var searchPorts = []uint16{500, 4500}

// find returns what a hash was made of. gaveUp says that it was not searched for any more.
func (s *natSearch) find(ctx context.Context, hash []byte, spiI, spiR ike.SPI) (from netip.AddrPort, gaveUp bool) {
	if from, done := s.results[string(hash)]; done {
		return from, false
	}
	for _, known := range s.known {
		for _, port := range searchPorts {
			if bytes.Equal(ike.NATDHashV1(ike.NATDAlgorithm(len(hash)), spiI, spiR, known.Addr(), port), hash) {
				return netip.AddrPortFrom(known.Addr(), port), false
			}
		}
	}
	if s.searches == s.most {
		return from, true
	}
	s.searches++
	if s.progress != nil {
		s.progress(s.searches, s.most)
	}
	from, found := ike.SearchNATD(ctx, hash, spiI, spiR, searchPorts)
	if ctx.Err() != nil {
		return from, true
	}
	if found {
		s.known = append(s.known, from)
	}
	s.results[string(hash)] = from
	return from, false
}
