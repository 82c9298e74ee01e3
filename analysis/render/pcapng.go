package render

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/moncap/moncap/analysis/packet"
	"github.com/moncap/moncap/analysis/report"
)

// PCAPNG writes both captures as one pcapng file with two interfaces, on A's clock and in time
// order, with comments on the packets that findings speak of and on the lost ones. A side without a
// capture is nil.
//
// The captures are read as streams and each is taken to be in time order itself; a packet that is
// not stays behind the one before it, as it is in its capture.
func PCAPNG(w io.Writer, r *report.Report, a, b io.Reader) error {
	n := &ngWriter{w: bufio.NewWriter(w), r: r, comments: packetComments(r), interfaces: map[ngInterface]uint32{},
		own: [2]map[netip.Addr]bool{ownAddresses(r.Sides.A), ownAddresses(r.Sides.B)}, lost: lostFlows(r)}
	n.section(n.headline())
	return n.captures(a, b)
}

// captures writes the packets of both, with what describes their interfaces before them.
func (n *ngWriter) captures(a, b io.Reader) error {
	sources, err := n.open(a, b)
	defer func() {
		for _, s := range sources {
			s.stop()
		}
	}()
	if err != nil {
		return err
	}
	for _, s := range sources { // also of an empty capture: there it is, with nothing in it
		n.iface(s.key())
	}
	for {
		s := earliest(sources)
		if s == nil {
			break
		}
		if err := n.packet(s); err != nil {
			return err
		}
		if err := s.advance(); err != nil {
			return err
		}
	}
	return n.w.Flush()
}

// Block types and options of pcapng (draft-ietf-opsawg-pcapng, Sections 4.1 to 4.3).
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockPacket    = 6

	optComment     = 1
	optFlags       = 2
	optUserApp     = 4
	optName        = 2
	optDescription = 3
	optResolution  = 9
	optHardware    = 15
	optSystem      = 12

	maxComment = 4096 // bytes; an option can hold 65535

	linkEthernet = 1 // as libpcap numbers link types
)

type ngInterface struct {
	side  report.Side
	index int
	link  uint16
	snap  int
}

type ngWriter struct {
	w          *bufio.Writer
	r          *report.Report
	comments   map[frameOf][]string
	interfaces map[ngInterface]uint32
	own        [2]map[netip.Addr]bool // the addresses of each side
	lost       map[lostFlow][][2]uint64
	verdict    string // a comment for the next packet
	buf        []byte
}

// lostFlow is an ESP SA of which packets are lost.
type lostFlow struct {
	spi  uint32
	from report.Side
}

// ngSource is one capture, read ahead by one packet.
type ngSource struct {
	side  report.Side
	shift int64 // nanoseconds, to be subtracted
	head  *packet.Packet
	in    *packet.Reader
	next  func() (*packet.Packet, error, bool)
	stop  func()
}

func (n *ngWriter) open(a, b io.Reader) ([]*ngSource, error) {
	var sources []*ngSource
	for _, in := range []struct {
		side report.Side
		file io.Reader
	}{{report.A, a}, {report.B, b}} {
		if in.file == nil {
			continue
		}
		reader, err := packet.NewReader(in.file, packet.Options{NoHash: true, NoChecksum: true})
		if err != nil {
			return sources, fmt.Errorf("side %s: %w", in.side, err)
		}
		s := &ngSource{side: in.side, in: reader}
		if in.side == report.B && n.r.Clock != nil {
			s.shift = int64(n.r.Clock.OffsetMS * 1e6)
		}
		s.next, s.stop = iter.Pull2(packet.Frames(reader))
		sources = append(sources, s)
		if err := s.advance(); err != nil {
			return sources, err
		}
	}
	return sources, nil
}

func (s *ngSource) advance() error {
	p, err, ok := s.next()
	if s.head = p; !ok {
		s.head = nil
	}
	if err != nil {
		return fmt.Errorf("side %s: %w", s.side, err)
	}
	return nil
}

// key is the interface of the packet ahead; Ethernet where there is none.
func (s *ngSource) key() ngInterface {
	k := ngInterface{side: s.side, link: linkEthernet, snap: s.in.Info().SnapLen}
	if s.head != nil {
		k.index, k.link = s.head.Interface, s.head.Link
	}
	return k
}

func (s *ngSource) nanos() int64 { return s.head.Nanos - s.shift }

