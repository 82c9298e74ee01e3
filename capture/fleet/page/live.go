package page

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/moncap/moncap/capture/fleet"
)

// pulse tells who follows the fleet that something has happened. The database is asked by one
// goroutine, and only while somebody follows.
type pulse struct {
	mu        sync.Mutex
	followers int
	of        map[string]int // followers, by who they are
	came      chan struct{}  // somebody began to follow
	values    map[string]string
	changed   chan struct{} // closed when values are others
}

// The pace of what is live, and how long one connection is.
const (
	lookEvery  = time.Second
	followFor  = 5 * time.Minute // then the browser comes again, and shows that it may
	followMost = 200
	followEach = 100 // of one token, so that some are left to others
)

func newPulse() *pulse {
	return &pulse{of: map[string]int{}, came: make(chan struct{}, 1), changed: make(chan struct{})}
}

// watch looks until ctx ends.
func (p *pulse) watch(ctx context.Context, store *fleet.Store) {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		p.mu.Lock()
		idle := p.followers == 0
		p.mu.Unlock()
		if idle {
			select {
			case <-p.came:
			case <-ctx.Done():
				return
			}
		}
		asking, cancel := context.WithTimeout(ctx, 10*lookEvery)
		values, err := store.Pulse(asking)
		cancel()
		if err == nil {
			p.set(values)
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

func (p *pulse) set(values map[string]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.values == nil || !maps.Equal(values, p.values) {
		p.values = values
		close(p.changed)
		p.changed = make(chan struct{})
	}
}

func (p *pulse) value(of string) (value string, known bool, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.values[of], p.values != nil, p.changed
}

// follow counts somebody in, unless there are too many.
func (p *pulse) follow(who string) (leave func(), ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.followers >= followMost || p.of[who] >= followEach {
		return nil, false
	}
	p.of[who]++
	if p.followers++; p.followers == 1 {
		p.values = nil // of when somebody followed last
	}
	select {
	case p.came <- struct{}{}:
	default:
	}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.followers--
		if p.of[who]--; p.of[who] == 0 {
			delete(p.of, who)
		}
	}, true
}

// events says that something has happened, in the fleet or to one run; what, the page is asked anew
// for. See the HTML Standard, Section 9.2, "Server-sent events".
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	who, err := s.who(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	leave, ok := s.pulse.follow(who.Name)
	if !ok {
		s.deny(w, r, http.StatusServiceUnavailable, "too many follow already")
		return
	}
	defer leave()
	of := r.FormValue("run")
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Time{}) // else it ends with the time for the request
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would wait for more
	send := func(text string) error {
		_ = c.SetWriteDeadline(time.Now().Add(answerTime))
		_, err := fmt.Fprint(w, text)
		if err == nil {
			err = c.Flush()
		}
		return err
	}
	if send("retry: 3000\n\n") != nil {
		return
	}
	over := time.NewTimer(followFor)
	defer over.Stop()
	alive := time.NewTicker(15 * time.Second)
	defer alive.Stop()
	last, known, changed := s.pulse.value(of)
	// What happened since the page was made, or since the connection before, nobody knows any more.
	if known && send("data: changed\n\n") != nil {
		return
	}
	for {
		select {
		case <-changed:
			var now string
			was := known
			now, known, changed = s.pulse.value(of)
			if (!was || now != last) && send("data: changed\n\n") != nil {
				return
			}
			last = now
		case <-alive.C:
			if send(": alive\n\n") != nil {
				return
			}
		case <-over.C:
			return
		case <-r.Context().Done():
			return
		}
	}
}
