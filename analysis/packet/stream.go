package packet

import (
	"bytes"
	"encoding/binary"
	"net/netip"
)

// IKE and ESP in TCP (RFC 9329): behind a prefix that its originator sends, a stream is records of
// a length, itself included, and an IKE message with a non-ESP marker or an ESP packet. A segment
// may hold several, a record may take several segments.

var tcpPrefix = []byte("IKETCP")

// Limits of the streams, so that no file can fill the memory: a record has 64 KB at most.
const maxStreams = 256

// streams puts together what TCP carries on port 4500, as far as the segments come in order. What
// was sent again is read once.
type streams struct {
	open    map[streamKey]*stream
	further [][]byte // records of the last segment that were not handed out yet
	segment Packet   // that segment
}

type streamKey struct {
	src, dst     netip.Addr
	sport, dport uint16
}

// stream is one direction of a connection.
type stream struct {
	next     uint32 // the sequence number that continues it
	hole     uint32 // where what is missing begins: up to its end a segment may come late
	holeEnd  uint32
	unfilled []byte // the beginning of a record
}

// segment is what matters of a TCP header (RFC 9293, Section 3.1) and what it carries.
type segment struct {
	key      streamKey
	seq, ack uint32
	data     []byte
}

// tcp recognises IKE and ESP in TCP by the stream's prefix, or by records that span
// just this segment.
func (d *decoder) tcp(p *Packet, b []byte) {
	if len(b) < 20 || len(b) < int(b[12]>>4)*4 || b[12]>>4 < 5 {
		return
	}
	sport, dport := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	p.SrcPort, p.DstPort, p.Payload = sport, dport, b[int(b[12]>>4)*4:]
	if sport != portNATT && dport != portNATT || len(p.Payload) == 0 {
		return
	}
	g := segment{streamKey{p.Src, p.Dst, sport, dport}, binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:]),
		p.Payload}
	records, known := d.streams.take(g)
	p.TCPEncap = known
	d.streams.segment, d.streams.further = *p, records
	if len(records) > 0 {
		d.streams.next(p)
		p.Record = 0
		d.streams.segment.Record = 0
	}
}

// next makes p the next record of the last segment.
func (s *streams) next(p *Packet) {
	*p = s.segment
	s.segment.Record++
	p.Record = s.segment.Record
	b := s.further[0]
	s.further = s.further[1:]
	if marked(b) {
		p.Kind, p.Marker, p.Payload = IKE, true, b[4:]
	} else {
		esp(p, b)
	}
}

// take returns the whole records that a segment ends, and whether it is of a stream of RFC 9329.
// They are valid until the next segment.
func (s *streams) take(g segment) (records [][]byte, known bool) {
	st := s.open[g.key]
	if data, prefixed := bytes.CutPrefix(g.data, tcpPrefix); prefixed &&
		(st == nil || st.next-g.seq > uint32(len(g.data))) {
		st = s.begin(g.key, g.seq+uint32(len(tcpPrefix)))
		s.begin(streamKey{g.key.dst, g.key.src, g.key.dport, g.key.sport}, g.ack)
		return st.read(data), true
	}
	if st == nil {
		records, rest := split(g.data)
		if len(records) == 0 || len(rest) > 0 {
			return nil, false
		}
		s.begin(g.key, g.seq+uint32(len(g.data)))
		return records, true
	}
	switch ahead := int32(g.seq - st.next); {
	case ahead <= 0 && int(-ahead) < len(g.data):
		return st.read(g.data[-ahead:]), true // what is new in it
	case ahead > 0:
		st.hole, st.holeEnd = st.next, g.seq
		st.next, st.unfilled = g.seq+uint32(len(g.data)), nil
	case int32(g.seq-st.hole) < 0 || int32(g.seq-st.holeEnd) >= 0:
		return nil, true // sent again
	default:
		st.hole = g.seq + uint32(len(g.data))
	}
	if records, rest := split(g.data); len(rest) == 0 {
		return records, true
	}
	return nil, true
}

// begin makes a stream that continues with next.
func (s *streams) begin(k streamKey, next uint32) *stream {
	if s.open == nil || len(s.open) >= maxStreams {
		s.open = map[streamKey]*stream{}
	}
	st := &stream{next: next, hole: next, holeEnd: next}
	s.open[k] = st
	return st
}

// read continues a stream with the data of a segment in its place.
func (st *stream) read(data []byte) [][]byte {
	st.next += uint32(len(data))
	if len(st.unfilled) > 0 {
		data = append(st.unfilled, data...)
	}
	records, rest := split(data)
	if st.unfilled = nil; !broken(rest) {
		st.unfilled = bytes.Clone(rest)
	}
	return records
}

const recordHeader = 2

// split cuts records off as long as they are whole, and returns the rest. Those too short for a
// message are passed over.
func split(b []byte) (records [][]byte, rest []byte) {
	const least = 6
	for len(b) >= recordHeader && !broken(b) {
		n := int(binary.BigEndian.Uint16(b))
		if n > len(b) {
			break
		}
		if n >= least {
			records = append(records, b[recordHeader:n])
		}
		b = b[n:]
	}
	return records, b
}

// broken says whether b cannot begin a record.
func broken(b []byte) bool {
	return len(b) >= recordHeader && binary.BigEndian.Uint16(b) < recordHeader
}
