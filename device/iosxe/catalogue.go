package iosxe

import (
	"regexp"
	"strings"
	"sync"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// Effect says what a kind of command changes on the router.
type Effect string

// The effects of commands, from none to the largest.
const (
	Reads    Effect = "reads"         // nothing
	Terminal Effect = "terminal"      // the terminal session that moncap itself opened
	Volatile Effect = "volatile"      // EXEC state that a reload forgets: capture points, debugs
	Flash    Effect = "flash"         // a file in bootflash:
	Tunnel   Effect = "tunnel"        // the tunnel: it renegotiates, or carries test traffic
	Running  Effect = "configuration" // the running configuration; never the startup configuration
)

// Description is one kind of command that moncap may send. In Syntax, `<x>` stands for a value, `[
// x]` may be missing, and `{a|b}` is a choice.
type Description struct {
	Name    string
	Mode    Mode
	Syntax  []string // the line; in configuration mode the first line, then those that may follow
	Effect  Effect
	Narrow  bool // the narrow account may send it: no configuration mode, no file, no SCP
	Purpose string
}

// AllCommands describes every command that moncap can ever send to a router, for
// command authorization.
func AllCommands() []Description {
	all := append([]Description(nil), sessionCommands...)
	all = append(all, changingCommands...)
	return append(all, showCommands...)
}

var sessionCommands = []Description{
	{"enable", Exec, []string{"enable"}, Terminal, false, "raises the session to level 15 when it starts below"},
	{"configure", Exec, []string{"configure terminal"}, Terminal, false,
		"enters configuration mode around the access list"},
	{"end", Exec, []string{"end"}, Terminal, false, "leaves configuration mode"},
	{"exit", Exec, []string{"exit"}, Terminal, true, "ends the session"},
	{"terminal-length", Exec, []string{"terminal length 0"}, Terminal, true, "turns the pager off"},
	{"scp", Transfer, []string{"scp -f {bootflash:/|bootflash:|flash:|/bootflash/|}<name>.pcap"}, Reads, false,
		"fetches the file that export wrote"},
	{"terminal-width", Exec, []string{"terminal width 512"}, Terminal, true, "keeps long lines whole"},
}

var changingCommands = []Description{
	{"define-acl", Config, []string{
		"{ip access-list extended|ipv6 access-list} <name>",
		"permit {udp|esp|ahp} {any|host <ip>} {any|host <ip>}",
		"permit icmp {any|host <ip>} {any|host <ip>} {unreachable|packet-too-big}",
	}, Running, false, "makes the access list that picks the tunnel's packets"},
	{"remove-acl", Config, []string{"no {ip access-list extended|ipv6 access-list} <name>"}, Running, false,
		"removes it again"},
	{"define-capture", Exec, []string{
		"monitor capture <name> access-list <name> buffer[ circular] size <n> interface <interface> both[ interface " +
			"<interface> both][ interface <interface> both][ interface <interface> both]",
		"monitor capture <name> buffer[ circular] size <n> interface <interface> both[ interface <interface> both][ " +
			"interface <interface> both][ interface <interface> both] match {ipv4|ipv6}[ protocol udp] host <ip> host <ip> " +
			"bidirectional",
		"monitor capture <name> access-list <name> buffer size <n> control-plane both",
		"monitor capture <name> buffer size <n> control-plane both match {ipv4|ipv6} protocol udp host <ip> host <ip> " +
			"bidirectional",
	}, Volatile, true, "defines the capture point"},
	{"limit-capture", Exec, []string{"monitor capture <name> limit duration <n> packets <n>[ packet-len <n>][ pps <n>]"},
		Volatile, true, "bounds it, so that a forgotten capture stops by itself"},
	{"start-capture", Exec, []string{"monitor capture <name> start"}, Volatile, true, "starts the capture"},
	{"stop-capture", Exec, []string{"monitor capture <name> stop"}, Volatile, true, "stops it"},
	{"clear-capture", Exec, []string{"monitor capture <name> clear"}, Volatile, true, "empties its buffer"},
	{"export-capture", Exec, []string{"monitor capture <name> export <file>"}, Flash, false,
		"writes its packets to a file"},
	{"export-upload", Exec, []string{"monitor capture <name> export <upload>"}, Volatile, false,
		"pushes its packets to an SCP server, with --via-export"},
	{"remove-capture", Exec, []string{"no monitor capture <name>"}, Volatile, true, "removes the capture point"},
	{"delete-file", Exec, []string{"delete /force <file>"}, Flash, false, "deletes the file that export wrote"},
	{"clear-crypto-session", Exec, []string{"clear crypto session remote <ip>[ fvrf <vrf>]"}, Tunnel, false,
		"trigger, when asked: the tunnel renegotiates"},
	{"clear-crypto-sa", Exec, []string{"clear crypto sa peer[ vrf <vrf>] <ip>"}, Tunnel, false,
		"trigger, when asked: the child SAs renegotiate"},
	{"clear-ikev2-sa", Exec, []string{"clear crypto ikev2 sa remote <ip>"}, Tunnel, false,
		"trigger, when asked: the IKEv2 SA renegotiates"},
	{"ping", Exec, []string{"ping[ vrf <vrf>] <ip>[ source <interface>][ repeat <n>]"}, Tunnel, true,
		"trigger, when asked: interesting traffic"},
	{"debug-condition", Exec, []string{"debug crypto condition peer ipv4 <ip>"}, Volatile, false,
		"limits the debug to one peer, when asked"},
	{"debug-ikev2", Exec, []string{"debug crypto ikev2"}, Volatile, false, "traces IKEv2, when asked"},
	{"no-debug-ikev2", Exec, []string{"no debug crypto ikev2"}, Volatile, false, "ends the trace"},
	{"no-debug-condition", Exec, []string{"no debug crypto condition peer ipv4 <ip>"}, Volatile, false,
		"removes the limit"},
	{"trace-condition", Exec, []string{"debug platform condition interface <interface> {ipv4|ipv6} <ip>/<n> both"},
		Volatile, false, "limits the packet trace to one peer, when asked"},
	{"no-trace-condition", Exec, []string{"no debug platform condition interface <interface> {ipv4|ipv6} <ip>/<n> both"},
		Volatile, false, "removes the limit"},
	{"packet-trace", Exec, []string{"debug platform packet-trace packet <n>"}, Volatile, false,
		"keeps what the data plane did with so many packets, when asked"},
	{"no-packet-trace", Exec, []string{"no debug platform packet-trace packet <n>"}, Volatile, false, "frees them"},
	{"start-conditions", Exec, []string{"debug platform condition start"}, Volatile, false,
		"starts the packet trace, when asked"},
	{"stop-conditions", Exec, []string{"debug platform condition stop"}, Volatile, false, "stops it"},
}

var showCommands = []Description{
	{"show-captures", Exec, []string{"show monitor capture"}, Reads, true, "which capture points exist"},
	{"show-capture", Exec, []string{"show monitor capture <name>"}, Reads, true, "state of the capture point"},
	{"show-capture-parameter", Exec, []string{"show monitor capture <name> parameter"}, Reads, true, "how it was defined"},
	{"show-capture-buffer", Exec, []string{"show monitor capture <name> buffer"}, Reads, true,
		"packets so far, and drops"},
	{"show-capture-brief", Exec, []string{"show monitor capture <name> buffer brief"}, Reads, true, "a line a packet"},
	{"show-capture-dump", Exec, []string{"show monitor capture <name> buffer dump"}, Reads, true,
		"the bytes, when SCP cannot be had"},
	{"dir", Exec, []string{"dir bootflash:"}, Reads, false, "free space"},
	{"dir-file", Exec, []string{"dir <file>"}, Reads, false, "whether the file exists, and its size"},
	{"verify-md5", Exec, []string{"verify /md5 <file>"}, Reads, false, "checksum, to compare after the transfer"},
	{"show-version", Exec, []string{"show version"}, Reads, true, "platform and software"},
	{"show-redundancy", Exec, []string{"show redundancy"}, Reads, true,
		"when a capture point is gone: whether a standby took over"},
	{"show-sdwan-version", Exec, []string{"show sdwan version"}, Reads, false,
		"whether a controller configures the router, where the version does not say so"},
	{"show-clock", Exec, []string{"show clock detail"}, Reads, true, "the router's clock"},
	{"show-ntp", Exec, []string{"show ntp status"}, Reads, true, "whether it is synchronised"},
	{"show-privilege", Exec, []string{"show privilege"}, Reads, true, "what the account may do"},
	{"show-interfaces", Exec, []string{"show ip interface brief"}, Reads, true, "whether the interface exists and is up"},
	{"show-acl", Exec, []string{"show access-lists <name>"}, Reads, false, "whether the name is free"},
	{"show-acls", Exec, []string{"show access-lists"}, Reads, false, "which lists there are, with clean --orphans"},
	{"show-cpu", Exec, []string{"show processes cpu | include CPU utilization"}, Reads, true, "load"},
	{"show-memory", Exec, []string{"show memory statistics"}, Reads, true, "free memory"},
	{"show-users", Exec, []string{"show users"}, Reads, true, "terminal lines in use"},
	{"show-lines", Exec, []string{"show line"}, Reads, true, "terminal lines there are"},
	{"show-log", Exec, []string{"show logging"}, Reads, false, "what the debug wrote"},
	{"show-debug", Exec, []string{"show debugging"}, Reads, false, "which debugs are on already"},
	{"show-conditions", Exec, []string{"show platform conditions"}, Reads, false,
		"whether somebody traces packets already"},
	{"show-trace-configuration", Exec, []string{"show platform packet-trace configuration"}, Reads, false,
		"what is traced"},
	{"show-trace-summary", Exec, []string{"show platform packet-trace summary"}, Reads, false,
		"what the data plane did with each traced packet"},
	{"show-traced-packets", Exec, []string{"show platform packet-trace packet all"}, Reads, false,
		"the same, with what dropped it"},
	{"show-ikev2-sa", Exec, []string{"show crypto ikev2 sa remote <ip> detailed"}, Reads, true,
		"state of the IKEv2 SAs with the peer"},
	{"show-ikev2-proposal", Exec, []string{"show crypto ikev2 proposal"}, Reads, true, "what is offered"},
	{"show-ikev2-policy", Exec, []string{"show crypto ikev2 policy"}, Reads, true, "which proposal applies"},
	{"show-ikev2-profile", Exec, []string{"show crypto ikev2 profile"}, Reads, true, "identities and authentication"},
	{"show-ikev2-stats", Exec, []string{"show crypto ikev2 stats"}, Reads, true, "counters"},
	{"show-ikev2-diagnose", Exec, []string{"show crypto ikev2 diagnose error"}, Reads, true, "the router's recent errors"},
	{"show-ikev2-stats-exchange", Exec, []string{"show crypto ikev2 stats exchange"}, Reads, true,
		"how many requests and responses IKE received and sent"},
	{"show-ikev2-stats-timeout", Exec, []string{"show crypto ikev2 stats timeout"}, Reads, true,
		"which of IKE's timers ran out"},
	{"show-event-trace-error", Exec, []string{"show monitor event-trace crypto ikev2 error all"}, Reads, true,
		"what IKE wrote of errors"},
	{"show-binary-trace", Exec, []string{"show logging process ios start last <n> seconds"}, Reads, true,
		"what IKE wrote into the binary trace of 17.x, when asked"},
	{"show-event-trace", Exec, []string{"show monitor event-trace crypto ikev2 event all"}, Reads, true,
		"the always-on trace"},
	{"show-isakmp-sa", Exec, []string{"show crypto isakmp sa"}, Reads, true, "state of the IKEv1 SAs"},
	{"show-isakmp-policy", Exec, []string{"show crypto isakmp policy"}, Reads, true, "what is offered, IKEv1"},
	{"show-transform-set", Exec, []string{"show crypto ipsec transform-set"}, Reads, true, "what is offered, IPsec"},
	{"show-ipsec-profile", Exec, []string{"show crypto ipsec profile"}, Reads, true, "PFS, lifetimes"},
	{"show-crypto-map", Exec, []string{"show crypto map"}, Reads, true, "what is protected"},
	{"show-ipsec-sa", Exec, []string{"show crypto ipsec sa peer[ vrf <vrf>] <ip>"}, Reads, true, "SPIs and counters"},
	{"show-ipsec-sa-detail", Exec, []string{"show crypto ipsec sa peer[ vrf <vrf>] <ip> detail"}, Reads, true,
		"what the SAs did not pass"},
	{"show-qfp-drops", Exec, []string{"show platform hardware qfp active statistics drop"}, Reads, true,
		"what the data plane dropped"},
	{"show-ipsec-drops", Exec, []string{"show platform hardware qfp active feature ipsec datapath drops all"}, Reads, true,
		"what IPsec dropped"},
	{"show-punt-policer", Exec, []string{"show platform software punt-policer"}, Reads, true,
		"what was kept from the control plane, and from the capture"},
	{"show-punt-causes", Exec,
		[]string{"show platform hardware qfp active infrastructure punt statistics type per-cause"}, Reads, true,
		"what was handed to the control plane, and what of it was lost"},
	{"show-control-plane-policy", Exec, []string{"show policy-map control-plane"}, Reads, true,
		"what control-plane policing dropped"},
	{"show-interface", Exec, []string{"show interfaces <interface>"}, Reads, true, "drops of the interface"},
	{"show-interface-policy", Exec, []string{"show policy-map interface <interface>"}, Reads, true,
		"what its policy dropped"},
	{"show-interface-acl", Exec, []string{"show ip access-lists interface <interface> in"}, Reads, true,
		"what its access list denied"},
	{"show-crypto-session", Exec, []string{"show crypto session remote <ip> detail"}, Reads, true, "state of the tunnel"},
}

// Allowed says whether cmd is one that AllCommands describes, line by line. A session
// sends nothing else.
func Allowed(cmd Command) bool {
	g, ok := grammar()[cmd.Name]
	if !ok || g.mode != cmd.Mode || cmd.Mode == Transfer || len(cmd.Lines) == 0 ||
		cmd.Mode == Exec && len(cmd.Lines) != 1 {
		return false
	}
	for i, line := range cmd.Lines {
		if !g.line(i).MatchString(line) {
			return false
		}
	}
	for _, a := range cmd.Answers {
		if a.Prompt == nil || a.Send != "" {
			return false
		}
	}
	return true
}

// OnlyReads says whether cmd is one that AllCommands describes, and changes nothing.
func OnlyReads(cmd Command) bool { return Allowed(cmd) && grammar()[cmd.Name].effect == Reads }

type lineGrammar struct {
	effect      Effect
	mode        Mode
	first, rest *regexp.Regexp
}

func (g lineGrammar) line(i int) *regexp.Regexp {
	if i == 0 {
		return g.first
	}
	return g.rest
}

var grammar = sync.OnceValue(func() map[string]lineGrammar {
	m := map[string]lineGrammar{}
	for _, d := range AllCommands() {
		first, rest := d.Syntax, []string(nil)
		if d.Mode == Config {
			first, rest = d.Syntax[:1], d.Syntax[1:]
		}
		m[d.Name] = lineGrammar{d.Effect, d.Mode, syntaxPattern(first), syntaxPattern(rest)}
	}
	return m
})

// Values in a Syntax, as narrow as the constructors make them.
var placeholders = strings.NewReplacer(
	`<name>`, `[A-Za-z][A-Za-z0-9_-]{0,14}`,
	`<interface>`, interfaceType+interfaceNumber,
	`<file>`, `bootflash:[A-Za-z0-9][A-Za-z0-9._-]{0,62}`,
	`<upload>`, `scp://[A-Za-z0-9._-]{1,32}@(?:[A-Za-z0-9][A-Za-z0-9._-]{0,252}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?/[A-Za-z0-9._/-]{1,250}`,
	`<vrf>`, `[A-Za-z0-9][A-Za-z0-9_.:-]{0,31}`,
	`<ip>`, `[0-9A-Fa-f][0-9A-Fa-f.:]{1,44}|::[0-9A-Fa-f.:]{1,43}`,
	`<n>`, `[0-9]{1,7}`,
)

var syntaxTokens = lazyregexp.New(`<[a-z]+>|[\[\]{}|]|[^<\[\]{}|]+`)

// syntaxPattern turns syntaxes into one expression that matches any of them whole. No syntax at all
// matches nothing.
func syntaxPattern(syntaxes []string) *regexp.Regexp {
	var alternatives []string
	for _, s := range syntaxes {
		// A pipe outside of braces is the CLI's own.
		s = strings.ReplaceAll(s, " | ", " \x00 ")
		var b strings.Builder
		for _, t := range syntaxTokens.Get().FindAllString(s, -1) {
			b.WriteString(tokenPattern(t))
		}
		alternatives = append(alternatives, b.String())
	}
	if len(alternatives) == 0 {
		return regexp.MustCompile(`[^\s\S]`)
	}
	return regexp.MustCompile(`\A(?:` + strings.Join(alternatives, "|") + `)\z`)
}

func tokenPattern(t string) string {
	switch t {
	case "[", "{":
		return "(?:"
	case "]":
		return ")?"
	case "}":
		return ")"
	case "|":
		return "|"
	}
	if t[0] == '<' {
		return "(?:" + placeholders.Replace(t) + ")"
	}
	return regexp.QuoteMeta(strings.ReplaceAll(t, "\x00", "|"))
}
