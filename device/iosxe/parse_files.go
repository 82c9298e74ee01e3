package iosxe

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// Directory is what `dir` lists.
type Directory struct {
	Path  string
	Files []FileInfo
	Total int64    // bytes; -1: not said
	Free  int64    // bytes; -1: not said
	other []string // lines that are neither heading, row nor summary
}

// FileInfo is one line of a directory.
type FileInfo struct {
	Name     string
	Size     int64 // bytes
	IsDir    bool
	Modified time.Time // zero: not said
}

// File returns the entry of that name, if there is one.
func (d Directory) File(name string) (FileInfo, bool) {
	for _, f := range d.Files {
		if f.Name == name {
			return f, true
		}
	}
	return FileInfo{}, false
}

// Mentions says whether a line that could not be read as a row names the file.
func (d Directory) Mentions(name string) bool {
	return slices.ContainsFunc(d.other, func(line string) bool { return slices.Contains(strings.Fields(line), name) })
}

// Offsets returns the distances from UTC of the clocks by which the files are dated, the newest
// file's first. A router that sets its clock for summer may show two.
func (d Directory) Offsets() []time.Duration {
	dated := slices.DeleteFunc(slices.Clone(d.Files), func(f FileInfo) bool { return f.Modified.IsZero() })
	slices.SortStableFunc(dated, func(a, b FileInfo) int { return b.Modified.Compare(a.Modified) })
	var all []time.Duration
	for _, f := range dated {
		_, seconds := f.Modified.Zone()
		if o := time.Duration(seconds) * time.Second; !slices.Contains(all, o) {
			all = append(all, o)
		}
	}
	return all
}

var (
	dirHead  = lazyregexp.New(`(?m)^\s*Directory of (\S+)`)
	dirSpace = lazyregexp.New(`(?m)^\s*(\d{1,18}) (k?)bytes total(?: \((\d{1,18}) (k?)bytes free\))?`)
	// Index, flags (a letter may be blank in the middle), size, date with a zone, name.
	dirRow = lazyregexp.New(
		`^\s*\d{1,9}\s+([d-][rwx -]{3,9}?)\s+(\d{1,18})\s+([A-Z][a-z]{2})\s+(\d{1,2})\s+(\d{4})\s+(\d\d:\d\d:\d\d)\s+([+-]\d\d:\d\d)\s+(\S.*?)\s*$`)
	// The form of some platforms: attributes, size, name.
	dirPlainRow = lazyregexp.New(`^\s*([d-][rwx-]{9})\s+(\d{1,18})\s+(\S.*?)\s*$`)
)

// ParseDir reads `dir`, of a file system or of one file.
func ParseDir(out string) (Directory, error) {
	out = Clean(out)
	d := Directory{Path: firstGroup(dirHead.Get(), out), Total: -1, Free: -1}
	if m := dirSpace.Get().FindStringSubmatch(out); m != nil {
		d.Total = dirBytes(m[1], m[2])
		if m[3] != "" {
			d.Free = dirBytes(m[3], m[4])
		}
	}
	for line := range strings.SplitSeq(out, "\n") {
		if f, ok := dirEntry(line); ok {
			d.Files = append(d.Files, f)
		} else if !dirHead.Get().MatchString(line) && !dirSpace.Get().MatchString(line) {
			d.other = append(d.other, line)
		}
	}
	if d.Path == "" && d.Total < 0 && len(d.Files) == 0 {
		return d, fmt.Errorf("dir: no directory in %s", quoted(out))
	}
	return d, nil
}

func dirBytes(n, kilo string) int64 {
	v, err := strconv.ParseInt(n, 10, 64)
	if err != nil {
		return -1
	}
	if kilo != "" {
		return v * 1024
	}
	return v
}

func dirEntry(line string) (FileInfo, bool) {
	if m := dirRow.Get().FindStringSubmatch(line); m != nil {
		f := FileInfo{Name: m[8], IsDir: m[1][0] == 'd'}
		f.Size, _ = strconv.ParseInt(m[2], 10, 64)
		f.Modified, _ = time.Parse("Jan 2 2006 15:04:05 -07:00", strings.Join(m[3:8], " "))
		return f, true
	}
	if m := dirPlainRow.Get().FindStringSubmatch(line); m != nil {
		f := FileInfo{Name: m[3], IsDir: m[1][0] == 'd'}
		f.Size, _ = strconv.ParseInt(m[2], 10, 64)
		return f, true
	}
	return FileInfo{}, false
}

var md5Line = lazyregexp.New(`(?mi)^\s*\.*\s*(?:Done!)?\s*verify /md5 \(([^)\n]+)\)\s*=\s*([0-9a-f]{32})\s*$`)

// ParseMD5 reads `verify /md5`: 32 hex digits in lower case.
func ParseMD5(out string) (string, error) {
	m := md5Line.Get().FindStringSubmatch(Clean(out))
	if m == nil {
		return "", fmt.Errorf("verify /md5: no checksum in %s", quoted(out))
	}
	return strings.ToLower(m[2]), nil
}
