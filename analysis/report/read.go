package report

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// Read reads a report and refuses any other schema. A stored report may come from anywhere: a word
// that is none of the contract's is an error, and texts lose what could drive a terminal or turn a
// line around.
func Read(rd io.Reader) (*Report, error) {
	var r Report
	if err := json.NewDecoder(rd).Decode(&r); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	if r.Schema != Schema {
		return nil, fmt.Errorf("report: schema %q, want %q", r.Schema, Schema)
	}
	clean(reflect.ValueOf(&r).Elem())
	return &r, nil
}

// UnmarshalText takes the letters of the sides, and nothing else.
func (s *Side) UnmarshalText(b []byte) error { return word(s, b, A, B) }

// UnmarshalText takes the two directions, and nothing else.
func (d *Direction) UnmarshalText(b []byte) error { return word(d, b, AtoB, BtoA) }

// UnmarshalText takes the outcomes, and nothing else.
func (o *Outcome) UnmarshalText(b []byte) error {
	return word(o, b, Established, Degraded, Failed, Inconclusive, NotRun)
}

// UnmarshalText takes the severities, and nothing else.
func (s *Severity) UnmarshalText(b []byte) error { return word(s, b, Critical, Warning, Info) }

// UnmarshalText takes the levels of confidence, and nothing else.
func (c *Confidence) UnmarshalText(b []byte) error { return word(c, b, Certain, Probable, Possible) }

// UnmarshalText takes the fates of a transmission, and nothing else.
func (f *Fate) UnmarshalText(b []byte) error { return word(f, b, Delivered, Lost, Unknown) }

var reasonForm = lazyregexp.New(`^[a-z]+(-[a-z]+)*$`)

// UnmarshalText takes what can be a reason: a later moncap may know more of them.
func (r *Reason) UnmarshalText(b []byte) error {
	if len(b) > 0 && !reasonForm.Get().Match(b) {
		return fmt.Errorf("reason %q: want small letters and dashes", b)
	}
	*r = Reason(b)
	return nil
}

// word reads one of the words that a key may have; none at all is what an optional key has.
func word[T ~string](into *T, b []byte, words ...T) error {
	w := T(b)
	if w != "" && !slices.Contains(words, w) {
		return fmt.Errorf("%q: want one of %q", b, words)
	}
	*into = w
	return nil
}

// clean takes the characters out of all texts below v that are no text.
func clean(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		if s := v.String(); strings.ContainsFunc(s, unprintable) && v.CanSet() {
			v.SetString(printable(s))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			clean(v.Elem())
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			clean(v.Field(i))
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			clean(v.Index(i))
		}
	case reflect.Map:
		cleanMap(v)
	}
}

// cleanMap also cleans what a map's values are made of, in maps and lists of JSON.
func cleanMap(m reflect.Value) {
	if fields, ok := m.Interface().(map[string]any); ok {
		for _, key := range slices.Collect(maps.Keys(fields)) {
			value := cleaned(fields[key])
			delete(fields, key)
			fields[printable(key)] = value
		}
		return
	}
	for _, key := range m.MapKeys() {
		if key.Kind() == reflect.String && strings.ContainsFunc(key.String(), unprintable) {
			m.SetMapIndex(key, reflect.Value{})
		}
	}
}

func cleaned(value any) any {
	switch v := value.(type) {
	case string:
		return printable(v)
	case []any:
		for i := range v {
			v[i] = cleaned(v[i])
		}
	case map[string]any:
		cleanMap(reflect.ValueOf(v))
	}
	return value
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unprintable(r) {
			return -1
		}
		return r
	}, s)
}

func unprintable(r rune) bool {
	return r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r))
}
