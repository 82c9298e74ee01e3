package device

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/moncap/moncap/device/inventory"
	"github.com/moncap/moncap/device/iosxe"
)

// authenticator holds what one login may use. A secret goes out once at most, by whichever method
// asks first.
type authenticator struct {
	router    *Router
	user      string
	address   string
	files     []string // key files beside the peer's own
	elsewhere bool     // it is not the router: the peer's entry says nothing of its keys
	password  inventory.SecretRef
	what      string       // for messages and prompts
	hold      func() error // returns when the password may go out, or why it may not; nil: at once

	secret  inventory.Secret
	used    bool // the password was given
	known   bool // the account was accepted there before
	sent    []credential
	mu      sync.Mutex
	closers []io.Closer // under mu
	leave   func()      // gives the turn to try the password to the next login; nil: none was taken
}

func (a *authenticator) done() {
	if a.leave != nil {
		a.leave()
	}
	a.hangUp()
}

// hangUp closes the connections to the agent.
func (a *authenticator) hangUp() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.closers {
		_ = c.Close()
	}
	a.closers = nil
}

// methods are offered in this order: keys, then the password.
func (a *authenticator) methods(ctx context.Context) ([]ssh.AuthMethod, error) {
	a.known = a.router.o.Lockout.acceptedBefore(a.account())
	var methods []ssh.AuthMethod
	signers, err := a.signers(ctx)
	if err != nil {
		return nil, err
	}
	if len(signers) > 0 {
		methods = append(methods, ssh.PublicKeys(signers...))
	}
	if !a.password.IsZero() {
		if a.secret, err = a.router.secret(ctx, a.password, "Password for "+a.user+" on "+whose(a.password, a.what)+
			":"); err != nil {
			return nil, err
		}
		if err := a.router.o.Lockout.check(a.credential(a.secret.Reveal())); err != nil {
			return nil, err // nobody need be asked
		}
	}
	return append(methods, ssh.KeyboardInteractive(a.answer), ssh.PasswordCallback(a.givePassword)), nil
}

// turn waits until no other login tries the same password. It takes no time from a router that has
// begun to speak; one that has not said a word is not waited for beyond until. It returns until
// when the login must be through.
func (a *authenticator) turn(ctx context.Context, p *path, until time.Time) (time.Time, error) {
	if a.password.IsZero() {
		return until, nil
	}
	began := time.Now()
	said := &firstByte{Conn: p.conn, came: make(chan struct{})}
	p.conn = said
	go said.wait()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	mute := time.AfterFunc(time.Until(until), func() {
		if !said.something() {
			cancel(a.router.noLogin())
		}
	})
	defer mute.Stop()
	var err error
	a.leave, err = a.router.o.Lockout.enter(ctx, a.credential(a.secret.Reveal()))
	if said.something() {
		until = until.Add(time.Since(began))
	}
	return until, err
}

// firstByte is a connection whose first byte is waited for beside. It ends with the connection.
type firstByte struct {
	net.Conn
	came chan struct{} // closed when what follows is known
	b    [1]byte
	n    int
	err  error
}

func (f *firstByte) wait() {
	f.n, f.err = f.Conn.Read(f.b[:])
	close(f.came)
}

func (f *firstByte) something() bool {
	select {
	case <-f.came:
		return true
	default:
		return false
	}
}

// Read is of one goroutine at a time, as the SSH library reads.
func (f *firstByte) Read(p []byte) (int, error) {
	<-f.came
	if f.n > 0 || f.err != nil {
		n, err := copy(p, f.b[:f.n]), f.err
		f.n = 0
		return n, err
	}
	return f.Conn.Read(p)
}

// account stands for the account itself, however it logs in.
func (a *authenticator) account() credential { return newCredential("account", a.user, "", a.address) }

// acceptedBefore says whether the router accepted before in this run what it was sent now.
func (a *authenticator) acceptedBefore() bool {
	if len(a.sent) == 0 {
		return a.known
	}
	return a.router.o.Lockout.acceptedBefore(a.sent...)
}

func (a *authenticator) credential(secret string) credential {
	return newCredential("login", a.user, secret, a.address)
}

