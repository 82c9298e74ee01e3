package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/moncap/moncap/device/simulator"
)

// publishedCommands turns what `moncap commands` prints into expressions, as an administrator would
// for a TACACS+ server.
func publishedCommands(t *testing.T) []*regexp.Regexp {
	t.Helper()
	var listed []struct{ Syntax []string }
	if err := json.Unmarshal([]byte(moncap(t, "commands", "--format", "json").stdout), &listed); err != nil {
		t.Fatal(err)
	}
	var all []*regexp.Regexp
	for _, c := range listed {
		for _, s := range c.Syntax {
			s = strings.ReplaceAll(s, " | ", " \x00 ")
			s = regexp.QuoteMeta(s)
			s = strings.NewReplacer(`\[`, "(", `\]`, ")?", `\{`, "(", `\}`, ")", `\|`, "|", "\x00", `\|`).Replace(s)
			s = regexp.MustCompile(`<\w+>`).ReplaceAllString(s, `[^\s|;]+`)
			all = append(all, regexp.MustCompile("^"+s+"$"))
		}
	}
	if len(all) < 50 {
		t.Fatalf("%d commands are published", len(all))
	}
	return all
}

func listed(published []*regexp.Regexp, line string) bool {
	return slices.ContainsFunc(published, func(re *regexp.Regexp) bool { return re.MatchString(line) })
}

// TestEverySentCommandIsPublished runs all that moncap does with routers, and looks at
// what those received.
func TestEverySentCommandIsPublished(t *testing.T) {
	t.Parallel()
	published := publishedCommands(t)
	for _, incident := range []string{"healthy", "ipv6", "nat"} {
		l := newLabWith(t, incident, func(c *simulator.Config) { c.Privilege, c.Enable = 1, "enable-secret-of-the-test" })
		l.setEnable(t, "enable-secret-of-the-test")
		out := filepath.Join(l.dir, "bundle")
		commands := l.everyCommand(out)
		target := l.tunnel.B.WAN.Address.String()
		commands = append(commands,
			[]string{"run", "demo", "-i", l.inventory, "--out", out + "4", "--duration", "2s", "--until", "packets=4",
				"--trigger", "clear crypto session remote " + target},
			[]string{"run", "demo", "-i", l.inventory, "--out", out + "5", "--duration", "2s", "--until", "failed", "--trigger",
				"ping " + target + " repeat 2", "--packet-len", "1600", "--pps", "500", "--circular"},
			[]string{"run", "demo", "-i", l.inventory, "--out", out + "6", "--duration", "1s", "--keep"},
			[]string{"clean", out + "6", "-i", l.inventory},
		)
		for _, args := range commands {
			if incident == "ipv6" && slices.Contains(args, "--debug") {
				// it can be limited to IPv4 peers only
				args = slices.DeleteFunc(args, func(a string) bool { return a == "--debug" })
			}
			if r := moncap(t, args...); r.code > exitInconclusive {
				t.Errorf("%s: %v: exit %d\n%s", incident, args, r.code, r.stderr)
			}
		}
		received := map[string]bool{}
		for _, r := range l.routers {
			for _, line := range r.Commands() {
				received[line] = true
			}
		}
		for line := range received {
			if !listed(published, line) {
				t.Errorf("%s: %q was sent, and is not published", incident, line)
			}
		}
		if len(received) < 40 || !received["enable"] || !received["configure terminal"] {
			t.Errorf("%s: only %d different commands", incident, len(received))
		}
		l.nothingLeft(t, result{})
	}
}

// setEnable has the inventory name an enable secret.
func (l *testLab) setEnable(t *testing.T, secret string) {
	t.Helper()
	file := filepath.Join(l.dir, "password-enable")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l.edit(t, "defaults: {", "defaults: {enable: \"file:"+file+"\", ")
}

