//go:build !linux

package simulator

import "errors"

// Live captures from a network interface, which only Linux can do.
func Live(name string) (Source, error) {
	return nil, errors.New("live capture on " + name + ": only on Linux")
}