// send notes that secret goes out, unless it was refused before.
func (a *authenticator) send(secret string) (string, error) {
	if a.hold != nil {
		if err := a.hold(); err != nil {
			return "", err
		}
	}
	id := a.credential(secret)
	if err := a.router.o.Lockout.check(id); err != nil {
		return "", err
	}
	a.sent = append(a.sent, id)
	return secret, nil
}

var errSpent = errors.New("the password was sent already")

// givePassword is for the method that asks no question.
func (a *authenticator) givePassword() (string, error) {
	switch {
	case a.used:
		return "", errSpent
	case a.secret.Reveal() != "":
		a.used = true
		return a.send(a.secret.Reveal())
	case !a.password.IsZero() || !a.elsewhere || a.router.o.Ask == nil:
		return "", errNoAuth
	}
	a.used = true
	return a.askFor("Password for "+a.user+":", false)
}

// answer gives the password to one question without echo that asks for it. Any other question goes
// to the operator, or ends the login.
func (a *authenticator) answer(_, _ string, questions []string, echos []bool) ([]string, error) {
	answers := make([]string, len(questions))
	for i, q := range questions {
		var err error
		if !echos[i] && !a.used && a.secret.Reveal() != "" && strings.Contains(strings.ToLower(q), "password") {
			a.used = true
			answers[i], err = a.send(a.secret.Reveal())
		} else {
			answers[i], err = a.askFor(q, echos[i])
		}
		if err != nil {
			return nil, err
		}
	}
	return answers, nil
}

func (a *authenticator) askFor(question string, echo bool) (string, error) {
	question = strings.TrimSpace(iosxe.Printable(question))
	if a.router.o.Ask == nil {
		return "", fmt.Errorf("%w: %q, and nobody can be asked", errUnanswered, question)
	}
	s, err := a.router.o.Ask(a.what+": "+question, echo)
	if err != nil {
		return "", fmt.Errorf("%w: %q: %w", errUnanswered, question, err)
	}
	if !echo {
		a.router.rec.hide(s)
	}
	return a.send(s)
}

// mostSpared is how often in a row a refusal of credentials that were accepted before may be
// another session's fault.
const mostSpared = 3

// judge tells a refused login from other failures, and remembers the credentials.
func (a *authenticator) judge(err error) error {
	text := err.Error()
	gone := strings.Contains(text, "ssh: disconnect")
	// Message 51 is the plain no of a server that does not even ask its keyboard-interactive question.
	refused := gone || strings.Contains(text, "unable to authenticate") ||
		strings.Contains(text, "unexpected message type 51") || errors.Is(err, errSpent) || errors.Is(err, errNoAuth)
	switch {
	case errors.Is(err, errLockedOut) || errors.Is(err, errUnanswered) || errors.Is(err, errNoReply):
		return err
	case strings.Contains(text, "keys are insecure") || strings.Contains(text, "gex p is out of range"):
		return fmt.Errorf("%w: %w", errWeakKey, err)
	case refused && len(a.sent) == 0 && a.known:
		return fmt.Errorf("%w: user %s", errSecond, a.user)
	case refused && len(a.sent) > 0:
		switch n := a.router.o.Lockout.add(a.sent...); {
		case n > mostSpared:
			return fmt.Errorf("%w of user %s, %d times since it accepted them", errRefused, a.user, n)
		case n > 0:
			return fmt.Errorf("%w (user %s)", errSecond, a.user)
		}
		return fmt.Errorf("%w of user %s", errRefused, a.user)
	case refused && !gone:
		return fmt.Errorf("%w: user %s: %w", errNoAuth, a.user, err)
	case hungUp(err):
		a.router.o.Lockout.doubt(a.sent...)
	}
	return err
}

// unanswered judges a login that took too long. What went out may still be counted as a try by a
// slow AAA server, so it is not sent again; unless the router accepted it before and has to be
// cleaned up.
func (a *authenticator) unanswered(err error) error {
	if errors.Is(err, context.Canceled) || len(a.sent) == 0 || a.acceptedBefore() {
		return err
	}
	a.router.o.Lockout.spend(a.sent...)
	return fmt.Errorf("%w: %w", errNoReply, err)
}

