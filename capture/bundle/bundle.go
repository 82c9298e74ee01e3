// Package bundle is the folder that a run leaves: two captures, what was sent and answered, what
// was observed, and a journal with which an interrupted run can be cleaned up. Mailing one folder
// reproduces a case.
//
// Everything goes through os.Root, so that no name from a router leads out of the folder. The
// folder is 0700, its files are 0600.
package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"
)

// The files of a bundle, beside what each side has in its own folder.
const (
	runFile     = "run.json"
	journalFile = "journal.jsonl"
	lockFile    = ".lock"
	stopFile    = "stop"
	// ReportJSON is the report of package analysis.
	ReportJSON = "report.json"
	// ReportText is the report for reading.
	ReportText = "report.txt"
)

const (
	maxRun    = 64 << 20
	maxOutput = 256 << 20
)

// AskStop asks the process that has the bundle of an armed run to end its captures
// and to fetch them.
func AskStop(dir string) error {
	b, err := Open(dir)
	if err != nil {
		return err
	}
	f, err := b.root.OpenFile(stopFile, os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		err = f.Close()
	}
	return errors.Join(err, b.Close())
}

// StopAsked says whether somebody did.
func (b *Bundle) StopAsked() bool { return b.exists(stopFile) }

// ErrLocked says that another process works on the bundle.
var ErrLocked = errors.New("another moncap works on it")

// Bundle is an open bundle. Its methods may be called from several goroutines.
type Bundle struct {
	dir     string
	root    *os.Root
	lock    io.Closer // nil: opened for reading
	mu      sync.Mutex
	journal *os.File
	seq     int
}

// Create makes the folder dir, which must not exist or be empty, and locks it.
func Create(dir string) (*Bundle, error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	if err := wantEmpty(dir); err != nil {
		return nil, err
	}
	// #nosec G302 -- it is a folder
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	b, err := open(dir, true)
	if err != nil {
		return nil, err
	}
	for _, d := range folders {
		if err := b.root.Mkdir(d, 0o700); err != nil {
			return nil, errors.Join(b.fail(d, err), b.Close())
		}
	}
	if err := syncParent(dir); err != nil {
		return nil, errors.Join(b.fail("the folder", err), b.Close())
	}
	return b, nil
}

// syncParent puts the name of the new folder on the disk, without which all that is in it could not
// be found again.
func syncParent(dir string) error {
	f, err := os.Open(filepath.Dir(dir))
	if err != nil {
		return err
	}
	return errors.Join(syncFolder(f), f.Close())
}

func wantEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("bundle %s: the folder is not empty; name another with --out", dir)
	}
	return nil
}

// ErrNothingBegun says that a folder was made for a run that ended before it wrote anything: no
// router was touched.
var ErrNothingBegun = errors.New("nothing was begun")

// ErrNoRun says that a folder has a journal, but not the run.json that says what the run was.
var ErrNoRun = errors.New("it has a journal and no run.json")

// Open opens a bundle for reading. It takes no lock, so the bundle of a run that goes on can be
// looked at.
func Open(dir string) (*Bundle, error) { return openExisting(dir, false) }

// Resume opens a bundle to go on with its run. The error wraps ErrLocked while
// another process has it.
func Resume(dir string) (*Bundle, error) { return openExisting(dir, true) }

func openExisting(dir string, write bool) (*Bundle, error) {
	// Looked at first without a lock, whose file would make a bundle of any folder.
	b, err := open(dir, false)
	if err != nil {
		return nil, err
	}
	switch {
	case b.exists(runFile) && write:
		return b.goOn()
	case b.exists(runFile):
		return b, nil
	case b.exists(journalFile):
		err = ErrNoRun
	case b.exists(lockFile):
		err = ErrNothingBegun
	default:
		err = fmt.Errorf("it has no %s, so it is no bundle", runFile)
	}
	return nil, errors.Join(fmt.Errorf("bundle %s: %w", dir, err), b.Close())
}

// goOn locks a bundle that is open for reading, and makes again what it lacks of its folders: a
// lost folder must not keep a run from being undone.
func (b *Bundle) goOn() (*Bundle, error) {
	lock, err := takeLock(b.root, b.dir, lockFile)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("bundle %s: %w", b.dir, err), b.Close())
	}
	b.lock = lock
	for _, d := range folders {
		_ = b.root.Mkdir(d, 0o700) // what cannot be written there is said then
	}
	return b, nil
}

// folders hold what each side has of its own.
var folders = []string{"a", "a/show", "b", "b/show"}

func open(dir string, write bool) (*Bundle, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	b := &Bundle{dir: dir, root: root}
	if !write {
		return b, nil
	}
	if b.lock, err = takeLock(root, dir, lockFile); err != nil {
		return nil, errors.Join(fmt.Errorf("bundle %s: %w", dir, err), root.Close())
	}
	return b, nil
}

// Lock takes a lock that is a file of a folder, for what only one process may do at a time. The
// system gives it back when the process ends, however it does. The error wraps ErrLocked while
// another process has it; Close gives it back.
func Lock(dir, name string) (io.Closer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	l, err := takeLock(root, dir, name)
	return l, errors.Join(err, root.Close())
}

