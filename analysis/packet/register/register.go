// Package register makes gopacket decode IKE in the whole program. It is apart from package packet
// because gopacket's layers cost a program some milliseconds at its start, which only those should
// pay who need them.
package register

import (
	"encoding/binary"
	"sync"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/moncap/moncap/analysis/packet"
)

// IKE makes gopacket decode UDP ports 500 and 4500 with packet.IKELayer. On port 4500 it takes IKE,
// ESP in UDP and keepalives apart. Call it once, before packets are decoded; programs that use a
// DecodingLayerParser do not need it.
func IKE() {
	layers.RegisterUDPPortLayerType(500, packet.LayerTypeIKE())
	layers.RegisterUDPPortLayerType(4500, LayerTypeNATT())
}

// layerTypeNumber is from the range that gopacket leaves to its users, behind that
// of packet.LayerTypeIKE.
const layerTypeNumber = 4501

// LayerTypeNATT returns the layer type of what UDP port 4500 carries (RFC 3948): its decoder adds a
// packet.IKELayer, an ESP layer or a payload.
var LayerTypeNATT = sync.OnceValue(func() gopacket.LayerType {
	return gopacket.RegisterLayerType(layerTypeNumber,
		gopacket.LayerTypeMetadata{Name: "NAT-T", Decoder: gopacket.DecodeFunc(decodeNATT)})
})

// decodeNATT does what gopacket's own ESP decoder does, but survives packets of less than eight
// bytes. A non-ESP marker is SPI 0, which no ESP packet has.
func decodeNATT(data []byte, p gopacket.PacketBuilder) error {
	switch {
	case len(data) >= 4 && binary.BigEndian.Uint32(data) == 0:
		return packet.LayerTypeIKE().Decode(data, p)
	case len(data) < 8:
		return p.NextDecoder(gopacket.LayerTypePayload)
	}
	p.AddLayer(&layers.IPSecESP{
		BaseLayer: layers.BaseLayer{Contents: data},
		SPI:       binary.BigEndian.Uint32(data),
		Seq:       binary.BigEndian.Uint32(data[4:]),
		Encrypted: data[8:],
	})
	return nil
}
