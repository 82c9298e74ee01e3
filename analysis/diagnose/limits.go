package diagnose

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/packet"
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
}

var (
	heldPattern     = regexp.MustCompile(`(?i)packets in buf\s*:\s*(\d+)`)
	droppedPattern  = regexp.MustCompile(`(?i)packets dropped\s*:\s*(\d+)`)
	sizePattern     = regexp.MustCompile(`(?i)buffer size \(KB\)\s*:\s*(\d+)`)
	usedPattern     = regexp.MustCompile(`(?i)buffer used \(KB\)\s*:\s*(\d+)`)
	ppsPattern      = regexp.MustCompile(`(?i)(?:packets to capture per second|packets per second\s*:|limit\b.*\bpps)\s*:?\s*(\d+)`)
	circularPattern = regexp.MustCompile(`(?i)buffer type\s*:\s*circular|buffer\b.*\bcircular`)
)

// defaultPPS is the limit of a capture point that names none.
const defaultPPS = 1000

// LimitsOf reads the limits of a capture out of what was collected on its router: `show monitor capture NAME`, its `buffer` and its
// `parameter`.
func LimitsOf(shows map[string]string, story *exchange.Story) Limits {
	var b strings.Builder
	for _, name := range []string{"show-capture", "show-capture-buffer", "show-capture-parameter"} {
		b.WriteString(shows[name] + "\n")
	}
	if shows["show-capture"] == "" {
		b.WriteString(shows["show-captures"]) // of all capture points
	}
	state := b.String()
	l := Limits{
		Size: number(sizePattern, state), Used: number(usedPattern, state), Held: number(heldPattern, state), Dropped: number(droppedPattern, state),
		PPS: number(ppsPattern, state), Circular: circularPattern.MatchString(state),
	}
	l.Full = l.Dropped > 0 || l.Size > 0 && l.Used >= l.Size*99/100
	if !ppsPattern.MatchString(state) {
		l.PPS = defaultPPS
	}
	if story != nil && l.PPS > 0 {
		// A ceiling shows as several seconds at the limit, none of them far above.
		p := story.Peak
		l.RateReached = p.Packets >= l.PPS*95/100 && p.Packets <= l.PPS*11/10 && p.AtLeast >= 3
	}
	return l
}

// Short is the damage of a file that the router cut short between two packets: it holds fewer than the router's buffer did. It
// is nil for a file that is whole, or damaged in a way that its reader saw; and for a circular buffer, whose packets come and go.
func (l Limits) Short(i packet.FileInfo) *packet.Damage {
	if l.Circular || i.Damage != nil || l.Held <= i.Packets {
		return nil
	}
	return &packet.Damage{Offset: i.Bytes, Reason: fmt.Sprintf("it ends with packet %d of the %d that were in the router's buffer", i.Packets, l.Held)}
}

func number(p *regexp.Regexp, text string) int {
	m := p.FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1]) // digits, and too many of them are as good as none
	return n
}
