package packet

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"sync"
)

const (
	bufferSize = 256 << 10
	// maxRecord bounds what a record may claim to hold before anything is allocated: Wireshark's own
	// limit. The longest IP packet has 64 KB, the longest that IOS XE captures 9500 bytes.
	maxRecord = 256 << 10
)

// source reads ahead and hands out slices of its buffer, so that records need no copy.
type source struct {
	r          io.Reader
	buf        []byte
	start, end int
	base       int64 // offset in the stream of buf[0]
	err        error // of r; comes out when the buffer is used up
}

func newSource(r io.Reader) *source { return &source{r: r, buf: make([]byte, bufferSize)} }

// offset is where the next byte stands in the (unpacked) stream.
func (s *source) offset() int64 { return s.base + int64(s.start) }

// peek returns the next n bytes without consuming them; they are valid until the next call. With
// fewer left it returns those and io.ErrUnexpectedEOF, with none io.EOF. n must have been checked
// against a limit.
func (s *source) peek(n int) ([]byte, error) {
	if s.end-s.start >= n {
		return s.buf[s.start : s.start+n], nil
	}
	return s.fill(n)
}

func (s *source) fill(n int) ([]byte, error) {
	s.makeRoom(n)
	for empty := 0; s.end-s.start < n && s.err == nil; {
		var got int
		got, s.err = s.r.Read(s.buf[s.end:])
		s.end += got
		if empty++; got > 0 {
			empty = 0
		}
		if empty == 100 && s.err == nil {
			s.err = io.ErrNoProgress
		}
	}
	if s.end-s.start >= n {
		return s.buf[s.start : s.start+n], nil
	}
	rest := s.buf[s.start:s.end]
	if s.err == io.EOF && len(rest) > 0 {
		return rest, io.ErrUnexpectedEOF
	}
	return rest, s.err
}

// makeRoom moves what is left to the front, into a larger buffer where n needs one.
func (s *source) makeRoom(n int) {
	buf := s.buf
	if n > len(buf) {
		buf = make([]byte, n)
	}
	left := copy(buf, s.buf[s.start:s.end])
	s.base += int64(s.start)
	s.buf, s.start, s.end = buf, 0, left
}

// skip consumes n bytes that peek returned.
func (s *source) skip(n int) { s.start += n }

// discard consumes n bytes, however many.
func (s *source) discard(n int64) error {
	for n > 0 {
		step := int(min(n, bufferSize))
		if _, err := s.peek(step); err == io.EOF {
			return io.ErrUnexpectedEOF
		} else if err != nil {
			return err
		}
		s.skip(step)
		n -= int64(step)
	}
	return nil
}

// Read makes a source a stream again, for the reader of texts.
func (s *source) Read(p []byte) (int, error) {
	if s.start == s.end {
		if b, err := s.peek(1); len(b) == 0 {
			return 0, err
		}
	}
	n := copy(p, s.buf[s.start:s.end])
	s.skip(n)
	return n, nil
}

// disk is the file as it lies on disk: it computes its hash, and remembers an error of the medium,
// which is not damage of the file.
type disk struct {
	r   io.Reader
	sum *fileHash // nil for none
	err error
}

func (d *disk) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	if d.sum != nil {
		d.sum.write(p[:n])
	}
	if err != nil && err != io.EOF {
		d.err = err
	}
	return n, err
}

// fileHash computes a SHA-256 beside the decoding, which takes about as long: while the packets of
// one piece of the file are decoded, a goroutine hashes a copy of it. The next piece waits for it;
// it never waits for anybody itself.
type fileHash struct {
	hash  hash.Hash
	piece []byte
	busy  sync.WaitGroup
	work  func() // made once, so that starting it allocates nothing
}

func newFileHash() *fileHash {
	f := &fileHash{hash: sha256.New()}
	f.work = func() {
		defer f.busy.Done()
		f.hash.Write(f.piece)
	}
	return f
}

// worthIt is the size in bytes from which a goroutine costs less than it saves.
const worthIt = 32 << 10

func (f *fileHash) write(p []byte) {
	f.busy.Wait()
	if len(p) < worthIt {
		f.hash.Write(p)
		return
	}
	f.piece = append(f.piece[:0], p...)
	f.busy.Add(1)
	go f.work()
}

// hex returns the hash of all that was written.
func (f *fileHash) hex() string {
	f.busy.Wait()
	return hex.EncodeToString(f.hash.Sum(nil))
}
