package packet

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/moncap/moncap/testdata"
)

// drain reads a file to its end and checks what must hold of any file.
func drain(t *testing.T, file []byte) {
	r, err := NewReader(bytes.NewReader(file), Options{})
	if err != nil {
		return
	}
	var p Packet
	for n := 0; ; {
		if err = r.Next(&p); err != nil {
			break
		}
		if p.Record == 0 {
			n++
		}
		if p.Frame != n || p.CapLen != len(p.Raw) || p.WireLen < p.CapLen || p.CapLen > maxRecord {
			t.Fatalf("frame %d: %d of %d bytes, raw %d", p.Frame, p.CapLen, p.WireLen, len(p.Raw))
		}
		if (p.Error != nil) != (p.Kind == ICMP) || p.Kind == Fragment && !p.IsFragment {
			t.Fatalf("frame %d: %v with error %v", n, p.Kind, p.Error)
		}
		if len(r.decoder.fragments.open) > maxDatagrams {
			t.Fatalf("%d datagrams are kept", len(r.decoder.fragments.open))
		}
	}
	if err != io.EOF {
		t.Fatalf("a file in memory gives %v", err)
	}
}

func seeds(f *testing.F, add func([]byte)) {
	incidents, err := testdata.List()
	if err != nil {
		f.Fatal(err)
	}
	for _, i := range incidents {
		if len(i.A) < 3000 {
			add(i.A)
		}
	}
	names, _ := filepath.Glob(filepath.Join("..", "..", "..", "shared", "corpus", "*.pcap*"))
	for _, name := range names {
		if b, err := os.ReadFile(name); err == nil && len(b) < 3000 {
			add(b)
		}
	}
}

func FuzzReader(f *testing.F) {
	seeds(f, func(b []byte) { f.Add(b) })
	f.Add(gzipped(f, plainPcap.file(ether4(ike4(8)))))
	f.Add([]byte("1: 10:20:30.123456 x\n0x0000:  4500 0020 0001 0000  E..\n\t0x0010\t 0a00\t..\n"))
	f.Fuzz(func(t *testing.T, b []byte) { drain(t, b) })
}

// FuzzPcap mutates the file behind a pcap header of any form.
func FuzzPcap(f *testing.F) {
	seeds(f, func(b []byte) {
		if len(b) > 24 && b[0] != 0x0a {
			f.Add(b[24:], true, uint8(0), uint32(1))
		}
	})
	f.Add([]byte{}, false, uint8(2), uint32(linkSLL))
	f.Fuzz(func(t *testing.T, b []byte, little bool, form uint8, link uint32) {
		p := plainPcap
		if !little {
			p.order = binary.BigEndian
		}
		p.magic, p.link = [...]uint32{magicMicro, magicNano, magicModified}[form%3], link
		drain(t, append(p.file(), b...))
	})
}

func FuzzPcapng(f *testing.F) {
	f.Add([]byte{}, true, uint16(1), uint8(6))
	f.Add((&ngFile{order: binary.LittleEndian}).iface(1, 0, 0, 0).enhanced(0, 1, ether4(ike4(8))).simple(9, nil).b, true,
		uint16(101), uint8(0x8a))
	f.Fuzz(func(t *testing.T, b []byte, little bool, link uint16, resol uint8) {
		g := &ngFile{order: binary.LittleEndian}
		if !little {
			g.order = binary.BigEndian
		}
		drain(t, append(g.section().iface(link, 0, resol, 0).b, b...))
	})
}

func FuzzDump(f *testing.F) {
	f.Add(string(dumpText(ether4(ike4(8)), ether(etherIPv6, ike6(8)))))
	f.Add("buffer dump\n0\n 0000: 00\n1\n")
	f.Fuzz(func(t *testing.T, text string) { drain(t, []byte("x buffer dump\n"+text)) })
}

// FuzzStream gives the segments of a TCP connection in any order, which must keep the memory
// bounded and every record within a segment's reach.
func FuzzStream(f *testing.F) {
	record := append([]byte{0, 42, 0, 0, 0, 0}, ikeMessage(4)...)
	f.Add(append([]byte("IKETCP"), record...), []byte{0, 5, 60, 0}, uint32(7))
	f.Fuzz(func(t *testing.T, data, cuts []byte, seq uint32) {
		var s streams
		at := 0
		for i, c := range cuts {
			end := min(at+int(c), len(data))
			records, _ := s.take(segment{seq: seq + uint32(at), ack: uint32(i), data: data[at:end]})
			total := 0
			for _, r := range records {
				total += len(r)
			}
			if total > len(data)+1<<16 {
				t.Fatalf("%d bytes of records out of %d", total, len(data))
			}
			if at = end; c%3 == 0 {
				at = 0
			}
		}
	})
}

// FuzzFrame decodes single frames of any link type, twice with fragments between.
func FuzzFrame(f *testing.F) {
	for _, link := range []uint16{0, 1, 9, 50, 51, 101, 104, 108, 113, 276} {
		f.Add(link, ether4(ike4(8)))
	}
	f.Add(uint16(1), ether4(ip4Fragment(17, 1, 8, true, make([]byte, 16))))
	for _, w := range wrappings() {
		f.Add(uint16(w.link), w.frame(ike4(8)))
	}
	f.Fuzz(func(t *testing.T, link uint16, frame []byte) {
		d := decoder{}
		for i := range 3 {
			p := Packet{Frame: i + 1}
			d.decode(&p, &record{link: link, data: frame, wireLen: len(frame)})
		}
	})
}
