package packet

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// What was decoded and serialised again must be the same bytes, for every sound message of all
// captures: of both versions, with and without the non-ESP marker, over IPv4 and IPv6, reassembled
// ones too.
func TestIKELayerThereAndBack(t *testing.T) {
	messages, marked := 0, 0
	for name, file := range captures(t) {
		all, _ := readAll(t, file)
		for _, p := range all {
			if p.Kind != IKE || p.Truncated {
				continue
			}
			data := p.Payload
			if p.Marker {
				data = append(make([]byte, 4), data...)
				marked++
			}
			var layer IKELayer
			if layer.DecodeFromBytes(data, gopacket.NilDecodeFeedback) != nil || len(layer.Message.Faults) > 0 {
				continue
			}
			for _, options := range []gopacket.SerializeOptions{{}, {FixLengths: true, ComputeChecksums: true}} {
				buffer := gopacket.NewSerializeBuffer()
				if err := gopacket.SerializeLayers(buffer, options, &layer); err != nil {
					t.Errorf("%s frame %d: %v", name, p.Frame, err)
				}
				if !bytes.Equal(buffer.Bytes(), data) {
					t.Errorf("%s frame %d:\n got %x\nwant %x", name, p.Frame, buffer.Bytes(), data)
				}
			}
			messages++
		}
	}
	if messages < 150 || marked < 10 {
		t.Errorf("only %d messages were compared, %d with the marker", messages, marked)
	}
}

// The layer is one of a parser's, behind Ethernet, IP and UDP.
func TestIKELayerInAParser(t *testing.T) {
	var eth layers.Ethernet
	var ip4 layers.IPv4
	var udp layers.UDP
	var layer IKELayer
	parser := gopacket.NewDecodingLayerParser(layers.LayerTypeEthernet, &eth, &ip4, &udp)
	parser.IgnoreUnsupported = true
	var decoded []gopacket.LayerType
	if err := parser.DecodeLayers(ether4(ike4(40)), &decoded); err != nil || len(decoded) != 3 {
		t.Fatalf("%v %v", decoded, err)
	}
	next := gopacket.NewDecodingLayerParser(LayerTypeIKE(), &layer)
	if err := next.DecodeLayers(udp.Payload, &decoded); err != nil || len(decoded) != 1 || decoded[0] != LayerTypeIKE() ||
		layer.Message == nil {
		t.Errorf("%v %v", decoded, err)
	}
}

// A length that the caller wants to be wrong stays so, unless it is to be fixed.
func TestIKELayerLengths(t *testing.T) {
	var layer IKELayer
	if err := layer.DecodeFromBytes(ikeMessage(40), gopacket.NilDecodeFeedback); err != nil {
		t.Fatal(err)
	}
	layer.Message.Length = 9999
	for fix, want := range map[bool]uint32{false: 9999, true: uint32(len(ikeMessage(40)))} {
		buffer := gopacket.NewSerializeBuffer()
		if err := layer.SerializeTo(buffer, gopacket.SerializeOptions{FixLengths: fix}); err != nil {
			t.Fatal(err)
		}
		if got := binary.BigEndian.Uint32(buffer.Bytes()[24:]); got != want {
			t.Errorf("fix %v: length %d, want %d", fix, got, want)
		}
	}
}

func TestIKELayerRefusesLessThanAHeader(t *testing.T) {
	for n := range 28 {
		var l IKELayer
		if l.DecodeFromBytes(ikeMessage(8)[:n], gopacket.NilDecodeFeedback) == nil {
			t.Errorf("%d bytes were decoded", n)
		}
	}
	if new(IKELayer).SerializeTo(gopacket.NewSerializeBuffer(), gopacket.SerializeOptions{}) == nil {
		t.Error("a layer without a message was serialised")
	}
}
