package dissect

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"
	"time"

	"github.com/moncap/moncap/analysis/ike"
)

// Output is appended to buffers that are used again: fmt and new strings would take longer than all
// the reading before.

const (
	digits = "0123456789abcdef"
	blanks = "                                " // some, to append as many as are needed
)

func appendInt(dst []byte, n int) []byte { return strconv.AppendInt(dst, int64(n), 10) }

// putDigits writes a number over the end of dst, and returns what of it does not fit.
func putDigits(dst []byte, n uint64) (rest uint64) {
	for i := len(dst) - 1; i >= 0 && n > 0; i-- {
		dst[i] = digits[n%10]
		n /= 10
	}
	return n
}

// appendPadded appends a number, right-aligned.
func appendPadded(dst []byte, n, width int) []byte {
	padded := append(append(dst, blanks[:width-1]...), '0')
	if rest := putDigits(padded[len(dst):], uint64(n)); rest > 0 {
		return appendInt(dst, n)
	}
	return padded
}

// appendColumn appends text, left-aligned.
func appendColumn(dst []byte, s string, width int) []byte {
	dst = append(dst, s...)
	for missing := width - len(s); missing > 0; missing -= len(blanks) {
		dst = append(dst, blanks[:min(missing, len(blanks))]...)
	}
	return dst
}

func appendHex32(dst []byte, n uint32) []byte {
	for shift := 28; shift >= 0; shift -= 4 {
		dst = append(dst, digits[n>>shift&15])
	}
	return dst
}

func appendSPI(dst []byte, s ike.SPI) []byte {
	return appendHex32(appendHex32(dst, uint32(s>>32)), uint32(s))
}

// appendSeconds appends a time in seconds with six decimals, in twelve columns.
func appendSeconds(dst []byte, nanos int64) []byte {
	const width = 12 - len(".000000")
	micros := (max(nanos, -nanos) + 500) / 1000
	if nanos >= 0 {
		dst = appendPadded(dst, int(micros/1e6), width)
	} else {
		whole := "-" + strconv.Itoa(int(micros/1e6))
		dst = append(append(dst, blanks[:max(width-len(whole), 0)]...), whole...)
	}
	dst = append(dst, ".000000"...)
	putDigits(dst, uint64(micros%1e6))
	return dst
}

// appendInts appends a list in JSON.
func appendInts(dst []byte, all []int) []byte {
	dst = append(dst, '[')
	for i, n := range all {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendInt(dst, n)
	}
	return append(dst, ']')
}

// addressNames are the texts of addresses that were met lately, each in the place
// that its bytes say.
type addressNames [1 << 10]struct {
	addr netip.Addr
	text string
}

func (a *addressNames) name(addr netip.Addr) string {
	if !addr.IsValid() {
		return "-"
	}
	b := addr.As16()
	mixed := (binary.BigEndian.Uint64(b[:]) ^ binary.BigEndian.Uint64(b[8:])) * 0x9e3779b97f4a7c15 // Fibonacci hashing
	place := &a[mixed>>54]
	if place.addr != addr {
		place.addr, place.text = addr, addr.String()
	}
	return place.text
}

// timeText writes times in a layout of package time that has all of a second behind its point. What
// does not change within a second is written once a second.
type timeText struct {
	layout string
	second int64
	text   []byte // of the whole second
	point  int    // where the nanoseconds stand
}

func (t *timeText) append(dst []byte, at time.Time) []byte {
	if s := at.Unix(); s != t.second || t.text == nil {
		t.second = s
		t.text = at.Truncate(time.Second).AppendFormat(t.text[:0], t.layout)
		t.point = bytes.IndexByte(t.text, '.') + 1
	}
	dst = append(dst, t.text...)
	nanos := dst[len(dst)-len(t.text)+t.point:][:9]
	copy(nanos, "000000000")
	putDigits(nanos, uint64(at.Nanosecond()))
	return dst
}
