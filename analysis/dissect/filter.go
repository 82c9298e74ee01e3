package dissect

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// FilterHelp tells how a display filter is written.
const FilterHelp = `The filter compares fields with ==, !=, <, <=, >, >= (or eq, ne, lt, le, gt, ge) and joins comparisons with &&, || and !
(or and, or, not), in parentheses where needed. A field that a packet has not got makes its comparison false. Of words, contains
finds a part, and matches (or ~) a regular expression in RE2's syntax, whatever the case; a value with blanks stands in quotes. Fields:
  frame length port port.src port.dst                numbers
  ip ip.src ip.dst                                   an address or a prefix such as 192.0.2.0/24
  side                                               A or B: the first or second interface of a pcapng file
  protocol                                           IKE, ESP, AH, NAT-keepalive, ICMP, other, or the list's word
  info                                               the last column of the list, with contains and matches
  spi ike.spi ike.spi_i ike.spi_r esp.spi            hex digits, with 0x or without; spi is any of them
  ike.exchange (or exchange), ike.payload, ike.notify   names or numbers
  ike.message_id (or mid), ike.version, ike.flags       numbers; 1 and 2 stand for 1.0 and 2.0
  ike esp ah icmp udp keepalive malformed fragment request response encrypted   alone: yes or no
frame contains and frame matches look into the bytes of the packet; frame contains de:ad:be:ef finds bytes.
Wireshark's names of these fields are understood too (isakmp.ispi, ip.addr, udp.port, frame.number, ...).`

// wiresharkNames are the fields that Wireshark calls otherwise.
var wiresharkNames = map[string]string{
	"isakmp": "ike", "isakmp.ispi": "ike.spi_i", "isakmp.rspi": "ike.spi_r", "isakmp.exchangetype": "ike.exchange",
	"isakmp.messageid": "ike.message_id", "isakmp.typepayload": "ike.payload", "isakmp.notify.msgtype": "ike.notify",
	"isakmp.flags": "ike.flags", "ip.addr": "ip", "ipv6.addr": "ip", "ipv6.src": "ip.src", "ipv6.dst": "ip.dst",
	"udp.port": "port", "udp.srcport": "port.src", "udp.dstport": "port.dst", "frame.number": "frame",
	"frame.len": "length",
	"icmpv6":    "icmp", "_ws.col.info": "info", "_ws.col.protocol": "protocol",
}

// writtenOperators are those that Wireshark takes as words (wireshark-filter(4)).
var writtenOperators = map[string]string{"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
	"~": "matches"}

// Filter says whether a packet is shown; nil shows everything.
type Filter func(*decodedPacket) bool

// ParseFilter reads a display filter as FilterHelp tells; an empty one shows everything.
func ParseFilter(text string) (Filter, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	p := &filterParser{tokens: filterTokens(text)}
	f, err := p.or(0)
	if err == nil && p.peek() != "" {
		err = fmt.Errorf("%q is in the way", p.peek())
	}
	return f, err
}

// filterTokens splits at blanks and operators.
func filterTokens(text string) []string {
	var tokens []string
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		n := operatorLen(text)
		if n == 0 {
			n = quotedLen(text)
		}
		if n == 0 {
			n = strings.IndexFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\n()!=<>&|~", r) })
			if n < 0 {
				n = len(text)
			}
		}
		tokens = append(tokens, text[:n])
		text = text[n:]
	}
	return tokens
}

// quotedLen is the length of the quoted value that text begins with, its quotes included; 0 where
// it begins with none, or it does not end.
func quotedLen(text string) int {
	if text[0] != '"' && text[0] != '\'' {
		return 0
	}
	end := strings.IndexByte(text[1:], text[0])
	if end < 0 {
		return 0
	}
	return 1 + end + 1
}

func operatorLen(text string) int {
	for _, o := range []string{"&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "~", "(", ")"} {
		if strings.HasPrefix(text, o) {
			return len(o)
		}
	}
	if strings.ContainsAny(text[:1], "=&|") {
		return 1 // no operator; the parser will say so
	}
	return 0
}

type filterParser struct{ tokens []string }

func (p *filterParser) peek() string {
	if len(p.tokens) == 0 {
		return ""
	}
	return p.tokens[0]
}

func (p *filterParser) take() string {
	t := p.peek()
	if t != "" {
		p.tokens = p.tokens[1:]
	}
	return t
}

const maxFilterDepth = 100

