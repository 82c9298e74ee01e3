//go:build unix

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// readerGone says whether nobody reads from a FIFO any more that f writes to.
func readerGone(f *os.File) bool {
	c, err := f.SyscallConn()
	if err != nil {
		return false
	}
	gone := false
	err = c.Control(func(fd uintptr) {
		asked := []unix.PollFd{{Fd: int32(fd)}} // errors are told without being asked for, poll(2)
		n, err := unix.Poll(asked, 0)
		gone = err == nil && n > 0 && asked[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0
	})
	return err == nil && gone
}
