package bundle

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// CaptureFile returns the name of a side's capture in the bundle.
func CaptureFile(s Side) string {
	if s == B {
		return "b.pcap"
	}
	return "a.pcap"
}

// TranscriptFile returns the name of a side's transcript in the bundle.
func TranscriptFile(s Side) string {
	if s == B {
		return "b/transcript.log"
	}
	return "a/transcript.log"
}

// CreateCapture begins a side's capture file.
func (b *Bundle) CreateCapture(s Side) (*Partial, error) {
	if _, err := s.folder(); err != nil {
		return nil, err
	}
	return b.create(CaptureFile(s))
}

// Captures returns the paths of the capture files; the path of a side that has none is empty.
func (b *Bundle) Captures() (pathA, pathB string) { return b.capture(A), b.capture(B) }

func (b *Bundle) capture(s Side) string {
	info, err := b.root.Lstat(CaptureFile(s))
	if err != nil || !info.Mode().IsRegular() {
		return ""
	}
	return b.Path(CaptureFile(s))
}

// AppendTranscript opens a side's transcript, to write after what is there already.
func (b *Bundle) AppendTranscript(s Side) (*os.File, error) {
	if _, err := s.folder(); err != nil {
		return nil, err
	}
	f, err := b.openRegular(TranscriptFile(s), os.O_WRONLY|os.O_CREATE|os.O_APPEND)
	if err != nil {
		return nil, b.fail(TranscriptFile(s), err)
	}
	return f, nil
}

// Transcript reads what was said with a side's router. It is empty when nothing was.
func (b *Bundle) Transcript(s Side) (string, error) { return b.text(TranscriptFile(s)) }

func (b *Bundle) text(name string) (string, error) {
	data, err := b.read(name, maxOutput)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(data), err
}

// showName is what a command may be called, so that its output's file name is one.
var showName = lazyregexp.New(`^[a-z0-9][a-z0-9-]{0,63}$`)

// SaveShow saves the output of the command called name.
func (b *Bundle) SaveShow(s Side, name, output string) error {
	dir, err := s.folder()
	if err != nil {
		return err
	}
	if !showName.Get().MatchString(name) {
		return b.fail(name, errors.New("it cannot be a file's name"))
	}
	return b.WriteFile(path.Join(dir, "show", name+".txt"), []byte(output))
}

// Show reads everything that was observed on a side, by the names of the commands.
func (b *Bundle) Show(s Side) (map[string]string, error) {
	dir, err := s.folder()
	if err != nil {
		return nil, err
	}
	folder := path.Join(dir, "show")
	entries, err := fs.ReadDir(b.root.FS(), folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, b.fail(folder, err)
	}
	outputs := map[string]string{}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".txt")
		if !ok || !showName.Get().MatchString(name) {
			continue
		}
		if outputs[name], err = b.text(path.Join(folder, e.Name())); err != nil {
			return nil, err
		}
	}
	return outputs, nil
}

// SaveDebug saves what the debug of a side wrote.
func (b *Bundle) SaveDebug(s Side, text string) error {
	dir, err := s.folder()
	if err != nil {
		return err
	}
	return b.WriteFile(path.Join(dir, "debug.txt"), []byte(text))
}

// Debug reads what the debug of a side wrote; empty when there was none.
func (b *Bundle) Debug(s Side) (string, error) {
	dir, err := s.folder()
	if err != nil {
		return "", err
	}
	return b.text(path.Join(dir, "debug.txt"))
}

// Report reads report.json; nil when there is none yet.
func (b *Bundle) Report() ([]byte, error) {
	data, err := b.read(ReportJSON, maxOutput)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// Free says how many bytes can be written under folder, which need not exist yet; -1: that is not
// known here. It writes an empty file there to find out whether it may, and removes it again.
func Free(folder string) (int64, error) {
	dir := filepath.Clean(folder)
	for {
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			return 0, fmt.Errorf("%s is not a folder", dir)
		}
		if err == nil {
			break
		}
		if parent := filepath.Dir(dir); errors.Is(err, fs.ErrNotExist) && parent != dir {
			dir = parent
			continue
		}
		return 0, err
	}
	f, err := os.CreateTemp(dir, ".moncap-*")
	if err != nil {
		return 0, fmt.Errorf("nothing can be written here: %w", err)
	}
	if err := errors.Join(f.Close(), os.Remove(f.Name())); err != nil {
		return 0, err
	}
	return freeBytes(dir)
}
