package capture

import (
	"context"

	"github.com/moncap/moncap/capture/bundle"
)

// Run does the whole playbook.
func Run(ctx context.Context, p *Plan, h Hosts, b *bundle.Bundle, o Options) (*Result, error) {
	return nil, nil
}

// Start does check to start and leaves the captures running.
func Start(ctx context.Context, p *Plan, h Hosts, b *bundle.Bundle, o Options) (*Result, error) {
	return nil, nil
}

// SideStatus is the state of one side's capture.
type SideStatus struct {
	Side    Side
	Peer    string
	Exists  bool
	Active  bool
	Packets int
	Dropped int
	Err     error
}

// Status looks at the captures of a bundle's run.
func Status(ctx context.Context, b *bundle.Bundle, h Hosts, o Options) ([]SideStatus, error) {
	return nil, nil
}

// Stop stops the captures of a bundle's run.
func Stop(ctx context.Context, b *bundle.Bundle, h Hosts, o Options) (*Result, error) {
	return nil, nil
}

// Collect does stop to clean.
func Collect(ctx context.Context, b *bundle.Bundle, h Hosts, o Options) (*Result, error) {
	return nil, nil
}

// Clean finishes the journal of a bundle. What it removed is in Result.Notes.
func Clean(ctx context.Context, b *bundle.Bundle, h Hosts, o Options) (*Result, error) {
	return nil, nil
}

// Level is how a check came out.
type Level string

// The levels of a check.
const (
	OK     Level = "ok"
	Warn   Level = "warn"
	Refuse Level = "refuse"
)

// CheckResult is one item of a check.
type CheckResult struct {
	Side  Side // empty: it concerns both
	Peer  string
	Item  string
	Level Level
	Text  string
}

// Check looks at both routers and changes nothing. The error is of the connection; what is wrong with a router is in the
// results.
func Check(ctx context.Context, p *Plan, h Hosts, o Options) ([]CheckResult, error) {
	return nil, nil
}

// Job is one tunnel of several.
type Job struct {
	Name  string
	Peers []string // on which it takes a slot each
	Run   func(ctx context.Context) error
}

// RunAll runs the jobs, at most parallel at a time, and at most perPeer(peer) at a time on a peer (1 when nil or zero).
// The errors are in the order of the jobs.
func RunAll(ctx context.Context, jobs []Job, parallel int, perPeer func(peer string) int) []error {
	return nil
}
