package main

import (
	"math"
	"os"
	"runtime/debug"
	measured "runtime/metrics" // metrics is the table of what moncap publishes
	"sync"
)

// heap keeps what the program needs in proportion to what it does: routers may say a lot, and what
// was read is let go before it piles up. Who set GOMEMLIMIT knows better.
type heap struct {
	set func(bytes int64) // nil: nothing is bounded
	mu  sync.Mutex
	use map[*int64]bool // what is under way, each with what it may need
}

// What is bounded, in bytes. The heap holds what is alive once, and garbage in what is left.
const (
	forItself   = 12 << 20
	forRouters  = 12 << 20 // of one run
	forAnalysis = 20 << 20 // beside one and a half times the captures
)

func newHeap(set func(int64)) *heap {
	if os.Getenv("GOMEMLIMIT") != "" {
		set = nil
	}
	return &heap{set: set, use: map[*int64]bool{}}
}

// during bounds the heap while something is under way that may need so much. With nothing under way
// it is not bounded.
func (m *heap) during(bytes int64) (end func()) {
	if m.set == nil {
		return func() {}
	}
	change := func(begins bool) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if begins {
			m.use[&bytes] = true
		} else {
			delete(m.use, &bytes)
		}
		limit := int64(math.MaxInt64)
		if len(m.use) > 0 {
			limit = forItself
			for each := range m.use {
				limit += *each
			}
		}
		m.set(limit)
	}
	change(true)
	return sync.OnceFunc(func() { change(false) })
}

// measuredHeap is what the runtime says of the heap.
type measuredHeap struct {
	used, kept  int64 // bytes: all that is there, and what was alive when it was collected last
	collections uint64
}

func measureHeap() measuredHeap {
	now := []measured.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"},
		{Name: "/gc/cycles/total:gc-cycles"}}
	measured.Read(now)
	return measuredHeap{int64(now[0].Value.Uint64()), int64(now[1].Value.Uint64()), now[2].Value.Uint64()}
}

// percentFor is the growth by which the heap is next collected when it is as large as room. The
// runtime reckons from what was alive, or from 4 MiB where that is less.
func (h measuredHeap) percentFor(room int64) int { return int(room * 100 / max(h.kept, 4<<20)) }

// collectGrown collects the heap if it has grown by a tenth above kept, what was alive when that
// was last done, and gives back what that frees: it lies in pieces, and what comes next finds
// little room in them. It returns what is alive now. What the runtime collected meanwhile does not
// count: what was in use in the midst of a step may be garbage at its end.
func collectGrown(kept int64) int64 {
	if measureHeap().used <= kept+kept/10 {
		return kept
	}
	debug.FreeOSMemory()
	return measureHeap().kept
}
