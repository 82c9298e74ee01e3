package packet

import (
	"bytes"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// What was decoded and serialised again must be the same bytes, for every sound message of the incidents.
func TestIKELayerThereAndBack(t *testing.T) {
	var eth layers.Ethernet
	var ip4 layers.IPv4
	var udp layers.UDP
	var layer IKELayer
	parser := gopacket.NewDecodingLayerParser(layers.LayerTypeEthernet, &eth, &ip4, &udp)
	parser.IgnoreUnsupported = true
	messages := 0
	for name, file := range captures(t) {
		all, _ := readAll(t, file)
		for _, p := range all {
			var decoded []gopacket.LayerType
			if p.Kind != IKE || p.Link != linkEthernet || p.IsFragment || p.Truncated || !p.Src.Is4() {
				continue
			}
			if err := parser.DecodeLayers(p.Raw, &decoded); err != nil || len(decoded) != 3 {
				t.Errorf("%s frame %d: %v %v", name, p.Frame, decoded, err)
				continue
			}
			if layer.DecodeFromBytes(udp.Payload, gopacket.NilDecodeFeedback) != nil || len(layer.Message.Faults) > 0 {
				continue
			}
			buffer := gopacket.NewSerializeBuffer()
			if err := gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{}, &layer); err != nil {
				t.Errorf("%s frame %d: %v", name, p.Frame, err)
			}
			if !bytes.Equal(buffer.Bytes(), udp.Payload) {
				t.Errorf("%s frame %d:\n got %x\nwant %x", name, p.Frame, buffer.Bytes(), udp.Payload)
			}
			messages++
		}
	}
	if messages < 100 {
		t.Errorf("only %d messages were compared", messages)
	}
}

// builder is the part of a gopacket packet that a decoder sees.
type builder struct {
	gopacket.PacketBuilder
	layers []gopacket.Layer
	next   gopacket.Decoder
}

func (b *builder) AddLayer(l gopacket.Layer)                       { b.layers = append(b.layers, l) }
func (b *builder) SetApplicationLayer(l gopacket.ApplicationLayer) {}
func (b *builder) SetTruncated()                                   {}
func (b *builder) NextDecoder(d gopacket.Decoder) error            { b.next = d; return nil }

func TestNATTLayer(t *testing.T) {
	for name, c := range map[string]struct {
		data []byte
		want gopacket.LayerType // zero for a plain payload
	}{
		"IKE":       {append(make([]byte, 4), ikeMessage(8)...), LayerTypeIKE()},
		"ESP":       {[]byte{1, 2, 3, 4, 0, 0, 0, 9, 7}, layers.LayerTypeIPSecESP},
		"keepalive": {[]byte{0xff}, 0},
		"short ESP": {[]byte{1, 2, 3, 4, 5, 6, 7}, 0},
	} {
		var b builder
		if err := LayerTypeNATT().Decode(c.data, &b); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if c.want == 0 {
			if b.next != gopacket.Decoder(gopacket.LayerTypePayload) || len(b.layers) > 0 {
				t.Errorf("%s: %v", name, b.layers)
			}
			continue
		}
		if len(b.layers) != 1 || b.layers[0].LayerType() != c.want {
			t.Errorf("%s: %v", name, b.layers)
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

func TestRegisterIKE(t *testing.T) {
	if got := layers.UDPPort(500).LayerType(); got == LayerTypeIKE() {
		t.Fatal("registered before anybody asked")
	}
	RegisterIKE()
	if got := layers.UDPPort(500).LayerType(); got != LayerTypeIKE() {
		t.Errorf("port 500 is %v", got)
	}
	if got := layers.UDPPort(4500).LayerType(); got != LayerTypeNATT() {
		t.Errorf("port 4500 is %v", got)
	}
}
