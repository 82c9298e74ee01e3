package ike

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"golang.org/x/crypto/chacha20poly1305"
)

// The names are Wireshark's own. Debian's tshark knows all but the last of each list.
var (
	cbcNames = []string{"AES-CBC-128 [RFC3602]", "AES-CBC-192 [RFC3602]", "AES-CBC-256 [RFC3602]", "3DES [RFC2451]",
		"AES-CTR-128 [RFC5930]", "AES-CTR-192 [RFC5930]", "AES-CTR-256 [RFC5930]", "NULL [RFC2410]"}
	aeadNames = []string{"AES-GCM-128 with 8 octet ICV [RFC5282]", "AES-GCM-256 with 8 octet ICV [RFC5282]",
		"AES-GCM-128 with 12 octet ICV [RFC5282]",
		"AES-GCM-192 with 16 octet ICV [RFC5282]", "AES-GCM-256 with 16 octet ICV [RFC5282]",
		"AES-CCM-128 with 8 octet ICV [RFC5282]",
		"AES-CCM-192 with 12 octet ICV [RFC5282]", "AES-CCM-256 with 16 octet ICV [RFC5282]", "CHACHA20_POLY1305"}
	integNames2 = []string{"HMAC_SHA1_96 [RFC2404]", "HMAC_MD5_96 [RFC2403]", "HMAC_SHA2_256_128 [RFC4868]",
		"HMAC_SHA2_384_192 [RFC4868]", "HMAC_SHA2_512_256 [RFC4868]", "AES_XCBC_96 [RFC3566]", "AES_CMAC_96 [RFC4494]"}
)

// sealed is a message, the line of its keys, and whether tshark knows both algorithms.
type sealed struct {
	name    string
	message []byte
	line    string
	known   bool
}

// everySuite seals a message with each cipher and each integrity algorithm, alternately by the
// initiator and the responder.
func everySuite(t testing.TB) []sealed {
	var all []sealed
	add := func(encr, integ string, known bool) {
		c, err := cipherNamed(encr)
		if err != nil {
			t.Fatal(err)
		}
		i, err := integNamed(integ)
		if err != nil {
			t.Fatal(err)
		}
		k := &saKeys{cipher: c, integ: i}
		for side := range 2 {
			k.encr[side] = repeated(byte(0x30+side), c.keyLen+c.salt)
			k.auth[side] = repeated(byte(0x50+side), i.keyLen)
		}
		if c.aead {
			k.auth = [2][]byte{}
		}
		n := uint64(len(all) + 1)
		all = append(all, sealed{encr + " and " + integ, k.seal(t, SPI(n), int(n%2)),
			fmt.Sprintf(`%016x,%016x,%x,%x,"%s",%x,%x,"%s"`, n, ^n, k.encr[0], k.encr[1], encr, k.auth[0], k.auth[1], integ),
			known})
	}
	for _, encr := range cbcNames {
		for _, integ := range integNames2 {
			add(encr, integ, !strings.HasPrefix(integ, "AES_"))
		}
	}
	for _, encr := range aeadNames {
		add(encr, "NONE [RFC4306]", encr != "CHACHA20_POLY1305")
	}
	return all
}

func repeated(start byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = start + byte(i*7)
	}
	return b
}

// inside are the payloads of each sealed message: D of two ESP SPIs, N.
var inside = []byte{byte(PayloadN), 0, 0, 16, 3, 4, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 8, 0, 0, 0x40, 0}

// seal writes a message, with code that shares nothing with the opening but the primitives.
func (s *saKeys) seal(t testing.TB, spi SPI, side int) []byte {
	t.Helper()
	blockSize := map[uint16]int{12: 16, 3: 8}[s.cipher.id]
	plain := append([]byte{}, inside...)
	pad := 0
	if blockSize > 0 {
		pad = blockSize - 1 - len(plain)%blockSize
	}
	plain = append(append(plain, repeated(1, pad)...), byte(pad))
	icv := max(s.cipher.icv, s.integ.icv)
	iv := repeated(0x11, s.cipher.iv)
	n := 4 + len(iv) + len(plain) + icv
	h := Header{SPIi: spi, SPIr: ^spi, NextPayload: PayloadSK, Version: 0x20, Exchange: Informational, MessageID: 2,
		Length: uint32(HeaderLen + n)}
	if side == 0 {
		h.Flags = FlagInitiator
	}
	b := append(h.append(nil), byte(PayloadD), 0, 0, byte(n))
	if s.cipher.aead {
		return append(append(b, iv...), s.sealAEAD(t, s.encr[side], iv, plain, b)...)
	}
	b = append(append(b, iv...), s.encrypt(t, s.encr[side], iv, plain)...)
	return append(b, s.integ.sum(s.auth[side], b)...)
}

