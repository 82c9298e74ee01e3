package iosxe

import (
	"strconv"
	"strings"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// ExchangeCount is how many messages of one exchange IKEv2 has sent and received, with everybody,
// since the router came up or the counters were cleared.
type ExchangeCount struct {
	Name                                string // IKE_SA_INIT, IKE_AUTH, CREATE_CHILD_SA, INFORMATIONAL
	SentRequests, SentResponses         uint64
	ReceivedRequests, ReceivedResponses uint64
}

// exchangeRow has the four columns TX(REQ), TX(RES), RX(REQ) and RX(RES).
var exchangeRow = lazyregexp.New(`^ *([A-Z][A-Z0-9_]+) +(\d+) +(\d+) +(\d+) +(\d+) *$`)

// ParseExchanges reads `show crypto ikev2 stats exchange` (seen of a router without its release).
// Rows of notifications have the same columns, and are there as well.
func ParseExchanges(out string) []ExchangeCount {
	var all []ExchangeCount
	for line := range strings.SplitSeq(Clean(out), "\n") {
		m := exchangeRow.Get().FindStringSubmatch(line)
		if m == nil {
			continue
		}
		c, whole := ExchangeCount{Name: m[1]}, true
		for i, into := range []*uint64{&c.SentRequests, &c.SentResponses, &c.ReceivedRequests, &c.ReceivedResponses} {
			n, err := strconv.ParseUint(m[i+2], 10, 63)
			*into, whole = n, whole && err == nil
		}
		if whole {
			all = append(all, c)
		}
	}
	return all
}

var timerRow = lazyregexp.New(`^ *([A-Z][A-Z ]*TIMER) +(\d+) *$`)

// Timers of IKEv2 that ParseTimeouts counts, as the router calls them.
const (
	ExternalServiceTimer = "EXT SERVICE TIMER"
	AuthTimer            = "AUTH TIMER"
	RetransmitTimer      = "PACKET MAXIMUM RETRANS TIMER"
	DPDTimer             = "DPD MAX RETRANS TIMER"
)

// ParseTimeouts reads `show crypto ikev2 stats timeout`: how often each timer of IKEv2 ran out
// (seen of a router without its release).
func ParseTimeouts(out string) map[string]uint64 {
	all := map[string]uint64{}
	for line := range strings.SplitSeq(Clean(out), "\n") {
		if m := timerRow.Get().FindStringSubmatch(line); m != nil {
			if n, err := strconv.ParseUint(m[2], 10, 63); err == nil {
				all[m[1]] = n
			}
		}
	}
	return all
}
