package inventory

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
)

// ExpandHome replaces a leading ~ or ~/ with the home directory of the user: $HOME, or what the
// system has for the account. When neither is known it is an error that names the path.
func ExpandHome(path string) (string, error) {
	rest, ok := strings.CutPrefix(path, "~")
	if !ok || rest != "" && !os.IsPathSeparator(rest[0]) {
		return path, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		u, noUser := user.Current()
		if noUser != nil || u.HomeDir == "" {
			return "", fmt.Errorf("%s: the home directory of this account is not known: %w", path, err)
		}
		home = u.HomeDir
	}
	return filepath.Join(home, rest), nil
}

// localPath is a path as it was written in a file of folder.
func localPath(path, folder string) (string, error) {
	path, err := ExpandHome(path)
	if err != nil || filepath.IsAbs(path) {
		return path, err
	}
	return filepath.Join(folder, path), nil
}
