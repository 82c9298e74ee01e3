package iosxe

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// DropCounter is one of the counters by which a router tells what it did not let through. It counts
// since the router came up or the counter was cleared, the packets of everybody.
type DropCounter struct {
	Name    string // as the router calls it: Ipv4Acl, "For-us data", "class COPP-IKE"
	Packets uint64
}

// Before is what the output of the command called name is called when it was asked before a
// capture, and not only behind it.
func Before(name string) string { return "before-" + name }

// dropReaders are the shows that count drops, by the names of their commands.
var dropReaders = map[string]func(string) []DropCounter{
	"show-qfp-drops":            ParseDataPlaneDrops,
	"show-ipsec-drops":          ParseIPsecDrops,
	"show-punt-policer":         ParsePuntPolicer,
	"show-punt-causes":          ParsePuntCauses,
	"show-control-plane-policy": ParsePolicyDrops,
	"show-interface-policy":     ParsePolicyDrops,
	"show-interface":            ParseInterfaceDrops,
	"show-interface-acl":        ParseDenied,
	"show-ipsec-sa-detail":      ParseSADrops,
}

// DropShows are the names of the commands whose outputs ParseDrops reads, in a fixed order.
func DropShows() []string { return slices.Sorted(maps.Keys(dropReaders)) }

// ParseDrops reads the output of one of the shows that count drops, by the name of its command.
// Counters that are zero are there as well, where the router prints them. Nil: the output says
// nothing, or the command is none of these.
func ParseDrops(command, out string) []DropCounter {
	if read := dropReaders[command]; read != nil {
		return read(Clean(out))
	}
	return nil
}

// dropRow is a line of the tables whose last columns are numbers: `Ipv4NoRoute 181 7964`, packets
// and octets.
var dropRow = lazyregexp.New(`^ *([A-Za-z][^|]*?) {2,}(\d+)(?: +\d+)? *$`)

// ParseDataPlaneDrops reads `show platform hardware qfp active statistics drop` (seen of an ASR1000
// with 16.3, and of a C8000 without its release).
func ParseDataPlaneDrops(out string) []DropCounter {
	var all []DropCounter
	for line := range strings.SplitSeq(out, "\n") {
		if m := dropRow.Get().FindStringSubmatch(line); m != nil {
			all = appendCounter(all, m[1], m[2])
		}
	}
	return all
}

var ipsecDropRow = lazyregexp.New(`^ *\d+ +([A-Z][A-Z0-9_]+) +(\d+) *$`)

// ParseIPsecDrops reads `show platform hardware qfp active feature ipsec datapath drops all` (seen
// of an ASR1000).
func ParseIPsecDrops(out string) []DropCounter {
	var all []DropCounter
	for line := range strings.SplitSeq(out, "\n") {
		if m := ipsecDropRow.Get().FindStringSubmatch(line); m != nil {
			all = appendCounter(all, m[1], m[2])
		}
	}
	return all
}

// puntRow is a line of the punt policer: cause, description, two rates, packets that conformed
// (normal and high priority), packets that were dropped (normal and high), and the rest.
var puntRow = lazyregexp.New(`^ *(\d+) +(\S.*?) {2,}\d+ +\d+ +\d+ +\d+ +(\d+) +(\d+) `)

// EmbeddedCapture is the punt cause of packets that a capture point took: those that the policer
// dropped are missing in the capture (Cisco document 222712).
const EmbeddedCapture = "75"

// ParsePuntPolicer reads `show platform software punt-policer` (seen of an ASR1000). A counter's
// name is the number of the cause and its description.
func ParsePuntPolicer(out string) []DropCounter {
	var all []DropCounter
	for line := range strings.SplitSeq(out, "\n") {
		m := puntRow.Get().FindStringSubmatch(line)
		if m == nil {
			continue
		}
		normal, err := strconv.ParseUint(m[3], 10, 63)
		high, err2 := strconv.ParseUint(m[4], 10, 63)
		if err == nil && err2 == nil {
			all = append(all, DropCounter{m[1] + " " + m[2], normal + high})
		}
	}
	return all
}

