package fleet

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// Role says what somebody may do who has a token.
type Role string

// The roles; each may do what those before it may.
const (
	Viewer   Role = "viewer"   // sees verdicts, and no packets
	Operator Role = "operator" // starts, ends, cleans and approves runs, and has their captures
	Admin    Role = "admin"    // pauses schedules, and sees who did what
)

// Roles lists the roles, the least first.
func Roles() []Role { return []Role{Viewer, Operator, Admin} }

// May says whether r may do what takes another role.
func (r Role) May(needed Role) bool {
	have := slices.Index(Roles(), r)
	return have >= 0 && have >= slices.Index(Roles(), needed)
}

// Token is what somebody, or a program, logs in with. The secret itself is not kept.
type Token struct {
	Name   string
	Role   Role
	MadeBy string
	Made   time.Time
}

// ErrNoToken says that a secret is that of no token, or of one that was removed or has expired.
var ErrNoToken = errors.New("no such token")

// tokenMark begins a token's secret, so that it is recognized where it should not be.
const tokenMark = "moncap_"

// tokenName is what a token may be called: it stands in the history as who did something. An
// account at a machine has another form.
var tokenName = lazyregexp.New(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$`)

// secretOf makes 256 bits that nobody guesses.
func secretOf(mark string) string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // it never fails, as crypto/rand says
	return mark + base64.RawURLEncoding.EncodeToString(b)
}

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// AddToken makes a token. The secret is returned this once.
func (s *Store) AddToken(ctx context.Context, by, name string, role Role) (secret string, err error) {
	switch {
	case !tokenName.Get().MatchString(name):
		return "", usagef("token %q: want a name of up to 64 letters, digits, and . _ - between them", name)
	case !slices.Contains(Roles(), role):
		return "", usagef("role %q: want viewer, operator or admin", role)
	}
	secret = secretOf(tokenMark)
	err = s.locked(ctx, func(tx *sql.Tx) error {
		there, err := s.tokens(ctx, tx)
		if err != nil {
			return err
		}
		for _, t := range there {
			// Two people whose names differ by capitals alone would be taken for one another.
			if strings.EqualFold(t.Name, name) {
				return usagef("token %s: it is there already: remove it first", t.Name)
			}
		}
		if _, err := s.exec(ctx, tx, "INSERT INTO moncap_token (name, role, hash, made_by, made) VALUES (?, ?, ?, ?, {now})",
			name, string(role), hashOf(secret), by); err != nil {
			return err
		}
		return s.audit(ctx, tx, by, "add token "+string(role), "", name)
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}

// RemoveToken ends a token, and whatever is logged in with it.
func (s *Store) RemoveToken(ctx context.Context, by, name string) error {
	return s.locked(ctx, func(tx *sql.Tx) error {
		n, err := s.exec(ctx, tx, "DELETE FROM moncap_token WHERE name = ?", name)
		if err == nil && n == 0 {
			err = notFound("token", name)
		}
		if err != nil {
			return err
		}
		if _, err := s.exec(ctx, tx, "DELETE FROM moncap_login WHERE token = ?", name); err != nil {
			return err
		}
		return s.audit(ctx, tx, by, "remove token", "", name)
	})
}

// Tokens lists the tokens by name.
func (s *Store) Tokens(ctx context.Context) ([]Token, error) {
	kept, err := s.tokens(ctx, s.db)
	var all []Token
	for _, k := range kept {
		all = append(all, k.Token)
	}
	return all, s.fail(err)
}

type keptToken struct {
	Token
	hash string
}

func (s *Store) tokens(ctx context.Context, d doer) ([]keptToken, error) {
	var all []keptToken
	err := s.query(ctx, d, func(scan func(...any) error) error {
		var t keptToken
		var made int64
		err := scan(&t.Name, &t.Role, &t.hash, &t.MadeBy, &made)
		t.Made = at(made)
		all = append(all, t)
		return err
	}, "SELECT name, role, hash, made_by, made FROM moncap_token ORDER BY name")
	return all, err
}

// Authenticate finds the token that a secret is of. It is ErrNoToken when there is none. All are
// compared, each in the same time.
func (s *Store) Authenticate(ctx context.Context, secret string) (Token, error) {
	all, err := s.tokens(ctx, s.db)
	if err != nil {
		return Token{}, s.fail(err)
	}
	sum, found := []byte(hashOf(secret)), -1
	for i, t := range all {
		if subtle.ConstantTimeCompare(sum, []byte(t.hash)) == 1 {
			found = i
		}
	}
	if found < 0 {
		return Token{}, ErrNoToken
	}
	return all[found].Token, nil
}

// LogIn remembers that somebody has shown a token, for a while. The secret that is returned is
// another one than the token's.
func (s *Store) LogIn(ctx context.Context, token string, last time.Duration) (secret string, err error) {
	secret = secretOf("")
	err = s.locked(ctx, func(tx *sql.Tx) error {
		if _, err := s.exec(ctx, tx, "DELETE FROM moncap_login WHERE expires <= {now}"); err != nil {
			return err
		}
		// One that is removed meanwhile lets nobody in.
		n, err := s.exec(ctx, tx,
			"INSERT INTO moncap_login (hash, token, expires) SELECT ?, name, {now} + ? FROM moncap_token WHERE name = ?",
			hashOf(secret), last.Milliseconds(), token)
		if err == nil && n == 0 {
			err = ErrNoToken
		}
		if err != nil {
			return err
		}
		return s.audit(ctx, tx, token, "log in", "", "")
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}

// LoggedIn finds the token of a login. It is ErrNoToken when the login is over.
func (s *Store) LoggedIn(ctx context.Context, secret string) (Token, error) {
	var t Token
	var made int64
	ok, err := s.row(ctx, s.db, []any{&t.Name, &t.Role, &t.MadeBy, &made},
		`SELECT t.name, t.role, t.made_by, t.made FROM moncap_login l
		JOIN moncap_token t ON t.name = l.token WHERE l.hash = ? AND l.expires > {now}`, hashOf(secret))
	t.Made = at(made)
	if err == nil && !ok {
		return Token{}, ErrNoToken
	}
	return t, s.fail(err)
}

// LogOut ends a login.
func (s *Store) LogOut(ctx context.Context, secret string) error {
	_, err := s.exec(ctx, s.db, "DELETE FROM moncap_login WHERE hash = ?", hashOf(secret))
	return s.fail(err)
}
