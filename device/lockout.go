package device

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
)

// Lockout remembers which credentials were refused, so that none is sent twice in a run, to
// whichever router: they often ask one and the same server, which counts. Until a credential was
// accepted once, one login at a time tries it. It is safe for concurrent use.
type Lockout struct {
	mu      sync.Mutex
	trying  map[string]chan struct{} // by credential: closed when the login that tries it is over
	proven  map[string]bool          // accepted somewhere
	tries   map[string]int           // by credential: refusals, counted by half
	good    map[credential]bool      // accepted there
	refused map[credential]bool      // refused there
	by      map[string]string        // by credential: the address where it was refused first
	spared  map[credential]int       // refused there since it was accepted there last
	spent   map[credential]bool      // sent there, and never answered
}

// credential is a user with a secret, at a router. It names the secret without holding it.
type credential struct{ id, address string }

func newCredential(kind, user, secret, address string) credential {
	sum := sha256.Sum256([]byte(kind + "\x00" + user + "\x00" + secret))
	return credential{hex.EncodeToString(sum[:]), address}
}

// lockedAt is the number of refusals, counted by half, from which a credential is
// not sent any more.
const lockedAt = 2

// NewLockout makes an empty one.
func NewLockout() *Lockout {
	return &Lockout{trying: map[string]chan struct{}{}, proven: map[string]bool{}, tries: map[string]int{},
		good: map[credential]bool{}, refused: map[credential]bool{}, by: map[string]string{},
		spared: map[credential]int{},
		spent:  map[credential]bool{}}
}

// enter waits for the turn to try a credential. leave must be called when it is known what became
// of it.
func (l *Lockout) enter(ctx context.Context, c credential) (leave func(), err error) {
	for {
		l.mu.Lock()
		other, busy := l.trying[c.id]
		if l.proven[c.id] || !busy {
			break
		}
		l.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return func() {}, context.Cause(ctx)
		}
	}
	defer l.mu.Unlock()
	if err := l.locked(c); err != nil {
		return func() {}, err
	}
	if l.proven[c.id] {
		return func() {}, nil
	}
	mine := make(chan struct{})
	l.trying[c.id] = mine
	return sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.trying, c.id)
		close(mine)
	}), nil
}

// locked says why c is not to be sent. What this very router accepted before is good there,
// whatever it or another says later: it has to be cleaned up.
func (l *Lockout) locked(c credential) error {
	switch {
	case l.good[c]:
		return nil
	case l.refused[c] || l.tries[c.id] >= lockedAt:
		if by := l.by[c.id]; by != "" {
			return fmt.Errorf("%w (refused by %s)", errLockedOut, by)
		}
		return errLockedOut
	case l.spent[c]:
		return errNoReply
	}
	return nil
}

func (l *Lockout) check(c credential) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.locked(c)
}

// acceptedBefore says whether all of these were accepted where they are for.
func (l *Lockout) acceptedBefore(all ...credential) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !slices.ContainsFunc(all, func(c credential) bool { return !l.good[c] })
}

// spend remembers credentials that went out and were never answered.
func (l *Lockout) spend(all ...credential) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range all {
		l.spent[c] = true
	}
}

// accept remembers credentials that let somebody in.
func (l *Lockout) accept(all ...credential) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range all {
		l.good[c], l.proven[c.id] = true, true
		delete(l.spared, c)
	}
}

// add remembers credentials that were refused. Those that were accepted there before are not
// locked, for the router has to be cleaned up: it may allow one session at a time. spared is how
// often such a one was refused since; 0: it is none.
func (l *Lockout) add(all ...credential) (spared int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range all {
		if l.good[c] {
			l.spared[c]++
			spared = l.spared[c]
			continue
		}
		if l.refused[c] = true; l.by[c.id] == "" {
			l.by[c.id] = c.address
		}
		l.tries[c.id] += lockedAt
	}
	return spared
}

// doubt remembers credentials upon which the connection was closed without a word: either a
// refusal, or an accident. An accident does not happen twice, and what was accepted there before is
// not doubted.
func (l *Lockout) doubt(all ...credential) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range all {
		if !l.good[c] {
			l.tries[c.id]++
		}
	}
}