// Close gives the bundle up. It may be called twice.
func (b *Bundle) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var errs []error
	if b.journal != nil {
		errs = append(errs, b.journal.Close())
		b.journal = nil
	}
	if b.lock != nil {
		errs = append(errs, b.lock.Close())
		b.lock = nil
	}
	if b.root != nil {
		errs = append(errs, b.root.Close())
		b.root = nil
	}
	return errors.Join(errs...)
}

// Dir returns the folder.
func (b *Bundle) Dir() string { return b.dir }

// Path returns where the file name of the bundle is, for messages and for packages that open files
// by name.
func (b *Bundle) Path(name string) string { return filepath.Join(b.dir, filepath.FromSlash(name)) }

func (b *Bundle) fail(name string, err error) error {
	return fmt.Errorf("bundle %s: %s: %w", b.dir, name, err)
}

// SaveRun replaces run.json as a whole.
func (b *Bundle) SaveRun(r *Run) error {
	r.Schema = Schema
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return b.fail(runFile, err)
	}
	return b.WriteFile(runFile, append(data, '\n'))
}

// Run reads run.json.
func (b *Bundle) Run() (*Run, error) {
	data, err := b.read(runFile, maxRun)
	if err != nil {
		return nil, err
	}
	r, err := decodeRun(data)
	if err != nil {
		return nil, fmt.Errorf("bundle %s: %w", b.dir, err)
	}
	return r, nil
}

// WriteFile writes a file of the bundle, report.json for one. It appears under its name only when
// it is whole.
func (b *Bundle) WriteFile(name string, data []byte) error {
	f, err := b.create(name)
	if err != nil {
		return err
	}
	f.volatile = name != runFile // without run.json nothing could be cleaned up; the rest can be lost with the power
	if _, err := f.Write(data); err != nil {
		return errors.Join(b.fail(name, err), f.Abort())
	}
	return f.Commit()
}

// errSpecial says that something of a bundle's file name is no file: it may lead elsewhere, or
// never end.
var errSpecial = errors.New("it is no regular file")

// openRegular opens a file of the bundle, and nothing else: not through a link, not a pipe that
// nobody writes to.
func (b *Bundle) openRegular(name string, flag int) (*os.File, error) {
	if info, err := b.root.Lstat(name); err == nil && !info.Mode().IsRegular() {
		return nil, errSpecial
	}
	f, err := b.root.OpenFile(name, flag|noWait, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errSpecial
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// exists says whether the folder has something of that name, whatever it is.
func (b *Bundle) exists(name string) bool {
	_, err := b.root.Lstat(name)
	return !errors.Is(err, fs.ErrNotExist)
}

// syncFolder puts the names of the bundle's files on the disk: without it a file that was synced
// may have none after the power was lost.
func (b *Bundle) syncFolder() error {
	f, err := b.root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(syncFolder(f), f.Close())
}

func (b *Bundle) read(name string, limit int64) ([]byte, error) {
	f, err := b.openRegular(name, os.O_RDONLY)
	if err != nil {
		return nil, b.fail(name, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, b.fail(name, err)
	}
	if int64(len(data)) > limit {
		return nil, b.fail(name, fmt.Errorf("longer than %d MB", limit>>20))
	}
	return data, nil
}

// Partial is a file that is being written. It has a temporary name until Commit.
type Partial struct {
	b        *Bundle
	f        *os.File
	name     string
	volatile bool // it need not be on the disk when it appears
}

func (b *Bundle) create(name string) (*Partial, error) {
	f, err := b.root.OpenFile(temporary(name), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, b.fail(name, err)
	}
	return &Partial{b: b, f: f, name: name}, nil
}

func temporary(name string) string { return path.Join(path.Dir(name), "."+path.Base(name)+".part") }

// Write writes to the temporary file.
func (p *Partial) Write(data []byte) (int, error) { return p.f.Write(data) }

// Restart throws away what was written so far.
func (p *Partial) Restart() error {
	if err := p.f.Truncate(0); err != nil {
		return p.b.fail(p.name, err)
	}
	if _, err := p.f.Seek(0, io.SeekStart); err != nil {
		return p.b.fail(p.name, err)
	}
	return nil
}

// Commit makes the file appear under its name, whole; a capture file and run.json after they are on
// the disk.
func (p *Partial) Commit() error {
	var err error
	if !p.volatile {
		err = p.f.Sync()
	}
	if err := errors.Join(err, p.f.Close()); err != nil {
		return errors.Join(p.b.fail(p.name, err), p.b.root.Remove(temporary(p.name)))
	}
	if err := p.b.root.Rename(temporary(p.name), p.name); err != nil {
		return p.b.fail(p.name, err)
	}
	if !p.volatile {
		if err := p.b.syncFolder(); err != nil {
			return p.b.fail(p.name, err)
		}
	}
	return nil
}

// Abort removes what was written.
func (p *Partial) Abort() error {
	return errors.Join(p.f.Close(), p.b.root.Remove(temporary(p.name)))
}
