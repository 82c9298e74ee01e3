package ike

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
)

// Value returns the attribute's value as people write it (RFC 7296, Section 3.15.1; RFC 5739;
// RFC 8598; RFC 9464); empty for an attribute that only asks.
func (a ConfigAttribute) Value() string {
	b := a.Data
	if len(b) == 0 {
		return ""
	}
	switch n := a.Type & 0x7fff; {
	case n == 14 && len(b)%2 == 0:
		return attributeList(b)
	case n == 13 && len(b) == 8:
		return netip.AddrFrom4([4]byte(b)).String() + "/" + netip.AddrFrom4([4]byte(b[4:])).String()
	case (n == 8 || n == 15 || n == 18) && len(b) == 17:
		return fmt.Sprintf("%s/%d", netip.AddrFrom16([16]byte(b)), b[16])
	case (n == 5 || n == 24) && len(b) == 4:
		return fmt.Sprintf("%d seconds", binary.BigEndian.Uint32(b))
	case n == 27 || n == 28:
		if text, ok := encryptedDNS(b, 4+12*int(n-27)); ok {
			return text
		}
	}
	if addr, ok := netip.AddrFromSlice(b); ok && !isText(b) || ok && addressAttribute(a.Type) {
		return addr.String()
	}
	if isText(b) {
		return string(b)
	}
	return short(b)
}

// addressAttribute says whether an attribute is an address, even one whose bytes look like text.
func addressAttribute(n uint16) bool {
	name := modeConfigNames[n&0x7fff]
	if name == "" {
		name = configNames.of(int(n & 0x7fff))
	}
	return strings.Contains(name, "_IP4_") || strings.Contains(name, "_IP6_") || strings.HasPrefix(name, "HOME_AGENT")
}

func attributeList(b []byte) string {
	var all []string
	for ; len(b) >= 2; b = b[2:] {
		all = append(all, ConfigAttributeName(binary.BigEndian.Uint16(b)))
	}
	return strings.Join(all, ", ")
}

// encryptedDNS reads priority, addresses of size bytes, the resolver's name and its service
// parameters (RFC 9464, Section 3.1).
func encryptedDNS(b []byte, size int) (string, bool) {
	if len(b) < 4 || len(b) < 4+int(b[2])*size+int(b[3]) {
		return "", false
	}
	priority, count, name := binary.BigEndian.Uint16(b), int(b[2]), int(b[3])
	b = b[4:]
	var parts []string
	for range count {
		a, _ := netip.AddrFromSlice(b[:size])
		parts, b = append(parts, a.String()), b[size:]
	}
	text := fmt.Sprintf("priority %d, %s", priority, strings.Join(parts, " "))
	if isText(b[:name]) {
		text += ", " + string(b[:name])
	}
	if rest := b[name:]; len(rest) > 0 {
		text += ", parameters " + short(rest)
	}
	return text, true
}
