package simulator

import (
	"sync"
	"time"
)

// A live source captures what passes a network interface of this machine, for routers that stand
// before real gateways.

// mostLive bounds what a live capture holds between two looks of its router, in bytes. What finds
// no room is counted as dropped.
const mostLive = 64 << 20

// dropping is a Stream that may lose packets before the router sees them.
type dropping interface {
	// Dropped returns how many were lost since it was asked last.
	Dropped() int
}

// inbox is what a live stream has received and its router has not taken.
type inbox struct {
	mu      sync.Mutex
	packets []Packet
	bytes   int
	dropped int
	closed  bool
}

// put takes packets in; they are dropped as far as there is no room.
func (b *inbox) put(packets []Packet) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, p := range packets {
		if b.bytes += len(p.Frame); b.bytes > mostLive || b.closed {
			b.dropped += len(packets) - i
			return
		}
		b.packets = append(b.packets, p)
	}
}

// take returns what arrived until now, in the order of arrival.
func (b *inbox) take(now time.Time) []Packet {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(b.packets)
	for n > 0 && b.packets[n-1].Arrives.After(now) {
		n--
	}
	due := b.packets[:n:n]
	b.packets = b.packets[n:]
	b.bytes = 0
	for _, p := range b.packets {
		b.bytes += len(p.Frame)
	}
	return due
}

func (b *inbox) lost(more int) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, b.dropped = b.dropped+more, 0
	return n
}

func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
}
