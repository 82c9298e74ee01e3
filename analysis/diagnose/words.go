package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// name is a side for people: its name, and its address when that is known.
func (j *judge) name(s pair.Side) string {
	if j.names[s] == "" {
		j.names[s] = j.makeName(s)
	}
	return j.names[s]
}

func (j *judge) makeName(s pair.Side) string {
	p := &j.c.Parties[s]
	n := p.Name
	if n == "" {
		n = "side " + s.String()
	}
	if a := j.address(s); a != "" {
		return n + " (" + a + ")"
	}
	return n
}

func (j *judge) partyName(s pair.Side) string {
	if n := j.c.Parties[s].Name; n != "" {
		return n
	}
	return "side " + s.String()
}

// address is a side's VPN address as its own router knows it; empty when that is not known.
func (j *judge) address(s pair.Side) string {
	p := &j.c.Parties[s]
	switch {
	case p.Known.IsValid():
		return p.Known.String()
	case len(p.Addresses) > 0:
		return p.Addresses[0].String()
	}
	return ""
}

// seenAs is a side's address as the other side sees it.
func (j *judge) seenAs(s pair.Side) string {
	p := &j.c.Parties[s]
	switch {
	case len(p.Translated) > 0:
		return p.Translated[0].String()
	case p.KnownNAT.IsValid():
		return p.KnownNAT.String()
	}
	return j.address(s)
}

// iface is the captured interface of a side; empty when it is not known.
func (j *judge) iface(s pair.Side) string { return j.c.Parties[s].Interface }

// showInterface are the commands that show errors and drops: of the captured interface, of all when
// it is not known.
func (j *judge) showInterface(s pair.Side) []string {
	name := j.iface(s)
	if name == "" {
		return []string{"show interfaces", "show policy-map interface"}
	}
	return []string{"show interfaces " + name, "show policy-map interface " + name}
}

// onSide is the subject of a finding about one side, sentBy that of one about what a side sends.
func onSide(s pair.Side) report.Subject { return report.Subject{Side: sideOf(s)} }
func sentBy(s pair.Side) report.Subject {
	return report.Subject{Direction: report.DirectionFrom(sideOf(s))}
}

// often is how many times, in words.
func often(n int) string {
	if n == 1 {
		return "once"
	}
	return plural(n, "time", "times")
}

// tell sets a field of a finding.
func tell(f *report.Finding, field string, value any) {
	if f.Fields == nil {
		f.Fields = map[string]any{}
	}
	f.Fields[field] = value
}

// tellSubject sets the fields that name the finding's subject: "direction", and the one that the
// catalogue has for a side.
func tellSubject(f *report.Finding) {
	e, _ := Explain(f.Code)
	for _, name := range []string{"direction", e.sideField()} {
		if value, ok := ofSubject(f, &e, name); ok {
			tell(f, name, value)
		}
	}
}

// ofSubject is a field that names the finding's subject.
func ofSubject(f *report.Finding, e *Entry, name string) (any, bool) {
	switch {
	case name == "direction" && f.Subject.Direction != "":
		return string(f.Subject.Direction), true
	case name != "" && name == e.sideField() && f.Subject.Side != "":
		return string(f.Subject.Side), true
	}
	return nil, false
}

// field is a field of a finding, whether or not its subject is told already.
func field(f *report.Finding, e *Entry, name string) any {
	if value, ok := ofSubject(f, e, name); ok {
		return value
	}
	return f.Fields[name]
}

func sideOf(s pair.Side) report.Side { return report.Side(s.String()) }

// toward completes commands with the address of the other side as s sees it; those that need it are
// left out when it is not known.
func (j *judge) toward(s pair.Side, commands ...string) []string {
	var all []string
	to := j.seenAs(s.Other())
	for _, c := range commands {
		switch {
		case !strings.Contains(c, "%s"):
			all = append(all, c)
		case to != "":
			all = append(all, fmt.Sprintf(ofFamily(c, to), to))
		}
	}
	return all
}

// ofFamily puts a command that names the IP version right for an address.
func ofFamily(command, address string) string {
	if strings.Contains(address, ":") {
		return inIPv6(command)
	}
	return command
}

// inIPv6 is a command that is about IPv4 as the one that does the same with IPv6, which has no DF
// bit, for no router on the way fragments it.
func inIPv6(command string) string {
	rest, ok := strings.CutPrefix(command, "show ip ")
	switch {
	case strings.HasPrefix(command, "ping "):
		return strings.TrimSuffix(command, " df-bit")
	case !ok, command == showSSH:
		return command
	case rest == "access-lists":
		return "show ipv6 access-list"
	case rest == natTranslations:
		return "show nat66 statistics"
	}
	return "show ipv6 " + rest
}

const (
	natTranslations = "nat translations"
	showSSH         = "show ip ssh" // of either IP version
)

// betweenIPv6 says whether the tunnel's ends have IPv6 addresses.
func (j *judge) betweenIPv6() bool {
	return strings.Contains(j.seenAs(pair.A)+j.seenAs(pair.B), ":")
}

// forIPv6 has actions about a tunnel over IPv6 show what concerns IPv6. Its NAT is looked at only
// where that is all that there is to look at: hardly anybody has one.
func forIPv6(actions []report.Action) {
	for i := range actions {
		a := &actions[i]
		ofIPv4 := func(c string) bool { return strings.HasPrefix(c, "show ip ") }
		if a.Mode != "exec" || !slices.ContainsFunc(a.Commands, ofIPv4) {
			continue
		}
		var all []string
		for _, c := range a.Commands {
			if c != "show ip "+natTranslations || len(a.Commands) == 1 {
				all = append(all, inIPv6(c))
			}
		}
		a.Commands = all
	}
}