func earliest(sources []*ngSource) *ngSource {
	var first *ngSource
	for _, s := range sources {
		if s.head != nil && (first == nil || s.nanos() < first.nanos()) {
			first = s
		}
	}
	return first
}

func (n *ngWriter) headline() string {
	v := n.r.Verdict
	text := clean(fmt.Sprintf("%s: %s", v.Outcome, v.Headline))
	if n.r.Sides.B != nil {
		text += " Times are of A's clock. " + clocks(n.r)
	}
	return text
}

func ownAddresses(s *report.SideInfo) map[netip.Addr]bool {
	own := map[netip.Addr]bool{}
	if s != nil {
		for _, text := range s.Addresses {
			if a, err := netip.ParseAddr(text); err == nil {
				own[a] = true
			}
		}
	}
	return own
}

func lostFlows(r *report.Report) map[lostFlow][][2]uint64 {
	out := map[lostFlow][][2]uint64{}
	for _, f := range r.Flows {
		spi, err := strconv.ParseUint(strings.TrimPrefix(f.SPI, "0x"), 16, 32)
		if err == nil && len(f.LostSequences) > 0 {
			k := lostFlow{uint32(spi), f.Direction.From()}
			out[k] = append(out[k], f.LostSequences...)
		}
	}
	return out
}

// isLost says whether an ESP packet is one of those that are proven lost.
func (n *ngWriter) isLost(s *ngSource) bool {
	p := s.head
	if p.Kind != packet.ESP && p.Kind != packet.AH {
		return false
	}
	return slices.ContainsFunc(n.lost[lostFlow{p.SPI, s.side}], func(run [2]uint64) bool {
		// the high half of the number is not sent (RFC 4303, Section 2.2.1)
		return run[0]&0xffffffff <= uint64(p.Seq) && uint64(p.Seq) <= run[1]&0xffffffff
	})
}

// direction is a packet's flags: 1 inbound, 2 outbound (draft-ietf-opsawg-pcapng, Section 4.3); 0
// where it is neither.
func (n *ngWriter) direction(s *ngSource) uint32 {
	own := n.own[sideIndex(s.side)]
	switch {
	case own[s.head.Src]:
		return 2
	case own[s.head.Dst]:
		return 1
	}
	return 0
}

func (n *ngWriter) begin(kind uint32) {
	n.buf = binary.LittleEndian.AppendUint32(n.buf[:0], kind)
	n.buf = append(n.buf, 0, 0, 0, 0)
}

func (n *ngWriter) pad() {
	for len(n.buf)%4 != 0 {
		n.buf = append(n.buf, 0)
	}
}

func (n *ngWriter) option(code uint16, value []byte) {
	n.buf = binary.LittleEndian.AppendUint16(n.buf, code)
	n.buf = binary.LittleEndian.AppendUint16(n.buf, uint16(len(value)))
	n.buf = append(n.buf, value...)
	n.pad()
}

func (n *ngWriter) text(code uint16, s string) {
	if s = cut(s, maxComment); s != "" {
		n.option(code, []byte(s))
	}
}

// cut shortens s to at most limit bytes of valid UTF-8.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && s[limit]&0xc0 == 0x80 {
		limit--
	}
	return s[:limit]
}

// end closes a block: end of options, and the length at either end.
func (n *ngWriter) end() error {
	n.buf = append(n.buf, 0, 0, 0, 0)
	size := uint32(len(n.buf) + 4)
	n.buf = binary.LittleEndian.AppendUint32(n.buf, size)
	binary.LittleEndian.PutUint32(n.buf[4:], size)
	_, err := n.w.Write(n.buf)
	return err
}

func (n *ngWriter) section(comment string) {
	n.begin(blockSection)
	n.buf = binary.LittleEndian.AppendUint32(n.buf, 0x1a2b3c4d) // byte order
	n.buf = append(n.buf, 1, 0, 0, 0)                           // version 1.0
	n.buf = binary.LittleEndian.AppendUint64(n.buf, ^uint64(0)) // length not given
	n.text(optComment, comment)
	n.text(optUserApp, clean(n.r.Tool.Name+" "+n.r.Tool.Version))
	_ = n.end() // an error of a bufio.Writer stays: Flush returns it
}

