package inventory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/zalando/go-keyring"
)

// Secret is a password, a passphrase or an enable secret. However it is printed or logged, it shows
// as ***.
type Secret struct{ s string }

// NewSecret wraps s.
func NewSecret(s string) Secret { return Secret{s} }

// Reveal returns the secret itself, for the one place that sends it.
func (s Secret) Reveal() string { return s.s }

const masked = "***"

func (Secret) String() string               { return masked }
func (Secret) GoString() string             { return masked }
func (Secret) MarshalText() ([]byte, error) { return []byte(masked), nil }

// LogValue keeps the secret out of logs.
func (Secret) LogValue() slog.Value { return slog.StringValue(masked) }

// SecretRef says where a secret is kept: env:VAR, file:PATH, cmd:COMMAND, keyring:NAME, or ask. The
// zero value is no secret at all.
type SecretRef struct {
	scheme, value string
	folder        string // that relative paths count from; "": the current one
}

// keyringService is the service under which the operating system's keyring holds moncap's secrets.
const keyringService = "moncap"

// ParseSecretRef reads a reference. What looks like a secret itself is refused, and not repeated in
// the error.
func ParseSecretRef(s string) (SecretRef, error) {
	if s == "ask" {
		return SecretRef{scheme: "ask"}, nil
	}
	scheme, value, ok := strings.Cut(s, ":")
	switch {
	case !ok:
	case (scheme == "env" || scheme == "file" || scheme == "keyring" || scheme == "cmd") && strings.TrimSpace(value) != "":
		return SecretRef{scheme: scheme, value: strings.TrimSpace(value)}, nil
	}
	return SecretRef{},
		errors.New("want where the secret is kept, not the secret: env:VAR, file:PATH, cmd:COMMAND, keyring:NAME or ask")
}

// shared marks a reference of the defaults that the operator types.
const shared = "defaults"

// share makes one answer do for all peers that take r from the defaults.
func (r SecretRef) share() SecretRef {
	if r.scheme == "ask" {
		r.value = shared
	}
	return r
}

// Shared says whether r is typed by the operator once, for all peers that take it
// from the defaults.
func (r SecretRef) Shared() bool { return r.scheme == "ask" && r.value == shared }

// IsZero says whether r refers to nothing.
func (r SecretRef) IsZero() bool { return r.scheme == "" }

// Runs says whether r runs a program.
func (r SecretRef) Runs() bool { return r.scheme == "cmd" }

// Asks says whether r is typed by the operator.
func (r SecretRef) Asks() bool { return r.scheme == "ask" }

// String returns the reference, which is no secret.
func (r SecretRef) String() string {
	if r.scheme == "ask" || r.scheme == "" {
		return r.scheme
	}
	return r.scheme + ":" + r.value
}

// SecretError says which secret is not to be had, and why. It never holds the secret.
type SecretError struct {
	Ref SecretRef
	Err error
}

func (e *SecretError) Error() string { return fmt.Sprintf("secret %s: %v", e.Ref, e.Err) }

// Unwrap returns the cause.
func (e *SecretError) Unwrap() error { return e.Err }

// Resolve fetches the secret. ask is used for the reference "ask"; what is asked for is said by
// prompt. Errors name the reference, never what it yielded.
func (r SecretRef) Resolve(ctx context.Context, prompt string,
	ask func(prompt string) (Secret, error)) (Secret, error) {
	s, err := r.fetch(ctx, prompt, ask)
	if err != nil {
		return Secret{}, &SecretError{r, err}
	}
	if s.s == "" {
		return Secret{}, &SecretError{r, errors.New("it is empty")}
	}
	return s, nil
}

func (r SecretRef) fetch(ctx context.Context, prompt string, ask func(string) (Secret, error)) (Secret, error) {
	switch r.scheme {
	case "env":
		v, ok := os.LookupEnv(r.value)
		if !ok {
			return Secret{}, errors.New("the environment variable is not set")
		}
		return Secret{v}, nil
	case "file":
		return secretFromFile(r.value, r.folder)
	case "cmd":
		return secretFromCommand(ctx, r.value, r.folder)
	case "keyring":
		v, err := keyring.Get(keyringService, r.value)
		return Secret{v}, err
	case "ask":
		if ask == nil {
			return Secret{}, errors.New("nobody can be asked")
		}
		return ask(prompt)
	}
	return Secret{}, errors.New("no secret is configured")
}

