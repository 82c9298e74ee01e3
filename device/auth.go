package device

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/moncap/moncap/device/inventory"
)

// authenticator holds what one login may use. A password goes out once at most, by whichever method asks first.
type authenticator struct {
	router   *Router
	user     string
	files    []string // key files beside the peer's own
	password bool     // the peer's password may be used
	what     string   // for messages and prompts

	secret  inventory.Secret
	used    bool // the password was sent
	refused bool // what was asked for could not be given
	closers []io.Closer
}

func (a *authenticator) done() {
	for _, c := range a.closers {
		_ = c.Close() // connections to the agent
	}
}

// methods are offered in this order: keys, then the password.
func (a *authenticator) methods(ctx context.Context) ([]ssh.AuthMethod, error) {
	var methods []ssh.AuthMethod
	signers, err := a.signers(ctx)
	if err != nil {
		return nil, err
	}
	if len(signers) > 0 {
		methods = append(methods, ssh.PublicKeys(signers...))
	}
	if a.password && !a.router.peer.Password.IsZero() {
		if a.secret, err = a.router.secret(ctx, a.router.peer.Password, "Password for "+a.user+" on "+a.what+":"); err != nil {
			return nil, err
		}
		if a.router.o.Lockout.has(a.credential()) {
			return nil, errLockedOut
		}
	}
	return append(methods, ssh.KeyboardInteractive(a.answer), ssh.PasswordCallback(a.giveOnce)), nil
}

// credential names user and password without holding them.
func (a *authenticator) credential() string {
	sum := sha256.Sum256([]byte(a.user + "\x00" + a.secret.Reveal()))
	return a.router.peer.Address() + " " + hex.EncodeToString(sum[:])
}

var errSpent = errors.New("the password was sent already")

func (a *authenticator) giveOnce() (string, error) {
	if a.secret.Reveal() == "" {
		return "", errNoAuth
	}
	if a.used {
		return "", errSpent
	}
	a.used = true
	return a.secret.Reveal(), nil
}

// answer gives the password to one question without echo that asks for it. Any other question goes to the operator, or
// ends the login.
func (a *authenticator) answer(name, instruction string, questions []string, echos []bool) ([]string, error) {
	answers := make([]string, len(questions))
	for i, q := range questions {
		if !echos[i] && !a.used && a.secret.Reveal() != "" && strings.Contains(strings.ToLower(q), "password") {
			a.used = true
			answers[i] = a.secret.Reveal()
			continue
		}
		if a.router.o.Ask == nil {
			a.refused = true
			return nil, fmt.Errorf("the login asks %q, and nobody can be asked", q)
		}
		s, err := a.router.o.Ask(a.what+": "+q, echos[i])
		if err != nil {
			a.refused = true
			return nil, fmt.Errorf("the login asks %q: %w", q, err)
		}
		a.router.rec.hide(s)
		answers[i] = s
	}
	return answers, nil
}

// judge tells a refused login from other failures, and remembers the credential.
func (a *authenticator) judge(err error) error {
	text := err.Error()
	if !strings.Contains(text, "unable to authenticate") && !errors.Is(err, errSpent) && !errors.Is(err, errNoAuth) &&
		!strings.Contains(text, errSpent.Error()) && !strings.Contains(text, errNoAuth.Error()) {
		return err
	}
	switch {
	case a.refused:
		return err
	case a.used:
		a.router.o.Lockout.add(a.credential())
		return fmt.Errorf("%w of user %s", errRefused, a.user)
	}
	return fmt.Errorf("%w: user %s: %w", errNoAuth, a.user, err)
}

// signers are the keys of the agent and of the key files.
func (a *authenticator) signers(ctx context.Context) ([]ssh.Signer, error) {
	var all []ssh.Signer
	peer := a.router.peer
	if peer.Agent || !a.password && os.Getenv("SSH_AUTH_SOCK") != "" {
		signers, err := a.agentSigners(ctx)
		if err != nil && peer.Agent {
			return nil, err
		}
		all = append(all, signers...)
	}
	files := a.files
	if peer.KeyFile != "" {
		files = append([]string{peer.KeyFile}, files...)
	}
	for _, f := range files {
		s, err := a.keyFile(ctx, f)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
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
	a.closers = append(a.closers, conn)
	signers, err := agent.NewClient(conn).Signers()
	if err != nil {
		return nil, fmt.Errorf("ssh-agent: %w", err)
	}
	return signers, nil
}

func (a *authenticator) keyFile(ctx context.Context, path string) (ssh.Signer, error) {
	b, err := os.ReadFile(path)
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
