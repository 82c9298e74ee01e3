package ike

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des" // #nosec G502 -- to read what peers negotiated
	"crypto/hmac"
	"crypto/md5"  // #nosec G501 -- to read what peers negotiated
	"crypto/sha1" // #nosec G505 -- to read what peers negotiated
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"

	"golang.org/x/crypto/chacha20poly1305"
)

// cipherSpec is one cipher of a key table.
type cipherSpec struct {
	name   string
	id     uint16 // ENCR transform
	keyLen int    // bytes, without the salt
	salt   int    // bytes of the key that are part of the nonce (RFC 5282, Section 7.1)
	iv     int
	icv    int // of AEAD ciphers
	aead   bool
}

// integSpec is one integrity algorithm of a key table.
type integSpec struct {
	name   string
	keyLen int
	icv    int
	sum    func(key, b []byte) []byte // nil for none, and for those of Wireshark that are not to be verified
}

func cipherNamed(field string) (cipherSpec, error) {
	n := plainName(field)
	for _, bits := range []int{128, 192, 256} {
		for _, c := range []cipherSpec{
			{name: fmt.Sprintf("aescbc%d", bits), id: 12, iv: 16},
			{name: fmt.Sprintf("aesctr%d", bits), id: 13, iv: 8, salt: 4},
			{name: fmt.Sprintf("aesccm%dwith8octeticv", bits), id: 14, iv: 8, salt: 3, icv: 8, aead: true},
			{name: fmt.Sprintf("aesccm%dwith12octeticv", bits), id: 15, iv: 8, salt: 3, icv: 12, aead: true},
			{name: fmt.Sprintf("aesccm%dwith16octeticv", bits), id: 16, iv: 8, salt: 3, icv: 16, aead: true},
			{name: fmt.Sprintf("aesgcm%dwith8octeticv", bits), id: 18, iv: 8, salt: 4, icv: 8, aead: true},
			{name: fmt.Sprintf("aesgcm%dwith12octeticv", bits), id: 19, iv: 8, salt: 4, icv: 12, aead: true},
			{name: fmt.Sprintf("aesgcm%dwith16octeticv", bits), id: 20, iv: 8, salt: 4, icv: 16, aead: true},
		} {
			if n == c.name {
				c.keyLen = bits / 8
				return c, nil
			}
		}
	}
	switch n {
	case "3des", "3descbc":
		return cipherSpec{name: n, id: 3, keyLen: 24, iv: 8}, nil
	case "chacha20poly1305", "chacha20poly1305with16octeticv":
		return cipherSpec{name: n, id: 28, keyLen: 32, salt: 4, iv: 8, icv: 16, aead: true}, nil
	case "null":
		return cipherSpec{name: n, id: 11}, nil
	}
	return cipherSpec{}, fmt.Errorf("encryption algorithm %q is not known", field)
}

func hmacSum(h func() hash.Hash, size int) func(key, b []byte) []byte {
	return func(key, b []byte) []byte {
		m := hmac.New(h, key)
		m.Write(b)
		return m.Sum(nil)[:size]
	}
}

func integNamed(field string) (integSpec, error) {
	n := plainName(field)
	for _, s := range []integSpec{
		{"none", 0, 0, nil},
		{"hmacmd596", 16, 12, hmacSum(md5.New, 12)},
		{"hmacmd5128", 16, 16, hmacSum(md5.New, 16)},
		{"hmacsha196", 20, 12, hmacSum(sha1.New, 12)},
		{"hmacsha1160", 20, 20, hmacSum(sha1.New, 20)},
		{"hmacsha225696", 32, 12, hmacSum(sha256.New, 12)},
		{"hmacsha2256128", 32, 16, hmacSum(sha256.New, 16)},
		{"hmacsha2384192", 48, 24, hmacSum(sha512.New384, 24)},
		{"hmacsha2512256", 64, 32, hmacSum(sha512.New, 32)},
		{"aesxcbc96", 16, 12, xcbc},
		{"aescmac96", 16, 12, cmac},
		{"any96bitsofauthentication", 0, 12, nil},
		{"any128bitsofauthentication", 0, 16, nil},
		{"any160bitsofauthentication", 0, 20, nil},
		{"any192bitsofauthentication", 0, 24, nil},
		{"any256bitsofauthentication", 0, 32, nil},
	} {
		if n == s.name {
			return s, nil
		}
	}
	return integSpec{}, fmt.Errorf("integrity algorithm %q is not known", field)
}

// open decrypts the last n bytes of the message b: IV, ciphertext and ICV.
func (s *saKeys) open(side int, b []byte, n int) (plain []byte, padding int, err error) {
	icv := s.cipher.icv
	if !s.cipher.aead {
		icv = s.integ.icv
	}
	if n < s.cipher.iv+icv+1 || n > len(b) {
		return nil, 0, errSize
	}
	body := b[len(b)-n:]
	iv, text, tag := body[:s.cipher.iv], body[s.cipher.iv:n-icv], body[n-icv:]
	if s.cipher.aead {
		plain, err = s.openAEAD(s.encr[side], iv, text, tag, b[:len(b)-n])
	} else {
		plain, err = s.openCBC(side, iv, text, tag, b[:len(b)-icv])
	}
	if err != nil {
		return nil, 0, err
	}
	padding = int(plain[len(plain)-1])
	if padding > len(plain)-1 {
		return nil, 0, errPadding
	}
	return plain[:len(plain)-1-padding], padding, nil
}

