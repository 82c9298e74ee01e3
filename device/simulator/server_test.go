package simulator

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
)

func TestAuthentication(t *testing.T) {
	signer, _ := newKey(t)
	answers := func(given ...string) ssh.AuthMethod {
		n := 0
		return ssh.KeyboardInteractive(func(_, _ string, questions []string, _ []bool) (out []string, err error) {
			for range questions {
				if n >= len(given) {
					return nil, errors.New("no more answers")
				}
				out = append(out, given[n])
				n++
			}
			return out, nil
		})
	}
	tests := map[string]struct {
		config Config
		method ssh.AuthMethod
		ok     bool
	}{
		"password":            {Config{}, ssh.Password("moncap"), true},
		"wrong password":      {Config{}, ssh.Password("other"), false},
		"password refused":    {Config{Knobs: Knobs{NoPassword: true}}, ssh.Password("moncap"), false},
		"interactive":         {Config{Knobs: Knobs{NoPassword: true}}, answers("moncap"), true},
		"interactive wrong":   {Config{}, answers("other"), false},
		"interactive refused": {Config{Knobs: Knobs{NoKeyboardInteractive: true}}, answers("moncap"), false},
		"passcode":            {Config{Knobs: Knobs{OTP: "123456"}}, answers("moncap", "123456"), true},
		"passcode wrong":      {Config{Knobs: Knobs{OTP: "123456"}}, answers("moncap", "654321"), false},
		"key":                 {Config{AuthorizedKeys: []ssh.PublicKey{signer.PublicKey()}}, ssh.PublicKeys(signer), true},
		"unknown key":         {Config{}, ssh.PublicKeys(signer), false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := start(t, tt.config)
			c := clientConfig(r)
			c.Auth = []ssh.AuthMethod{tt.method}
			if _, err := connect(t, r, c); (err == nil) != tt.ok {
				t.Errorf("login: %v", err)
			}
		})
	}
}

// Three refusals end the connection.
func TestTries(t *testing.T) {
	r := start(t, Config{Knobs: Knobs{AuthTries: 3}})
	c, tries := clientConfig(r), 0
	c.Auth = []ssh.AuthMethod{ssh.RetryableAuthMethod(ssh.PasswordCallback(func() (string, error) {
		tries++
		return "wrong", nil
	}), 10)}
	if _, err := connect(t, r, c); err == nil || tries != 3 {
		t.Errorf("%d tries, error %v", tries, err)
	}
}

func TestLegacyAlgorithms(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	old, err := ssh.NewSignerWithAlgorithms(signer.(ssh.AlgorithmSigner), []string{ssh.KeyAlgoRSA})
	if err != nil {
		t.Fatal(err)
	}
	algorithms := ssh.Config{KeyExchanges: []string{"diffie-hellman-group14-sha1"}, Ciphers: []string{"aes128-cbc"},
		MACs: []string{"hmac-sha1"}}
	r := start(t, Config{HostKeys: []ssh.Signer{old}, Knobs: Knobs{SSH: algorithms}})
	if _, err := connect(t, r, clientConfig(r)); err == nil || !strings.Contains(err.Error(), "no common algorithm") {
		t.Errorf("a modern client: %v", err)
	}
	c := clientConfig(r)
	c.Config, c.HostKeyAlgorithms = algorithms, []string{ssh.KeyAlgoRSA}
	if _, err := connect(t, r, c); err != nil {
		t.Errorf("a client with the old algorithms: %v", err)
	}
}

func TestBanners(t *testing.T) {
	r := start(t, Config{Knobs: Knobs{Banner: "keep out #\n", MOTD: "welcome>\nall is logged#\n", SecurityWarnings: true}})
	var banner string
	c := clientConfig(r)
	c.BannerCallback = func(m string) error {
		banner = m
		return nil
	}
	if _, err := connect(t, r, c); err != nil || banner != "keep out #\r\n" {
		t.Errorf("banner %q, %v", banner, err)
	}
	con := open(t, r, 0, 0)
	if got := con.until(prompt); !strings.Contains(got, "all is logged#\r\n") ||
		!strings.Contains(got, "SECURITY WARNING - Module: SSH") {
		t.Errorf("greeting %q", got)
	}
}

