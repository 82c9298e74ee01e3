package iosxe

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// TracedEvent is a line of an event trace or of the binary trace.
type TracedEvent struct {
	Stamp  string         // as the router prints it
	Remote netip.AddrPort // the peer that it is about; not valid: it names none
	Module string         // of the binary trace: ikev2, pki
	Level  string         // of the binary trace: ERR, note
	Text   string         // the rest, with its continuations
	raw    string         // of the binary trace: its lines as they were printed
}

var (
	eventStamp  = lazyregexp.New(`^[*.]?([A-Z][a-z]{2} +\d{1,2} \d{2}:\d{2}:\d{2}\.\d+(?: [A-Z]{1,5})?): *(.*)$`)
	eventRemote = lazyregexp.New(`^SA ID:\d+ SESSION ID:\d+ Remote: (\S+?)/(\d+) Local: \S+/\d+ *(.*)$`)
	tracebacks  = lazyregexp.New(`^-Traceback=`)
)

// ParseEventTrace reads `show monitor event-trace crypto ikev2 error all`. Its form is that of
// `... event all` (seen of a router without its release) and of `show monitor event-trace crypto
// pki error all` (seen of a router of 2025); an output of its own that holds an error of IKEv2
// was not published.
func ParseEventTrace(out string) []TracedEvent {
	var all []TracedEvent
	for line := range strings.SplitSeq(Clean(out), "\n") {
		m := eventStamp.Get().FindStringSubmatch(line)
		if m == nil || tracebacks.Get().MatchString(line) {
			continue
		}
		e := TracedEvent{Stamp: oneBlank(m[1]), Text: oneBlank(strings.TrimSpace(m[2]))}
		if r := eventRemote.Get().FindStringSubmatch(e.Text); r != nil {
			a, err := netip.ParseAddr(r[1])
			port, err2 := strconv.ParseUint(r[2], 10, 16)
			if err == nil && err2 == nil {
				e.Remote, e.Text = netip.AddrPortFrom(a.Unmap(), uint16(port)), r[3]
			}
		}
		all = append(all, e)
	}
	return all
}

// binaryRow is a line of the binary trace: time, process and slot, thread, module, process number,
// level and text. Between number and level some releases have an identifier of the context.
var binaryRow = lazyregexp.New(
	`^(\d{4}/\d{2}/\d{2} \d{2}:\d{2}:\d{2}\.\d{1,9}) \{[^}]{1,64}\}\{\d+\}: \[([^\]]{1,64})\] \[\d+\]: ` +
		`(?:UUID: \S+ ra: \d+ )?\(([A-Za-z]{1,12})\): (.*)$`)

// ParseBinaryTrace reads `show logging process ios ...` (seen of a C8000V with 17.19.1, of the
// module pki).
func ParseBinaryTrace(out string) []TracedEvent {
	var all []TracedEvent
	var lines traceLines
	for line := range strings.SplitSeq(strings.ReplaceAll(out, "\r", ""), "\n") {
		if lines.add(line, math.MaxInt) {
			all = append(all, lines.whole)
		}
	}
	if lines.close() {
		all = append(all, lines.whole)
	}
	return all
}

// traceLines makes events of a binary trace's lines, as they come.
type traceLines struct {
	whole TracedEvent // the last one that ended
	open  TracedEvent // the one that may go on
	// Of it, its lines as they are read: joined one by one, those of a long one take minutes.
	texts, raws []string
	size        int // of raws, in bytes
}

