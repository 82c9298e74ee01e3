package render

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/moncap/moncap/analysis/packet"
	"github.com/moncap/moncap/analysis/report"
)

// PCAPNG writes both captures as one pcapng file with two interfaces, on A's clock and in time order, with comments
// on the packets that findings speak of and on the lost ones. A side without a capture is nil.
//
// The captures are read as streams and each is taken to be in time order itself; a packet that is not stays behind the
// one before it, as it is in its capture.
func PCAPNG(w io.Writer, r *report.Report, a, b io.Reader) error {
	n := &ngWriter{w: bufio.NewWriter(w), r: r, comments: packetComments(r), interfaces: map[ngInterface]uint32{}}
	n.section(n.headline())
	sources, err := n.open(a, b)
	defer func() {
		for _, s := range sources {
			s.stop()
		}
	}()
	if err != nil {
		return err
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
	optUserApp     = 4
	optName        = 2
	optDescription = 3
	optResolution  = 9

	maxComment = 4096 // bytes; an option can hold 65535
)

type ngInterface struct {
	side  report.Side
	index int
	link  uint16
}

type ngWriter struct {
	w          *bufio.Writer
	r          *report.Report
	comments   map[frameOf][]string
	interfaces map[ngInterface]uint32
	buf        []byte
}

// ngSource is one capture, read ahead by one packet.
type ngSource struct {
	side  report.Side
	shift int64 // nanoseconds, to be subtracted
	head  *packet.Packet
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
		s := &ngSource{side: in.side}
		if in.side == report.B && n.r.Clock != nil {
			s.shift = int64(n.r.Clock.OffsetMS * 1e6)
		}
		s.next, s.stop = iter.Pull2(packet.All(reader))
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
	return clean(fmt.Sprintf("%s: %s", v.Outcome, v.Headline))
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
	n.buf = append(n.buf, 0, 0, 0, 0, 0, 0) // reserved, no snap length
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
	if k.side == report.B && n.r.Clock != nil {
		description += fmt.Sprintf(", times moved by %+.3f ms to A's clock", -n.r.Clock.OffsetMS)
	}
	n.text(optName, name)
	n.text(optDescription, description)
	n.option(optResolution, []byte{9})
	_ = n.end() // an error of a bufio.Writer stays: the packet's block returns it
	return id
}

func (n *ngWriter) packet(s *ngSource) error {
	p := s.head
	if len(p.Raw) > 1<<24 {
		return fmt.Errorf("side %s: frame %d: %d bytes are no packet", s.side, p.Frame, len(p.Raw))
	}
	id := n.iface(ngInterface{s.side, p.Interface, p.Link})
	at := uint64(max(s.nanos(), 0))
	n.begin(blockPacket)
	n.buf = binary.LittleEndian.AppendUint32(n.buf, id)
	n.buf = binary.LittleEndian.AppendUint32(n.buf, uint32(at>>32))
	n.buf = binary.LittleEndian.AppendUint32(n.buf, uint32(at))
	n.buf = binary.LittleEndian.AppendUint32(n.buf, uint32(len(p.Raw)))
	n.buf = binary.LittleEndian.AppendUint32(n.buf, uint32(max(p.WireLen, len(p.Raw))))
	n.buf = append(n.buf, p.Raw...)
	n.pad()
	for _, c := range n.comments[frameOf{s.side, p.Frame}] {
		n.text(optComment, c)
	}
	return n.end()
}

// packetComments says what is worth knowing of single packets: findings, in words that a display filter finds
// (frame.comment contains "FINDING"), and losses.
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
		if row.Kind == RowMessage && row.Fate == report.Lost {
			k, to := frameOf{row.From, row.FrameA}, row.From.Other()
			if row.From == report.B {
				k.frame = row.FrameB
			}
			out[k] = append(out[k], fmt.Sprintf("LOST: never arrived at %s (transmission %d of %d)", sideName(r, to), row.Nth, row.Of))
		}
	}
	return out
}
