package iosxe

import (
	"errors"
	"strings"
	"time"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// Redundancy is what `show redundancy` says of a router with one route processor or two.
type Redundancy struct {
	System time.Duration // since the whole router came up, to the minute
	Active time.Duration // since the processor that answers became the active one
	Reason string        // of the last switchover: "none", "user forced"
}

var (
	redundancySystem = lazyregexp.New(`(?m)^\s*Available system uptime = (.+)$`)
	redundancyReason = lazyregexp.New(`(?m)^\s*Last switchover reason = (.+)$`)
	redundancyActive = lazyregexp.New(`(?s)Current Processor Information.*?Uptime in current state = ([^\n]+)`)
)

// ParseRedundancy reads `show redundancy` (seen of an ASR1002 with 15.4(3)S9, which is IOS XE 3.13,
// and of an ASR1000 with 16.4).
func ParseRedundancy(out string) (Redundancy, error) {
	out = Clean(out)
	system, active := redundancySystem.Get().FindStringSubmatch(out), redundancyActive.Get().FindStringSubmatch(out)
	if system == nil || active == nil {
		return Redundancy{}, errors.New("show redundancy: it does not say since when the router is up")
	}
	return Redundancy{parseUptime(system[1]), parseUptime(active[1]),
		strings.TrimSpace(firstGroup(redundancyReason.Get(), out))}, nil
}
