package event

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// MaxLine bounds a log line, in bytes: RFC 5424, Section 6.1, has receivers take 2048, and none of
// the lines that matter here is longer.
const MaxLine = 8192

// Message is a log line taken apart. What a line does not have is zero.
type Message struct {
	Priority int    // facility * 8 + severity of the transport; -1: it has none
	Format   string // "RFC 5424", or "IOS" for RFC 3164 and what Cisco makes of it
	Host     string // what the line calls its origin: `logging origin-id`, or what a relay put there
	Sequence uint64 // of `service sequence-numbers`, else of the message counter
	Time     time.Time
	Unsure   bool // of the time: the clock was never set, or lost NTP (* and . before it), or no zone that is known
	Facility string
	Severity int // of the mnemonic, 0 to 7
	Mnemonic string
	Text     string // after the mnemonic
}

// Code is the mnemonic as IOS prints it, such as %CRYPTO-5-SESSION_STATUS.
func (m Message) Code() string {
	return "%" + m.Facility + "-" + strconv.Itoa(m.Severity) + "-" + m.Mnemonic
}

// What is wrong with lines.
var (
	errTooLong    = errors.New("log line: longer than " + strconv.Itoa(MaxLine) + " bytes")
	errNoMnemonic = errors.New("log line: it has no %FACILITY-SEVERITY-MNEMONIC:, as lines of IOS XE have")
	errPriority   = errors.New("log line: its priority is no number from 0 to 191 in <>")
	errShort      = errors.New("log line: it ends within the header of RFC 5424")
)

// mnemonicForm is %FACILITY-SEVERITY-MNEMONIC: and %FACILITY-SUBFACILITY-SEVERITY-MNEMONIC: of
// Cisco's "System Message Format".
var mnemonicForm = lazyregexp.New(`%([A-Z][A-Z0-9_]*(?:-[A-Z][A-Z0-9_]*)*)-([0-7])-([A-Z][A-Z0-9_]*):`)

// ParseSyslog takes a log line of IOS XE apart, as it comes from the router or over a relay:
// RFC 3164 with Cisco's sequence numbers, origin, and every form of `service timestamps`, or
// RFC 5424. now fills in the year that a line leaves out.
func ParseSyslog(line []byte, now time.Time) (Message, error) {
	m := Message{Priority: -1, Format: "IOS"}
	if len(line) > MaxLine {
		return m, errTooLong
	}
	text := printable(strings.TrimPrefix(string(line), "\ufeff"), MaxLine)
	var err error
	if text, err = m.priority(text); err != nil {
		return m, err
	}
	if rest, ok := strings.CutPrefix(text, "1 "); ok && m.Priority >= 0 {
		m.Format = "RFC 5424"
		if text, err = m.modern(rest); err != nil {
			return m, err
		}
	}
	at := mnemonicForm.Get().FindStringSubmatchIndex(text)
	if at == nil {
		return m, errNoMnemonic
	}
	m.header(text[:at[0]], now)
	m.take(text, at)
	// The data plane's own lines come inside one of the platform: "%IOSXE-3-PLATFORM: R0/0: cpp_cp:
	// QFP:0.0 Thread:083 TS:00000000000000 %IPSEC-3-REPLAY_ERROR: ...". In any other line a second
	// mnemonic is what somebody wrote, a user's name for one.
	if m.Facility == "IOSXE" && m.Mnemonic == "PLATFORM" && strings.Contains(m.Text, "QFP:") {
		if at := mnemonicForm.Get().FindStringSubmatchIndex(m.Text); at != nil {
			m.take(m.Text, at)
		}
	}
	return m, nil
}

// take fills in what mnemonicForm found in a text.
func (m *Message) take(text string, at []int) {
	m.Facility, m.Mnemonic = text[at[2]:at[3]], text[at[6]:at[7]]
	m.Severity = int(text[at[4]] - '0')
	m.Text = strings.TrimSpace(text[at[1]:])
}

// priority takes <PRI> off the beginning (RFC 5424, Section 6.2.1). A line of a terminal has none.
func (m *Message) priority(text string) (rest string, err error) {
	if !strings.HasPrefix(text, "<") {
		return text, nil
	}
	number, rest, ok := strings.Cut(text[1:], ">")
	n, err := strconv.ParseUint(number, 10, 8)
	if !ok || err != nil || n > 191 || len(number) > 3 {
		return "", errPriority
	}
	m.Priority = int(n)
	return rest, nil
}

