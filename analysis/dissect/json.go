package dissect

import (
	"bufio"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/moncap/moncap/analysis/packet"
)

// jsonView prints an object a packet: on a line each, or as the elements of one array.
type jsonView struct {
	w     *bufio.Writer
	array bool
	shown int
}

// jsonPacket is one packet in JSON.
type jsonPacket struct {
	Frame     int       `json:"frame"`
	Time      string    `json:"time"` // RFC 3339 with nanoseconds
	Interface int       `json:"interface,omitempty"`
	Src       string    `json:"src,omitempty"`
	Dst       string    `json:"dst,omitempty"`
	SrcPort   uint16    `json:"sport,omitempty"`
	DstPort   uint16    `json:"dport,omitempty"`
	Length    int       `json:"length"` // of the frame on the wire
	Captured  int       `json:"captured,omitempty"`
	Protocol  string    `json:"protocol"`
	Info      string    `json:"info"`
	TTL       uint8     `json:"ttl,omitempty"`
	DSCP      uint8     `json:"dscp,omitempty"`
	IPID      uint32    `json:"ip_id,omitempty"`
	Truncated bool      `json:"truncated,omitempty"`
	BadSum    bool      `json:"checksum_wrong,omitempty"`
	NATT      bool      `json:"non_esp_marker,omitempty"`
	TCP       bool      `json:"tcp_encapsulated,omitempty"`
	Wrapping  string    `json:"carried_in,omitempty"` // what carried the packet, outermost first
	Unread    string    `json:"not_read,omitempty"`   // what of the frame is not read
	Fragment  *jsonFrag `json:"fragment,omitempty"`
	Fragments []int     `json:"fragments,omitempty"` // frames that the message came in
	IKE       *jsonIKE  `json:"-"`                   // "ike", written behind the others
	ESP       *jsonESP  `json:"esp,omitempty"`
	AH        *jsonAH   `json:"ah,omitempty"`
	ICMP      *jsonICMP `json:"icmp,omitempty"`
}

type jsonFrag struct {
	Offset int  `json:"offset"`
	More   bool `json:"more"`
}

// jsonIKE is a message; its members have the names of the fields of its header.
type jsonIKE struct {
	Version, SPIi, SPIr string
	Exchange            uint8
	Name                string
	Flags               uint8
	MessageID, Length   uint32
	Payloads            []jsonPayload
	Malformed           []jsonFault
}

type jsonFault struct {
	Offset int
	Reason string
}

type jsonESP struct {
	SPI          string `json:"spi"`
	Seq          uint32 `json:"seq"`
	Encapsulated bool   `json:"udp_encapsulated"`
}

type jsonAH struct {
	SPI string `json:"spi"`
	Seq uint32 `json:"seq"`
}

type jsonICMP struct {
	Type    uint8  `json:"type"`
	Code    uint8  `json:"code"`
	MTU     int    `json:"mtu,omitempty"`
	Src     string `json:"src,omitempty"` // of the packet that it quotes, like all below
	Dst     string `json:"dst,omitempty"`
	SrcPort uint16 `json:"sport,omitempty"`
	DstPort uint16 `json:"dport,omitempty"`
	Proto   uint8  `json:"protocol,omitempty"`
	IPID    uint32 `json:"ip_id,omitempty"`
}

func (j *jsonView) show(d *decodedPacket) error {
	o := newJSONPacket(d)
	b, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("frame %d: %w", d.p.Frame, err)
	}
	if o.IKE != nil {
		b = append(o.IKE.append(append(b[:len(b)-1], `,"ike":`...)), '}')
	}
	b = escapeControls(b)
	switch {
	case !j.array:
		b = append(b, '\n')
	case j.shown == 0:
		b = append([]byte("[\n"), b...)
	default:
		b = append([]byte(",\n"), b...)
	}
	j.shown++
	_, err = j.w.Write(b)
	return err
}

func (j *jsonView) end() error {
	if !j.array {
		return nil
	}
	text := "\n]\n"
	if j.shown == 0 {
		text = "[]\n"
	}
	_, err := j.w.WriteString(text)
	return err
}

func newJSONPacket(d *decodedPacket) *jsonPacket {
	p := d.p
	j := &jsonPacket{
		Frame: p.Frame, Time: p.Time().Format("2006-01-02T15:04:05.000000000Z07:00"), Interface: p.Interface,
		SrcPort: p.SrcPort, DstPort: p.DstPort, Length: p.WireLen, Protocol: d.protocol(), Info: infoText(d),
		TTL: p.TTL, DSCP: p.DSCP, IPID: p.IPID, Truncated: p.Truncated, BadSum: !p.ChecksumOK, NATT: p.Marker, TCP: p.TCPEncap,
		Wrapping: p.Wrapping, Unread: p.Unread,
		Fragments: p.Fragments,
	}
	if p.Src.IsValid() {
		j.Src, j.Dst = p.Src.String(), p.Dst.String()
	}
	if p.CapLen != p.WireLen {
		j.Captured = p.CapLen
	}
	if p.IsFragment {
		j.Fragment = &jsonFrag{p.FragOffset, p.MoreFrags}
	}
	switch spi := fmt.Sprintf("0x%08x", p.SPI); p.Kind {
	case packet.IKE:
		j.IKE = newJSONIKE(d)
	case packet.ESP:
		j.ESP = &jsonESP{spi, p.Seq, p.UDPEncap}
	case packet.AH:
		j.AH = &jsonAH{spi, p.Seq}
	case packet.ICMP:
		j.ICMP = newJSONICMP(p.Error)
	}
	return j
}

func newJSONICMP(e *packet.ICMPError) *jsonICMP {
	j := &jsonICMP{Type: e.Type, Code: e.Code, MTU: e.MTU, SrcPort: e.SrcPort, DstPort: e.DstPort, Proto: e.Proto, IPID: e.IPID}
	if e.Src.IsValid() {
		j.Src, j.Dst = e.Src.String(), e.Dst.String()
	}
	return j
}

func newJSONFaults(d *decodedPacket) []jsonFault {
	var all []jsonFault
	for _, f := range d.faults() {
		all = append(all, jsonFault{f.Offset, f.Reason})
	}
	return all
}

// escapeControls escapes the control and format characters that JSON allows as they are, so that a packet cannot drive
// the terminal that its JSON is shown on. They can only stand inside strings.
func escapeControls(b []byte) []byte {
	unsafe := func(r rune) bool {
		return r > 0x7e && r < 0x10000 && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r))
	}
	if !slices.ContainsFunc(b, func(c byte) bool { return c > 0x7e }) {
		return b
	}
	out := make([]byte, 0, len(b)+16)
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if unsafe(r) {
			out = append(out, `\u`...)
			out = append(out, strconv.FormatUint(uint64(r)+0x10000, 16)[1:]...)
		} else {
			out = append(out, b[:n]...)
		}
		b = b[n:]
	}
	return out
}
