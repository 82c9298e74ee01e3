package packet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// Block types of pcapng (draft-ietf-opsawg-pcapng, Section 4).
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockPacketOld = 2
	blockSimple    = 3
	blockEnhanced  = 6
	blockJournal   = 9 // of systemd
	blockCustom    = 0x00000bad
	blockCustomOwn = 0x40000bad // one that is not to be copied

	orderMagic     = 0x1a2b3c4d
	blockOverhead  = 12 // type, length, length again
	maxBlock       = maxRecord + 64<<10
	maxInterfaces  = 1 << 16
	optionText     = 3 // if_description
	maxText        = 256
	optionTSResol  = 9
	optionTSOffset = 14
)

// ngInterface is what an Interface Description Block says about the packets that name it.
type ngInterface struct {
	link    uint16
	snapLen uint32
	resol   uint8 // if_tsresol: power of ten, or of two with the top bit
	offset  int64 // if_tsoffset, seconds
	text    string
}

type pcapngReader struct {
	src   *source
	order binary.ByteOrder
	all   []ngInterface
	base  int   // index in all of the section's first interface
	err   error // met before the first interface; next returns it
	told  int   // blocks since the last packet that are frames to Wireshark, too
}

// newPcapng reads up to the first interface; ok is false when the file does not begin with a
// section header.
func newPcapng(src *source) (n *pcapngReader, ok bool, err error) {
	b, _ := src.peek(4)
	if len(b) < 4 || binary.BigEndian.Uint32(b) != blockSection {
		return nil, false, nil
	}
	n = &pcapngReader{src: src, order: binary.LittleEndian}
	if err := n.section(); err != nil {
		return nil, true, fmt.Errorf("pcapng: %w", err)
	}
	for len(n.all) == 0 {
		kind, length, err := n.blockHeader()
		if err == nil && isPacketBlock(kind) {
			break // next says what is wrong with that
		}
		if err == nil {
			err = n.other(kind, length)
		}
		if n.err = err; err != nil {
			break
		}
	}
	return n, true, nil
}

func isPacketBlock(kind uint32) bool {
	return kind == blockEnhanced || kind == blockSimple || kind == blockPacketOld
}

// section reads a Section Header Block, which sets the byte order and forgets the interfaces.
func (n *pcapngReader) section() error {
	at := n.src.offset()
	b, err := n.src.peek(28)
	if err != nil {
		return cut(err, at, "a section header")
	}
	n.order = binary.LittleEndian
	if binary.BigEndian.Uint32(b[8:]) == orderMagic {
		n.order = binary.BigEndian
	} else if n.order.Uint32(b[8:]) != orderMagic {
		return &Damage{at, "a section header without its byte-order magic"}
	}
	length := n.order.Uint32(b[4:])
	if length < 28 || length > maxBlock {
		return &Damage{at, fmt.Sprintf("a section header claims %d bytes", length)}
	}
	n.base = len(n.all)
	return cut(n.src.discard(int64(length)), at, "a section header")
}

// blockHeader returns type and length of the next block, without consuming it.
func (n *pcapngReader) blockHeader() (kind, length uint32, err error) {
	at := n.src.offset()
	b, err := n.src.peek(8)
	if err != nil {
		return 0, 0, cut(err, at, "a block header")
	}
	kind, length = n.order.Uint32(b), n.order.Uint32(b[4:])
	if kind == blockSection {
		return kind, blockOverhead, nil // its length is in its own byte order
	}
	if length < blockOverhead || isPacketBlock(kind) && length > maxBlock {
		return 0, 0, &Damage{at, fmt.Sprintf("a block claims %d bytes", length)}
	}
	return kind, length, nil
}

func (n *pcapngReader) next(r *record) error {
	for n.err == nil {
		kind, length, err := n.blockHeader()
		if err != nil {
			return err
		}
		if !isPacketBlock(kind) {
			if err := n.other(kind, length); err != nil {
				return err
			}
			continue
		}
		at := n.src.offset()
		b, err := n.src.peek(int(length))
		if err != nil {
			return cut(err, at, "a packet block")
		}
		n.src.skip(len(b))
		if n.order.Uint32(b[length-4:]) != length {
			return &Damage{at, "a block whose two lengths differ"}
		}
		if err := n.packet(r, kind, b[8:length-4]); err != nil {
			return &Damage{at, err.Error()}
		}
		r.passed, n.told = n.told, 0
		return nil
	}
	return n.err
}