// way is from which address to which one packets go; empty where one is not known.
type way struct{ from, to string }

// wayOf is the way of what s sends.
func (j *judge) wayOf(s pair.Side) way { return way{j.seenAs(s), j.seenAs(s.Other())} }

// permit is the line that a filter on the way needs; source and rest are what follows the
// addresses. Empty where an address is not known: one for everybody is no advice.
func (w way) permit(protocol, source, rest string) string {
	if w.from == "" || w.to == "" {
		return ""
	}
	line := []string{"permit", protocol, "host", w.from, source, "host", w.to, rest}
	return strings.Join(slices.DeleteFunc(line, func(x string) bool { return x == "" }), " ")
}

// permitSent is permit for what goes from one port to another. What goes towards a NAT that changed
// the port is told by where it comes from.
func (w way) permitSent(protocol string, from, to uint16) string {
	if isIKE(from) && !isIKE(to) {
		return w.permit(protocol, fmt.Sprintf("eq %d", from), "")
	}
	return w.permit(protocol, "", fmt.Sprintf("eq %d", to))
}

// isIKE says whether IKE is at home on a port (RFC 7296, Section 2).
func isIKE(port uint16) bool { return port == 500 || port == 4500 }

// permit is the line that a filter on the way of what s sends needs.
func (j *judge) permit(s pair.Side, protocol, rest string) string {
	return j.wayOf(s).permit(protocol, "", rest)
}

// exec is an action of show commands on a side.
func (j *judge) exec(s pair.Side, why string, commands ...string) report.Action {
	if len(commands) == 0 {
		commands = []string{"show crypto session"}
	}
	return report.Action{Side: sideOf(s), Device: j.c.Parties[s].Name, Mode: "exec", Commands: commands, Why: why}
}

// both is an action of show commands on either side.
func (j *judge) both(why string, commands ...string) []report.Action {
	return []report.Action{j.exec(pair.A, why, commands...), j.exec(pair.B, why, commands...)}
}

// config is an action of configuration lines on a side: a suggestion, which moncap never types.
func (j *judge) config(s pair.Side, why string, commands ...string) report.Action {
	first := func(line string) bool { return strings.HasPrefix(line, "crypto ikev2 policy ") }
	if slices.ContainsFunc(commands, first) && configured(j.o.Config[s], 2).policy == "" {
		why += "; a router's first IKEv2 policy is in force for all of its peers, in place of the default one: " +
			"name in it the proposals that the others need, too"
	}
	return report.Action{Side: sideOf(s), Device: j.c.Parties[s].Name, Mode: "config", Commands: commands, Why: why}
}

// onPath says of an action that it is for a device between the sides.
const onPath = "path"

// path are configuration lines for a device between the sides, on the way of what s sends; where
// none of them can be made, what shows its filters.
func path(s pair.Side, why string, commands ...string) report.Action {
	mode, lines := "config", slices.DeleteFunc(commands, func(line string) bool { return line == "" })
	if len(lines) == 0 {
		mode, lines = "exec", []string{"show ip access-lists"}
	}
	return report.Action{Side: sideOf(s.Other()), Where: onPath, Mode: mode, Commands: lines, Why: why}
}

// MaxEvidence is how many frames prove one finding at most. What is made beyond them, as findings
// are folded into one, a report leaves out.
const MaxEvidence = 500

// sights are the evidence of transmissions: each as both captures show it, the first MaxEvidence.
func sights(note string, transmissions ...*pair.Transmission) []report.Evidence {
	return appendSights(nil, note, transmissions...)
}

func appendSights(all []report.Evidence, note string, transmissions ...*pair.Transmission) []report.Evidence {
	before := len(all)
	for _, t := range transmissions {
		if len(all)-before >= MaxEvidence {
			break
		}
		for _, s := range pair.Both {
			if x := t.At[s]; x != nil {
				all = append(all, report.Evidence{Side: sideOf(s), Frame: int(x.Frame), Note: note})
			}
		}
	}
	return all
}

// evidence shows a message by its transmissions.
func evidence(note string, messages ...*pair.Message) []report.Evidence {
	n := 0
	for _, m := range messages {
		if m != nil {
			n += min(len(m.Transmissions()), MaxEvidence)
		}
	}
	if n == 0 {
		return nil
	}
	all := make([]report.Evidence, 0, 2*n)
	for _, m := range messages {
		if m != nil {
			all = appendSights(all, note, m.Transmissions()...)
		}
	}
	return all
}

// plural counts things in words.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// requests counts requests like m in words.
func requests(m *pair.Message, n int) string {
	name := spoken(m.Exchange.String())
	return plural(n, name+" request", name+" requests")
}

// spoken is the name of an exchange as people say it.
func spoken(exchange string) string {
	if _, known, ok := strings.Cut(exchange, "("); ok { // Identity Protection (Main Mode)
		return strings.TrimSuffix(known, ")")
	}
	return exchange
}

// one is an exchange with its indefinite article.
func one(x ike.ExchangeType) string {
	name := spoken(x.String())
	if strings.ContainsRune("AEIO", rune(name[0])) {
		return "an " + name
	}
	return "a " + name
}

// capital begins a sentence.
func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func was(n int) string {
	if n == 1 {
		return "was"
	}
	return "were"
}

func millis(nanos int64) float64 { return float64(nanos/1e3) / 1e3 }

// certainIf is certain when it is proven, else probable.
func certainIf(proven bool) report.Confidence {
	if proven {
		return report.Certain
	}
	return report.Probable
}