// maxSecret bounds a secret, and what a program prints to tell one.
const maxSecret = 64 << 10

func secretFromFile(path, folder string) (Secret, error) {
	path, err := localPath(path, folder)
	if err != nil {
		return Secret{}, err
	}
	b, err := ReadRegular(path, maxSecret, func(info fs.FileInfo) error {
		if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
			return fmt.Errorf("others can read the file (mode %04o); chmod 600 it", info.Mode().Perm())
		}
		return nil
	})
	if err != nil {
		return Secret{}, withoutPath(err)
	}
	return Secret{strings.TrimRight(string(b), "\r\n")}, nil
}

func withoutPath(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

// Bounds of a program that fetches a secret. It may have to ask for a PIN, which
// takes a person's time.
const (
	helperLimit = 2 * time.Minute
	helperGrace = 2 * time.Second // for what it leaves behind, and when it is told to end
)

// helperVariable names, separated by commas, what else of the environment programs that fetch
// secrets get.
const helperVariable = "MONCAP_HELPER_ENV"

// helperNeeds are the environment variables that programs need to find their files, the agent, the
// keyring and the terminal. The others are not theirs: other secrets may be among them. One that
// ends in an underscore stands for all that begin so.
var helperNeeds = []string{
	"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_", "TZ", "TERM", "TMPDIR", "XDG_", "SSH_AUTH_SOCK",
	"DISPLAY",
	"WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS", "GPG_TTY", "GNUPGHOME", "PASSWORD_STORE_DIR", "PINENTRY_USER_DATA",
	"SYSTEMROOT", "WINDIR", "COMSPEC", "PATHEXT", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA", "TEMP", "TMP",
}

func helperEnvironment() []string {
	needs := slices.Concat(helperNeeds, strings.Split(os.Getenv(helperVariable), ","))
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return name == "" || !slices.ContainsFunc(needs, func(need string) bool {
			need = strings.TrimSpace(need)
			return name == need || runtime.GOOS == "windows" && strings.EqualFold(name, need) ||
				strings.HasSuffix(need, "_") && strings.HasPrefix(name, need)
		})
	})
}

// secretFromCommand runs a program in folder and takes the first line that it prints, as pass(1)
// and its like put the secret there. No shell is involved: the words are the program and its
// arguments. It ends with ctx.
func secretFromCommand(ctx context.Context, line, folder string) (Secret, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, helperLimit, fmt.Errorf("no answer in %s", helperLimit))
	defer cancel()
	words := strings.Fields(line)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...) // #nosec G204 -- the operator's own command, without a shell
	cmd.Stdin, cmd.Stderr = os.Stdin, os.Stderr             // it may have to ask for a PIN
	cmd.Dir, cmd.Env, cmd.WaitDelay = folder, helperEnvironment(), helperGrace
	cmd.Cancel = func() error {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			return cmd.Process.Kill()
		}
		return nil
	}
	var out firstLine
	cmd.Stdout = &out
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return Secret{}, fmt.Errorf("the command: %w", context.Cause(ctx))
	case len(out) >= maxSecret: // it was ended for that
	case errors.Is(err, exec.ErrWaitDelay): // it is over, and left something behind that holds its output
	case err != nil:
		return Secret{}, fmt.Errorf("the command: %w (of the environment it gets PATH, HOME and their like; %s names more)",
			err, helperVariable)
	}
	first, _, ended := strings.Cut(string(out), "\n")
	if !ended && len(out) >= maxSecret {
		return Secret{}, fmt.Errorf("the command: %w: its first line has more than %d bytes", ErrTooLarge, maxSecret)
	}
	return Secret{strings.TrimRight(first, "\r")}, nil
}

// firstLine keeps the beginning of what a program prints. One that prints more than that has nobody
// to print it for.
type firstLine []byte

func (l *firstLine) Write(p []byte) (int, error) {
	n := min(len(p), maxSecret-len(*l))
	if *l = append(*l, p[:n]...); n < len(p) {
		return n, ErrTooLarge
	}
	return n, nil
}