// add takes a line, and says whether an event ended with it: it is in whole. Of one event no more
// than so many bytes are kept.
func (t *traceLines) add(line string, most int) (ended bool) {
	if len(line) > most {
		line = strings.ToValidUTF8(line[:most], "") // it may be cut within a character
	}
	if m := binaryRow.Get().FindStringSubmatch(line); m != nil {
		ended = t.close()
		t.open = TracedEvent{Stamp: m[1], Module: m[2], Level: m[3]}
		t.texts, t.raws, t.size = []string{strings.TrimSpace(m[4])}, []string{line}, len(line)
		return ended
	}
	text := strings.TrimSpace(line)
	switch {
	case len(t.texts) == 0:
	case text == "" || strings.HasPrefix(text, "==="): // what follows is of the decoder, or of the next one
		return t.close()
	case t.size+len(line) <= most:
		t.texts, t.raws, t.size = append(t.texts, text), append(t.raws, line), t.size+len(line)
	}
	return false
}

// close ends the event that may have gone on, and says whether there was one.
func (t *traceLines) close() bool {
	if len(t.texts) == 0 {
		return false
	}
	t.whole = t.open
	t.whole.Text, t.whole.raw = strings.Join(t.texts, " "), strings.Join(t.raws, "\n")+"\n"
	t.texts, t.raws, t.size = nil, nil, 0
	return true
}

var (
	cryptoModule = lazyregexp.New(`(?i)ike|isakmp|ipsec|crypto|pki`)
	aboutIKE     = lazyregexp.New(`\bIKE(?:v[12])?\b|ISAKMP|IPSEC|CRYPTO-`)
)

// AboutIKE says whether a line of the binary trace is one of IKE, IPsec or certificates: by its
// module, or its text.
func (e TracedEvent) AboutIKE() bool {
	return cryptoModule.Get().MatchString(e.Module) || aboutIKE.Get().MatchString(e.Text)
}

// Peers are the ends that the event is about: the one of which it says so, whomever its text names
// beside, or else all that its text has as words of their own, so that 10.0.0.10 does not name
// 10.0.0.1. A port is 0 where none stands behind the address.
func (e TracedEvent) Peers() []netip.AddrPort {
	if e.Remote.IsValid() {
		return []netip.AddrPort{e.Remote}
	}
	var all []netip.AddrPort
	between := func(r rune) bool { return strings.ContainsRune(" ,;()[]<>=/\"'", r) }
	for _, word := range strings.FieldsFunc(e.Text, between) {
		if end := endIn(strings.TrimRight(word, ".:")); end.IsValid() {
			all = append(all, end)
		}
	}
	return all
}

// endIn is the address that a word is, with a port or without, or that stands behind a colon in it,
// as in remote:192.0.2.1. Not valid: it has none.
func endIn(word string) netip.AddrPort {
	for {
		if a, err := netip.ParseAddr(word); err == nil {
			return netip.AddrPortFrom(a.Unmap(), 0)
		}
		if ap, err := netip.ParseAddrPort(word); err == nil {
			return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
		}
		_, rest, found := strings.Cut(word, ":")
		if !found {
			return netip.AddrPort{}
		}
		word = rest
	}
}

// ofTunnel says whether a line of a binary trace is about IKE, IPsec and certificates, or names the
// peer: what else the router's process writes is none of a tunnel's business.
func (e TracedEvent) ofTunnel(peer netip.Addr) bool {
	return e.AboutIKE() || slices.ContainsFunc(e.Peers(), func(p netip.AddrPort) bool { return p.Addr() == peer })
}

// aboutTunnel are the lines of a binary trace that are of a tunnel.
func aboutTunnel(out string, peer netip.Addr) string {
	var b strings.Builder
	for _, e := range ParseBinaryTrace(out) {
		if e.ofTunnel(peer) {
			b.WriteString(e.raw)
		}
	}
	return b.String()
}

// What is kept of a binary trace, in bytes, however much of it is about the tunnel: so much each of
// its beginning and of its end, and half as much of the errors between the two.
const (
	tracedEachEnd = 256 << 10
	tracedEvent   = 16 << 10 // of one event
	tracedLine    = 1 << 20  // a line that is longer is none, and nothing behind it is read
)

