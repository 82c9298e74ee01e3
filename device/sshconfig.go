package device

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/moncap/moncap/device/inventory"
	"github.com/moncap/moncap/internal/lazyregexp"
)

// sshConfig is an ssh_config(5) file with what it includes. It is read as OpenSSH reads it, for one
// host after the other, but that nothing in it is run.
type sshConfig struct {
	file  string
	lines []configLine
}

// configLine is one directive; of an Include, what it includes.
type configLine struct {
	where    string // FILE:LINE
	keyword  string // in lower case
	args     []string
	included [][]configLine // file by file
}

// sshHost is what an ssh_config says of a host. Empty fields are not set there.
type sshHost struct {
	hostName, user, port, proxyJump, proxyCommand string
	identityFiles                                 []string
	unjudged                                      []string // Match lines that nobody here can judge, and that were skipped
}

// userConfig reads ~/.ssh/config; a missing one is empty.
func userConfig() (*sshConfig, error) {
	file, err := inventory.ExpandHome("~/.ssh/config")
	if err != nil {
		return nil, fmt.Errorf("ssh_config: %w", err)
	}
	lines, err := readConfig(file, filepath.Dir(file), 0)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("ssh_config: %w", err)
	}
	return &sshConfig{file, lines}, nil
}

// maxConfig bounds one file of a configuration.
const maxConfig = 4 << 20

// mostIncluded bounds files that include files, as OpenSSH does.
const mostIncluded = 16

func readConfig(file, folder string, depth int) ([]configLine, error) {
	b, err := inventory.ReadRegular(file, maxConfig, func(info fs.FileInfo) error {
		if !inventory.OnlyOurs(info) {
			return errors.New("it belongs to, or may be written by, somebody else: chmod 600 it")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return parseConfig(file, string(b), folder, depth)
}

func parseConfig(file, text, folder string, depth int) ([]configLine, error) {
	var all []configLine
	for i, raw := range strings.Split(text, "\n") {
		l := configLine{where: fmt.Sprintf("%s:%d", file, i+1)}
		words, err := configWords(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.where, err)
		}
		if len(words) == 0 {
			continue
		}
		l.keyword, l.args = strings.ToLower(words[0]), words[1:]
		if len(l.args) == 0 {
			return nil, fmt.Errorf("%s: %s: its value is missing", l.where, words[0])
		}
		if l.keyword == "include" {
			if l.included, err = includedFiles(l, folder, depth+1); err != nil {
				return nil, err
			}
		}
		all = append(all, l)
	}
	return all, nil
}

func includedFiles(l configLine, folder string, depth int) ([][]configLine, error) {
	if depth > mostIncluded {
		return nil, fmt.Errorf("%s: too many files include each other", l.where)
	}
	var all [][]configLine
	for _, pattern := range l.args {
		pattern, err := inventory.ExpandHome(pattern)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.where, err)
		}
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(folder, pattern)
		}
		files, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.where, err)
		}
		for _, f := range files {
			lines, err := readConfig(f, folder, depth)
			if err != nil {
				return nil, err
			}
			all = append(all, lines)
		}
	}
	return all, nil
}

// configWords splits a line: the keyword, which a blank or an equals sign ends, and its arguments.
// Quotes hold one together, and what follows an unquoted # is a comment.
func configWords(line string) ([]string, error) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return nil, nil
	}
	end := strings.IndexAny(line, " \t=\"")
	if end < 0 {
		return []string{line}, nil
	}
	words := []string{line[:end]}
	rest := strings.TrimLeft(line[end:], " \t")
	rest = strings.TrimLeft(strings.TrimPrefix(rest, "="), " \t")
	for rest != "" && rest[0] != '#' {
		word, after, err := configWord(rest)
		if err != nil {
			return nil, err
		}
		words, rest = append(words, word), strings.TrimLeft(after, " \t")
	}
	return words, nil
}

