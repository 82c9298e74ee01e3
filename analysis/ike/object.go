package ike

import (
	"encoding/json"
	"slices"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// Object writes the members of JSON objects into a buffer that can be used again. It is written by
// hand because encoding/json would copy every payload once for each level that it is nested in, and
// that is most of the work of a large capture.
type Object struct {
	Buf    []byte
	beside []Member
	next   int    // of beside, which is to be written
	values []byte // of those beside
	sorted bool   // members are written in order: those beside take their place
	depth  int    // of lists within that object
}

// Member is a member of an object that somebody else than the object's own writer knows.
type Member struct {
	Name string
	JSON []byte
}

// Beside adds members to the object that Begin begins next. From Sort on each takes its place in
// the alphabetical order, which all writers keep, and Flush writes those that are left.
func (o *Object) Beside(all ...Member) {
	o.beside = append(o.beside, all...)
	slices.SortStableFunc(o.beside, func(a, b Member) int {
		switch {
		case a.Name < b.Name:
			return -1
		case a.Name > b.Name:
			return 1
		}
		return 0
	})
}

// BesideBool is Beside for a member that is true or false.
func (o *Object) BesideBool(name string, value bool) {
	o.besideValue(name, strconv.AppendBool(o.values, value))
}

// BesideInt is Beside for a member that is a number.
func (o *Object) BesideInt(name string, value int) {
	o.besideValue(name, strconv.AppendInt(o.values, int64(value), 10))
}

// besideValue takes a value that was appended to values.
func (o *Object) besideValue(name string, values []byte) {
	o.Beside(Member{name, values[len(o.values):]})
	o.values = values
}

// Begin is Open for an object whose members do not all keep the order: Sort says
// from where on they do.
func (o *Object) Begin() {
	o.Open()
	o.sorted = false
}

// Sort says that the members from here on are in order.
func (o *Object) Sort() { o.sorted = true }

// Flush writes what is left of the members beside.
func (o *Object) Flush() {
	o.flush("\x7f")
	o.sorted, o.beside, o.next, o.values = false, o.beside[:0], 0, o.values[:0]
}

func (o *Object) flush(before string) {
	for o.next < len(o.beside) && o.beside[o.next].Name < before {
		m := o.beside[o.next]
		o.next++
		o.name(m.Name)
		o.Buf = append(o.Buf, m.JSON...)
	}
}

// Name begins a member.
func (o *Object) Name(name string) {
	if o.sorted && o.depth == 0 && o.next < len(o.beside) {
		o.flush(name)
	}
	o.name(name)
}

func (o *Object) name(name string) {
	o.comma()
	o.Buf = append(o.Buf, '"')
	o.Buf = append(o.Buf, name...)
	o.Buf = append(o.Buf, '"', ':')
}

// comma parts what follows from what is there.
func (o *Object) comma() {
	if n := len(o.Buf); n > 0 && o.Buf[n-1] != '{' && o.Buf[n-1] != '[' && o.Buf[n-1] != ':' {
		o.Buf = append(o.Buf, ',')
	}
}

// Open begins an object, as a member's value or as one of a list.
func (o *Object) Open() {
	o.comma()
	o.Buf = append(o.Buf, '{')
}

// Close ends an object.
func (o *Object) Close() { o.Buf = append(o.Buf, '}') }

// List begins a member that is a list.
func (o *Object) List(name string) {
	o.Name(name)
	o.Buf = append(o.Buf, '[')
	o.depth++
}

// EndList ends it.
func (o *Object) EndList() {
	o.Buf = append(o.Buf, ']')
	o.depth--
}

// String writes a member that is text.
func (o *Object) String(name, value string) {
	o.Name(name)
	o.Buf = AppendQuoted(o.Buf, value)
}

// Int writes a member that is a number.
func (o *Object) Int(name string, value int) {
	o.Name(name)
	o.Buf = strconv.AppendInt(o.Buf, int64(value), 10)
}

// Uint writes a member that is a number.
func (o *Object) Uint(name string, value uint64) {
	o.Name(name)
	o.Buf = strconv.AppendUint(o.Buf, value, 10)
}

// Bool writes a member that is true or false.
func (o *Object) Bool(name string, value bool) {
	o.Name(name)
	o.Buf = strconv.AppendBool(o.Buf, value)
}

// Hex writes a member that is bytes, in hex digits.
func (o *Object) Hex(name string, b []byte) {
	o.Name(name)
	o.Buf = append(appendHex(append(o.Buf, '"'), b), '"')
}

// Short writes a member that is bytes, in hex digits, at most the first 32.
func (o *Object) Short(name string, b []byte) {
	o.Name(name)
	o.Buf = append(appendShort(append(o.Buf, '"'), b), '"')
}

// Strings writes a member that is a list of texts.
func (o *Object) Strings(name string, all []string) {
	o.List(name)
	for _, s := range all {
		o.comma()
		o.Buf = AppendQuoted(o.Buf, s)
	}
	o.EndList()
}

// Hexes writes a member that is a list of bytes, in hex digits.
func (o *Object) Hexes(name string, all [][]byte) {
	o.List(name)
	for _, b := range all {
		o.comma()
		o.Buf = append(appendHex(append(o.Buf, '"'), b), '"')
	}
	o.EndList()
}

// AppendQuoted appends text as a JSON string; what needs no escapes, which is nearly all, without
// detours. No control or format character is left as it is, which JSON would allow: a packet must
// not drive the terminal that its JSON is shown on.
func AppendQuoted[T ~string | ~[]byte](dst []byte, s T) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return AppendEscaped(dst, string(s))
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

// AppendEscaped appends text as a JSON string that escapes <, > and &, too, as encoding/json does.
func AppendEscaped(dst []byte, s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		return append(dst, `""`...) // every string has one
	}
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r > 0x7e && r < 0x10000 && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			dst = append(dst, `\u`...)
			dst = append(dst, strconv.FormatUint(uint64(r)+0x10000, 16)[1:]...)
		} else {
			dst = append(dst, b[:n]...)
		}
		b = b[n:]
	}
	return dst
}
