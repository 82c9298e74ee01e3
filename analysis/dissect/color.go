package dissect

import (
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/packet"
)

// The colours of a list (ECMA-48, Section 8.3.117), the same as in the report: red for what is
// refused or broken, yellow for what the path says, nothing for IKE that goes well, and the traffic
// around it stands back.
const (
	colorHead   = "1"
	colorFaint  = "2"
	colorError  = "31"
	colorNotice = "33"
	colorName   = "36"
)

// appendPainted appends text in a colour; "" is none.
func appendPainted(dst []byte, color string, text []byte) []byte {
	if color == "" || len(text) == 0 {
		return append(dst, text...)
	}
	dst = append(append(append(dst, "\x1b["...), color...), 'm')
	return append(append(dst, text...), "\x1b[0m"...)
}

// lineColor is the colour of a packet's line.
func lineColor(d *decodedPacket) string {
	switch {
	case d.p.Kind == packet.IKE && (d.faulty() || d.refuses()):
		return colorError
	case d.p.Kind == packet.IKE:
		return ""
	case d.p.Kind == packet.ICMP:
		return colorNotice
	}
	return colorFaint
}

// refuses says whether the message holds the notification of an error that can be read.
func (d *decodedPacket) refuses() bool {
	for _, p := range d.payloads() {
		switch n := p.(type) {
		case *ike.Notify:
			if n.Number.IsError() {
				return true
			}
		case *ike.NotifyV1:
			if n.IsError() {
				return true
			}
		}
	}
	return false
}
