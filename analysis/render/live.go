package render

import (
	"bufio"
	"io"
	"net/netip"
	"sync"
	"time"

	"github.com/moncap/moncap/analysis/report"
)

// Live is one pcapng section that is written while two routers capture, for Wireshark to show at
// once: what is seen meanwhile on an interface a side, and at the end both captures as they were
// exported, with all that PCAPNG says of them.
type Live struct {
	mu sync.Mutex
	n  *ngWriter
}

// liveInterface is the number of an interface that no capture file has.
const liveInterface = -1

// NewLive begins the section, and describes the two interfaces.
func NewLive(w io.Writer, r *report.Report) (*Live, error) {
	l := &Live{n: &ngWriter{w: bufio.NewWriter(w), r: r, interfaces: map[ngInterface]uint32{}}}
	l.n.section("")
	for _, side := range []report.Side{report.A, report.B} {
		l.n.iface(ngInterface{side: side, index: liveInterface, link: linkEthernet})
	}
	return l, l.n.w.Flush()
}

// Packet writes a packet that was seen while a side captures.
func (l *Live) Packet(side report.Side, at time.Time, data []byte, wireLen int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := l.n.iface(ngInterface{side: side, index: liveInterface, link: linkEthernet})
	l.n.beginPacket(id, at.UnixNano(), data, wireLen)
	if err := l.n.end(); err != nil {
		return err
	}
	return l.n.w.Flush()
}

// Whole writes both captures, as PCAPNG does, behind what was seen live. The verdict is a comment
// of the first packet.
func (l *Live) Whole(r *report.Report, a, b io.Reader) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.n
	n.r, n.comments, n.lost = r, packetComments(r), lostFlows(r)
	n.verdict = "VERDICT " + n.headline()
	n.own = [2]map[netip.Addr]bool{ownAddresses(r.Sides.A), ownAddresses(r.Sides.B)}
	return n.captures(a, b)
}
