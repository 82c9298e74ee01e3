package packet

import (
	"encoding/binary"
	"fmt"
	"io"
)

// record is one frame as a container gives it. data is valid until the next one.
type record struct {
	nanos   int64
	wireLen int
	iface   int
	link    uint16
	data    []byte
	passed  int // frames before it, by Wireshark's count, that are no packets
}

// container is one of the file formats. next returns io.EOF at the end, a *Damage
// where the file breaks.
type container interface {
	next(*record) error
}

// magics of pcap files, as a big-endian reader sees them (draft-ietf-opsawg-pcap, Section 4; the
// modified format of A. Kuznetsov has eight more bytes in each record header).
const (
	magicMicro      = 0xa1b2c3d4
	magicNano       = 0xa1b23c4d
	magicModified   = 0xa1b2cd34
	pcapHeaderLen   = 24
	recordHeaderLen = 16
)

type pcapReader struct {
	src       *source
	order     binary.ByteOrder
	big       bool
	unit      int64 // nanoseconds of one unit of the timestamp's fraction
	headerLen int   // of a record
	link      uint16
	snapLen   int
}

// newPcap reads the header of a pcap file; ok is false when the first bytes are no pcap magic.
func newPcap(src *source) (p *pcapReader, ok bool, err error) {
	b, err := src.peek(pcapHeaderLen)
	if len(b) < 4 {
		return nil, false, nil
	}
	p = &pcapReader{src: src, order: binary.BigEndian, big: true, unit: 1000, headerLen: recordHeaderLen}
	if !p.magic(binary.BigEndian.Uint32(b)) {
		p.order, p.big = binary.LittleEndian, false
		if !p.magic(binary.LittleEndian.Uint32(b)) {
			return nil, false, nil
		}
	}
	if err != nil {
		return nil, true, fmt.Errorf("pcap: the file ends after %d bytes, inside its header", len(b))
	}
	p.snapLen = int(p.order.Uint32(b[16:]))
	p.link = uint16(p.order.Uint32(b[20:])) // the upper half tells of a frame check sequence
	src.skip(pcapHeaderLen)
	return p, true, nil
}

func (p *pcapReader) magic(m uint32) bool {
	switch m {
	case magicMicro:
	case magicNano:
		p.unit = 1
	case magicModified:
		p.headerLen = recordHeaderLen + 8
	default:
		return false
	}
	return true
}

func (p *pcapReader) next(r *record) error {
	at := p.src.offset()
	h, err := p.src.peek(p.headerLen)
	if err != nil {
		return cut(err, at, "a record header")
	}
	sec, frac, capLen, wireLen := p.fields(h)
	if capLen > maxRecord {
		return &Damage{at, fmt.Sprintf("a record claims %d bytes", capLen)}
	}
	b, err := p.src.peek(p.headerLen + int(capLen))
	if err != nil {
		return cut(err, at, "a record")
	}
	p.src.skip(len(b))
	r.nanos = int64(sec)*1e9 + int64(frac)*p.unit
	r.wireLen = int(max(capLen, wireLen))
	r.link = p.link
	r.data = b[p.headerLen:]
	return nil
}

// fields reads a record header. The byte order is asked here once, because a call through an
// interface for each field would be most of the work.
func (p *pcapReader) fields(h []byte) (sec, frac, capLen, wireLen uint32) {
	h = h[:recordHeaderLen]
	if p.big {
		o := binary.BigEndian
		return o.Uint32(h), o.Uint32(h[4:]), o.Uint32(h[8:]), o.Uint32(h[12:])
	}
	o := binary.LittleEndian
	return o.Uint32(h), o.Uint32(h[4:]), o.Uint32(h[8:]), o.Uint32(h[12:])
}

// cut turns the end of the file inside of something into the Damage that it is.
func cut(err error, at int64, inside string) error {
	if err == io.ErrUnexpectedEOF {
		return &Damage{at, "the file ends inside " + inside}
	}
	return err
}

// Error makes a Damage what the readers of the file formats return.
func (d *Damage) Error() string { return fmt.Sprintf("byte %d: %s", d.Offset, d.Reason) }
