package packet

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// Limits of the reassembly, so that no file can fill the memory: 128 datagrams of 64 KB are 8 MB.
const (
	maxDatagrams    = 128
	maxDatagramLen  = 1 << 16
	maxFragments    = 1024        // of one datagram
	fragmentTimeout = int64(60e9) // nanoseconds, of the capturing clock (RFC 8200, Section 4.5)
)

// fragmentKey names a datagram that is being put together (RFC 791, Section 3.2;
// RFC 8200, Section 4.5).
type fragmentKey struct {
	src, dst netip.Addr
	id       uint32
	iface    int
	here     bool // what reassembly.here says
}

type span struct{ from, to int }

// datagram is one that is being put together.
type datagram struct {
	data   []byte
	have   []span // sorted, disjoint, not touching
	total  int    // -1 until the last fragment was seen
	frames []int
	first  int64 // time of the fragment that came first
	serial int   // orders the datagrams by arrival
	clash  bool  // fragments overlapped with different bytes
	cut    bool  // the capture lacks bytes of its fragments
	// With cut: up to here, all bytes are there.
	readable int
}

// reassembly puts datagrams of UDP, and of protocols that carry packets, together. Overlapping
// fragments are taken as a receiver that keeps what came first takes them; the datagram is marked.
type reassembly struct {
	here   func(*Packet) bool // Options.Here
	open   map[fragmentKey]*datagram
	serial int
	spare  [][]byte  // buffers of datagrams that were given up
	done   *datagram // the last whole one: its buffer is in use until the next fragment
}

// fragment handles a packet that is an IP fragment itself: b is what follows the IP headers,
// without as many bytes as are missing, because the capture cut the packet short.
func (d *decoder) fragment(p *Packet, proto uint8, b []byte, missing int) {
	p.IsFragment, p.Kind, p.Payload = true, Fragment, b
	switch {
	case p.FragOffset > 0:
	case proto == protoESP:
		esp(p, b) // the header is here; the rest has nothing to read
		return
	case proto == protoAH:
		ah(p, b)
		return
	}
	switch proto {
	case protoUDP, protoIPv4, protoIPv6, protoGRE, protoEtherIP, protoMPLS:
	default:
		return
	}
	if proto == protoUDP && p.FragOffset == 0 && len(b) >= 4 {
		p.SrcPort, p.DstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	}
	whole := d.fragments.add(p, b, missing)
	if whole == nil {
		if d.cutFirst && p.FragOffset == 0 && missing > 0 {
			p.Kind, p.Partial = Other, true
			d.transport(p, proto, b)
		}
		return
	}
	p.Kind, p.Truncated = Other, whole.cut
	p.Fragments, p.Datagram, p.Overlap = whole.frames, whole.total, whole.clash
	d.transport(p, proto, whole.data)
}

// add returns the datagram that p completes, or nil. Of packets that were cut short, the lengths
// tell whether all are there: the datagram then ends where the first bytes are missing.
func (r *reassembly) add(p *Packet, b []byte, missing int) *datagram {
	r.recycle()
	end := p.FragOffset + len(b) + missing
	if len(b) == 0 || end > maxDatagramLen || p.MoreFrags && (len(b)+missing)%8 != 0 {
		return nil
	}
	key := fragmentKey{p.Src, p.Dst, p.IPID, p.Interface, r.here != nil && r.here(p)}
	g := r.lookUp(key, p.Nanos)
	if len(g.frames) == maxFragments {
		return nil
	}
	g.frames = append(g.frames, p.Frame)
	if g.insert(p.FragOffset, b); missing > 0 {
		g.cutAt(end-missing, end)
	}
	if !p.MoreFrags && g.total < 0 {
		g.total = end
	}
	if g.total < 0 || len(g.have) != 1 || g.have[0].from != 0 || g.have[0].to < g.total {
		return nil
	}
	if g.data = g.data[:g.total]; g.cut {
		g.data = g.data[:min(g.total, g.readable)]
	}
	delete(r.open, key)
	r.done = g
	return g
}

// recycle takes the buffer of the last whole datagram back.
func (r *reassembly) recycle() {
	if r.done != nil {
		r.spare = append(r.spare, r.done.data[:0])
		r.done = nil
	}
}

// lookUp returns the datagram of key; one that is too old is begun anew, and the oldest makes room
// for the next.
func (r *reassembly) lookUp(key fragmentKey, now int64) *datagram {
	g := r.open[key]
	if age := int64(0); g != nil {
		if age = now - g.first; age >= -fragmentTimeout && age <= fragmentTimeout {
			return g
		}
	}
	if r.open == nil {
		r.open = map[fragmentKey]*datagram{}
	}
	if g == nil && len(r.open) >= maxDatagrams {
		r.evict()
	}
	r.serial++
	if g != nil {
		r.spare = append(r.spare, g.data[:0])
	}
	g = &datagram{total: -1, first: now, serial: r.serial}
	if n := len(r.spare); n > 0 {
		g.data, r.spare = r.spare[n-1], r.spare[:n-1]
	}
	r.open[key] = g
	return g
}

func (r *reassembly) evict() {
	var oldest fragmentKey
	best := r.serial + 1
	for k, g := range r.open {
		if g.serial < best {
			oldest, best = k, g.serial
		}
	}
	r.spare = append(r.spare, r.open[oldest].data[:0])
	delete(r.open, oldest)
}

// insert copies what no earlier fragment covered.
func (g *datagram) insert(from int, b []byte) {
	to := from + len(b)
	if to > len(g.data) {
		g.data = slices.Grow(g.data, to-len(g.data))[:to] // what no fragment covers is never read
	}
	at := from
	for _, s := range g.have {
		if s.to <= at || s.from >= to {
			continue
		}
		if s.from > at {
			copy(g.data[at:s.from], b[at-from:])
		}
		lo, hi := max(s.from, at), min(s.to, to)
		g.clash = g.clash || !slices.Equal(g.data[lo:hi], b[lo-from:hi-from])
		at = hi
	}
	if at < to {
		copy(g.data[at:to], b[at-from:])
	}
	g.cover(span{from, to})
}

// cutAt notes that the bytes from one place to another were sent and are not in the capture.
func (g *datagram) cutAt(from, to int) {
	if !g.cut {
		g.cut, g.readable = true, from
	}
	g.readable = min(g.readable, from)
	if to > len(g.data) {
		g.data = slices.Grow(g.data, to-len(g.data))[:to]
	}
	g.cover(span{from, to})
}

// cover adds s to the spans that are there and joins those that touch.
func (g *datagram) cover(s span) {
	i := 0
	for i < len(g.have) && g.have[i].to < s.from {
		i++
	}
	j := i
	for j < len(g.have) && g.have[j].from <= s.to {
		s.from, s.to = min(s.from, g.have[j].from), max(s.to, g.have[j].to)
		j++
	}
	g.have = slices.Replace(g.have, i, j, s)
}
