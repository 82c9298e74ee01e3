package device

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/moncap/moncap/device/inventory"
	"github.com/moncap/moncap/device/iosxe"
	"github.com/moncap/moncap/device/simulator"
)

func TestLogin(t *testing.T) {
	tests := []struct {
		name   string
		config simulator.Config
		change func(*lab)
		want   error
		prompt string // the name in it; "": site-A
	}{
		{name: "password", config: simulator.Config{Knobs: simulator.Knobs{NoKeyboardInteractive: true}}},
		{name: "keyboard-interactive", config: simulator.Config{Knobs: simulator.Knobs{NoPassword: true}}},
		{name: "either", config: simulator.Config{}},
		{name: "one try only", config: simulator.Config{Knobs: simulator.Knobs{AuthTries: 1}}},
		{name: "banner that looks like a prompt",
			config: simulator.Config{Knobs: simulator.Knobs{Banner: "site-B#\n", MOTD: "site-B#\nwelcome>\n"}}},
		{name: "old server version", config: simulator.Config{Knobs: simulator.Knobs{ServerVersion: "SSH-2.0-Cisco-2.0"}}},
		{name: "level 1 and the enable secret", config: simulator.Config{Privilege: 1, Enable: canaryEnable},
			change: func(l *lab) {
				l.peer.Enable = secretFile(l.t, canaryEnable)
			}},
		{name: "level 7 with a # and the enable secret", config: simulator.Config{Privilege: 7, Enable: canaryEnable},
			change: func(l *lab) {
				l.peer.Enable = secretFile(l.t, canaryEnable)
			}},
		{name: "level 15 already", config: simulator.Config{Enable: canaryEnable},
			change: func(l *lab) { l.peer.Enable = secretFile(l.t, "another") }},
		{name: "the hostname is not in the prompt", config: simulator.Config{Knobs: simulator.Knobs{Prompt: "%h-STP-1234%p"}},
			change: func(l *lab) {
				l.peer.ExpectHostname = "site-A"
			}, prompt: "site-A-STP-1234"},
		{name: "the prompt is expected", config: simulator.Config{Knobs: simulator.Knobs{Prompt: "%h-STP-1234%p"}},
			change: func(l *lab) {
				l.peer.ExpectHostname = "site-A-STP-1234"
			}, prompt: "site-A-STP-1234"},
		{name: "brackets and a NUL", config: simulator.Config{Knobs: simulator.Knobs{Prompt: "[prod] %h%p", NULPrompt: true}},
			prompt: "[prod] site-A"},
		{name: "the wrong password", change: func(l *lab) { l.peer.Password = secretFile(l.t, "wrong") }, want: errRefused},
		{name: "the hostname that is expected", change: func(l *lab) { l.peer.ExpectHostname = "site-A" }},
		{name: "another hostname", change: func(l *lab) { l.peer.ExpectHostname = "site-B" }, want: errHostname},
		{name: "no password at all", change: func(l *lab) { l.peer.Password = inventory.SecretRef{} }, want: errNoAuth},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t, tt.config)
			if tt.change != nil {
				tt.change(l)
			}
			r := l.router()
			err := r.Open(t.Context())
			if !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			noSecrets(t, err, l.record.String())
			if tt.want != nil {
				return
			}
			if want := cmp.Or(tt.prompt, "site-A"); r.Hostname() != want {
				t.Errorf("hostname %q", r.Hostname())
			}
			out := l.exec(r, iosxe.ShowPrivilege())
			if level, err := iosxe.ParsePrivilege(out); err != nil || level != 15 {
				t.Errorf("level %d, %v: %q", level, err, out)
			}
		})
	}
}

func TestARefusedPasswordIsNotSentTwice(t *testing.T) {
	l := newLab(t, simulator.Config{Password: "another"})
	l.o.Lockout = NewLockout()
	first := l.router().Open(t.Context())
	e, ok := errors.AsType[*Error](first)
	if !ok || !errors.Is(first, errRefused) || !e.Lasting() || e.Hint() == "" {
		t.Fatalf("first: %v", first)
	}
	dials := l.dialled()
	if err := l.router().Open(t.Context()); !errors.Is(err, errLockedOut) {
		t.Errorf("second: %v", err)
	}
	if l.dialled() != dials {
		t.Error("the second login went to the router")
	}
	noSecrets(t, first, e.Hint(), l.record.String())
}

