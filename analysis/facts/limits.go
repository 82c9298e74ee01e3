package facts

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/packet"
	"github.com/moncap/moncap/device/iosxe"
)

// Limits are what a router says of a capture's buffer and rate, and whether they were reached.
type Limits struct {
	Size, Used  int // of the buffer, in KB; 0 when the router did not say
	Held        int // packets in it
	Dropped     int // packets that found no room
	PPS         int // packets a second that the capture point takes; 0: no limit
	Full        bool
	Circular    bool // the oldest packets make room for new ones
	RateReached bool // the busiest seconds of the capture are at the limit
	Uncaptured  int  // packets that were to be captured, and that the router's punt policer dropped
}

// defaultPPS is the limit of a capture point that names none.
const defaultPPS = 1000

// LimitsOf reads the limits of a capture out of what was collected on its router: `show monitor
// capture NAME`, its `buffer` and its `parameter`.
func LimitsOf(shows map[string]string, story *exchange.Story) Limits {
	l := Limits{PPS: defaultPPS, Uncaptured: Config(shows).Drops().Uncaptured}
	l.readPoint(shows)
	// An error: it was not asked, or says nothing.
	if b, err := iosxe.ParseBuffer(shows["show-capture-buffer"]); err == nil {
		l.Size, l.Used, l.Held, l.Dropped = b.SizeKB, b.UsedKB, b.Packets, b.Dropped
	}
	l.Full = l.Dropped > 0 || l.Size > 0 && l.Used >= l.Size*99/100
	if story != nil && l.PPS > 0 {
		// A ceiling shows as several seconds at the limit, none of them far above.
		p := story.Peak
		l.RateReached = p.Packets >= l.PPS*95/100 && p.Packets <= l.PPS*11/10 && p.AtLeast >= 3
	}
	return l
}

// readPoint reads what the capture point is limited to, by its own description or by the commands
// that would make it again.
func (l *Limits) readPoint(shows map[string]string) {
	state := shows["show-capture"]
	if state == "" {
		state = shows["show-captures"] // of all capture points
	}
	points, _ := iosxe.ParseCaptures(state) // one that cannot be made out is one that was not shown
	for _, p := range points {
		l.Circular = l.Circular || p.Circular
		if p.PPS > 0 || p.AnyPPS {
			l.PPS = p.PPS
		}
	}
	for _, line := range iosxe.ParseParameter(shows["show-capture-parameter"]) {
		words := strings.Fields(line)
		l.Circular = l.Circular || slices.Contains(words, "circular")
		if i := slices.Index(words, "pps"); i > 0 && i+1 < len(words) {
			if n, err := strconv.Atoi(words[i+1]); err == nil && n > 0 {
				l.PPS = n
			}
		}
	}
}

// Short is the damage of a file that the router cut short between two packets: it holds fewer than
// the router's buffer did. It is nil for a file that is whole, or damaged in a way that its reader
// saw; and for a circular buffer, whose packets come and go.
func (l Limits) Short(i packet.FileInfo) *packet.Damage {
	if l.Circular || i.Damage != nil || l.Held <= i.Packets {
		return nil
	}
	return &packet.Damage{Offset: i.Bytes,
		Reason: fmt.Sprintf("it ends with packet %d of the %d that were in the router's buffer", i.Packets, l.Held)}
}
