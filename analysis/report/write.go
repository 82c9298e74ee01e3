package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// Write writes r as JSON that is indented by one space. It encodes one field of the document after
// the other, and of its lists one element after the other: a report of thousands of messages is
// never held whole, neither compact nor indented.
func (r *Report) Write(w io.Writer) error {
	p := newPieces(w)
	v := reflect.ValueOf(r).Elem()
	p.out.WriteByte('{')
	first := true
	for i := range v.NumField() {
		name, options, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		f := v.Field(i)
		if options == "omitempty" && (f.IsZero() || f.Kind() == reflect.Slice && f.Len() == 0) {
			continue
		}
		if !first {
			p.out.WriteByte(',')
		}
		first = false
		fmt.Fprintf(p.out, "\n %q: ", name)
		if f.Kind() == reflect.Slice && f.Len() > 0 {
			p.list(f)
		} else {
			p.piece(f, 1)
		}
	}
	p.out.WriteString("\n}\n")
	if p.err != nil {
		return fmt.Errorf("report: %w", p.err)
	}
	return p.out.Flush()
}

// WriteAll writes several reports as one JSON array.
func WriteAll(w io.Writer, all []*Report) error {
	before := "[\n"
	for _, r := range all {
		if _, err := io.WriteString(w, before); err != nil {
			return fmt.Errorf("report: %w", err)
		}
		if err := r.Write(w); err != nil {
			return err
		}
		before = ",\n"
	}
	end := "]\n"
	if len(all) == 0 {
		end = "[]\n"
	}
	_, err := io.WriteString(w, end)
	return err
}

// pieces writes the parts of a document, each encoded by itself. The first error stays.
type pieces struct {
	out     *bufio.Writer
	compact bytes.Buffer
	encode  *json.Encoder
	spaced  []byte
	err     error
}

func newPieces(w io.Writer) *pieces {
	p := &pieces{out: bufio.NewWriterSize(w, 64<<10)}
	p.encode = json.NewEncoder(&p.compact)
	p.encode.SetEscapeHTML(false)
	return p
}

// list writes the elements of a field of the document, which are two levels deep.
func (p *pieces) list(f reflect.Value) {
	before := "[\n  "
	for i := range f.Len() {
		p.out.WriteString(before)
		p.piece(f.Index(i), 2)
		before = ",\n  "
	}
	p.out.WriteString("\n ]")
}

// piece writes one value at its depth. A pointer to it spares the encoder a copy.
func (p *pieces) piece(v reflect.Value, depth int) {
	if p.err != nil {
		return
	}
	p.compact.Reset()
	if p.err = p.encode.Encode(v.Addr().Interface()); p.err != nil {
		return
	}
	p.spaced = appendIndented(p.spaced[:0], bytes.TrimSuffix(p.compact.Bytes(), []byte("\n")), depth)
	p.out.Write(p.spaced) // its error comes out of Flush
}

// appendIndented appends compact JSON with every element on a line of its own, one space a level,
// as json.Indent does it for JSON of any make. What the encoder made needs no checking, which is
// most of the time there.
func appendIndented(to, compact []byte, depth int) []byte {
	for i := 0; i < len(compact); i++ {
		switch c := compact[i]; c {
		case '"':
			end := i + 1
			for ; compact[end] != '"'; end++ {
				if compact[end] == '\\' {
					end++
				}
			}
			to = append(to, compact[i:end+1]...)
			i = end
		case '{', '[':
			to = append(to, c)
			if closing := compact[i+1]; closing == '}' || closing == ']' {
				to = append(to, closing)
				i++
				continue
			}
			depth++
			to = appendLine(to, depth)
		case '}', ']':
			depth--
			to = append(appendLine(to, depth), c)
		case ',':
			to = appendLine(append(to, c), depth)
		case ':':
			to = append(to, ':', ' ')
		default:
			to = append(to, c)
		}
	}
	return to
}

// appendLine begins a line of that depth.
func appendLine(to []byte, depth int) []byte {
	to = append(to, '\n')
	for range depth {
		to = append(to, ' ')
	}
	return to
}
