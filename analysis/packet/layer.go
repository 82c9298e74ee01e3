package packet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/google/gopacket"

	"github.com/moncap/moncap/analysis/ike"
)

// layerTypeNumber is from the range that gopacket leaves to its users.
const layerTypeNumber = 4500

// LayerTypeIKE returns the layer type of IKE messages. It is made when it is first asked for:
// importing this package changes nothing in gopacket.
var LayerTypeIKE = sync.OnceValue(func() gopacket.LayerType {
	return gopacket.RegisterLayerType(layerTypeNumber, gopacket.LayerTypeMetadata{
		Name:    "IKE",
		Decoder: gopacket.DecodeFunc(decodeIKELayer),
	})
})

// IKELayer is an IKE message as a gopacket layer. It is a DecodingLayer and a SerializableLayer.
type IKELayer struct {
	Message  *ike.Message
	Marker   bool // the non-ESP marker of UDP port 4500 stands before the message
	contents []byte
}

var (
	_ gopacket.ApplicationLayer  = (*IKELayer)(nil)
	_ gopacket.DecodingLayer     = (*IKELayer)(nil)
	_ gopacket.SerializableLayer = (*IKELayer)(nil)
)

// LayerType returns LayerTypeIKE().
func (l *IKELayer) LayerType() gopacket.LayerType { return LayerTypeIKE() }

// CanDecode returns LayerTypeIKE().
func (l *IKELayer) CanDecode() gopacket.LayerClass { return LayerTypeIKE() }

// NextLayerType says that nothing follows an IKE message.
func (l *IKELayer) NextLayerType() gopacket.LayerType { return gopacket.LayerTypeZero }

// LayerContents returns the message's bytes, with its marker.
func (l *IKELayer) LayerContents() []byte { return l.contents }

// LayerPayload returns nil: an IKE message carries no other layer.
func (l *IKELayer) LayerPayload() []byte { return nil }

// Payload returns nil, too.
func (l *IKELayer) Payload() []byte { return nil }

// DecodeFromBytes reads a message, with or without the non-ESP marker. A message that is broken
// behind its header is no error: its Faults say where.
func (l *IKELayer) DecodeFromBytes(data []byte, df gopacket.DecodeFeedback) error {
	l.Marker = marked(data) && !LooksLikeIKE(data, len(data))
	b := data
	if l.Marker {
		b = data[4:]
	}
	m, err := ike.Parse(b)
	if err != nil {
		df.SetTruncated()
		return fmt.Errorf("IKE layer: %w", err)
	}
	if uint64(m.Length) > uint64(len(b)) {
		df.SetTruncated()
	}
	l.Message, l.contents = m, data
	return nil
}

// SerializeTo prepends the message. The chain of types and the payloads' lengths are made from the
// payloads; the length in the header too with FixLengths, else it is the message's own.
func (l *IKELayer) SerializeTo(b gopacket.SerializeBuffer, o gopacket.SerializeOptions) error {
	if l.Message == nil {
		return errors.New("IKE layer: there is no message to serialise")
	}
	message, err := l.Message.Append(nil)
	if err != nil {
		return fmt.Errorf("IKE layer: %w", err)
	}
	if !o.FixLengths {
		binary.BigEndian.PutUint32(message[24:], l.Message.Length)
	}
	if l.Marker {
		message = append(make([]byte, 4, 4+len(message)), message...)
	}
	out, err := b.PrependBytes(len(message))
	if err == nil {
		copy(out, message)
	}
	return err
}

func decodeIKELayer(data []byte, p gopacket.PacketBuilder) error {
	l := &IKELayer{}
	if err := l.DecodeFromBytes(data, p); err != nil {
		return err
	}
	p.AddLayer(l)
	p.SetApplicationLayer(l)
	return nil
}
