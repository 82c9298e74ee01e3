package facts

import (
	"strings"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/device/iosxe"
)

// ControlPlane is what a capture at a router's control plane holds: the packets that the router
// handed to its own processes, IKE among them, and those that these sent. It ran for longer than
// the capture at the interfaces, so that what is there, was for the router, and is not here never
// came to IKE.
type ControlPlane struct {
	Ran   bool // there was one, and it was read
	Whole bool // it lacks nothing of its packets
	// Packets is how many it has: by the router's count, or those that were shown where that is
	// not known.
	Packets int
	// how often a header is in it, by which one message is told from any other. Packets are looked
	// through for it: which link layer the router gives to what it takes there is not published.
	heads map[ike.Header]int
}

// versionAt is where an IKE header has its version, major and minor: 1.0 or 2.0.
const versionAt = 17

// ControlPlane reads what was captured at the router's control plane.
func (c Config) ControlPlane() ControlPlane {
	var p ControlPlane
	// Without the router's count it may have ended before the capture did: what it has is told, and
	// nothing is told by what it lacks.
	b, err := iosxe.ParseBuffer(c[iosxe.AtControlPlane("show-capture-buffer")])
	counted := err == nil
	if _, dumped := c[iosxe.AtControlPlane("show-capture-dump")]; !counted && !dumped {
		return p
	}
	p.Ran, p.heads = true, map[ike.Header]int{}
	whole := 0
	for d, err := range iosxe.ParseDump(strings.NewReader(c[iosxe.AtControlPlane("show-capture-dump")])) {
		if err != nil || whole >= iosxe.ControlPlanePackets {
			break
		}
		whole++
		p.add(d.Data)
	}
	p.Packets = whole
	if counted {
		p.Packets = b.Packets
	}
	p.Whole = counted && whole == b.Packets && b.Dropped == 0 && b.Packets < iosxe.ControlPlanePackets
	return p
}

func (p ControlPlane) add(frame []byte) {
	frame = frame[:min(len(frame), iosxe.ControlPlaneBytes)]
	for ; len(frame) >= ike.HeaderLen; frame = frame[1:] {
		if v := frame[versionAt]; v == 0x10 || v == 0x20 {
			if h, err := ike.ParseHeader(frame); err == nil {
				p.heads[h]++
			}
		}
	}
}

// Came counts how often a message is in it: each transmission of it that came to the control plane,
// or that it sent. ok is false for a message that is in pieces, whose parts are alike there.
func (p ControlPlane) Came(m *pair.Message) (n int, ok bool) {
	if !p.Ran || m.Fragments > 0 {
		return 0, false
	}
	return p.heads[m.Header], true
}
