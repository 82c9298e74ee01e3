package iosxe

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// DumpedPacket is one packet of `buffer dump`.
type DumpedPacket struct {
	Index int
	Data  []byte
}

// maxFrame bounds a dumped packet: the largest packet-len that IOS XE takes is 9500 bytes, the
// largest IP packet 64 KB.
const maxFrame = 1 << 16

// errDump marks what makes a dump unusable.
var errDump = errors.New("show monitor capture buffer dump")

// ParseDump reads the output of `show monitor capture NAME buffer dump` packet by packet. It reads
// the hex columns only: what stands in the character column is the packets' own and may look like
// anything. A gap in the addresses of a packet is that packet's error, because a line is missing
// then, and the reading goes on with the next one; so is a packet out of turn. An error of reading
// ends it.
func ParseDump(r io.Reader) iter.Seq2[DumpedPacket, error] {
	return func(yield func(DumpedPacket, error) bool) {
		d := dumpReader{lines: bufio.NewScanner(r)}
		d.lines.Buffer(make([]byte, 4096), 1<<20)
		for {
			p, err := d.next()
			if err == io.EOF || !yield(p, err) || err != nil && d.lines.Err() != nil {
				return
			}
		}
	}
}

type dumpReader struct {
	lines *bufio.Scanner
	open  bool // an index was read and its packet is being collected
	index int
	data  []byte
	err   error // what is wrong with the packet that is being collected
	due   int   // the index that should come
}

var (
	dumpIndex = lazyregexp.New(`^(\d{1,9})$`)
	// Four digits of address, then the hex columns, which a gap of two blanks or more ends.
	dumpLine = lazyregexp.New(`^([0-9A-F]{4,8}):\s+((?:[0-9A-F]{2}){1,4}(?: (?:[0-9A-F]{2}){1,4}){0,3})(?:\s{2,}|$)`)
)

func (d *dumpReader) next() (DumpedPacket, error) {
	for d.lines.Scan() {
		line := strings.TrimSpace(strings.TrimRight(d.lines.Text(), "\r"))
		if p, whole, err := d.take(line); whole {
			return p, err
		}
	}
	if err := d.lines.Err(); err != nil {
		return DumpedPacket{}, fmt.Errorf("%w: packet %d: %w", errDump, d.index, err)
	}
	if d.open {
		return d.finish()
	}
	return DumpedPacket{}, io.EOF
}

// take reads one line; whole says that it began the next packet, and the one before is over.
func (d *dumpReader) take(line string) (p DumpedPacket, whole bool, err error) {
	if m := dumpLine.Get().FindStringSubmatch(line); m != nil && d.open {
		d.hexLine(m[1], m[2])
		return p, false, nil
	}
	m := dumpIndex.Get().FindStringSubmatch(line)
	if m == nil {
		return p, false, nil
	}
	if d.open {
		p, err = d.finish()
		whole = true
	}
	d.index, _ = strconv.Atoi(m[1])
	d.open, d.data, d.err = true, nil, nil
	if d.index != d.due {
		d.err = fmt.Errorf("%w: packet %d follows where %d should", errDump, d.index, d.due)
	}
	d.due = d.index + 1
	return p, whole, err
}

func (d *dumpReader) hexLine(address, columns string) {
	at, _ := strconv.ParseUint(address, 16, 32)
	b, err := hex.DecodeString(strings.ReplaceAll(columns, " ", ""))
	switch {
	case d.err != nil:
	case at != uint64(len(d.data)):
		d.err = fmt.Errorf("%w: packet %d: line %s follows %d bytes", errDump, d.index, address, len(d.data))
	case err != nil:
		d.err = fmt.Errorf("%w: packet %d: %w", errDump, d.index, err)
	case len(d.data)+len(b) > maxFrame:
		d.err = fmt.Errorf("%w: packet %d: more than %d bytes", errDump, d.index, maxFrame)
	default:
		d.data = append(d.data, b...)
	}
}

func (d *dumpReader) finish() (DumpedPacket, error) {
	d.open = false
	if d.err == nil && len(d.data) == 0 {
		d.err = fmt.Errorf("%w: packet %d has no bytes", errDump, d.index)
	}
	return DumpedPacket{d.index, d.data}, d.err
}
