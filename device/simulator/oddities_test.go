package simulator

import (
	"io"
	"net/netip"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
)

// Between the echo of a line and what follows it, and between an output and the prompt, time
// passes, at an empty line too.
func TestPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := login(t, start(t, Config{Knobs: Knobs{EchoPause: 2 * time.Second, PromptPause: 3 * time.Second}}))
		for _, line := range []string{"show clock\n", "\n"} {
			began := time.Now()
			c.send(line)
			c.until(regexp.MustCompile(`\n$`))
			if d := time.Since(began); d != 0 {
				t.Errorf("the echo of %q took %s", line, d)
			}
			if line != "\n" {
				c.until(regexp.MustCompile(`\r\n$`))
				if d := time.Since(began); d != 2*time.Second {
					t.Errorf("the output came after %s", d)
				}
			}
			c.until(regexp.MustCompile(`#$`))
			if d := time.Since(began); d != 5*time.Second {
				t.Errorf("the prompt after %q came after %s", line, d)
			}
		}
	})
}

func TestJitterChangesNoByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plain := login(t, start(t, Config{})).run("show version")
		began := time.Now()
		c := login(t, start(t, Config{Knobs: Knobs{Jitter: time.Second}}))
		for range 40 {
			if got := c.run("show version"); got != plain {
				t.Fatalf("%q, want %q", got, plain)
			}
		}
		if time.Since(began) == 0 {
			t.Error("there was no pause")
		}
	})
}

func TestPrompts(t *testing.T) {
	for _, tt := range []struct {
		knobs        Knobs
		exec, config string
	}{
		{Knobs{Prompt: "%h-STP-1234%p"}, "\nsite-A-STP-1234#", "site-A(config)#"},
		{Knobs{Prompt: "[prod] %h%p"}, "\n[prod] site-A#", "site-A(config)#"},
		{Knobs{NULPrompt: true}, "\n\x00site-A#", "\x00site-A(config)#"},
	} {
		c := open(t, start(t, Config{Knobs: tt.knobs}), 0, 0)
		if got := c.until(regexp.MustCompile(`#$`)); !strings.HasSuffix(got, tt.exec) {
			t.Errorf("prompt %q", got)
		}
		c.send("configure terminal\n")
		if got := c.until(regexp.MustCompile(`\)#$`)); !strings.HasSuffix(got, tt.config) || strings.Contains(got, "prod") {
			t.Errorf("prompt %q", got)
		}
	}
}

// said is what a router says on a shell, or upon an exec request, until it hangs up.
func said(t *testing.T, r *Router, command string) string {
	t.Helper()
	s := channel(t, r)
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if command != "" {
		err = s.Start(command)
	} else {
		err = s.Shell()
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRefusalsAfterTheLogin(t *testing.T) {
	const denied = "% Authorization failed."
	r := start(t, Config{Knobs: Knobs{AfterLogin: denied}})
	for _, command := range []string{"", "scp -f x"} {
		if got := said(t, r, command); got != "\r\n"+denied+"\r\n" {
			t.Errorf("%q: %q", command, got)
		}
	}
	busy := start(t, Config{VTYs: 1, Knobs: Knobs{BusyText: "% All lines are busy"}})
	login(t, busy)
	if got := said(t, busy, ""); got != "\r\n% All lines are busy\r\n" {
		t.Errorf("no line: %q", got)
	}
}

func TestOneSession(t *testing.T) {
	r := start(t, Config{Knobs: Knobs{OneSession: true}})
	first, err := connect(t, r, clientConfig(r))
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return r.Sessions() == 1 }) // the client knows that it is in before the router has noted it
	if _, err := connect(t, r, clientConfig(r)); err == nil || !strings.Contains(err.Error(), "unable to authenticate") {
		t.Fatalf("a second session: %v", err)
	}
	first.Close()
	waitFor(t, func() bool { return r.Sessions() == 0 })
	if _, err := connect(t, r, clientConfig(r)); err != nil {
		t.Errorf("alone again: %v", err)
	}
}

func TestSlowLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{Knobs: Knobs{LoginDelay: 22 * time.Second}})
		began := time.Now()
		if _, err := connect(t, r, clientConfig(r)); err != nil || time.Since(began) != 22*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

