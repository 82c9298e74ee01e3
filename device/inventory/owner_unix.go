//go:build !windows

package inventory

import (
	"io/fs"
	"os"
	"syscall"
)

// OnlyOurs says whether nobody but this account and root can have written a file or folder: it is
// owned by one of them, and neither its group nor others may write it. Files that are obeyed have
// to be so, as OpenSSH wants ~/.ssh/config.
func OnlyOurs(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && (stat.Uid == 0 || int(stat.Uid) == os.Geteuid()) && info.Mode().Perm()&0o022 == 0
}

// noWait keeps the opening of a FIFO from waiting for its other end.
const noWait = syscall.O_NONBLOCK
