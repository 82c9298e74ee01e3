package fleet

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/riverqueue/river/rivermigrate"

	"github.com/moncap/moncap/capture/bundle"
)

//go:embed schema/*.sql
var schema embed.FS

// schemaVersion is the number of the last file of schema. Raise it, and riverVersion, with what is
// added; files that were released are never changed.
const schemaVersion = 5

// notNewer is a condition that keeps a worker from beginning anything when the schema is a later
// one than its own.
var notNewer = fmt.Sprintf(" AND (SELECT max(version) FROM moncap_meta) <= %d", schemaVersion)

// Schema returns the version that the database has, 0 when it is empty, and the one that this
// program works with.
func (s *Store) Schema(ctx context.Context) (have, want int, err error) {
	have, err = s.version(ctx)
	return have, schemaVersion, s.fail(err)
}

func (s *Store) version(ctx context.Context) (int, error) {
	there := "SELECT count(*) FROM sqlite_master WHERE name = 'moncap_meta'"
	if s.pool != nil {
		there = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'moncap_meta'"
	}
	n := 0
	if _, err := s.row(ctx, s.db, []any{&n}, there); err != nil || n == 0 {
		return 0, err
	}
	_, err := s.row(ctx, s.db, []any{&n}, "SELECT version FROM moncap_meta")
	return n, err
}

// migrate brings the schema up to this program's, one process at a time.
func (s *Store) migrate(ctx context.Context, leave bool) error {
	have, err := s.version(ctx)
	switch {
	case err != nil:
		return err
	case have > schemaVersion:
		return s.tooNew(have)
	case have == schemaVersion || leave:
		return nil
	}
	release, err := s.migrationLock(ctx)
	if err != nil {
		return err
	}
	err = s.raise(ctx)
	return errors.Join(err, release())
}

func (s *Store) tooNew(have int) error {
	return usagef("database %s: its schema is version %d, and this moncap works with %d: use the moncap that made it, "+
		"or a later one", s.name, have, schemaVersion)
}

func (s *Store) raise(ctx context.Context) error {
	have, err := s.version(ctx) // another process may have been first
	if err != nil || have >= schemaVersion {
		return err
	}
	if s.file != "" && have > 0 {
		if err := s.copyFile(ctx, fmt.Sprintf("%s.v%d", s.file, have)); err != nil {
			return err
		}
	}
	m, err := rivermigrate.New(s.driver, &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	for v := have + 1; v <= schemaVersion; v++ {
		if err := s.step(ctx, v); err != nil {
			return fmt.Errorf("schema %d: %w", v, err)
		}
	}
	return nil
}

// step does one migration whole.
func (s *Store) step(ctx context.Context, version int) error {
	text, err := schema.ReadFile(fmt.Sprintf("schema/%04d.sql", version))
	if err != nil {
		return err
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	statements := strings.Split(string(text), ";\n")
	if version == 1 {
		statements = append(statements, "CREATE TABLE moncap_meta (version BIGINT NOT NULL)",
			"INSERT INTO moncap_meta VALUES (0)")
	}
	statements = append(statements, fmt.Sprintf("UPDATE moncap_meta SET version = %d", version))
	for _, q := range statements {
		if strings.TrimSpace(q) == "" {
			continue
		}
		if _, err := s.exec(ctx, tx, q); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// copyFile keeps the database as it is in a file, once. SQLite writes to a file that is there only
// when it is empty, and leaves its mode as it is.
func (s *Store) copyFile(ctx context.Context, file string) error {
	if exists(file) {
		return nil
	}
	part := file + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if _, err := s.db.ExecContext(ctx, "VACUUM INTO ?", part); err != nil {
		return errors.Join(err, os.Remove(part))
	}
	return os.Rename(part, file)
}

// migrationLock keeps other processes from migrating at the same time.
func (s *Store) migrationLock(ctx context.Context) (release func() error, err error) {
	if s.pool != nil {
		return s.postgresLock(ctx)
	}
	dir, name := filepath.Split(s.file)
	for {
		l, err := bundle.Lock(dir, name+".lock")
		if err == nil {
			return l.Close, nil
		}
		if !errors.Is(err, bundle.ErrLocked) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *Store) postgresLock(ctx context.Context) (release func() error, err error) {
	c, err := s.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := c.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(books+1)); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return func() error {
		_, err := c.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", int64(books+1))
		if closed := c.Close(); err == nil && !errors.Is(closed, sql.ErrConnDone) {
			err = closed
		}
		return err
	}, nil
}
