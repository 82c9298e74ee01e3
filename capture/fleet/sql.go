package fleet

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// text is a statement in this database's words: {now} is the time in milliseconds by the database's
// clock, {blob} the type of bytes, and a question mark a parameter.
func (s *Store) text(q string) string {
	if t, ok := s.texts.Load(q); ok {
		return t.(string)
	}
	now, blob := "CAST(unixepoch('subsec') * 1000 AS INTEGER)", "BLOB"
	if s.pool != nil {
		now, blob = "CAST(extract(epoch from clock_timestamp()) * 1000 AS BIGINT)", "BYTEA"
	}
	t := strings.NewReplacer("{now}", now, "{blob}", blob).Replace(q)
	if s.pool != nil {
		t = numbered(t)
	}
	s.texts.Store(q, t)
	return t
}

// numbered gives each parameter its number, as PostgreSQL has them.
func numbered(q string) string {
	var b strings.Builder
	n := 0
	for _, r := range q {
		if r != '?' {
			b.WriteRune(r)
			continue
		}
		n++
		b.WriteString("$" + strconv.Itoa(n))
	}
	return b.String()
}

// questions lists n parameters.
func questions(n int) string { return strings.TrimSuffix(strings.Repeat("?,", n), ",") }

// doer is a database, or a transaction of it.
type doer interface {
	ExecContext(ctx context.Context, q string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, q string, args ...any) *sql.Row
}

// exec returns how many rows it changed.
func (s *Store) exec(ctx context.Context, d doer, q string, args ...any) (int64, error) {
	r, err := d.ExecContext(ctx, s.text(q), args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// query reads all rows; each scans one.
func (s *Store) query(ctx context.Context, d doer, each func(scan func(...any) error) error, q string,
	args ...any) error {
	rows, err := d.QueryContext(ctx, s.text(q), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows.Scan); err != nil {
			return err
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}

// row reads one row. ok is false when there is none.
func (s *Store) row(ctx context.Context, d doer, into []any, q string, args ...any) (ok bool, err error) {
	err = d.QueryRowContext(ctx, s.text(q), args...).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// books is the key of the advisory lock of PostgreSQL under which waiting runs, slots and schedules
// are moved.
const books = 0x6d6f6e636170

// locked does f in a transaction that nobody else moves runs beside. It is tried again when the
// database asks for that.
func (s *Store) locked(ctx context.Context, f func(tx *sql.Tx) error) error {
	for n := 1; ; n++ {
		err := s.lockedOnce(ctx, f)
		if err == nil || n >= 5 || !again(err) || ctx.Err() != nil {
			return s.fail(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(n) * 50 * time.Millisecond):
		}
	}
}

func (s *Store) lockedOnce(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	if s.pool != nil {
		if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", int64(books)); err != nil {
			return err
		}
	}
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// Result codes of SQLite (https://www.sqlite.org/rescode.html). A process that is frozen while it
// looks after the log keeps others from it in a way that SQLite takes for a fault of the protocol,
// after a while.
const (
	liteBusy     = 5
	liteLocked   = 6
	liteProtocol = 15
	liteNotADB   = 26
)

// liteCode is the result code of SQLite that an error is of; 0: it is of none.
func liteCode(err error) int {
	if lite, ok := errors.AsType[interface {
		error
		Code() int
	}](err); ok {
		return lite.Code() & 0xff
	}
	return 0
}

// again says whether a transaction that failed came to nothing, and may go through
// when it is tried anew.
func again(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == "40001" || pg.Code == "40P01"
	}
	switch liteCode(err) {
	case liteBusy, liteLocked, liteProtocol:
		return true
	}
	return pgconn.SafeToRetry(err)
}

// Now returns the time by the database's clock.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	ms, err := s.now(ctx, s.db)
	return at(ms), s.fail(err)
}

func (s *Store) now(ctx context.Context, d doer) (int64, error) {
	var ms int64
	_, err := s.row(ctx, d, []any{&ms}, "SELECT {now}")
	return ms, err
}

// at is a time as the database has it; zero is none.
func at(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// ms is a time for the database.
func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