func (s *saKeys) encrypt(t testing.TB, key, iv, plain []byte) []byte {
	out := make([]byte, len(plain))
	var block cipher.Block
	var err error
	switch s.cipher.id {
	case 11:
		return plain
	case 3:
		block, err = des.NewTripleDESCipher(key)
	default:
		block, err = aes.NewCipher(key[:s.cipher.keyLen])
	}
	if err != nil {
		t.Fatal(err)
	}
	if s.cipher.id == 13 {
		nonce := key[s.cipher.keyLen:]
		cipher.NewCTR(block, []byte{nonce[0], nonce[1], nonce[2], nonce[3], iv[0], iv[1], iv[2], iv[3], iv[4], iv[5], iv[6],
			iv[7], 0, 0, 0, 1}).XORKeyStream(out, plain)
		return out
	}
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(out, plain)
	return out
}

func (s *saKeys) sealAEAD(t testing.TB, key, iv, plain, header []byte) []byte {
	nonce := append(bytes.Clone(key[s.cipher.keyLen:]), iv...)
	key = key[:s.cipher.keyLen]
	var aead cipher.AEAD
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	switch s.cipher.id {
	case 28:
		aead, err = chacha20poly1305.New(key)
	case 18, 19, 20:
		aead, err = cipher.NewGCM(block)
	default:
		return sealCCM(block, nonce, plain, header, s.cipher.icv)
	}
	if err != nil {
		t.Fatal(err)
	}
	return aead.Seal(nil, nonce, plain, header)[:len(plain)+s.cipher.icv]
}

// sealCCM is written block by block after RFC 3610; tshark vouches for it.
func sealCCM(block cipher.Block, nonce, plain, header []byte, icv int) []byte {
	counter := func(n uint32) (out [16]byte) {
		a := append(append([]byte{3}, nonce...), 0, 0, 0, 0)
		binary.BigEndian.PutUint32(a[12:], n)
		block.Encrypt(out[:], a)
		return out
	}
	input := append(append([]byte{byte(64 + 8*((icv-2)/2) + 3)}, nonce...), 0, 0, 0, byte(len(plain)))
	input = append(append(input, 0, byte(len(header))), header...)
	for len(input)%16 != 0 {
		input = append(input, 0)
	}
	input = append(input, plain...)
	for len(input)%16 != 0 {
		input = append(input, 0)
	}
	mac := make([]byte, 16)
	for at := 0; at < len(input); at += 16 {
		for i := range mac {
			mac[i] ^= input[at+i]
		}
		block.Encrypt(mac, mac)
	}
	out := bytes.Clone(plain)
	for i := range out {
		out[i] ^= counter(uint32(i/16 + 1))[i%16]
	}
	first := counter(0)
	for i := range icv {
		out = append(out, mac[i]^first[i])
	}
	return out
}

func TestEverySuiteOpens(t *testing.T) {
	for _, s := range everySuite(t) {
		keys, err := ParseKeyTable(strings.NewReader(s.line))
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		m, err := Parse(s.message)
		if err != nil || len(m.Faults) > 0 {
			t.Fatalf("%s: %v %v", s.name, err, m.Faults)
		}
		in, err := NewOpener(keys).Open(m, s.message)
		if err != nil || !bytes.Equal(in.Plaintext, inside) || len(in.Payloads) != 2 || len(in.Faults) > 0 {
			t.Errorf("%s: %v %+v", s.name, err, in)
			continue
		}
		for _, at := range []int{5, 20, 40, len(s.message) - 1} { // header, payload, ciphertext, integrity check
			bad := bytes.Clone(s.message)
			bad[at] ^= 1
			if altered, err := Parse(bad); err == nil && altered.encryptedPayload() != nil {
				if _, err := NewOpener(keys).Open(altered, bad); err == nil {
					t.Errorf("%s: opened with byte %d altered", s.name, at)
				}
			}
		}
		for n := HeaderLen; n < len(s.message); n++ {
			if short, err := Parse(s.message[:n]); err == nil {
				if _, err := NewOpener(keys).Open(short, s.message[:n]); err == nil && short.encryptedPayload() != nil {
					t.Errorf("%s: opened with %d of %d bytes", s.name, n, len(s.message))
				}
			}
		}
	}
}

