package iosxe

import (
	"slices"
	"strings"
)

// FullAccount returns the configuration of an account for the whole playbook: level 15 at login,
// which the SCP server asks for, and the SCP server itself (Cisco document 220371). Lines that
// begin with `!` are for the reader.
func FullAccount(username string) []string {
	return []string{
		"! Full account: the whole playbook. SCP needs privilege 15 at login; enable does not help.",
		"! Restrict it by TACACS+ command authorization to what `moncap commands` lists.",
		"username " + username + " privilege 15 secret <SECRET>",
		"ip scp server enable",
		"! With aaa new-model, the privilege applies only when exec authorization is configured too:",
		"!   aaa authorization exec default local",
	}
}

// NarrowAccount returns the configuration of an account that can capture and read, and nothing
// else: no configuration mode, no file, no SCP. `moncap run --zero-config` does with it. It is a
// parser view (Role-Based CLI Access), which needs aaa new-model.
func NarrowAccount(username string) []string {
	lines := []string{
		"! Narrow account for run --zero-config: no configuration mode, no SCP, and moncap writes no file with it.",
		"! Parser views need aaa new-model, and `enable view` to configure them. Try it in a lab first.",
		"parser view MONCAP",
		" secret <VIEW-SECRET>",
	}
	optional := map[string]string{} // beginnings of commands, and for which option alone
	for _, d := range AllCommands() {
		if option := optIns[d.Name]; option != "" {
			for _, c := range beginnings(d) {
				optional[c] = option
			}
		}
	}
	var last []string
	for _, c := range NarrowCommands() {
		line := " commands exec include all " + c
		if option := optional[c]; option != "" {
			last = append(last, "! Opt-in, only for runs "+option+"; leave it out where there are none:", line)
			continue
		}
		lines = append(lines, line)
	}
	lines = append(lines, last...)
	return append(lines,
		"username "+username+" view MONCAP secret <SECRET>",
		"! and, unless it is there already:  aaa authorization exec default local")
}

// optIns are the commands of the narrow account that a run sends for an option
// alone, by their names.
var optIns = map[string]string{
	"show-binary-trace": "with --binary-trace",
	"ping":              "with --trigger \"ping ...\"",
}

// NarrowCommands lists the beginnings of the commands that the narrow account is given, the
// shortest that cover them.
func NarrowCommands() []string {
	var all []string
	for _, d := range AllCommands() {
		if d.Narrow {
			all = append(all, beginnings(d)...)
		}
	}
	slices.Sort(all)
	var shortest []string
	for _, c := range all {
		if n := len(shortest); n == 0 || c != shortest[n-1] && !strings.HasPrefix(c, shortest[n-1]+" ") {
			shortest = append(shortest, c)
		}
	}
	return shortest
}

// beginnings are the fixed words with which the command's forms begin.
func beginnings(d Description) []string {
	var all []string
	for _, s := range d.Syntax {
		all = append(all, fixedWords(s))
	}
	return all
}

// fixedWords returns the words of a syntax before the first value or choice; a pipe and what
// follows it are no part of what is authorized.
func fixedWords(syntax string) string {
	syntax, _, _ = strings.Cut(syntax, " | ")
	end := strings.IndexAny(syntax, "<[{")
	if end < 0 {
		return syntax
	}
	return strings.TrimSpace(syntax[:end])
}
