package simulator

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// packetTrace is the data plane's packet trace (Cisco document 117858): conditions and what to keep
// are EXEC state, which a reload forgets. There is one for the whole router.
type packetTrace struct {
	conditions []traceCondition
	started    bool
	packets    int    // to keep; 0: no trace is configured
	options    string // as they were typed behind the number
	kept       []traced
	matched    int
}

type traceCondition struct {
	iface  string // empty: all
	prefix netip.Prefix
	way    string // both, ingress, egress
}

// traced is one packet, and what became of it.
type traced struct {
	at       time.Time // by the router's clock
	from, to netip.AddrPort
	protocol byte
	sent     bool
	state    string
	code     int // -1: none
	reason   string
	feature  string // that dropped it
	iface    string
	zone     string // of the firewall that dropped it
}

func addPacketTrace(exec *node) {
	for _, family := range []string{"ipv4 A.B.C.D/nn", "ipv6 X:X:X:X::X/nnn", "ipv4 A.B.C.D", "ipv6 X:X:X:X::X"} {
		for _, iface := range []string{"", "interface INTERFACE "} {
			syntax := "debug platform condition " + iface + family + " both|ingress|egress"
			exec.add(syntax, "Simultaneously match on the address", privileged, (*session).setCondition)
			exec.add("no "+syntax, "Simultaneously match on the address", privileged, (*session).setCondition)
		}
	}
	exec.add("debug platform condition start", "Start conditional debug", privileged,
		func(s *session, _ *call) { s.startConditions(true) })
	exec.add("debug platform condition stop", "Stop conditional debug", privileged,
		func(s *session, _ *call) { s.startConditions(false) })
	for _, options := range []string{"", " fia-trace", " summary-only", " circular"} {
		exec.add("debug platform packet-trace packet <16-8192>"+options, "Packet count", privileged, (*session).keepTraces)
		exec.add("no debug platform packet-trace packet <16-8192>"+options, "Packet count", privileged, (*session).keepTraces)
	}
	exec.add("clear platform condition all", "Clear all conditions", privileged, (*session).clearConditions)
	exec.add("clear platform packet-trace statistics", "Clear packet trace statistics", privileged, (*session).clearTraces)
	exec.add("clear platform packet-trace configuration", "Clear packet trace configuration", privileged,
		(*session).clearTraceConfiguration)
	exec.add("show platform conditions", "Conditional debug information", privileged, (*session).showConditions)
	exec.add("show platform packet-trace configuration", "Packet trace configuration", privileged,
		(*session).showTraceConfiguration)
	exec.add("show platform packet-trace summary", "Per packet summary information", privileged,
		(*session).showTraceSummary)
	exec.add("show platform packet-trace statistics", "Statistics", privileged, (*session).showTraceStatistics)
	exec.add("show platform packet-trace packet all", "All packets", privileged, (*session).showTraces)
	exec.add("show platform packet-trace packet <0-8191>", "Packet number", privileged, (*session).showTraces)
}

// setCondition sets or removes a condition of the platform.
func (s *session) setCondition(c *call) {
	words, no := c.words, c.words[0] == "no"
	if no {
		words = words[1:]
	}
	condition := traceCondition{iface: c.after("interface"), way: words[len(words)-1]}
	address := words[len(words)-2]
	prefix, err := netip.ParsePrefix(address)
	if err != nil {
		a, err := netip.ParseAddr(address)
		if err != nil {
			s.put("%% Invalid address\n")
			return
		}
		prefix = netip.PrefixFrom(a, a.BitLen())
	}
	condition.prefix = prefix
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	t := &r.trace
	same := func(have traceCondition) bool { return have == condition }
	switch {
	case no:
		t.conditions = slices.DeleteFunc(t.conditions, same)
	case !slices.ContainsFunc(t.conditions, same):
		t.conditions = append(t.conditions, condition)
	}
}

func (s *session) startConditions(on bool) {
	s.router.mu.Lock()
	defer s.router.mu.Unlock()
	s.router.advance()
	s.router.trace.started = on
}

func (s *session) keepTraces(c *call) {
	words, no := c.words, c.words[0] == "no"
	if no {
		words = words[1:]
	}
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	r.advance()
	t := &r.trace
	if no {
		t.packets, t.options, t.kept, t.matched = 0, "", nil, 0
		return
	}
	t.packets, t.options, t.kept, t.matched = number(words[4]), strings.Join(words[5:], " "), nil, 0
	if !t.started {
		s.put("Please remember to turn on 'debug platform condition start' for packet-trace to work\n")
	}
}

func (s *session) clearConditions(*call) {
	s.router.mu.Lock()
	defer s.router.mu.Unlock()
	s.router.trace = packetTrace{}
}

func (s *session) clearTraces(*call) {
	s.router.mu.Lock()
	defer s.router.mu.Unlock()
	s.router.trace.kept, s.router.trace.matched = nil, 0
}

