package simulator

import (
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRefusedLines(t *testing.T) {
	tests := []struct{ line, want string }{
		{"show verzion", "          " + "     ^\n% Invalid input detected at '^' marker.\n\n"},
		{"show", "% Type \"show ?\" for a list of subcommands\n"},
		{"monitor capture", "% Incomplete command.\n\n"},
		{"monitor capture cap interface GigabitEthernet9 both",
			strings.Repeat(" ", 7+30) + "^\n% Invalid input detected at '^' marker.\n\n"},
		{"monitor capture cap buffer size 101", strings.Repeat(" ", 7+32) + "^\n% Invalid input detected at '^' marker.\n\n"},
		{"monitor capture cap buffer size 0", strings.Repeat(" ", 7+32) + "^\n% Invalid input detected at '^' marker.\n\n"},
		{"monitor capture cap limit packets 100001",
			strings.Repeat(" ", 7+34) + "^\n% Invalid input detected at '^' marker.\n\n"},
		{"e", "% Ambiguous command:  \"e\"\n"}, // enable, exit
		{"show c", "% Ambiguous command:  \"show c\"\n"},
		{"nonsense", "% Unknown command or computer name, or unable to find computer address\n\n"},
		{"! a comment", ""},
		{"show clock | bogus x", strings.Repeat(" ", 7+11) + "^\n% Invalid input detected at '^' marker.\n\n"},
	}
	c := login(t, start(t, Config{}))
	for _, tt := range tests {
		if got := c.run(tt.line); got != tt.want {
			t.Errorf("%s\ngot:\n%s\nwant:\n%s", tt.line, got, tt.want)
		}
	}
}

func TestAbbreviations(t *testing.T) {
	c := login(t, start(t, Config{}))
	for _, lines := range [][]string{
		{"sh clock det", "Time source is NTP"},
		{"sh ver | i uptime", "uptime is"},
		{"SHOW PRIV", "Current privilege level is 15"},
		{"sh ip int br", "GigabitEthernet1       192.168.1.1     YES NVRAM  up                    up"},
		{"mon cap x int gi1 b", ""},
		{"mon cap x int gigabitEthernet 2 in", ""},
		{"mon cap x match ipv4 prot udp host 1.2.3.4 any", ""},
		{"sh mon cap x par", "interface GigabitEthernet2 IN"},
		{"sh run | sec interface GigabitEthernet1", "ip address 192.168.1.1 255.255.255.0"},
		{"sh run | count hostname", "= 1"},
		{"conf t", "one per line"},
		{"do sh run | i hostname", "hostname site-A"},
		{"end", ""},
	} {
		if got := c.run(lines[0]); !strings.Contains(got, lines[1]) || strings.Contains(got, "%") {
			t.Errorf("%s: %q, want %q in it", lines[0], got, lines[1])
		}
	}
}

func TestModes(t *testing.T) {
	c := login(t, start(t, Config{Hostname: "a-router-with-quite-a-long-name"}))
	for _, tt := range []struct{ line, prompt string }{
		{"conf t", "a-router-with-quite-(config)#"},
		{"ip access-list extended x", "(config-ext-nacl)#"},
		{"permit ip any any", "(config-ext-nacl)#"},
		{"ipv6 access-list y", "(config-ipv6-acl)#"}, // straight from one mode to the next
		{"permit esp host 2001:DB8::1 any", "(config-ipv6-acl)#"},
		{"interface gi2", "(config-if)#"},
		{"shutdown", "(config-if)#"},
		{"exit", "(config)#"},
		{"do show privilege", "(config)#"},
		{"line vty 0 4", "(config-line)#"},
		{"end", "a-router-with-quite-a-long-name#"},
		{"conf t", "(config)#"},
		{"hostname short", "short(config)#"},
		{"\x1a", "short#"},
	} {
		if c.send(tt.line); tt.line != "\x1a" {
			c.send("\n")
		}
		if got := c.until(prompt); !strings.HasSuffix(got, tt.prompt) {
			t.Fatalf("%q: prompt %q, want %q", tt.line, got, tt.prompt)
		}
	}
}

func TestLevels(t *testing.T) {
	r := start(t, Config{Privilege: 1, Enable: "s3cret"})
	c := open(t, r, 0, 0)
	if got := c.until(prompt); !strings.HasSuffix(got, "site-A>") {
		t.Errorf("prompt %q", got)
	}
	if got := c.run("show running-config"); !strings.Contains(got, "Invalid input") {
		t.Errorf("level 1 sees the configuration: %s", got)
	}
	if got := c.run("monitor capture x start"); !strings.Contains(got, "Invalid input") {
		t.Errorf("level 1 captures: %s", got)
	}
	password := regexp.MustCompile(`Password: $`)
	c.send("enable\n")
	for range 3 {
		c.until(password)
		c.send("wrong\n")
	}
	if got := c.until(prompt); !strings.Contains(got, "% Bad secrets") {
		t.Errorf("after three wrong secrets: %q", got)
	}
	c.send("enable\n")
	c.until(password)
	c.send("s3cret\n")
	if got := c.until(prompt); !strings.HasSuffix(got, "site-A#") || strings.Contains(got, "s3cret") {
		t.Errorf("after the secret: %q", got)
	}
	if got := c.run("show privilege"); got != "Current privilege level is 15\n" {
		t.Errorf("privilege: %q", got)
	}
	for _, line := range r.Commands() {
		if strings.Contains(line, "s3cret") {
			t.Error("the secret is among the commands")
		}
	}
}

func TestAuthorization(t *testing.T) {
	var asked []string
	c := login(t, start(t, Config{Authorize: func(command string) bool {
		asked = append(asked, command)
		return !strings.HasPrefix(command, "show running-config")
	}}))
	if got := c.run("sh run | i scp"); got != "Command authorization failed.\n\n" {
		t.Errorf("refused command: %q", got)
	}
	if got := asked[len(asked)-1]; got != "show running-config | i scp" {
		t.Errorf("asked for %q", got)
	}
}

func TestLineEditing(t *testing.T) {
	r := start(t, Config{})
	c := login(t, r)
	for typed, want := range map[string]string{
		"show clokc\b\bck\n":                    "show clock",
		"rubbish\x15show clock\n":               "show clock",
		"show rubbish\x17clock\n":               "show clock",
		"clock\x01show \x05\n":                  "show clock",
		"show clo\x7fock\n":                     "show clock",
		"show priv\t\n":                         "show privilege ",
		"show clo\x1b[D\x1b[C\x1b[Cck\n":        "show clock",
		"show clock\r\n":                        "show clock",
		strings.Repeat("x", 200) + "\x18show\n": "show",
	} {
		before := len(r.Commands())
		c.send(typed)
		c.until(prompt)
		got := r.Commands()[before:]
		if len(got) != 1 || got[0] != strings.TrimSpace(want) {
			t.Errorf("%q: commands %q, want %q", typed, got, want)
		}
	}
}

func TestInterruptedLine(t *testing.T) {
	r := start(t, Config{})
	c := login(t, r)
	c.send("show version\x03show clock\n")
	if got := c.until(regexp.MustCompile(`UTC[^#]*#$`)); strings.Contains(got, "uptime") {
		t.Errorf("an interrupted line was carried out: %q", got)
	}
}

func TestHelpKeepsTheLine(t *testing.T) {
	c := login(t, start(t, Config{}))
	c.send("show cl?")
	if got := c.until(regexp.MustCompile(`#show cl$`)); !strings.Contains(got, "clock") {
		t.Errorf("help: %q", got)
	}
	c.send("ock\n")
	if got := c.until(prompt); !regexp.MustCompile(`\d\d:\d\d:\d\d\.\d{3} UTC`).MatchString(got) {
		t.Errorf("the line was lost: %q", got)
	}
}

func TestPager(t *testing.T) {
	c := open(t, start(t, Config{}), 80, 10)
	c.until(prompt)
	more := regexp.MustCompile(` --More-- $`)
	c.send("show running-config\n")
	if page := c.until(more); strings.Count(page, "\n") != 10 { // the echo and nine lines
		t.Errorf("first page: %q", page)
	}
	c.send("\r")
	if line := c.until(more); strings.Count(line, "\n") != 1 {
		t.Errorf("one line more: %q", line)
	}
	c.send(" ")
	if page := c.until(more); strings.Count(page, "\n") != 9 || !strings.HasPrefix(page, strings.Repeat("\b", 10)) {
		t.Errorf("second page: %q", page)
	}
	c.send("q")
	if end := c.until(regexp.MustCompile(`\x08site-A#$`)); strings.Contains(end, "vty") {
		t.Errorf("after q: %q", end)
	}
	c.run("terminal length 0")
	if all := c.run("show running-config"); !strings.HasSuffix(all, "end\n\n") {
		t.Errorf("without pages: %q", all)
	}
}

func TestNarrowTerminalScrolls(t *testing.T) {
	c := open(t, start(t, Config{}), 80, 0)
	c.until(prompt)
	c.send("monitor capture TEST match ipv4 protocol udp host 192.168.100.100 host 192.168.200.200 bidirectional\n")
	if got := c.until(prompt); !strings.Contains(got, "\rsite-A#$") {
		t.Errorf("no dollar sign in %q", got)
	}
	if got := c.run("show monitor capture TEST parameter"); !strings.Contains(got, "192.168.200.200 bidirectional") {
		t.Errorf("the line was cut: %s", got)
	}
}

func TestExecTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{Knobs: Knobs{ExecTimeout: 5 * time.Minute}})
		c := login(t, r)
		began := time.Now()
		c.rest()
		if d := time.Since(began); d != 5*time.Minute {
			t.Errorf("closed after %s", d)
		}
	})
}

