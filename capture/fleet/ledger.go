package fleet

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/capture/bundle"
)

// errLost says that a run is not, or not any more, this worker's.
var errLost = errors.New("this worker does not hold the run any more")

// lazy is how long what became of a change waits to be written together with the next intent, whose
// round trip it would lengthen otherwise.
const lazy = 300 * time.Millisecond

// ledger is the journal of a run in the database, and its run.json. Each side writes by itself, so
// that it does not wait for the other's round trip; what a side says is written in its order.
type ledger struct {
	s     *Store
	run   string
	fence int64
	wg    sync.WaitGroup
	end   chan struct{} // closed: what is there is written, and then nothing more

	mu     sync.Mutex
	seq    int64  // of the last row
	doc    []byte // run.json, when it is newer than the database's
	docSeq int64
	lanes  map[bundle.Side]*lane
}

// lane is what one side has to write.
type lane struct {
	rows []*line
	wake chan struct{} // has room for one
}

// line is a row to be written.
type line struct {
	seq   int64
	entry bundle.Entry
	done  chan error // of an intent; nil: nobody waits
}

// journalColumns are filled by the values of a ledger.
const journalColumns = "moncap_journal (run, seq, at, side, peer, kind, name, state)"

// newLedger begins behind what a run's earlier holders wrote. ctx bounds every attempt to write.
func newLedger(ctx context.Context, s *Store, run string, fence, seq int64) *ledger {
	l := &ledger{s: s, run: run, fence: fence, seq: seq, docSeq: fence << 20, end: make(chan struct{}),
		lanes: map[bundle.Side]*lane{}}
	for _, side := range bundle.Sides() {
		n := &lane{wake: make(chan struct{}, 1)}
		l.lanes[side] = n
		l.wg.Go(func() { l.work(ctx, n) })
	}
	return l
}

// close writes what is left, however long the database is away; when enough is
// closed, within limit.
func (l *ledger) close(enough <-chan struct{}, limit time.Duration) {
	close(l.end)
	done := make(chan struct{})
	go func() { l.wg.Wait(); close(done) }()
	select {
	case <-done:
		return
	case <-enough:
	}
	select {
	case <-done:
	case <-time.After(limit):
	}
}

// Intend writes a change that is about to be made, and returns when it is in the database.
// It fails when the run is not this worker's any more, and waits for a database that is
// away as long as it is.
func (l *ledger) Intend(ctx context.Context, e bundle.Entry) error {
	done := make(chan error, 1)
	n := l.add(e, done)
	n.poke()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, r := range n.rows {
			if r.done == done {
				r.done = nil // it needs no lease any more: it is not made
			}
		}
		return fmt.Errorf("the change was not announced in the database: %w", context.Cause(ctx))
	}
}

// Noted writes what became of a change, before long; that a capture runs at once: nothing is
// announced for a while then, and whoever goes on with the run has packets to collect.
func (l *ledger) Noted(e bundle.Entry) {
	n := l.add(e, nil)
	if e.Kind == capture.KindActive && e.State == bundle.Made {
		n.poke()
		return
	}
	n.pokeSoon()
}

// Saved writes run.json, before long.
func (l *ledger) Saved(run []byte) {
	l.mu.Lock()
	l.doc = run
	l.docSeq++
	l.mu.Unlock()
	l.lanes[bundle.A].pokeSoon()
}

func (l *ledger) add(e bundle.Entry, done chan error) *lane {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	n := l.lanes[e.Side]
	n.rows = append(n.rows, &line{l.seq, e, done})
	return n
}

func (n *lane) poke() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

func (n *lane) pokeSoon() { time.AfterFunc(lazy, n.poke) }

// work writes one lane until the ledger is closed and it is empty.
func (l *ledger) work(ctx context.Context, n *lane) {
	ending := false
	for pause := time.Duration(0); ; {
		if !ending {
			select {
			case <-n.wake:
			case <-l.end:
				ending = true
			case <-ctx.Done():
				return
			}
		}
		for {
			more, err := l.flush(ctx, n)
			if err == nil && !more {
				pause = 0
				break
			}
			if ctx.Err() != nil {
				return
			}
			if err == nil {
				continue
			}
			pause = min(2*pause+50*time.Millisecond, time.Second)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return
			}
		}
		if ending {
			return
		}
	}
}

