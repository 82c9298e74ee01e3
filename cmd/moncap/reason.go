package main

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device"
	"github.com/moncap/moncap/device/iosxe"
)

// reasonOf says in a word why a run came to nothing: the gravest of what is in err's tree.
func reasonOf(err error) report.Reason {
	if _, dirty := errors.AsType[*capture.DirtyError](err); dirty {
		return report.LeftOnRouter
	}
	if _, by := errors.AsType[*interrupted](err); by {
		return report.Interrupted
	}
	if errors.Is(err, bundle.ErrLocked) {
		return report.Busy
	}
	if ee, ok := errors.AsType[*exitError](err); ok && ee.code == exitUsage {
		return report.Usage
	}
	if d, ok := errors.AsType[*device.Error](err); ok {
		return map[device.Reason]report.Reason{
			device.Unreachable: report.Unreachable, device.HostKey: report.HostKey, device.Credentials: report.Credentials,
			device.Refused: report.RouterRefused,
		}[d.Reason()]
	}
	if _, ok := errors.AsType[*iosxe.Refusal](err); ok {
		return report.RouterRefused
	}
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return report.LocalDisk
	}
	if p, ok := errors.AsType[*capture.PhaseError](err); ok && p.Phase == capture.PhaseCheck {
		return report.RefusedByCheck
	}
	return report.RouterRefused
}

// sentence is an error as a headline: its lines in one, without what an operator's terminal needs.
func sentence(err error) string {
	return strings.Join(strings.FieldsFunc(printable(err.Error()), func(r rune) bool { return r == '\n' }), "; ")
}
