package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moncap/moncap/capture"
)

func progressApp(tty bool, width int) (*app, *bytes.Buffer) {
	var out bytes.Buffer
	a := newApp(context.Background(), environment{
		stderr: &out, stderrTTY: tty, getenv: func(string) string { return "" }, width: func() int { return width },
	})
	a.logFormat = "text"
	return a, &out
}

// play lets a view see a run: every phase, packets, a transfer, and what is taken off again.
func play(ctx context.Context, v progressView) {
	for _, phase := range capture.Phases() {
		showEvent(ctx, v, capture.Event{Phase: phase, Kind: capture.Began})
		switch phase {
		case capture.PhaseWait:
			showEvent(ctx, v, capture.Event{Side: capture.A, Phase: phase, Kind: capture.Packets, Count: 12})
		case capture.PhaseFetch:
			showEvent(ctx, v, capture.Event{Side: capture.B, Phase: phase, Kind: capture.Progress, Done: 1 << 20,
				Total: 4 << 20})
		case capture.PhaseClean:
			showEvent(ctx, v, capture.Event{Side: capture.B, Phase: phase, Kind: capture.Removing, Text: "access list mc123456"})
		}
	}
}

func TestProgressInLines(t *testing.T) {
	a, out := progressApp(false, 0)
	v := a.newProgress(t.Context(), len(capture.Phases()), [2]string{"hq", "branch"})
	v.lasts(time.Minute)
	play(t.Context(), v)
	v.note("some\x1b[2Jnote")
	showEvent(t.Context(), v, capture.Event{Side: capture.A, Phase: capture.PhaseFetch, Kind: capture.Ended,
		Err: &capture.PhaseError{Phase: capture.PhaseFetch, Err: errors.New("no space")}})
	v.close()
	want := "check\nacl\ndefine\nstart\ntrigger\nwait, 1m0s at " +
		"most\nstop\nexport\nfetch\nobserve\nclean\nsome[2Jnote\nhq: fetch failed\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

func TestAnInterruptSaysWhatIsCleaned(t *testing.T) {
	for _, tty := range []bool{false, true} {
		a, out := progressApp(tty, 100)
		ctx, cancel := context.WithCancel(t.Context())
		v := a.newProgress(ctx, len(capture.Phases()), [2]string{"hq", "branch"})
		cancel()
		play(ctx, v)
		v.close()
		for _, want := range []string{"interrupted: what was made on the routers is being removed",
			"branch: removing access list mc123456"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("terminal %v: %q is missing in %q", tty, want, out)
			}
		}
	}
}

// A router on which cleaning failed must not be called clean, least of all after an interrupt.
func TestBarsSayWhatIsNotClean(t *testing.T) {
	a, out := progressApp(true, 100)
	ctx, cancel := context.WithCancel(t.Context())
	v := a.newProgress(ctx, len(capture.Phases()), [2]string{"hq", "branch"})
	cancel()
	play(ctx, v)
	showEvent(ctx, v, capture.Event{Side: capture.A, Phase: capture.PhaseClean, Kind: capture.Ended,
		Err: &capture.PhaseError{Phase: capture.PhaseClean, Err: errors.New("connection lost")}})
	v.close()
	last := out.String()[strings.LastIndex(out.String(), "hq"):]
	if a, b, _ := strings.Cut(last, "branch"); !strings.Contains(a, "NOT cleaned") || !strings.Contains(b, "interrupted") {
		t.Errorf("at last: %q", last)
	}
}

func TestBarsFitTheTerminal(t *testing.T) {
	for _, width := range []int{40, 60, 100} {
		a, _ := progressApp(true, width)
		v := a.newProgress(t.Context(), len(capture.Phases()), [2]string{strings.Repeat("a-long-name-", 8), "b"})
		bars := v.(*interruptible).progressView.(*barView)
		play(t.Context(), v)
		for _, side := range sides("") {
			if n := len(bars.now(side)) + len(bars.names[0]) + barWidth(width) + 4; n > width {
				t.Errorf("width %d: side %s takes %d columns", width, side, n)
			}
		}
		v.close()
	}
}

// TestActivity says what stands on a line that moves.
func TestActivity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d activity
		d.begin("wait", time.Minute)
		d.detail = "4 packets"
		time.Sleep(2 * time.Second)
		if got := d.String(); got != "wait: 2 s of 60 s, 4 packets" {
			t.Errorf("got %q", got)
		}
		d.begin("check", time.Minute)
		if got := d.String(); got != "check" {
			t.Errorf("got %q", got)
		}
		time.Sleep(5 * time.Second)
		if got := d.String(); got != "check: 5 s" {
			t.Errorf("got %q", got)
		}
		d.end("done")
		if got := d.String(); got != "done" {
			t.Errorf("got %q", got)
		}
	})
}

func TestTransferred(t *testing.T) {
	for want, x := range map[string][2]int64{"[##........] 25% of 4.0 MB": {1 << 20, 4 << 20},
		"[##########] 100% of 2 KB": {1500, 1500}, "3 KB": {3 << 10, 0}} {
		if got := transferred(x[0], x[1]); got != want {
			t.Errorf("%d of %d: %q, want %q", x[0], x[1], got, want)
		}
	}
}
