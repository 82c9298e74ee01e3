//go:build unix

package main

import (
	"os"
	"syscall"
)

// pageFaults are those of a process that ended, which needed no disk.
func pageFaults(p *os.ProcessState) int64 {
	u, ok := p.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	return int64(u.Minflt)
}
