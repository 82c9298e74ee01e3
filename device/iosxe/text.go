package iosxe

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// Prompt matches the prompt of the router called hostname, at the end of what it wrote, in any
// mode: R1>, R1#, R1(config)#, R1(config-ext-nacl)#. In configuration modes IOS XE shortens long
// names, so there a beginning of the name is enough; and it shows the configured name there, which
// the command `prompt` does not change: configNames are further names that may stand there.
func Prompt(hostname string, configNames ...string) *regexp.Regexp {
	var short []string
	for _, n := range append([]string{hostname}, configNames...) {
		r := []rune(n)
		short = append(short, regexp.QuoteMeta(string(r[:min(len(r), 20)])))
	}
	return regexp.MustCompile(`(?:^|[\r\n])(?:` + regexp.QuoteMeta(hostname) + `[>#]|(?:` +
		strings.Join(short, "|") + `)[\w.+:/-]*\([\w.+:/-]{1,32}\)#)[ \t\a]*$`)
}

// AnyPrompt matches a prompt of a router whose name is not known yet. Group 1 is the name, group 2
// the configuration mode if any, group 3 what ends the prompt. The command `prompt` may set
// brackets before or behind the name.
var AnyPrompt = lazyregexp.New(
	`(?:^|[\r\n])((?:\[[\w .+:/-]{1,32}\] ?)?[A-Za-z0-9][\w.+:/-]{0,62}(?: ?\[[\w .+:/-]{1,32}\])?)` +
		`(\([\w.+:/-]{1,32}\))?([>#])[ \t\a]*$`)

// ConfigPrompt matches a prompt of configuration mode or one of its submodes, whatever name stands
// there. Group 1 is the name.
var ConfigPrompt = lazyregexp.New(`(?:^|[\r\n])([^\s(][^\r\n(]{0,80})\(config[\w.+:/-]{0,32}\)#[ \t\a]*$`)

// PasswordPrompt matches the question for a password or an enable secret.
var PasswordPrompt = lazyregexp.New(`(?i)(?:^|[\r\n])[^\r\n]{0,40}passw(?:ord|d):[ \t]*$`)

// Pager matches the pager's line, which `terminal length 0` should have turned off.
var Pager = lazyregexp.New(`[ \t]*--More--[ \t\x08]*$`)

// Dialog matches a question that waits for an answer, known or not: [confirm], a default in
// brackets, yes or no.
var Dialog = lazyregexp.New(
	`(?i)(?:\[confirm\]|\[[^\]\r\n]*\][ \t]*\?|\(yes/no\)[^\r\n]{0,8}|\[yes/no\][^\r\n]{0,8}|\[y/n\][^\r\n]{0,8})[ \t]*$`)

// SyslogLine says whether the router wrote line on its own account, in the middle of whatever it
// was printing. The forms are `%FACILITY-SEVERITY-MNEMONIC:` with any timestamp, and the warnings
// of 17.18 and later.
func SyslogLine(line string) bool {
	// Every line of every output comes by, and few of them have what the expressions ask for.
	return strings.IndexByte(line, '%') >= 0 && syslogLine.Get().MatchString(line) ||
		strings.Contains(line, " WARNING - ") && securityWarning.Get().MatchString(line)
}

var (
	// Between the start of the line and the percent sign stand a sequence number, a timestamp and a
	// zone, no words. Cisco's list of messages prints one mnemonic with a blank in it.
	syslogLine = lazyregexp.New(
		`^[\s*.]*(?:[\w:.,+*-]+[ :]+){0,8}%[A-Z0-9_]+(?:-[A-Z0-9_/]+)?-[0-7]-[A-Z0-9_]+(?: _[A-Z0-9_]+)?:`)
	securityWarning = lazyregexp.New(`^\s*(?:SECURITY|INSECURE DYNAMIC) WARNING - `)
)

// Clean takes out of a command's output what does not belong to it: carriage returns, backspaces,
// syslog lines, the lines of `exec prompt timestamp`. What is left has bare newlines.
func Clean(output string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(normalise(output), "\n") {
		if SyslogLine(line) || promptTimestamp.Get().MatchString(line) {
			continue
		}
		b.WriteString(line)
		b.WriteByte('\n')
	}
	return strings.TrimRight(b.String(), "\n")
}

// The lines that `exec prompt timestamp` puts before every output. The time source alone is also a
// line of `show clock detail`, and stays when it carries no time.
var promptTimestamp = lazyregexp.New(
	`^(?:Load for five secs: \d+%/\d+%;.*|Time source is [^,]+, .*|No time source, .*)\s*$`)

// Overtyped carries out the backspaces in s, with which the pager takes its line back.
func Overtyped(s string) string { return normalise(s) }

// normalise gives s bare newlines and carries out its backspaces, in one pass.
func normalise(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '\r':
			if next := strings.TrimLeft(s[i:min(i+4, len(s))], "\r"); next == "" || next[0] != '\n' {
				out = append(out, '\n')
			}
		case '\x08':
			if len(out) > 0 && out[len(out)-1] != '\n' {
				out = out[:len(out)-1]
			}
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

// Printable makes s safe to show: every control character, invalid byte and bidirectional override
// but newline and tab is replaced, so that a router's output cannot steer the operator's terminal.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) && r != utf8.RuneError {
			return r
		}
		return '\uFFFD'
	}, s)
}
