package analysis

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// record is one packet of a capture in the tests.
type record struct {
	nanos int64
	wire  int
	data  []byte
}

const (
	linkEthernet = 1
	linkRaw      = 101
	linkSLL      = 113
)

// readRecords reads a little-endian pcap file of Ethernet frames, as nearly all incidents are.
func readRecords(t testing.TB, path string) []record {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	unit := map[uint32]int64{0xa1b2c3d4: 1e3, 0xa1b23c4d: 1}[le.Uint32(b)]
	if unit == 0 || le.Uint32(b[20:]) != linkEthernet {
		t.Fatalf("%s: no little-endian Ethernet pcap", path)
	}
	var all []record
	for at := 24; at+16 <= len(b); {
		n := int(le.Uint32(b[at+8:]))
		all = append(all, record{
			nanos: int64(le.Uint32(b[at:]))*1e9 + int64(le.Uint32(b[at+4:]))*unit,
			wire:  int(le.Uint32(b[at+12:])), data: b[at+16 : at+16+n],
		})
		at += 16 + n
	}
	return all
}

// pcapOf writes records as a nanosecond pcap of the link type.
func pcapOf(all []record, link uint32) []byte {
	var b bytes.Buffer
	le := binary.LittleEndian
	head := le.AppendUint32(nil, 0xa1b23c4d)
	head = le.AppendUint16(head, 2)
	head = le.AppendUint16(head, 4)
	head = append(head, make([]byte, 8)...)
	head = le.AppendUint32(head, 0x40000)
	b.Write(le.AppendUint32(head, link))
	for _, r := range all {
		h := le.AppendUint32(nil, uint32(r.nanos/1e9))
		h = le.AppendUint32(h, uint32(r.nanos%1e9))
		h = le.AppendUint32(h, uint32(len(r.data)))
		b.Write(le.AppendUint32(h, uint32(r.wire)))
		b.Write(r.data)
	}
	return b.Bytes()
}

// pcapngOf writes records as a pcapng file with one interface and nanoseconds.
func pcapngOf(all []record) []byte {
	var b bytes.Buffer
	le := binary.LittleEndian
	block := func(kind uint32, body []byte) {
		for len(body)%4 != 0 {
			body = append(body, 0)
		}
		n := uint32(len(body) + 12)
		h := le.AppendUint32(le.AppendUint32(nil, kind), n)
		b.Write(le.AppendUint32(append(h, body...), n))
	}
	block(0x0a0d0d0a, append([]byte{0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0}, bytes.Repeat([]byte{0xff}, 8)...))
	block(1, []byte{linkEthernet, 0, 0, 0, 0, 0, 4, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0})
	for _, r := range all {
		body := le.AppendUint32(nil, 0)
		body = le.AppendUint32(body, uint32(r.nanos>>32))
		body = le.AppendUint32(body, uint32(r.nanos))
		body = le.AppendUint32(body, uint32(len(r.data)))
		body = le.AppendUint32(body, uint32(r.wire))
		block(6, append(body, r.data...))
	}
	return b.Bytes()
}

// mapRecords applies f to a copy of every record.
func mapRecords(all []record, f func(r record) []record) []record {
	var out []record
	for _, r := range all {
		r.data = slices.Clone(r.data)
		out = append(out, f(r)...)
	}
	slices.SortStableFunc(out, func(x, y record) int { return int(x.nanos - y.nanos) })
	return out
}

func shifted(d time.Duration, ppm float64) func([]record) []record {
	return func(all []record) []record {
		return mapRecords(all, func(r record) []record {
			r.nanos += int64(d) + int64(float64(r.nanos-all[0].nanos)*ppm/1e6)
			return []record{r}
		})
	}
}

// timeless gives all packets the same time, as some exports do.
func timeless(all []record) []record {
	return mapRecords(all, func(r record) []record {
		r.nanos = all[0].nanos
		return []record{r}
	})
}

func cutTo(n int) func([]record) []record {
	return func(all []record) []record {
		return mapRecords(all, func(r record) []record {
			r.data = r.data[:min(n, len(r.data))]
			return []record{r}
		})
	}
}

func doubled(all []record) []record {
	return mapRecords(all, func(r record) []record {
		twin := r
		twin.nanos += 200_000
		return []record{r, twin}
	})
}

// noisy puts a DNS query and an ARP request between all packets.
func noisy(all []record) []record {
	dns := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0,
		0x45, 0, 0, 32, 0, 7, 0, 0, 64, 17, 0, 0, 10, 9, 9, 9, 10, 9, 9, 10,
		0x30, 0x39, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4}
	arp := append([]byte{255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 6}, make([]byte, 28)...)
	return mapRecords(all, func(r record) []record {
		return []record{{r.nanos - 1000, len(dns), dns}, r, {r.nanos + 1000, len(arp), arp}}
	})
}

func withoutFirstSecond(all []record) []record {
	if len(all) == 0 {
		return all
	}
	first := all[0].nanos
	return slices.DeleteFunc(slices.Clone(all), func(r record) bool { return r.nanos < first+1e9 })
}

// stripped takes the Ethernet header off; what is neither IPv4 nor IPv6 is left out.
func stripped(all []record, header []byte) []record {
	return mapRecords(all, func(r record) []record {
		kind := binary.BigEndian.Uint16(r.data[12:])
		if kind != 0x0800 && kind != 0x86dd {
			return nil
		}
		h := slices.Clone(header)
		if len(h) >= 2 {
			binary.BigEndian.PutUint16(h[len(h)-2:], kind)
		}
		r.data = append(h, r.data[14:]...)
		r.wire += len(header) - 14
		return []record{r}
	})
}

func opener(b []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
}

// incident is a file of an incident: of those that the demo plays too, or of those of which the access list of a run would hide what
// tells, and which are of this package alone.
func incident(name, file string) string {
	if own := filepath.Join("testdata", name, file); name != "*" {
		if _, err := os.Stat(own); err == nil {
			return own
		}
	}
	return filepath.Join("..", "testdata", "incidents", name, file)
}
