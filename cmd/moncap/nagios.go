package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/moncap/moncap/analysis/report"
)

// The states of a monitoring plugin are its exit codes (Monitoring Plugins Development Guidelines,
// "Plugin Return Codes").
const (
	pluginOK       = 0
	pluginWarning  = 1
	pluginCritical = 2
	pluginUnknown  = 3
)

var pluginWords = [...]string{pluginOK: "OK", pluginWarning: "WARNING", pluginCritical: "CRITICAL",
	pluginUnknown: "UNKNOWN"}

// pluginState is what an exit code of ours is to a monitoring system. Something that is left on a
// router needs a person.
func pluginState(code int) int {
	switch code {
	case exitOK, exitWarnings, exitCritical:
		return code
	case exitDirty:
		return pluginCritical
	}
	return pluginUnknown
}

// pluginLine is one line of a monitoring plugin: state, what happened, and figures.
func pluginLine(tunnel string, p *pastRun) (string, int) {
	if p == nil {
		return fmt.Sprintf("MONCAP UNKNOWN - %s: there is no run", tunnel), pluginUnknown
	}
	state := pluginState(p.ExitCode)
	if len(p.Open) > 0 {
		state = pluginCritical
	}
	text := fmt.Sprintf("MONCAP %s - %s %s: %s", pluginWords[state], tunnel, p.Outcome,
		strings.Join(strings.Fields(p.Headline), " "))
	if len(p.Open) > 0 {
		text += fmt.Sprintf(" (%d things are, or may be, left on the routers)", len(p.Open))
	}
	// A bar begins the figures.
	return strings.ReplaceAll(printable(text), "|", "/") + " | " + strings.Join(p.figures(), " "), state
}

// figures are the performance data of a plugin: label=value and the unit.
func (p *pastRun) figures() []string {
	all := []string{fmt.Sprintf("duration=%.3fs", float64(p.DurationMS)/1e3),
		fmt.Sprintf("age=%ds", int(time.Since(p.Started).Seconds()))}
	if p.judged() && p.LostAtoB != nil {
		all = append(all, fmt.Sprintf("lost_a_to_b=%d", *p.LostAtoB), fmt.Sprintf("lost_b_to_a=%d", *p.LostBtoA))
	}
	if p.SetupMS != nil {
		all = append(all, fmt.Sprintf("setup=%.3fs", *p.SetupMS/1e3))
	}
	if p.OffsetMS != nil {
		// Zero has no sign, whatever a part of a millisecond below it has.
		all = append(all, fmt.Sprintf("clock_offset=%.3fs", math.Round(*p.OffsetMS)/1e3+0))
	}
	return all
}

// showNagios says how a tunnel's latest run ended, as a monitoring plugin does.
func (a *app) showNagios(tunnel string, runs []*pastRun, file string) error {
	var latest *pastRun
	for _, p := range runs {
		if p.Outcome != unfinished || len(p.Open) > 0 {
			latest = p
			break
		}
	}
	return a.showPlugin(tunnel, latest, file)
}

// showPlugin writes a plugin's line, and ends with its state.
func (a *app) showPlugin(tunnel string, p *pastRun, file string) error {
	line, state := pluginLine(tunnel, p)
	if err := a.writeTo(file, func(w io.Writer) error { _, err := fmt.Fprintln(w, line); return err }); err != nil {
		return &exitError{pluginUnknown, err}
	}
	return exitWith(state)
}

// showRunNagios does so for the run that just ended.
func (a *app) showRunNagios(r *report.Report, code int, file string) error {
	p := &pastRun{Tunnel: r.Tunnel, Started: time.Now()}
	p.take(r)
	p.ExitCode = code
	if r.Run != nil {
		p.Started, p.DurationMS = r.Run.Started, r.Run.DurationMS
		for _, l := range r.Run.Left {
			p.Open = append(p.Open, l.Peer+": "+l.What)
		}
	}
	return a.showPlugin(r.Tunnel, p, file)
}

func exitWith(code int) error {
	if code == 0 {
		return nil
	}
	return &exitError{code: code}
}