// modern reads the header of RFC 5424, Section 6, after its version, and returns the message.
func (m *Message) modern(text string) (rest string, err error) {
	var fields [5]string // TIMESTAMP HOSTNAME APP-NAME PROCID MSGID
	for i := range fields {
		var ok bool
		if fields[i], text, ok = strings.Cut(text, " "); !ok {
			return "", errShort
		}
	}
	if t, err := time.Parse(time.RFC3339, fields[0]); err == nil {
		m.Time = t
	}
	if fields[1] != "-" {
		m.Host = fields[1]
	}
	if text, err = withoutData(text); err != nil {
		return "", err
	}
	// A relay that knows Cisco's form takes the mnemonic for the name of a program.
	if app := strings.TrimSuffix(fields[2], ":"); strings.HasPrefix(app, "%") && !strings.Contains(text, "%") {
		text = app + ": " + text
	}
	return strings.TrimPrefix(text, "\ufeff"), nil
}

// withoutData takes STRUCTURED-DATA off the beginning: -, or elements in brackets, whose values
// escape " \ and ].
func withoutData(text string) (string, error) {
	if rest, ok := strings.CutPrefix(text, "-"); ok {
		return strings.TrimPrefix(rest, " "), nil
	}
	for strings.HasPrefix(text, "[") {
		quoted, end := false, -1
		for i := 1; i < len(text) && end < 0; i++ {
			switch c := text[i]; {
			case quoted && c == '\\':
				i++
			case c == '"':
				quoted = !quoted
			case c == ']' && !quoted:
				end = i
			}
		}
		if end < 0 {
			return "", errShort
		}
		text = text[end+1:]
	}
	return strings.TrimPrefix(text, " "), nil
}

var (
	sequenceForm = lazyregexp.New(`^(\d{1,19}): `)
	uptimeForm   = lazyregexp.New(`^(?:\d+y\d+w|\d+w\d+d|\d+d\d+h|\d{1,4}:\d\d:\d\d(?:\.\d+)?): ?`)
	stampForm    = lazyregexp.New(`^([*.]?)([A-Z][a-z][a-z]) +(\d{1,2}) (?:(\d{4}) )?(\d\d:\d\d:\d\d)(\.\d{1,6})?` +
		`(?:: ?| ([A-Za-z][A-Za-z0-9_+-]{0,15}): ?| )`)
	isoForm  = lazyregexp.New(`^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d))(?:: ?| )`)
	hostForm = lazyregexp.New(`^([A-Za-z0-9][A-Za-z0-9._:-]{0,254}?):? `)
)

// header reads what stands before the mnemonic, whose parts may all be there or not, some of them
// twice when a relay put its own before them: <189>8: fakehost: 000012: *Mar 1 00:00:00.000 UTC: .
// What it cannot read it leaves.
func (m *Message) header(text string, now time.Time) {
	for range 12 {
		text = strings.TrimLeft(text, " ")
		if f := sequenceForm.Get().FindStringSubmatch(text); f != nil {
			m.Sequence, _ = strconv.ParseUint(f[1], 10, 64) // one that is too large is none
			text = text[len(f[0]):]
		} else if f := uptimeForm.Get().FindString(text); f != "" {
			text = text[len(f):]
		} else if f := stampForm.Get().FindStringSubmatch(text); f != nil {
			m.stamp(f, now)
			text = text[len(f[0]):]
		} else if f := isoForm.Get().FindStringSubmatch(text); f != nil {
			if t, err := time.Parse(time.RFC3339, f[1]); err == nil {
				m.Time, m.Unsure = t, false
			}
			text = text[len(f[0]):]
		} else if f := hostForm.Get().FindStringSubmatch(text); f != nil {
			if m.Host == "" {
				m.Host = f[1]
			}
			text = text[len(f[0]):]
		} else {
			return
		}
	}
}

// stamp reads what stampForm found. The last time of a line is the router's own.
func (m *Message) stamp(f []string, now time.Time) {
	zone, known := time.UTC, f[7] == "UTC" || f[7] == "GMT" || f[7] == "Z"
	year := f[4]
	if year == "" {
		year = strconv.Itoa(now.Year())
	}
	t, err := time.ParseInLocation("2006 Jan 2 15:04:05", year+" "+f[2]+" "+f[3]+" "+f[5], zone)
	if err != nil {
		return
	}
	if f[6] != "" {
		d, _ := time.ParseDuration("0" + f[6] + "s") // the form has digits only
		t = t.Add(d)
	}
	if f[4] == "" { // the last time that it was so; a clock may be ahead a little
		switch soon := now.AddDate(0, 0, 7); {
		case t.After(soon):
			t = t.AddDate(-1, 0, 0)
		case !t.AddDate(1, 0, 0).After(soon):
			t = t.AddDate(1, 0, 0)
		}
	}
	m.Time, m.Unsure = t, f[1] != "" || !known
}
