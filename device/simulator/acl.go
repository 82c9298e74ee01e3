package simulator

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// accessList is an extended access list, of IPv4 or IPv6.
type accessList struct {
	name    string
	six     bool
	entries []entry
}

type entry struct {
	seq  int
	text string // without the sequence number
	rule rule
}

// rule is what one entry, or an inline filter, matches.
type rule struct {
	permit   bool
	protocol int // -1: any
	src, dst operand
	icmp     string // the ICMP message by its name
	both     bool   // the way back too
	family   byte   // 4 or 6, 0: either
}

// operand is one end of a rule.
type operand struct {
	network netip.Prefix // not valid: any
	port    func(uint16) bool
}

var protocols = map[string]int{
	"ip": -1, "ipv6": -1, "udp": 17, "tcp": 6, "esp": 50, "ahp": 51, "icmp": 1, "gre": 47, "ospf": 89, "igmp": 2,
	"pim": 103,
}

// icmpKinds are the ICMP messages with a name: type and, unless negative, code, for IPv4 and IPv6.
var icmpKinds = map[string][2][2]int{
	"echo":                        {{8, -1}, {-1, -1}},
	"echo-reply":                  {{0, -1}, {129, -1}},
	"echo-request":                {{-1, -1}, {128, -1}},
	"unreachable":                 {{3, -1}, {1, -1}},
	"packet-too-big":              {{3, 4}, {2, -1}},
	"time-exceeded":               {{11, -1}, {3, -1}},
	"host-unreachable":            {{3, 1}, {1, 3}},
	"port-unreachable":            {{3, 3}, {1, 4}},
	"administratively-prohibited": {{3, 13}, {1, 1}},
}

var portNames = map[string]int{
	"isakmp": 500, "non500-isakmp": 4500, "domain": 53, "ntp": 123, "snmp": 161, "syslog": 514, "tftp": 69, "www": 80,
	"telnet": 23, "bgp": 179, "ssh": 22,
}

// numbered gives a port the name that IOS shows.
func numbered(protocol string, port int) string {
	for name, n := range portNames {
		tcp := slices.Contains([]string{"www", "telnet", "bgp"}, name)
		if n == port && name != "ssh" && (protocol == "tcp") == tcp {
			return name
		}
	}
	return fmt.Sprint(port)
}

// addEntries puts the entries of access lists into the grammars of their modes.
func addEntries(g grammar) {
	for six, mode := range map[bool]*node{false: g.extNACL, true: g.ipv6ACL} {
		add := func(s *session, c *call) { s.addEntry(c.words) }
		start := entryGrammar(six, add)
		mode.next = append(mode.next, start...)
		sequence := &node{word: "<1-2147483647>", help: "Sequence Number", level: 15, value: values["<1-2147483647>"],
			next: start}
		if six {
			sequence = &node{word: "sequence", help: "Sequence number for this entry", level: 15, next: []*node{{
				word: "<1-4294967294>", help: "Sequence number", level: 15, value: values["<1-4294967294>"], next: start}}}
		}
		mode.next = append(mode.next, sequence)
		drop := func(s *session, c *call) { s.dropEntry(c.words[1:]) }
		no := &node{word: "no", help: "Negate a command or set its defaults", level: 15, next: entryGrammar(six, drop)}
		no.next = append(no.next, &node{word: "<1-2147483647>", help: "Sequence Number", level: 15,
			value: values["<1-2147483647>"], run: drop})
		mode.next = append(mode.next, no)
		mode.add("remark LINE", "Access list entry comment", 15, func(*session, *call) {})
	}
}

// entryGrammar builds the grammar of `permit udp host A eq 500 any` from its end backwards.
func entryGrammar(six bool, run func(*session, *call)) []*node {
	logged := &node{word: "log", help: "Log matches against this entry", level: 15, run: run}
	end := []*node{logged}
	withPorts := func(next []*node) []*node {
		ports := []*node{{word: "<0-65535>", help: "Port number", level: 15, value: values["<0-65535>"], next: next,
			run: run}}
		for name := range portNames {
			ports = append(ports, &node{word: name, help: "Port by name", level: 15, next: next, run: run})
		}
		return []*node{{word: "eq", help: "Match only packets on a given port number", level: 15, next: ports}}
	}
	var kinds []*node
	for name := range icmpKinds {
		kinds = append(kinds, &node{word: name, help: "ICMP message", level: 15, run: run, next: end})
	}
	plain := operandGrammar(six, operandGrammar(six, end, run), nil)
	withICMP := operandGrammar(six, operandGrammar(six, append(kinds, logged), run), nil)
	second := operandGrammar(six, append(withPorts(end), logged), run)
	firstPorts := withPorts(second)
	for _, p := range firstPorts[0].next { // a source port is not the end of an entry
		p.run = nil
	}
	withUDP := operandGrammar(six, append(firstPorts, second...), nil)
	var starts []*node
	for _, action := range []string{"deny", "permit"} {
		n := &node{word: action, help: "Specify packets to " + map[string]string{"deny": "reject",
			"permit": "forward"}[action], level: 15}
		for name := range protocols {
			next := plain
			switch name {
			case "icmp":
				next = withICMP
			case "udp", "tcp":
				next = withUDP
			}
			if name != map[bool]string{true: "ip", false: "ipv6"}[six] {
				n.next = append(n.next, &node{word: name, help: "Protocol", level: 15, next: next})
			}
		}
		n.next = append(n.next, &node{word: "<0-255>", help: "An IP protocol number", level: 15, value: values["<0-255>"],
			next: plain})
		starts = append(starts, n)
	}
	return starts
}

