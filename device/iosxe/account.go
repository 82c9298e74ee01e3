package iosxe

import (
	"slices"
	"strings"
)

// FullAccount returns the configuration of an account for the whole playbook: level 15 at login, which the SCP server
// asks for, and the SCP server itself (Cisco document 220371). Lines that begin with `!` are for the reader.
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

// NarrowAccount returns the configuration of an account that can capture and read, and nothing else: no configuration
// mode, no file, no SCP. `moncap run --zero-config` does with it. It is a parser view (Role-Based CLI Access), which
// needs aaa new-model.
func NarrowAccount(username string) []string {
	lines := []string{
		"! Narrow account for run --zero-config: no configuration mode, no SCP, and moncap writes no file with it.",
		"! Parser views need aaa new-model, and `enable view` to configure them. Try it in a lab first.",
		"parser view MONCAP",
		" secret <VIEW-SECRET>",
	}
	for _, c := range NarrowCommands() {
		lines = append(lines, " commands exec include all "+c)
	}
	return append(lines,
		"username "+username+" view MONCAP secret <SECRET>",
		"! and, unless it is there already:  aaa authorization exec default local")
}

// NarrowCommands lists the beginnings of the commands that the narrow account is given, the shortest that cover them.
func NarrowCommands() []string {
	var all []string
	for _, d := range AllCommands() {
		if !d.Narrow {
			continue
		}
		for _, s := range d.Syntax {
			all = append(all, fixedWords(s))
		}
	}
	slices.Sort(all)
	return slices.CompactFunc(all, func(a, b string) bool { return b == a || strings.HasPrefix(b, a+" ") })
}

// fixedWords returns the words of a syntax before the first value or choice; a pipe and what follows it are no part of
// what is authorized.
func fixedWords(syntax string) string {
	syntax, _, _ = strings.Cut(syntax, " | ")
	end := strings.IndexAny(syntax, "<[{")
	if end < 0 {
		return syntax
	}
	return strings.TrimSpace(syntax[:end])
}
