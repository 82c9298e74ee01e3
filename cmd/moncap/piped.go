package main

import (
	"fmt"
	"io"
	"sync"
)

// mostKept bounds what is kept of a capture that is read from a pipe. There is one stdin, and there
// may be two others.
const (
	mostKept        = 256 << 20
	mostKeptOfStdin = 1 << 30
)

// piped is a capture that can be read but once, as a FIFO: what was read of it is kept for who
// needs it again, as one file with both sides and a report in pcapng do. Of one that is larger than
// most bytes nothing is kept, and it is read once.
type piped struct {
	name string
	open func() (io.ReadCloser, error)
	most int64

	mu     sync.Mutex
	from   io.ReadCloser // nil until it is opened
	kept   [][]byte      // blocks, all of them full but the last
	n      int64         // what was read of it
	tooBig bool
	end    error
}

const pipedBlock = 64 << 10

// reader reads the capture from its beginning.
func (p *piped) reader() (io.ReadCloser, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tooBig {
		return nil, &hinted{fmt.Errorf("%s: it can be read once, and would have to be read again", p.name),
			"write it to a file first, and name that"}
	}
	if p.from == nil {
		from, err := p.open()
		if err != nil {
			return nil, err
		}
		p.from = from
	}
	return io.NopCloser(&pipedReader{p: p}), nil
}

type pipedReader struct {
	p  *piped
	at int64
}

func (r *pipedReader) Read(b []byte) (int, error) {
	p := r.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(b) == 0 {
		return 0, nil
	}
	n, err := 0, error(nil)
	switch {
	case r.at < p.n && p.tooBig:
		return 0, fmt.Errorf("%s: it can be read once", p.name)
	case r.at < p.n:
		n = copy(b, p.kept[r.at/pipedBlock][r.at%pipedBlock:])
	case p.end != nil:
		return 0, p.end
	default:
		n, err = p.from.Read(b)
		p.keep(b[:n])
		if err != nil {
			p.end = err
			_ = p.from.Close() // it was only read
		}
	}
	r.at += int64(n)
	return n, err
}

// keep keeps what was read next.
func (p *piped) keep(b []byte) {
	p.n += int64(len(b))
	if p.tooBig = p.tooBig || p.n > p.most; p.tooBig {
		p.kept = nil
		return
	}
	for len(b) > 0 {
		if k := len(p.kept); k == 0 || len(p.kept[k-1]) == pipedBlock {
			p.kept = append(p.kept, make([]byte, 0, pipedBlock))
		}
		last := &p.kept[len(p.kept)-1]
		n := min(len(b), pipedBlock-len(*last))
		*last, b = append(*last, b[:n]...), b[n:]
	}
}
