package simulator

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// mode is what a session's prompt stands in.
type mode string

const (
	execMode      mode = ""
	configMode    mode = "config"
	extNACLMode   mode = "config-ext-nacl"
	ipv6ACLMode   mode = "config-ipv6-acl"
	interfaceMode mode = "config-if"
	lineMode      mode = "config-line"
	viewMode      mode = "config-view"
)

// session is one user at one terminal.
type session struct {
	router    *Router
	vty       *vty
	term      *terminal
	privilege int
	asked     int // the level of the login, to which disable returns
	mode      mode
	acl       *accessList // being edited
	iface     string      // being configured
	view      string      // being configured
	commands  []string    // of the parser view that the user is in; empty: in none
	console   bool        // typed by Type: nobody has to authorize it

	out       strings.Builder
	full      bool // the flash is full for this command
	cut       bool // an export of this command lacks its end
	leave     bool
	abandoned error
}

func (s *session) prompt() string {
	s.router.mu.Lock()
	name := s.router.hostname
	s.router.mu.Unlock()
	if s.mode != execMode {
		return fmt.Sprintf("%s(%s)#", name[:min(20, len(name))], s.mode)
	}
	mark := "#"
	if s.privilege < 2 {
		mark = ">"
	}
	return strings.NewReplacer("%h", name, "%p", mark).Replace(or(s.router.config.Knobs.Prompt, "%h%p"))
}

// shown is the prompt as it goes to the terminal.
func (s *session) shown() string {
	if s.router.config.Knobs.NULPrompt {
		return "\x00" + s.prompt()
	}
	return s.prompt()
}

// shell is an interactive session, from greeting to exit.
func (s *session) shell() {
	s.greet()
	for !s.leave && s.turn() == nil {
	}
	s.term.flush()
}

func (s *session) greet() {
	k := s.router.config.Knobs
	if k.MOTD != "" {
		s.term.print("\r\n" + crlf(strings.TrimSuffix(k.MOTD, "\n")) + "\r\n")
	}
	if k.SecurityWarnings {
		s.term.print(crlf(securityWarnings))
	}
	s.term.print("\r\n")
}

const securityWarnings = ` SECURITY WARNING - Module: SSH, Command: crypto key generate rsa ..., Reason: SSH RSA host key uses insufficient key length, Remediation: Configure a longer key
 INSECURE DYNAMIC WARNING - Module: SSH, Command: ip ssh server algorithm hostkey ssh-rsa, Reason: weak algorithm, Remediation: remove it
`

// single is one command of an exec request.
func (s *session) single(command string) {
	s.term.window.length = 0
	s.term.print("\r\n")
	_ = s.obey(strings.TrimSpace(command))
	s.term.flush()
}

// turn reads one line and carries it out.
func (s *session) turn() error {
	text := ""
	if err := s.rest(s.router.config.Knobs.PromptPause); err != nil {
		return err
	}
	for {
		typed, end, err := s.term.readLine(s.shown(), text, false, s.router.config.Knobs.ExecTimeout)
		if err != nil {
			if errors.Is(err, errIdle) {
				s.term.print("\r\n")
			}
			return err
		}
		switch end {
		case '?':
			s.help(typed)
			text = typed
		case keyTab:
			text = s.completed(typed)
			s.term.print("\r\n")
		case keyInterrupt, keyLeave:
			s.endConfig()
			return nil
		case keyEscape:
			return nil
		default:
			if err := s.rest(s.router.config.Knobs.EchoPause); err != nil {
				return err
			}
			return s.obey(strings.TrimRight(typed, " \t"))
		}
	}
}

// rest is a pause of the router's own, which an interrupt shortens.
func (s *session) rest(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	if err := s.term.pause(d, s.router.quit); !errors.Is(err, errInterrupted) {
		return err
	}
	return nil
}

