package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moncap/moncap/capture/fleet"
	"github.com/moncap/moncap/capture/fleet/notify"
	"github.com/moncap/moncap/device/inventory"
)

// teller sends what the fleet's database has to be told. Any number of workers do; each notice is
// taken by one.
type teller struct {
	app       *app
	store     *fleet.Store
	inventory func() *inventory.Inventory
	pause     time.Duration // between two looks; a second when zero

	mu      sync.Mutex
	busy    map[string]int // messages on their way, by target
	digests map[string]*dueDigest
	away    bool // the database was, the last time
}

// dueDigest is when a target's digest comes next.
type dueDigest struct {
	spec string
	next time.Time
}

// The pace of a teller.
const (
	tellAtOnce   = 8               // messages on their way
	tellOne      = 2               // of them to one target: one that is dead must not hold up the others
	tellHold     = 3 * time.Minute // for which a notice is ours: longer than fetching its secret and sending it take
	digestLate   = 6 * time.Hour   // after which a digest that nobody was there to send is not sent any more
	tellFlush    = 5 * time.Second // for what is left when the worker ends
	digestKeeper = "digest"
)

// backoffs are the pauses after each try.
var backoffs = []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute}

// run sends until ctx ends, and then for a moment what is left.
func (t *teller) run(ctx context.Context) {
	pace := time.NewTicker(orDefault(t.pause, time.Second))
	defer pace.Stop()
	var sending sync.WaitGroup
	for ctx.Err() == nil {
		t.turn(ctx, &sending)
		select {
		case <-ctx.Done():
		case <-pace.C:
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellFlush)
	defer cancel()
	t.turn(last, &sending)
	sending.Wait()
}

// turn sends everything that is due, as far as there is room.
func (t *teller) turn(ctx context.Context, sending *sync.WaitGroup) {
	inv := t.inventory()
	if len(inv.Notify) == 0 {
		return
	}
	err := t.makeDigests(ctx, inv)
	for err == nil {
		targets := t.free(inv)
		var n fleet.Notice
		var owner string
		var ok bool
		if n, owner, ok, err = t.store.TakeNotice(ctx, tellHold, targets...); !ok {
			break
		}
		t.count(n.Target, 1)
		target := inv.Notify[n.Target]
		sending.Go(func() {
			defer t.count(n.Target, -1)
			t.send(ctx, target, n, owner)
		})
	}
	if err != nil && ctx.Err() == nil && !t.away {
		t.app.warn("what is to be told cannot be looked up: %s", sentence(err))
	}
	t.away = err != nil
}

// free are the targets to which another message may go.
func (t *teller) free(inv *inventory.Inventory) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := 0
	for _, n := range t.busy {
		all += n
	}
	if all >= tellAtOnce {
		return nil
	}
	return slices.DeleteFunc(inv.NotifyNames(), func(name string) bool { return t.busy[name] >= tellOne })
}

func (t *teller) count(target string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.busy == nil {
		t.busy = map[string]int{}
	}
	t.busy[target] += n
}

// send tries a notice once, and writes down what came of it.
func (t *teller) send(ctx context.Context, target *inventory.Notify, n fleet.Notice, owner string) {
	err := t.app.tellOnce(ctx, target, n)
	ended := ctx.Err() != nil
	// What came of it is written though the worker ends.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), databaseLimit)
	defer cancel()
	var written error
	switch {
	case err == nil:
		written = t.store.NoticeSent(ctx, n.ID, owner)
	case ended:
		written = t.store.NoticeLater(ctx, n.ID, owner, sentence(err), 0, false)
	default:
		after := backoffs[min(max(n.Tries, 1), len(backoffs))-1]
		refused, _ := errors.AsType[*notify.Error](err)
		last := n.Tries >= fleet.NoticeTries
		if refused != nil {
			after, last = max(after, refused.After), last || refused.Final
		}
		if last {
			t.app.warn("%s was not told of %s, and will not be: %s", n.Target, n.About, sentence(err))
		} else if n.Tries == 1 {
			t.app.warn("%s was not told of %s yet: %s", n.Target, n.About, sentence(err))
		}
		written = t.store.NoticeLater(ctx, n.ID, owner, sentence(err), after, last)
	}
	if written != nil { // its time with us ends, and it is told again
		t.app.warn("what came of telling %s of %s is not written: %s", n.Target, n.About, sentence(written))
	}
}

