package simulator

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// Packet is one frame that passes the WAN interface.
type Packet struct {
	Arrives time.Time // when the router sees it, by the simulation's clock
	Stamp   time.Time // what it is stamped with, before the router's clock offset
	Frame   []byte    // Ethernet
	Length  int       // on the wire; Frame is shorter when the original was cut
}

// Source is traffic. A router opens it when a capture starts.
type Source interface {
	// Open begins to deliver at now. wake is called, from any goroutine, when Next
	// has changed its mind.
	Open(now time.Time, wake func()) Stream
}

// Stream is traffic under way.
type Stream interface {
	// Due returns the packets that arrived until now and were not returned before.
	Due(now time.Time) []Packet
	// Next says when the next packet arrives, if one is known to.
	Next() (time.Time, bool)
	Close()
}

// Pair is the traffic of a tunnel as its two routers see it: two captures of the same time,
// replayed together. The replay begins when both routers capture, or a grace after the first of
// them. The stamps keep the original spacing, and the difference between the clocks of the two
// originals, whatever the speed.
type Pair struct {
	sides [2]recording
	speed float64
	grace time.Duration
	quiet time.Duration

	mu       sync.Mutex
	run      *run
	replayed chan struct{}
	done     bool
}

// recording is one side's packets, with the time of each since the common beginning.
type recording struct {
	packets []recorded
}

type recorded struct {
	arrives, stamp time.Duration // after the beginning, at the original speed
	frame          []byte
	length         int
}

// DefaultGrace is how long a Pair waits for the second router.
const DefaultGrace = 3 * time.Second

// NewPair reads the two captures (pcap files of Ethernet, raw IP or Linux cooked frames). speed is
// how much faster than they came the packets arrive; 0 stands for 1.
func NewPair(a, b []byte, speed float64) (*Pair, error) {
	p := &Pair{speed: or(speed, 1), grace: DefaultGrace, replayed: make(chan struct{})}
	if p.speed <= 0 {
		return nil, fmt.Errorf("replay: speed %g: want more than 0", speed)
	}
	var files [2][]timed
	for i, data := range [][]byte{a, b} {
		var err error
		if files[i], err = readPcap(bytes.NewReader(data)); err != nil {
			return nil, fmt.Errorf("replay: side %c: %w", 'A'+i, err)
		}
	}
	skew := clockSkew(files[0], files[1])
	begin := earliest(files[0], files[1], skew)
	for i, f := range files {
		for _, t := range f {
			arrives := t.at.Sub(begin)
			if i == 1 {
				arrives -= skew
			}
			p.sides[i].packets = append(p.sides[i].packets, recorded{max(arrives, 0), t.at.Sub(begin), t.frame, t.length})
		}
		slices.SortStableFunc(p.sides[i].packets, func(x, y recorded) int { return int(x.arrives - y.arrives) })
	}
	return p, nil
}

// Replay reads one capture, for a router on its own.
func Replay(pcap io.Reader, speed float64) (Source, error) {
	data, err := io.ReadAll(pcap)
	if err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	p, err := NewPair(data, data, speed)
	if err != nil {
		return nil, err
	}
	p.grace = 0
	return p.A(), nil
}

// A is what the router of side A sees.
func (p *Pair) A() Source { return side{p, 0} }

// B is what the router of side B sees.
func (p *Pair) B() Source { return side{p, 1} }

// Grace sets how long the replay waits for the second router after the first one captures.
func (p *Pair) Grace(d time.Duration) { p.grace = d }

// Quiet sets for how long nothing passes after the replay has begun.
func (p *Pair) Quiet(d time.Duration) { p.quiet = d }

// Length is how long a replay takes.
func (p *Pair) Length() time.Duration {
	var last time.Duration
	for _, s := range p.sides {
		if n := len(s.packets); n > 0 {
			last = max(last, s.packets[n-1].arrives)
		}
	}
	return p.quiet + time.Duration(float64(last)/p.speed)
}

// Replayed is closed when, for the first time, all packets have passed the routers that capture.
func (p *Pair) Replayed() <-chan struct{} { return p.replayed }

type side struct {
	pair *Pair
	side int
}

// run is one replay, from the first Open to the last Close.
type run struct {
	streams []*stream
	begun   bool
	begin   time.Time
}

type stream struct {
	pair  *Pair
	run   *run
	side  int
	next  int
	wake  func()
	late  bool // Due was asked after the beginning
	ended bool
}

