package simulator

import (
	"crypto/md5" // #nosec G501 -- what `verify /md5` of IOS XE computes
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// file is one file in bootflash:.
type file struct {
	data    []byte
	written time.Time
}

// fileName takes the file system off a path. bootflash: and flash: are the same
// place, and the default.
func fileName(path string) (name string, ok bool) {
	for _, fs := range []string{"bootflash:", "flash:"} {
		if rest, cut := strings.CutPrefix(strings.ToLower(path), fs); cut {
			path = path[len(path)-len(rest):]
			break
		}
	}
	name = strings.TrimPrefix(path, "/")
	return name, name != "" && !strings.ContainsAny(name, ":/")
}

func addFiles(exec *node) {
	exec.add("dir", "List files on a filesystem", privileged, (*session).dir)
	exec.add("dir FILE", "Directory or file name", privileged, (*session).dir)
	exec.add("delete FILE", "Delete a file", privileged, (*session).deleteFile)
	exec.add("delete /force FILE", "Delete a file", privileged, (*session).deleteFile)
	exec.add("verify FILE", "Verify a file", privileged, (*session).verify)
	exec.add("verify /md5 FILE", "Compute an md5 signature for a file", privileged, (*session).verify)
	exec.add("more FILE", "Display the contents of a file", privileged, (*session).more)
}

func (s *session) dir(c *call) {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	path := "bootflash:/"
	if len(c.words) > 1 {
		path = c.words[1]
	}
	name, single := fileName(path)
	switch f, exists := r.flash[name]; {
	case !single && name != "":
		s.put("%%Error opening %s (No such device)\n", path)
		return
	case single && !exists:
		s.put("%%Error opening %s (No such file or directory)\n", located(name))
		return
	case single:
		s.put("Directory of %s\n\n%s\n", located(name), r.row(12, name, f))
	default:
		s.put("Directory of bootflash:/\n\n   11  drwx            16384  %s  lost+found\n",
			fileTime(r.booted.In(r.config.Zone)))
		for i, n := range slices.Sorted(maps.Keys(r.flash)) {
			s.put("%s", r.row(12+i, n, r.flash[n]))
		}
		s.put("\n")
	}
	total := int64(0)
	for _, f := range r.flash {
		total += int64(len(f.data))
	}
	free := r.flashFree
	if s.full {
		free = 0
	}
	s.put("%d bytes total (%d bytes free)\n", total+r.flashFree+1<<28, free)
}

func located(name string) string { return "bootflash:/" + name }

func (r *Router) row(index int, name string, f file) string {
	written := fileTime(f.written)
	if r.config.Knobs.NoDates {
		written = "              <no date>"
	}
	return fmt.Sprintf("%5d  -rw-  %15d  %s  %s\n", index, len(f.data), written, name)
}

// fileTime pads the day to the left, as dir does.
func fileTime(t time.Time) string {
	return t.Format("Jan") + fmt.Sprintf(" %2d", t.Day()) + t.Format(" 2006 15:04:05 -07:00")
}

func (s *session) deleteFile(c *call) {
	path := c.words[len(c.words)-1]
	name, ok := fileName(path)
	if len(c.words) == 2 {
		answer, typed := s.question(fmt.Sprintf("Delete filename [%s]? ", name), false)
		if !typed {
			return
		}
		if answer != "" {
			name, ok = fileName(answer)
		}
		if !s.confirm(fmt.Sprintf("Delete %s? ", located(name))) {
			return
		}
	}
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	f, exists := r.flash[name]
	if !ok || !exists {
		s.put("%%Error deleting %s (No such file or directory)\n", located(name))
		return
	}
	delete(r.flash, name)
	r.flashFree += int64(len(f.data))
}

func (s *session) verify(c *call) {
	path := c.words[len(c.words)-1]
	name, _ := fileName(path)
	s.router.mu.Lock()
	f, exists := s.router.flash[name]
	s.router.mu.Unlock()
	switch {
	case !exists:
		s.put("%%Error opening %s (No such file or directory)\n", path)
	case len(c.words) == 2:
		s.put("%%Error verifying %s (File not a Cisco IOS image)\n", path)
	default:
		sum := md5.Sum(f.data) // #nosec G401 -- see the import
		dots := strings.Repeat(".", min(1+len(f.data)/65536, 36))
		s.put("%sDone!\nverify /md5 (%s) = %s\n\n", dots, path, hex.EncodeToString(sum[:]))
	}
}

func (s *session) more(c *call) {
	name, _ := fileName(c.words[1])
	s.router.mu.Lock()
	f, exists := s.router.flash[name]
	s.router.mu.Unlock()
	if !exists {
		s.put("%%Error opening %s (No such file or directory)\n", c.words[1])
		return
	}
	for offset := 0; offset < min(len(f.data), 1<<16); offset += 16 {
		s.put("%08X: %s\n", offset, strings.TrimSpace(dumpText(f.data[offset:min(offset+16, len(f.data))])[9:]))
	}
}

// exportCapture writes the packets of a capture point to a file.
func (s *session) exportCapture(name, path string) {
	c, active := s.lookCapture(name)
	file, local := fileName(path)
	r := s.router
	switch {
	case c == nil:
		s.put("Capture point does not exist : %s\n", name)
		return
	case active && r.config.Knobs.RefuseExport:
		s.put("Capture %s is active\n\nFailed to Export\n", name)
		return
	case strings.HasPrefix(path, "scp://"):
		s.exportUpload(c, path)
		return
	case !local:
		s.put("%%Error opening %s (No such file or directory)\nFailed to Export\n", path)
		return
	}
	r.mu.Lock()
	old, exists := r.flash[file]
	r.mu.Unlock()
	if exists && !s.confirm("A file by the name already exists, overwrite?") {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	data := c.buffer.pcap(r.config.Knobs)
	if s.cut {
		data = data[:max(len(data)-5, 0)]
	}
	if need := int64(len(data) - len(old.data)); s.full || need > r.flashFree {
		s.put("%%Error writing %s (No space left on device)\nFailed to Export\n", located(file))
		return
	}
	r.flashFree -= int64(len(data) - len(old.data))
	r.store(file, data)
	s.put("Exported Successfully\n")
}

func (r *Router) store(name string, data []byte) { r.flash[name] = file{data, r.clock()} }
