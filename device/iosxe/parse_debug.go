package iosxe

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// IKEDebug is what the text of `debug crypto ikev2` says about packets.
type IKEDebug struct {
	Packets     []IKEDebugPacket
	Lines       int       // lines that IKEv2 wrote, of any content
	First, Last time.Time // of those lines, by the router's clock; zero when the log has no timestamps
	Expected    []string  // policies that the router says it would have accepted, as printed
}

// IKEDebugPacket is one `Sending Packet` or `Received Packet` block.
type IKEDebugPacket struct {
	Line          int       // counts from 1
	At            time.Time // by the router's clock and zone; year 0 unless the log gives it; zero: no timestamp
	Sent          bool
	Remote, Local netip.AddrPort
	SPIi, SPIr    uint64
	MessageID     uint32
	Exchange      string // as printed: IKE_SA_INIT, IKE_AUTH, CREATE_CHILD_SA, INFORMATIONAL, ...
	Response      bool
	Payloads      []string // as printed: SA, KE, NOTIFY(NAT_DETECTION_SOURCE_IP), ENCR, ...
}

// String names the packet as the debug does.
func (p IKEDebugPacket) String() string {
	kind := "REQUEST"
	if p.Response {
		kind = "RESPONSE"
	}
	return p.Exchange + " " + kind + " MID=" + strconv.FormatUint(uint64(p.MessageID), 10)
}

// A line of the log: sequence number, timestamp with zone, the writer's tag. IOS leaves out each of
// them by configuration (`service timestamps`, `service sequence-numbers`); lines without all three
// continue the one before.
var debugPrefix = lazyregexp.New(`^\s*(?:<\d+>)?(?:(\d+): )?` +
	`(?:(?:[\w.-]+: )?([*.]?)([A-Z][a-z]{2}\s+\d+(?: \d{4})? \d\d:\d\d:\d\d(?:\.\d+)?)(?: ([A-Z][\w+:-]*))?: ` +
	`|(?:\d+[ywdh]\d+[wdh]|\d\d:\d\d:\d\d(?:\.\d+)?): )?` +
	`((?i:IKEv2)(?:-[A-Z]+)?:|[%A-Z][A-Z0-9_-]{2,}:)?(.*)$`)

// continues tells the lines of a packet's block that a router, or a relaying log host, stamped one
// by one.
var continues = lazyregexp.New(
	`(?i)^\s*(?:Initiator SPI ?:|Message id:|IKEv2 [A-Z_]+ Exchange |Payload contents:|(?:[A-Za-z]+(?:\([A-Z0-9_]+\))? ?)+$)`)

const (
	groupTime = 3
	groupTag  = 5
	groupText = 6
)

const maxDebugRecord = 8 << 10 // bytes of one record; more is not a packet block

type debugRecord struct {
	line int
	at   time.Time
	text strings.Builder
}

// ParseIKEDebug reads the text of `debug crypto ikev2`, with or without timestamps and sequence
// numbers, from a console or a log buffer. What it does not understand it passes over.
func ParseIKEDebug(text string) IKEDebug {
	var log IKEDebug
	var open *debugRecord
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, " \r\n\t")
		at, body, starts, ours := splitDebugLine(line)
		switch {
		case starts && open != nil && !ours && !strings.Contains(line, ": %") && continues.Get().MatchString(body) &&
			open.text.Len() < maxDebugRecord:
			open.text.WriteByte(' ')
			open.text.WriteString(strings.TrimSpace(body))
		case starts:
			log.close(open)
			open = nil
			if ours {
				log.note(at)
				open = &debugRecord{line: n, at: at}
				open.text.WriteString(body)
			}
		case open != nil && open.text.Len() < maxDebugRecord:
			open.text.WriteByte(' ')
			open.text.WriteString(strings.TrimSpace(line))
		}
	}
	log.close(open)
	return log
}

// LoggedWhile is the part of a router's log that it wrote while a capture point of that name ran
// the last time, by the two lines that it logs of that, as a CSR1000V was recorded:
// "%BUFCAP-6-ENABLE: Capture Point TEST enabled.", and DISABLE. Without the first, which may have
// been rotated out, or never been logged, it is all of the log.
func LoggedWhile(log string, point Name) string {
	from, to, at := 0, len(log), 0
	for line := range strings.Lines(log) {
		begins := at
		at += len(line)
		switch {
		case logsPoint(line, "ENABLE", point):
			from, to = at, len(log)
		case from > 0 && to == len(log) && logsPoint(line, "DISABLE", point):
			to = begins
		}
	}
	return log[from:to]
}