func (s side) Open(now time.Time, wake func()) Stream {
	p := s.pair
	p.mu.Lock()
	opened := &stream{pair: p, side: s.side, wake: wake}
	if p.run == nil || p.run.used(s.side) {
		p.run = &run{begin: now.Add(p.grace)}
	}
	r := p.run
	opened.run = r
	opened.skip(now)
	r.streams = append(r.streams, opened)
	var wakes []func()
	if !r.begun && r.open(0) && r.open(1) && now.Before(r.begin) {
		r.begun, r.begin = true, now
		for _, other := range r.streams {
			if other != opened {
				wakes = append(wakes, other.wake)
			}
		}
	}
	p.mu.Unlock()
	for _, w := range wakes {
		w()
	}
	return opened
}

// skip leaves out what passed before a capture that begins long after the others. One that begins
// within the grace belongs to them, as those of several tunnels that are run at once, and has the
// whole replay. The pair is locked.
func (s *stream) skip(now time.Time) {
	if !now.After(s.run.begin.Add(s.pair.grace)) {
		return
	}
	for s.next < len(s.pair.sides[s.side].packets) && s.arrival(s.next).Before(now) {
		s.next++
	}
}

// open says whether a side captures at present.
func (r *run) open(side int) bool {
	return slices.ContainsFunc(r.streams, func(s *stream) bool { return s.side == side && !s.ended })
}

// used says whether a side captured in this run and no longer does.
func (r *run) used(side int) bool {
	return !r.open(side) && slices.ContainsFunc(r.streams, func(s *stream) bool { return s.side == side })
}

func (s *stream) arrival(i int) time.Time {
	r := s.pair.sides[s.side].packets[i]
	return s.run.begin.Add(s.pair.quiet + time.Duration(float64(r.arrives)/s.pair.speed))
}

func (s *stream) Due(now time.Time) []Packet {
	s.pair.mu.Lock()
	defer s.pair.mu.Unlock()
	if s.ended {
		return nil
	}
	var due []Packet
	recording := s.pair.sides[s.side].packets
	for s.next < len(recording) && !s.arrival(s.next).After(now) {
		r := recording[s.next]
		due = append(due, Packet{Arrives: s.arrival(s.next), Stamp: s.run.begin.Add(s.pair.quiet + r.stamp), Frame: r.frame,
			Length: r.length})
		s.next++
	}
	s.late = s.late || !now.Before(s.run.begin)
	s.pair.finish(s.run, now)
	return due
}

// finish closes Replayed when every stream of the run is through.
func (p *Pair) finish(r *run, now time.Time) {
	if p.done || now.Before(r.begin) {
		return
	}
	for _, s := range r.streams {
		if !s.ended && s.next < len(p.sides[s.side].packets) {
			return
		}
	}
	p.done = true
	close(p.replayed)
}

func (s *stream) Next() (time.Time, bool) {
	s.pair.mu.Lock()
	defer s.pair.mu.Unlock()
	if s.ended {
		return time.Time{}, false
	}
	if s.next >= len(s.pair.sides[s.side].packets) {
		return s.run.begin, !s.late
	}
	return s.arrival(s.next), true
}

func (s *stream) Close() {
	s.pair.mu.Lock()
	defer s.pair.mu.Unlock()
	s.ended = true
	if !s.run.open(0) && !s.run.open(1) && s.pair.run == s.run {
		s.pair.run = nil
	}
}

// clockSkew is what the clock of b's capture is ahead of a's, when it is more than a path could
// take: found from a packet that both have.
func clockSkew(a, b []timed) time.Duration {
	seen := map[string]time.Time{}
	for _, t := range a {
		if f, ok := parseFrame(t.frame); ok && len(f.payload) > 32 {
			if _, twice := seen[string(f.payload)]; !twice {
				seen[string(f.payload)] = t.at
			}
		}
	}
	for _, t := range b {
		f, ok := parseFrame(t.frame)
		if !ok {
			continue
		}
		if at, both := seen[string(f.payload)]; both {
			if skew := t.at.Sub(at); skew.Abs() > 2*time.Second {
				return skew
			}
			return 0
		}
	}
	return 0
}

func earliest(a, b []timed, skew time.Duration) time.Time {
	switch {
	case len(a) == 0 && len(b) == 0:
		return time.Time{}
	case len(a) == 0:
		return b[0].at.Add(-skew)
	case len(b) == 0 || a[0].at.Before(b[0].at.Add(-skew)):
		return a[0].at
	}
	return b[0].at.Add(-skew)
}
