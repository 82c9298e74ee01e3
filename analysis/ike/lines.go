package ike

import (
	"encoding/binary"
	"fmt"
	"iter"
	"strconv"
)

// Lines collects lines of text in a buffer that can be used again. Its methods can be chained.
type Lines struct {
	text []byte
	ends []int
}

// Reset forgets all lines.
func (l *Lines) Reset() { l.text, l.ends = l.text[:0], l.ends[:0] }

// All yields the lines that have ended. They are valid until Reset, and of what they hold nothing
// is cleaned.
func (l *Lines) All() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		from := 0
		for _, to := range l.ends {
			if !yield(l.text[from:to]) {
				return
			}
			from = to
		}
	}
}

// Bytes are those of all lines, without ends.
func (l *Lines) Bytes() []byte { return l.text }

// End ends a line.
func (l *Lines) End() { l.ends = append(l.ends, len(l.text)) }

// Text appends to the line.
func (l *Lines) Text(s string) *Lines {
	l.text = append(l.text, s...)
	return l
}

// Int appends a number.
func (l *Lines) Int(n int) *Lines {
	l.text = strconv.AppendInt(l.text, int64(n), 10)
	return l
}

// Hex appends hex digits.
func (l *Lines) Hex(b []byte) *Lines {
	l.text = appendHex(l.text, b)
	return l
}

// Hex32 appends a number in eight hex digits.
func (l *Lines) Hex32(n uint32) *Lines {
	l.text = binary.BigEndian.AppendUint64(l.text, hexDigits(n))
	return l
}

// SPI appends the SPI of an IKE SA.
func (l *Lines) SPI(s SPI) *Lines { return l.Hex32(uint32(s >> 32)).Hex32(uint32(s)) }

// Info appends a header's words.
func (l *Lines) Info(h Header) *Lines {
	l.text = h.AppendInfo(l.text)
	return l
}

// Append appends what f appends.
func (l *Lines) Append(f func([]byte) []byte) *Lines {
	l.text = f(l.text)
	return l
}

// Short appends bytes in hex digits, at most the first 32.
func (l *Lines) Short(b []byte) *Lines {
	l.text = appendShort(l.text, b)
	return l
}

// Add appends a whole line. It is for what is rare: fmt takes its time.
func (l *Lines) Add(format string, args ...any) {
	l.text = fmt.Appendf(l.text, format, args...)
	l.End()
}

// Details returns what a payload says about itself in lines of text.
func Details(d Described) []string {
	var l Lines
	d.Details(&l)
	var all []string
	for line := range l.All() {
		all = append(all, string(line))
	}
	return all
}
