package bundle

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// Packet is one frame for WritePCAP.
type Packet struct {
	Time   time.Time
	Data   []byte
	Length int // on the wire; 0: as long as Data
}

// WritePCAP writes a capture file as a router's export is: Ethernet, microseconds, little-endian,
// version 2.4 (the libpcap file format, draft-ietf-opsawg-pcap).
func WritePCAP(w io.Writer, packets []Packet) error {
	b := bufio.NewWriter(w)
	header := []uint32{0xa1b2c3d4, 2 | 4<<16, 0, 0, 65535, 1}
	if err := binary.Write(b, binary.LittleEndian, header); err != nil {
		return err
	}
	for i, p := range packets {
		if err := writePacket(b, p); err != nil {
			return fmt.Errorf("packet %d: %w", i+1, err)
		}
	}
	return b.Flush()
}

func writePacket(w io.Writer, p Packet) error {
	seconds := p.Time.Unix()
	if seconds < 0 || seconds > 1<<32-1 {
		return fmt.Errorf("time %s: out of the format's range", p.Time)
	}
	length := max(p.Length, len(p.Data))
	record := []uint32{uint32(seconds), uint32(p.Time.Nanosecond() / 1000), uint32(len(p.Data)), uint32(length)}
	if err := binary.Write(w, binary.LittleEndian, record); err != nil {
		return err
	}
	_, err := w.Write(p.Data)
	return err
}

// Tally is an io.Writer that counts the packets of the capture file (pcap) that is written to it.
type Tally struct {
	packets int
	order   binary.ByteOrder // nil: the file's header has not passed yet
	other   bool             // it is no pcap
	head    []byte           // of a header, as far as it has passed
	rest    uint32           // bytes of the packet that are still to come
}

// Whole returns how many packets have passed, each to its last byte. ok is false
// for what is no pcap.
func (t *Tally) Whole() (packets int, ok bool) { return t.packets, t.order != nil }

func (t *Tally) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && !t.other {
		if t.rest > 0 {
			k := min(uint64(len(p)), uint64(t.rest))
			p = p[k:]
			if t.rest -= uint32(k); t.rest == 0 {
				t.packets++
			}
			continue
		}
		k := min(len(p), t.headLength()-len(t.head))
		t.head, p = append(t.head, p[:k]...), p[k:]
		if len(t.head) == t.headLength() {
			t.header()
			t.head = t.head[:0]
		}
	}
	return n, nil
}

func (t *Tally) headLength() int {
	if t.order == nil {
		return 24
	}
	return 16
}

// header takes the file's header, or that of a packet.
func (t *Tally) header() {
	if t.order != nil {
		if t.rest = t.order.Uint32(t.head[8:]); t.rest == 0 {
			t.packets++
		}
		return
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		if magic := order.Uint32(t.head); magic == 0xa1b2c3d4 || magic == 0xa1b23c4d { // micro- or nanoseconds
			t.order = order
		}
	}
	t.other = t.order == nil
}
