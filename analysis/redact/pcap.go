package redact

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/moncap/moncap/analysis/packet"
)

// PCAP copies a capture with everything in it made anonymous, frame by frame, as a pcap file with
// nanoseconds. Frames that do not belong to a tunnel keep their headers and nothing else. The
// captures of the case must have been learnt. The file is read twice: what an IP fragment becomes
// is known only with its whole datagram.
func (r *Redactor) PCAP(ctx context.Context, w io.Writer, file io.ReadSeeker) error {
	r.prepare(ctx)
	parts, err := r.datagrams(file)
	if err != nil {
		return err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	in, err := packet.NewReader(file, packet.Options{NoHash: true, NoChecksum: true})
	if err != nil {
		return err
	}
	link, begun := uint16(0), false
	for p, err := range packet.Frames(in) {
		if err != nil {
			return err
		}
		if !begun {
			link, begun = p.Link, true
			if err := writeHeader(w, link); err != nil {
				return err
			}
		}
		if p.Link != link {
			return fmt.Errorf("frame %d: two link types in one capture cannot be redacted", p.Frame)
		}
		frame := bytes.Clone(p.Raw)
		if err := r.frame(p, frame, parts[p.Frame]); err != nil {
			return fmt.Errorf("frame %d: %w", p.Frame, err)
		}
		if err := writeFrame(w, p, frame); err != nil {
			return err
		}
	}
	if !begun {
		if err := writeHeader(w, linkEthernet); err != nil {
			return err
		}
	}
	if in.Info().Damage != nil { // it is evidence: what comes out is cut as well
		if _, err := w.Write(make([]byte, 8)); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// datagram is what a datagram that came in IP fragments becomes.
type datagram struct {
	data   []byte // behind its UDP header
	change uint32 // of the checksum
}

// datagrams are the new contents of those IKE messages that came in fragments, by
// the frames of these.
func (r *Redactor) datagrams(file io.Reader) (map[int]*datagram, error) {
	parts := map[int]*datagram{}
	in, err := packet.NewReader(file, packet.Options{NoHash: true, NoChecksum: true})
	if err != nil {
		return nil, err
	}
	for p, err := range packet.All(in) {
		if err != nil {
			return nil, err
		}
		if p.Kind != packet.IKE || len(p.Fragments) == 0 || p.Overlap {
			continue
		}
		marker := 0
		if p.Marker {
			marker = 4
		}
		d := &datagram{data: append(make([]byte, marker), p.Payload...)}
		d.change = r.message(d.data[marker:])
		for _, f := range p.Fragments {
			parts[f] = d
		}
	}
	return parts, nil
}

// copyTo writes d's part into a fragment, and the change of all of it into the checksum
// where that stands.
func (d *datagram) copyTo(h ipHeader, addresses uint32) {
	if h.first && len(h.payload) >= 8 {
		copy(h.payload[8:], d.data)
		adjustUDP(h.payload[6:8], addresses+d.change)
		return
	}
	if at := h.offset - 8; at >= 0 && at < len(d.data) {
		copy(h.payload, d.data[at:])
	}
}

func (r *Redactor) frame(p *packet.Packet, b []byte, part *datagram) error {
	at, err := r.networkOffset(p.Link, b)
	if err != nil {
		return err
	}
	if at < 0 || at > len(b) {
		clear(b[min(14, len(b)):])
		return nil
	}
	tunnel := p.Kind != packet.Other
	if tunnel && p.Wrapping != "" {
		return fmt.Errorf("the packet is carried in %s: what is inside cannot be redacted", p.Wrapping)
	}
	r.packet(b[at:], tunnel, part)
	return nil
}

// writeHeader begins a pcap file (draft-ietf-opsawg-pcap): nanoseconds, little-endian.
func writeHeader(w io.Writer, link uint16) error {
	var h [24]byte
	binary.LittleEndian.PutUint32(h[0:], 0xa1b23c4d)
	binary.LittleEndian.PutUint16(h[4:], 2)
	binary.LittleEndian.PutUint16(h[6:], 4)
	binary.LittleEndian.PutUint32(h[16:], 262144)
	binary.LittleEndian.PutUint32(h[20:], uint32(link))
	_, err := w.Write(h[:])
	return err
}

func writeFrame(w io.Writer, p *packet.Packet, b []byte) error {
	var h [16]byte
	binary.LittleEndian.PutUint32(h[0:], uint32(p.Nanos/1e9))
	binary.LittleEndian.PutUint32(h[4:], uint32(p.Nanos%1e9))
	binary.LittleEndian.PutUint32(h[8:], uint32(len(b)))
	binary.LittleEndian.PutUint32(h[12:], uint32(max(p.WireLen, len(b))))
	_, err1 := w.Write(h[:])
	_, err2 := w.Write(b)
	return errors.Join(err1, err2)
}
