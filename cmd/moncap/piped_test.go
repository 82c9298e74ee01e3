package main

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// once is what can be opened but once, and counts how often it was closed.
type once struct {
	io.Reader
	opened, closed int
}

func (o *once) open() (io.ReadCloser, error) {
	if o.opened++; o.opened > 1 {
		return nil, errors.New("opened twice")
	}
	return o, nil
}

func (o *once) Close() error {
	o.closed++
	return nil
}

// A pipe can be read again from its beginning, also when the first reader stopped half way.
func TestPipesAreReadAgain(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789abc"), pipedBlock/5) // no whole number of blocks
	for _, first := range []int{0, 1, pipedBlock - 1, pipedBlock, pipedBlock + 1, len(want)} {
		o := &once{Reader: iotest.HalfReader(bytes.NewReader(want))}
		p := &piped{name: "pipe", open: o.open, most: int64(len(want))}
		r, err := p.reader()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, first)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if r, err = p.reader(); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(r); err != nil || !slices.Equal(got, want) {
				t.Errorf("after %d bytes: %d bytes are read again, want %d; %v", first, len(got), len(want), err)
			}
		}
		if o.closed != 1 {
			t.Errorf("after %d bytes: closed %d times", first, o.closed)
		}
	}
}

// What is too large to be kept is read once, whole, and then said to be gone.
func TestLargePipesAreReadOnce(t *testing.T) {
	o := &once{Reader: strings.NewReader("four")}
	p := &piped{name: "pipe", open: o.open, most: 3}
	r, err := p.reader()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != "four" {
		t.Errorf("read %q, %v", got, err)
	}
	if _, err := p.reader(); err == nil || !strings.Contains(err.Error(), "pipe: it can be read once") || len(p.kept) > 0 {
		t.Errorf("opened again: %v; %d blocks are kept", err, len(p.kept))
	}
}

// An error of reading is that of everybody who reads.
func TestPipesBreak(t *testing.T) {
	broken := errors.New("broken")
	o := &once{Reader: io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken))}
	p := &piped{name: "pipe", open: o.open, most: 100}
	for range 2 {
		r, err := p.reader()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); string(got) != "half" || !errors.Is(err, broken) {
			t.Errorf("read %q, %v", got, err)
		}
	}
}
