package simulator

import (
	"net/netip"
	"slices"
	"time"
)

// buffer is what a capture point holds.
type buffer struct {
	packets []captured
	bytes   int
	dropped int
	seen    int // packets that matched, kept or not
	second  int64
	inSec   int
	full    bool // a fault made it so
}

type captured struct {
	stamp  time.Time // by the router's clock
	data   []byte
	length int
}

// The memory that one packet takes beside its bytes.
const packetOverhead = 16

// poke makes the pump look at the time again.
func (r *Router) poke() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// pump lets time pass: packets arrive, captures end by their limits, log lines appear although
// nobody types.
func (r *Router) pump() {
	for {
		r.mu.Lock()
		r.advance()
		wait, any := r.next()
		r.mu.Unlock()
		var due <-chan time.Time
		var timer *time.Timer
		if any {
			timer = time.NewTimer(wait)
			due = timer.C
		}
		select {
		case <-due:
		case <-r.kick:
		case <-r.quit:
		}
		if timer != nil {
			timer.Stop()
		}
		select {
		case <-r.quit:
			return
		default:
		}
	}
}

// next says how long nothing will happen by itself.
func (r *Router) next() (wait time.Duration, any bool) {
	now := r.config.Now()
	consider := func(at time.Time) {
		if w := max(at.Sub(now), time.Microsecond); !any || w < wait {
			wait, any = w, true
		}
	}
	for _, c := range r.captures {
		if !c.active {
			continue
		}
		if end, bounded := c.ends(); bounded {
			consider(end)
		}
		if c.stream != nil {
			if at, known := c.stream.Next(); known {
				consider(at)
			}
		}
	}
	if after := r.config.Knobs.LoseSAAfter; after > 0 {
		for _, sa := range r.ikeSAs {
			if sa.up {
				consider(sa.since.Add(after))
			}
		}
	}
	if every := r.config.Knobs.SyslogEvery; every > 0 {
		consider(r.chatter.Add(every))
	}
	return wait, any
}

func (c *capturePoint) ends() (time.Time, bool) {
	return c.started.Add(time.Duration(c.limits.duration) * time.Second), c.limits.duration > 0
}

// advance brings all captures up to the present. The router's lock is held.
func (r *Router) advance() {
	now := r.config.Now()
	tracing := true
	for _, c := range r.captures {
		if c.active {
			r.collect(c, now, tracing)
			tracing = tracing && c.stream == nil // what two captures see passes once
		}
	}
	if after := r.config.Knobs.LoseSAAfter; after > 0 {
		r.loseSAs(func(sa *ikeSA) bool { return sa.up && !now.Before(sa.since.Add(after)) })
	}
	if every := r.config.Knobs.SyslogEvery; every > 0 && !now.Before(r.chatter.Add(every)) {
		r.chatter = now
		r.log("%LINEPROTO-5-UPDOWN: Line protocol on Interface Tunnel77, changed state to up")
	}
}

func (r *Router) collect(c *capturePoint, now time.Time, tracing bool) {
	until := now
	end, bounded := c.ends()
	if bounded && end.Before(until) {
		until = end
	}
	if c.stream != nil {
		for _, p := range c.stream.Due(until) {
			f, _ := parseFrame(p.Frame)
			own := r.owns(f.src)
			r.saw(f, now)
			if tracing {
				r.traces(p, f)
			}
			if tracing && own { // what the router sends comes from its control plane
				r.punt(p, f)
			}
			if c.active && r.picks(c, f) {
				r.keep(c, p)
			}
			if tracing && !own {
				r.punt(p, f)
			}
		}
		if d, ok := c.stream.(dropping); ok {
			c.buffer.dropped += d.Dropped()
		}
	}
	if c.active && bounded && !end.After(now) {
		r.halt(c, end)
	}
}

// picks says whether a capture point means this packet: by interface, direction and filter.
func (r *Router) picks(c *capturePoint, f frame) bool {
	return !r.running.down[r.config.WAN] && c.takes(r.config.WAN, !r.owns(f.src)) && r.permits(c, f)
}

// permits says whether the filter of a capture point means this packet.
func (r *Router) permits(c *capturePoint, f frame) bool {
	switch {
	case c.filter.list != "":
		list := r.running.list(c.filter.list)
		return list != nil && list.permits(f)
	case c.filter.any:
		return true
	}
	return c.filter.inline.matches(f)
}

// owns says whether an address is one of the router's: it sent itself what comes from one.
func (r *Router) owns(a netip.Addr) bool {
	return slices.ContainsFunc(r.config.Interfaces, func(i Interface) bool { return a.IsValid() && i.Address == a })
}

// keep stores a packet as far as limits and buffer allow.
func (r *Router) keep(c *capturePoint, p Packet) {
	b := &c.buffer
	b.seen++
	if c.limits.every > 0 && (b.seen-1)%c.limits.every != 0 {
		return
	}
	stamp := r.own(p.Stamp).Truncate(time.Microsecond)
	if !b.allowed(stamp, or(c.limits.pps, defaultPPS)) {
		b.dropped++
		return
	}
	data := p.Frame
	if n := c.limits.packetLen; n > 0 && len(data) > n {
		data = data[:n]
	}
	size, room := len(data)+packetOverhead, or(c.bufferMB, defaultBufferMB)<<20
	for c.circular && len(b.packets) > 0 && (b.full || b.bytes+size > room) {
		b.bytes -= len(b.packets[0].data) + packetOverhead
		b.packets = b.packets[1:]
		b.full = false
	}
	if b.full || b.bytes+size > room {
		b.dropped++
		if r.config.Knobs.StopWhenFull {
			r.halt(c, p.Arrives)
		}
		return
	}
	b.packets = append(b.packets, captured{stamp, data, p.Length})
	b.bytes += size
	if c.limits.packets > 0 && len(b.packets) >= c.limits.packets {
		r.halt(c, p.Arrives)
	}
}

// allowed counts a packet against the limit of its second.
func (b *buffer) allowed(stamp time.Time, pps int) bool {
	if second := stamp.Unix(); second != b.second {
		b.second, b.inSec = second, 0
	}
	b.inSec++
	return b.inSec <= pps
}

// fillBuffers makes all buffers full from now on.
func (r *Router) fillBuffers() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.captures {
		c.buffer.full = true
	}
}
