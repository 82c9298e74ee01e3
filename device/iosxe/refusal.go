package iosxe

import (
	"slices"
	"strings"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// Refused looks for the router's refusal in the output of cmd and returns nil when there is none.
// Syslog lines are dropped first; of a show command only the beginning counts, since the rest may
// quote anything.
func Refused(cmd Command, output string) *Refusal {
	lines := strings.Split(Clean(output), "\n")
	if strings.HasPrefix(cmd.Name, "show-") {
		lines = beginning(lines, 6)
	}
	for i, line := range lines {
		kind, bad := classify(line)
		if !bad {
			continue
		}
		return &Refusal{Command: refusedLine(cmd, lines[:i]), Text: refusalText(lines[i:]), Kind: kind}
	}
	return nil
}

// beginning returns the lines up to the n-th that is not blank.
func beginning(lines []string, n int) []string {
	for i, l := range lines {
		if strings.TrimSpace(l) == "" {
			continue
		}
		if n--; n < 0 {
			return lines[:i]
		}
	}
	return lines
}

// The first rule that matches decides, so what says more stands above what says less. Most
// lines are none, and have none of the words, in small letters, of which a rule's lines
// have at least one.
var refusals = []struct {
	words   []string
	matches *lazyregexp.Regexp
	kind    RefusalKind
}{
	{[]string{"%"}, lazyregexp.New(
		`(?i)^\s*%\s*(?:invalid input|ambiguous command|incomplete command|unknown command|unrecognized command|bad ip address)`), InvalidInput},
	{[]string{"ation failed", "denied", "error in", "bad "},
		lazyregexp.New(`(?i)^(?:%\s*)?(?:command )?authori[sz]ation failed|^%\s*(?:access|permission) denied|^%\s*(?:error in authentication|bad secrets|bad passwords)|^privilege denied`), Unauthorized},
	{[]string{"space", "full"},
		lazyregexp.New(`(?i)no space left|not enough (?:free )?space|insufficient (?:disk )?space|(?:disk|device|file ?system) (?:is )?full`), NoSpace},
	{[]string{"error "},
		lazyregexp.New(`(?i)^\s*%?error .*\(no such file or directory\)|^\s*%?error .*\(file not found\)`), Missing},
	{[]string{"exist", "not found"},
		lazyregexp.New(`(?i)^\s*%?\s*capture (?:point )?(?:\S+ )?does not exist|^\s*non-existent access-list|^\s*class-map \S+ not found`), Missing},
	{[]string{"exist"}, lazyregexp.New(`(?i)^\s*%?\s*no vrf named \S+ exists|^\s*%\s*vrf \S+ does not exist`), Missing},
	{[]string{"is not active", "unable to"},
		lazyregexp.New(`(?i)^\s*%?\s*capture \S+ is not active|^\s*unable to deactivate capture`), NotActive},
	{[]string{"capture ", "already "},
		lazyregexp.New(`(?i)^\s*%?\s*capture \S+ is (?:already )?(?:active|running|started)|^\s*%.*already (?:exists|active)|^\s*a file by .*already exists`), AlreadyThere},
	{[]string{"not supported"},
		lazyregexp.New(`(?i)^\s*%?\s*capture is not supported|^\s*%.*not supported|^\s*clear not supported`), Unsupported},
	{[]string{"unable to ", "failed to ", "error "},
		lazyregexp.New(`(?i)^\s*unable to (?:activate|configure|start|create) |^\s*failed to (?:export|attach|start|activate|open|create) ?|^\s*%?error (?:opening|deleting|connecting|copying|writing|reading|verifying|computing)`), Unclassified},
}

// A percent sign at the start of a line is how IOS complains, except for these.
var remark = lazyregexp.New(`(?i)^\s*%\s*warning`)

func classify(line string) (RefusalKind, bool) {
	small := strings.ToLower(line)
	for _, r := range refusals {
		if hasOneOf(small, r.words) && r.matches.Get().MatchString(line) {
			return r.kind, true
		}
	}
	return Unclassified, strings.HasPrefix(strings.TrimSpace(line), "%") && !remark.Get().MatchString(line)
}

func hasOneOf(line string, words []string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(line, w) })
}

// refusalText takes the complaint and what follows it, for the first line alone often does not say
// what failed.
func refusalText(lines []string) string {
	var text []string
	for _, l := range beginning(lines, 2) {
		if l = strings.TrimSpace(Printable(l)); l != "" {
			text = append(text, l)
		}
	}
	s := []rune(strings.Join(text, " "))
	return string(s[:min(len(s), 300)])
}

// refusedLine finds which line of cmd was refused: the last one that the router had echoed by then.
func refusedLine(cmd Command, before []string) string {
	if len(cmd.Lines) == 0 {
		return ""
	}
	last := cmd.Lines[0]
	for _, l := range before {
		for _, typed := range cmd.Lines {
			if strings.HasSuffix(strings.TrimSpace(l), typed) {
				last = typed
			}
		}
	}
	return last
}

// What the SCP server says instead of a file, most telling first.
var transferRefusals = []struct {
	matches *lazyregexp.Regexp
	kind    RefusalKind
}{
	{lazyregexp.New(`(?i)privilege`), Unprivileged},
	{lazyregexp.New(`(?i)administratively disabled|(?:scp|server|service)\b.*\b(?:disabled|not enabled|not running)`),
		Disabled},
	{lazyregexp.New(`(?i)authori[sz]ation|not authori[sz]ed|(?:permission|access) denied`), Unauthorized},
	{lazyregexp.New(`(?i)lines? (?:are |is )?(?:busy|in use)|no free (?:line|vty)|(?:too many|maximum|limit)\b.*\bsessions?|sessions? limit`), Busy},
	{lazyregexp.New(`(?i)no such file|not found|does not exist`), Missing},
}

// RefusedTransfer sorts what an SCP server said, on one or several lines, instead of sending the
// file that command (`scp -f PATH`) asks for. Missing says that the path was understood and that
// there is no such file; Unclassified may be about the path or anything else.
func RefusedTransfer(command, said string) *Refusal {
	lines := strings.Split(said, "\n")
	for _, t := range transferRefusals {
		for i, l := range lines {
			if t.matches.Get().MatchString(l) {
				return &Refusal{Command: command, Text: refusalText(lines[i:]), Kind: t.kind}
			}
		}
	}
	return &Refusal{Command: command, Text: refusalText(lines)}
}

// LoginRefused says whether what a router said right after a login, before it hung up, means that
// the account does not get a session, however often it tries: no exec authorization, a password
// that expired, an account that is locked.
func LoginRefused(said string) bool { return loginRefused.Get().MatchString(said) }

// A banner may well speak of accounts that will be locked, so only what has happened counts.
var loginRefused = lazyregexp.New(
	`(?i)%\s*(?:(?:exec )?authori[sz]ation failed|login invalid|authentication failed|access denied|bad passwords)` +
		`|\b(?:password|account)(?: (?:has|have|is|was|been))* (?:expired|locked|disabled)|must change (?:your|the) password|password must be changed`)

// LastWords quotes the end of what a router said: the last lines that are neither blank nor
// messages, fit to be shown.
func LastWords(output string) string {
	lines := strings.Split(Clean(output), "\n")
	var words []string
	for i := len(lines) - 1; i >= 0 && len(words) < 3; i-- {
		if l := strings.TrimSpace(Printable(lines[i])); l != "" {
			words = append([]string{l}, words...)
		}
	}
	s := []rune(strings.Join(words, " / "))
	return string(s[max(0, len(s)-300):])
}
