package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// destination is where -o sends something. A regular file, or one that is not there yet, appears
// only when it is whole; a device, a FIFO or a socket is written through, and a link is followed.
type destination struct {
	file    string // the regular file, behind all links; "": path is written through
	path    string // as it was given
	mode    fs.FileMode
	through io.Writer // stdout or stderr, when that is meant
}

// newFileMode is that of what -o makes: reports name the operator's addresses.
const newFileMode fs.FileMode = 0o600

// destinationOf finds out what path is, and whether it can be written to. Nothing
// is made that stays.
func (a *app) destinationOf(path string) (destination, error) {
	switch {
	case path == "" || slices.Contains([]string{"-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"}, path):
		return destination{path: "stdout", through: a.stdout}, nil
	case slices.Contains([]string{"/dev/stderr", "/dev/fd/2", "/proc/self/fd/2"}, path):
		return destination{path: path, through: a.stderr}, nil
	}
	d := destination{path: path, mode: newFileMode}
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return d, fmt.Errorf("--output: %s is a folder; name a file in it", path)
	case err == nil && !info.Mode().IsRegular():
		return d, nil
	case err == nil:
		d.mode = info.Mode().Perm()
	case !errors.Is(err, fs.ErrNotExist):
		return d, fmt.Errorf("--output: %w", err)
	}
	if d.file, err = behindLinks(path); err != nil {
		return d, fmt.Errorf("--output: %w", err)
	}
	probe, err := d.temporary()
	if err != nil {
		return d, fmt.Errorf("--output: %s: no file can be made in its folder: %w", path, cause(err))
	}
	return d, errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// cause drops the name of a temporary file, which says nothing to anybody.
func cause(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// behindLinks follows links, also one to a file that is not there yet.
func behindLinks(path string) (string, error) {
	for range 40 { // as many as the kernel follows
		to, err := os.Readlink(path)
		if err != nil {
			return path, nil
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
	}
	return "", fmt.Errorf("%s: too many links", path)
}

func (d destination) temporary() (*os.File, error) {
	return os.CreateTemp(filepath.Dir(d.file), ".moncap-*")
}

// write has write fill the destination.
func (d destination) write(write func(io.Writer) error) error {
	switch {
	case d.through != nil:
		return write(d.through)
	case d.file == "":
		return d.writeThrough(write)
	}
	f, err := d.temporary()
	if err != nil {
		return fmt.Errorf("%s: %w", d.path, cause(err))
	}
	defer os.Remove(f.Name()) // of a file that was renamed, nothing is removed
	err = errors.Join(write(f), f.Chmod(d.mode), f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("%s: %w", d.path, err)
	}
	return os.Rename(f.Name(), d.file)
}

// writeThrough writes to what is there: it is neither made, nor cut short, nor replaced.
func (d destination) writeThrough(write func(io.Writer) error) error {
	f, err := os.OpenFile(d.path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		return fmt.Errorf("%s: %w", d.path, err)
	}
	return nil
}