// obey carries one line out, with whatever faults are due.
func (s *session) obey(line string) error {
	if strings.TrimSpace(line) == "" || strings.HasPrefix(strings.TrimSpace(line), "!") {
		return nil
	}
	s.note(line)
	hit := s.router.faults.strike(line)
	s.full, s.cut = false, false
	if d := s.router.config.Knobs.Latency; d > 0 {
		if err := s.term.pause(d, s.router.quit); err != nil {
			return s.interrupted(err)
		}
	}
	if carry, err := s.suffer(at(hit, Before)); !carry || err != nil {
		return s.interrupted(err)
	}
	s.abandoned = nil
	s.perform(line)
	for _, f := range at(hit, Before) {
		if f.Action == OtherWords {
			s.out.Reset()
			s.put("%s\n", strings.TrimSuffix(f.Text, "\n"))
		}
	}
	if s.abandoned != nil {
		return s.interrupted(s.abandoned)
	}
	text := s.takeOutput()
	if during := at(hit, During); len(during) > 0 {
		half := len(text) / 2
		s.term.print(text[:half])
		if _, err := s.suffer(during); err != nil {
			return s.interrupted(err)
		}
		text = text[half:]
	}
	if err := s.term.page(text); err != nil {
		return err
	}
	_, err := s.suffer(at(hit, After))
	return s.interrupted(err)
}

// interrupted turns an interrupt into a new prompt.
func (s *session) interrupted(err error) error {
	if errors.Is(err, errInterrupted) {
		s.out.Reset()
		s.term.print("^C\r\n")
		return nil
	}
	return err
}

func (s *session) note(line string) {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	r.commands = append(r.commands, line)
	s.vty.idle = r.config.Now()
}

// put adds to the output of the command. Lines end in a plain newline here.
func (s *session) put(format string, args ...any) {
	fmt.Fprintf(&s.out, format, args...)
}

func (s *session) takeOutput() string {
	text := crlf(s.out.String())
	s.out.Reset()
	return text
}

// perform parses a line and runs it.
func (s *session) perform(line string) {
	command, filter, piped := splitPipe(line)
	root, c, bad := s.parse(command)
	if bad != nil {
		s.reject(line, bad)
		return
	}
	full := c.String()
	if piped {
		keep, ok := s.outputFilter(c, filter)
		if !ok {
			s.reject(line, &rejection{invalid, strings.Index(line, "|")})
			return
		}
		full += " | " + filter
		if s.call(root, c, full) {
			s.filterOutput(keep)
		}
		return
	}
	s.call(root, c, full)
}

// call runs what was understood, if the authorization server lets it.
func (s *session) call(root *node, c *call, full string) bool {
	if view := s.commands; len(view) > 0 && !s.console && !inView(view, c) {
		s.reject(c.typed, &rejection{invalid, viewCaret(view, c)})
		return false
	}
	if auth := s.router.config.Authorize; auth != nil && !s.console && full != "exit" && !auth(full) {
		s.put("Command authorization failed.\n\n")
		return false
	}
	if s.mode != execMode && root == s.router.grammar.config && c.words[0] != "exit" && c.words[0] != "end" &&
		c.words[0] != "do" {
		s.mode = configMode
	}
	if s.router.config.Knobs.ExecPromptTimestamp && c.words[0] == "show" {
		s.put("%s", s.router.loadHeader())
	}
	c.run(s, c)
	return true
}

// Commands that every view has.
var viewless = []string{"exit", "logout", "quit", "enable", "disable", "end"}

// inView says whether a parser view includes a command.
func inView(view []string, c *call) bool {
	full := c.String() + " "
	if slices.Contains(viewless, c.words[0]) {
		return true
	}
	return slices.ContainsFunc(view, func(v string) bool { return strings.HasPrefix(full, v+" ") })
}

// viewCaret is where a command leaves what its view knows.
func viewCaret(view []string, c *call) int {
	all, deepest := tokens(c.typed), 0
	for i := range c.words {
		begin := strings.Join(c.words[:i+1], " ")
		if slices.ContainsFunc(view, func(v string) bool { return strings.HasPrefix(v+" ", begin+" ") }) {
			deepest = i + 1
		}
	}
	return all[min(deepest, len(all)-1)].offset
}

// parse tries the grammar of the mode, then that of the modes around it.
func (s *session) parse(line string) (*node, *call, *rejection) {
	roots := s.roots()
	root := roots[0]
	c, bad := s.router.parse(root, line, s.privilege)
	for _, outer := range roots[1:] {
		if bad == nil || bad.kind == incomplete {
			break
		}
		if c2, bad2 := s.router.parse(outer, line, s.privilege); bad2 == nil {
			return outer, c2, nil
		}
	}
	return root, c, bad
}

