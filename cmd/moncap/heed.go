package main

import (
	"context"
	"io"
	"os"
)

// heeded reads what may make its reader wait for as long as somebody else likes: a FIFO, which
// waits for a writer already where it is opened, or stdin. When the command's context ends, so does
// the waiting, with the reason.
type heeded struct {
	ctx    context.Context
	cancel context.CancelFunc // ends what reads ahead, where it does not wait
	blocks chan heededBlock
	rest   []byte
	end    error  // behind rest
	waits  func() // is called on the reader's goroutine before it waits; nil: nobody wants to know
}

type heededBlock struct {
	b   []byte
	end error
}

// heed begins to read from what open returns. What reads ahead is let go when it waits while the
// context ends: nothing wakes it from the opening of a FIFO, and the program ends soon.
func heed(ctx context.Context, open func() (io.ReadCloser, error)) io.ReadCloser {
	ctx, cancel := context.WithCancel(ctx)
	h := &heeded{ctx: ctx, cancel: cancel, blocks: make(chan heededBlock, 1)}
	go h.ahead(open)
	return h
}

func (h *heeded) ahead(open func() (io.ReadCloser, error)) {
	from, err := open()
	if err == nil {
		defer from.Close()
	}
	for err == nil {
		n, b := 0, make([]byte, pipedBlock)
		n, err = from.Read(b)
		select {
		case h.blocks <- heededBlock{b[:n], err}:
		case <-h.ctx.Done():
			return
		}
	}
	select {
	case h.blocks <- heededBlock{nil, err}: // also of a file that could not be opened
	case <-h.ctx.Done():
	}
}

func (h *heeded) Read(b []byte) (int, error) {
	for len(h.rest) == 0 {
		if h.end != nil {
			return 0, h.end
		}
		if h.waits != nil && len(h.blocks) == 0 {
			h.waits()
		}
		select {
		case next := <-h.blocks:
			h.rest, h.end = next.b, next.end
		case <-h.ctx.Done():
			return 0, context.Cause(h.ctx)
		}
	}
	n := copy(b, h.rest)
	h.rest = h.rest[n:]
	return n, nil
}

func (h *heeded) Close() error {
	h.cancel()
	return nil
}

// heedStdin reads stdin, and hears the end of ctx while nobody writes there.
func (a *app) heedStdin(ctx context.Context) io.ReadCloser {
	return heed(ctx, func() (io.ReadCloser, error) { return io.NopCloser(a.stdin), nil })
}

// heedFile opens a file; of one that is none on a disk, the end of ctx is heard while it waits.
func heedFile(ctx context.Context, path string, info os.FileInfo) (io.ReadCloser, error) {
	open := openFile(path)
	if info.Mode().IsRegular() {
		return open()
	}
	return heed(ctx, open), nil
}
