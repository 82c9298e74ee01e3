package ike

import (
	"net/netip"
	"slices"
)

// Assembler puts IKEv1 messages together that came in FRAG payloads (Cisco's fragmentation). It
// keeps the fragments of unfinished messages, a bounded number of them. The zero value is ready.
type Assembler struct {
	pending map[assemblyKey]*assembly
	order   []assemblyKey // of pending, by age
}

// assemblyKey names a message in fragments. Both sides count from the same number, so the sender
// belongs to it.
type assemblyKey struct {
	from       netip.AddrPort
	spiI, spiR SPI
	id         uint16
}

type assembly struct {
	parts map[uint8]part
	last  uint8 // number of the last fragment, 0 until it was seen
}

type part struct {
	data  []byte
	frame int
}

// Whole is a message that was put together, and the frames that it came in.
type Whole struct {
	Bytes  []byte
	Frames []int
}

// Add takes the message m that came from an address in a frame. It returns the whole message with
// the fragment that completes it, else nil.
func (a *Assembler) Add(m *Message, from netip.AddrPort, frame int) *Whole {
	f := m.Frag()
	if f == nil || f.Part == 0 {
		return nil
	}
	key := assemblyKey{from, m.SPIi, m.SPIr, f.ID}
	g := a.pending[key]
	if g == nil {
		g = a.begin(key)
	}
	g.parts[f.Part] = part{slices.Clone(f.Data), frame}
	if f.Last {
		g.last = f.Part
	}
	whole := g.whole()
	if whole != nil {
		a.forget(key)
	}
	return whole
}

// Frag returns the fragment that an IKEv1 message is, or nil.
func (m *Message) Frag() *Frag {
	if m.Major() != 1 || len(m.Payloads) != 1 {
		return nil
	}
	f, _ := m.Payloads[0].(*Frag)
	return f
}

func (a *Assembler) begin(key assemblyKey) *assembly {
	if a.pending == nil {
		a.pending = map[assemblyKey]*assembly{}
	}
	if len(a.order) == maxPending {
		a.forget(a.order[0])
	}
	g := &assembly{parts: map[uint8]part{}}
	a.pending[key] = g
	a.order = append(a.order, key)
	return g
}

func (a *Assembler) forget(key assemblyKey) {
	delete(a.pending, key)
	a.order = slices.DeleteFunc(a.order, func(k assemblyKey) bool { return k == key })
}

func (g *assembly) whole() *Whole {
	if g.last == 0 {
		return nil
	}
	w := &Whole{}
	for n := uint8(1); ; n++ {
		p, ok := g.parts[n]
		if !ok {
			return nil
		}
		w.Bytes = append(w.Bytes, p.data...)
		w.Frames = append(w.Frames, p.frame)
		if n == g.last {
			slices.Sort(w.Frames)
			return w
		}
	}
}
