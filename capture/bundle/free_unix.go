//go:build linux || darwin

package bundle

import "syscall"

// freeBytes is what the file system of an existing folder has left for us.
func freeBytes(folder string) (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(folder, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil // #nosec G115 -- no file system is that large
}
