package page

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"time"
)

// once keeps what was asked for from being done again when it is asked for again by the same
// form or, for programs, with the same Idempotency-Key: somebody has clicked twice, or has
// not heard the answer.
type once struct {
	mu   sync.Mutex
	kept map[string]*doing
}

// doing is an act that is done, or was.
type doing struct {
	over chan struct{}
	done done
	err  error
	at   time.Time
}

// How long, and how many, acts are kept in mind.
const (
	onceFor  = 10 * time.Minute
	onceMost = 10_000
	keyMost  = 200 // bytes
)

func newOnce() *once { return &once{kept: map[string]*doing{}} }

// newKey is that of a form which is shown.
func newKey() string { return rand.Text() }

// do does something unless it was done by that key: then it is what came of it. What has failed may
// be tried again. The one that waits does so until ctx ends.
func (o *once) do(ctx context.Context, act func() (done, error), key ...string) (done, error) {
	k := strings.Join(key, "\x00")
	for {
		d, mine := o.claim(k, time.Now())
		if mine {
			d.done, d.err = act()
			if d.err != nil {
				o.forget(k)
			}
			close(d.over)
			return d.done, d.err
		}
		select {
		case <-d.over:
		case <-ctx.Done():
			return done{}, ctx.Err()
		}
		if d.err == nil {
			return d.done, nil
		}
	}
}

func (o *once) claim(key string, now time.Time) (d *doing, mine bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if d := o.kept[key]; d != nil && now.Sub(d.at) < onceFor {
		return d, false
	}
	if len(o.kept) >= onceMost {
		for k, d := range o.kept {
			if now.Sub(d.at) >= onceFor {
				delete(o.kept, k)
			}
		}
		if len(o.kept) >= onceMost {
			clear(o.kept)
		}
	}
	d = &doing{over: make(chan struct{}), at: now}
	o.kept[key] = d
	return d, true
}

func (o *once) forget(key string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.kept, key)
}
