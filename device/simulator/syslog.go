package simulator

import (
	"fmt"
	"net"
	"strings"
	"time"
)

// The lines that the logging buffer holds.
const maxLogging = 4096

// log writes a line to the logging buffer and to the terminals that monitor. The
// router's lock is held.
func (r *Router) log(text string) {
	line := r.stamped(text)
	if r.logging = append(r.logging, line); len(r.logging) > maxLogging {
		r.logging = r.logging[1:]
	}
	if r.config.Logged != nil { // <PRI> and a number go before it: local7, and the severity of the line
		r.config.Logged(fmt.Appendf(nil, "<%d>%d: %s", 23*8+severity(text), r.logged, line))
	}
	for _, l := range r.lines {
		if l.term != nil && l.term.monitor {
			l.term.notify(line)
		}
	}
}

// severity is the digit in %FACILITY-SEVERITY-MNEMONIC; that of a debug where there is none.
func severity(text string) int {
	for i := 1; strings.HasPrefix(text, "%") && i+2 < len(text); i++ {
		if text[i] == '-' && text[i+1] >= '0' && text[i+1] <= '7' && text[i+2] == '-' {
			return int(text[i+1] - '0')
		}
	}
	return 7
}

// stamped is a log line with its time, as `service timestamps` has it.
func (r *Router) stamped(text string) string {
	r.logged++
	t := r.clock()
	day := fmt.Sprintf("%s %2d ", t.Format("Jan"), t.Day())
	switch r.config.Knobs.Timestamps {
	case "none":
		return text
	case "zone":
		return fmt.Sprintf("%06d: %s%s: %s", r.logged, r.mark(), day+t.Format("15:04:05.000 MST"), text)
	}
	return r.mark() + day + t.Format("15:04:05.000: ") + text
}

// timestampText is the configuration that makes log lines as they are.
func (r *Router) timestampText() string {
	switch r.config.Knobs.Timestamps {
	case "none":
		return "no service timestamps debug uptime\nno service timestamps log uptime"
	case "zone":
		return "service timestamps debug datetime msec localtime show-timezone\n" +
			"service timestamps log datetime msec localtime show-timezone\nservice sequence-numbers"
	}
	return "service timestamps debug datetime msec\nservice timestamps log datetime msec"
}

// mark is what stands before a time: an asterisk when the clock was never set by NTP, a full stop
// when NTP is lost.
func (r *Router) mark() string {
	switch {
	case r.config.NoNTP:
		return "*"
	case r.config.NTPLost:
		return "."
	}
	return ""
}

// clockText is the time as show clock has it.
func (r *Router) clockText() string {
	return r.mark() + r.clock().Format("15:04:05.000 MST Mon Jan 2 2006")
}

// loadHeader is what `terminal exec prompt timestamp` puts before an output.
func (r *Router) loadHeader() string {
	source := "Time source is NTP, "
	if r.config.NoNTP {
		source = "No time source, "
	}
	cpu := r.cpu()
	return fmt.Sprintf("Load for five secs: %d%%/0%%; one minute: %d%%; five minutes: %d%%\n%s%s\n\n", cpu, cpu, cpu,
		source, r.clockText())
}

func (r *Router) cpu() int { return or(r.config.Knobs.CPU, 2) }

func (l *vty) remote() string {
	host, _, err := net.SplitHostPort(l.conn.RemoteAddr().String())
	if err != nil {
		return "0.0.0.0"
	}
	return host
}

// span is a duration as uptime shows it.
func span(d time.Duration) string {
	minutes := int(d.Minutes())
	var parts []string
	for _, unit := range []struct {
		name string
		n    int
	}{{"year", 365 * 24 * 60}, {"week", 7 * 24 * 60}, {"day", 24 * 60}, {"hour", 60}, {"minute", 1}} {
		n := minutes / unit.n
		minutes %= unit.n
		if n == 0 && (unit.n != 1 || len(parts) > 0) {
			continue
		}
		plural := "s"
		if n == 1 {
			plural = ""
		}
		parts = append(parts, fmt.Sprintf("%d %s%s", n, unit.name, plural))
	}
	return strings.Join(parts, ", ")
}
