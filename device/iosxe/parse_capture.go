package iosxe

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// Capture is one capture point as `show monitor capture` describes it.
type Capture struct {
	Name       string
	Interfaces []Attachment // empty: not attached yet
	Active     bool
	ACL        string   // the access list that filters, when it is one
	Filter     []string // the filter's own lines otherwise
	Circular   bool
	BufferMB   int    // 0: not said
	File       string // the file that a switch writes to; never on routers
	Packets    int    // the limits; 0: none
	Duration   time.Duration
	PacketLen  int
	PPS        int  // 0: not said, or no limit
	AnyPPS     bool // it says that there is no limit of packets a second
	Every      int
}

// Attachment is an interface of a capture point.
type Attachment struct {
	Interface string // as the router spells it, or Control Plane
	Direction string // in, out, both
}

var (
	captureHead   = lazyregexp.New(`(?i)^Status Information for Capture\s+(\S+)$`)
	captureAttach = lazyregexp.New(`(?i)^Interface\s*:\s*(.+?)\s*,\s*Direction\s*:\s*(\w+)$`)
	captureACL    = lazyregexp.New(`(?i)^access[- ]?list\s*:?\s*(\S+)$`)
	captureField  = lazyregexp.New(`^([^:]+?)\s*:\s*(.*)$`)
	leadingNumber = lazyregexp.New(`^\d{1,9}`)
)

// ParseCaptures reads `show monitor capture`, with or without a name. Empty output means that there
// is no capture point, and is no error.
func ParseCaptures(out string) ([]Capture, error) {
	var all []Capture
	section := ""
	for line := range strings.SplitSeq(Clean(out), "\n") {
		line = strings.TrimSpace(line)
		if m := captureHead.Get().FindStringSubmatch(line); m != nil {
			all, section = append(all, Capture{Name: m[1]}), ""
			continue
		}
		if len(all) == 0 {
			continue
		}
		if head, ok := captureSection(line); ok {
			section = head
			continue
		}
		all[len(all)-1].read(section, line)
	}
	if len(all) == 0 && strings.Contains(out, "Status Information") {
		return nil, fmt.Errorf("show monitor capture: no capture point can be made out")
	}
	return all, nil
}

func captureSection(line string) (string, bool) {
	head, ok := strings.CutSuffix(line, ":")
	switch head = strings.ToLower(strings.TrimSpace(head)); head {
	case "target type", "filter details", "buffer details", "file details", "limit details":
		return head, ok
	}
	return "", false
}

func (c *Capture) read(section, line string) {
	if m := captureAttach.Get().FindStringSubmatch(line); m != nil {
		c.Interfaces = append(c.Interfaces, Attachment{m[1], strings.ToLower(m[2])})
		return
	}
	m := captureField.Get().FindStringSubmatch(line)
	switch {
	case m != nil && strings.EqualFold(m[1], "status"):
		c.Active = strings.EqualFold(m[2], "active")
	case section == "filter details" && line != "":
		c.readFilter(line)
	case m != nil:
		c.readField(strings.ToLower(m[1]), m[2])
	}
}

func (c *Capture) readFilter(line string) {
	if m := captureACL.Get().FindStringSubmatch(line); m != nil {
		c.ACL = m[1]
		return
	}
	c.Filter = append(c.Filter, line)
}

func (c *Capture) readField(key, value string) {
	n, _ := strconv.Atoi(leadingNumber.Get().FindString(value))
	switch key {
	case "buffer type":
		c.Circular = strings.HasPrefix(strings.ToUpper(value), "CIRCULAR")
	case "buffer size (in mb)":
		c.BufferMB = n
	case "associated file name":
		c.File = value
	case "number of packets to capture":
		c.Packets = n
	case "packet capture duration":
		c.Duration = time.Duration(n) * time.Second
	case "packet size to capture":
		c.PacketLen = n
	case "maximum number of packets to capture per second", "packets per second":
		c.PPS, c.AnyPPS = n, n == 0
	case "packet sampling rate":
		c.Every = n
	}
}

// ParseParameter reads `show monitor capture NAME parameter`: the commands that would make the
// capture point again, with single blanks.
func ParseParameter(out string) []string {
	var lines []string
	for line := range strings.SplitSeq(Clean(out), "\n") {
		words := strings.Fields(line)
		if len(words) > 3 && words[0] == "monitor" && words[1] == "capture" {
			lines = append(lines, strings.Join(words, " "))
		}
	}
	return lines
}

