package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/moncap/moncap/analysis/render"
	"github.com/moncap/moncap/capture"
)

// progressView shows how a run goes on: two bars that move on a terminal, a line for each event
// that matters elsewhere. Its methods may be called from any goroutine.
type progressView interface {
	lasts(d time.Duration)         // how long the captures wait at most
	phase(side, name string)       // a phase begins on a side
	detail(side, text string)      // packets so far, bytes fetched
	failed(side, name, why string) // a phase failed
	removing(side, what string)    // a thing is being taken off a router after an interrupt
	note(text string)              // for both sides
	pause()                        // draws nothing until resume, since a question is on the screen
	resume()
	close() // waits until all is drawn
}

// newProgress picks the view: nothing with --quiet, bars on a terminal, lines elsewhere. Of a run
// that changes something on the routers it says, when it is interrupted, that they are cleaned.
func (a *app) newProgress(ctx context.Context, phases int, names [2]string) progressView {
	v := a.progressFor(phases, names)
	if a.view == nil {
		a.screen.show(v)
	}
	if phases == 1 {
		return v
	}
	said := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(said)
		v.note("interrupted: what was made on the routers is being removed; Ctrl-C again leaves it there, " +
			"and says what it is")
	})
	return &interruptible{v, func() {
		if !stop() {
			<-said
		}
	}}
}

// interruptible is a view that does not outlive the run.
type interruptible struct {
	progressView
	stop func() // waits for what is being said
}

func (v *interruptible) close() {
	v.stop()
	v.progressView.close()
}

func (a *app) progressFor(phases int, names [2]string) progressView {
	switch {
	case a.view != nil:
		return a.view()
	case a.quiet:
		return quietView{}
	case a.drawsProgress():
		return newBars(a.stderr, a.barColumns(), phases, names)
	}
	if a.logFormat == "json" {
		return &logView{log: a.logger(), names: names}
	}
	return &lineView{w: a.stderr, names: names}
}

// drawsProgress says whether progress may move on the screen.
func (a *app) drawsProgress() bool {
	return !a.quiet && a.stderrTTY && a.getenv("TERM") != "dumb" && a.logFormat == "text" && !a.verbose
}

type quietView struct{}

func (quietView) lasts(time.Duration)           {}
func (quietView) phase(string, string)          {}
func (quietView) detail(string, string)         {}
func (quietView) failed(string, string, string) {}
func (quietView) removing(string, string)       {}
func (quietView) note(string)                   {}
func (quietView) pause()                        {}
func (quietView) resume()                       {}
func (quietView) close()                        {}

// lineView writes a line when both sides have begun a phase, so that a log of a
// scheduled job stays short.
type lineView struct {
	mu     sync.Mutex
	w      io.Writer
	names  [2]string
	last   string
	wait   time.Duration // at most; 0: not known
	paused bool
	held   []string // lines of the pause
}

func (v *lineView) lasts(d time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.wait = d
}

// line writes a line, or keeps it for after the pause. v.mu is held.
func (v *lineView) line(text string) {
	if v.paused {
		v.held = append(v.held, text)
		return
	}
	fmt.Fprintln(v.w, printable(text))
}

func (v *lineView) pause() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.paused = true
}

func (v *lineView) resume() {
	v.mu.Lock()
	defer v.mu.Unlock()
	held := v.held
	v.paused, v.held = false, nil
	for _, text := range held {
		v.line(text)
	}
}

func (v *lineView) phase(_, name string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if name == v.last {
		return
	}
	v.last = name
	if name == string(capture.PhaseWait) && v.wait > 0 {
		name += ", " + v.wait.String() + " at most"
	}
	v.line(name)
}

func (v *lineView) detail(string, string) {}

// failed does not say why: the error at the end does.
func (v *lineView) failed(side, name, _ string) {
	v.note(sideName(v.names, side) + ": " + name + " failed")
}

func (v *lineView) removing(side, what string) {
	v.note(sideName(v.names, side) + ": removing " + what)
}

func (v *lineView) note(text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.line(text)
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
	w     io.Writer
	tty   io.StringWriter // the terminal itself, or nil
	total int64
	width int // columns of a bar
	room  int // columns for words behind it
	names [2]string

	drawing sync.Mutex // guards what is drawn
	p       *mpb.Progress
	bars    map[string]*mpb.Bar
	at      map[string]int64 // phases that are over
	paused  bool
	held    []string // lines of the pause

	mu     sync.Mutex
	doing  map[string]*activity // by side
	wait   time.Duration        // at most; 0: not known
	broken bool                 // a phase failed
	undone bool                 // an interrupted run was taken back
	left   map[string]bool      // the sides on which cleaning failed
}

// activity is what goes on, on a router or with a tunnel.
type activity struct {
	text   string // a phase's name, or how it ended
	detail string
	began  time.Time     // of the phase; zero: nothing goes on any more
	limit  time.Duration // of the phase; 0: it has none
}

// begin has a phase go on.
func (d *activity) begin(phase string, wait time.Duration) {
	*d = activity{text: printable(phase), began: time.Now()}
	if phase == string(capture.PhaseWait) {
		d.limit = wait
	}
}

// end has nothing go on any more.
func (d *activity) end(how string) { *d = activity{text: printable(how)} }

