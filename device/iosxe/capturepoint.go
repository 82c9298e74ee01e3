package iosxe

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// CapturePoint is a `monitor capture` as the playbook defines it: one interface or more, both
// directions, one filter, bounds.
type CapturePoint struct {
	Name      Name
	ACL       Name // the filter; empty: the filter is Local and Remote, inside the capture point
	Local     netip.Addr
	Remote    netip.Addr
	UDPOnly   bool // of the filter inside the capture point
	Interface Interface
	Also      []Interface // further ones by which the same packets may pass; at most MaxAlso
	// ControlPlane has it capture at the control plane, and on no interface.
	ControlPlane bool
	BufferMB     int           // 1 to 100
	Circular     bool          // overwrite the oldest packets when the buffer is full, instead of stopping
	Duration     time.Duration // whole seconds, 1 s to 1,000,000 s
	Packets      int           // 1 to 100,000
	PacketLen    int           // bytes kept of each packet, 64 to 9500; 0: all of it
	PPS          int           // packets kept per second, 1 to 1,000,000; 0: the router's default, 1000
}

// MaxAlso is how many interfaces a capture point may have beside the first.
const MaxAlso = 3

// attached are the interfaces as they are typed.
func (p CapturePoint) attached() string {
	if p.ControlPlane {
		return "control-plane both"
	}
	line := "interface " + p.Interface.s + " both"
	for _, i := range p.Also {
		line += " interface " + i.s + " both"
	}
	return line
}

// The ranges are those that a CSR1000V names in its own help (`monitor capture NAME limit ?`).
func (p CapturePoint) check() error {
	if p.Name.IsZero() || p.Interface.IsZero() == !p.ControlPlane {
		return fmt.Errorf("capture point: a name, and interfaces or the control plane, are needed")
	}
	if len(p.Also) > MaxAlso || slices.ContainsFunc(p.Also, Interface.IsZero) {
		return fmt.Errorf("capture point %s: want at most %d interfaces beside %s, each with a name", p.Name, MaxAlso,
			p.Interface)
	}
	if p.Duration%time.Second != 0 {
		return fmt.Errorf("capture point %s: duration %s: want whole seconds", p.Name, p.Duration)
	}
	for _, r := range []struct {
		what             string
		value, low, high int
		optional         bool
	}{
		{"buffer size in MB", p.BufferMB, 1, 100, false},
		{"duration in seconds", int(p.Duration / time.Second), 1, 1000000, false},
		{"packets", p.Packets, 1, 100000, false},
		{"packet-len", p.PacketLen, 64, 9500, true},
		{"pps", p.PPS, 1, 1000000, true},
	} {
		if !(r.optional && r.value == 0) && (r.value < r.low || r.value > r.high) {
			return fmt.Errorf("capture point %s: %s %d: want %d to %d", p.Name, r.what, r.value, r.low, r.high)
		}
	}
	return nil
}

// DefineCapture makes the two commands that define p: the capture with its filter, buffer and
// interface, then its limits.
func DefineCapture(p CapturePoint) ([]Command, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	define, err := p.define()
	if err != nil {
		return nil, err
	}
	return []Command{
		exec("define-capture", define),
		withAnswers(exec("limit-capture", p.limit()), answer(replaceLimit)),
	}, nil
}

// A fresh capture point has a pps limit of its own already, and setting it again may ask; others
// may be asked about alike.
var (
	replaceLimit = lazyregexp.New(`(?i)replace\?\s*\[confirm\]\s*$`)
	clearPackets = lazyregexp.New(`(?i)\[clear\]\?\s*\[confirm\]\s*$`)
)

func (p CapturePoint) define() (string, error) {
	head := "monitor capture " + p.Name.s
	buffer := "buffer size " + strconv.Itoa(p.BufferMB)
	if p.Circular {
		buffer = "buffer circular size " + strconv.Itoa(p.BufferMB)
	}
	attach := p.attached()
	if !p.ACL.IsZero() {
		return head + " access-list " + p.ACL.s + " " + buffer + " " + attach, nil
	}
	filter, err := p.inlineFilter()
	if err != nil {
		return "", err
	}
	return head + " " + buffer + " " + attach + " " + filter, nil
}

// inlineFilter matches what goes between the two addresses, either way. An inline filter has one
// source and one destination; the keyword bidirectional adds the way back.
func (p CapturePoint) inlineFilter() (string, error) {
	local, err := hostAddr(p.Local)
	if err != nil {
		return "", fmt.Errorf("capture point %s: local %w", p.Name, err)
	}
	remote, err := hostAddr(p.Remote)
	if err != nil {
		return "", fmt.Errorf("capture point %s: remote %w", p.Name, err)
	}
	if local.Is4() != remote.Is4() {
		return "", fmt.Errorf("capture point %s: addresses %s and %s: want one family", p.Name, local, remote)
	}
	family := "ipv4"
	if local.Is6() {
		family = "ipv6"
	}
	if p.UDPOnly {
		family += " protocol udp"
	}
	return fmt.Sprintf("match %s host %s host %s bidirectional", family, local, remote), nil
}

func (p CapturePoint) limit() string {
	s := fmt.Sprintf("monitor capture %s limit duration %d packets %d", p.Name, p.Duration/time.Second, p.Packets)
	if p.PacketLen > 0 {
		s += " packet-len " + strconv.Itoa(p.PacketLen)
	}
	if p.PPS > 0 {
		s += " pps " + strconv.Itoa(p.PPS)
	}
	return s
}

// StartCapture starts a defined capture.
func StartCapture(n Name) Command { return exec("start-capture", "monitor capture "+n.s+" start") }

// StopCapture stops a running capture. Its packets stay in the router's memory.
func StopCapture(n Name) Command { return exec("stop-capture", "monitor capture "+n.s+" stop") }

// ClearCapture throws away the packets that a capture collected.
func ClearCapture(n Name) Command {
	return withAnswers(exec("clear-capture", "monitor capture "+n.s+" clear"), answer(clearPackets))
}

// ExportCapture writes the packets of a stopped capture to a file. It has no answer to the question
// whether to overwrite: the playbook never does.
func ExportCapture(n Name, f File) Command {
	c := exec("export-capture", "monitor capture "+n.s+" export "+f.String())
	c.Slow = true
	return c
}

// NoCapture removes a capture with its packets. Should a release ask whether it may, it may: the
// name is ours.
func NoCapture(n Name) Command {
	return withAnswers(exec("remove-capture", "no monitor capture "+n.s), Confirm())
}
