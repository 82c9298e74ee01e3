package analysis_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/scene"
)

// readRecords reads a little-endian pcap file of Ethernet frames, as nearly all incidents are.
func readRecords(t testing.TB, path string) []scene.Record {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	unit := map[uint32]int64{0xa1b2c3d4: 1e3, 0xa1b23c4d: 1}[le.Uint32(b)]
	if unit == 0 || le.Uint32(b[20:]) != scene.LinkEthernet {
		t.Fatalf("%s: no little-endian Ethernet pcap", path)
	}
	var all []scene.Record
	for at := 24; at+16 <= len(b); {
		n := int(le.Uint32(b[at+8:]))
		all = append(all, scene.Record{
			Nanos: int64(le.Uint32(b[at:]))*1e9 + int64(le.Uint32(b[at+4:]))*unit,
			Wire:  int(le.Uint32(b[at+12:])), Data: b[at+16 : at+16+n],
		})
		at += 16 + n
	}
	return all
}

func shifted(d time.Duration, ppm float64) func([]scene.Record) []scene.Record {
	return func(all []scene.Record) []scene.Record {
		return scene.MapRecords(all, func(r scene.Record) []scene.Record {
			r.Nanos += int64(d) + int64(float64(r.Nanos-all[0].Nanos)*ppm/1e6)
			return []scene.Record{r}
		})
	}
}

// timeless gives all packets the same time, as some exports do.
func timeless(all []scene.Record) []scene.Record {
	return scene.MapRecords(all, func(r scene.Record) []scene.Record {
		r.Nanos = all[0].Nanos
		return []scene.Record{r}
	})
}

func cutTo(n int) func([]scene.Record) []scene.Record {
	return func(all []scene.Record) []scene.Record {
		return scene.MapRecords(all, func(r scene.Record) []scene.Record {
			r.Data = r.Data[:min(n, len(r.Data))]
			return []scene.Record{r}
		})
	}
}

func doubled(all []scene.Record) []scene.Record {
	return scene.MapRecords(all, func(r scene.Record) []scene.Record {
		twin := r
		twin.Nanos += 200_000
		return []scene.Record{r, twin}
	})
}

// noisy puts a DNS query and an ARP request between all packets.
func noisy(all []scene.Record) []scene.Record {
	dns := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0,
		0x45, 0, 0, 32, 0, 7, 0, 0, 64, 17, 0, 0, 10, 9, 9, 9, 10, 9, 9, 10,
		0x30, 0x39, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4}
	arp := append([]byte{255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 6}, make([]byte, 28)...)
	return scene.MapRecords(all, func(r scene.Record) []scene.Record {
		before := scene.Record{Nanos: r.Nanos - 1000, Wire: len(dns), Data: dns}
		return []scene.Record{before, r, {Nanos: r.Nanos + 1000, Wire: len(arp), Data: arp}}
	})
}

func withoutFirstSecond(all []scene.Record) []scene.Record {
	if len(all) == 0 {
		return all
	}
	first := all[0].Nanos
	return slices.DeleteFunc(slices.Clone(all), func(r scene.Record) bool { return r.Nanos < first+1e9 })
}

// stripped takes the Ethernet header off; what is neither IPv4 nor IPv6 is left out.
func stripped(all []scene.Record, header []byte) []scene.Record {
	return scene.MapRecords(all, func(r scene.Record) []scene.Record {
		kind := binary.BigEndian.Uint16(r.Data[12:])
		if kind != 0x0800 && kind != 0x86dd {
			return nil
		}
		h := slices.Clone(header)
		if len(h) >= 2 {
			binary.BigEndian.PutUint16(h[len(h)-2:], kind)
		}
		r.Data = append(h, r.Data[14:]...)
		r.Wire += len(header) - 14
		return []scene.Record{r}
	})
}

// incident is a file of an incident: of those that the demo plays too, or of those of which the
// access list of a run would hide what tells, and which are of this package alone.
func incident(name, file string) string {
	if own := filepath.Join("testdata", name, file); name != "*" {
		if _, err := os.Stat(own); err == nil {
			return own
		}
	}
	return filepath.Join("..", "testdata", "incidents", name, file)
}