// operandGrammar is one address of an entry; run is set where the entry may end after it.
func operandGrammar(six bool, next []*node, run func(*session, *call)) []*node {
	address, prefix := "A.B.C.D", "A.B.C.D/nn"
	if six {
		address, prefix = "X:X:X:X::X", "X:X:X:X::X/nnn"
	}
	host := &node{word: address, help: "Host address", level: 15, value: values[address], next: next, run: run}
	nodes := []*node{
		{word: "any", help: "Any host", level: 15, next: next, run: run},
		{word: "host", help: "A single host", level: 15, next: []*node{host}},
		{word: prefix, help: "Address and prefix length", level: 15, value: values[prefix], next: next, run: run},
	}
	if !six {
		wildcard := &node{word: "A.B.C.D", help: "Wildcard bits", level: 15, value: values["A.B.C.D"], next: next, run: run}
		nodes = append(nodes, &node{word: "A.B.C.D", help: "Address", level: 15, value: values["A.B.C.D"],
			next: []*node{wildcard}})
	}
	return nodes
}

var errEntry = errors.New("not an access list entry")

// parseRule reads the words of an entry after its sequence number, or of an inline
// filter after its action.
func parseRule(words []string) (rule, error) {
	if len(words) < 4 || words[0] != "permit" && words[0] != "deny" {
		return rule{}, errEntry
	}
	r := rule{permit: words[0] == "permit", protocol: -1}
	if p, ok := protocols[words[1]]; ok {
		r.protocol = p
	} else {
		r.protocol = number(words[1])
	}
	rest := words[2:]
	var err error
	if r.src, rest, err = parseOperand(rest); err != nil {
		return r, err
	}
	if r.dst, rest, err = parseOperand(rest); err != nil {
		return r, err
	}
	for _, w := range rest {
		switch _, named := icmpKinds[w]; {
		case named:
			r.icmp = w
		case w == "bidirectional":
			r.both = true
		case w != "log":
			return r, errEntry
		}
	}
	return r, nil
}

func parseOperand(words []string) (o operand, rest []string, err error) {
	if len(words) == 0 {
		return o, nil, errEntry
	}
	switch rest = words[1:]; {
	case words[0] == "any":
	case words[0] == "host" && len(rest) > 0:
		a, err := netip.ParseAddr(rest[0])
		if err != nil {
			return o, nil, errEntry
		}
		o.network, rest = netip.PrefixFrom(a, a.BitLen()), rest[1:]
	case strings.Contains(words[0], "/"):
		if o.network, err = netip.ParsePrefix(words[0]); err != nil {
			return o, nil, errEntry
		}
	case len(rest) > 0:
		if o.network, err = wildcarded(words[0], rest[0]); err != nil {
			return o, nil, err
		}
		rest = rest[1:]
	default:
		return o, nil, errEntry
	}
	if len(rest) > 1 && rest[0] == "eq" {
		port, named := portNames[rest[1]]
		if !named {
			port = number(rest[1])
		}
		o.port, rest = func(p uint16) bool { return int(p) == port }, rest[2:]
	}
	return o, rest, nil
}

// wildcarded reads an address with wildcard bits, of which only those that make a
// prefix are simulated.
func wildcarded(address, wildcard string) (netip.Prefix, error) {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}, errEntry
	}
	w, err := netip.ParseAddr(wildcard)
	if err != nil || !a.Is4() || !w.Is4() {
		return netip.Prefix{}, errEntry
	}
	bits := 0
	for _, b := range w.As4() {
		for i := 7; i >= 0; i-- {
			if b>>i&1 == 0 {
				bits++
			}
		}
	}
	return netip.PrefixFrom(a, bits).Masked(), nil
}

// matches says whether a frame is one that the rule means. A fragment after the first has no ports
// and no ICMP type: it matches by addresses and protocol, as IOS does for permit entries.
func (r rule) matches(f frame) bool {
	if !f.ip || r.family == 4 && !f.src.Is4() || r.family == 6 && !f.src.Is6() {
		return false
	}
	if r.protocol >= 0 && int(f.protocol) != r.protocol && (r.protocol != 1 || f.protocol != 58) {
		return false
	}
	if r.icmp != "" && !f.later && !r.icmpMatches(f) {
		return false
	}
	return r.ends(f, f.src, f.dst, f.sport, f.dport) || r.both && r.ends(f, f.dst, f.src, f.dport, f.sport)
}

