package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// logger writes to stderr: as text warnings, and everything with --verbose. As JSON it is all that
// stderr gets, so what is progress on a terminal is logged as well, unless --quiet.
func (a *app) logger() *slog.Logger {
	level := a.logLevel
	switch {
	case a.verbose:
		level = slog.LevelDebug
	case a.logFormat == "json" && !a.quiet:
		level = slog.LevelInfo
	}
	o := &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, at slog.Attr) slog.Attr {
		if at.Value.Kind() == slog.KindDuration {
			return slog.Float64(at.Key+"_ms", float64(at.Value.Duration())/float64(time.Millisecond))
		}
		return at
	}}
	if a.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(a.stderr, o))
	}
	return slog.New(slog.NewTextHandler(a.stderr, o))
}

// warn tells the operator something on stderr, also with --quiet.
func (a *app) warn(format string, args ...any) {
	text := printable(fmt.Sprintf(format, args...))
	if a.logFormat == "json" {
		a.logger().Log(context.Background(), max(slog.LevelWarn, a.logLevel), text)
		return
	}
	fmt.Fprintln(a.stderr, "moncap:", text)
}

// progress tells how it goes, unless --quiet.
func (a *app) progress(format string, args ...any) {
	switch text := printable(fmt.Sprintf(format, args...)); {
	case a.quiet:
	case a.logFormat == "json":
		a.logger().Info(text)
	default:
		fmt.Fprintln(a.stderr, text)
	}
}

// sayBundle tells where a run is kept, unless it is nowhere.
func (a *app) sayBundle(dir string) {
	switch {
	case dir == "":
	case a.logFormat == "json":
		a.logger().Info("bundle", "bundle", printable(dir))
	default:
		a.progress("bundle: %s", printable(dir))
	}
}

// printError tells why the program failed: each cause in a line, each advice once.
func (a *app) printError(err error) {
	text := printable(err.Error())
	if strings.TrimSpace(text) == "" {
		return
	}
	var advice []string
	for _, h := range hints(err) {
		advice = append(advice, printable(a.asGiven(h)))
	}
	if a.logFormat == "json" {
		a.logger().Error(text, "reason", reasonOf(err), "exit_code", exitCode(err), "hints", advice)
		return
	}
	for line := range strings.SplitSeq(text, "\n") {
		if line != "" {
			fmt.Fprintln(a.stderr, "moncap:", line)
		}
	}
	for _, h := range advice {
		fmt.Fprintln(a.stderr, "hint:", h)
	}
}

// logView is a run's progress as log records.
type logView struct {
	log   *slog.Logger
	names [2]string
}

func (v *logView) lasts(time.Duration) {}

func (v *logView) peer(side string) slog.Attr { return slog.String("peer", sideName(v.names, side)) }

func (v *logView) phase(side, name string) {
	if side == "" {
		v.log.Info("phase", "phase", name)
	}
}

func (v *logView) failed(side, name, why string) {
	v.log.Error("phase failed", v.peer(side), "phase", name, "error", printable(why))
}

func (v *logView) removing(side, what string) {
	v.log.Info("removing", v.peer(side), "what", printable(what))
}
func (v *logView) note(text string)      { v.log.Info("note", "text", printable(text)) }
func (v *logView) detail(string, string) {}
func (v *logView) pause()                {}
func (v *logView) resume()               {}
func (v *logView) close()                {}
