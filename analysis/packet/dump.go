package packet

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// dumpReader reads the text of `show monitor capture NAME buffer dump`: an index on a line of its own, then lines of
// an address, up to 16 bytes in hex columns, and the same as characters. Only the hex columns are read: what stands in
// the character column is the packets' own and may look like anything. The text has no times.
type dumpReader struct {
	lines  *bufio.Scanner
	offset int64 // of the line that was read last
	length int64 // of all lines before the next
	index  int
	open   bool // an index was read and its packet is being collected
	done   int  // packets handed out
	data   []byte
	spare  []byte // the packet that was handed out, to be overwritten
}

// newDump reads to the first packet of the text; ok is false when the stream is no text, or has no packet and does
// not mention the command either.
func newDump(src *source) (d *dumpReader, ok bool) {
	head, _ := src.peek(4096)
	if !isText(head) {
		return nil, false
	}
	d = &dumpReader{lines: bufio.NewScanner(src)}
	d.lines.Buffer(make([]byte, 4096), 1<<20)
	d.lines.Split(d.split)
	named := false
	for d.lines.Scan() {
		line := strings.TrimSpace(d.lines.Text())
		named = named || strings.Contains(line, "buffer dump")
		if n, ok := dumpIndex(line); ok {
			d.open, d.index = true, n
			return d, true
		}
	}
	return d, named
}

// isText tells texts from binary files by their control characters; terminals leave some escapes and bells in logs.
func isText(b []byte) bool {
	if len(b) == 0 || bytes.IndexByte(b, 0) >= 0 {
		return false
	}
	odd := 0
	for _, c := range b {
		if c < ' ' && !bytes.ContainsRune([]byte("\t\r\n\f\b\a\x1b"), rune(c)) || c >= 0x80 {
			odd++
		}
	}
	return odd*10 <= len(b)
}

// split is bufio.ScanLines, counting bytes.
func (d *dumpReader) split(data []byte, atEOF bool) (int, []byte, error) {
	n, line, err := bufio.ScanLines(data, atEOF)
	if n > 0 {
		d.offset = d.length
		d.length += int64(n)
	}
	return n, line, err
}

func (d *dumpReader) next(r *record) error {
	for d.lines.Scan() {
		line := strings.TrimSpace(d.lines.Text())
		if at, b, ok := dumpLine(line); ok && d.open {
			if err := d.add(at, b); err != nil {
				return d.damage(err)
			}
			continue
		}
		n, ok := dumpIndex(line)
		if !ok {
			continue
		}
		err := d.finish(r)
		d.open, d.index = true, n
		return d.damage(err)
	}
	if err := d.lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			return d.damage(err)
		}
		return err
	}
	if !d.open {
		return io.EOF
	}
	if err := d.finish(r); err != nil {
		return d.damage(err)
	}
	return nil
}

func (d *dumpReader) damage(err error) error {
	if err == nil {
		return nil
	}
	return &Damage{d.offset, err.Error()}
}

// add appends a line's bytes. A gap in the addresses means that a line is missing.
func (d *dumpReader) add(at int, b []byte) error {
	if at != len(d.data) {
		return fmt.Errorf("packet %d: the line of address %04X follows %d bytes", d.index, at, len(d.data))
	}
	if len(d.data)+len(b) > maxRecord {
		return fmt.Errorf("packet %d has more than %d bytes", d.index, maxRecord)
	}
	d.data = append(d.data, b...)
	return nil
}

// finish hands out the packet that was collected.
func (d *dumpReader) finish(r *record) error {
	d.open = false
	if len(d.data) == 0 {
		return fmt.Errorf("packet %d has no bytes", d.index)
	}
	if d.index != d.done {
		return fmt.Errorf("packet %d follows where %d should", d.index, d.done)
	}
	d.done++
	*r = record{link: dumpLink(d.data), data: d.data, wireLen: len(d.data)}
	d.data, d.spare = d.spare[:0], d.data
	return nil
}

// dumpLink says what a packet of a dump begins with: Ethernet, but IP on interfaces that have no link layer.
func dumpLink(b []byte) uint16 {
	ether := len(b) >= 14 && (b[12] == 0x08 || b[12] == 0x81 || b[12] == 0x86 || b[12] == 0x88)
	if !ether && len(b) >= 20 && (b[0] == 0x45 && int(b[2])<<8|int(b[3]) >= 20 || b[0]>>4 == 6) {
		return linkRaw
	}
	return linkEthernet
}

func dumpIndex(line string) (int, bool) {
	if line == "" || len(line) > 9 || strings.Trim(line, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(line)
	return n, err == nil
}

// dumpLine reads `0010:  00547549 40003F01 ...   ..text..`: groups of up to four bytes with one blank between them.
func dumpLine(line string) (at int, b []byte, ok bool) {
	address, rest, found := strings.Cut(line, ":")
	if !found || len(address) < 4 || len(address) > 8 {
		return 0, nil, false
	}
	n, err := strconv.ParseUint(address, 16, 32)
	if err != nil {
		return 0, nil, false
	}
	rest = strings.TrimLeft(rest, " ")
	for len(b) < 16 {
		group, more, _ := strings.Cut(rest, " ")
		bytes, err := hex.DecodeString(group)
		if err != nil || len(bytes) == 0 || len(bytes) > 4 {
			break
		}
		b = append(b, bytes...)
		rest = more
	}
	return int(n), b, len(b) > 0
}