// Many routers ask one AAA server, which counts refusals by account and not by router. So of many
// logins that begin at once, one alone finds out that the password is wrong.
func TestARefusedPasswordIsSentToOneRouterOnly(t *testing.T) {
	lockout := NewLockout()
	routers := make([]*Router, 8)
	var transcripts []*transcript
	for i := range routers {
		l := newLab(t, simulator.Config{Password: "another", Knobs: simulator.Knobs{NoKeyboardInteractive: true}})
		l.peer.Host = fmt.Sprintf("192.0.2.%d", 10+i)
		l.peer.Password = secretFile(t, canary)
		l.peer.KnownHosts = knownHostsFile(t, l.peer.Address(), l.sim.HostKey())
		l.o.Lockout = lockout
		routers[i] = l.router()
		transcripts = append(transcripts, l.record)
	}
	errs := make([]error, len(routers))
	var wg sync.WaitGroup
	for i, r := range routers {
		wg.Go(func() { errs[i] = r.Open(t.Context()) })
	}
	wg.Wait()
	refused := 0
	for _, err := range errs {
		switch {
		case errors.Is(err, errRefused):
			refused++
		case !errors.Is(err, errLockedOut):
			t.Errorf("%v", err)
		}
	}
	if refused != 1 {
		t.Errorf("the password went out %d times", refused)
	}
	noSecrets(t, errs, transcripts)
}

// A router that let the account in before is cleaned up with it, whatever another
// router says meanwhile.
func TestAnAcceptedPasswordStaysGoodWhereItWasAccepted(t *testing.T) {
	good, bad := newLab(t, simulator.Config{}), newLab(t, simulator.Config{Password: "another"})
	bad.peer.Host = "192.0.2.11"
	bad.peer.KnownHosts = knownHostsFile(t, bad.peer.Address(), bad.sim.HostKey())
	good.o.Lockout = NewLockout()
	bad.o.Lockout = good.o.Lockout
	r := good.router()
	good.exec(r, iosxe.ShowClock())
	if err := bad.router().Open(t.Context()); !errors.Is(err, errRefused) {
		t.Errorf("%v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	good.exec(r, iosxe.ShowClock())
}

func TestALoginWaitsForTheOneThatTriesItsPassword(t *testing.T) {
	l, c := NewLockout(), newCredential("login", "u", "p", "a")
	leave, err := l.enter(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.enter(ctx, c); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting when the run is over: %v", err)
	}
	l.accept(c)
	leave()
	for range 2 { // nobody has to wait any more
		if _, err := l.enter(ctx, c); err != nil {
			t.Error(err)
		}
	}
}

func TestWrongEnableSecret(t *testing.T) {
	l := newLab(t, simulator.Config{Privilege: 1, Enable: canaryEnable})
	l.peer.Enable = secretFile(t, "not-the-"+canaryEnable)
	err := l.router().Open(t.Context())
	if err == nil || !strings.Contains(err.Error(), "enable") {
		t.Fatalf("error %v", err)
	}
	noSecrets(t, err, l.record.String())
}

func TestOneTimePassword(t *testing.T) {
	asked := ""
	l := newLab(t, simulator.Config{Knobs: simulator.Knobs{NoPassword: true, OTP: "424242"}})
	if err := l.router().Open(t.Context()); err == nil || errors.Is(err, errRefused) {
		t.Errorf("nobody to ask: %v", err)
	}
	l.o.Ask = func(prompt string, echo bool) (string, error) { asked += prompt; return "424242", nil }
	if err := l.router().Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(asked, "site-a") || strings.Contains(l.record.String(), "424242") {
		t.Errorf("asked %q", asked)
	}
}

func TestKeyFile(t *testing.T) {
	dir := t.TempDir()
	public, private := newKey(t)
	plain, locked := filepath.Join(dir, "plain"), filepath.Join(dir, "locked")
	writeKey(t, plain, private, "")
	writeKey(t, locked, private, canary)
	tests := []struct {
		name   string
		change func(*inventory.Peer)
		ok     bool
	}{
		{"plain", func(p *inventory.Peer) { p.KeyFile = plain }, true},
		{"encrypted", func(p *inventory.Peer) { p.KeyFile, p.KeyPassphrase = locked, secretFile(t, canary) }, true},
		{"encrypted, no passphrase", func(p *inventory.Peer) { p.KeyFile = locked }, false},
		{"encrypted, wrong passphrase", func(p *inventory.Peer) { p.KeyFile, p.KeyPassphrase = locked, secretFile(t, "x") },
			false},
		{"missing", func(p *inventory.Peer) { p.KeyFile = filepath.Join(dir, "none") }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t, simulator.Config{AuthorizedKeys: []ssh.PublicKey{public}})
			l.peer.Password = inventory.SecretRef{}
			tt.change(&l.peer)
			err := l.router().Open(t.Context())
			if (err == nil) != tt.ok {
				t.Errorf("error %v", err)
			}
			noSecrets(t, err)
		})
	}
}