func TestOneChannel(t *testing.T) {
	for name, tt := range map[string]struct {
		knobs  Knobs
		second bool
	}{"IOS": {}, "more": {Knobs{MultipleChannels: true, KeepConnection: true}, true}} {
		t.Run(name, func(t *testing.T) {
			r := start(t, Config{Knobs: tt.knobs})
			client, err := connect(t, r, clientConfig(r))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := client.NewSession(); err != nil {
				t.Fatal(err)
			}
			_, err = client.NewSession()
			var refused *ssh.OpenChannelError
			if errors.As(err, &refused) == tt.second {
				t.Errorf("second channel: %v", err)
			}
		})
	}
}

// The connection ends with its channel, whose exit status may be missing.
func TestEndOfChannel(t *testing.T) {
	for _, without := range []bool{false, true} {
		r := start(t, Config{Knobs: Knobs{NoExitStatus: without}})
		client, err := connect(t, r, clientConfig(r))
		if err != nil {
			t.Fatal(err)
		}
		s, err := client.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		out, err := s.Output("show clock")
		var missing *ssh.ExitMissingError
		if errors.As(err, &missing) != without || !bytes.Contains(out, []byte("UTC")) {
			t.Errorf("without status %v: %q, %v", without, out, err)
		}
		if err := client.Wait(); err != nil && !errors.Is(err, io.EOF) {
			t.Errorf("the connection: %v", err)
		}
	}
}

// A client that keeps its end of the channel open loses its line all the same.
func TestClientThatDoesNotLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		near, far := Pipe()
		r.Serve(far)
		conn, channels, requests, err := ssh.NewClientConn(near, "pipe", clientConfig(r))
		if err != nil {
			t.Fatal(err)
		}
		go ssh.DiscardRequests(requests)
		go func() {
			for range channels {
			}
		}()
		channel, asks, err := conn.OpenChannel("session", nil)
		if err != nil {
			t.Fatal(err)
		}
		go ssh.DiscardRequests(asks)
		if _, err := channel.SendRequest("exec", true, ssh.Marshal(struct{ C string }{"show clock"})); err != nil {
			t.Fatal(err)
		}
		time.Sleep(closing + time.Second)
		if n := r.Sessions(); n != 0 {
			t.Errorf("%d lines in use", n)
		}
		near.Close()
	})
}

func TestLines(t *testing.T) {
	r := start(t, Config{VTYs: 2})
	first, second := login(t, r), login(t, r)
	if out := second.run("show users"); strings.Count(out, " vty ") != 2 ||
		!strings.Contains(out, "*  2 vty 1     moncap") {
		t.Errorf("users: %s", out)
	}
	if _, err := connect(t, r, clientConfig(r)); err == nil {
		t.Error("a third connection on two lines")
	}
	first.send("exit\n")
	first.rest()
	waitFor(t, func() bool { return r.Sessions() == 1 })
	if _, err := connect(t, r, clientConfig(r)); err != nil {
		t.Errorf("a line is free: %v", err)
	}
}

// waitFor polls for what another goroutine is about to do; the test's own timeout is the limit.
func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for !done() {
		time.Sleep(time.Millisecond)
	}
}

func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{Knobs: Knobs{BootTime: 3 * time.Minute}})
		before := r.RunningConfig()
		c := login(t, r)
		for _, line := range append(guideACL, guideDefine, "monitor capture cap start") {
			c.run(line)
		}
		r.Reload()
		c.rest()
		if got := r.RunningConfig(); got != before || len(r.CapturePoints()) != 0 {
			t.Errorf("after the reload: captures %v, configuration\n%s", r.CapturePoints(), got)
		}
		if _, err := connect(t, r, clientConfig(r)); err == nil {
			t.Error("it answers while it boots")
		}
		time.Sleep(3 * time.Minute)
		c = login(t, r)
		if out := c.run("show version | include uptime is"); !strings.Contains(out, "uptime is 3 minutes") {
			t.Errorf("uptime: %s", out)
		}
	})
}