// causeRow is a line of the punt statistics: cause, name, packets received and packets transmitted.
// causeHead begins the causes of packets to the control plane, and those of packets from it.
var (
	causeRow  = lazyregexp.New(`^ *0*(\d+) +(\S.*?) {2,}(\d+) +(\d+) *$`)
	causeHead = lazyregexp.New(`(?i)^ *Per (Punt|Inject) Cause Statistics`)
)

// ParsePuntCauses reads `show platform hardware qfp active infrastructure punt statistics type
// per-cause` (seen of two routers without their releases): of each cause, what was received and was
// not handed on to the control plane. That this is what was dropped is from documents only: in the
// outputs that were seen every cause had handed on all. A counter's name is the number of the cause
// and its name, as ParsePuntPolicer has them.
func ParsePuntCauses(out string) []DropCounter {
	var all []DropCounter
	punt := false
	for line := range strings.SplitSeq(out, "\n") {
		if m := causeHead.Get().FindStringSubmatch(line); m != nil {
			punt = strings.EqualFold(m[1], "punt")
			continue
		}
		m := causeRow.Get().FindStringSubmatch(line)
		if m == nil || !punt {
			continue
		}
		received, err := strconv.ParseUint(m[3], 10, 63)
		sent, err2 := strconv.ParseUint(m[4], 10, 63)
		if err == nil && err2 == nil && sent <= received {
			all = append(all, DropCounter{m[1] + " " + m[2], received - sent})
		}
	}
	return all
}

var (
	policyLine  = lazyregexp.New(`(?i)^ *Service-policy *(input|output) *:`)
	policyClass = lazyregexp.New(`(?i)^ *Class-map: *(\S+)`)
	policed     = lazyregexp.New(`(?i)^ *(conformed|exceeded|violated) (\d+) packets, \d+ bytes; actions?: *(\S*)`)
	queueDrops  = lazyregexp.New(`(?i)^ *\(queue depth/total drops/no-buffer drops\) *\d+/(\d+)/\d+`)
	packetsLine = lazyregexp.New(`(?i)^ *(\d+) packets, \d+ bytes *$`)
	dropAction  = lazyregexp.New(`(?i)^ *drop *$`)
)

// ParsePolicyDrops reads `show policy-map control-plane` and `show policy-map interface IF`
// (seen of an ASR1000 with 16.3 and of a Catalyst 8000): what each class policed away, dropped
// as its whole action, or lost in its queue. A counter's name begins with the direction:
// "input class COPP-IKE".
func ParsePolicyDrops(out string) []DropCounter {
	var p policyReader
	for line := range strings.SplitSeq(out, "\n") {
		p.read(line)
	}
	return p.all
}

type policyReader struct {
	all     []DropCounter
	way     string // input or output
	class   string
	offered uint64 // packets that the class matched
	count   uint64 // of the policer's line before, whose action is on a line of its own
	waiting bool   // for that action
	policer bool   // the class has one, so that a bare drop is the policer's
}

func (p *policyReader) read(line string) {
	if p.waiting {
		p.waiting = false
		p.act(strings.TrimSpace(line))
		return
	}
	switch {

	case policyLine.Get().MatchString(line):
		p.way = strings.ToLower(policyLine.Get().FindStringSubmatch(line)[1])
	case policyClass.Get().MatchString(line):
		p.class, p.offered, p.policer = p.way+" class "+policyClass.Get().FindStringSubmatch(line)[1], 0, false
		p.add(0)
	case p.class == "":
	case policed.Get().MatchString(line):
		m := policed.Get().FindStringSubmatch(line)
		p.policer = true
		p.count, _ = strconv.ParseUint(m[2], 10, 63)
		if p.waiting = m[3] == ""; !p.waiting {
			p.act(m[3])
		}
	case queueDrops.Get().MatchString(line):
		n, _ := strconv.ParseUint(queueDrops.Get().FindStringSubmatch(line)[1], 10, 63)
		p.add(n)
	case packetsLine.Get().MatchString(line):
		p.offered, _ = strconv.ParseUint(packetsLine.Get().FindStringSubmatch(line)[1], 10, 63)
	case dropAction.Get().MatchString(line) && !p.policer:
		p.add(p.offered)
	}
}

