// Package ike reads and writes IKE messages: IKEv1 (RFC 2408, RFC 2409) and IKEv2
// (RFC 7296 and its family).
//
// It is the wire format and nothing else: no capture files, no I/O, no judgement. A broken message
// is evidence too, so parsing keeps all that can be read and says where the rest went wrong.
package ike

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// HeaderLen is the length of the IKE header in bytes (RFC 7296, Section 3.1).
const HeaderLen = 28

// SPI is the Security Parameter Index of an IKE SA; in IKEv1 a cookie. It prints as 16 hex digits.
type SPI uint64

func (s SPI) String() string { return fmt.Sprintf("%016x", uint64(s)) }

// Flags are the flags of the IKE header.
type Flags uint8

// The header flags of IKEv2 (RFC 7296, Section 3.1) and of IKEv1 (RFC 2408, Section 3.1).
const (
	FlagInitiator Flags = 0x08 // sent by the original initiator of the IKE SA
	FlagVersion   Flags = 0x10
	FlagResponse  Flags = 0x20

	FlagV1Encryption Flags = 0x01
	FlagV1Commit     Flags = 0x02
	FlagV1AuthOnly   Flags = 0x04
)

// Header is the fixed header of every IKE message (RFC 7296, Section 3.1; RFC 2408, Section 3.1).
type Header struct {
	SPIi, SPIr  SPI
	NextPayload PayloadType
	Version     uint8 // major version in the high nibble, minor in the low one
	Exchange    ExchangeType
	Flags       Flags
	MessageID   uint32
	Length      uint32 // of the whole message in bytes, as the header says
}

// Major returns the major version: 1 or 2 in any sane message.
func (h Header) Major() int { return int(h.Version >> 4) }

// Response says whether an IKEv2 message answers a request. In IKEv1 it is always false.
func (h Header) Response() bool { return h.Major() == 2 && h.Flags&FlagResponse != 0 }

// Initiator says whether an IKEv2 message was sent by the original initiator of the IKE SA.
func (h Header) Initiator() bool { return h.Major() == 2 && h.Flags&FlagInitiator != 0 }

// Encrypted says whether the payloads are encrypted: an SK or SKF payload follows the header
// (IKEv2), or the encryption bit is set (IKEv1).
func (h Header) Encrypted() bool {
	if h.Major() == 1 {
		return h.Flags&FlagV1Encryption != 0
	}
	return h.NextPayload == PayloadSK || h.NextPayload == PayloadSKF
}

// ErrShort is returned for fewer bytes than a header has.
var ErrShort = errors.New("shorter than an IKE header")

// ParseHeader reads the header of the message b. It allocates nothing.
func ParseHeader(b []byte) (Header, error) {
	if len(b) < HeaderLen {
		return Header{}, ErrShort
	}
	return Header{
		SPIi:        SPI(binary.BigEndian.Uint64(b)),
		SPIr:        SPI(binary.BigEndian.Uint64(b[8:])),
		NextPayload: PayloadType(b[16]),
		Version:     b[17],
		Exchange:    ExchangeType(b[18]),
		Flags:       Flags(b[19]),
		MessageID:   binary.BigEndian.Uint32(b[20:]),
		Length:      binary.BigEndian.Uint32(b[24:]),
	}, nil
}

// Payload is one payload of a message. The concrete types are named after the payloads: *SA, *KE,
// *Notify, ...; *Unknown keeps the bytes of any other.
type Payload interface {
	// Type returns the payload's number in the registry of the message's version.
	Type() PayloadType
}

// Message is one IKE message.
type Message struct {
	Header
	Payloads []Payload
	// IKEv1: up to three zero bytes behind the last payload, which make the length a multiple of four
	// (RFC 2408, Section 3.6)
	Padding  []byte
	Trailing []byte  // bytes behind the length that the header gives
	Faults   []Fault // where the message contradicts itself; empty for a well-formed one
}

// Fault says where a message stops making sense.
type Fault struct {
	Offset int // from the first byte of the IKE header
	Reason string
}

func (f Fault) String() string { return fmt.Sprintf("byte %d: %s", f.Offset, f.Reason) }
