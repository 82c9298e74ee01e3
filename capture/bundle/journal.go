package bundle

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/moncap/moncap/internal/lazyregexp"
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

// Entry is one line of the journal. It names a thing on a router by kind and name, never by
// commands: what undoes it is made anew from them, so that a journal from elsewhere cannot command
// a router.
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

// Record writes e to the journal and returns when it is on the disk. It numbers the entry; the time
// is the caller's.
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
	if err := b.append(seal(line)); err != nil {
		// Part of the line may be there. Opened again, the journal ends it before the next.
		err = errors.Join(err, b.journal.Close())
		b.journal = nil
		return b.fail(journalFile, err)
	}
	b.seq = e.Seq
	return nil
}

func (b *Bundle) append(line []byte) error {
	if _, err := b.journal.Write(append(line, '\n')); err != nil {
		return err
	}
	return b.journal.Sync()
}

// seal adds a checksum of all that stands before it to an entry's JSON object, as its last key.
func seal(line []byte) []byte {
	body := line[:len(line)-1]
	return fmt.Appendf(body, `,"crc32":"%08x"}`, crc32.ChecksumIEEE(body))
}

var sealed = lazyregexp.New(`,"crc32":"([0-9a-f]{8})"}$`)

// unseal says whether a line has a checksum, and whether it is right.
func unseal(line []byte) (has, right bool) {
	m := sealed.Get().FindSubmatchIndex(line)
	if m == nil {
		return false, false
	}
	return true, fmt.Sprintf("%08x", crc32.ChecksumIEEE(line[:m[0]])) == string(line[m[2]:m[3]])
}

// openJournal also ends a line that a crash left unfinished, so that the next one
// is not part of it.
func (b *Bundle) openJournal() error {
	if b.journal != nil {
		return nil
	}
	if b.lock == nil {
		return errors.New("the bundle is open for reading only")
	}
	fresh := !b.exists(journalFile)
	f, err := b.openRegular(journalFile, os.O_RDWR|os.O_CREATE|os.O_APPEND)
	if err != nil {
		return err
	}
	if fresh {
		if err := b.syncFolder(); err != nil {
			return errors.Join(err, f.Close())
		}
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

// Journal reads the journal. The error says what is damaged, and comes with the entries that could
// be read. There is no journal, and no error, when nothing was ever changed, or when it was lost:
// JournalDigest tells.
func (b *Bundle) Journal() ([]Entry, error) {
	data, err := b.read(journalFile, maxRun)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	entries, err := ReadJournal(bytes.NewReader(data))
	if err != nil {
		return entries, b.fail(journalFile, err)
	}
	return entries, nil
}

// JournalDigest returns the SHA-256 of the journal in hexadecimal, and whether there is one.
func (b *Bundle) JournalDigest() (digest string, exists bool, err error) {
	data, err := b.read(journalFile, maxRun)
	if exists = !errors.Is(err, fs.ErrNotExist); err != nil && exists {
		return "", exists, err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), exists, nil
}

// ReadJournal reads journal lines. Every line that is not what was written is an error,
// given together with the entries that could be read: one that a crash cut short, one with
// another checksum, one that is missing between two others. Journals of before there were
// checksums have none.
func ReadJournal(r io.Reader) ([]Entry, error) {
	j := journalReader{}
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 4096), maxEntry)
	for n := 1; s.Scan(); n++ {
		if err := j.line(s.Bytes()); err != nil && len(j.errs) < 10 {
			j.errs = append(j.errs, fmt.Errorf("line %d: %w", n, err))
		}
	}
	if err := s.Err(); err != nil {
		j.errs = append(j.errs, err)
	}
	return j.entries, errors.Join(j.errs...)
}

type journalReader struct {
	entries []Entry
	errs    []error
	sealed  bool // a line before had a checksum
}

func (j *journalReader) line(line []byte) error {
	e, err := decodeEntry(line)
	has, right := unseal(line)
	switch {
	case has && !right:
		return errors.New("its checksum is another one")
	case err != nil:
		return err
	case j.sealed && !has:
		return errors.New("it has no checksum")
	}
	last := 0
	if n := len(j.entries); n > 0 {
		last = j.entries[n-1].Seq
	}
	j.sealed = j.sealed || has
	j.entries = append(j.entries, e)
	if e.Seq != last+1 {
		return fmt.Errorf("entry %d follows entry %d", e.Seq, last)
	}
	return nil
}

func decodeEntry(line []byte) (Entry, error) {
	var e Entry
	if err := json.Unmarshal(line, &e); err != nil {
		return e, fmt.Errorf("it is no entry: %w", err)
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

// Change is a thing on a router with the last state that the journal has of it.
type Change struct {
	Side  Side
	Peer  string
	Kind  string
	Name  string
	State State
}

// OpenChanges returns the changes that may still be on a router, in the order in
// which they were begun.
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
