package iosxe

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Trigger is a command that makes the tunnel negotiate while the capture runs. Every trigger is about one peer only.
type Trigger struct {
	Command Command
	Target  netip.Addr // the peer to be cleared, or the address to be pinged
	Clears  bool       // it tears the tunnel down
}

// TriggerForms lists what ParseTrigger takes, for messages and help.
func TriggerForms() []string {
	return []string{
		"clear crypto session remote ADDRESS",
		"clear crypto sa peer ADDRESS",
		"clear crypto ikev2 sa remote ADDRESS",
		"ping [vrf NAME] ADDRESS [source INTERFACE] [repeat N]",
	}
}

// ParseTrigger reads a trigger command. Anything that would touch other peers than the one that is named is refused.
func ParseTrigger(line string) (Trigger, error) {
	words := strings.Fields(line)
	if len(words) > 0 && words[0] == "ping" {
		return parsePing(words[1:])
	}
	for _, form := range []struct{ name, words string }{
		{"clear-crypto-session", "clear crypto session remote"},
		{"clear-crypto-sa", "clear crypto sa peer"},
		{"clear-ikev2-sa", "clear crypto ikev2 sa remote"},
	} {
		f := strings.Fields(form.words)
		if len(words) != len(f)+1 || strings.Join(words[:len(f)], " ") != form.words {
			continue
		}
		target, err := parseHost(words[len(f)])
		if err != nil {
			return Trigger{}, fmt.Errorf("trigger %q: %w", line, err)
		}
		return Trigger{exec(form.name, form.words+" "+target.String()), target, true}, nil
	}
	return Trigger{}, fmt.Errorf("trigger %q: want one of: %s", line, strings.Join(TriggerForms(), "; "))
}

func parsePing(words []string) (Trigger, error) {
	fail := func(err error) (Trigger, error) {
		return Trigger{}, fmt.Errorf("trigger %q: %w", "ping "+strings.Join(words, " "), err)
	}
	line, rest := "ping", words
	if len(rest) > 1 && rest[0] == "vrf" {
		vrf, err := ParseVRF(rest[1])
		if err != nil {
			return fail(err)
		}
		line, rest = line+" vrf "+vrf.s, rest[2:]
	}
	if len(rest) == 0 {
		return fail(fmt.Errorf("want an address"))
	}
	target, err := parseHost(rest[0])
	if err != nil {
		return fail(err)
	}
	options, err := pingOptions(rest[1:])
	if err != nil {
		return fail(err)
	}
	c := exec("ping", line+" "+target.String()+options)
	c.Slow = true
	return Trigger{c, target, false}, nil
}

func pingOptions(words []string) (string, error) {
	var b strings.Builder
	for ; len(words) >= 2; words = words[2:] {
		switch words[0] {
		case "source":
			i, err := ParseInterface(words[1])
			if err != nil {
				return "", err
			}
			b.WriteString(" source " + i.s)
		case "repeat":
			n, err := strconv.Atoi(words[1])
			if err != nil || n < 1 || n > 1000 {
				return "", fmt.Errorf("repeat %q: want 1 to 1000", words[1])
			}
			b.WriteString(" repeat " + strconv.Itoa(n))
		default:
			return "", fmt.Errorf("option %q: want source or repeat", words[0])
		}
	}
	if len(words) > 0 {
		return "", fmt.Errorf("option %q: it has no value", words[0])
	}
	return b.String(), nil
}

func parseHost(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return a, fmt.Errorf("address %q: %w", s, err)
	}
	return hostAddr(a)
}

// DebugOn turns on the IKEv2 debug for one peer. The condition comes first, so that no other peer is ever traced.
func DebugOn(peer netip.Addr) ([]Command, error) { return debugCommands(peer, "") }

// DebugOff undoes DebugOn, in reverse: were the condition removed first, every peer would be traced for a moment.
func DebugOff(peer netip.Addr) ([]Command, error) {
	c, err := debugCommands(peer, "no ")
	if err != nil {
		return nil, err
	}
	return []Command{c[1], c[0]}, nil
}

func debugCommands(peer netip.Addr, no string) ([]Command, error) {
	a, err := hostAddr(peer)
	if err != nil {
		return nil, fmt.Errorf("debug: %w", err)
	}
	if !a.Is4() {
		return nil, fmt.Errorf("debug: address %s: a debug can be limited to an IPv4 peer only", a)
	}
	return []Command{
		exec(strings.ReplaceAll(no, " ", "-")+"debug-condition", no+"debug crypto condition peer ipv4 "+a.String()),
		exec(strings.ReplaceAll(no, " ", "-")+"debug-ikev2", no+"debug crypto ikev2"),
	}, nil
}
