package register

import (
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/packet"
)

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
	header := make([]byte, ike.HeaderLen)
	header[17], header[27] = 0x20, ike.HeaderLen
	for name, c := range map[string]struct {
		data []byte
		want gopacket.LayerType // zero for a plain payload
	}{
		"IKE":       {append(make([]byte, 4), header...), packet.LayerTypeIKE()},
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

func TestIKE(t *testing.T) {
	if got := layers.UDPPort(500).LayerType(); got == packet.LayerTypeIKE() {
		t.Fatal("registered before anybody asked")
	}
	IKE()
	if got := layers.UDPPort(500).LayerType(); got != packet.LayerTypeIKE() {
		t.Errorf("port 500 is %v", got)
	}
	if got := layers.UDPPort(4500).LayerType(); got != LayerTypeNATT() {
		t.Errorf("port 4500 is %v", got)
	}
}
