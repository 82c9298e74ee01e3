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

// TestSoak throws random faults at random commands of both routers for MONCAP_SOAK (a duration;
// `make soak` sets it). A failure names the seed, with which MONCAP_SOAK_SEED repeats the case.
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
	knobs := simulator.Knobs{
		NoSCP: rng.IntN(6) == 0, LoggingSynchronous: rng.IntN(3) == 0, ExecPromptTimestamp: rng.IntN(3) == 0,
		TerminalMonitor: rng.IntN(3) == 0,
		AskPPS:          rng.IntN(3) == 0, StopStatistics: rng.IntN(3) == 0, StopWhenFull: rng.IntN(3) == 0,
		DeleteActive: rng.IntN(3) == 0,
		SCPPath:      []string{"", "", "slash", "plain", "bare"}[rng.IntN(5)], NoExitStatus: rng.IntN(3) == 0,
		MOTD: []string{"", "site-A#\nsite-B>\n"}[rng.IntN(2)],
	}
	odd(rng, &knobs)
	vtys := 1 + rng.IntN(5)
	l := newLabWith(t, incidents[rng.IntN(len(incidents))], func(c *simulator.Config) { c.Knobs, c.VTYs = knobs, vtys })
	commands := []string{`^show`, `^ip(v6)? access-list`, `^permit`, `^monitor capture`, `^no `, `^scp -f`, `^delete`,
		`^terminal`, `^configure`, `^end`, `^verify`, `^dir`, `.`}
	actions := []simulator.Action{simulator.DropFIN, simulator.DropRST, simulator.Silence, simulator.Delay,
		simulator.NeverAnswer, simulator.ErrorText,
		simulator.UnknownDialog, simulator.SyslogStorm, simulator.Restart, simulator.FlashFull, simulator.SCPStops,
		simulator.SCPCorrupt, simulator.SCPShort, simulator.SCPTrickles, simulator.OtherWords}
	for range 1 + rng.IntN(4) {
		l.routers[rng.IntN(2)].AddFault(simulator.Fault{
			Match: regexp.MustCompile(commands[rng.IntN(len(commands))]), Action: actions[rng.IntN(len(actions))],
			When: simulator.When(rng.IntN(3)), Skip: rng.IntN(8), Times: 1 + rng.IntN(2),
			Delay: time.Duration(rng.IntN(600)) * time.Millisecond,
			Text:  "% Something is wrong with the frobnicator",
		})
	}
	args := []string{"run", "demo", "-i", l.inventory, "--out", filepath.Join(l.dir, "bundle"), "--until", "packets=4",
		"--duration", "3s", "--quiet"}
	if rng.IntN(4) == 0 {
		args = append(args, "--zero-config")
	}
	if rng.IntN(4) == 0 {
		soakSeveral(t, l, seed, 1+rng.IntN(2))
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if rng.IntN(3) == 0 {
		time.AfterFunc(time.Duration(rng.IntN(1500))*time.Millisecond, cancel)
	}
	r := program{tune: hasty}.run(ctx, args...)
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

// odd turns some of the knobs that make a router slow, talkative or short of words.
func odd(rng *rand.Rand, k *simulator.Knobs) {
	one := func() bool { return rng.IntN(8) == 0 }
	if one() {
		k.EchoPause, k.PromptPause = time.Duration(rng.IntN(40))*time.Millisecond,
			time.Duration(rng.IntN(40))*time.Millisecond
	}
	if one() {
		k.Jitter = time.Millisecond
	}
	if one() {
		k.HubSAs, k.BriefRows = rng.IntN(9000), rng.IntN(95000)
	}
	if one() {
		k.SCPRefusal = []string{"\r\nPrivilege denied.\r\n", "\x01Privilege denied.\n", "Administratively disabled.\n",
			"\r\n\r\n"}[rng.IntN(4)]
	}
	if one() {
		k.SCPWrongPath = "Bad path"
	}
	if one() {
		k.SyslogEvery = time.Duration(20+rng.IntN(200)) * time.Millisecond
	}
	k.KeepPager, k.NoDates, k.OneSession, k.NULPrompt = one(), one(), one(), one()
	k.Prompt = []string{"", "", "", "", "%h-STP-1234%p", "[prod] %h%p"}[rng.IntN(6)]
	k.BusyText = []string{"", "", "", "% All lines are busy"}[rng.IntN(4)]
}

// soakSeveral runs several tunnels at once into the faults, and cleans every bundle that they left.
func soakSeveral(t *testing.T, l *testLab, seed uint64, runs int) {
	l.hub(t, 3, runs)
	p := program{tune: hasty, env: map[string]string{"MONCAP_RUNS": filepath.Join(l.dir, "runs")}}
	r := p.run(t.Context(), "run", "t0", "t1", "t2", "--parallel", "3", "-i", l.inventory, "--until", "packets=4")
	dirty := l.dirty()
	if len(dirty) > 0 && r.code != exitDirty || r.code > exitFailed && r.code != exitDirty {
		t.Errorf("seed %d: exit %d, dirty %v\n%s%s", seed, r.code, dirty, r.stdout, r.stderr)
	}
	for _, router := range l.routers {
		router.ClearFaults()
	}
	bundles, err := filepath.Glob(filepath.Join(l.dir, "runs", "*"))
	if err != nil || len(bundles) != 3 {
		t.Errorf("seed %d: %d bundles, %v", seed, len(bundles), err)
	}
	for _, b := range bundles {
		checkBundle(t, b, labPassword)
		if again := p.run(t.Context(), "clean", b, "-i", l.inventory, "--quiet"); again.code != exitOK {
			t.Errorf("seed %d: clean: exit %d\n%s\n%s", seed, again.code, again.stderr, r.stdout)
		}
	}
	if dirty := l.dirty(); len(dirty) > 0 {
		t.Errorf("seed %d: %v is not as it was\n%s", seed, dirty, r.stdout)
	}
}
