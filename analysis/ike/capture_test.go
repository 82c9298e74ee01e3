package ike

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"github.com/moncap/moncap/testdata"
)

// sample is one IKE message of a capture.
type sample struct {
	from string
	b    []byte
}

// messages returns every unfragmented IKE message of the incidents and, where they are at hand, of
// the public corpus.
func messages(t testing.TB) []sample {
	t.Helper()
	var all []sample
	add := func(name string, r io.Reader) {
		n := 0
		for _, b := range udpPayloads(r) {
			n++
			all = append(all, sample{name, b})
		}
	}
	err := fs.WalkDir(testdata.Incidents(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".pcap") {
			return err
		}
		b, err := fs.ReadFile(testdata.Incidents(), path)
		add(path, bytes.NewReader(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	corpus, _ := filepath.Glob("../../../shared/corpus/*.pcap")
	for _, path := range corpus {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		add(filepath.Base(path), bytes.NewReader(b))
	}
	if len(all) < 150 {
		t.Fatalf("only %d messages", len(all))
	}
	return all
}

func udpPayloads(r io.Reader) [][]byte {
	p, err := pcapgo.NewReader(r)
	if err != nil {
		return nil
	}
	var all [][]byte
	for {
		b, _, err := p.ReadPacketData()
		if errors.Is(err, io.EOF) || err != nil {
			return all
		}
		at := map[layers.LinkType]int{layers.LinkTypeEthernet: 14, layers.LinkTypeRaw: 0,
			layers.LinkTypeNull: 4}[p.LinkType()]
		if m := ikeMessage(b, at); m != nil {
			all = append(all, m)
		}
	}
}

func ikeMessage(b []byte, at int) []byte {
	if len(b) < at+28 {
		return nil
	}
	b = b[at:]
	n := 40
	if b[0]>>4 == 4 {
		n = int(b[0]&15) * 4
		if b[9] != 17 || binary.BigEndian.Uint16(b[6:])&0x3fff != 0 {
			return nil
		}
	} else if b[6] != 17 {
		return nil
	}
	if len(b) < n+8 {
		return nil
	}
	src, dst := binary.BigEndian.Uint16(b[n:]), binary.BigEndian.Uint16(b[n+2:])
	b = b[n+8:]
	switch {
	case src == 500 || dst == 500:
		return b
	case (src == 4500 || dst == 4500) && len(b) > 4 && binary.BigEndian.Uint32(b) == 0:
		return b[4:]
	}
	return nil
}

func TestAppendReturnsWhatParseRead(t *testing.T) {
	whole := 0
	for _, s := range messages(t) {
		m, err := Parse(s.b)
		if err != nil || len(m.Faults) > 0 {
			continue
		}
		whole++
		got, err := m.Append(nil)
		if err != nil || !bytes.Equal(got, s.b) {
			t.Errorf("%s: %s: %v\n got %x\nwant %x", s.from, m.Info(), err, got, s.b)
		}
	}
	if whole < 130 {
		t.Errorf("only %d well-formed messages", whole)
	}
}

func TestIncidentsAreWellFormed(t *testing.T) {
	for _, s := range messages(t) {
		if !strings.Contains(s.from, "/") {
			continue // the corpus holds malformed ones by design
		}
		m, err := Parse(s.b)
		if err != nil || len(m.Faults) > 0 {
			t.Errorf("%s: %v %v", s.from, err, m.Faults)
			continue
		}
		for _, p := range m.Payloads {
			d, ok := p.(Described)
			if !ok {
				t.Errorf("%s: %T says nothing about itself", s.from, p)
				continue
			}
			if len(fieldsOf(t, d)) == 0 {
				t.Errorf("%s: %T has no fields", s.from, p)
			}
		}
	}
}

func TestEveryPrefixIsReadAsFarAsItGoes(t *testing.T) {
	for _, s := range messages(t) {
		for n := range s.b {
			m, err := Parse(s.b[:n])
			if n < HeaderLen {
				if pe, ok := errors.AsType[*ParseError](err); !ok || pe.Offset != n {
					t.Fatalf("%s: %d bytes: %v", s.from, n, err)
				}
				continue
			}
			if err != nil {
				break // a version that is none
			}
			if int(m.Length) > n && len(m.Faults) == 0 {
				t.Fatalf("%s: cut to %d of %d bytes, and no fault", s.from, n, m.Length)
			}
			for _, f := range m.Faults {
				if f.Offset < 0 || f.Offset > n || f.Reason == "" {
					t.Fatalf("%s: cut to %d bytes: fault %+v", s.from, n, f)
				}
			}
		}
	}
}

func TestWalkSeesTheChainThatParseSees(t *testing.T) {
	for _, s := range messages(t) {
		m, err := Parse(s.b)
		if err != nil || len(m.Faults) > 0 || m.Major() == 1 && m.Encrypted() {
			continue
		}
		var types []PayloadType
		_, fault := Walk(s.b, func(p PayloadType, _ int, _ []byte) bool {
			types = append(types, p)
			return true
		})
		if fault != (Fault{}) || len(types) != len(m.Payloads) {
			t.Fatalf("%s: %v, %d payloads, Parse sees %d", s.from, fault, len(types), len(m.Payloads))
		}
		for i, p := range m.Payloads {
			if p.Type() != types[i] {
				t.Errorf("%s: payload %d is %v for Walk, %v for Parse", s.from, i, types[i], p.Type())
			}
		}
	}
}

func TestWalkAllocatesNothing(t *testing.T) {
	b := messages(t)[0].b
	n := 0
	count := func(PayloadType, int, []byte) bool { n++; return true }
	if got := testing.AllocsPerRun(100, func() { Walk(b, count) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
	if n == 0 {
		t.Error("no payload was seen")
	}
}

func FuzzParse(f *testing.F) {
	for i, s := range messages(f) {
		if i%7 == 0 {
			f.Add(s.b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			return
		}
		_ = m.Info()
		for _, p := range m.Payloads {
			d := p.(Described)
			Details(d)
			fieldsOf(t, d)
		}
		out, err := m.Append(nil)
		if err == nil && len(m.Faults) == 0 && !bytes.Equal(out, b) {
			t.Errorf("well-formed, but Append gives\n%x, not\n%x", out, b)
		}
		Walk(b, func(PayloadType, int, []byte) bool { return true })
	})
}

func BenchmarkParse(b *testing.B) {
	m := messages(b)[0].b
	b.SetBytes(int64(len(m)))
	for b.Loop() {
		if _, err := Parse(m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWalk(b *testing.B) {
	m := messages(b)[0].b
	b.SetBytes(int64(len(m)))
	n := 0
	count := func(PayloadType, int, []byte) bool { n++; return true }
	for b.Loop() {
		Walk(m, count)
	}
}