func (p *filterParser) or(depth int) (Filter, error) {
	f, err := p.and(depth)
	for err == nil && (p.peek() == "||" || p.peek() == "or") {
		p.take()
		left := f
		var right Filter
		right, err = p.and(depth)
		f = func(d *decodedPacket) bool { return left(d) || right(d) }
	}
	return f, err
}

func (p *filterParser) and(depth int) (Filter, error) {
	f, err := p.unary(depth)
	for err == nil && (p.peek() == "&&" || p.peek() == "and") {
		p.take()
		left := f
		var right Filter
		right, err = p.unary(depth)
		f = func(d *decodedPacket) bool { return left(d) && right(d) }
	}
	return f, err
}

func (p *filterParser) unary(depth int) (Filter, error) {
	if depth > maxFilterDepth {
		return nil, errors.New("nested too deeply")
	}
	switch t := p.take(); t {
	case "":
		return nil, errors.New("it ends where a field should stand")
	case "!", "not":
		f, err := p.unary(depth + 1)
		return func(d *decodedPacket) bool { return !f(d) }, err
	case "(":
		f, err := p.or(depth + 1)
		if err == nil && p.take() != ")" {
			err = errors.New("a parenthesis is not closed")
		}
		return f, err
	default:
		return p.comparison(t)
	}
}

// flagFields stand alone.
var flagFields = map[string]func(*decodedPacket) bool{
	"ike":       func(d *decodedPacket) bool { return d.msg != nil },
	"esp":       func(d *decodedPacket) bool { return d.protocol() == "ESP" },
	"ah":        func(d *decodedPacket) bool { return d.protocol() == "AH" },
	"udp":       func(d *decodedPacket) bool { return d.p.Proto == 17 },
	"icmp":      func(d *decodedPacket) bool { return d.protocol() == "ICMP" },
	"keepalive": func(d *decodedPacket) bool { return d.protocol() == "NAT-keepalive" },
	"malformed": func(d *decodedPacket) bool { return d.faulty() },
	"fragment":  func(d *decodedPacket) bool { return d.p.IsFragment },
	"request":   func(d *decodedPacket) bool { return d.msg != nil && d.msg.Major() == 2 && !d.msg.Response() },
	"response":  func(d *decodedPacket) bool { return d.msg != nil && d.msg.Response() },
	"encrypted": func(d *decodedPacket) bool { return d.msg != nil && d.encrypted() },
}

// comparison parses what follows the name of a field.
func (p *filterParser) comparison(field string) (Filter, error) {
	if ours, ok := wiresharkNames[field]; ok {
		field = ours
	}
	op := p.peek()
	if written, ok := writtenOperators[op]; ok {
		op = written
	}
	if op == "contains" || op == "matches" {
		p.take()
		return search(field, op, p.take())
	}
	if !slices.Contains([]string{"==", "!=", "<", "<=", ">", ">="}, op) {
		if op == "=" || op == "&" || op == "|" {
			return nil, fmt.Errorf("%q is no operator", op)
		}
		if f, ok := flagFields[field]; ok {
			return f, nil
		}
		return nil, fmt.Errorf("%q is no field that stands alone", field)
	}
	p.take()
	value := strings.Trim(p.take(), `"'`)
	if value == "" {
		return nil, fmt.Errorf("%s %s: a value is missing", field, op)
	}
	if get, ok := numberFields[field]; ok {
		return compareNumber(field, op, value, get)
	}
	match, err := equality(field, value)
	if err != nil {
		return nil, err
	}
	switch op {
	case "==":
		return func(d *decodedPacket) bool { yes, _ := match(d); return yes }, nil
	case "!=":
		return func(d *decodedPacket) bool { yes, has := match(d); return has && !yes }, nil
	}
	if _, words := nameFields[field]; words {
		return nil, fmt.Errorf("%s: only == and != make sense, and contains and matches", field)
	}
	return nil, fmt.Errorf("%s: only == and != make sense", field)
}

// numberFields return the values that a packet has of a field.
var numberFields = map[string]func(*decodedPacket) []uint64{
	"frame":    func(d *decodedPacket) []uint64 { return []uint64{uint64(d.p.Frame)} },
	"length":   func(d *decodedPacket) []uint64 { return []uint64{uint64(d.p.WireLen)} },
	"port":     func(d *decodedPacket) []uint64 { return []uint64{uint64(d.p.SrcPort), uint64(d.p.DstPort)} },
	"port.src": func(d *decodedPacket) []uint64 { return []uint64{uint64(d.p.SrcPort)} },
	"port.dst": func(d *decodedPacket) []uint64 { return []uint64{uint64(d.p.DstPort)} },

	"mid":            messageID,
	"ike.message_id": messageID,
	"ike.version":    ikeNumber(func(d *decodedPacket) uint64 { return uint64(d.msg.Major()) }),
	"ike.flags":      ikeNumber(func(d *decodedPacket) uint64 { return uint64(d.msg.Flags) }),
}

