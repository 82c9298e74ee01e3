//go:build unix

package bundle

import (
	"os"
	"syscall"
)

// noWait keeps the opening of a pipe from waiting for its other end.
const noWait = syscall.O_NONBLOCK

func syncFolder(f *os.File) error { return f.Sync() }