// openCBC opens with a cipher that is followed by a separate integrity check
// (RFC 7296, Section 3.14).
func (s *saKeys) openCBC(side int, iv, text, tag, covered []byte) ([]byte, error) {
	if s.integ.sum != nil && subtle.ConstantTimeCompare(s.integ.sum(s.auth[side], covered), tag) != 1 {
		return nil, ErrIntegrity
	}
	plain := make([]byte, len(text))
	key := s.encr[side]
	switch s.cipher.id {
	case 11:
		copy(plain, text)
		return plain, nil
	case 13: // RFC 5930, Section 3
		block, err := aes.NewCipher(key[:s.cipher.keyLen])
		if err != nil {
			return nil, err
		}
		counter := append(append(append([]byte{}, key[s.cipher.keyLen:]...), iv...), 0, 0, 0, 1)
		cipher.NewCTR(block, counter).XORKeyStream(plain, text)
		return plain, nil
	}
	newBlock := aes.NewCipher
	if s.cipher.id == 3 {
		newBlock = des.NewTripleDESCipher
	}
	block, err := newBlock(key)
	if err != nil {
		return nil, err
	}
	if len(text)%block.BlockSize() != 0 {
		return nil, errSize
	}
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, text)
	return plain, nil
}

// openAEAD opens with a combined cipher (RFC 5282, Section 3; RFC 7634, Section 2).
func (s *saKeys) openAEAD(key, iv, text, tag, header []byte) ([]byte, error) {
	nonce := append(append([]byte{}, key[s.cipher.keyLen:]...), iv...)
	key = key[:s.cipher.keyLen]
	switch s.cipher.id {
	case 14, 15, 16:
		return openCCM(key, nonce, text, tag, header)
	case 18:
		return openGCM8(key, nonce, text, tag, header)
	}
	var aead cipher.AEAD
	var err error
	if s.cipher.id == 28 {
		aead, err = chacha20poly1305.New(key)
	} else {
		var block cipher.Block
		if block, err = aes.NewCipher(key); err == nil {
			aead, err = cipher.NewGCMWithTagSize(block, s.cipher.icv)
		}
	}
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nonce, append(append([]byte{}, text...), tag...), header)
	if err != nil {
		return nil, ErrIntegrity
	}
	return plain, nil
}

// openGCM8 opens AES-GCM with an ICV of 8 bytes, which crypto/cipher does not take: it
// decrypts in counter mode, encrypts again with the whole tag, and compares its first half
// (RFC 4106, Section 6).
func openGCM8(key, nonce, text, tag, header []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	plain := make([]byte, len(text))
	cipher.NewCTR(block, append(append([]byte{}, nonce...), 0, 0, 0, 2)).XORKeyStream(plain, text)
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	sealed := gcm.Seal(nil, nonce, plain, header)
	if subtle.ConstantTimeCompare(sealed[len(plain):len(plain)+8], tag) != 1 {
		return nil, ErrIntegrity
	}
	return plain, nil
}

// cmac is AES-CMAC-96 (RFC 4493, Section 2.4; RFC 4494).
func cmac(key, b []byte) []byte {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(errors.Join(errors.New("key length was checked"), err))
	}
	var l [16]byte
	block.Encrypt(l[:], l[:])
	k1 := double(l)
	return cbcMAC(block, b, k1, double(k1))
}

func double(in [16]byte) (out [16]byte) {
	for i := range 15 {
		out[i] = in[i]<<1 | in[i+1]>>7
	}
	out[15] = in[15] << 1
	if in[0]&0x80 != 0 {
		out[15] ^= 0x87
	}
	return out
}

// xcbc is AES-XCBC-MAC-96 (RFC 3566, Section 4).
func xcbc(key, b []byte) []byte {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(errors.Join(errors.New("key length was checked"), err))
	}
	var k [3][16]byte
	for i := range k {
		for j := range k[i] {
			k[i][j] = byte(i + 1)
		}
		block.Encrypt(k[i][:], k[i][:])
	}
	inner, err := aes.NewCipher(k[0][:])
	if err != nil {
		panic(err) // 16 bytes
	}
	return cbcMAC(inner, b, k[1], k[2])
}

// cbcMAC chains the blocks of b; the last one is masked with whole when it is complete, else padded
// and masked with part.
func cbcMAC(block cipher.Block, b []byte, whole, part [16]byte) []byte {
	var state [16]byte
	for len(b) > 16 {
		subtle.XORBytes(state[:], state[:], b[:16])
		block.Encrypt(state[:], state[:])
		b = b[16:]
	}
	mask, last := whole, [16]byte{}
	copy(last[:], b)
	if len(b) < 16 {
		last[len(b)] = 0x80
		mask = part
	}
	subtle.XORBytes(state[:], state[:], last[:])
	subtle.XORBytes(state[:], state[:], mask[:])
	block.Encrypt(state[:], state[:])
	return state[:12]
}