// logsPoint says whether a line says that a capture point was enabled, or disabled.
func logsPoint(line, what string, point Name) bool {
	_, text, found := strings.Cut(line, "%BUFCAP-6-"+what)
	return found && strings.Contains(strings.ToLower(text), "capture point "+strings.ToLower(point.String())+" ")
}

// splitDebugLine says whether a line starts a record, and whether IKEv2 wrote it.
func splitDebugLine(line string) (at time.Time, body string, starts, ours bool) {
	m := debugPrefix.Get().FindStringSubmatch(line)
	if m == nil {
		return at, "", false, false
	}
	tag := m[groupTag]
	ours = len(tag) >= 5 && strings.EqualFold(tag[:5], "IKEv2")
	at = debugTime(m[groupTime])
	starts = ours || !at.IsZero() || tag != ""
	return at, m[groupText], starts, ours
}

func debugTime(s string) time.Time {
	s = strings.Join(strings.Fields(s), " ")
	for _, layout := range []string{"Jan 2 15:04:05", "Jan 2 2006 15:04:05"} { // a fraction is read without being named
		if t, err := time.Parse(layout, s); err == nil {
			return t
		}
	}
	return time.Time{}
}

func (l *IKEDebug) note(at time.Time) {
	l.Lines++
	if at.IsZero() {
		return
	}
	if l.First.IsZero() {
		l.First = at
	}
	l.Last = at
}

var (
	debugPacket = lazyregexp.New(
		`(?i)\b(Sending|Received) Packet ?\[(?:To|From) (\S+?)\s?/\s?(?:From|To) (\S+?)(?:/VRF [^\]]*)?\]`)
	debugSPIs   = lazyregexp.New(`(?i)Initiator SPI ?: ?([0-9A-F]{16}) ?- ?Responder SPI ?: ?([0-9A-F]{16})`)
	debugMID    = lazyregexp.New(`(?i)Message id: ?(\d+)`)
	debugKind   = lazyregexp.New(`IKEv2 ([A-Z_]+) Exchange (REQUEST|RESPONSE)`)
	debugInside = lazyregexp.New(`Payload contents: ?(.*)`)
	debugPolicy = lazyregexp.New(`Expected Policies: ?: ?.*?(Proposal \d.*)`)
)

func (l *IKEDebug) close(r *debugRecord) {
	if r == nil {
		return
	}
	text := r.text.String()
	if m := debugPolicy.Get().FindStringSubmatch(text); m != nil {
		l.Expected = append(l.Expected, m[1])
	}
	if p, ok := parseIKEDebugPacket(text); ok {
		p.Line, p.At = r.line, r.at
		l.Packets = append(l.Packets, p)
	}
}

func parseIKEDebugPacket(text string) (IKEDebugPacket, bool) {
	head, spis, mid, kind := debugPacket.Get().FindStringSubmatch(text), debugSPIs.Get().FindStringSubmatch(text),
		debugMID.Get().FindStringSubmatch(text), debugKind.Get().FindStringSubmatch(text)
	if head == nil || spis == nil || mid == nil || kind == nil {
		return IKEDebugPacket{}, false
	}
	id, err := strconv.ParseUint(mid[1], 10, 32)
	if err != nil {
		return IKEDebugPacket{}, false
	}
	p := IKEDebugPacket{
		Sent:   strings.EqualFold(head[1], "Sending"),
		Remote: addrPort(head[2]), Local: addrPort(head[3]),
		SPIi: parseSPI(spis[1]), SPIr: parseSPI(spis[2]),
		MessageID: uint32(id), Exchange: kind[1], Response: kind[2] == "RESPONSE",
	}
	if m := debugInside.Get().FindStringSubmatch(text); m != nil {
		p.Payloads = strings.Fields(m[1])
	}
	return p, true
}

// addrPort splits at the last colon: IOS prints IPv6 addresses without brackets.
func addrPort(s string) netip.AddrPort {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return netip.AddrPort{}
	}
	a, err := netip.ParseAddr(s[:i])
	port, perr := strconv.ParseUint(s[i+1:], 10, 16)
	if err != nil || perr != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a, uint16(port))
}

func parseSPI(hex string) uint64 {
	v, err := strconv.ParseUint(hex, 16, 64)
	if err != nil {
		return 0 // the pattern admits 16 hex digits only
	}
	return v
}
