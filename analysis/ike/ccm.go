package ike

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
)

// ccmLength is the size of the length field in CCM: nonces have 3 bytes of salt and 8 of IV
// (RFC 4309, Section 3; RFC 5282, Section 4).
const ccmLength = 4

// openCCM opens AES-CCM, which neither crypto/cipher nor x/crypto has (RFC 3610,
// Sections 2.2 to 2.5).
func openCCM(key, nonce, text, tag, header []byte) ([]byte, error) {
	if len(header) >= 0xff00 || len(nonce) != 15-ccmLength {
		return nil, errSize
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	var counter, mask [aes.BlockSize]byte
	counter[0] = ccmLength - 1
	copy(counter[1:], nonce)
	block.Encrypt(mask[:], counter[:])
	counter[aes.BlockSize-1] = 1
	plain := make([]byte, len(text))
	cipher.NewCTR(block, counter[:]).XORKeyStream(plain, text)
	mac := ccmMAC(block, nonce, plain, header, len(tag))
	subtle.XORBytes(mac[:], mac[:], mask[:])
	if subtle.ConstantTimeCompare(mac[:len(tag)], tag) != 1 {
		return nil, ErrIntegrity
	}
	return plain, nil
}

// ccmMAC chains the first block, the header behind its length, and the plaintext, each
// padded to a block.
func ccmMAC(block cipher.Block, nonce, plain, header []byte, tag int) (state [aes.BlockSize]byte) {
	first := [aes.BlockSize]byte{byte(0x40 + (tag-2)/2<<3 + ccmLength - 1)}
	copy(first[1:], nonce)
	binary.BigEndian.PutUint32(first[aes.BlockSize-ccmLength:], uint32(len(plain)))
	prefixed := append(binary.BigEndian.AppendUint16(nil, uint16(len(header))), header...)
	for _, part := range [][]byte{first[:], prefixed, plain} {
		for len(part) > 0 {
			n := subtle.XORBytes(state[:], state[:], part[:min(len(part), aes.BlockSize)])
			block.Encrypt(state[:], state[:])
			part = part[n:]
		}
	}
	return state
}
