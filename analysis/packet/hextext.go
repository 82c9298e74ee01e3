package packet

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// hexReader reads what tcpdump -XX (-X, -xx, -x), FortiGate's sniffer (levels 2, 3, 5 and 6) and
// ASA's `show capture NAME dump` print: a line with a time, then the packet in lines of 0xADDRESS,
// up to 16 bytes in hex, and the same as characters. As in a dumpReader, only the hex columns are
// read. A time of day without a date is one of 1 January 1970: it orders packets, and says no more.
type hexReader struct {
	dumpReader
	head int64 // the time of the line that was read last, in nanoseconds
	at   int64 // of the packet that is being collected
}

// lookForHex is how much of a text may stand before its first packet, in bytes: banners, commands,
// a log.
const lookForHex = 64 << 10

var firstHexLine = lazyregexp.New(`(?m)^[ \t]*0x0000:?[ \t]+[0-9a-fA-F]{2,4}(?:[ \t]|$)`)

// newHexText says whether the stream is such a text. Nothing of it is consumed.
func newHexText(src *source) (*hexReader, bool) {
	head, _ := src.peek(lookForHex)
	if !isText(head) || !firstHexLine.Get().Match(head) {
		return nil, false
	}
	h := &hexReader{dumpReader: dumpReader{lines: bufio.NewScanner(src)}}
	h.lines.Buffer(make([]byte, 4096), 1<<20)
	h.lines.Split(h.split)
	return h, true
}

func (h *hexReader) next(r *record) error {
	for h.lines.Scan() {
		line := typed(h.lines.Bytes())
		at, b, ok := hexTextLine(line)
		switch {
		case !ok:
			if t, is := lineTime(line); is {
				h.head = t
			}
		case at == 0:
			whole := h.open && h.hand(r)
			h.open, h.gap, h.index, h.at = true, false, h.done, h.head
			h.add(at, b)
			if whole {
				return nil
			}
		case h.open:
			h.add(at, b)
		}
	}
	if err := h.lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		h.miss("%v", err)
	} else if err != nil {
		return err
	}
	if whole := h.open && h.hand(r); whole {
		h.open = false
		return nil
	}
	h.open = false
	if h.damage != nil {
		return h.damage
	}
	return io.EOF
}

// hand hands out the packet that was collected.
func (h *hexReader) hand(r *record) bool {
	whole := h.finish(r)
	r.nanos = h.at
	return whole
}

// hexTextLine reads `0x0010: 0054 7549 4000 ... .TuI@.`: groups of one or two bytes with one blank
// between them.
func hexTextLine(line string) (at int, b []byte, ok bool) {
	rest, ok := strings.CutPrefix(line, "0x")
	if !ok || len(rest) < 4 {
		return 0, nil, false
	}
	end := strings.IndexAny(rest, ": \t")
	if end < 4 || end > 8 {
		return 0, nil, false
	}
	n, err := strconv.ParseUint(rest[:end], 16, 32)
	if err != nil {
		return 0, nil, false
	}
	rest = strings.TrimLeft(rest[end:], ": \t")
	for len(b) < 16 && rest != "" {
		end := strings.IndexAny(rest, " \t")
		if end < 0 {
			end = len(rest)
		}
		bytes, err := hex.DecodeString(rest[:end])
		if err != nil || len(bytes) == 0 || len(bytes) > 2 {
			break
		}
		b = append(b, bytes...)
		if rest = rest[end:]; !strings.HasPrefix(rest, " ") {
			break // a tab, or the end
		}
		rest = rest[1:]
	}
	return int(n), b, len(b) > 0
}

var (
	dayTime  = lazyregexp.New(`(?:(\d{4}-\d{2}-\d{2})[ T])?\b(\d{2}:\d{2}:\d{2}\.\d{1,9})\b`)
	spanTime = lazyregexp.New(`^(\d{1,10}\.\d{6}) `)
)

// lineTime finds the time in the line before a packet: a date and a time of day, a time
// of day, or seconds.
func lineTime(line string) (int64, bool) {
	line = line[:min(len(line), 80)]
	if m := dayTime.Get().FindStringSubmatch(line); m != nil {
		day := m[1]
		if day == "" {
			day = "1970-01-01"
		}
		t, err := time.Parse("2006-01-02 15:04:05.999999999", day+" "+m[2])
		return t.UnixNano(), err == nil
	}
	if m := spanTime.Get().FindStringSubmatch(line); m != nil {
		s, err := strconv.ParseFloat(m[1], 64)
		return int64(s*1e6) * 1000, err == nil
	}
	return 0, false
}

// analyzers are how files of Microsoft's, NetXray's and Sniffer's begin.
var analyzers = []string{"GMBU", "RTSS", "XCP\x00", "TRSNIFF"}

var snoopMagic = []byte("snoop\x00\x00\x00") // RFC 1761

// foreign names a format that Wireshark converts, and how, by its first bytes.
func foreign(src *source) error {
	head, _ := src.peek(8)
	switch {
	case bytes.Equal(head, snoopMagic):
		return errors.New("it is a snoop file (Solaris, Check Point's fw monitor): editcap -F pcap FILE CONVERTED.pcap " +
			"makes it a capture; of fw monitor, which has each packet up to four times, take one point: fw monitor -m i")
	case slices.ContainsFunc(analyzers, func(magic string) bool { return bytes.HasPrefix(head, []byte(magic)) }):
		return errors.New("it is a file of another analyzer: editcap -F pcap FILE CONVERTED.pcap makes it a capture")
	}
	return errUnknown
}