// other handles the blocks that are no packets.
func (n *pcapngReader) other(kind, length uint32) error {
	at := n.src.offset()
	switch kind {
	case blockSection:
		return n.section()
	case blockInterface:
		b, err := n.src.peek(int(min(length, 64<<10)))
		if err != nil {
			return cut(err, at, "an interface description")
		}
		if len(b) < 20 || len(n.all) == maxInterfaces {
			return &Damage{at, fmt.Sprintf("interface %d cannot be described in %d bytes", len(n.all), len(b))}
		}
		n.all = append(n.all, n.describe(b[8:len(b)-4]))
	case blockJournal, blockCustom, blockCustomOwn:
		n.told++
	}
	padded := (int64(length) + 3) &^ 3
	return cut(n.src.discard(padded), at, "a block")
}

func (n *pcapngReader) describe(b []byte) ngInterface {
	i := ngInterface{link: n.order.Uint16(b), snapLen: n.order.Uint32(b[4:]), resol: 6}
	for o := b[8:]; len(o) >= 4; {
		code, length := n.order.Uint16(o), int(n.order.Uint16(o[2:]))
		o = o[4:]
		if code == 0 || length > len(o) {
			break
		}
		switch {
		case code == optionText:
			i.text = string(o[:min(length, maxText)])
		case code == optionTSResol && length >= 1:
			i.resol = o[0]
		case code == optionTSOffset && length >= 8:
			i.offset = int64(n.order.Uint64(o))
		}
		o = o[min((length+3)&^3, len(o)):]
	}
	return i
}

// packet reads the body of a packet block.
func (n *pcapngReader) packet(r *record, kind uint32, b []byte) error {
	if kind == blockSimple {
		return n.simple(r, b)
	}
	if len(b) < 20 {
		return errors.New("a packet block without its header")
	}
	id := int(n.order.Uint32(b))
	if kind == blockPacketOld {
		id = int(n.order.Uint16(b))
	}
	i, err := n.lookUp(id)
	if err != nil {
		return err
	}
	units := uint64(n.order.Uint32(b[4:]))<<32 | uint64(n.order.Uint32(b[8:]))
	capLen, wireLen := n.order.Uint32(b[12:]), n.order.Uint32(b[16:])
	if capLen > maxRecord || int(capLen) > len(b)-20 {
		return fmt.Errorf("a packet claims %d bytes, its block holds %d", capLen, len(b)-20)
	}
	r.nanos = i.nanos(units)
	r.fill(n.base+id, i.link, wireLen, b[20:20+capLen])
	return nil
}

// simple reads a Simple Packet Block: no time, always the first interface, its length bounded by
// the snap length.
func (n *pcapngReader) simple(r *record, b []byte) error {
	i, err := n.lookUp(0)
	if err != nil {
		return err
	}
	if len(b) < 4 {
		return errors.New("a simple packet block without its header")
	}
	wireLen, data := n.order.Uint32(b), b[4:]
	capLen := wireLen
	if i.snapLen > 0 {
		capLen = min(capLen, i.snapLen)
	}
	r.nanos = 0
	r.fill(n.base, i.link, wireLen, data[:min(int64(capLen), int64(len(data)))])
	return nil
}

func (r *record) fill(iface int, link uint16, wireLen uint32, data []byte) {
	r.iface, r.link, r.data = iface, link, data
	r.wireLen = max(int(wireLen), len(data))
}

func (n *pcapngReader) lookUp(id int) (*ngInterface, error) {
	if id < 0 || id >= len(n.all)-n.base {
		return nil, fmt.Errorf("a packet of interface %d, of which nothing was said", id)
	}
	return &n.all[n.base+id], nil
}

// nanos converts a timestamp in the interface's units to nanoseconds since 1970.
func (i *ngInterface) nanos(units uint64) int64 {
	return i.offset*1e9 + int64(i.scale(units))
}

func (i *ngInterface) scale(units uint64) uint64 {
	n := uint(i.resol & 0x7f)
	if i.resol&0x80 != 0 { // units of 2^-n seconds
		hi, lo := bits.Mul64(units, 1e9)
		if n >= 64 {
			return hi >> (n - 64)
		}
		return hi<<(64-n) | lo>>n
	}
	switch {
	case n <= 9:
		return units * power10(9-n)
	case n <= 28:
		return units / power10(n-9)
	}
	return 0
}

func power10(n uint) uint64 {
	p := uint64(1)
	for range n {
		p *= 10
	}
	return p
}