func (r rule) ends(f frame, src, dst netip.Addr, sport, dport uint16) bool {
	return r.src.matches(f, src, sport) && r.dst.matches(f, dst, dport)
}

func (o operand) matches(f frame, a netip.Addr, port uint16) bool {
	if o.network.IsValid() && !o.network.Contains(a) {
		return false
	}
	return o.port == nil || f.later || f.ports && o.port(port)
}

func (r rule) icmpMatches(f frame) bool {
	want := icmpKinds[r.icmp][0]
	if f.src.Is6() {
		want = icmpKinds[r.icmp][1]
	}
	return want[0] == int(f.icmpType) && (want[1] < 0 || want[1] == int(f.icmpCode))
}

// permits says whether the list lets a frame through; what no entry names is denied.
func (l *accessList) permits(f frame) bool {
	if !f.ip || l.six != f.src.Is6() {
		return false
	}
	for _, e := range l.entries {
		if e.rule.matches(f) {
			return e.rule.permit
		}
	}
	return false
}

func (l *accessList) addText(text string) error {
	return l.insert(0, strings.Fields(text))
}

var errDuplicate = errors.New("duplicate")

// insert adds an entry, at the end when seq is 0.
func (l *accessList) insert(seq int, words []string) error {
	r, err := parseRule(words)
	if err != nil {
		return err
	}
	text := entryText(words)
	if slices.ContainsFunc(l.entries, func(e entry) bool { return e.text == text }) {
		return nil // IOS takes a repeated entry without a word and without effect
	}
	if seq == 0 {
		seq = 10
		if n := len(l.entries); n > 0 {
			seq = l.entries[n-1].seq + 10
		}
	}
	if slices.ContainsFunc(l.entries, func(e entry) bool { return e.seq == seq }) {
		return errDuplicate
	}
	l.entries = append(l.entries, entry{seq, text, r})
	slices.SortFunc(l.entries, func(a, b entry) int { return a.seq - b.seq })
	return nil
}

// entryText is an entry as IOS shows it: ports by name.
func entryText(words []string) string {
	shown := slices.Clone(words)
	for i, w := range shown[:len(shown)-1] {
		if w == "eq" {
			if n := number(shown[i+1]); n > 0 {
				shown[i+1] = numbered(words[1], n)
			}
		}
	}
	return strings.Join(shown, " ")
}

func (s *session) addEntry(words []string) {
	s.router.mu.Lock()
	defer s.router.mu.Unlock()
	seq := 0
	switch {
	case words[0] == "sequence":
		seq, words = number(words[1]), words[2:]
	case number(words[0]) > 0:
		seq, words = number(words[0]), words[1:]
	}
	switch err := s.acl.insert(seq, words); {
	case errors.Is(err, errDuplicate):
		s.put("%% Duplicate sequence number\n%%Failed to add ace to access-list\n\n")
	case err != nil:
		s.put("%% Incomplete command.\n\n")
	}
}

func (s *session) dropEntry(words []string) {
	s.router.mu.Lock()
	defer s.router.mu.Unlock()
	seq, text := number(words[0]), ""
	if seq == 0 {
		text = entryText(words)
	}
	s.acl.entries = slices.DeleteFunc(s.acl.entries, func(e entry) bool { return e.seq == seq || e.text == text })
}

// configText is the list in the running configuration; from 17 on the entries show their numbers.
func (l *accessList) configText(numbers bool) string {
	var b strings.Builder
	head := "ip access-list extended "
	if l.six {
		head = "ipv6 access-list "
	}
	b.WriteString(head + l.name + "\n")
	for _, e := range l.entries {
		switch {
		case numbers && l.six:
			fmt.Fprintf(&b, " sequence %d %s\n", e.seq, e.text)
		case numbers:
			fmt.Fprintf(&b, " %d %s\n", e.seq, e.text)
		default:
			b.WriteString(" " + e.text + "\n")
		}
	}
	return b.String()
}

// showText is the list in `show access-lists`.
func (l *accessList) showText() string {
	var b strings.Builder
	if l.six {
		fmt.Fprintf(&b, "IPv6 access list %s\n", l.name)
	} else {
		fmt.Fprintf(&b, "Extended IP access list %s\n", l.name)
	}
	for _, e := range l.entries {
		if l.six {
			fmt.Fprintf(&b, "    %s sequence %d\n", e.text, e.seq)
		} else {
			fmt.Fprintf(&b, "    %d %s\n", e.seq, e.text)
		}
	}
	return b.String()
}