func configWord(s string) (word, rest string, err error) {
	var b strings.Builder
	var quote byte
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && i+1 < len(s) && (strings.IndexByte(`"'\`, s[i+1]) >= 0 || quote == 0 && s[i+1] == ' '):
			i++
			b.WriteByte(s[i])
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote == 0 && (c == ' ' || c == '\t'):
			return b.String(), s[i:], nil
		default:
			b.WriteByte(c)
		}
	}
	if quote != 0 {
		return "", "", fmt.Errorf("a quote %c is not closed", quote)
	}
	return b.String(), "", nil
}

// of says what the file has for a host, as the operator names it, and a user name that is settled
// elsewhere ("": none is).
func (c *sshConfig) of(name, userName string) (sshHost, error) {
	local := ""
	if u, err := user.Current(); err == nil {
		local = u.Username
	}
	h := &lookup{name: name, local: local, sshHost: sshHost{user: userName}}
	if err := h.read(c.lines, true); err != nil {
		return sshHost{}, err
	}
	if h.again { // for Match final: what was found first stays
		h.final, h.hostName = true, strings.ReplaceAll(h.host(), "%", "%%")
		if err := h.read(c.lines, true); err != nil {
			return sshHost{}, err
		}
	}
	h.hostName = strings.ToLower(h.host())
	return h.sshHost, nil
}

// lookup reads the lines that apply to one host. The first value of a keyword counts.
type lookup struct {
	sshHost
	name, local string
	final       bool // it is the second reading
	again       bool // a Match final stands there
}

// host is the name as it is known so far.
func (h *lookup) host() string {
	if h.hostName == "" {
		return h.name
	}
	return strings.NewReplacer("%h", h.name, "%%", "%").Replace(h.hostName)
}

func (h *lookup) read(lines []configLine, active bool) error {
	outer := active
	for _, l := range lines {
		var err error
		switch {
		case l.keyword == "host":
			active = outer && matchAny(l.args, h.name)
		case l.keyword == "match":
			active, err = h.match(l, outer)
		case l.keyword == "include":
			for _, lines := range l.included {
				err = errors.Join(err, h.read(lines, active))
			}
		case active:
			h.take(l)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (h *lookup) take(l configLine) {
	set := func(into *string, v string) {
		if *into == "" {
			*into = v
		}
	}
	switch l.keyword {
	case "hostname":
		set(&h.hostName, l.args[0])
	case "user":
		set(&h.user, l.args[0])
	case "port":
		set(&h.port, l.args[0])
	case "proxyjump":
		if h.proxyCommand == "" {
			set(&h.proxyJump, l.args[0])
		}
	case "proxycommand":
		if h.proxyJump == "" {
			set(&h.proxyCommand, strings.Join(l.args, " "))
		}
	case "identityfile":
		if !slices.Contains(h.identityFiles, l.args[0]) {
			h.identityFiles = append(h.identityFiles, l.args[0])
		}
	}
}

// match judges the criteria of a Match line, as far as they can be judged without running
// or asking anything.
func (h *lookup) match(l configLine, outer bool) (bool, error) {
	result, open := outer, ""
	for i := 0; i < len(l.args); i++ {
		criterion, patterns, given := strings.Cut(l.args[i], "=")
		criterion, negated := strings.CutPrefix(criterion, "!")
		is := false
		switch criterion = strings.ToLower(criterion); criterion {
		case "all":
			is = true
		case "final":
			is, h.again = h.final, true
		case "canonical":
			is = h.final // host names are not canonicalized here, but this is when they would be
		default:
			if !given {
				if i++; i == len(l.args) {
					return false, fmt.Errorf("%s: Match %s: its value is missing", l.where, criterion)
				}
				patterns = l.args[i]
			}
			subject, known := h.subject(criterion)
			if !known {
				open = criterion
				continue
			}
			if strings.HasSuffix(criterion, "host") {
				patterns, subject = strings.ToLower(patterns), strings.ToLower(subject)
			}
			is = matchAny(strings.Split(patterns, ","), subject)
		}
		result = result && is != negated
	}
	if result && open != "" {
		if line := fmt.Sprintf("%s: Match %s", l.where, open); !slices.Contains(h.unjudged, line) {
			h.unjudged = append(h.unjudged, line)
		}
		return false, nil
	}
	return result, nil
}

// subject is what the patterns of a criterion are held against.
func (h *lookup) subject(criterion string) (string, bool) {
	switch criterion {
	case "host":
		return h.host(), true
	case "originalhost":
		return h.name, true
	case "user":
		if h.user == "" {
			return h.local, true
		}
		return h.user, true
	case "localuser":
		return h.local, true
	}
	return "", false
}

// matchAny says whether one of the patterns matches s, and none that is negated does.
func matchAny(patterns []string, s string) bool {
	matched := false
	for _, p := range patterns {
		p, not := strings.CutPrefix(p, "!")
		if !wildcards(p).MatchString(s) {
			continue
		}
		if not {
			return false
		}
		matched = true
	}
	return matched
}

func wildcards(pattern string) *regexp.Regexp {
	p := regexp.QuoteMeta(pattern)
	p = strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(p)
	return regexp.MustCompile(`(?s)\A` + p + `\z`)
}

// throughJump matches the ProxyCommand that does what ProxyJump does.
var throughJump = lazyregexp.New(`^(?:exec )?(?:/usr/bin/)?ssh (?:-q )?-W \[?%h\]?:%p (?:-q )?([^\s%-][^\s%]*)$`)

// jumps are the jump hosts on the way. A way that leads through another program is not gone.
func (h sshHost) jumps() ([]hop, error) {
	switch through := throughJump.Get().FindStringSubmatch(strings.Join(strings.Fields(h.proxyCommand), " ")); {
	case through != nil:
		return proxyJumps(through[1])
	case h.proxyCommand != "" && !strings.EqualFold(h.proxyCommand, "none"):
		return nil, fmt.Errorf("ssh_config has ProxyCommand %q for it, which moncap does not run: set `jump` in the "+
			"inventory, or ProxyJump there", h.proxyCommand)
	case strings.EqualFold(h.proxyJump, "none"):
		return nil, nil
	}
	return proxyJumps(h.proxyJump)
}

// keyFiles are the paths of the identity files.
func (h sshHost) keyFiles(remote hop) ([]string, error) {
	var files []string
	local := ""
	if u, err := user.Current(); err == nil {
		local = u.Username
	}
	for _, f := range h.identityFiles {
		if strings.EqualFold(f, "none") {
			continue
		}
		tokens := strings.NewReplacer("%d", "~", "%h", remote.host, "%r", remote.user, "%u", local, "%%", "%")
		f, err := inventory.ExpandHome(tokens.Replace(f))
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// portNumber reads a port, which may be the name of a service.
func portNumber(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err == nil && n > 0 {
		return int(n), nil
	}
	named, err := net.LookupPort("tcp", s)
	if err != nil || named == 0 {
		return 0, fmt.Errorf("%q is no port", s)
	}
	return named, nil
}

// configure fills h from what the user's ssh_config says of it, and returns that.
func (c *sshConfig) configure(h *hop) (said sshHost, err error) {
	name := h.host
	if said, err = c.of(name, h.user); err != nil {
		return said, fmt.Errorf("ssh_config: %w", err)
	}
	h.host, h.user = said.hostName, said.user
	if said.port != "" && h.port == standardPort {
		if h.port, err = portNumber(said.port); err != nil {
			return said, fmt.Errorf("ssh_config: Port of %s: %w", name, err)
		}
	}
	files, err := said.keyFiles(*h)
	if err != nil {
		return said, fmt.Errorf("ssh_config: IdentityFile of %s: %w", name, err)
	}
	h.keyFiles = append(h.keyFiles, files...)
	return said, nil
}
