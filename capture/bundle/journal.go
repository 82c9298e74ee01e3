package bundle

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// State says how far a change on a router went.
type State string

// The states of a change, in the order in which they are written.
const (
	Intent State = "intent" // it is about to be made; from here on it may be there
	Made   State = "made"   // the router confirmed it
	Void   State = "void"   // it was not made
	Gone   State = "gone"   // it was undone
)

// Entry is one line of the journal. It names a thing on a router by kind and name, never by commands: what undoes it
// is made anew from them, so that a journal from elsewhere cannot command a router.
type Entry struct {
	Seq   int       `json:"seq"`
	Time  time.Time `json:"time"`
	Side  Side      `json:"side"`
	Peer  string    `json:"peer"`
	Kind  string    `json:"kind"`
	Name  string    `json:"name"`
	State State     `json:"state"`
	Note  string    `json:"note,omitempty"`
}

const maxEntry = 64 << 10

// Record writes e to the journal and returns when it is on the disk. It numbers the entry; the time is the caller's.
func (b *Bundle) Record(e Entry) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.openJournal(); err != nil {
		return b.fail(journalFile, err)
	}
	e.Seq = b.seq + 1
	line, err := json.Marshal(e)
	if err != nil {
		return b.fail(journalFile, err)
	}
	if _, err := b.journal.Write(append(line, '\n')); err != nil {
		return b.fail(journalFile, err)
	}
	if err := b.journal.Sync(); err != nil {
		return b.fail(journalFile, err)
	}
	b.seq = e.Seq
	return nil
}

// openJournal also ends a line that a crash left unfinished, so that the next one is not part of it.
func (b *Bundle) openJournal() error {
	if b.journal != nil {
		return nil
	}
	if b.lock == nil {
		return errors.New("the bundle is open for reading only")
	}
	f, err := b.root.OpenFile(journalFile, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxRun))
	if err == nil && len(data) > 0 && data[len(data)-1] != '\n' {
		_, err = f.Write([]byte("\n"))
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if entries, _ := ReadJournal(bytes.NewReader(data)); len(entries) > 0 {
		b.seq = entries[len(entries)-1].Seq
	}
	b.journal = f
	return nil
}

// Journal reads the journal. No journal means that nothing was ever changed.
func (b *Bundle) Journal() ([]Entry, error) {
	f, err := b.root.Open(journalFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, b.fail(journalFile, err)
	}
	defer f.Close()
	entries, err := ReadJournal(io.LimitReader(f, maxRun))
	if err != nil {
		return entries, b.fail(journalFile, err)
	}
	return entries, nil
}

// ReadJournal reads journal lines. A line that a crash cut short is skipped: what it was to announce was not done,
// because every line is on the disk before the change that it announces. Any other line that is not an entry is an
// error, given together with the entries that could be read.
func ReadJournal(r io.Reader) ([]Entry, error) {
	var entries []Entry
	var errs []error
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 4096), maxEntry)
	for n := 1; s.Scan(); n++ {
		e, err := decodeEntry(s.Bytes())
		switch {
		case err == nil:
			entries = append(entries, e)
		case !tornLine(err) && len(errs) < 10:
			errs = append(errs, fmt.Errorf("line %d: %w", n, err))
		}
	}
	if err := s.Err(); err != nil {
		errs = append(errs, err)
	}
	return entries, errors.Join(errs...)
}

// errBlank is a line without anything on it; the reader skips it like a torn one.
var errBlank = errors.New("blank line")

func decodeEntry(line []byte) (Entry, error) {
	var e Entry
	line = bytes.TrimSpace(line)
	if len(line) == 0 {
		return e, errBlank
	}
	if err := json.Unmarshal(line, &e); err != nil {
		return e, err
	}
	if _, err := e.Side.folder(); err != nil {
		return e, err
	}
	switch e.State {
	case Intent, Made, Void, Gone:
		return e, nil
	}
	return e, fmt.Errorf("state %q: want intent, made, void or gone", e.State)
}

func tornLine(err error) bool {
	var syntax *json.SyntaxError
	return errors.Is(err, errBlank) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.As(err, &syntax) && syntax.Error() == "unexpected end of JSON input"
}

// Change is a thing on a router with the last state that the journal has of it.
type Change struct {
	Side  Side
	Peer  string
	Kind  string
	Name  string
	State State
}

// OpenChanges returns the changes that may still be on a router, in the order in which they were begun.
func OpenChanges(entries []Entry) []Change {
	type key struct {
		side       Side
		kind, name string
	}
	last := map[key]int{}
	var changes []Change
	for _, e := range entries {
		k := key{e.Side, e.Kind, e.Name}
		i, known := last[k]
		if !known || changes[i].State == Gone || changes[i].State == Void {
			last[k] = len(changes)
			changes = append(changes, Change{e.Side, e.Peer, e.Kind, e.Name, e.State})
			continue
		}
		changes[i].State = e.State
	}
	var open []Change
	for _, c := range changes {
		if c.State == Intent || c.State == Made {
			open = append(open, c)
		}
	}
	return open
}
