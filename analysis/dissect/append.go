package dissect

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"
	"time"

	"github.com/moncap/moncap/analysis/ike"
)

// Output is appended to buffers that are used again: fmt and new strings would take longer than all the reading before.

const digits = "0123456789abcdef"

func appendInt(dst []byte, n int) []byte { return strconv.AppendInt(dst, int64(n), 10) }

// appendPadded appends a number, right-aligned.
func appendPadded(dst []byte, n, width int) []byte {
	for limit := 10; width > 1; width-- {
		if n >= limit {
			limit *= 10
			continue
		}
		dst = append(dst, ' ')
	}
	return appendInt(dst, n)
}

// appendColumn appends text, left-aligned.
func appendColumn(dst []byte, s string, width int) []byte {
	dst = append(dst, s...)
	for range width - len(s) {
		dst = append(dst, ' ')
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
	at := len(dst)
	if nanos < 0 {
		nanos = -nanos
		dst = append(dst, '-')
	}
	micros := (nanos + 500) / 1000
	dst = append(appendInt(dst, int(micros/1e6)), '.')
	fraction := micros % 1e6
	for unit := int64(1e5); unit > 0; unit /= 10 {
		dst = append(dst, digits[fraction/unit%10])
	}
	const width = 12
	if missing := width - (len(dst) - at); missing > 0 {
		dst = append(dst, "            "[:missing]...)
		copy(dst[at+missing:], dst[at:])
		for i := range missing {
			dst[at+i] = ' '
		}
	}
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

// addressNames are the texts of addresses that were met lately, each in the place that its bytes say.
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

// timeText writes times in a layout of package time that has all of a second behind its point. What does not change within a second is
// written once a second.
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
	nanos, n := dst[len(dst)-len(t.text)+t.point:][:9], at.Nanosecond()
	for i := len(nanos) - 1; i >= 0; i-- {
		nanos[i] = digits[n%10]
		n /= 10
	}
	return dst
}
