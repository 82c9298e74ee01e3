// Package lazyregexp compiles regular expressions when they are first used. Most commands need few
// of the program's, and all together would take longer than the rest of its start.
package lazyregexp

import (
	"regexp"
	"sync"
)

// Regexp is an expression that is not compiled before it is needed.
type Regexp struct {
	expr     string
	once     sync.Once
	compiled *regexp.Regexp
}

// New returns an expression. It does so little that the compiler lays a package's expressions out
// as data: they cost a start nothing at all.
func New(expr string) *Regexp { return &Regexp{expr: expr} }

// Get is the expression, compiled once. A wrong one panics; TestEveryLazyExpressionCompiles
// finds it before.
func (r *Regexp) Get() *regexp.Regexp {
	r.once.Do(func() { r.compiled = regexp.MustCompile(r.expr) })
	return r.compiled
}
