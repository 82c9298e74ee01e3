package main

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/capture/fleet"
	"github.com/moncap/moncap/device"
)

// reasonOf says in a word why a run came to nothing: the gravest of what is in err's tree.
func reasonOf(err error) report.Reason {
	if _, dirty := errors.AsType[*capture.DirtyError](err); dirty {
		return report.LeftOnRouter
	}
	_, bySignal := errors.AsType[*interrupted](err)
	if _, byTime := errors.AsType[*timedOut](err); bySignal || byTime || fleet.Ended(err) {
		return report.Interrupted
	}
	if errors.Is(err, bundle.ErrLocked) {
		return report.Busy
	}
	if ee, ok := errors.AsType[*exitError](err); ok && ee.code == exitUsage || errors.Is(err, capture.ErrNothing) {
		return report.Usage
	}
	reason := report.RouterRefused
	if _, silent := errors.AsType[*capture.SilentError](err); silent {
		reason = report.Unreachable
	} else if d, ok := errors.AsType[*device.Error](err); ok {
		reason = deviceReasons[d.Reason()]
	} else if _, ok := errors.AsType[*fs.PathError](err); ok {
		reason = report.LocalDisk
	}
	if p, ok := errors.AsType[*capture.PhaseError](err); ok && p.Phase == capture.PhaseCheck &&
		reason == report.RouterRefused {
		return report.RefusedByCheck // nothing was changed yet
	}
	return reason
}

var deviceReasons = map[device.Reason]report.Reason{
	device.Unreachable: report.Unreachable, device.HostKey: report.HostKey, device.Credentials: report.Credentials,
	device.Refused: report.RouterRefused,
}

// sentence is an error as a headline: its lines in one, without what an operator's terminal needs.
func sentence(err error) string {
	return strings.Join(strings.FieldsFunc(printable(err.Error()), func(r rune) bool { return r == '\n' }), "; ")
}
