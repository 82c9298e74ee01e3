package iosxe

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// Conditions are the platform's conditions for debugs and packet traces, those of everybody.
type Conditions struct {
	Started bool
	Rows    []string // as printed, without the blanks between columns
}

var (
	conditionState = lazyregexp.New(`(?m)^\s*Conditional Debug Global State: *(\w+)`)
	conditionRule  = lazyregexp.New(`^\s*-{8,}[-|]*\s*$`)
)

// ParseConditions reads `show platform conditions`. Of the rows only the tables' heads are
// known from documents (Cisco documents 117858 and 213970): whatever stands below one
// counts as a condition. An output without the global state is an error, since no
// conclusion can be drawn from it.
func ParseConditions(out string) (Conditions, error) {
	out = Clean(out)
	m := conditionState.Get().FindStringSubmatch(out)
	if m == nil {
		return Conditions{}, errors.New("the platform's conditions cannot be read")
	}
	c := Conditions{Started: !strings.EqualFold(m[1], "stop")}
	inside := false
	for line := range strings.SplitSeq(out, "\n") {
		switch {
		case conditionRule.Get().MatchString(line):
			inside = true
		case strings.TrimSpace(line) == "":
			inside = false
		case inside:
			c.Rows = append(c.Rows, oneBlank(strings.TrimSpace(line)))
		}
	}
	return c, nil
}

// Condition says whether a row is one of t's conditions, on that interface.
func (t PacketTrace) Condition(row string, i Interface) bool {
	words := strings.FieldsFunc(row, func(r rune) bool { return strings.ContainsRune(" \t[]()&,", r) })
	ours, there := false, false
	for _, w := range words {
		ours = ours || t.host(w)
		there = there || i.Is(w)
	}
	return ours && there
}

// host says whether a word is the peer's address with the mask of one host, in either form.
func (t PacketTrace) host(word string) bool {
	address, mask, masked := strings.Cut(word, "/")
	a, err := netip.ParseAddr(address)
	if err != nil || a.Unmap() != t.Peer.Unmap() {
		return false
	}
	return !masked || mask == strconv.Itoa(a.BitLen()) || mask == "255.255.255.255"
}

// Own sorts the conditions: how many of t's are there, and how many of others.
func (c Conditions) Own(t PacketTrace) (own, others int) {
	for _, row := range c.Rows {
		if slices.ContainsFunc(t.Interfaces, func(i Interface) bool { return t.Condition(row, i) }) {
			own++
		} else {
			others++
		}
	}
	return own, others
}

// ParseTraceConfiguration reads `show platform packet-trace configuration`: the commands that
// it is made of (Cisco document 117858), and whatever else speaks of a trace. Nothing: no
// trace is configured.
func ParseTraceConfiguration(out string) []string {
	var lines []string
	for line := range strings.SplitSeq(Clean(out), "\n") {
		if line = oneBlank(strings.TrimSpace(line)); strings.Contains(strings.ToLower(line), "packet-trace") {
			lines = append(lines, line)
		}
	}
	return lines
}

// What releases add by themselves to a trace that was asked for by its number of packets.
var traceDefaults = lazyregexp.New(`^debug platform packet-trace (?:enable|packet (\d+)(?: data-size \d+)?)$`)

// Configured says whether the lines of a trace's configuration are t's, and nothing else.
func (t PacketTrace) Configured(lines []string) bool {
	ours := false
	for _, line := range lines {
		m := traceDefaults.Get().FindStringSubmatch(line)
		if m == nil || m[1] != "" && m[1] != strconv.Itoa(t.Packets) {
			return false
		}
		ours = ours || m[1] != ""
	}
	return ours
}

// TracedPacket is what the data plane did with one packet.
type TracedPacket struct {
	Number int // from 0
	// interfaces, or what stands for one: INJ.2 is the router itself,
	// internal0/0/rp:0 its control plane
	Input, Output string
	State         string // FWD, PUNT, DROP, CONS
	Code          int    // of a punt or a drop; -1: none was printed
	Reason        string // "For-us data", "Ipv4Acl"
	// From here on, what only the packet's own show tells.
	At                time.Time // by the router's clock; zero: not printed
	From, To          netip.AddrPort
	Protocol          int    // of IP; 0: not printed
	Feature           string // the feature that dropped it, as the router calls it; empty: none says so
	Zone, Class, Rule string // of a zone's firewall that dropped it: zone pair, class, policy
}

// Dropped says whether the packet went no further.
func (p TracedPacket) Dropped() bool { return p.State == "DROP" }

// ToControlPlane says whether the packet was handed to the router itself, as all for it are (IKE
// among them).
func (p TracedPacket) ToControlPlane() bool { return p.State == "PUNT" }

// Sent says whether the router itself made the packet.
func (p TracedPacket) Sent() bool { return strings.HasPrefix(p.Input, "INJ.") }

// Verdict is the state with its code and reason, as the router prints it: "DROP 8 (Ipv4Acl)".
func (p TracedPacket) Verdict() string {
	v := p.State
	if p.Code >= 0 {
		v += " " + strconv.Itoa(p.Code)
	}
	if p.Reason != "" {
		v += " (" + p.Reason + ")"
	}
	return v
}

// traceRow is a line of the summary. The reason of a punt or drop is in brackets behind its code,
// and may lack its end; others have words alone.
var traceRow = lazyregexp.New(`^\s*(\d+)\s+(\S+)\s+(\S+)\s+(FWD|PUNT|DROP|CONS)\b(.*)$`)

