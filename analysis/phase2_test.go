package analysis_test

import (
	"fmt"
	"testing"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/scene"
)

// sealing is how the algorithms of an IKE SA pack payloads (RFC 7296, Section 3.14), in the test's
// own numbers.
type sealing struct {
	name           string
	encr, bits     uint16
	integ, prf     uint16
	iv, block, icv int
	auth           int // data of an AUTH payload with a pre-shared key: the PRF's output
}

var sealings = []sealing{
	{"3DES, SHA1", 3, 0, 2, 2, 8, 8, 12, 20}, {"3DES, MD5", 3, 0, 1, 1, 8, 8, 12, 16},
	{"DES, SHA256", 2, 0, 12, 5, 8, 8, 16, 32},
	{"AES-CBC-128, SHA1", 12, 128, 2, 2, 16, 16, 12, 20}, {"AES-CBC-192, SHA256", 12, 192, 12, 5, 16, 16, 16, 32},
	{"AES-CBC-256, SHA384", 12, 256, 13, 6, 16, 16, 24, 48}, {"AES-CBC-256, SHA512", 12, 256, 14, 7, 16, 16, 32, 64},
	{"AES-CBC-256, XCBC", 12, 256, 5, 4, 16, 16, 12, 16}, {"AES-CTR-256, SHA256", 13, 256, 12, 5, 8, 1, 16, 32},
	{"AES-CCM-8", 14, 256, 0, 5, 8, 1, 8, 32}, {"AES-CCM-12", 15, 256, 0, 5, 8, 1, 12, 32},
	{"AES-CCM-16", 16, 256, 0, 6, 8, 1, 16, 48},
	{"AES-GCM-8", 18, 128, 0, 5, 8, 1, 8, 32}, {"AES-GCM-12", 19, 256, 0, 5, 8, 1, 12, 32},
	{"AES-GCM-16", 20, 256, 0, 7, 8, 1, 16, 64},
	{"ChaCha20-Poly1305", 28, 0, 0, 5, 8, 1, 16, 32}, {"Camellia-CBC, SHA256", 23, 256, 12, 5, 16, 16, 16, 32},
}

func (x sealing) transforms() []ike.Transform {
	encr := ike.Transform{Type: ike.TransformENCR, ID: x.encr}
	if x.bits > 0 {
		encr.Attributes = []ike.Attribute{{Type: 14, Short: true, Value: x.bits}}
	}
	all := []ike.Transform{encr, {Type: ike.TransformPRF, ID: x.prf}}
	if x.integ > 0 {
		all = append(all, ike.Transform{Type: ike.TransformINTEG, ID: x.integ})
	}
	return append(all, ike.Transform{Type: ike.TransformKE, ID: 19})
}

// seal is an encrypted message with size bytes of payloads inside; the sender pads to a multiple of
// pad beyond what the cipher needs.
func (x sealing) seal(a *scene.SA, from int, id uint32, response bool, first ike.PayloadType, size, pad int) []byte {
	n := size + 1
	multiple := max(x.block, pad)
	n = (n + multiple - 1) / multiple * multiple
	data := make([]byte, x.iv+n+x.icv)
	for i := range data {
		data[i] = byte(int(a.I>>32) + i*3 + from + int(id)*7)
	}
	return a.Plain(ike.IKEAuth, from, id, response, &ike.Encrypted{Number: ike.PayloadSK, First: first, Data: data})
}

// The size of an IKE_AUTH response and what stands first in it tell how it ended, with every cipher
// and way of padding.
func TestSizesTellHowAuthenticationEnded(t *testing.T) {
	const identity, sa36, sa44, ts, notify, vendor = 12, 36, 44, 24, 8, 20
	for _, x := range sealings {
		auth := 8 + x.auth
		for _, c := range []struct {
			name  string
			first ike.PayloadType
			size  int
			want  string
		}{
			{"refused", ike.PayloadN, notify, "auth-failed"},
			{"no child SA", ike.PayloadIDr, identity + auth + notify, "child-sa-refused"},
			{"no child SA, IOS", ike.PayloadV, vendor + identity + auth + notify, "child-sa-refused"},
			{"no child SA, named", ike.PayloadIDr, 8 + 24 + auth + notify, "child-sa-refused"},
			{"up", ike.PayloadIDr, identity + auth + sa36 + 2*ts, "tunnel-established"},
			{"up, IOS", ike.PayloadV, vendor + identity + auth + sa44 + 2*ts + 12 + 8 + 8, "tunnel-established"},
			{"up, IPv6", ike.PayloadIDr, 24 + auth + sa44 + 2*48, "tunnel-established"},
		} {
			for _, pad := range []int{1, 8, 16} {
				if x.block > 1 && pad > x.block {
					continue // a block cipher's padding is taken to be the least
				}
				t.Run(fmt.Sprintf("%s/%s/%d", x.name, c.name, pad), func(t *testing.T) {
					s := scene.New(t)
					a := s.SA(0)
					s.IKE(0, 500, a.Init(false, scene.Proposals(x.transforms())))
					s.IKE(1, 500, a.Init(true, scene.Proposals(x.transforms())))
					s.IKE(0, 500, x.seal(a, 0, 1, false, ike.PayloadIDi, 220, pad))
					s.IKE(1, 500, x.seal(a, 1, 1, true, c.first, c.size, pad))
					r := s.Compare()
					scene.Sound(t, r)
					found := scene.Flatten(t, r)
					for _, code := range []string{"auth-failed", "child-sa-refused", "tunnel-established"} {
						if (len(found.Of(code)) > 0) != (code == c.want) {
							t.Errorf("%d bytes: %v, want %s", c.size, found.Codes(), c.want)
						}
					}
					for _, f := range found.Of(c.want) {
						low, ok := f["plaintext_min"].(float64)
						if high, _ := f["plaintext_max"].(float64); ok && (float64(c.size) < low || float64(c.size) > high) {
							t.Errorf("%d bytes are not within %v to %v", c.size, low, high)
						}
					}
				})
			}
		}
	}
}