func (l *testLab) edit(t *testing.T, before, after string) {
	t.Helper()
	b, err := os.ReadFile(l.inventory)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(b), before, after)
	if text == string(b) {
		t.Fatalf("%q is not in the inventory", before)
	}
	if err := os.WriteFile(l.inventory, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The published list is all that a TACACS+ server has to let pass.
func TestThePublishedCommandsAreEnough(t *testing.T) {
	published := publishedCommands(t)
	l := newLabWith(t, "healthy", func(c *simulator.Config) {
		c.Authorize = func(command string) bool { return listed(published, command) }
	})
	r := moncap(t, "run", "demo", "-i", l.inventory, "--out", filepath.Join(l.dir, "bundle"), "--until", "packets=4",
		"--duration", "5s", "--debug")
	if r.code != exitOK || strings.Contains(r.stderr, "authorization") || strings.Contains(r.stderr, "dump") {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
	l.nothingLeft(t, r)
}

// optional is how what a router is sent for an option begins.
var optional = map[string]string{"--binary-trace": "show logging process", "--trigger": "ping ",
	"--debug": "debug crypto ikev2"}

// TestAccountsAsPrinted types what `moncap account` prints at the routers, and works with the
// account that this makes.
func TestAccountsAsPrinted(t *testing.T) {
	for _, tt := range []struct {
		name string
		ok   []string // arguments of a run that must work
		no   []string // of one that must be refused before anything is changed; nil: none
	}{
		{"--full", []string{"--debug"}, nil},
		{"--narrow", []string{"--zero-config"}, []string{}},
		{"--narrow", []string{"--zero-config", "--binary-trace", "--control-plane", "--trigger", "ping 198.51.100.2"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			printed := moncap(t, "account", tt.name, "--username", "captor")
			text := strings.NewReplacer("<SECRET>", labPassword, "<VIEW-SECRET>", "another").Replace(printed.stdout)
			l := newLabWith(t, "healthy", func(c *simulator.Config) {
				c.Password, c.Version = "of the administrator", "17.9.4a"
			})
			for i, r := range l.routers {
				lines := append([]string{"configure terminal"}, slices.DeleteFunc(strings.Split(strings.TrimSpace(text), "\n"),
					func(s string) bool {
						return strings.HasPrefix(s, "!")
					})...)
				if said := r.Type(lines...); strings.Contains(said, "%") {
					t.Fatalf("the router does not take it: %s", said)
				}
				l.before[i] = stateOf(r)
			}
			l.edit(t, "username: "+labUser, "username: captor")
			run := []string{"run", "demo", "-i", l.inventory, "--until", "packets=4", "--duration", "5s", "--out"}
			r := moncap(t, append(append(run, filepath.Join(l.dir, "ok")), tt.ok...)...)
			if r.code != exitOK || !strings.Contains(r.stdout, "ESTABLISHED") {
				t.Errorf("%v: exit %d\n%s%s", tt.ok, r.code, r.stdout, r.stderr)
			}
			for _, lacking := range []string{"does not show", "could not be read", "there is no capture", "trigger:"} {
				if strings.Contains(r.stderr, lacking) {
					t.Errorf("the account lacks something:\n%s", r.stderr)
				}
			}
			for _, option := range tt.ok {
				line := optional[option]
				if sent := l.routers[0].Commands(); !slices.ContainsFunc(sent, func(c string) bool {
					return strings.HasPrefix(c, line)
				}) {
					t.Errorf("%s: %q was not sent: %q", option, line, sent)
				}
			}
			l.nothingLeft(t, r)
			if tt.no == nil {
				return
			}
			before := len(l.routers[0].Commands())
			r = moncap(t, append(append(run, filepath.Join(l.dir, "no")), tt.no...)...)
			if r.code != exitFailed || !strings.Contains(r.stderr, "check: ") {
				t.Errorf("the whole playbook with it: exit %d\n%s", r.code, r.stderr)
			}
			if after := strings.Join(l.routers[0].Commands()[before:], "\n"); strings.Contains(after, "configure terminal") {
				t.Errorf("sent: %s", after)
			}
			l.nothingLeft(t, r)
		})
	}
}