func (s *session) roots() []*node {
	switch s.mode {
	case execMode:
		return []*node{s.router.grammar.exec}
	case configMode:
		return []*node{s.router.grammar.config}
	case extNACLMode:
		return []*node{s.router.grammar.extNACL, s.router.grammar.config}
	case ipv6ACLMode:
		return []*node{s.router.grammar.ipv6ACL, s.router.grammar.config}
	case viewMode:
		return []*node{s.router.grammar.view, s.router.grammar.config}
	case interfaceMode:
		return []*node{s.router.grammar.iface, s.router.grammar.config}
	}
	return []*node{s.router.grammar.line, s.router.grammar.config}
}

func (s *session) reject(line string, bad *rejection) {
	switch bad.kind {
	case incomplete:
		if strings.TrimSpace(line) == "show" {
			s.put("%% Type \"show ?\" for a list of subcommands\n")
			return
		}
		s.put("%% Incomplete command.\n\n")
	case ambiguous:
		s.put("%% Ambiguous command:  \"%s\"\n", line)
	case unknown:
		if s.mode == execMode {
			s.put("%% Unknown command or computer name, or unable to find computer address\n\n")
			return
		}
		fallthrough
	default:
		s.putInvalid(len(s.prompt()) + bad.offset)
	}
}

// putInvalid refuses what stands at that column of the terminal.
func (s *session) putInvalid(column int) {
	s.put("%s^\n%% Invalid input detected at '^' marker.\n\n", strings.Repeat(" ", column))
}

// help answers a question mark.
func (s *session) help(typed string) {
	s.term.print("?\r\n")
	var rows [][2]string
	var words bool
	var bad *rejection
	for _, root := range s.roots() {
		if rows, words, bad = s.router.helpFor(root, typed, s.privilege); bad == nil && len(rows) > 0 {
			break
		}
	}
	switch {
	case bad != nil && bad.kind == ambiguous:
		s.put("%% Ambiguous command:  \"%s\"\n", typed)
	case bad != nil || len(rows) == 0:
		s.put("%% Unrecognized command\n")
	case words:
		for _, row := range rows {
			s.put("%s  ", row[0])
		}
		s.put("\n")
	default:
		s.helpRows(rows)
	}
	s.put("\n")
	_ = s.term.page(s.takeOutput())
}

func (s *session) helpRows(rows [][2]string) {
	width := 0
	for _, row := range rows {
		width = max(width, len(row[0]))
	}
	for _, row := range rows {
		if row[0] == "<cr>" {
			s.put("  <cr>\n")
			continue
		}
		s.put("  %-*s  %s\n", width, row[0], row[1])
	}
}

// completed is the line with its last word in full, if only one word can be meant.
func (s *session) completed(typed string) string {
	rows, words, bad := s.router.helpFor(s.roots()[0], typed, s.privilege)
	if bad != nil || !words || len(rows) != 1 {
		return typed
	}
	return typed[:strings.LastIndex(typed, " ")+1] + rows[0][0] + " "
}

// confirm asks a [confirm] question. IOS reads one key.
func (s *session) confirm(question string) bool {
	s.term.print(s.takeOutput() + question + "[confirm]")
	b, err := s.term.key(s.router.config.Knobs.ExecTimeout, nil)
	if err != nil {
		s.abandoned = err
		return false
	}
	yes := b == keyReturn || b == keyLineFeed || b == 'y' || b == 'Y'
	s.term.skip = b == keyReturn
	if b >= ' ' && b < keyDelete {
		s.term.print(string(rune(b)))
	}
	s.term.print("\r\n")
	return yes
}

// question asks for a value with a default.
func (s *session) question(text string, hidden bool) (string, bool) {
	s.term.print(s.takeOutput())
	answer, end, err := s.term.readLine(text, "", hidden, 30*time.Second)
	if err != nil {
		s.abandoned = err
		return "", false
	}
	return strings.TrimSpace(answer), end == '\n'
}
