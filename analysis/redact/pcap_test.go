package redact

import (
	"bytes"
	"context"
	"encoding/binary"
	"testing"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/packet"
	"github.com/moncap/moncap/testdata"
)

func read(t *testing.T, b []byte) []packet.Packet {
	t.Helper()
	r, err := packet.NewReader(bytes.NewReader(b), packet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var all []packet.Packet
	for p, err := range packet.All(r) {
		if err != nil {
			t.Fatal(err)
		}
		q := *p
		q.Payload, q.Raw = bytes.Clone(p.Payload), bytes.Clone(p.Raw)
		all = append(all, q)
	}
	return all
}

func TestIncidentsKeepTheirShapeAndLoseTheirAddresses(t *testing.T) {
	incidents, err := testdata.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range incidents {
		t.Run(i.Name, func(t *testing.T) {
			r := newTest(t)
			for _, b := range [][]byte{i.A, i.B} {
				if err := r.Learn(bytes.NewReader(b)); err != nil {
					t.Fatal(err)
				}
			}
			for _, b := range [][]byte{i.A, i.B} {
				var out bytes.Buffer
				if err := r.PCAP(context.Background(), &out, bytes.NewReader(b)); err != nil {
					t.Fatal(err)
				}
				compare(t, r, read(t, b), read(t, out.Bytes()))
				leaks(t, r, read(t, out.Bytes()))
			}
		})
	}
}

func leaks(t *testing.T, r *Redactor, packets []packet.Packet) {
	t.Helper()
	a4, n4, a6 := testdata.A4.As4(), testdata.NAT.As4(), testdata.A6.As16()
	for _, p := range packets {
		for _, leak := range [][]byte{a4[:], n4[:], a6[:]} {
			if bytes.Contains(p.Raw, leak) {
				t.Errorf("frame %d: address % x is still in", p.Frame, leak)
			}
		}
		for _, s := range r.known {
			if bytes.Contains(p.Raw, s.from) {
				t.Errorf("frame %d: a NAT detection hash or a name is still in", p.Frame)
			}
		}
	}
}

// spiAfter is what an SPI becomes: an address of the case in four bytes another one.
func spiAfter(r *Redactor, spi uint32) uint32 {
	b := binary.BigEndian.AppendUint32(nil, spi)
	r.spi(b)
	return binary.BigEndian.Uint32(b)
}

func compare(t *testing.T, r *Redactor, before, after []packet.Packet) {
	t.Helper()
	if len(before) != len(after) {
		t.Fatalf("%d packets became %d", len(before), len(after))
	}
	for i, p := range before {
		q := after[i]
		if p.Kind != packet.Other && (p.Kind != q.Kind || spiAfter(r, p.SPI) != q.SPI || p.Seq != q.Seq ||
			len(p.Payload) != len(q.Payload)) {
			t.Errorf("frame %d: %v of %d bytes became %v of %d", p.Frame, p.Kind, len(p.Payload), q.Kind, len(q.Payload))
		}
		if p.Nanos != q.Nanos || p.WireLen != q.WireLen || p.ChecksumOK != q.ChecksumOK && p.Kind != packet.Other {
			t.Errorf("frame %d: time, length or checksum changed: %+v", p.Frame, q)
		}
		if p.Src.IsValid() && r.Addr(p.Src) != q.Src {
			t.Errorf("frame %d: %s became %s, want %s", p.Frame, p.Src, q.Src, r.Addr(p.Src))
		}
	}
}

func TestDamageStays(t *testing.T) {
	i, err := testdata.Load("healthy")
	if err != nil {
		t.Fatal(err)
	}
	after := redacted(t, newTest(t), i.A[:len(i.A)-20], i.B)
	r, err := packet.NewReader(bytes.NewReader(after), packet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for range packet.All(r) {
		n++
	}
	if r.Info().Damage == nil || n == 0 {
		t.Errorf("%d packets, damage %v", n, r.Info().Damage)
	}
}

// Whatever a file holds, redaction ends without a panic.
func FuzzPCAP(f *testing.F) {
	for _, name := range []string{"nat", "ip-fragments-lost", "icmp-admin-prohibited", "ipv6"} {
		i, err := testdata.Load(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(i.A[:min(len(i.A), 3000)])
		f.Add(i.B[:min(len(i.B), 3000)])
	}
	f.Add(captureBytes(
		fragmented(aggressive(payload{ike.V1PayloadID, append([]byte{2, 17, 1, 0xf4}, "hq-gw.customer.example"...)}), 24)))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := newTest(t)
		if r.Learn(bytes.NewReader(b)) != nil {
			return
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // no search behind a NAT: it takes long, and is tested elsewhere
		var out bytes.Buffer
		_ = r.PCAP(ctx, &out, bytes.NewReader(b))
	})
}

func captureBytes(frames [][]byte) []byte {
	var b bytes.Buffer
	_ = writeHeader(&b, linkRaw)
	for i, f := range frames {
		_ = writeFrame(&b, &packet.Packet{Nanos: int64(i) * 1e8, WireLen: len(f)}, f)
	}
	return b.Bytes()
}