func (p *policyReader) act(action string) {
	if strings.EqualFold(action, "drop") {
		p.add(p.count)
	}
}

// add counts for the class. One name may be in several policies of an interface:
// they are told as one.
func (p *policyReader) add(n uint64) {
	for i := range p.all {
		if p.all[i].Name == p.class {
			p.all[i].Packets += n
			return
		}
	}
	p.all = append(p.all, DropCounter{p.class, n})
}

// interfaceCounters are what `show interfaces` says of packets that went nowhere, and what they are
// called here.
var interfaceCounters = []struct {
	name string
	line *lazyregexp.Regexp
}{
	{"input queue drops", lazyregexp.New(`Input queue: \d+/\d+/(\d+)/\d+`)},
	{"output drops", lazyregexp.New(`Total output drops: (\d+)`)},
	{"no buffer", lazyregexp.New(`, (\d+) no buffer`)},
	{"input errors", lazyregexp.New(`^ *(\d+) input errors`)},
	{"output errors", lazyregexp.New(`^ *(\d+) output errors`)},
}

// ParseInterfaceDrops reads `show interfaces IF`, of one interface.
func ParseInterfaceDrops(out string) []DropCounter {
	var all []DropCounter
	for line := range strings.SplitSeq(out, "\n") {
		for _, c := range interfaceCounters {
			if m := c.line.Get().FindStringSubmatch(line); m != nil {
				all = appendCounter(all, c.name, m[1])
			}
		}
	}
	return all
}

var deniedRow = lazyregexp.New(`^ *(?:(\d+) +)?(deny .*?) \((\d+) match(?:es)?\)`)

// ParseDenied reads the deny entries of an access list that have counted something: `show ip
// access-lists interface IF in`.
func ParseDenied(out string) []DropCounter {
	var all []DropCounter
	for line := range strings.SplitSeq(out, "\n") {
		if m := deniedRow.Get().FindStringSubmatch(line); m != nil {
			all = appendCounter(all, oneBlank(m[2]), m[3])
		}
	}
	return all
}

// saCounter is one of `#pkts replay failed (rcv): 3`; some have no colon, and one has two signs.
var saCounter = lazyregexp.New(`#+pkts ([a-z][a-z. ]*?(?:\((?:send|rcv|recv)\))?):? (\d+)`)

// saFaults are the counters of an SA that count what it did not pass.
var saFaults = []string{
	"no sa (send)", "invalid sa (rcv)", "encaps failed (send)", "decaps failed (rcv)", "invalid prot (recv)",
	"verify failed",
	"invalid identity (recv)", "invalid len (rcv)", "replay rollover (send)", "replay rollover (rcv)",
	"replay failed (rcv)", "internal err (send)", "internal err (recv)",
}

// ParseSADrops reads `show crypto ipsec sa peer X detail`: the sums of all SAs that it shows.
func ParseSADrops(out string) []DropCounter {
	sums := map[string]uint64{}
	for _, m := range saCounter.Get().FindAllStringSubmatch(out, -1) {
		if n, err := strconv.ParseUint(m[2], 10, 63); err == nil {
			sums[m[1]] += n
		}
	}
	var all []DropCounter
	for _, name := range saFaults {
		if n, ok := sums[name]; ok {
			all = append(all, DropCounter{name, n})
		}
	}
	return all
}

// appendCounter leaves out what is no number that a counter could have.
func appendCounter(all []DropCounter, name, digits string) []DropCounter {
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return all
	}
	return append(all, DropCounter{name, n})
}
