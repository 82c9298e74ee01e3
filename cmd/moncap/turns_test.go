package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device"
)

// farAway makes the routers of a bubble distant, and counts the turns of the talk with them: how
// often moncap hears what can be an answer to what it has said. Each costs a round trip.
type farAway struct {
	rtt time.Duration

	mu    sync.Mutex
	phase capture.Phase
	turns map[capture.Phase]int // of both connections of the router that is counted
	ahead int                   // of the transfer's login, beside something else
}

func (f *farAway) dial(b *bubble,
	counted bool) func(ctx context.Context, network, address string) (net.Conn, error) {
	conns := 0
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		time.Sleep(f.rtt) // the handshake of TCP
		c, err := b.dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		conns++
		d := &distant{Conn: c, far: f, counted: counted, second: conns > 1, out: make(chan parcel, 1024),
			in: make(chan parcel, 1024)}
		go d.send()
		go d.receive()
		return d, nil
	}
}

// turn counts one. What the second connection says before its file is asked for runs beside the
// first one's.
func (f *farAway) turn(second bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if second && f.phase != capture.PhaseFetch {
		f.ahead++
		return
	}
	f.turns[f.phase]++
}

func (f *farAway) total() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.turns {
		n += t
	}
	return n
}

type parcel struct {
	data []byte
	err  error
	at   time.Time
}

// distant is a connection on which everything takes half a round trip.
type distant struct {
	net.Conn
	far             *farAway
	counted, second bool
	out, in         chan parcel
	rest            parcel
	closed          sync.Once

	mu    sync.Mutex
	spoke time.Time // zero: it has heard an answer since
}

func (d *distant) send() {
	for p := range d.out {
		time.Sleep(time.Until(p.at))
		if _, err := d.Conn.Write(p.data); err != nil {
			return
		}
	}
}

func (d *distant) receive() {
	defer close(d.in)
	for {
		b := make([]byte, 32<<10)
		n, err := d.Conn.Read(b)
		d.in <- parcel{b[:n], err, time.Now().Add(d.far.rtt / 2)}
		if err != nil {
			return
		}
	}
}

func (d *distant) Read(b []byte) (int, error) {
	if len(d.rest.data) == 0 && d.rest.err == nil {
		p, ok := <-d.in
		if !ok {
			return 0, net.ErrClosed
		}
		time.Sleep(time.Until(p.at))
		d.rest = p
	}
	n := copy(b, d.rest.data)
	d.rest.data = d.rest.data[n:]
	d.mu.Lock()
	if answers := n > 0 && !d.spoke.IsZero() && !d.rest.at.Before(d.spoke.Add(d.far.rtt)); answers {
		d.spoke = time.Time{}
		if d.counted {
			d.far.turn(d.second)
		}
	}
	d.mu.Unlock()
	if n == 0 {
		return 0, d.rest.err
	}
	return n, nil
}

func (d *distant) Write(b []byte) (n int, err error) {
	defer func() {
		if recover() != nil { // closed meanwhile
			n, err = 0, net.ErrClosed
		}
	}()
	d.mu.Lock()
	d.spoke = time.Now()
	d.mu.Unlock()
	d.out <- parcel{data: append([]byte(nil), b...), at: time.Now().Add(d.far.rtt / 2)}
	return len(b), nil
}

func (d *distant) Close() error {
	d.closed.Do(func() { close(d.out) })
	return d.Conn.Close()
}

// run does a run at routers that are rtt away, and says how far apart the captures were started.
func (f *farAway) run(t *testing.T) (gap float64) {
	t.Helper()
	l := newBubble(t, isGone)
	f.turns = map[capture.Phase]int{}
	routers := 0
	out := filepath.Join(l.dir, "b")
	r := l.moncapTuned(t.Context(), func(d *device.Options) {
		routers++
		d.Dial = f.dial(l, routers == 1)
	}, func(e capture.Event) {
		if e.Kind == capture.Began {
			f.mu.Lock()
			f.phase = e.Phase
			f.mu.Unlock()
		}
	}, "run", "demo", "-i", l.inventory, "--out", out, "--duration", "1s")
	if r.code > exitInconclusive {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	l.nothingLeft(t, r)
	b, err := bundle.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	run, err := b.Run()
	if err != nil {
		t.Fatal(err)
	}
	return run.StartGapMS
}

// TestARunTakesFewRoundTrips counts them at a router far away. How near each other the captures
// start does not depend on how far away the routers are.
func TestARunTakesFewRoundTrips(t *testing.T) {
	for _, rtt := range distances(t) {
		t.Run(rtt.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				far := &farAway{rtt: rtt}
				began := time.Now()
				gap := far.run(t)
				took := time.Since(began)
				time.Sleep(time.Minute) // what was said last arrives, and the connections end
				var by []string
				for _, phase := range capture.Phases() {
					by = append(by, fmt.Sprintf("%s %d", phase, far.turns[phase]))
				}
				n := far.total() - far.turns[capture.PhaseWait]
				t.Logf("%d round trips: %s; %d of the transfer's login beside them; %s", n, strings.Join(by, ", "), far.ahead,
					took)
				if n > mostRoundTrips {
					t.Errorf("%d round trips, want %d at most", n, mostRoundTrips)
				}
				if gap >= 3 {
					t.Errorf("the captures were started %v ms apart", gap)
				}
			})
		})
	}
}

// distances are the round trips of the test; MONCAP_RTT names another.
func distances(t *testing.T) []time.Duration {
	t.Helper()
	if s := os.Getenv("MONCAP_RTT"); s != "" {
		rtt, err := time.ParseDuration(s)
		if err != nil {
			t.Fatal(err)
		}
		return []time.Duration{rtt}
	}
	return []time.Duration{10 * time.Millisecond, 40 * time.Millisecond}
}

// mostRoundTrips bounds a run beside its wait, the login included.
const mostRoundTrips = 30
