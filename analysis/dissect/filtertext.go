package dissect

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// maxPattern bounds a regular expression, in bytes. RE2 takes time in proportion to it and to the
// text, never more.
const maxPattern = 1000

// search makes the filter of contains and matches, with wireshark-filter(4)'s sense of case:
// contains tells it apart, matches does not.
func search(field, op, value string) (Filter, error) {
	quoted := quotedLen(value+" ") > 0
	text := strings.Trim(value, `"'`)
	if quoted {
		text = value[1 : len(value)-1]
	}
	if text == "" {
		return nil, fmt.Errorf("%s %s: a value is missing", field, op)
	}
	if value[0] != text[0] && !quoted {
		return nil, fmt.Errorf("%s %s: a quotation mark is not closed", field, op)
	}
	found, err := searcher(op, text, quoted)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", field, op, err)
	}
	if get, ok := nameFields[field]; ok {
		return func(d *decodedPacket) bool {
			return slices.ContainsFunc(get(d), func(name string) bool { return found([]byte(name)) })
		}, nil
	}
	switch field {
	case "frame":
		return func(d *decodedPacket) bool { return found(d.p.Raw) }, nil
	case "info":
		return func(d *decodedPacket) bool { return found(appendInfo(nil, d)) }, nil
	}
	return nil, fmt.Errorf("%s: %s is of words: info, protocol, exchange, ike.payload, ike.notify, or frame for its bytes",
		field, op)
}

// searcher finds the text; bytes where it is hex digits in pairs, de:ad, without quotes.
func searcher(op, text string, quoted bool) (func([]byte) bool, error) {
	if op == "contains" {
		want := []byte(text)
		b, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
		if err == nil && !quoted && len(text) == 3*len(b)-1 && len(b) > 1 {
			want = b
		}
		return func(b []byte) bool { return bytes.Contains(b, want) }, nil
	}
	if len(text) > maxPattern {
		return nil, fmt.Errorf("the expression is longer than %d bytes", maxPattern)
	}
	r, err := regexp.Compile("(?i)" + text)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return r.Match, nil
}