// Close ends everything, whatever the clients are doing.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the bubble fails if a goroutine is left
		r, err := New(lab(Config{Packets: steady{[][]byte{udp("192.168.1.1", "192.168.2.1", 500, 500, 10)}, time.Hour}}))
		if err != nil {
			t.Fatal(err)
		}
		near, far := Pipe() // a client that never says a word
		r.Serve(far)
		defer near.Close()
		c := login(t, r)
		c.run("monitor capture x match any interface gi1 both")
		c.run("monitor capture x start")
		c.send("monitor capture x clear\n")
		synctest.Wait()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if err := r.Close(); err != nil {
			t.Errorf("again: %v", err)
		}
		if err := r.Listen(t.Context(), "127.0.0.1:0"); err == nil {
			t.Error("a closed router listens")
		}
	})
}

// A client that does not log in gets its line taken away.
func TestLoginTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{VTYs: 1})
		near, far := Pipe()
		r.Serve(far)
		began := time.Now()
		_, _ = io.Copy(io.Discard, near)
		synctest.Wait()
		if d := time.Since(began); d != authTimeout || r.Sessions() != 0 {
			t.Errorf("ended after %s, %d lines in use", d, r.Sessions())
		}
	})
}

func TestPipeDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := Pipe()
		defer far.Close()
		if err := near.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		_, err := near.Read(make([]byte, 1))
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("read: %v", err)
		}
		near.Close()
		if _, err := far.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("read from a closed pipe: %v", err)
		}
		if _, err := far.Write([]byte("x")); err == nil {
			t.Error("write to a closed pipe")
		}
	})
}

func TestConfigErrors(t *testing.T) {
	for want, c := range map[string]Config{
		"hostname":  {Hostname: "9 lives"},
		"version":   {Version: "12.4(24)T"},
		"privilege": {Privilege: 16},
		"interface": {Interfaces: []Interface{{Name: "wan"}}},
		"path form": {Knobs: Knobs{SCPPath: "any"}},
		"entry":     {ACLs: []ACL{{Name: "x", Entries: []string{"permit"}}}},
		`entry ""`:  {ACLs: []ACL{{Name: "x", Entries: []string{""}}}},
	} {
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// Several people at once on one router, with traffic, log lines and a reload in between.
func TestManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := incident(t, "healthy")
		pair, err := NewPair(a, b, 1)
		if err != nil {
			t.Fatal(err)
		}
		r := start(t, Config{Packets: pair.A(), Flash: map[string][]byte{"f": content},
			Knobs: Knobs{TerminalMonitor: true, SyslogEvery: time.Second}})
		other := start(t, Config{Packets: pair.B()})
		var wg sync.WaitGroup
		for n := range 4 {
			name := string(rune('a' + n))
			c := open(t, []*Router{r, other}[n%2], 200, 0)
			wg.Go(func() {
				for _, line := range []string{"monitor capture " + name + " match any interface gi1 both",
					"monitor capture " + name + " start", "show logging",
					"show users", "monitor capture " + name + " stop", "monitor capture " + name + " export flash:" + name, "dir",
					"show running-config", "no monitor capture " + name} {
					c.send(line + "\n")
					time.Sleep(time.Second)
				}
				c.send("exit\n")
				c.rest()
			})
		}
		wg.Wait()
		if got := len(r.FlashFiles()) + len(other.FlashFiles()); got != 5 ||
			len(r.CapturePoints())+len(other.CapturePoints()) != 0 {
			t.Errorf("%d files, captures %v and %v", got, r.CapturePoints(), other.CapturePoints())
		}
		r.Reload()
	})
}
