// Package lazyregexp compiles regular expressions when they are first used. Most commands need few of the program's, and all together would
// take longer than the rest of its start.
package lazyregexp

import (
	"regexp"
	"sync"
)

// New returns what gives the expression, compiled once. A wrong one panics then; staticcheck finds it before.
func New(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