func TestSyslogOnTerminals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{Knobs: Knobs{SyslogEvery: time.Minute}})
		quiet, loud := login(t, r), login(t, r)
		loud.run("terminal monitor")
		loud.send("show cl") // half a command is typed when it comes
		time.Sleep(61 * time.Second)
		loud.send("ock\n")
		got := loud.until(regexp.MustCompile(`UTC .*\r\nsite-A#$`))
		if !strings.Contains(got, "show cl\r\n") || !strings.Contains(got, "%LINEPROTO-5-UPDOWN") {
			t.Errorf("monitoring terminal: %q", got)
		}
		if out := quiet.run("show clock"); strings.Contains(out, "LINEPROTO") {
			t.Errorf("other terminal: %q", out)
		}
		if out := quiet.run("show logging"); !strings.Contains(out, "LINEPROTO") {
			t.Errorf("logging buffer: %q", out)
		}
	})
}

func TestExecPromptTimestamp(t *testing.T) {
	c := login(t, start(t, Config{Knobs: Knobs{ExecPromptTimestamp: true}}))
	if got := c.run("show privilege"); !regexp.MustCompile(
		`^Load for five secs: \d+%/0%; one minute: \d+%; five minutes: \d+%\nTime source is NTP, \d\d:.*\n\nCurrent`).MatchString(got) {
		t.Errorf("got %q", got)
	}
}

func TestPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := login(t, start(t, Config{VRFs: []string{"red"}}))
		if got := c.run("ping vrf red 192.168.2.1 source gi1 repeat 80"); !strings.Contains(got,
			strings.Repeat("!", 70)+"\n"+strings.Repeat("!", 10)+"\nSuccess rate is 100 percent (80/80)") {
			t.Errorf("ping: %s", got)
		}
		if got := c.run("ping vrf blue 192.168.2.1"); !strings.HasPrefix(got, "% VRF blue") {
			t.Errorf("ping: %s", got)
		}
		for _, line := range []string{"conf t", "int gi1", "shut", "end"} {
			c.run(line)
		}
		c.send("ping 192.168.2.1 repeat 1000\n")
		time.Sleep(10 * time.Second)
		c.send("\x1e")
		if got := c.until(prompt); strings.Count(got, ".....") != 1 {
			t.Errorf("interrupted ping: %q", got)
		}
	})
}

// Nothing that is typed may make the router panic, or hang without a prompt.
func FuzzLine(f *testing.F) {
	for _, s := range []string{"show clock", "mon cap x match ipv4 any any eq 5", "conf t\npermit udp any eq 5 host",
		"no 10", "ip access-list extended x\n10 permit ip any any\nno 10",
		"ipv6 access-list x\nsequence 10 permit 17 any any", "monitor capture x y", "dir bootflash:", "delete /force a",
		"show mon cap x buf d", "do do show", "?", "sh ?", "show run | inc (",
		"ping 1.1.1.1", "monitor capture access-list access-list access-list"} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, text string, config bool) {
		r, err := New(lab(Config{Authorize: func(string) bool { return true }}))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		near, far := Pipe()
		defer near.Close()
		term := newTerminal(far, window{80, 0})
		term.interactive = true
		s := &session{router: r, vty: &vty{conn: &wire{Conn: far}}, term: term, privilege: 15}
		if config {
			s.mode = configMode
		}
		go discard(near)
		go term.read()
		defer term.end()
		_, _ = near.Write([]byte(text + "\n"))
		near.(interface{ CloseWrite() error }).CloseWrite()
		for i := 0; i < 100 && !s.leave && s.turn() == nil; i++ {
		}
		if !hostnameForm.Get().MatchString(r.hostname) {
			t.Errorf("prompt %q", s.prompt())
		}
	})
}