func (s *session) clearTraceConfiguration(*call) {
	s.router.mu.Lock()
	defer s.router.mu.Unlock()
	t := &s.router.trace
	t.packets, t.options, t.kept, t.matched = 0, "", nil, 0
}

// traces keeps what becomes of a packet that passes the WAN interface. The router's lock is held.
func (r *Router) traces(p Packet, f frame) {
	t := &r.trace
	if !f.ip || !t.started || t.packets == 0 || r.running.down[r.config.WAN] {
		return
	}
	sent := f.src == r.wanAddress()
	if !slices.ContainsFunc(t.conditions, func(c traceCondition) bool { return c.matches(r.config.WAN, f, sent) }) {
		return
	}
	if t.matched++; len(t.kept) >= t.packets {
		return
	}
	x := traced{at: r.own(p.Stamp), from: netip.AddrPortFrom(f.src, f.sport), to: netip.AddrPortFrom(f.dst, f.dport),
		protocol: f.protocol,
		sent:     sent, iface: r.config.WAN, code: -1}
	x.end(r.config.Drops, f)
	t.kept = append(t.kept, x)
}

func (c traceCondition) matches(wan string, f frame, sent bool) bool {
	if c.iface != "" && c.iface != wan || c.way == "ingress" && sent || c.way == "egress" && !sent {
		return false
	}
	return c.prefix.Contains(f.src) || c.prefix.Contains(f.dst)
}

// dropCodes are the data plane's numbers of some of its drops, as Cisco's documents show them: 402
// in the guide of the 8100 series, 8 and 183 in document 117858 and those on zone-based firewalls.
var dropCodes = map[string]int{"Ipv4Acl": 8, "Ipv6Acl": 9, "FirewallPolicy": 183, "NoStatsUpdate": 402, "TailDrop": 21}

// end says what becomes of the packet, by the counters that grow in the meantime.
func (x *traced) end(drops []Drop, f frame) {
	esp := f.protocol == 50 || espInUDP(f)
	x.state, x.code, x.reason = "FWD", -1, ""
	if !x.sent && !esp {
		x.state, x.code, x.reason = "PUNT", 11, "For-us data"
	}
	for _, d := range drops {
		if d.During == 0 {
			continue
		}
		switch {
		case d.Where == WANAccessList && !x.sent:
			x.drop("Ipv4Acl", "ACL")
		case d.Where == DataPlane && strings.HasPrefix(d.Name, "Ipsec"):
			if esp && !x.sent {
				x.drop(d.Name, "IPSec")
			}
		case d.Where == DataPlane && dropCodes[d.Name] == dropCodes["TailDrop"]:
			if x.sent {
				x.drop(d.Name, "QOS")
			}
		case d.Where == DataPlane && !x.sent && !esp:
			x.drop(d.Name, map[bool]string{true: "ZBFW"}[strings.HasPrefix(d.Name, "Firewall")])
		}
	}
}

func (x *traced) drop(reason, feature string) {
	x.state, x.reason, x.feature, x.code = "DROP", reason, feature, -1
	if code, ok := dropCodes[reason]; ok {
		x.code = code
	}
	if feature == "ZBFW" {
		x.zone = "outside-self"
	}
}

func (x traced) input() string {
	if x.sent {
		return "INJ.2"
	}
	return x.iface
}

func (x traced) output() string {
	if x.state == "PUNT" {
		return "internal0/0/rp:0"
	}
	return x.iface
}

// why is what both shows print behind the state: the code in a column of four, and the reason.
func (x traced) why() string {
	switch {
	case x.reason == "":
		return ""
	case x.code < 0:
		return "(" + x.reason + ")"
	}
	return fmt.Sprintf("%-3d (%s)", x.code, x.reason)
}

func (s *session) showConditions(*call) {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	state := map[bool]string{true: "Start", false: "Stop"}[r.trace.started]
	s.put("\nConditional Debug Global State: %s\n\n\n", state)
	rule := strings.Repeat("-", 94)
	s.put("%-95sDirection\n%s|---------\n", "Conditions", rule)
	for i, c := range r.trace.conditions {
		if r.config.Knobs.OddConditions {
			s.put("filter %d %x\n", i, c.prefix.Addr().AsSlice())
			continue
		}
		family := "IPV4"
		if c.prefix.Addr().Is6() {
			family = "IPV6"
		}
		s.put("%-54s & %s [%s]%*s%s\n", or(c.iface, "All Interfaces"), family, strings.ToUpper(c.prefix.String()),
			30-len(c.prefix.String()), "", c.way)
	}
	s.put("\nFeature Condition       Type                    " +
		"Value\n-----------------------|-----------------------|--------------------------------\n\nFeature Type  Submode  " +
		"                                                 " +
		"Level\n-------------|---------------------------------------------------------|----------\n\n")
}

func (s *session) showTraceConfiguration(*call) {
	s.router.mu.Lock()
	defer s.router.mu.Unlock()
	if t := s.router.trace; t.packets > 0 {
		s.put("%s\n", strings.TrimSpace(fmt.Sprintf("debug platform packet-trace packet %d %s", t.packets, t.options)))
	}
}

