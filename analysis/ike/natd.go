package ike

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"hash"
	"net/netip"
)

// NATDHash is the data of a NAT_DETECTION notify: SHA-1 over both SPIs, address and port (RFC 7296, Section 2.23). The
// responder's SPI is zero in the first request.
func NATDHash(spiI, spiR SPI, addr netip.Addr, port uint16) [20]byte {
	var buf [34]byte
	return sha1.Sum(appendNATD(buf[:0], spiI, spiR, addr, port))
}

func appendNATD(dst []byte, spiI, spiR SPI, addr netip.Addr, port uint16) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(spiI))
	dst = binary.BigEndian.AppendUint64(dst, uint64(spiR))
	if addr.Is4() {
		a := addr.As4()
		dst = append(dst, a[:]...)
	} else {
		a := addr.As16()
		dst = append(dst, a[:]...)
	}
	return binary.BigEndian.AppendUint16(dst, port)
}

// NATDHashV1 is the data of a NAT-D payload of IKEv1 (RFC 3947, Section 3.2), with the negotiated hash: the value of the
// Hash-Algorithm attribute, 1 MD5, 2 SHA, 4 to 6 SHA2. It is nil for any other.
func NATDHashV1(algorithm uint64, spiI, spiR SPI, addr netip.Addr, port uint16) []byte {
	var h hash.Hash
	switch algorithm {
	case 1:
		h = md5.New()
	case 2:
		h = sha1.New()
	case 4:
		h = sha256.New()
	case 5:
		h = sha512.New384()
	case 6:
		h = sha512.New()
	default:
		return nil
	}
	h.Write(appendNATD(nil, spiI, spiR, addr, port))
	return h.Sum(nil)
}

// privateNets are the ranges of RFC 1918, in the order in which they are searched: the common small ones first.
var privateNets = []netip.Prefix{
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("10.0.0.0/8"),
}

// SearchNATD finds the private IPv4 address (RFC 1918) and the port that a NAT_DETECTION hash was made of, among ports. It
// tries 17.9 million addresses a port, which takes seconds; ctx ends it early.
func SearchNATD(ctx context.Context, want [20]byte, spiI, spiR SPI, ports []uint16) (netip.AddrPort, bool) {
	var buf [22]byte
	appendNATD(buf[:0], spiI, spiR, netip.AddrFrom4([4]byte{}), 0)
	for _, port := range ports {
		binary.BigEndian.PutUint16(buf[20:], port)
		for _, net := range privateNets {
			first := binary.BigEndian.Uint32(net.Addr().AsSlice())
			count := uint32(1) << (32 - net.Bits())
			for i := range count {
				if i&0xffff == 0 && ctx.Err() != nil {
					return netip.AddrPort{}, false
				}
				binary.BigEndian.PutUint32(buf[16:20], first+i)
				if sha1.Sum(buf[:]) == want {
					return netip.AddrPortFrom(netip.AddrFrom4([4]byte(buf[16:20])), port), true
				}
			}
		}
	}
	return netip.AddrPort{}, false
}
