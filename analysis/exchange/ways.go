package exchange

import (
	"encoding/binary"
	"math"
	"net/netip"
	"slices"

	"github.com/moncap/moncap/analysis/packet"
)

// ways finds the ways of packets, each kept once.
type ways struct {
	all    blocks[Way]
	index  Index
	recent [1 << recentWays]*Way
}

// recentWays sizes the table of recent ways, which spares most packets a look into the index.
const recentWays = 10

// of returns the way of p.
func (w *ways) of(p *packet.Packet) *Way {
	x := Way{
		Src: netip.AddrPortFrom(p.Src, p.SrcPort), Dst: netip.AddrPortFrom(p.Dst, p.DstPort), Pieces: onePiece,
		Interface: int16(min(p.Interface, math.MaxInt16)), TTL: p.TTL, DSCP: p.DSCP, Marker: p.Marker, TCP: p.TCPEncap,
	}
	if len(p.Fragments) > 0 {
		own := x
		own.Pieces = &Pieces{slices.Clone(p.Fragments), p.Datagram}
		return &own
	}
	hash := x.hash()
	recent := &w.recent[hash>>(64-recentWays)]
	if *recent != nil && **recent == x {
		return *recent
	}
	i := w.index.Find(hash, func(i int) bool { return *w.all.at(i) == x })
	if i < 0 {
		var way *Way
		way, i = w.all.add()
		*way = x
		w.index.Add(hash, i)
	}
	*recent = w.all.at(i)
	return *recent
}

// hash spreads the ways by what they differ in most: the addresses' last bytes, and the ports.
func (w *Way) hash() uint64 {
	src, dst := w.Src.Addr().As16(), w.Dst.Addr().As16()
	h := binary.BigEndian.Uint64(src[8:])*spread ^ binary.BigEndian.Uint64(dst[8:])
	h = h*spread ^ uint64(w.Src.Port())<<32 ^ uint64(w.Dst.Port())<<16 ^ uint64(w.TTL)
	h *= spread
	return h ^ h>>32
}
