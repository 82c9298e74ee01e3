package packet

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// dumpReader reads the text of `show monitor capture NAME buffer dump`: an index on a line of its
// own, then lines of an address, up to 16 bytes in hex columns, and the same as characters. Only
// the hex columns are read: what stands in the character column is the packets' own and may look
// like anything. What else a terminal's log holds between is passed over. The text has no times,
// but for a `buffer brief` of the same capture before it.
type dumpReader struct {
	lines  *bufio.Scanner
	offset int64 // of the line that was read last
	length int64 // of all lines before the next
	index  int
	open   bool // an index was read and its packet is being collected
	gap    bool // a line of it is missing: nothing more is collected
	done   int  // packets handed out, those that are missing included
	data   []byte
	spare  []byte // the packet that was handed out, to be overwritten
	brief  map[int]briefLine
	damage *Damage // the first thing that was missing
}

// briefLine is what `buffer brief` says of a packet.
type briefLine struct {
	size  int
	nanos int64 // since the first packet
}

// maxBrief bounds the lines of a brief listing that are kept.
const maxBrief = 1 << 20

// newDump reads to the first packet of the text; ok is false when the stream is no text, or has no
// packet and does not mention the command either.
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
		line := typed(d.lines.Bytes())
		named = named || strings.Contains(line, "buffer dump")
		if n, ok := dumpIndex(line); ok {
			d.open, d.index = true, n
			return d, true
		}
		d.readBrief(line)
	}
	return d, named
}

// typed is a line as a terminal shows it: backspaces and returns move the cursor back, so that what
// erases the prompt of a pager does, and escape sequences are gone.
func typed(b []byte) string {
	if bytes.IndexByte(b, '\b') < 0 && bytes.IndexByte(b, '\r') < 0 && bytes.IndexByte(b, 0x1b) < 0 &&
		!bytes.Contains(b, pager) {
		return string(bytes.TrimSpace(b))
	}
	b = terminalEscape.Get().ReplaceAll(b, nil)
	shown, at := make([]byte, 0, len(b)), 0
	for _, c := range b {
		switch c {
		case '\b':
			at = max(0, at-1)
		case '\r':
			at = 0
		default:
			if at == len(shown) {
				shown = append(shown, c)
			} else {
				shown[at] = c
			}
			at++
		}
	}
	return string(bytes.TrimSpace(bytes.TrimPrefix(bytes.TrimSpace(shown), pager)))
}

var (
	pager          = []byte("--More--")
	terminalEscape = lazyregexp.New(`\x1b\[[0-9;?]*[A-Za-z]`)
)

// readBrief reads `   0  118    0.000000   192.0.2.1  ->  192.0.2.2 ...`.
func (d *dumpReader) readBrief(line string) {
	f := strings.Fields(line)
	if len(f) < 6 || f[4] != "->" || len(d.brief) >= maxBrief {
		return
	}
	index, err1 := strconv.Atoi(f[0])
	size, err2 := strconv.Atoi(f[1])
	seconds, err3 := strconv.ParseFloat(f[2], 64)
	if err1 != nil || err2 != nil || err3 != nil || seconds < 0 || seconds > 1e9 {
		return
	}
	if d.brief == nil {
		d.brief = map[int]briefLine{}
	}
	d.brief[index] = briefLine{size, int64(math.Round(seconds * 1e9))}
}

// isText tells texts from binary files by their control characters; terminals leave some escapes
// and bells in logs.
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
		line := typed(d.lines.Bytes())
		if at, b, ok := dumpLine(line); ok && d.open {
			d.add(at, b)
			continue
		}
		n, ok := dumpIndex(line)
		if !ok {
			continue
		}
		whole := d.open && d.finish(r)
		d.open, d.gap, d.index = true, false, n
		if whole {
			return nil
		}
	}
	if err := d.lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		d.miss("%v", err)
	} else if err != nil {
		return err
	}
	if whole := d.open && d.finish(r); whole {
		d.open = false
		return nil
	}
	d.open = false
	if d.damage != nil {
		return d.damage
	}
	return io.EOF
}

// miss keeps the first thing that is missing in the text; what can be read is read on.
func (d *dumpReader) miss(format string, args ...any) {
	if d.damage == nil {
		d.damage = &Damage{d.offset, fmt.Sprintf(format, args...)}
	}
}

// add appends a line's bytes. A gap in the addresses means that a line is missing: the packet is
// cut there.
func (d *dumpReader) add(at int, b []byte) {
	switch {
	case d.gap:
	case at != len(d.data):
		d.miss("packet %d is cut: the line of address %04X follows %d bytes", d.index, at, len(d.data))
		d.gap = true
	case len(d.data)+len(b) > maxRecord:
		d.miss("packet %d has more than %d bytes", d.index, maxRecord)
		d.gap = true
	default:
		d.data = append(d.data, b...)
	}
}

// finish hands out the packet that was collected, if it has any bytes.
func (d *dumpReader) finish(r *record) bool {
	if len(d.data) == 0 {
		d.miss("packet %d has no bytes", d.index)
		return false
	}
	if d.index != d.done {
		d.miss("packet %d follows where %d should", d.index, d.done)
	}
	d.done = d.index + 1
	*r = record{link: dumpLink(d.data), data: d.data, wireLen: len(d.data)}
	if b, ok := d.brief[d.index]; ok {
		r.nanos, r.wireLen = b.nanos, max(b.size, r.wireLen)
	}
	d.data, d.spare = d.spare[:0], d.data
	return true
}

// dumpLink says what a packet of a dump begins with: Ethernet, but IP on interfaces that have no
// link layer.
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

// dumpLine reads `0010: 00547549 40003F01 ... ..text..`: groups of up to four bytes with one blank
// between them.
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
