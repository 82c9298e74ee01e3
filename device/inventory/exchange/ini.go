package exchange

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxHosts bounds what a range of names may make.
const maxHosts = 100_000

// ansibleINI reads Ansible's own INI: sections [GROUP], [GROUP:children] and [GROUP:vars]; hosts
// bare, in ranges, with a port, and with variables as a shell would split them.
func ansibleINI(file string, b []byte) (*ansibleInventory, error) {
	in := newAnsibleInventory()
	name, kind := "ungrouped", ""
	n := 0
	var errs error
	for raw := range bytes.Lines(b) {
		n++
		line := strings.TrimSpace(string(raw))
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if line[0] == '[' {
			head, _, ok := strings.Cut(line[1:], "]")
			name, kind, _ = strings.Cut(strings.TrimSpace(head), ":")
			if !ok || name == "" || kind != "" && kind != "children" && kind != "vars" {
				return nil, fmt.Errorf("%s:%d: want [GROUP], [GROUP:children] or [GROUP:vars]", file, n)
			}
			in.group(name)
			continue
		}
		if err := in.iniLine(name, kind, line); err != nil {
			errs = errors.Join(errs, fmt.Errorf("%s:%d: %w", file, n, err))
		}
		if len(in.hosts) > maxHosts {
			return nil, fmt.Errorf("%s:%d: more than %d hosts", file, n, maxHosts)
		}
	}
	return in, errs
}

func (in *ansibleInventory) iniLine(group, kind, line string) error {
	g := in.group(group)
	switch kind {
	case "children":
		child, _, _ := strings.Cut(line, "#")
		child = strings.TrimSpace(child)
		in.group(child)
		g.children = append(g.children, child)
		return nil
	case "vars":
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return errors.New("want NAME=VALUE")
		}
		// Ansible takes the value as it stands, a comment included, but for quotes around all of it.
		g.vars.setText(strings.TrimSpace(key), unquoted(strings.TrimSpace(value)))
		return nil
	}
	words, err := shellWords(line)
	if err != nil || len(words) == 0 {
		return errors.Join(errors.New("want HOST and any number of NAME=VALUE"), err)
	}
	pattern, where := hostPort(words[0])
	names, err := hostRange(pattern)
	if err != nil {
		return err
	}
	for _, host := range names {
		v := in.host(host)
		g.hosts = append(g.hosts, host)
		if where != "" {
			v.setText("ansible_port", where)
		}
		for _, w := range words[1:] {
			key, value, ok := strings.Cut(w, "=")
			if !ok {
				return fmt.Errorf("want NAME=VALUE behind the host, got %.40q", w)
			}
			v.setText(key, value)
		}
	}
	return nil
}

// hostPort parts a host and the port behind it. A colon of a range, or of an IPv6 address without
// brackets, is no port's.
func hostPort(s string) (host, number string) {
	i := strings.LastIndexByte(s, ':')
	if i <= 0 || port(s[i+1:]) == 0 || strings.Contains(s[:i], ":") && !strings.Contains(s[:i], "]") {
		return s, ""
	}
	return s[:i], s[i+1:]
}

func (v vars) setText(key, value string) {
	if wanted(key) {
		v[key] = value
	}
}

func unquoted(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}

// shellWords splits a line as a shell would: quotes, backslashes, and a comment behind a blank.
func shellWords(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	in, quote, escaped := false, rune(0), false
	for _, r := range line {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, in = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '"' || r == '\'':
			quote, in = r, true
		case r == '#' && !in:
			return words, nil
		case r == ' ' || r == '\t':
			if in {
				words = append(words, word.String())
			}
			word.Reset()
			in = false
		default:
			word.WriteRune(r)
			in = true
		}
	}
	if quote != 0 || escaped {
		return nil, errors.New("a quote is not closed")
	}
	if in {
		words = append(words, word.String())
	}
	return words, nil
}

// hostRange spells out NAME[01:12:2] and NAME[a:f], as often as they stand in a name.
func hostRange(pattern string) ([]string, error) {
	open := strings.IndexByte(pattern, '[')
	end := strings.IndexByte(pattern, ']')
	if open < 0 || end < open || !strings.Contains(pattern[open:end], ":") {
		return []string{pattern}, nil
	}
	parts := strings.Split(pattern[open+1:end], ":")
	if strings.Count(pattern[open+1:end], ":") > 2 {
		return []string{pattern}, nil // an IPv6 address
	}
	bad := fmt.Errorf("want a range such as [01:12] or [a:f], got %.40q", pattern[open:end+1])
	step := 1
	if len(parts) == 3 {
		var err error
		if step, err = strconv.Atoi(parts[2]); err != nil || step < 1 {
			return nil, bad
		}
	}
	rest, err := hostRange(pattern[end+1:])
	if err != nil {
		return nil, err
	}
	items, ok := between(parts[0], parts[1], step)
	if !ok {
		return nil, bad
	}
	if len(items)*len(rest) > maxHosts {
		return nil, fmt.Errorf("%.40q makes more than %d hosts", pattern, maxHosts)
	}
	var names []string
	for _, item := range items {
		for _, tail := range rest {
			names = append(names, pattern[:open]+item+tail)
		}
	}
	return names, nil
}

// between are the numbers or letters from first to last. Numbers are as wide as
// the first is written.
func between(first, last string, step int) ([]string, bool) {
	if first == "" {
		first = "0"
	}
	letter := func(s string) bool { return len(s) == 1 && (s[0]|0x20 >= 'a' && s[0]|0x20 <= 'z') }
	if letter(first) && letter(last) {
		var all []string
		for c := int(first[0]); c <= int(last[0]); c += step {
			all = append(all, string(rune(c)))
		}
		return all, len(all) > 0
	}
	from, err1 := strconv.Atoi(first)
	to, err2 := strconv.Atoi(last)
	if err1 != nil || err2 != nil || from < 0 || to < from || (to-from)/step >= maxHosts {
		return nil, false
	}
	width := 0
	if first[0] == '0' && len(first) > 1 {
		width = len(first)
	}
	var all []string
	for n := from; n <= to; n += step {
		all = append(all, fmt.Sprintf("%0*d", width, n))
	}
	return all, true
}