// tshark, with the same keys, must see the same payloads inside and find the integrity check right.
func TestTsharkOpensEverySuite(t *testing.T) {
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Skip("tshark is not installed")
	}
	var file bytes.Buffer
	w := pcapgo.NewWriter(&file)
	if err := w.WriteFileHeader(65535, layers.LinkTypeRaw); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "suites.pcap")
	args := []string{"-n", "-r", path, "-T", "fields", "-E", "separator=|", "-e", "isakmp.typepayload", "-e",
		"isakmp.delete.spi", "-e", "_ws.expert.message"}
	var known []sealed
	for _, s := range everySuite(t) {
		if !s.known {
			continue
		}
		known = append(known, s)
		args = append(args, "-o", "uat:ikev2_decryption_table:"+s.line)
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: net.IP{192, 0, 2, 1},
			DstIP: net.IP{192, 0, 2, 2}}
		udp := &layers.UDP{SrcPort: 500, DstPort: 500}
		if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
			t.Fatal(err)
		}
		buffer := gopacket.NewSerializeBuffer()
		if err := gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ip,
			udp, gopacket.Payload(s.message)); err != nil {
			t.Fatal(err)
		}
		if err := w.WritePacket(gopacket.CaptureInfo{CaptureLength: len(buffer.Bytes()), Length: len(buffer.Bytes())},
			buffer.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "tshark", args...)
	cmd.Env = append(os.Environ(), "WIRESHARK_CONFIG_DIR="+t.TempDir())
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(lines) != len(known) {
		t.Fatalf("%d lines of %d messages", len(lines), len(known))
	}
	for i, s := range known {
		if want := "46,42,41|01:02:03:04,05:06:07:08|"; lines[i] != want && lines[i] != strings.ReplaceAll(want, ":", "") {
			t.Errorf("%s: tshark sees %q", s.name, lines[i])
		}
	}
}

// RFC 7634, Appendix B.
func TestChaCha20Poly1305Vector(t *testing.T) {
	message := unhex(t, "c0c1c2c3c4c5c6c7d0d1d2d3d4d5d6d72e202500000000090000004529000029"+
		"1011121314151617"+"610394701f8d017f7c12924889"+"6b71bfe25236efd7cdc670669063"+"15b2")
	key := hex.EncodeToString(unhex(t, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3"))
	keys, err := ParseKeyTable(strings.NewReader("c0c1c2c3c4c5c6c7,d0d1d2d3d4d5d6d7," + key + "," + key +
		`,"ChaCha20-Poly1305",,,"NONE"`))
	if err != nil {
		t.Fatal(err)
	}
	m, err := Parse(message)
	if err != nil {
		t.Fatal(err)
	}
	in, err := NewOpener(keys).Open(m, message)
	if err != nil || hex.EncodeToString(in.Plaintext) != "0000000c000040010000000a" {
		t.Errorf("%v %+v", err, in)
	}
}

// Fragments of one message are opened alone and put together in their order, whatever the order in
// which they come (RFC 7383).
func TestFragmentsOpenInAnyOrder(t *testing.T) {
	c, err := cipherNamed("AES-GCM-256 with 16 octet ICV")
	if err != nil {
		t.Fatal(err)
	}
	k := &saKeys{cipher: c, encr: [2][]byte{repeated(1, 36), repeated(9, 36)}}
	keys := &Keys{sas: map[[2]SPI]*saKeys{{1, 2}: k}}
	var parts [][]byte
	for i, text := range [][]byte{inside[:5], inside[5:17], inside[17:]} {
		plain := append(bytes.Clone(text), 0)
		n := 8 + 8 + len(plain) + 16
		b := append(Header{SPIi: 1, SPIr: 2, NextPayload: PayloadSKF, Version: 0x20, Exchange: IKEAuth, Flags: FlagInitiator,
			MessageID: 1,
			Length:    uint32(HeaderLen + n)}.append(nil), 0, 0, 0, byte(n), 0, byte(i+1), 0, 3)
		if i == 0 {
			b[HeaderLen] = byte(PayloadD)
		}
		parts = append(parts,
			append(append(b, repeated(byte(i), 8)...), k.sealAEAD(t, k.encr[0], repeated(byte(i), 8), plain, b)...))
	}
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 1, 0, 2}} {
		o := NewOpener(keys)
		for i, n := range order {
			m, err := Parse(parts[n])
			if err != nil {
				t.Fatal(err)
			}
			in, err := o.Open(m, parts[n])
			if i < len(order)-1 {
				if !errors.Is(err, ErrMore) {
					t.Errorf("order %v, step %d: %v", order, i, err)
				}
				continue
			}
			if err != nil || !bytes.Equal(in.Plaintext, inside) || len(in.Payloads) != 2 {
				t.Errorf("order %v: %v %+v", order, err, in)
			}
		}
	}
}
