package dissect

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/moncap/moncap/analysis/ike"
)

// append writes a message in JSON. It is written by hand, for encoding/json would check and copy every payload once for each level
// that it is nested in, and that is most of the work of a large capture.
func (j *jsonIKE) append(dst []byte) []byte {
	dst = fmt.Appendf(dst, `{"version":"%s","spi_i":"%s","spi_r":"%s","exchange":%d,"exchange_name":`, j.Version, j.SPIi, j.SPIr, j.Exchange)
	dst = appendString(dst, j.Name)
	dst = fmt.Appendf(dst, `,"flags":%d,"message_id":%d,"length":%d,"payloads":[`, j.Flags, j.MessageID, j.Length)
	for i, p := range j.Payloads {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = p.append(dst)
	}
	dst = append(dst, ']')
	if len(j.Malformed) > 0 {
		dst = append(dst, `,"malformed":[`...)
		for i, f := range j.Malformed {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendString(fmt.Appendf(dst, `{"offset":%d,"reason":`, f.Offset), f.Reason)
			dst = append(dst, '}')
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

// append writes a payload: type and name, then its own fields in alphabetical order.
func (j jsonPayload) append(dst []byte) []byte {
	dst = strconv.AppendUint(append(dst, `{"type":`...), uint64(j.payload.Type()), 10)
	dst = appendString(append(dst, `,"name":`...), payloadName(j.message, j.payload))
	fields := j.fields()
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if key != "type" && key != "name" {
			dst = appendJSON(append(appendString(append(dst, ','), key), ':'), fields[key])
		}
	}
	return append(dst, '}')
}

// fields are a payload's own, what is known of it beside, and what is inside of it.
func (j jsonPayload) fields() map[string]any {
	fields := map[string]any{}
	if d, ok := j.payload.(ike.Described); ok {
		fields = d.Fields()
	}
	if c, ok := j.payload.(interface{ Critical() bool }); ok && j.message.Major() == 2 && c.Critical() {
		fields["critical"] = true
	}
	for _, o := range j.observed {
		fields[o.field] = o.value
	}
	if j.inner != nil {
		j.inner.addTo(j.message, fields)
	}
	if j.whole != nil {
		fields["message"], fields["fragments"] = newJSONIKE(j.whole), j.whole.p.Fragments
	}
	return fields
}

// appendJSON writes the kinds of values that fields have; others go through encoding/json.
func appendJSON(dst []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return appendString(dst, v)
	case int:
		return strconv.AppendInt(dst, int64(v), 10)
	case bool:
		return strconv.AppendBool(dst, v)
	case *jsonIKE:
		return v.append(dst)
	case map[string]any:
		for i, key := range slices.Sorted(maps.Keys(v)) {
			dst = append(dst, "{,"[min(i, 1)])
			dst = appendJSON(append(appendString(dst, key), ':'), v[key])
		}
		if len(v) == 0 {
			dst = append(dst, '{')
		}
		return append(dst, '}')
	case []map[string]any:
		return appendList(dst, v, func(dst []byte, m map[string]any) []byte { return appendJSON(dst, m) })
	case []jsonPayload:
		return appendList(dst, v, func(dst []byte, p jsonPayload) []byte { return p.append(dst) })
	case []string:
		return appendList(dst, v, appendString)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return append(dst, "null"...) // no field is of a kind that has no JSON
	}
	return append(dst, b...)
}

func appendList[T any](dst []byte, all []T, one func([]byte, T) []byte) []byte {
	dst = append(dst, '[')
	for i, v := range all {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = one(dst, v)
	}
	return append(dst, ']')
}

// appendString writes a string; those that need no escapes, which nearly all are, without detours.
func appendString(dst []byte, s string) []byte {
	plain := func(r rune) bool { return r >= ' ' && r < 0x7f && r != '"' && r != '\\' }
	if strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return append(append(append(dst, '"'), s...), '"')
	}
	b, err := json.Marshal(s)
	if err != nil {
		return append(dst, `""`...) // every string has one
	}
	return append(dst, b...)
}
