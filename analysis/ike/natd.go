package ike

import (
	"context"
	"crypto/md5"  // #nosec G501 -- the hash that IKEv1 peers negotiated
	"crypto/sha1" // #nosec G505 -- NAT detection is made of it (RFC 7296, Section 2.23)
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
)

// NATDHash is the data of a NAT_DETECTION notify: SHA-1 over both SPIs, address and port (RFC 7296,
// Section 2.23). The responder's SPI is zero in the first request.
func NATDHash(spiI, spiR SPI, addr netip.Addr, port uint16) [20]byte {
	var buf [34]byte
	return sha1.Sum(appendNATD(buf[:0], spiI, spiR, addr, port)) // #nosec G401 -- see the import
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

// NATDHashV1 is the data of a NAT-D payload of IKEv1 (RFC 3947, Section 3.2), with the
// negotiated hash: the value of the Hash-Algorithm attribute, 1 MD5, 2 SHA, 4 to 6 SHA2. It is
// nil for any other.
func NATDHashV1(algorithm uint64, spiI, spiR SPI, addr netip.Addr, port uint16) []byte {
	h := hashV1(algorithm)
	if h == nil {
		return nil
	}
	h.Write(appendNATD(nil, spiI, spiR, addr, port))
	return h.Sum(nil)
}

// privateNets are the ranges of RFC 1918 and that of carriers' NATs (RFC 6598), in the order in
// which they are searched: the common small ones first.
var privateNets = []netip.Prefix{
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("10.0.0.0/8"),
}

// NATDAlgorithm returns the Hash-Algorithm that a NAT-D payload of IKEv1 was made with, which its
// length in bytes tells; 0 for none.
func NATDAlgorithm(length int) uint64 {
	return map[int]uint64{md5.Size: 1, sha1.Size: 2, sha256.Size: 4, sha512.Size384: 5, sha512.Size: 6}[length]
}

// SearchNATD finds the private IPv4 address (RFC 1918, RFC 6598) and the port that a hash of NAT
// detection was made of, of either version, among ports. It tries 22 million addresses a port on
// every processor, which takes about a second a port with SHA-1; ctx ends it early.
func SearchNATD(ctx context.Context, want []byte, spiI, spiR SPI, ports []uint16) (netip.AddrPort, bool) {
	if NATDAlgorithm(len(want)) == 0 {
		return netip.AddrPort{}, false
	}
	for _, port := range ports {
		for _, net := range privateNets {
			if a, ok := searchNet(ctx, want, spiI, spiR, net, port); ok {
				return netip.AddrPortFrom(a, port), true
			}
		}
	}
	return netip.AddrPort{}, false
}

// searchStep is how many addresses are tried at a time: some milliseconds.
const searchStep = 1 << 16

// searchNet tries the addresses of net, a step after the other, on every processor.
func searchNet(ctx context.Context, want []byte, spiI, spiR SPI, net netip.Prefix, port uint16) (netip.Addr, bool) {
	first := binary.BigEndian.Uint32(net.Addr().AsSlice())
	steps := max(1, (uint64(1)<<(32-net.Bits()))/searchStep)
	var next, found atomic.Uint64 // found: bit 32 says so
	var workers sync.WaitGroup
	for range min(uint64(runtime.GOMAXPROCS(0)), steps) {
		workers.Go(func() {
			for found.Load() == 0 && ctx.Err() == nil {
				step := next.Add(1) - 1
				if step >= steps {
					return
				}
				if a, ok := searchFrom(want, spiI, spiR, first+uint32(step)*searchStep, port); ok {
					found.Store(1<<32 | uint64(a))
				}
			}
		})
	}
	workers.Wait()
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], uint32(found.Load()))
	return netip.AddrFrom4(a), found.Load() != 0
}

// searchFrom tries one step of addresses.
func searchFrom(want []byte, spiI, spiR SPI, first uint32, port uint16) (uint32, bool) {
	var buf [22]byte
	appendNATD(buf[:0], spiI, spiR, netip.AddrFrom4([4]byte{}), port)
	for a := first; ; a++ {
		binary.BigEndian.PutUint32(buf[16:20], a)
		if hits(&buf, want) {
			return a, true
		}
		if a == first+searchStep-1 {
			return 0, false
		}
	}
}

// hits says whether want is the hash of b, by the algorithm of its length.
func hits(b *[22]byte, want []byte) bool {
	switch len(want) {
	case md5.Size:
		return md5.Sum(b[:]) == [md5.Size]byte(want) // #nosec G401 -- see the import
	case sha1.Size:
		return sha1.Sum(b[:]) == [sha1.Size]byte(want) // #nosec G401 -- see the import
	case sha256.Size:
		return sha256.Sum256(b[:]) == [sha256.Size]byte(want)
	case sha512.Size384:
		return sha512.Sum384(b[:]) == [sha512.Size384]byte(want)
	}
	return sha512.Sum512(b[:]) == [sha512.Size]byte(want)
}
