package fleet

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	_ "modernc.org/sqlite" // the driver of SQLite files
)

// ErrUsage marks what was asked for wrongly, and what this program cannot work with.
var ErrUsage = errors.New("usage")

// ErrNotFound marks what the database does not have.
var ErrNotFound = errors.New("not found")

// usage is an error that wraps ErrUsage without saying so.
type usage struct{ text string }

func (e *usage) Error() string        { return e.text }
func (e *usage) Is(target error) bool { return target == ErrUsage }

func usagef(format string, args ...any) error { return &usage{fmt.Sprintf(format, args...)} }

// DefaultLease is how long a worker may be silent before its runs are taken from it.
const DefaultLease = 15 * time.Second

// Options say which database, and how patient its workers are with each other.
type Options struct {
	// URL is sqlite:PATH or postgres://USER@HOST/DATABASE. Empty: moncap.db in State.
	URL   string
	State string // moncap's state folder
	Log   *slog.Logger
	// Password gives PostgreSQL's. Without it the file of passwords is read, as libpq does
	// (PGPASSFILE, ~/.pgpass).
	Password func() (string, error)
	Lease    time.Duration // DefaultLease when zero; the same for all workers of a database
	// Existing refuses to make a database where there is none, with ErrNotFound.
	Existing bool
	// NoMigrate leaves an older schema as it is.
	NoMigrate bool

	fileSystem func(dir string) string // networkFileSystem, but for tests
}

// Store is an open database of runs. Its methods may be called from several goroutines.
type Store struct {
	db     *sql.DB
	pool   *pgxpool.Pool // nil: SQLite
	file   string        // of SQLite
	name   string
	lease  time.Duration
	log    *slog.Logger
	driver riverdriver.Driver[*sql.Tx]
	queue  *river.Client[*sql.Tx] // inserts only
	texts  sync.Map               // statements as this database has them
}

// target is a parsed URL.
type target struct {
	file string // of SQLite
	url  string // of PostgreSQL
}

// ParseURL checks the address of a database, and connects to nothing.
func ParseURL(s string) error {
	_, err := parseURL(s, "")
	return err
}

func parseURL(s, state string) (target, error) {
	switch scheme, rest, _ := strings.Cut(s, ":"); {
	case s == "":
		return target{file: filepath.Join(state, "moncap.db")}, nil
	case scheme == "sqlite":
		rest = strings.TrimPrefix(rest, "//")
		if rest == "" || strings.ContainsAny(rest, "?#%\x00") {
			return target{}, usagef("database sqlite: want sqlite:PATH, a path without any of ? # %%")
		}
		file, err := filepath.Abs(rest)
		return target{file: file}, err
	case scheme == "postgres" || scheme == "postgresql":
		return parsePostgres(s)
	}
	return target{}, usagef("database: want sqlite:PATH or postgres://USER@HOST/DATABASE")
}

// parsePostgres never repeats what it refuses: a password may be in it.
func parsePostgres(s string) (target, error) {
	u, err := url.Parse(s)
	if err != nil {
		return target{}, usagef("database: it is no URL such as postgres://USER@HOST/DATABASE")
	}
	_, has := u.User.Password()
	if has || u.Query().Has("password") || u.Query().Has("sslpassword") {
		return target{}, usagef("database: a password stands in the address, where everybody on this machine can read it: " +
			"put it into the file that PGPASSFILE names, or say where it is kept")
	}
	return target{url: s}, nil
}

// Exists says whether there is a database to write to: the file of one, or the address of one that
// was given.
func Exists(o Options) bool {
	t, err := parseURL(o.URL, o.State)
	if err != nil || t.url != "" {
		return err == nil
	}
	info, err := os.Stat(t.file)
	return err == nil && info.Mode().IsRegular()
}