// String is what goes on, for how long when that is more than a moment, and of how much where that
// is known.
func (d *activity) String() string {
	var parts []string
	if d.detail != "" {
		parts = append(parts, d.detail)
	}
	if !d.began.IsZero() {
		took := time.Since(d.began)
		switch {
		case d.limit > 0:
			parts = append([]string{fmt.Sprintf("%d s of %d s", int(min(took, d.limit).Seconds()), int(d.limit.Seconds()))},
				parts...)
		case took >= 2*time.Second:
			parts = append(parts, fmt.Sprintf("%d s", int(took.Seconds())))
		}
	}
	if len(parts) == 0 {
		return d.text
	}
	return d.text + ": " + strings.Join(parts, ", ")
}

// barColumns is how wide bars may be: the terminal, or 80.
func (a *app) barColumns() int {
	if w := a.width(); w > 0 {
		return w
	}
	return 80
}

// barWidth is how much of a terminal a bar takes beside its words.
func barWidth(columns int) int {
	switch {
	case columns >= 70:
		return 20
	case columns >= 50:
		return 10
	}
	return 0
}

func newBars(w io.Writer, columns, phases int, names [2]string) *barView {
	v := &barView{
		w: w, total: int64(phases), width: barWidth(columns),
		at: map[string]int64{}, doing: map[string]*activity{"A": {}, "B": {}}, left: map[string]bool{},
	}
	if f, ok := w.(*os.File); ok {
		v.tty = f
	}
	longest := 0
	for i, n := range names {
		v.names[i] = render.Shorten(printable(n), max(columns/3, 8))
		longest = max(longest, render.Cells(v.names[i]))
	}
	v.room = max(columns-longest-v.width-4, 8)
	v.draw()
	return v
}

// draw begins to draw.
func (v *barView) draw() {
	v.p = mpb.New(mpb.WithOutput(v.w), mpb.WithWidth(v.width), mpb.WithRefreshRate(80*time.Millisecond),
		mpb.WithAutoRefresh())
	v.bars = map[string]*mpb.Bar{}
	var style mpb.BarFillerBuilder = mpb.BarStyle().Lbound("[").Filler("=").Tip(">").Padding("-").Rbound("]")
	if v.width == 0 {
		style = mpb.NopStyle()
	}
	for i, side := range []string{"A", "B"} {
		v.bars[side] = v.p.New(v.total, style,
			mpb.PrependDecorators(decor.Name(v.names[i], decor.WCSyncSpaceR)),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return v.now(side) })),
		)
		v.bars[side].SetCurrent(v.at[side])
	}
}

// pause takes the bars off the screen. What is to be said meanwhile is kept.
func (v *barView) pause() {
	v.drawing.Lock()
	defer v.drawing.Unlock()
	if v.paused {
		return
	}
	v.paused = true
	for _, b := range v.bars {
		b.Abort(true)
	}
	v.p.Wait()
}

func (v *barView) resume() {
	v.drawing.Lock()
	defer v.drawing.Unlock()
	if !v.paused {
		return
	}
	v.paused = false
	for _, text := range v.held {
		fmt.Fprintln(v.w, text)
	}
	v.held = nil
	v.draw()
}

// say writes a line above the bars.
func (v *barView) say(text string) {
	v.drawing.Lock()
	defer v.drawing.Unlock()
	if v.paused {
		v.held = append(v.held, printable(text))
		return
	}
	fmt.Fprintln(v.p, printable(text))
}

// advance moves a bar on.
func (v *barView) advance(side string, to int64) {
	v.drawing.Lock()
	defer v.drawing.Unlock()
	if to <= v.at[side] {
		return
	}
	v.at[side] = to
	if b := v.bars[side]; b != nil && !v.paused {
		b.SetCurrent(to)
	}
}

// now is what stands behind a bar.
func (v *barView) now(side string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return render.Shorten(v.doing[side].String(), v.room)
}

func (v *barView) lasts(d time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.wait = d
}

// sides are the sides that an event is about.
func sides(side string) []string {
	if side == "" {
		return []string{"A", "B"}
	}
	return []string{side}
}

func (v *barView) phase(side, name string) {
	for _, s := range sides(side) {
		v.mu.Lock()
		v.doing[s].begin(name, v.wait)
		v.mu.Unlock()
		v.advance(s, min(int64(phaseIndex(name)), v.total-1))
	}
}

// phaseIndex is the place of a phase in the playbook.
func phaseIndex(name string) int { return slices.Index(capture.Phases(), capture.Phase(name)) }

func (v *barView) detail(side, text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.doing[side].detail = printable(text)
}

// failed says why on the bar only: the error at the end says it again, and stays.
func (v *barView) failed(side, name, why string) {
	v.mu.Lock()
	v.broken = true
	v.left[side] = v.left[side] || name == string(capture.PhaseClean)
	v.doing[side].end(name + " failed")
	v.doing[side].detail = printable(why)
	v.mu.Unlock()
}

func (v *barView) removing(side, what string) {
	v.mu.Lock()
	v.undone = true
	v.mu.Unlock()
	v.note(sideName(v.names, side) + ": removing " + what)
}

func (v *barView) note(text string) {
	if v.tty != nil {
		// The echo of Ctrl-C has moved the cursor, and what is drawn begins where the cursor is.
		_, _ = v.tty.WriteString("\r")
	}
	v.say(text)
}

func (v *barView) close() {
	v.resume()
	for _, side := range sides("") {
		v.mu.Lock()
		doing := v.doing[side]
		used := doing.text != ""
		switch {
		case used && v.left[side]:
			doing.end("NOT cleaned up")
		case used && v.undone:
			doing.end("interrupted, cleaned up")
		case used && v.broken:
			doing.end("failed") // the error says why
		case used:
			doing.end("done")
		}
		v.mu.Unlock()
		if used {
			v.advance(side, v.total)
		}
		v.bars[side].Abort(false)
	}
	v.p.Wait()
}
