package iosxe

import (
	"fmt"
	"net/netip"
)

// Protocol is what an access list entry permits.
type Protocol string

// The protocols that the playbook's access lists name. UDP goes without ports: fragments after the
// first carry none.
const (
	UDP             Protocol = "udp"
	ESP             Protocol = "esp"
	AH              Protocol = "ahp"
	ICMPUnreachable Protocol = "icmp-unreachable"    // destination unreachable, all codes
	ICMPTooBig      Protocol = "icmp-packet-too-big" // IPv6 only; in IPv4 it is one of the unreachables
)

// Entry is one permit line of an access list. An address that is not valid stands for any.
type Entry struct {
	Protocol Protocol
	From, To netip.Addr
}

// ACL makes the extended access list name, of IPv4 or IPv6 as the addresses of the entries say.
func ACL(name Name, entries []Entry) (Command, error) {
	six, err := aclFamily(name, entries)
	if err != nil {
		return Command{}, err
	}
	c := Command{Name: "define-acl", Mode: Config, Lines: []string{"ip access-list extended " + name.s}}
	if six {
		c.Lines[0] = "ipv6 access-list " + name.s
	}
	for i, e := range entries {
		line, err := e.line(six)
		if err != nil {
			return Command{}, fmt.Errorf("access list %s: entry %d: %w", name, i+1, err)
		}
		c.Lines = append(c.Lines, line)
	}
	return c, nil
}

// NoACL removes the access list that ACL made; six says that it is one of IPv6.
func NoACL(name Name, six bool) Command {
	c := Command{Name: "remove-acl", Mode: Config, Lines: []string{"no ip access-list extended " + name.s}}
	if six {
		c.Lines[0] = "no ipv6 access-list " + name.s
	}
	return c
}

func aclFamily(name Name, entries []Entry) (six bool, err error) {
	var four bool
	for _, e := range entries {
		for _, a := range []netip.Addr{e.From.Unmap(), e.To.Unmap()} {
			four, six = four || a.Is4(), six || a.Is6()
		}
	}
	switch {
	case name.IsZero():
		return false, fmt.Errorf("access list: it has no name")
	case !four && !six:
		return false, fmt.Errorf("access list %s: no entry names an address", name)
	case four && six:
		return false, fmt.Errorf("access list %s: IPv4 and IPv6 addresses in one list", name)
	}
	return six, nil
}

func (e Entry) line(six bool) (string, error) {
	from, err := e.operand(e.From)
	if err != nil {
		return "", err
	}
	to, err := e.operand(e.To)
	if err != nil {
		return "", err
	}
	switch e.Protocol {
	case UDP, ESP, AH:
		return fmt.Sprintf("permit %s %s %s", e.Protocol, from, to), nil
	case ICMPUnreachable:
		return fmt.Sprintf("permit icmp %s %s unreachable", from, to), nil
	case ICMPTooBig:
		if six {
			return fmt.Sprintf("permit icmp %s %s packet-too-big", from, to), nil
		}
	}
	return "", fmt.Errorf("protocol %q: an access list of this family cannot permit it", e.Protocol)
}

func (Entry) operand(a netip.Addr) (string, error) {
	if !a.IsValid() {
		return "any", nil
	}
	a, err := hostAddr(a)
	if err != nil {
		return "", err
	}
	return "host " + a.String(), nil
}