// flush writes all that a lane has, in one round trip. more says that there was something.
func (l *ledger) flush(ctx context.Context, n *lane) (more bool, err error) {
	l.mu.Lock()
	rows, doc, docSeq := slices.Clone(n.rows), l.doc, l.docSeq
	needsLease := slices.ContainsFunc(rows, func(r *line) bool { return r.done != nil })
	l.mu.Unlock()
	if len(rows) == 0 && doc == nil {
		return false, nil
	}
	trying, cancel := context.WithTimeout(ctx, l.s.lease/3)
	defer cancel()
	held, err := l.write(trying, rows, doc, docSeq, needsLease)
	if err != nil {
		return true, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !held && needsLease { // what is not announced is not made; the rest is tried again, without a lease
		n.rows = slices.DeleteFunc(n.rows, func(r *line) bool { return slices.Contains(rows, r) && r.refuse() })
		return true, nil
	}
	// Without the fence there is nobody to write for any more.
	for _, r := range rows {
		if r.done != nil {
			r.done <- nil
			r.done = nil
		}
	}
	n.rows = n.rows[len(rows):]
	if l.docSeq == docSeq {
		l.doc = nil
	}
	return true, nil
}

// refuse says whether somebody waited for the row.
func (r *line) refuse() bool {
	if r.done == nil {
		return false
	}
	r.done <- errLost
	return true
}

// write says whether the run is still held: with its fence, and within its lease
// where that is needed.
func (l *ledger) write(ctx context.Context, rows []*line, doc []byte, docSeq int64,
	needsLease bool) (held bool, err error) {
	if l.s.pool != nil {
		return l.writePostgres(ctx, rows, doc, docSeq, needsLease)
	}
	tx, err := l.s.db.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	n := 0
	if _, err := l.s.row(ctx, tx, []any{&n},
		"SELECT count(*) FROM moncap_run WHERE id = ? AND fence = ? AND (lease > {now} OR ? = 0)",
		l.run, l.fence, number(needsLease)); err != nil || n == 0 {
		return false, err
	}
	if doc != nil {
		if _, err := l.s.exec(ctx, tx, "UPDATE moncap_plan SET doc = ?, doc_seq = ? WHERE run = ? AND doc_seq < ?",
			string(doc), docSeq, l.run, docSeq); err != nil {
			return false, err
		}
	}
	if len(rows) > 0 {
		if _, err := l.s.exec(ctx, tx, "INSERT INTO "+journalColumns+" VALUES "+
			strings.TrimSuffix(strings.Repeat("(?,?,?,?,?,?,?,?),", len(rows)), ",")+" ON CONFLICT (run, seq) DO NOTHING",
			l.values(rows)...); err != nil {
			return false, err
		}
	}
	return true, tx.Commit()
}

// writePostgres does all of it in one statement, which takes one round trip. The row of the run is
// locked, so that nobody takes the run over and reads the journal meanwhile.
func (l *ledger) writePostgres(ctx context.Context, rows []*line, doc []byte, docSeq int64,
	needsLease bool) (held bool, err error) {
	args := []any{pgx.QueryExecModeExec, l.run, l.fence, number(needsLease)}
	q := `WITH held AS (SELECT id FROM moncap_run WHERE id = ?::text AND fence = ?::bigint AND (lease > {now} OR ?::bigint = 0) FOR SHARE)`
	if doc != nil {
		q += `, saved AS (UPDATE moncap_plan SET doc = ?::text, doc_seq = ?::bigint WHERE run IN (SELECT id FROM held) AND doc_seq < ?::bigint)`
		args = append(args, string(doc), docSeq, docSeq)
	}
	if len(rows) > 0 {
		q += `, written AS (INSERT INTO ` + journalColumns + `
			SELECT v.* FROM (VALUES ` + strings.TrimSuffix(strings.Repeat("(?::text,?::bigint,?::bigint,?::text,?::text,?::text,?::text,?::text),", len(rows)), ",") +
			`) AS v, held ON CONFLICT (run, seq) DO NOTHING)`
		args = append(args, l.values(rows)...)
	}
	n := 0
	err = l.s.db.QueryRowContext(ctx, l.s.text(q+" SELECT count(*) FROM held"), args...).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return n > 0, err
}

func (l *ledger) values(rows []*line) []any {
	var all []any
	for _, r := range rows {
		all = append(all, l.run, r.seq, ms(r.entry.Time), string(r.entry.Side), r.entry.Peer, r.entry.Kind, r.entry.Name,
			string(r.entry.State))
	}
	return all
}

// closeJournal says of everything that the journal of a clean run has open that it is gone: whoever
// cleaned up could not say so while the run was not theirs, or the database was away.
func (s *Store) closeJournal(ctx context.Context, tx *sql.Tx, run string) error {
	entries, err := s.journal(ctx, tx, run)
	if err != nil || len(entries) == 0 {
		return err
	}
	now, err := s.now(ctx, tx)
	if err != nil {
		return err
	}
	l, last := ledger{run: run}, int64(entries[len(entries)-1].Seq)
	var lines []*line
	for _, c := range bundle.OpenChanges(entries) {
		last++
		e := bundle.Entry{Time: at(now), Side: c.Side, Peer: c.Peer, Kind: c.Kind, Name: c.Name, State: bundle.Gone}
		lines = append(lines, &line{seq: last, entry: e})
	}
	return s.insertMany(ctx, tx, journalColumns, 8, l.values(lines))
}