// signers are the keys of the agent and of the key files.
func (a *authenticator) signers(ctx context.Context) ([]ssh.Signer, error) {
	var all []ssh.Signer
	peer := a.router.peer
	if peer.Agent || a.elsewhere && os.Getenv("SSH_AUTH_SOCK") != "" {
		signers, err := a.agentSigners(ctx)
		if err != nil && peer.Agent {
			return nil, err
		}
		all = append(all, signers...)
	}
	named, inAgent := onlyKey(all, peer.KeyFile)
	if inAgent {
		all = named
	} else if peer.KeyFile != "" {
		s, err := a.keyFile(ctx, peer.KeyFile)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	for _, f := range a.files {
		s, err := a.keyFile(ctx, f)
		if errors.Is(err, fs.ErrNotExist) {
			continue // ssh_config may name keys that this machine does not have
		}
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// maxKeyFile bounds a key file: the longest keys have a few kilobytes.
const maxKeyFile = 1 << 20

// onlyKey looks among the agent's keys for the one that key_file names, by the public half beside
// it. With it the others need not be offered, which would use up the tries that a router allows,
// nor the file be decrypted.
func onlyKey(signers []ssh.Signer, keyFile string) ([]ssh.Signer, bool) {
	if keyFile == "" || len(signers) == 0 {
		return nil, false
	}
	b, err := inventory.ReadRegular(keyFile+".pub", maxKeyFile, nil)
	if err != nil {
		return nil, false
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey(b)
	if err != nil {
		return nil, false
	}
	for _, s := range signers {
		if bytes.Equal(s.PublicKey().Marshal(), public.Marshal()) {
			return []ssh.Signer{s}, true
		}
	}
	return nil, false
}

func (a *authenticator) agentSigners(ctx context.Context) ([]ssh.Signer, error) {
	socket := os.Getenv("SSH_AUTH_SOCK")
	if socket == "" {
		return nil, errors.New("ssh-agent: SSH_AUTH_SOCK is not set")
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("ssh-agent: %w", err)
	}
	a.mu.Lock()
	a.closers = append(a.closers, conn)
	a.mu.Unlock()
	// An agent that hangs must not hang moncap; when it signs, the login's limit holds.
	_ = conn.SetDeadline(time.Now().Add(a.router.o.Timeouts.Dial))
	signers, err := agent.NewClient(conn).Signers()
	_ = conn.SetDeadline(time.Time{})
	if err != nil {
		return nil, fmt.Errorf("ssh-agent: %w", err)
	}
	return signers, nil
}

func (a *authenticator) keyFile(ctx context.Context, path string) (ssh.Signer, error) {
	b, err := inventory.ReadRegular(path, maxKeyFile, nil)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	s, err := ssh.ParsePrivateKey(b)
	if _, encrypted := errors.AsType[*ssh.PassphraseMissingError](err); encrypted {
		ref := a.router.peer.KeyPassphrase
		if ref.IsZero() {
			return nil, fmt.Errorf("key file %s: it is encrypted, and key_passphrase is not set", path)
		}
		pass, err := a.router.secret(ctx, ref, "Passphrase of "+path+":")
		if err != nil {
			return nil, err
		}
		s, err = ssh.ParsePrivateKeyWithPassphrase(b, []byte(pass.Reveal()))
		if err != nil {
			return nil, fmt.Errorf("key file %s: wrong passphrase, or damaged", path)
		}
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return s, nil
}

// whose says for which routers a secret is asked.
func whose(ref inventory.SecretRef, router string) string {
	if ref.Shared() {
		return "all routers that share it"
	}
	return router
}

// secret resolves a reference once, and has it masked from then on.
func (r *Router) secret(ctx context.Context, ref inventory.SecretRef, prompt string) (inventory.Secret, error) {
	r.mu.Lock()
	s, ok := r.secrets[ref.String()+prompt]
	r.mu.Unlock()
	if ok {
		return s, nil
	}
	var ask func(string) (inventory.Secret, error)
	if r.o.Ask != nil {
		ask = func(p string) (inventory.Secret, error) {
			text, err := r.o.Ask(p, false)
			return inventory.NewSecret(text), err
		}
	}
	s, err := ref.Resolve(ctx, prompt, ask)
	if err != nil {
		return s, err
	}
	r.rec.hide(s.Reveal())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secrets[ref.String()+prompt] = s
	return s, nil
}
