package inventory

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// ErrIrregular marks a file that is none that can be read to its end: a FIFO, a device,
// a socket, a folder.
var ErrIrregular = errors.New("it is no regular file")

// ErrTooLarge marks a file that is larger than what it should hold.
var ErrTooLarge = errors.New("the file is too large")

// ReadRegular reads a whole file that a configuration names, of most bytes at most, when trust
// (nil: whatever it is) says nothing against it. It waits for nobody: of a FIFO, or a device, it is
// an error. The error is an *fs.PathError.
func ReadRegular(path string, most int64, trust func(fs.FileInfo) error) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|noWait, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = ErrIrregular
	}
	if err == nil && trust != nil {
		err = trust(info)
	}
	var b []byte
	if err == nil {
		b, err = io.ReadAll(io.LimitReader(f, most+1)) // its size may be said wrong
	}
	if err == nil && int64(len(b)) > most {
		b, err = nil, fmt.Errorf("%w: it has more than %d bytes", ErrTooLarge, most)
	}
	if _, told := errors.AsType[*fs.PathError](err); err != nil && !told {
		err = &fs.PathError{Op: "read", Path: path, Err: err}
	}
	return b, err
}