func messageID(d *decodedPacket) []uint64 {
	return ikeNumber(func(d *decodedPacket) uint64 { return uint64(d.msg.MessageID) })(d)
}

func ikeNumber(get func(*decodedPacket) uint64) func(*decodedPacket) []uint64 {
	return func(d *decodedPacket) []uint64 {
		if d.msg == nil {
			return nil
		}
		return []uint64{get(d)}
	}
}

func compareNumber(field, op, value string, get func(*decodedPacket) []uint64) (Filter, error) {
	want, err := strconv.ParseUint(strings.TrimSuffix(value, ".0"), 0, 64)
	if err != nil {
		return nil, fmt.Errorf("%s: %q is no number", field, value)
	}
	holds := map[string]func(int) bool{
		"==": func(c int) bool { return c == 0 },
		"<":  func(c int) bool { return c < 0 },
		"<=": func(c int) bool { return c <= 0 },
		">":  func(c int) bool { return c > 0 },
		">=": func(c int) bool { return c >= 0 },
	}[op]
	return func(d *decodedPacket) bool {
		values := get(d)
		if op == "!=" {
			return len(values) > 0 && !slices.Contains(values, want)
		}
		return slices.ContainsFunc(values, func(v uint64) bool { return holds(cmp.Compare(v, want)) })
	}, nil
}

// matcher says whether a packet has the value, and whether it has the field at all.
type matcher func(*decodedPacket) (yes, has bool)

// equality makes the matcher of a field whose values are no plain numbers.
func equality(field, value string) (matcher, error) {
	switch field {
	case "ip", "ip.src", "ip.dst":
		return matchAddress(field, value)
	case "spi", "ike.spi", "ike.spi_i", "ike.spi_r", "esp.spi":
		return matchSPI(field, value)
	}
	if get, ok := nameFields[field]; ok {
		return matchNames(value, get), knownValue(field, value)
	}
	if field == "info" {
		return nil, errors.New("info: only contains and matches make sense")
	}
	return nil, fmt.Errorf("%q is no field", field)
}

// nameFields return what a packet's field may be called.
var nameFields = map[string]func(*decodedPacket) []string{
	"side":         func(d *decodedPacket) []string { return []string{d.side()} },
	"protocol":     (*decodedPacket).protocolNames,
	"exchange":     (*decodedPacket).exchangeNames,
	"ike.exchange": (*decodedPacket).exchangeNames,
	"ike.payload":  (*decodedPacket).payloadNames,
	"ike.notify":   (*decodedPacket).notifyNames,
}

func matchAddress(field, value string) (matcher, error) {
	prefix, err := netip.ParsePrefix(value)
	if err != nil {
		a, err := netip.ParseAddr(value)
		if err != nil {
			return nil, fmt.Errorf("%s: %q is neither an address nor a prefix", field, value)
		}
		prefix = netip.PrefixFrom(a, a.BitLen())
	}
	return func(d *decodedPacket) (bool, bool) {
		src, dst := prefix.Contains(d.p.Src), prefix.Contains(d.p.Dst)
		return field != "ip.dst" && src || field != "ip.src" && dst, d.p.Src.IsValid()
	}, nil
}

func matchSPI(field, value string) (matcher, error) {
	digits := strings.TrimPrefix(strings.ToLower(value), "0x")
	want, err := strconv.ParseUint(digits, 16, 64)
	if err != nil {
		return nil, fmt.Errorf("%s: %q are no hex digits", field, value)
	}
	return func(d *decodedPacket) (yes, has bool) {
		if ipsec := d.protocol() == "ESP" || d.protocol() == "AH"; ipsec && !strings.HasPrefix(field, "ike") {
			return uint64(d.p.SPI) == want, true
		}
		if d.msg == nil || field == "esp.spi" {
			return false, false
		}
		i, r := uint64(d.msg.SPIi) == want, uint64(d.msg.SPIr) == want
		return field != "ike.spi_r" && i || field != "ike.spi_i" && r, true
	}, nil
}

func matchNames(value string, get func(*decodedPacket) []string) matcher {
	return func(d *decodedPacket) (bool, bool) {
		names := get(d)
		return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, value) }), len(names) > 0
	}
}
