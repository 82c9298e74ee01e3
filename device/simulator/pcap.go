package simulator

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// The link types (tcpdump.org/linktypes.html) of the captures that can be replayed.
const (
	linkEthernet = 1
	linkRaw      = 101
	linkCooked   = 113
)

// timed is one packet of a pcap file, as an Ethernet frame.
type timed struct {
	at     time.Time
	frame  []byte
	length int
}

// The most that one packet of a pcap file may hold.
const maxFrame = 1 << 18

// readPcap reads a pcap file of either byte order, with microseconds or nanoseconds.
func readPcap(in io.Reader) ([]timed, error) {
	var head [24]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, fmt.Errorf("not a pcap file: %w", err)
	}
	order, unit, err := pcapForm(head[:4])
	if err != nil {
		return nil, err
	}
	link := order.Uint32(head[20:]) & 0x0fffffff
	var all []timed
	for {
		var record [16]byte
		if _, err := io.ReadFull(in, record[:]); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("packet %d: %w", len(all)+1, err)
		}
		kept := order.Uint32(record[8:])
		if kept > maxFrame {
			return nil, fmt.Errorf("packet %d: %d bytes", len(all)+1, kept)
		}
		data := make([]byte, kept)
		if _, err := io.ReadFull(in, data); err != nil {
			return nil, fmt.Errorf("packet %d: %w", len(all)+1, err)
		}
		frame, err := ethernet(link, data)
		if err != nil {
			return nil, err
		}
		at := time.Unix(int64(order.Uint32(record[:])), int64(order.Uint32(record[4:]))*unit).UTC()
		all = append(all, timed{at, frame, int(order.Uint32(record[12:])) + len(frame) - len(data)})
	}
}

// pcapForm tells byte order and time unit from the magic number.
func pcapForm(magic []byte) (binary.ByteOrder, int64, error) {
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		switch order.Uint32(magic) {
		case 0xa1b2c3d4:
			return order, 1000, nil
		case 0xa1b23c4d:
			return order, 1, nil
		}
	}
	return nil, 0, fmt.Errorf("not a pcap file: it begins with % x", magic)
}

// ethernet gives a packet of another link the Ethernet header that the router's export would have.
func ethernet(link uint32, data []byte) ([]byte, error) {
	payload := data
	switch link {
	case linkEthernet:
		return data, nil
	case linkRaw, 12, 14, 228, 229:
	case linkCooked:
		payload = data[min(16, len(data)):]
	default:
		return nil, fmt.Errorf("link type %d: want Ethernet, raw IP or Linux cooked", link)
	}
	head := []byte{0x52, 0x54, 0, 0, 0, 2, 0x52, 0x54, 0, 0, 0, 1, 0x08, 0x00}
	if len(payload) > 0 && payload[0]>>4 == 6 {
		head[12], head[13] = 0x86, 0xdd
	}
	return append(head, payload...), nil
}

// pcap is the buffer as a file: little-endian, version 2.4, and unless a knob says otherwise
// microseconds and Ethernet.
func (b *buffer) pcap(k Knobs) []byte {
	le := binary.LittleEndian
	magic, unit, link, skip := uint32(0xa1b2c3d4), 1000, uint32(linkEthernet), 0
	if k.PcapNanoseconds {
		magic, unit = 0xa1b23c4d, 1
	}
	if k.PcapRaw {
		link, skip = linkRaw, 14
	}
	out := make([]byte, 0, 24+b.bytes)
	out = le.AppendUint32(out, magic)
	out = le.AppendUint16(le.AppendUint16(out, 2), 4)
	out = append(out, make([]byte, 8)...)
	out = le.AppendUint32(le.AppendUint32(out, 65535), link)
	for _, p := range b.packets {
		data := p.data[min(skip, len(p.data)):]
		out = le.AppendUint32(out, uint32(p.stamp.Unix()))
		out = le.AppendUint32(out, uint32(p.stamp.Nanosecond()/unit))
		out = le.AppendUint32(out, uint32(len(data)))
		out = le.AppendUint32(out, uint32(max(p.length-skip, len(data))))
		out = append(out, data...)
	}
	return out
}
