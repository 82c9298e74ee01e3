package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/moncap/moncap/analysis"
)

// comparing tells how a comparison goes on that takes long: a line every so often, and none of one
// that is done before.
func (a *app) comparing() func(analysis.Progress) {
	const every = 3 * time.Second
	var mu sync.Mutex
	last := time.Now()
	return func(p analysis.Progress) {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(last) < every {
			return
		}
		last = time.Now()
		a.progress("analyze: %s", soFar(p))
	}
}

// soFar says how far a comparison has come.
func soFar(p analysis.Progress) string {
	if p.Of == 0 {
		return fmt.Sprintf("%s, %d packets", p.Doing, p.Done)
	}
	return fmt.Sprintf("%s, %d of %d", p.Doing, p.Done, p.Of)
}
