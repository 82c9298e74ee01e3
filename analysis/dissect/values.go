package dissect

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/packet"
	"github.com/moncap/moncap/internal/lazyregexp"
)

// UnknownValueError says that a filter compares a field with a name that no packet can have: such a
// filter shows nothing, as if nothing of that kind were in the capture.
type UnknownValueError struct {
	Field, Value string
	Known        []string // the names that there are
}

func (e *UnknownValueError) Error() string {
	return fmt.Sprintf("%s: there is no %q", e.Field, e.Value)
}

// knownValue says whether a field whose values are names can have this one.
func knownValue(field, value string) error {
	names, most := knownNames(field)
	if n, err := strconv.ParseUint(value, 10, 64); err == nil && n <= most {
		return nil
	}
	known := func(name string) bool { return strings.EqualFold(name, value) }
	if names == nil || numbered.Get().MatchString(value) || slices.ContainsFunc(names, known) {
		return nil
	}
	return &UnknownValueError{field, value, names}
}

// numbered is what has no name, by its number: an EtherType, or "private status 40961".
var numbered = lazyregexp.New(`(?i)^(0x[0-9a-f]+|[a-z]+( [a-z]+)? [0-9]+)$`)

// knownNames are the names of a field, and the largest of the numbers that stand for them.
func knownNames(field string) (names []string, most uint64) {
	switch field {
	case "side":
		for letter := 'A'; letter <= 'Z'; letter++ {
			names = append(names, string(letter))
		}
	case "protocol":
		names = []string{"ISAKMP", "UDPENCAP", "ICMPv6", "IPv4", "IPv6", "GDOI", "ARP", "-"}
		for k := packet.Other; k < packet.Fragment; k++ {
			names = append(names, k.String())
		}
		for n := range 256 {
			names = append(names, protocolName(uint8(n)))
		}
	case "exchange", "ike.exchange":
		for n := range 256 {
			names = append(names, ike.ExchangeType(n).String())
		}
		return names, 255
	case "ike.payload":
		for n := range 256 {
			names = append(names, ike.PayloadName(1, ike.PayloadType(n)), ike.PayloadName(2, ike.PayloadType(n)))
		}
		return names, 255
	case "ike.notify":
		return ike.NotifyNames(), 1<<16 - 1
	}
	return names, 0
}

// protocolNames are what the filter may call a packet's protocol: the word of the documents, and
// the one that the list shows, unless that is the word of another kind of packet.
func (d *decodedPacket) protocolNames() []string {
	word, shown := d.protocol(), protocolColumn(d)
	for k := packet.Other; k < packet.Fragment; k++ {
		if k.String() == shown {
			return []string{word}
		}
	}
	return []string{word, shown}
}