// Traced is what a binary trace has of a tunnel, as it was printed.
type Traced struct {
	Text string // where something is left out, a line that begins with === says so
	Left int    // how many events of the tunnel, from its middle, are not in Text: they were too many
}

// ReadBinaryTrace reads what BinaryTrace shows, as it comes, and keeps what is of the tunnel with
// the peer. With an error it has what was read until then.
func ReadBinaryTrace(in io.Reader, peer netip.Addr) (Traced, error) {
	var begin, errs strings.Builder
	var last []TracedEvent // what may be the end
	left, size := 0, 0
	keep := func(e TracedEvent) {
		switch {
		case !e.ofTunnel(peer):
			return
		case size == 0 && begin.Len()+len(e.raw) <= tracedEachEnd:
			begin.WriteString(e.raw)
			return
		}
		last, size = append(last, e), size+len(e.raw)
		for ; size > tracedEachEnd; last = last[1:] {
			size -= len(last[0].raw)
			if last[0].IsError() && errs.Len()+len(last[0].raw) <= tracedEachEnd/2 {
				errs.WriteString(last[0].raw)
			} else {
				left++
			}
		}
	}
	var lines traceLines
	scan := bufio.NewScanner(in)
	scan.Buffer(make([]byte, 4096), tracedLine)
	for scan.Scan() {
		if lines.add(strings.ReplaceAll(scan.Text(), "\r", ""), tracedEvent) {
			keep(lines.whole)
		}
	}
	if lines.close() {
		keep(lines.whole)
	}
	if left > 0 {
		fmt.Fprintf(&begin, "=== of the middle, errors alone follow; left out: %d ===\n", left)
	}
	begin.WriteString(errs.String())
	for _, e := range last {
		begin.WriteString(e.raw)
	}
	return Traced{Text: begin.String(), Left: left}, scan.Err()
}

// IsError says whether a line of the binary trace is of a level of errors or worse.
func (e TracedEvent) IsError() bool {
	switch strings.ToUpper(e.Level) {
	case "ERR", "ERROR", "CRIT", "CRITICAL", "ALERT", "EMERG", "EMERGENCY":
		return true
	}
	return false
}

// Line is the event as one line, in the router's order.
func (e TracedEvent) Line() string {
	head := e.Stamp + ": "
	if e.Module != "" {
		head += "[" + e.Module + "] (" + e.Level + "): "
	}
	if e.Remote.IsValid() {
		head += "Remote: " + e.Remote.Addr().String() + " "
	}
	return head + e.Text
}

// The bounds of what is asked of the binary trace: the router decodes all that its process wrote in
// that time.
const (
	LeastTraced = 10 * time.Second
	MostTraced  = 30 * time.Minute
	// MostTracedOutput is how much of its output is read, in bytes: its beginning.
	MostTracedOutput = 32 << 20
)

// BinaryTrace shows what the router's own process wrote into the binary trace in the time
// before (Cisco IOS XE 17.x, "Trace Management"). Its excerpt are the lines about IKE, IPsec
// and certificates, and those that name the peer. The parts of the line were each seen, the
// process on a C8000V with 17.19.1 and the span in a public script for 17.x; both together in
// no published output. ReadBinaryTrace reads it.
func BinaryTrace(last time.Duration, peer netip.Addr) Command {
	seconds := int(min(max(last, LeastTraced), MostTraced) / time.Second)
	c := exec("show-binary-trace", "show logging process ios start last "+strconv.Itoa(seconds)+" seconds")
	c.Slow, c.Bulk, c.MaxOutput = true, true, MostTracedOutput
	c.Excerpt = func(out string) string { return aboutTunnel(out, peer) }
	return c
}

// HasBinaryTrace says whether a release of IOS XE shows its binary trace by `show logging process`:
// 17 and later. software is as `show version` has it, 17.9.4a.
func HasBinaryTrace(software string) bool {
	major, _, _ := strings.Cut(software, ".")
	n, err := strconv.Atoi(major)
	return err == nil && n >= 17
}
