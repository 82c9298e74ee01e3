//go:build unix

package fleet

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// server is a PostgreSQL of the tests' own, on loopback.
type server struct {
	dir, bin string
	port     int
	as       *syscall.Credential // nil: as we are
	pid      int
}

// sharedServer serves all tests that do not harm it.
var sharedServer = sync.OnceValues(func() (*server, error) { return newServer() })

var databases struct {
	sync.Mutex
	n int
}

// eachDatabase does a test on SQLite and on PostgreSQL.
func eachDatabase(t *testing.T, f func(t *testing.T, url string)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		f(t, "sqlite:"+filepath.Join(t.TempDir(), "moncap.db"))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		f(t, postgresDatabase(t))
	})
}

// postgresDatabase makes an empty database.
func postgresDatabase(t *testing.T) string {
	t.Helper()
	s, err := sharedServer()
	return s.database(t, err)
}

// ownServer is a PostgreSQL that a test may harm.
func ownServer(t *testing.T) *server {
	t.Helper()
	s, err := newServer()
	if err == nil {
		t.Cleanup(func() { s.stop() })
	}
	needed(t, err)
	return s
}

func needed(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, errNoPostgres) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (s *server) database(t *testing.T, err error) string {
	t.Helper()
	needed(t, err)
	databases.Lock()
	databases.n++
	name := fmt.Sprintf("t%d", databases.n)
	databases.Unlock()
	db, err := sql.Open("pgx", s.url("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return s.url(name)
}

func (s *server) url(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", s.port, database)
}

var errNoPostgres = errors.New("there is no PostgreSQL here (Debian: postgresql)")

func newServer() (*server, error) {
	s := &server{}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return nil, err
	}
	if len(found) > 0 {
		slices.Sort(found)
		s.bin = filepath.Dir(found[len(found)-1])
	} else if p, err := exec.LookPath("initdb"); err == nil {
		s.bin = filepath.Dir(p)
	} else {
		return nil, errNoPostgres
	}
	if s.dir, err = os.MkdirTemp("", "moncap-postgres-"); err != nil {
		return nil, err
	}
	if os.Getuid() == 0 { // PostgreSQL refuses to run as root
		if err := s.drop(); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.port = l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return nil, err
	}
	if err := s.do("initdb", "-D", s.data(), "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8",
		"--locale=C"); err != nil {
		return nil, err
	}
	return s, s.start()
}

func (s *server) data() string { return filepath.Join(s.dir, "data") }

// drop finds the account of PostgreSQL.
func (s *server) drop() error {
	u, err := user.Lookup("postgres")
	if err != nil {
		return err
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	s.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)} // #nosec G115 -- ids are small
	return errors.Join(err1, err2, os.Chown(s.dir, uid, gid))
}

func (s *server) do(program string, args ...string) error {
	c := exec.CommandContext(context.Background(), filepath.Join(s.bin, program), args...)
	c.Dir, c.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: s.as}
	c.Env = append(os.Environ(), "LC_ALL=C")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", program, err, out)
	}
	return nil
}

func (s *server) start() error {
	options := fmt.Sprintf("-c listen_addresses=127.0.0.1 -p %d -c unix_socket_directories= -c fsync=off -c "+
		"max_connections=200", s.port)
	err := s.do("pg_ctl", "-D", s.data(), "-l", filepath.Join(s.dir, "log"), "-o", options, "-w", "start")
	for range 20 { // while it was down, a connection of somebody's may have begun from its port
		if err == nil {
			break
		}
		time.Sleep(500 * time.Millisecond)
		err = s.do("pg_ctl", "-D", s.data(), "-l", filepath.Join(s.dir, "log"), "-o", options, "-w", "start")
	}
	if err != nil {
		said, _ := os.ReadFile(filepath.Join(s.dir, "log"))
		return fmt.Errorf("%w\n%s", err, said[max(0, len(said)-2000):])
	}
	b, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(b), "\n")
	s.pid, err = strconv.Atoi(first)
	return err
}

// halt ends the server at once, as a loss of power does.
func (s *server) halt() error {
	return s.do("pg_ctl", "-D", s.data(), "-m", "immediate", "-w", "stop")
}

// signal sends a signal to the server and to all of its processes.
func (s *server) signal(sig syscall.Signal) {
	out, err := exec.CommandContext(context.Background(), "pgrep", "-P", strconv.Itoa(s.pid)).Output()
	if err == nil {
		for child := range strings.FieldsSeq(string(out)) {
			if pid, err := strconv.Atoi(child); err == nil {
				_ = syscall.Kill(pid, sig) // it may have ended by itself
			}
		}
	}
	_ = syscall.Kill(s.pid, sig)
}

func (s *server) stop() {
	_ = s.halt()
	for range 20 {
		if os.RemoveAll(s.dir) == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}