// Buffer is the fill of a capture point's buffer.
type Buffer struct {
	SizeKB    int
	UsedKB    int
	Packets   int // in the buffer now
	Dropped   int
	PerSecond int
}

var bufferField = lazyregexp.New(
	`(?i)^(buffer size|buffer used|packets in buf|packets dropped|packets per sec)[^:]*:\s*(\d{1,12})$`)

// ParseBuffer reads `show monitor capture NAME buffer`.
func ParseBuffer(out string) (Buffer, error) {
	var b Buffer
	fields := map[string]*int{
		"buffer size": &b.SizeKB, "buffer used": &b.UsedKB, "packets in buf": &b.Packets,
		"packets dropped": &b.Dropped, "packets per sec": &b.PerSecond,
	}
	seen := false
	for line := range strings.SplitSeq(Clean(out), "\n") {
		if m := bufferField.Get().FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			key := strings.ToLower(m[1])
			*fields[key], _ = strconv.Atoi(m[2])
			seen = seen || key == "packets in buf"
		}
	}
	if !seen {
		return b, fmt.Errorf("show monitor capture buffer: no packet count in %s", quoted(out))
	}
	return b, nil
}

// BriefRow is one packet of `buffer brief`.
type BriefRow struct {
	Index    int
	Size     int           // bytes of the frame
	Offset   time.Duration // since the first packet of the buffer, to the microsecond
	Src, Dst netip.Addr    // not valid when the packet is not IP
	DSCP     int           // -1: not shown
	Protocol string        // UDP, ESP, ICMP, ...
}

// The dscp columns are missing on old releases.
var briefRow = lazyregexp.New(
	`^\s*(\d{1,9})\s+(\d{1,6})\s+(\d{1,9})\.(\d{1,6})\s+(\S+)\s+->\s+(\S+)\s+(?:(\d{1,2})\s+(\S+)\s+)?(\S.*)$`)

// ParseBrief reads `show monitor capture NAME buffer brief`. Lines that are no rows are skipped; no
// row at all means an empty buffer.
func ParseBrief(out string) []BriefRow {
	var rows []BriefRow
	for line := range strings.SplitSeq(Clean(out), "\n") {
		m := briefRow.Get().FindStringSubmatch(line)
		if m == nil {
			continue
		}
		r := BriefRow{DSCP: -1, Protocol: strings.TrimSpace(m[9])}
		r.Index, _ = strconv.Atoi(m[1])
		r.Size, _ = strconv.Atoi(m[2])
		seconds, _ := strconv.Atoi(m[3])
		micros, _ := strconv.Atoi((m[4] + "000000")[:6])
		r.Offset = time.Duration(seconds)*time.Second + time.Duration(micros)*time.Microsecond
		r.Src, _ = netip.ParseAddr(m[5])
		r.Dst, _ = netip.ParseAddr(m[6])
		if m[7] != "" {
			r.DSCP, _ = strconv.Atoi(m[7])
		}
		rows = append(rows, r)
	}
	return rows
}

// What a router says when it did what it was told. Other words need not mean that it did not.
var (
	saysStarted  = lazyregexp.New(`(?i)started capture point`)
	saysStopped  = lazyregexp.New(`(?i)stopped capture point`)
	saysExported = lazyregexp.New(`(?i)exported successfully`)
)

// CaptureStarted says whether the answer to StartCapture confirms it.
func CaptureStarted(out string) bool { return saysStarted.Get().MatchString(out) }

// CaptureStopped says whether the answer to StopCapture confirms it.
func CaptureStopped(out string) bool { return saysStopped.Get().MatchString(out) }

// CaptureExported says whether the answer to ExportCapture confirms it.
func CaptureExported(out string) bool { return saysExported.Get().MatchString(out) }

// SwitchStyle says whether a buffer listing comes from a switch, where tshark prints it; such a
// listing has no form that the playbook could use.
func SwitchStyle(out string) bool { return strings.Contains(out, "Starting the packet display") }

// quoted shortens an output for an error.
func quoted(out string) string {
	r := []rune(strings.TrimSpace(Printable(Clean(out))))
	if len(r) > 120 {
		r = append(r[:120], '…')
	}
	return strconv.Quote(string(r))
}