// iface returns the number of a capture's interface, and describes it in the file when it is new.
func (n *ngWriter) iface(k ngInterface) uint32 {
	if id, ok := n.interfaces[k]; ok {
		return id
	}
	id := uint32(len(n.interfaces))
	n.interfaces[k] = id
	n.begin(blockInterface)
	n.buf = binary.LittleEndian.AppendUint16(n.buf, k.link)
	n.buf = append(n.buf, 0, 0) // reserved
	n.buf = binary.LittleEndian.AppendUint32(n.buf, uint32(max(k.snap, 0)))
	name, description := sideName(n.r, k.side), "side "+string(k.side)
	if s := n.r.Sides.Get(k.side); s != nil {
		if s.Interface != "" {
			name += " " + clean(s.Interface)
		}
		description += ", " + clean(s.File)
		for _, a := range cleanAll(s.Addresses) {
			description += ", " + a
		}
	}
	if k.index == liveInterface {
		name, description = name+" (live)", description+", while it captures; times are approximate"
	}
	if k.side == report.B && n.r.Clock != nil {
		description += fmt.Sprintf(", times moved by %+.3f ms to A's clock", -n.r.Clock.OffsetMS)
	}
	n.text(optName, name)
	n.text(optDescription, description)
	n.option(optResolution, []byte{9})
	if n.r.Run != nil {
		for _, router := range n.r.Run.Routers {
			if router.Side == k.side {
				n.text(optSystem, clean(strings.TrimSpace("Cisco IOS XE "+router.Version)))
				n.text(optHardware, clean(router.Platform))
			}
		}
	}
	_ = n.end() // an error of a bufio.Writer stays: the packet's block returns it
	return id
}

func (n *ngWriter) packet(s *ngSource) error {
	p := s.head
	if len(p.Raw) > 1<<24 {
		return fmt.Errorf("side %s: frame %d: %d bytes are no packet", s.side, p.Frame, len(p.Raw))
	}
	n.beginPacket(n.iface(s.key()), s.nanos(), p.Raw, p.WireLen)
	if d := n.direction(s); d > 0 {
		n.option(optFlags, binary.LittleEndian.AppendUint32(nil, d))
	}
	if n.verdict != "" {
		n.text(optComment, n.verdict)
		n.verdict = ""
	}
	for _, c := range n.comments[frameOf{s.side, p.Frame}] {
		n.text(optComment, c)
	}
	if n.isLost(s) {
		n.text(optComment, fmt.Sprintf("LOST: sequence number %d never arrived at %s", p.Seq, sideName(n.r, s.side.Other())))
	}
	return n.end()
}

// beginPacket writes a packet up to its options.
func (n *ngWriter) beginPacket(id uint32, nanos int64, data []byte, wireLen int) {
	at := uint64(max(nanos, 0))
	n.begin(blockPacket)
	n.buf = binary.LittleEndian.AppendUint32(n.buf, id)
	n.buf = binary.LittleEndian.AppendUint32(n.buf, uint32(at>>32))
	n.buf = binary.LittleEndian.AppendUint32(n.buf, uint32(at))
	n.buf = binary.LittleEndian.AppendUint32(n.buf, uint32(len(data)))
	n.buf = binary.LittleEndian.AppendUint32(n.buf, uint32(max(wireLen, len(data))))
	n.buf = append(n.buf, data...)
	n.pad()
}

// packetComments says what is worth knowing of single packets: findings, in words that a display
// filter finds (frame.comment contains "FINDING"), and losses.
func packetComments(r *report.Report) map[frameOf][]string {
	out := map[frameOf][]string{}
	for _, f := range r.Findings {
		for _, e := range f.Evidence {
			text := fmt.Sprintf("FINDING %s (%s): %s", f.Code, f.Severity, f.Title)
			if e.Note != "" {
				text += " - " + e.Note
			}
			k := frameOf{e.Side, e.Frame}
			if text = clean(text); !slices.Contains(out[k], text) {
				out[k] = append(out[k], text)
			}
		}
	}
	for _, row := range NewLadder(r).Rows {
		if row.Kind != RowMessage || row.Fate != report.Lost {
			continue
		}
		text := fmt.Sprintf("LOST: never arrived at %s (transmission %d of %d)", sideName(r, row.From.Other()), row.Nth,
			row.Of)
		sent := row.Transmission.A
		if row.From == report.B {
			sent = row.Transmission.B
		}
		for _, f := range framesOf(sent) {
			k := frameOf{row.From, f}
			out[k] = append(out[k], text)
		}
	}
	return out
}

// framesOf are the frames of a packet: one, or those of its fragments.
func framesOf(s *report.Sighting) []int {
	switch {
	case s == nil:
		return nil
	case len(s.Fragments) > 0:
		return s.Fragments
	}
	return []int{s.Frame}
}
