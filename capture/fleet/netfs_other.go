//go:build !linux

package fleet

// networkFileSystem is not known here.
func networkFileSystem(string) string { return "" }