// ParseTraceSummary reads `show platform packet-trace summary` (seen of a CSR1000V, and of three
// more routers without their releases).
func ParseTraceSummary(out string) []TracedPacket {
	var all []TracedPacket
	for line := range strings.SplitSeq(Clean(out), "\n") {
		m := traceRow.Get().FindStringSubmatch(line)
		if m == nil {
			continue
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			continue
		}
		p := TracedPacket{Number: n, Input: m[2], Output: m[3]}
		p.setState(m[4] + m[5])
		all = append(all, p)
	}
	return all
}

var traceState = lazyregexp.New(`^(FWD|PUNT|DROP|CONS)(?:\s+(\d+)\b)?\s*(.*)$`)

func (p *TracedPacket) setState(s string) {
	p.Code = -1
	m := traceState.Get().FindStringSubmatch(strings.TrimSpace(s))
	if m == nil {
		return
	}
	p.State = m[1]
	if n, err := strconv.Atoi(m[2]); err == nil {
		p.Code = n
	}
	p.Reason = strings.Trim(m[3], "() ")
}

var (
	tracedHead  = lazyregexp.New(`^Packet: (\d+)\s+CBUG ID: *\d+`)
	tracedValue = lazyregexp.New(`^\s+([A-Za-z][A-Za-z /:-]*?) *: ?(.*)$`)
	tracedTime  = lazyregexp.New(`\((\d\d/\d\d/\d{4} \d\d:\d\d:\d\d)\.(\d{1,6}) UTC\)`)
)

// ParseTracedPackets reads `show platform packet-trace packet all`, or of one packet (seen of a
// CSR1000V of 2021 and of Catalyst 8000 of 2025, none with its release). What is said of a packet
// behind the data plane, in the part of IOSd, is not read.
func ParseTracedPackets(out string) []TracedPacket {
	r := &traceReader{}
	for line := range strings.SplitSeq(Clean(out), "\n") {
		r.read(strings.TrimRight(line, " \t"))
	}
	r.finish()
	return r.all
}

type traceReader struct {
	all     []TracedPacket
	p       *TracedPacket
	part    string // what the lines belong to: Summary, Path Trace
	feature string
	fields  map[string]string // of the feature
}

func (r *traceReader) read(line string) {
	if m := tracedHead.Get().FindStringSubmatch(line); m != nil {
		r.finish()
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return
		}
		r.p = &TracedPacket{Number: n, Code: -1}
		return
	}
	if r.p == nil || line == "" {
		return
	}
	if line[0] != ' ' {
		r.endFeature()
		r.part = line
		return
	}
	m := tracedValue.Get().FindStringSubmatch(line)
	if m == nil {
		return
	}
	switch r.part {
	case "Summary":
		r.summary(m[1], m[2])
	case "Path Trace":
		r.path(m[1], m[2])
	}
}

func (r *traceReader) summary(name, value string) {
	switch name {
	case "Input":
		r.p.Input = value
	case "Output":
		r.p.Output = value
	case "State":
		r.p.setState(value)
	case "Start":
		if m := tracedTime.Get().FindStringSubmatch(value); m != nil {
			r.p.At = tracedAt(m[1], m[2])
		}
	}
}

// tracedAt reads a time. Its fraction is a number of microseconds that is printed without leading
// zeros: .87318 is 87318 µs (seen beside the nanoseconds of the data plane's own clock).
func tracedAt(second, micros string) time.Time {
	t, err := time.Parse("01/02/2006 15:04:05", second)
	n, err2 := strconv.Atoi(micros)
	if err != nil || err2 != nil {
		return time.Time{}
	}
	return t.Add(time.Duration(n) * time.Microsecond)
}

func (r *traceReader) path(name, value string) {
	if name == "Feature" {
		r.endFeature()
		r.feature, r.fields = value, map[string]string{}
		return
	}
	if r.fields == nil {
		return
	}
	if _, twice := r.fields[name]; !twice {
		r.fields[name] = value
	}
}

// endFeature takes what a feature said of the packet.
func (r *traceReader) endFeature() {
	f := r.fields
	r.fields = nil
	if r.p == nil || f == nil {
		return
	}
	if strings.HasPrefix(r.feature, "IPV4") || strings.HasPrefix(r.feature, "IPV6") {
		r.address(f)
	}
	if strings.EqualFold(f["Action"], "drop") && r.p.Feature == "" {
		r.p.Feature = r.feature
		r.p.Zone, r.p.Class, r.p.Rule = f["Zone-pair name"], f["Class-map name"], f["Policy    name"]
	}
}

// address keeps who the packet is from and to, as it came: a NAT may tell it again.
func (r *traceReader) address(f map[string]string) {
	from, err := netip.ParseAddr(f["Source"])
	to, err2 := netip.ParseAddr(f["Destination"])
	if err != nil || err2 != nil || r.p.From.IsValid() {
		return
	}
	port := func(s string) uint16 {
		n, err := strconv.ParseUint(s, 10, 16)
		if err != nil {
			return 0
		}
		return uint16(n)
	}
	r.p.From, r.p.To = netip.AddrPortFrom(from, port(f["SrcPort"])), netip.AddrPortFrom(to, port(f["DstPort"]))
	number, _, _ := strings.Cut(f["Protocol"], " ")
	r.p.Protocol, _ = strconv.Atoi(number)
}

func (r *traceReader) finish() {
	r.endFeature()
	if r.p != nil && r.p.State != "" {
		r.all = append(r.all, *r.p)
	}
	r.p, r.part = nil, ""
}
