package fleet

import (
	"context"
	"database/sql"
	"errors"
)

// Leases count by the database's clock. When that is put forward, runs under way seem silent, and
// are taken back and gone on with: they cost their packets, and nothing else. When it is put back,
// a lease that was given before lies far in the future, and nobody would find out for as long that
// its worker is dead: none is longer than it can have been given.

// These are how many leases the longest wait is that is ever written down, of a run, of a second
// look and of a place outside.
const (
	longestLease = 4
	longestLook  = max(lookAfter, 8)
)

// fromTheFuture finds leases that cannot have been given by the clock as it is now.
const fromTheFuture = `state IN ('granted', 'running', 'cancelling', 'recovering') AND lease > {now} + ?`

// future is the least of such a time that is too long, of so many leases: a beat may lie between
// two looks at the clock.
func (s *Store) future(leases int64) int64 { return (leases + 1) * s.lease.Milliseconds() }

// shorten makes the leases of a clock that was put back as long as they are by the new one. A
// worker that lives makes its own longer at its next beat.
func (s *Store) shorten(ctx context.Context, tx *sql.Tx) error {
	lease := s.lease.Milliseconds()
	n, err1 := s.exec(ctx, tx, "UPDATE moncap_run SET lease = {now} + ? WHERE "+fromTheFuture, lease,
		s.future(longestLease))
	m, err2 := s.exec(ctx, tx, "UPDATE moncap_look SET due = {now} + ? WHERE due > {now} + ?", lease,
		s.future(longestLook))
	_, err3 := s.exec(ctx, tx, "UPDATE moncap_slot SET until = {now} + ? WHERE until > {now} + ?", outsideLeases*lease,
		s.future(outsideLeases))
	if n+m > 0 {
		s.log.Warn("the database's clock was put back: leases are counted anew")
	}
	return errors.Join(err1, err2, err3)
}

// sameLease refuses a worker that has another idea of silence than those that are at work: it would
// take their runs.
func (v *service) sameLease(ctx context.Context) error {
	var other string
	var lease int64
	found, err := v.s.row(ctx, v.s.db, []any{&other, &lease}, `SELECT id, lease FROM moncap_worker
		WHERE id <> ? AND lease > 0 AND lease <> ? AND abs({now} - beat) <= lease LIMIT 1`, v.id, v.s.lease.Milliseconds())
	if err != nil || !found {
		return err
	}
	return usagef("database %s: the lease of worker %s is %d ms, and this one's %d ms: give all workers of a database "+
		"the same lease in serve.yaml", v.s.name, other, lease, v.s.lease.Milliseconds())
}
