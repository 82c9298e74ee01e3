package exchange

import "strconv"

// unreachable are the codes of ICMP destination unreachable (RFC 792; RFC 1122, Section 3.2.2.1;
// RFC 1812, Section 5.2.7.1).
var unreachable = map[uint8]string{
	0: "network unreachable", 1: "host unreachable", 2: "protocol unreachable", 3: "port unreachable",
	4: "fragmentation needed",
	5: "source route failed", 6: "network unknown", 7: "host unknown", 9: "network administratively prohibited",
	10: "host administratively prohibited", 11: "network unreachable for this type of service",
	12: "host unreachable for this type of service",
	13: "administratively prohibited", 14: "host precedence violation", 15: "precedence cutoff",
}

// unreachable6 are the codes of ICMPv6 destination unreachable (RFC 4443, Section 3.1).
var unreachable6 = map[uint8]string{
	0: "no route to destination", 1: "administratively prohibited", 2: "beyond the scope of the source address",
	3: "address unreachable", 4: "port unreachable", 5: "source address failed policy", 6: "route rejected",
}

// Meaning returns the error in words.
func (e *ICMP) Meaning() string {
	t, c := e.Type, e.Code
	text := ""
	switch {
	case e.V6 && t == 1:
		text = unreachable6[c]
	case e.V6 && t == 2:
		text = "packet too big"
	case e.V6 && t == 3, !e.V6 && t == 11:
		text = [...]string{"hop limit exceeded in transit", "fragment reassembly time exceeded"}[min(c, 1)]
	case e.V6 && t == 4 && c == 1:
		text = "unrecognized next header"
	case e.V6 && t == 4, !e.V6 && t == 12:
		text = "parameter problem"
	case !e.V6 && t == 3:
		text = unreachable[c]
	case !e.V6 && t == 4:
		text = "source quench"
	case !e.V6 && t == 5:
		text = "redirect"
	}
	if text == "" {
		text = "type " + strconv.Itoa(int(t)) + " code " + strconv.Itoa(int(c))
	}
	return text
}

// Prohibited says whether a filter refused the packet.
func (e *ICMP) Prohibited() bool {
	if e.V6 {
		return e.Type == 1 && (e.Code == 1 || e.Code == 5)
	}
	return e.Type == 3 && (e.Code == 9 || e.Code == 10 || e.Code == 13)
}

// TooBig says whether the packet did not fit the next link.
func (e *ICMP) TooBig() bool {
	return e.V6 && e.Type == 2 || !e.V6 && e.Type == 3 && e.Code == 4
}

// Advises says whether the device passed the packet on, or only asks for fewer: a redirect to
// another next hop, a source quench (RFC 792; RFC 6633, Section 3 has that ignored).
func (e *ICMP) Advises() bool { return !e.V6 && (e.Type == 4 || e.Type == 5) }

// HopsExceeded says whether the packet went in circles until its hops were used up (RFC 792;
// RFC 4443, Section 3.3).
func (e *ICMP) HopsExceeded() bool { return e.exceeded() && e.Code == 0 }

// Reassembly says whether fragments of the packet arrived and the others did not (RFC 792;
// RFC 4443, Section 3.3).
func (e *ICMP) Reassembly() bool { return e.exceeded() && e.Code == 1 }

func (e *ICMP) exceeded() bool { return e.V6 && e.Type == 3 || !e.V6 && e.Type == 11 }