func TestSCPWords(t *testing.T) {
	for _, tt := range []struct {
		config  Config
		command string
		want    string
	}{
		{Config{Knobs: Knobs{SCPRefusal: "\r\nPrivilege denied.\r\n"}}, "scp -f bootflash:x", "\r\nPrivilege denied.\r\n"},
		{Config{Privilege: 7}, "scp -f bootflash:x", "\x01Privilege denied.\n"},
	} {
		if got := said(t, start(t, tt.config), tt.command); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
	r := start(t, Config{Flash: map[string][]byte{"x": []byte("hello")},
		Knobs: Knobs{SCPPath: "bare", SCPWrongPath: "Bad path"}})
	if got := ask(t, r, "scp -f flash:x"); got != "\x01Bad path\n" {
		t.Errorf("a form that it does not take: %q", got)
	}
	if got := ask(t, r, "scp -f y"); !strings.Contains(got, "No such file") {
		t.Errorf("a file that is not there: %q", got)
	}
}

// ask is the answer to an SCP request.
func ask(t *testing.T, r *Router, command string) string {
	t.Helper()
	s := channel(t, r)
	s.Stdin = strings.NewReader("\x00")
	b, _ := s.Output(command) // the exit status is not 0
	return string(b)
}

func TestControllerMode(t *testing.T) {
	c := login(t, start(t, Config{Version: "17.9.4", Knobs: Knobs{Controller: true}}))
	if got := c.run("show version"); !strings.Contains(got, "\nRouter operating mode: Controller-Managed\n") {
		t.Errorf("version: %s", got)
	}
	if got := c.run("configure terminal"); !strings.Contains(got, "% Invalid input detected at '^' marker.") {
		t.Errorf("configure: %q", got)
	}
	if got := c.run("monitor capture c match any interface gi1 both"); got != "" {
		t.Errorf("capture: %q", got)
	}
}

func TestThePagerThatStays(t *testing.T) {
	c := open(t, start(t, Config{Knobs: Knobs{KeepPager: true}}), 80, 24)
	c.until(prompt)
	c.run("terminal length 0")
	c.send("show version\n")
	c.until(regexp.MustCompile(` --More-- $`))
}

// Outputs of a hub's size, with the lines of recorded ones.
func TestLargeOutputs(t *testing.T) {
	r := start(t, Config{Knobs: Knobs{HubSAs: 9000, BriefRows: 95000}})
	all := r.Type("show crypto ikev2 sa detailed")
	if n := strings.Count(all, "READY"); n != 9000 || len(all) < 8<<20 {
		t.Errorf("%d SAs in %d bytes", n, len(all))
	}
	form := regexp.MustCompile(`(?m)^( +[A-Z][A-Za-z -]+:) `)
	recorded := sample(t, "genie-ShowCryptoIkev2SaDetail-output.txt")
	for _, m := range form.FindAllStringSubmatch(all[:3000], -1) {
		if !strings.Contains(recorded, m[1]) {
			t.Errorf("not recorded: %q", m[1])
		}
	}
	if got := r.Type("show crypto ikev2 sa remote 198.18.0.7 detailed"); got != "" {
		t.Errorf("of one peer: %.80q", got)
	}
	r.Type("monitor capture c match any interface gi1 both")
	if got := r.Type("show monitor capture c buffer brief"); len(got) < 8<<20 ||
		!strings.Contains(got, "2001:DB8:FFFF:1:5054:FF:FE00:1 ->") {
		t.Errorf("brief: %d bytes", len(got))
	}
}

func TestNoDates(t *testing.T) {
	r := start(t, Config{Flash: map[string][]byte{"x": {1, 2}}, Knobs: Knobs{NoDates: true}})
	if got := r.Type("dir bootflash:x"); !regexp.MustCompile(`(?m)^ +12  -rw-  +2 +<no date>  x\r$`).MatchString(got) {
		t.Errorf("%q", got)
	}
}

func TestRunningConfigurationTakesTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := login(t, start(t, Config{Knobs: Knobs{RunningDelay: 35 * time.Second}}))
		began := time.Now()
		if got := c.run("show running-config | include ip scp server"); got != "ip scp server enable\n" ||
			time.Since(began) != 35*time.Second {
			t.Errorf("%q after %s", got, time.Since(began))
		}
	})
}

// What the router says is one thing, what it did another.
func TestOtherWords(t *testing.T) {
	r := start(t, Config{})
	c := login(t, r)
	c.run("monitor capture c match any interface gi1 both")
	r.AddFault(Fault{Match: regexp.MustCompile(`export`), Action: OtherWords, Text: "The request is queued"})
	if got := c.run("monitor capture c export bootflash:x"); got != "The request is queued\n" {
		t.Errorf("%q", got)
	}
	r.AddFault(Fault{Match: regexp.MustCompile(`export`), Action: ErrorText, Text: "Exported Successfully"})
	if got := c.run("monitor capture c export bootflash:y"); got != "Exported Successfully\n" {
		t.Errorf("%q", got)
	}
	if files := r.FlashFiles(); files["x"] == nil || files["y"] != nil {
		t.Errorf("files %v", files)
	}
}

// PuTTY's tools close a channel after the router did, and take an earlier end of the connection for
// a failure.
func TestPuTTY(t *testing.T) {
	plink, err := exec.LookPath("plink")
	if err != nil {
		t.Skip("PuTTY's plink is not installed")
	}
	r := start(t, Config{Flash: map[string][]byte{"x.pcap": make([]byte, 100000)}})
	if err := r.Listen(t.Context(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	host, port, _ := strings.Cut(r.Addr(), ":")
	options := []string{"-batch", "-pw", "moncap", "-hostkey", ssh.FingerprintSHA256(r.HostKey()), "-P", port}
	run := func(tool string, args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), tool, append(options, args...)...)
		cmd.Env = append(cmd.Environ(), "HOME="+t.TempDir())
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for range 3 {
		if out, err := run(plink, "moncap@"+host, "show clock"); err != nil || !strings.Contains(out, "UTC") {
			t.Errorf("plink: %v: %s", err, out)
		}
	}
	pscp, err := exec.LookPath("pscp")
	if err != nil {
		t.Skip("PuTTY's pscp is not installed")
	}
	if out, err := run(pscp, "-scp", "moncap@"+host+":bootflash:x.pcap", t.TempDir()); err != nil ||
		!strings.Contains(out, "100%") {
		t.Errorf("pscp: %v: %s", err, out)
	}
}

func TestSerialInterfaces(t *testing.T) {
	r := start(t, Config{Interfaces: []Interface{{Name: "Serial0/1/0:0", Address: netip.MustParseAddr("192.168.1.1")}}})
	if got := r.Type("monitor capture c match any interface Serial0/1/0:0 both",
		"show monitor capture c parameter"); !strings.Contains(got, "interface Serial0/1/0:0 BOTH") {
		t.Errorf("%q", got)
	}
}
