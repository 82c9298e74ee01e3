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

// WritePCAP writes a capture file as a router's export is: Ethernet, microseconds, little-endian, version 2.4 (the
// libpcap file format, draft-ietf-opsawg-pcap).
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
