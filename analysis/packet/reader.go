package packet

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"iter"
)

// Options say how a capture is read. The zero value is right for almost everybody.
type Options struct {
	NoHash     bool // leave FileInfo.SHA256 empty, for speed
	NoChecksum bool // do not verify UDP checksums: ChecksumOK is true everywhere
	// CutFirst reads a first fragment that the capture cut short as far as it goes, as a datagram in
	// itself: Partial is true, and should the datagram become whole, it comes once more. Without it,
	// such a fragment waits for the others as every fragment does.
	CutFirst bool
	// Here says of a fragment whether it was captured at one place or at the other, of a capture of
	// two: only fragments of one place make a datagram whole. It is asked when the interface, the
	// addresses and the TTL are known. nil: all are of one.
	Here func(*Packet) bool
}

// Reader reads one capture, packet by packet. It is not safe for use by several goroutines. Its
// memory does not grow with the file.
type Reader struct {
	disk    *disk
	src     *source // of the container's bytes
	file    container
	decoder decoder
	record  record
	frame   int
	info    FileInfo
	done    bool
	err     error
}

// NewReader finds out what r holds (pcap, pcapng, either in gzip, the text of `show monitor capture
// NAME buffer dump`, or a hex text of tcpdump, FortiGate or ASA) and reads its header. It returns
// an error for anything that is not a capture; damage behind the header is no error.
func NewReader(r io.Reader, o Options) (*Reader, error) {
	n := &Reader{disk: &disk{r: r}, decoder: decoder{noChecksum: o.NoChecksum, cutFirst: o.CutFirst}}
	n.decoder.fragments.here = o.Here
	if !o.NoHash {
		n.disk.sum = newFileHash()
	}
	src := newSource(n.disk)
	if b, _ := src.peek(2); len(b) == 2 && b[0] == 0x1f && b[1] == 0x8b {
		z, err := gzip.NewReader(src)
		if err != nil {
			return nil, fmt.Errorf("capture: gzip: %w", err)
		}
		src = newSource(z)
	}
	n.src = src
	if err := n.open(src); err != nil {
		if n.disk.err != nil {
			err = n.disk.err
		}
		return nil, fmt.Errorf("capture: %w", err)
	}
	return n, nil
}

var (
	errEmpty   = errors.New("the file is empty")
	errUnknown = errors.New("neither pcap, pcapng, gzip, a text of show monitor capture NAME buffer dump, nor a hex " +
		"text of tcpdump -XX, FortiGate or ASA; editcap -F pcap FILE CONVERTED.pcap converts what Wireshark reads (ERF, " +
		"for instance), text2pcap other hex texts")
)

// open recognises the format by the first bytes.
func (r *Reader) open(src *source) error {
	head, err := src.peek(4)
	if len(head) == 0 && err == io.EOF {
		return errEmpty
	}
	if len(head) == 0 {
		return err
	}
	if p, ok, err := newPcap(src); ok {
		r.file, r.info = p, FileInfo{Format: "pcap"}
		if err == nil {
			r.info.LinkType, r.info.SnapLen = linkName(p.link), p.snapLen
		}
		return err
	}
	if p, ok, err := newPcapng(src); ok {
		r.file, r.info = p, FileInfo{Format: "pcapng"}
		if err == nil && len(p.all) > 0 {
			r.info.LinkType, r.info.SnapLen = linkName(p.all[0].link), int(p.all[0].snapLen)
		}
		return err
	}
	if h, ok := newHexText(src); ok {
		r.file, r.info = h, FileInfo{Format: "hex text", LinkType: linkName(linkEthernet)}
		return nil
	}
	if err := foreign(src); err != errUnknown {
		return err
	}
	if d, ok := newDump(src); ok {
		r.file, r.info = d, FileInfo{Format: "dump", LinkType: linkName(linkEthernet)}
		return nil
	}
	return errUnknown
}

// Next reads the next packet into p, or the next record of the TCP segment before: then Record
// counts on. It returns io.EOF at the end of the capture, also where the capture is damaged: Info
// tells. Any other error is one of the reader below.
func (r *Reader) Next(p *Packet) error {
	if r.done {
		return r.err
	}
	if len(r.decoder.streams.further) > 0 {
		r.decoder.streams.next(p)
		return nil
	}
	if err := r.file.next(&r.record); err != nil {
		return r.end(err)
	}
	r.info.Packets++
	r.frame += 1 + r.record.passed
	*p = Packet{Frame: r.frame}
	r.decoder.decode(p, &r.record)
	return nil
}

// end keeps why reading ended, and reads what is left of the file for its hash.
func (r *Reader) end(err error) error {
	r.done, r.err = true, io.EOF
	if n, ok := r.file.(*pcapngReader); ok {
		for _, i := range n.all {
			r.info.Interfaces = append(r.info.Interfaces, i.text)
		}
	}
	r.info.Bytes = r.src.offset()
	if r.disk.err == nil && err != io.EOF {
		if !errors.As(err, &r.info.Damage) { // not the container's own words: gzip's
			r.info.Damage = &Damage{Reason: err.Error()}
		}
	}
	if r.disk.err == nil && r.disk.sum != nil {
		_, _ = io.Copy(io.Discard, r.disk) // disk keeps the error
	}
	if r.disk.err != nil {
		r.err = fmt.Errorf("capture: read: %w", r.disk.err)
		return r.err
	}
	if r.disk.sum != nil {
		r.info.SHA256 = r.disk.sum.hex()
	}
	return r.err
}

// Info describes the file; it is complete after Next returned io.EOF.
func (r *Reader) Info() FileInfo { return r.info }

// Frames yields a packet for each frame of r: of a TCP segment with several records its first.
func Frames(r *Reader) iter.Seq2[*Packet, error] {
	return func(yield func(*Packet, error) bool) {
		for p, err := range All(r) {
			if (err != nil || p.Record == 0) && !yield(p, err) {
				return
			}
		}
	}
}

// All yields the packets of r. The packet is the same one every time, overwritten by the next step.
// An error ends the sequence and is yielded with a nil packet.
func All(r *Reader) iter.Seq2[*Packet, error] {
	return func(yield func(*Packet, error) bool) {
		var p Packet
		for {
			switch err := r.Next(&p); {
			case err == io.EOF:
				return
			case err != nil:
				yield(nil, err)
				return
			case !yield(&p, nil):
				return
			}
		}
	}
}
