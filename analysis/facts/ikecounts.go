package facts

import (
	"slices"

	"github.com/moncap/moncap/device/iosxe"
)

// TracedEvent is a line of a router's event trace or binary trace.
type TracedEvent = iosxe.TracedEvent

// Timers of IKEv2 whose ends it counts.
const (
	ExternalServiceTimer = iosxe.ExternalServiceTimer // for an answer of AAA, of an OCSP responder or the like
	RetransmitTimer      = iosxe.RetransmitTimer      // for the answer to a request that was sent as often as may be
	DPDTimer             = iosxe.DPDTimer             // for the answer to a liveness check
)

// IKECounts are IKEv2's own counters, by how much they grew while the capture ran: before it began
// to after it ended. They count what IKE exchanged with everybody.
type IKECounts struct {
	exchanges map[exchangeCounter]uint64
	timeouts  map[string]uint64
}

// exchangeCounter is one column of the row of an exchange.
type exchangeCounter struct {
	exchange string
	column   column
}

type column uint8

const (
	sentRequests column = iota
	sentResponses
	receivedRequests
	receivedResponses
)

// The shows that are compared, and the one that is read as it is, by the names of their commands.
const (
	exchangeShow    = "show-ikev2-stats-exchange"
	timeoutShow     = "show-ikev2-stats-timeout"
	errorShow       = "show-event-trace-error"
	binaryTraceShow = "show-binary-trace"
)

// IKECounts compares what IKEv2 counted before the capture and after it. A counter that fell was
// cleared meanwhile: nothing is known of any of its show.
func (c Config) IKECounts() IKECounts {
	return IKECounts{
		exchanges: grown(exchangeCounters(c[iosxe.Before(exchangeShow)]), exchangeCounters(c[exchangeShow])),
		timeouts:  grown(iosxe.ParseTimeouts(c[iosxe.Before(timeoutShow)]), iosxe.ParseTimeouts(c[timeoutShow])),
	}
}

func exchangeCounters(out string) map[exchangeCounter]uint64 {
	all := map[exchangeCounter]uint64{}
	for _, e := range iosxe.ParseExchanges(out) {
		for i, n := range [...]uint64{sentRequests: e.SentRequests, sentResponses: e.SentResponses,
			receivedRequests: e.ReceivedRequests, receivedResponses: e.ReceivedResponses} {
			all[exchangeCounter{e.Name, column(i)}] = n
		}
	}
	return all
}

// grown is by how much each counter grew; nil: it is not known, or one of them fell.
func grown[K comparable](before, after map[K]uint64) map[K]uint64 {
	if len(before) == 0 {
		return nil
	}
	all := map[K]uint64{}
	for k, n := range after {
		if n < before[k] {
			return nil
		}
		all[k] = n - before[k]
	}
	return all
}

// ReceivedRequests is how many requests of an exchange IKEv2 counted, of
// everybody. ok: it is known.
func (k IKECounts) ReceivedRequests(exchange string) (n int, ok bool) {
	count, ok := k.exchanges[exchangeCounter{exchange, receivedRequests}]
	return int(min(count, 1<<31)), ok
}

// TimedOut is how often a timer of IKEv2 ran out, as iosxe names them; 0: never,
// or it is not known.
func (k IKECounts) TimedOut(timer string) int {
	return int(min(k.timeouts[timer], 1<<31))
}

// NewErrors are the lines that IKEv2's trace of errors got while the capture ran: those that it did
// not hold before. None are known unless it was read before and after.
func (c Config) NewErrors() []TracedEvent {
	before, was := c[iosxe.Before(errorShow)]
	if !was {
		return nil
	}
	had := map[string]int{}
	for _, e := range iosxe.ParseEventTrace(before) {
		had[e.Line()]++
	}
	var events []TracedEvent
	for _, e := range iosxe.ParseEventTrace(c[errorShow]) {
		if had[e.Line()]--; had[e.Line()] < 0 {
			events = append(events, e)
		}
	}
	return events
}

// BinaryTrace is what the router's binary trace has of IKE, IPsec, certificates and the peer; read
// is false where it was not asked for, or not to be had.
func (c Config) BinaryTrace() (lines []TracedEvent, read bool) {
	text, read := c[binaryTraceShow]
	return iosxe.ParseBinaryTrace(text), read
}

// TracedErrors are the lines of the binary trace that are errors of IKE, IPsec or certificates.
func (c Config) TracedErrors() []TracedEvent {
	return slices.DeleteFunc(iosxe.ParseBinaryTrace(c[binaryTraceShow]),
		func(e TracedEvent) bool { return !e.IsError() || !e.AboutIKE() })
}
