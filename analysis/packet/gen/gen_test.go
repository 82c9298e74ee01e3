package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/packet"
)

func generate(t *testing.T, s settings) settings {
	t.Helper()
	dir := t.TempDir()
	s.a, s.tunnels, s.seed, s.exchanges = filepath.Join(dir, "a.pcap"), 7, 3, 20
	if s.b != "" {
		s.b = filepath.Join(dir, "b.pcap")
	}
	if err := s.run(io.Discard); err != nil {
		t.Fatal(err)
	}
	return s
}

// read returns the kinds of a file's packets and how often each UDP or ESP payload occurs.
func read(t *testing.T, path string) (kinds map[packet.Kind]int, payloads map[string]int) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := packet.NewReader(f, packet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	kinds, payloads = map[packet.Kind]int{}, map[string]int{}
	last := int64(0)
	for p, err := range packet.All(r) {
		if err != nil || !p.ChecksumOK || p.Nanos < last {
			t.Fatalf("frame %d: checksum %v, time %d after %d, %v", p.Frame, p.ChecksumOK, p.Nanos, last, err)
		}
		last = p.Nanos
		kinds[p.Kind]++
		payloads[string(p.Payload)]++
		if h, err := ike.ParseHeader(p.Payload); p.Kind == packet.IKE && (err != nil || int(h.Length) != len(p.Payload)) {
			t.Fatalf("frame %d: header %+v, %d bytes, %v", p.Frame, h, len(p.Payload), err)
		}
	}
	if d := r.Info().Damage; d != nil {
		t.Fatal(d)
	}
	return kinds, payloads
}

func TestOneSide(t *testing.T) {
	for kind, want := range map[string]map[packet.Kind]int{
		"ike":   {packet.IKE: 1000},
		"esp":   {packet.ESP: 1000},
		"mixed": {packet.IKE: 105, packet.ESP: 895},
	} {
		s := generate(t, settings{packets: 1000, kind: kind})
		got, _ := read(t, s.a)
		if len(got) != len(want) || got[packet.IKE] != want[packet.IKE] || got[packet.ESP] != want[packet.ESP] {
			t.Errorf("%s: %v, want %v", kind, got, want)
		}
	}
}

func TestTwoSidesDifferByWhatWasLost(t *testing.T) {
	s := generate(t, settings{packets: 5000, kind: "mixed", loss: 0.1, delay: 3 * time.Millisecond, offset: time.Second,
		b: "yes"})
	_, a := read(t, s.a)
	_, b := read(t, s.b)
	both, all := 0, map[string]int{}
	for payload := range a {
		all[payload]++
		if b[payload] > 0 {
			both++
		}
	}
	for payload := range b {
		all[payload]++
	}
	if len(all) != 5000 {
		t.Errorf("%d packets were sent, want 5000", len(all))
	}
	if lost := 5000 - both; lost < 400 || lost > 600 {
		t.Errorf("%d of 5000 packets were lost, want about 500", lost)
	}
}

func TestTheSameSeedGivesTheSameFile(t *testing.T) {
	var files [2][]byte
	for i := range files {
		s := generate(t, settings{packets: 500, kind: "mixed"})
		b, err := os.ReadFile(s.a)
		if err != nil {
			t.Fatal(err)
		}
		files[i] = b
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("two runs gave different files")
	}
}

func TestWrongSettings(t *testing.T) {
	good := settings{packets: 1, kind: "ike", tunnels: 1, exchanges: 2, a: "x"}
	for name, spoil := range map[string]func(*settings){
		"no file":      func(s *settings) { s.a = "" },
		"unknown kind": func(s *settings) { s.kind = "gre" },
		"no tunnel":    func(s *settings) { s.tunnels = 0 },
		"loss":         func(s *settings) { s.loss = 1.5 },
	} {
		s := good
		spoil(&s)
		if s.check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := good.check(); err != nil {
		t.Error(err)
	}
}