// A key that the router does not know must not keep the password from being tried.
func TestKeyThenPassword(t *testing.T) {
	_, private := newKey(t)
	l := newLab(t, simulator.Config{})
	l.peer.KeyFile = filepath.Join(t.TempDir(), "key")
	writeKey(t, l.peer.KeyFile, private, "")
	if err := l.router().Open(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestCommandsOutsideOfTheListAreNotSent(t *testing.T) {
	l := newLab(t, simulator.Config{})
	_, err := l.router().Exec(t.Context(), iosxe.Command{Name: "show-version", Lines: []string{"reload"}})
	if err == nil || l.dialled() != 0 {
		t.Errorf("error %v, %d connections", err, l.dialled())
	}
}

func TestAnOpenSessionIsUsedAgain(t *testing.T) {
	l := newLab(t, simulator.Config{})
	r := l.router()
	for range 3 {
		l.exec(r, iosxe.ShowClock())
	}
	if l.dialled() != 1 {
		t.Errorf("%d connections", l.dialled())
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	l.exec(r, iosxe.ShowClock())
	if l.dialled() != 2 {
		t.Errorf("%d connections", l.dialled())
	}
}

func writeKey(t *testing.T, path string, private any, passphrase string) {
	t.Helper()
	if err := os.WriteFile(path, marshalKey(t, private, passphrase), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The library refuses small keys, and says nothing of what to do.
func TestSmallKeysAreForGood(t *testing.T) {
	a := &authenticator{router: New(inventory.Peer{}, Options{})}
	for _, text := range []string{"ssh: handshake failed: crypto/rsa: 768-bit keys are insecure (see " +
		"https://go.dev/pkg/crypto/rsa#hdr-Minimum_key_size)",
		"ssh: handshake failed: ssh: server-generated gex p is out of range (1024 bits)"} {
		if e := (&Error{Err: a.judge(errors.New(text))}); !e.Lasting() || !strings.Contains(e.Hint(), "modulus 2048") {
			t.Errorf("%v, lasting %v, hint %q", e, e.Lasting(), e.Hint())
		}
	}
}

// Configuration mode is where its prompt says so, whatever words stand before another.
func TestConfigurationIsLocked(t *testing.T) {
	l := newLab(t, simulator.Config{Faults: []simulator.Fault{{Match: matching("configure"), Action: simulator.ErrorText,
		Text: "Configuration mode is locked by process 'x'"}}})
	r := l.router()
	_, err := r.Exec(t.Context(), acl(t, "mc1"))
	no, ok := errors.AsType[*iosxe.Refusal](err)
	if !ok || !strings.Contains(no.Text, "locked by process") || len(l.sim.Commands()) != 3 {
		t.Errorf("%v, sent %q", err, l.sim.Commands())
	}
	l.exec(r, iosxe.ShowPrivilege())
}
