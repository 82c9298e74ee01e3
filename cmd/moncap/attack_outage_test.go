package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// outages has both routers be away, in any of the ways in which they may, at any time and for any,
// while a run and what goes on with it have the waits that they have in earnest. Exit 0 or 4 while
// something is on a router is what must never be, nor a run that ends long after the last answer,
// nor one that a last clean does not undo.
func outages(t *testing.T, rng *rand.Rand) {
	seed := rng.Uint64()
	synctest.Test(t, func(t *testing.T) { playOutages(t, rand.New(rand.NewPCG(seed, 5))) })
}

func playOutages(t *testing.T, rng *rand.Rand) {
	kinds := []string{isGone, refuses, noBanner, fallsSilent, echoesOnly, hangs}
	b := newBubble(t, kinds[rng.IntN(len(kinds))])
	b.silences[1].kind = kinds[rng.IntN(len(kinds))]
	out := filepath.Join(b.dir, "bundle")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	for i := range b.silences {
		if rng.IntN(4) > 0 {
			go b.comesAndGoes(ctx, i, rand.New(rand.NewPCG(rng.Uint64(), uint64(i))))
		}
	}
	args := b.runArgs(out)
	switch rng.IntN(5) {
	case 0:
		args = b.zeroConfigRun(out)
	case 1:
		args = []string{"start", "demo", "-i", b.inventory, "--out", out, "--duration", "1m"}
	case 2:
		args = append(args, "--debug")
	}
	if rng.IntN(3) == 0 {
		args = append(args, "--patience", fmt.Sprint(30+rng.IntN(300), "s"))
	}
	running, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	if rng.IntN(4) == 0 {
		time.AfterFunc(time.Duration(rng.IntN(40_000))*time.Millisecond, interrupt)
	}
	judge := func(step string, r result) {
		dirty := b.dirty()
		outcomes.add(fmt.Sprintf("outage: %s: exit %d, dirty: %t", step, r.code, len(dirty) > 0))
		left := step == "start" && r.code == exitOK || step == "stop" || step == "status"
		if (r.code <= exitFailed && !left || r.code == exitFailed && step == "start") && len(dirty) > 0 {
			t.Errorf("%s: exit %d, and %v is not as it was\n%s%s", step, r.code, dirty, r.stdout, r.stderr)
		}
	}
	judge(args[0], b.moncap(running, nil, args...))
	for range rng.IntN(4) {
		time.Sleep(time.Duration(rng.IntN(90)) * time.Second)
		step := []string{"clean", "collect", "stop", "status"}[rng.IntN(4)]
		judge(step, b.moncap(t.Context(), nil, step, out, "-i", b.inventory))
	}
	stop()
	synctest.Wait()
	for i, s := range b.silences {
		s.end(time.Now())
		b.routers[i].ClearFaults()
	}
	r := b.moncap(t.Context(), nil, "clean", out, "-i", b.inventory)
	judge("clean", r)
	if dirty := b.dirty(); len(dirty) > 0 || r.code != exitOK && r.code != exitUsage {
		t.Errorf("the last clean: exit %d, and %v is not as it was\n%s%s", r.code, dirty, r.stdout, r.stderr)
	}
}

// comesAndGoes has a router be away now and then.
func (b *bubble) comesAndGoes(ctx context.Context, i int, rng *rand.Rand) {
	s := b.silences[i]
	wait := func(most time.Duration) bool {
		select {
		case <-time.After(time.Duration(rng.Int64N(int64(most)))):
			return true
		case <-ctx.Done():
			return false
		}
	}
	// The first time within what a command takes, most often.
	for first := []time.Duration{time.Second, 3 * time.Second,
		12 * time.Second}[rng.IntN(3)]; wait(first); first = 2 * time.Minute {
		s.end(time.Time{})
		s.begin()
		if !wait([]time.Duration{5 * time.Second, 40 * time.Second, 10 * time.Minute}[rng.IntN(3)]) {
			return
		}
		s.end(time.Now())
		b.routers[i].ClearFaults()
	}
}

// end has a silence end then; zero: it may begin anew.
func (s *silence) end(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.until = at; at.IsZero() {
		s.since = at
	}
}
