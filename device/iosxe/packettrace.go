package iosxe

import (
	"fmt"
	"net/netip"
	"strconv"
)

// PacketTrace is a trace of what the data plane does with the packets of one peer (Cisco document
// 117858, "Use the IOS XE Datapath Packet Trace Feature"). It is EXEC state: a reload forgets it.
type PacketTrace struct {
	Peer       netip.Addr  // of whom the packets are, either way
	Interfaces []Interface // on which they pass; a condition for each
	Packets    int         // traced before it stops by itself: TracedLeast to TracedMost
}

// A router takes 16 to 8192 packets. moncap asks for no more than are read at once afterwards.
const (
	TracedLeast = 16
	TracedMost  = 256
)

// Conditions are the commands that say which packets are meant, one for each interface. Nothing is
// traced before Start.
func (t PacketTrace) Conditions() ([]Command, error) { return t.conditions("") }

// NoConditions takes Conditions back, and nobody else's: never `clear platform condition all`.
func (t PacketTrace) NoConditions() ([]Command, error) { return t.conditions("no ") }

func (t PacketTrace) conditions(no string) ([]Command, error) {
	a, err := hostAddr(t.Peer)
	if err != nil {
		return nil, fmt.Errorf("packet trace: %w", err)
	}
	if len(t.Interfaces) == 0 {
		return nil, fmt.Errorf("packet trace of %s: it needs an interface", a)
	}
	family := "ipv4"
	if a.Is6() {
		family = "ipv6"
	}
	name := "trace-condition"
	if no != "" {
		name = "no-trace-condition"
	}
	var all []Command
	for _, i := range t.Interfaces {
		if i.IsZero() {
			return nil, fmt.Errorf("packet trace of %s: an interface has no name", a)
		}
		all = append(all,
			exec(name, fmt.Sprintf("%sdebug platform condition interface %s %s %s/%d both", no, i, family, a, a.BitLen())))
	}
	return all, nil
}

// Keep has the data plane keep the traces of that many packets.
func (t PacketTrace) Keep() (Command, error) { return t.keep("packet-trace", "") }

// NoKeep takes Keep back, and frees what was traced.
func (t PacketTrace) NoKeep() (Command, error) { return t.keep("no-packet-trace", "no ") }

func (t PacketTrace) keep(name, no string) (Command, error) {
	if t.Packets < TracedLeast || t.Packets > TracedMost {
		return Command{}, fmt.Errorf("packet trace of %d packets: want %d to %d", t.Packets, TracedLeast, TracedMost)
	}
	return exec(name, no+"debug platform packet-trace packet "+strconv.Itoa(t.Packets)), nil
}

// StartConditions has the conditions of the platform apply from now on: those of everybody.
func StartConditions() Command {
	return exec("start-conditions", "debug platform condition start")
}

// StopConditions ends that.
func StopConditions() Command { return exec("stop-conditions", "debug platform condition stop") }

// ShowConditions lists the conditions of the platform, and whether they apply.
func ShowConditions() Command { return exec("show-conditions", "show platform conditions") }

// ShowTraceConfiguration shows what the data plane is to trace. It prints nothing
// when it is nothing.
func ShowTraceConfiguration() Command {
	return exec("show-trace-configuration", "show platform packet-trace configuration")
}

// ShowTraceSummary lists the traced packets, a line each.
func ShowTraceSummary() Command {
	return exec("show-trace-summary", "show platform packet-trace summary")
}

// ShowTracedPackets shows all that is known of each traced packet: two to four kilobytes each.
func ShowTracedPackets() Command {
	c := exec("show-traced-packets", "show platform packet-trace packet all")
	c.Slow = true
	return c
}
