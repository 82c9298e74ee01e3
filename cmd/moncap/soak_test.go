package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/moncap/moncap/device/simulator"
)

// TestSoak throws random faults at random commands of both routers for MONCAP_SOAK (a duration; `make soak` sets it). A
// failure names the seed, with which MONCAP_SOAK_SEED repeats the case.
func TestSoak(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("MONCAP_SOAK"))
	if err != nil {
		t.Skip("MONCAP_SOAK names no duration")
	}
	if seed, err := strconv.ParseUint(os.Getenv("MONCAP_SOAK_SEED"), 10, 64); err == nil {
		soakOnce(t, seed)
		return
	}
	began := time.Now()
	runs := 0
	for time.Since(began) < length && !t.Failed() {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) { soakOnce(t, seed) })
		runs++
	}
	t.Logf("%d runs", runs)
}

func soakOnce(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	incidents := []string{"healthy", "nat", "blocked-a-to-b", "ip-fragments-lost", "ipv6", "esp-blocked-a-to-b"}
	l := newTestLab(t, incidents[rng.IntN(len(incidents))])
	commands := []string{`^show`, `^ip(v6)? access-list`, `^permit`, `^monitor capture`, `^no `, `^scp -f`, `^delete`, `^terminal`, `^configure`, `^end`, `^verify`, `^dir`, `.`}
	actions := []simulator.Action{simulator.DropFIN, simulator.DropRST, simulator.Silence, simulator.Delay, simulator.NeverAnswer, simulator.ErrorText,
		simulator.UnknownDialog, simulator.SyslogStorm, simulator.Restart, simulator.FlashFull, simulator.SCPStops, simulator.SCPCorrupt, simulator.SCPShort}
	for range 1 + rng.IntN(4) {
		l.routers[rng.IntN(2)].AddFault(simulator.Fault{
			Match: regexp.MustCompile(commands[rng.IntN(len(commands))]), Action: actions[rng.IntN(len(actions))],
			When: simulator.When(rng.IntN(3)), Skip: rng.IntN(8), Times: 1 + rng.IntN(2), Delay: time.Duration(rng.IntN(600)) * time.Millisecond,
			Text: "% Something is wrong with the frobnicator",
		})
	}
	args := []string{"run", "demo", "-i", l.inventory, "--out", filepath.Join(l.dir, "bundle"), "--until", "packets=4", "--duration", "3s", "--quiet"}
	if rng.IntN(4) == 0 {
		args = append(args, "--zero-config")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if rng.IntN(3) == 0 {
		time.AfterFunc(time.Duration(rng.IntN(1500))*time.Millisecond, cancel)
	}
	r := program{}.run(ctx, args...)
	checkBundle(t, filepath.Join(l.dir, "bundle"), labPassword)
	switch dirty := l.dirty(); {
	case r.code == exitDirty:
		for _, router := range l.routers {
			router.ClearFaults()
		}
		again := program{}.run(t.Context(), "clean", filepath.Join(l.dir, "bundle"), "-i", l.inventory, "--quiet")
		if dirty := l.dirty(); again.code != exitOK || len(dirty) > 0 {
			t.Errorf("seed %d: clean: exit %d, dirty %v\n%s\n%s", seed, again.code, dirty, again.stderr, r.stderr)
		}
	case len(dirty) > 0:
		t.Errorf("seed %d: exit %d, and %v is not as it was\n%s", seed, r.code, dirty, r.stderr)
	case r.code > exitFailed:
		t.Errorf("seed %d: exit %d\n%s", seed, r.code, r.stderr)
	}
}