// tellOnce sends a notice to a target of the inventory.
func (a *app) tellOnce(ctx context.Context, target *inventory.Notify, n fleet.Notice) error {
	var m notify.Message
	if err := json.Unmarshal([]byte(n.Message), &m); err != nil {
		return &notify.Error{Target: target.Name, What: "the message is of another moncap", Final: true}
	}
	to, err := openTarget(ctx, target)
	if err != nil {
		return err
	}
	return notify.Send(ctx, to, m)
}

// openTarget fetches what opens a target.
func openTarget(ctx context.Context, t *inventory.Notify) (notify.Target, error) {
	to := notify.Target{Name: t.Name, Type: t.Type, URL: t.Address, From: t.From, To: t.To, Username: t.Username}
	for _, s := range []struct {
		ref  inventory.SecretRef
		into *string
		what string
	}{
		{t.URL, &to.URL, "URL"}, {t.Key, &to.Key, "key"}, {t.Secret, &to.Secret, "secret"}, {t.Token, &to.Token, "token"},
		{t.Password, &to.Password, "password"},
	} {
		if s.ref.IsZero() {
			continue
		}
		secret, err := s.ref.Resolve(ctx, s.what+" of "+t.Name, nil)
		if err != nil {
			return to, &notify.Error{Target: t.Name, What: "its " + s.what + ": " + err.Error()}
		}
		*s.into = secret.Reveal()
	}
	if t.CA != "" {
		text, err := os.ReadFile(t.CA)
		if err != nil {
			return to, &notify.Error{Target: t.Name, What: "ca: " + err.Error()}
		}
		to.Roots = x509.NewCertPool()
		if !to.Roots.AppendCertsFromPEM(text) {
			return to, &notify.Error{Target: t.Name, What: "ca: " + t.CA + " has no certificate in PEM"}
		}
	}
	return to, nil
}

// makeDigests writes the digests whose time has come. All workers try, and one is written: its name
// is its time.
func (t *teller) makeDigests(ctx context.Context, inv *inventory.Inventory) error {
	if t.digests == nil {
		t.digests = map[string]*dueDigest{}
	}
	now := time.Now()
	var due []fleet.Notice
	var last map[string]fleet.Run
	moved := map[*dueDigest]time.Time{}
	for _, name := range slices.Sorted(maps.Keys(inv.Notify)) {
		target := inv.Notify[name]
		if target.Digest == nil || !slices.Contains(target.On, inventory.OnDigest) {
			continue
		}
		spec := target.Digest.String() + " " + target.Digest.Zone()
		d := t.digests[name]
		if d == nil || d.spec != spec {
			d = &dueDigest{spec, target.Digest.Next(now.Add(-digestLate))}
			t.digests[name] = d
		}
		var at time.Time
		next := d.next
		for !next.IsZero() && !next.After(now) {
			at, next = next, target.Digest.Next(next)
		}
		if at.IsZero() {
			continue
		}
		if last == nil {
			var err error
			if last, err = t.store.LastVerdicts(ctx); err != nil {
				return err
			}
		}
		m := digestOf(inv, target, last, at)
		m.Schema, m.ID = notify.Schema, fmt.Sprintf("%s-%s-%d", digestKeeper, name, at.Unix())
		text, err := json.Marshal(m)
		if err != nil {
			return err
		}
		due = append(due, fleet.Notice{ID: m.ID, Target: name, About: m.Key, Action: string(m.Action), Message: string(text)})
		moved[d] = next
	}
	if len(due) == 0 {
		return nil
	}
	if err := t.store.PutNotices(ctx, due...); err != nil {
		return err
	}
	for d, next := range moved {
		d.next = next
	}
	return nil
}

// tellsWhat says what a target is told of, for people.
func tellsWhat(t *inventory.Notify) string {
	s := strings.Join(t.On, ", ")
	if slices.Contains(t.On, inventory.OnDigest) {
		s += " (" + t.Digest.String() + " " + t.Digest.Zone() + ")"
	}
	return s
}
