package packet

import (
	"errors"
	"io"
	"iter"
)

// Options say how a capture is read. The zero value is right for almost everybody.
type Options struct {
	NoHash     bool // leave FileInfo.SHA256 empty, which saves a third of the time
	NoChecksum bool // do not verify UDP checksums: ChecksumOK is true everywhere
}

// Reader reads one capture, packet by packet. It is not safe for use by several goroutines.
type Reader struct{}

// NewReader finds out what r holds (pcap, pcapng, either in gzip, or the text of `show monitor capture NAME buffer dump`)
// and reads its header. It returns an error for anything that is not a capture; damage behind the header is no error.
func NewReader(r io.Reader, o Options) (*Reader, error) { return nil, errors.ErrUnsupported }

// Next reads the next packet into p. It returns io.EOF at the end of the capture, also where the capture is damaged:
// Info tells. Any other error is one of the reader below.
func (r *Reader) Next(p *Packet) error { return errors.ErrUnsupported }

// Info describes the file; it is complete after Next returned io.EOF.
func (r *Reader) Info() FileInfo { return FileInfo{} }

// All yields the packets of r. The packet is the same one every time, overwritten by the next step. An error ends
// the sequence and is yielded with a nil packet.
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
