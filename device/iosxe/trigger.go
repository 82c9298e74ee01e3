package iosxe

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Trigger is a command that makes the tunnel negotiate while the capture runs. Every trigger is
// about one peer only.
type Trigger struct {
	Command Command
	Target  netip.Addr // the peer to be cleared, or the address to be pinged
	Clears  bool       // it tears the tunnel down
	VRF     VRF        // the front-door VRF that a clear is limited to; zero: the global table, or whichever it is
}

// TriggerForms lists what ParseTrigger takes, for messages and help.
func TriggerForms() []string {
	return []string{
		"clear crypto session remote ADDRESS [fvrf NAME]",
		"clear crypto sa peer [vrf NAME] ADDRESS",
		"clear crypto ikev2 sa remote ADDRESS",
		"ping [vrf NAME] ADDRESS [source INTERFACE] [repeat N]",
	}
}

// ParseTrigger reads a trigger command. Anything that would touch other peers than the one that is
// named is refused.
func ParseTrigger(line string) (Trigger, error) {
	words := strings.Fields(line)
	if len(words) > 0 && words[0] == "ping" {
		return parsePing(words[1:])
	}
	for _, form := range clearForms {
		rest, ok := strings.CutPrefix(strings.Join(words, " "), form.words+" ")
		if !ok {
			continue
		}
		t, err := form.parse(strings.Fields(rest))
		if err != nil {
			return Trigger{}, fmt.Errorf("trigger %q: %w", line, err)
		}
		return t, nil
	}
	return Trigger{}, fmt.Errorf("trigger %q: want one of: %s", line, strings.Join(TriggerForms(), "; "))
}

// clearForm is a trigger that clears. Where a VRF can be named, it stands before or
// behind the address.
type clearForm struct{ name, words, before, behind string }

var clearForms = []clearForm{
	{"clear-crypto-session", "clear crypto session remote", "", "fvrf"},
	{"clear-crypto-sa", "clear crypto sa peer", "vrf", ""},
	{"clear-ikev2-sa", "clear crypto ikev2 sa remote", "", ""},
}

func (f clearForm) parse(words []string) (Trigger, error) {
	var vrf VRF
	var err error
	switch {
	case len(words) == 3 && f.before != "" && words[0] == f.before:
		vrf, err = ParseVRF(words[1])
		words = words[2:]
	case len(words) == 3 && f.behind != "" && words[1] == f.behind:
		vrf, err = ParseVRF(words[2])
		words = words[:1]
	}
	if err != nil {
		return Trigger{}, err
	}
	if len(words) != 1 {
		return Trigger{}, fmt.Errorf("want one of: %s", strings.Join(TriggerForms(), "; "))
	}
	target, err := parseHost(words[0])
	if err != nil {
		return Trigger{}, err
	}
	return f.trigger(target, vrf), nil
}

func (f clearForm) trigger(target netip.Addr, vrf VRF) Trigger {
	line := f.words + " " + target.String()
	switch {
	case vrf.IsZero():
	case f.before != "":
		line = f.words + " " + f.before + " " + vrf.s + " " + target.String()
	default:
		line += " " + f.behind + " " + vrf.s
	}
	return Trigger{Command: exec(f.name, line), Target: target, Clears: true, VRF: vrf}
}

// In limits a trigger that clears to the VRF in which the peer is reached: in another table, the
// same address is another peer.
func (t Trigger) In(fvrf VRF) (Trigger, error) {
	if !t.Clears || t.VRF == fvrf {
		return t, nil
	}
	if !t.VRF.IsZero() {
		return t, fmt.Errorf("vrf %s: the peer is reached in %s", t.VRF, describeVRF(fvrf))
	}
	for _, f := range clearForms {
		if f.name != t.Command.Name {
			continue
		}
		if f.before+f.behind == "" {
			return t, fmt.Errorf("it cannot be limited to %s: use clear crypto session remote", describeVRF(fvrf))
		}
		return f.trigger(t.Target, fvrf), nil
	}
	return t, nil
}

func describeVRF(v VRF) string {
	if v.IsZero() {
		return "the global table"
	}
	return "vrf " + v.s
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
	return Trigger{Command: c, Target: target}, nil
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

// DebugOn turns on the IKEv2 debug for one peer. The condition comes first, so that no other peer
// is ever traced.
func DebugOn(peer netip.Addr) ([]Command, error) { return debugCommands(peer, "") }

// DebugOff undoes DebugOn, in reverse: were the condition removed first, every peer would be traced
// for a moment.
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
