// Package redact takes addresses, names and identities out of a case that is to be given away,
// consistently: the same address becomes the same other address everywhere, two addresses that
// share a prefix still share it, and what the captures prove stays provable. Checksums are kept as
// right or wrong as they were, and NAT_DETECTION hashes are computed anew over the new addresses,
// because the old ones give the addresses away to a search.
package redact

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"strings"
)

// KeyLen is the length of a Redactor's key in bytes.
const KeyLen = 32

// Redactor replaces addresses and names. The same key gives the same replacements. It is safe for
// use by several goroutines after the last call of Learn.
type Redactor struct {
	block  cipher.Block // of the address permutation
	pad    [16]byte
	secret []byte            // for everything that is replaced by a hash
	names  map[string]string // in lower case
	seen   natd              // what Learn saw of NAT detection
	known  map[uint64]swap   // NAT detection data and names of messages, by their first 8 bytes
	fresh  map[string]bool   // what those become
	// How else the addresses may be written in texts, and what that becomes.
	numerals map[string]string
}

// New makes a Redactor from a key of KeyLen bytes. names are the words to be replaced wherever they
// stand alone: the peers' and the routers' names. Two that differ only in case are one.
func New(key []byte, names []string) (*Redactor, error) {
	if len(key) != KeyLen {
		return nil, errors.New("redact: the key must be 32 bytes")
	}
	block, err := aes.NewCipher(key[:16])
	if err != nil {
		return nil, err
	}
	r := &Redactor{block: block, secret: slices.Clone(key), names: map[string]string{}}
	r.block.Encrypt(r.pad[:], key[16:])
	for _, n := range names {
		if n = strings.TrimSpace(n); n != "" {
			r.addName(strings.ToLower(n))
		}
	}
	return r, nil
}

func (r *Redactor) addName(lower string) {
	r.names[lower] = "name-" + hex.EncodeToString(r.digest("name", lower)[:3])
}

func (r *Redactor) digest(what, s string) []byte {
	m := hmac.New(sha256.New, r.secret)
	m.Write([]byte(what + "\x00" + s))
	return m.Sum(nil)
}

// Addr returns the address that stands for a. It preserves prefixes (Xu, Fan, Ammar and Moon,
// "Prefix-Preserving IP Address Anonymization", 2002) and the kind of an address: private stays
// private, so that what a search through the private ranges finds, it still finds. Loopback,
// multicast, IPv4 link-local and unspecified addresses are kept, for they say nothing.
func (r *Redactor) Addr(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if !a.IsValid() || kindOf(a) == kept {
		return a
	}
	// Walking on until the kind is right again keeps it a permutation, of that kind's addresses.
	fixed := fixedBits(kindOf(a))
	out := r.permute(a, fixed)
	for kindOf(out) != kindOf(a) {
		out = r.permute(out, fixed)
	}
	return out
}

type kind uint8

const (
	kept kind = iota
	public
	ten      // 10.0.0.0/8
	oneSeven // 172.16.0.0/12
	oneNine  // 192.168.0.0/16
	unique   // fc00::/7
	global   // other IPv6
	link     // fe80::/64: often made of a MAC address (RFC 4291, Appendix A)
	node     // ff02::1:ff00:0/104: ends as an address does
)

var (
	net10     = netip.MustParsePrefix("10.0.0.0/8")
	net172    = netip.MustParsePrefix("172.16.0.0/12")
	solicited = netip.MustParsePrefix("ff02::1:ff00:0/104")
	net192    = netip.MustParsePrefix("192.168.0.0/16")
	reserved  = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("240.0.0.0/4")}
)

func kindOf(a netip.Addr) kind {
	switch {
	case solicited.Contains(a):
		return node
	case a.Is6() && a.IsLinkLocalUnicast():
		return link
	case a.IsLoopback() || a.IsMulticast() || a.IsLinkLocalUnicast() || a.IsUnspecified():
		return kept
	case slices.ContainsFunc(reserved, func(p netip.Prefix) bool { return p.Contains(a) }):
		return kept
	case net10.Contains(a):
		return ten
	case net172.Contains(a):
		return oneSeven
	case net192.Contains(a):
		return oneNine
	case a.Is4():
		return public
	case a.IsPrivate():
		return unique
	}
	return global
}

// fixedBits is how much of an address of a kind stays, so that the walk back to the kind is short.
func fixedBits(k kind) int {
	switch k {
	case ten, unique:
		return 8
	case oneSeven:
		return 12
	case oneNine:
		return 16
	case global:
		return 3
	case link:
		return 64
	case node:
		return 104
	}
	return 0
}

// permute flips each bit behind the first fixed ones by a keyed function of the bits before it.
func (r *Redactor) permute(a netip.Addr, fixed int) netip.Addr {
	in := a.AsSlice()
	out := slices.Clone(in)
	for bit := fixed; bit < len(in)*8; bit++ {
		if r.flip(in, bit) {
			out[bit/8] ^= 0x80 >> (bit % 8)
		}
	}
	b, _ := netip.AddrFromSlice(out)
	return b
}

func (r *Redactor) flip(addr []byte, bit int) bool {
	block := r.pad
	copy(block[:], addr[:bit/8])
	if rest := bit % 8; rest > 0 {
		mask := byte(0xff) << (8 - rest)
		block[bit/8] = addr[bit/8]&mask | r.pad[bit/8]&^mask
	}
	block[15] ^= byte(bit) // prefixes of different lengths are different inputs
	block[14] ^= byte(len(addr))
	var out [16]byte
	r.block.Encrypt(out[:], block[:])
	return out[0]&0x80 != 0
}
