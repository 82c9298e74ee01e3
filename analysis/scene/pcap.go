package scene

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
)

func Pcap(all []Record) []byte { return PcapOf(all, LinkEthernet) }

// Record is one packet of a capture in the tests.
type Record struct {
	Nanos int64
	Wire  int
	Data  []byte
}

const (
	LinkEthernet = 1
	LinkRaw      = 101
	LinkSLL      = 113
)

// PcapOf writes records as a nanosecond pcap of the link type.
func PcapOf(all []Record, link uint32) []byte {
	var b bytes.Buffer
	le := binary.LittleEndian
	head := le.AppendUint32(nil, 0xa1b23c4d)
	head = le.AppendUint16(head, 2)
	head = le.AppendUint16(head, 4)
	head = append(head, make([]byte, 8)...)
	head = le.AppendUint32(head, 0x40000)
	b.Write(le.AppendUint32(head, link))
	for _, r := range all {
		h := le.AppendUint32(nil, uint32(r.Nanos/1e9))
		h = le.AppendUint32(h, uint32(r.Nanos%1e9))
		h = le.AppendUint32(h, uint32(len(r.Data)))
		b.Write(le.AppendUint32(h, uint32(r.Wire)))
		b.Write(r.Data)
	}
	return b.Bytes()
}

// PcapngOf writes records as a pcapng file with one interface and nanoseconds.
func PcapngOf(all []Record) []byte {
	var b bytes.Buffer
	le := binary.LittleEndian
	block := func(kind uint32, body []byte) {
		for len(body)%4 != 0 {
			body = append(body, 0)
		}
		n := uint32(len(body) + 12)
		h := le.AppendUint32(le.AppendUint32(nil, kind), n)
		b.Write(le.AppendUint32(append(h, body...), n))
	}
	block(0x0a0d0d0a, append([]byte{0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0}, bytes.Repeat([]byte{0xff}, 8)...))
	block(1, []byte{LinkEthernet, 0, 0, 0, 0, 0, 4, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0})
	for _, r := range all {
		body := le.AppendUint32(nil, 0)
		body = le.AppendUint32(body, uint32(r.Nanos>>32))
		body = le.AppendUint32(body, uint32(r.Nanos))
		body = le.AppendUint32(body, uint32(len(r.Data)))
		body = le.AppendUint32(body, uint32(r.Wire))
		block(6, append(body, r.Data...))
	}
	return b.Bytes()
}

// MapRecords applies f to a copy of every record.
func MapRecords(all []Record, f func(r Record) []Record) []Record {
	var out []Record
	for _, r := range all {
		r.Data = slices.Clone(r.Data)
		out = append(out, f(r)...)
	}
	slices.SortStableFunc(out, func(x, y Record) int { return int(x.Nanos - y.Nanos) })
	return out
}

func Opener(b []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
}

// FragmentOf is the identification of an IP fragment, 0 of whole packets.
func FragmentOf(b []byte) uint32 {
	switch {
	case len(b) < 62:
	case b[12] == 8 && b[13] == 0 && binary.BigEndian.Uint16(b[20:])&0x3fff != 0:
		return 1<<31 | uint32(b[18])<<8 | uint32(b[19])
	case b[12] == 0x86 && b[13] == 0xdd && b[20] == 44:
		return 1<<30 | binary.BigEndian.Uint32(b[58:])
	}
	return 0
}
