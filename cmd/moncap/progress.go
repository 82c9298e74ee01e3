package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// progressView shows how a run goes on: two bars that move on a terminal, a line for each event that matters
// elsewhere. Its methods may be called from any goroutine.
type progressView interface {
	phase(side, name string)       // a phase begins on a side
	detail(side, text string)      // packets so far, bytes fetched
	failed(side, name, why string) // a phase failed
	note(text string)              // for both sides
	close()                        // waits until all is drawn
}

// newProgress picks the view: nothing with --quiet, bars on a terminal, lines elsewhere.
func (a *app) newProgress(phases int, names [2]string) progressView {
	switch {
	case a.quiet:
		return quietView{}
	case a.stderrTTY && a.getenv("TERM") != "dumb" && a.logFormat == "text" && !a.verbose:
		return newBars(a.stderr, phases, names)
	}
	return &lineView{w: a.stderr, names: names}
}

type quietView struct{}

func (quietView) phase(string, string)          {}
func (quietView) detail(string, string)         {}
func (quietView) failed(string, string, string) {}
func (quietView) note(string)                   {}
func (quietView) close()                        {}

// lineView writes a line when both sides have begun a phase, so that a log of a scheduled job stays short.
type lineView struct {
	mu    sync.Mutex
	w     io.Writer
	names [2]string
	last  string
}

func (v *lineView) phase(_, name string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if name != v.last {
		v.last = name
		fmt.Fprintf(v.w, "%s\n", printable(name))
	}
}

func (v *lineView) detail(string, string) {}

func (v *lineView) failed(side, name, why string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	fmt.Fprintf(v.w, "%s: %s: %s\n", sideName(v.names, side), name, printable(why))
}

func (v *lineView) note(text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	fmt.Fprintln(v.w, printable(text))
}

func (v *lineView) close() {}

func sideName(names [2]string, side string) string {
	switch side {
	case "A":
		return names[0]
	case "B":
		return names[1]
	}
	return side
}

// barView is one bar a router, which advances by a phase.
type barView struct {
	p     *mpb.Progress
	total int64
	bars  map[string]*mpb.Bar
	mu    sync.Mutex
	text  map[string]string
}

func newBars(w io.Writer, phases int, names [2]string) *barView {
	v := &barView{
		p:     mpb.New(mpb.WithOutput(w), mpb.WithWidth(20), mpb.WithRefreshRate(80*time.Millisecond), mpb.WithAutoRefresh()),
		total: int64(phases), bars: map[string]*mpb.Bar{}, text: map[string]string{},
	}
	for i, side := range []string{"A", "B"} {
		v.bars[side] = v.p.AddBar(v.total,
			mpb.PrependDecorators(decor.Name(printable(names[i]), decor.WCSyncSpaceR)),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return v.now(side) })),
		)
	}
	return v
}

func (v *barView) now(side string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.text[side]
}

func (v *barView) set(side, text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.text[side] = printable(text)
}

func (v *barView) phase(side, name string) {
	v.set(side, name)
	if b := v.bars[side]; b != nil && b.Current() < v.total-1 {
		b.Increment()
	}
}

func (v *barView) detail(side, text string) { v.set(side, text) }

func (v *barView) failed(side, name, why string) {
	v.set(side, name+" failed")
	fmt.Fprintf(v.p, "%s: %s: %s\n", side, name, printable(why))
}

func (v *barView) note(text string) { fmt.Fprintln(v.p, printable(text)) }

func (v *barView) close() {
	for side, b := range v.bars {
		if v.now(side) != "" {
			b.SetCurrent(v.total)
		}
		b.Abort(false)
	}
	v.p.Wait()
}