// Open opens the database and brings its schema up to this program's. A schema of a later program
// is refused.
func Open(ctx context.Context, o Options) (*Store, error) {
	t, err := parseURL(o.URL, o.State)
	if err != nil {
		return nil, err
	}
	if o.Existing && t.file != "" && !exists(t.file) {
		return nil, fmt.Errorf("database sqlite:%s: %w: moncap serve makes it, or moncap db init", t.file, ErrNotFound)
	}
	s := &Store{lease: o.Lease, log: o.Log}
	if s.lease <= 0 {
		s.lease = DefaultLease
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if t.file != "" {
		err = s.openSQLite(t.file, o.fileSystem)
	} else {
		err = s.openPostgres(ctx, t.url, o.Password)
	}
	if err == nil {
		s.queue, err = river.NewClient(s.driver, &river.Config{Logger: slog.New(newSeldom(s.log.Handler()))})
	}
	if err == nil {
		err = s.migrate(ctx, o.NoMigrate)
		for n := 0; again(err) && n < 3 && ctx.Err() == nil; n++ { // others make the same schema, on a slow machine
			err = s.migrate(ctx, o.NoMigrate)
		}
	}
	if code := liteCode(err); code == liteNotADB {
		err = usagef("database %s: the file is no database: name another with --db, or move it away", s.name)
	}
	if err != nil {
		return nil, errors.Join(s.fail(err), s.Close())
	}
	return s, nil
}

func (s *Store) fail(err error) error {
	if err == nil || errors.Is(err, ErrUsage) {
		return err
	}
	return fmt.Errorf("database %s: %w", s.name, err)
}

// Name tells the database apart, for people. There is no secret in it.
func (s *Store) Name() string { return s.name }

// Close ends all connections.
func (s *Store) Close() error {
	var err error
	if s.db != nil {
		err = s.db.Close()
	}
	if s.pool != nil {
		s.pool.Close()
	}
	return err
}

// sqliteOptions make a row that was written survive a loss of power, and processes that share the
// file wait for each other.
const sqliteOptions = "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)" +
	"&_txlock=immediate"

func (s *Store) openSQLite(file string, fileSystem func(dir string) string) error {
	s.file, s.name = file, "sqlite:"+file
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	if fileSystem == nil {
		fileSystem = networkFileSystem
	}
	if kind := fileSystem(filepath.Dir(file)); kind != "" {
		return usagef("database sqlite:%s: it is on a network file system (%s), whose locks SQLite cannot rely on: "+
			"use a local folder, or PostgreSQL", file, kind)
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if s.db, err = sql.Open("sqlite", "file:"+(&url.URL{Path: filepath.ToSlash(file)}).EscapedPath()+
		sqliteOptions); err != nil {
		return err
	}
	s.db.SetMaxOpenConns(1)
	s.driver = riversqlite.New(s.db)
	return nil
}

func (s *Store) openPostgres(ctx context.Context, address string, password func() (string, error)) error {
	c, err := pgxpool.ParseConfig(address)
	if err != nil {
		return usagef("database: %s", withoutAddress(err))
	}
	s.name = fmt.Sprintf("postgres://%s@%s:%d/%s", c.ConnConfig.User, c.ConnConfig.Host, c.ConnConfig.Port,
		c.ConnConfig.Database)
	if password != nil {
		if c.ConnConfig.Password, err = password(); err != nil {
			return err
		}
	}
	if c.ConnConfig.ConnectTimeout == 0 {
		c.ConnConfig.ConnectTimeout = 10 * time.Second
	}
	c.ConnConfig.RuntimeParams["application_name"] = "moncap"
	// A connection that is asked whether it lives costs a round trip. What went wrong on a dead one is
	// tried again.
	c.ShouldPing = func(_ context.Context, p pgxpool.ShouldPingParams) bool { return p.IdleDuration > time.Minute }
	// A worker that is frozen, or whose machine is gone, in the middle of a transaction would keep
	// what it locked from all others for as long as the server takes the connection for alive, which
	// may be hours.
	c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, fmt.Sprintf("SET idle_in_transaction_session_timeout = %d", s.lease.Milliseconds()/2))
		return err
	}
	if s.pool, err = pgxpool.NewWithConfig(ctx, c); err != nil {
		return err
	}
	s.db = stdlib.OpenDBFromPool(s.pool)
	s.driver = riverdatabasesql.NewWithPgxListener(s.db, s.pool)
	return s.db.PingContext(ctx)
}

// withoutAddress is an error of parsing an address without the address.
func withoutAddress(err error) string {
	if inner := errors.Unwrap(err); inner != nil {
		return inner.Error()
	}
	return "the address cannot be read"
}

// exists says whether a file is there.
func exists(file string) bool {
	_, err := os.Lstat(file)
	return !errors.Is(err, fs.ErrNotExist)
}