func (s *session) traced() packetTrace {
	s.router.mu.Lock()
	defer s.router.mu.Unlock()
	s.router.advance()
	t := s.router.trace
	t.kept = slices.Clone(t.kept)
	return t
}

func (s *session) showTraceSummary(*call) {
	t := s.traced()
	if len(t.kept) == 0 {
		return
	}
	s.put("Pkt   Input                     Output                    State  Reason\n")
	for i, x := range t.kept {
		s.put("%-5d %-25s %-25s %-6s %s\n", i, shortInterface(x.input()), shortInterface(x.output()), x.state, x.why())
	}
}

// shortInterface is an interface as the narrow columns have it: Gi1.
func shortInterface(name string) string {
	letters, number := splitInterface(name)
	if len(letters) < 3 || strings.ContainsAny(name, ".") || strings.HasPrefix(name, "internal") {
		return name
	}
	return letters[:2] + number
}

func (s *session) showTraceStatistics(*call) {
	t := s.traced()
	count := func(f func(traced) bool) (n int) {
		for _, x := range t.kept {
			if f(x) {
				n++
			}
		}
		return n
	}
	state := func(want string) int { return count(func(x traced) bool { return x.state == want }) }
	s.put("Packets Summary\n  Matched  %d\n  Traced   %d\nPackets Received\n  Ingress  %d\n  Inject   %d\n", t.matched,
		len(t.kept), count(func(x traced) bool { return !x.sent }), count(func(x traced) bool { return x.sent }))
	s.put("Packets Processed\n  Forward  %d\n  Punt     %d\n  Drop     %d\n  Consume  0\n\n", state("FWD"), state("PUNT"),
		state("DROP"))
}

func (s *session) showTraces(c *call) {
	last := c.words[len(c.words)-1]
	for i, x := range s.traced().kept {
		if last == "all" || last == fmt.Sprint(i) {
			s.put("%s", x.text(i))
		}
	}
}

// text is a packet as its own show has it.
func (x traced) text(i int) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	ticks := x.at.UnixNano() % 1e17
	stop := x.at.Add(23 * time.Microsecond)
	stamp := func(t time.Time) string {
		return t.UTC().Format("01/02/2006 15:04:05.") + fmt.Sprint(t.Nanosecond()/1000) + " UTC"
	}
	line("Packet: %-11d CBUG ID: %d\nSummary\n  Input     : %s\n  Output    : %s\n  State     : %s", i, i+1, x.input(),
		x.output(), strings.TrimSpace(x.state+" "+x.why()))
	line("  Timestamp\n    Start   : %d ns (%s)\n    Stop    : %d ns (%s)\nPath Trace", ticks, stamp(x.at), ticks+23000,
		stamp(stop))
	family := "IPV4"
	if x.from.Addr().Is6() {
		family = "IPV6"
	}
	way, in, out := "Input", x.iface, "<unknown>"
	if x.sent {
		way, in, out = "Output", "internal0/0/rp:0", x.iface
	}
	line("  Feature: %s(%s)\n    Input       : %s\n    Output      : %s\n    Source      : %s\n    Destination : %s",
		family, way, in, out, showAddress(x.from.Addr()), showAddress(x.to.Addr()))
	names := map[byte]string{17: "UDP", 50: "ESP", 1: "ICMP"}
	line("    Protocol    : %d (%s)", x.protocol, or(names[x.protocol], "UNKNOWN"))
	if x.protocol == 17 {
		line("      SrcPort   : %d\n      DstPort   : %d", x.from.Port(), x.to.Port())
	}
	switch x.feature {
	case "":
	case "ZBFW":
		line("  Feature: ZBFW\n    Action  : Drop\n    Reason  : %s\n    Zone-pair name         : %s\n    Class-map name   "+
			"      : class-default\n    Policy    name         : SELF\n    Input interface        : %s",
			"Policy drop:classify result", x.zone, x.iface)
	default:
		line("  Feature: %s\n    Action      : DROP", x.feature)
	}
	if x.state == "PUNT" {
		line("\nIOSd Path Flow: Packet: %d    CBUG ID: %d\n  Feature: INFRA\n    Pkt Direction: IN\n    Packet Rcvd From "+
			"DATAPLANE\n", i, i+1)
	}
	return b.String()
}

// PlatformDebugs are the conditions and traces of the data plane that somebody has set, a line
// each; none on a router as it comes up.
func (r *Router) PlatformDebugs() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, c := range r.trace.conditions {
		all = append(all, fmt.Sprintf("condition %s %s %s", c.iface, c.prefix, c.way))
	}
	if r.trace.packets > 0 {
		all = append(all, fmt.Sprintf("packet-trace %d %s", r.trace.packets, r.trace.options))
	}
	if r.trace.started {
		all = append(all, "started")
	}
	return all
}
