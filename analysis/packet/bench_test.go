package packet

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/moncap/moncap/analysis/ike"
)

const benchPackets = 50_000

// benchFile is a capture of IKE_SA_INIT messages with seven payloads each, 460 bytes of IP.
func benchFile() []byte {
	frame := ether4(ip4(17, udpDatagram(addrA4, addrB4, 500, 500, benchMessage())))
	frames := make([][]byte, benchPackets)
	for i := range frames {
		frames[i] = frame
	}
	return plainPcap.file(frames...)
}

func benchMessage() []byte {
	b := ikeMessage(0)[:28]
	b[16] = 33
	for _, p := range []struct {
		next byte
		n    int
	}{{34, 40}, {40, 260}, {41, 32}, {41, 24}, {41, 24}, {41, 4}, {0, 12}} {
		b = append(b, p.next, 0, byte((p.n+4)>>8), byte(p.n+4))
		b = append(b, make([]byte, p.n)...)
	}
	binary.BigEndian.PutUint32(b[24:], uint32(len(b)))
	return b
}

func report(b *testing.B, packets int) {
	b.ReportMetric(float64(packets)/b.Elapsed().Seconds(), "packets/s")
}

// walked reads a capture with the header and the payload chain of every message.
func walked(tb testing.TB, r io.Reader, o Options) (packets, payloads int) {
	c, err := NewReader(r, o)
	if err != nil {
		tb.Fatal(err)
	}
	var p Packet
	count := func(ike.PayloadType, int, []byte) bool { payloads++; return true }
	for {
		err := c.Next(&p)
		if err == io.EOF {
			return packets, payloads
		}
		if err != nil {
			tb.Fatal(err)
		}
		packets++
		if p.Kind != IKE {
			continue
		}
		if _, fault := ike.Walk(p.Payload, count); fault != (ike.Fault{}) {
			tb.Fatal(fault)
		}
	}
}

func BenchmarkReader(b *testing.B) {
	file := benchFile()
	for name, o := range map[string]Options{"walk": {NoHash: true}, "walk+sha256": {},
		"walk,no checksums": {NoHash: true, NoChecksum: true}} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(file)))
			n := 0
			for b.Loop() {
				packets, payloads := walked(b, bytes.NewReader(file), o)
				if payloads != 7*packets {
					b.Fatalf("%d payloads in %d packets", payloads, packets)
				}
				n += packets
			}
			report(b, n)
		})
	}
}

// BenchmarkGopacket is gopacket's fastest way over the same packets: Ethernet, IP and UDP, nothing
// of IKE, and no file to read.
func BenchmarkGopacket(b *testing.B) {
	file := benchFile()
	b.SetBytes(int64(len(file)))
	var eth layers.Ethernet
	var ip layers.IPv4
	var udp layers.UDP
	parser := gopacket.NewDecodingLayerParser(layers.LayerTypeEthernet, &eth, &ip, &udp)
	parser.IgnoreUnsupported = true
	var decoded []gopacket.LayerType
	n := 0
	for b.Loop() {
		for at := 24; at < len(file); {
			length := int(binary.LittleEndian.Uint32(file[at+8:]))
			data := file[at+16 : at+16+length]
			at += 16 + length
			if err := parser.DecodeLayers(data, &decoded); err != nil || len(decoded) != 3 {
				b.Fatal(decoded, err)
			}
			n++
		}
	}
	report(b, n)
}

// BenchmarkTshark is `tshark -T fields` over the same file, its start included.
func BenchmarkTshark(b *testing.B) {
	if _, err := exec.LookPath("tshark"); err != nil {
		b.Skip("tshark is not installed")
	}
	path := filepath.Join(b.TempDir(), "bench.pcap")
	if err := os.WriteFile(path, benchFile(), 0o600); err != nil {
		b.Fatal(err)
	}
	n := 0
	for b.Loop() {
		cmd := exec.CommandContext(b.Context(), "tshark", "-n", "-r", path, "-T", "fields", "-e", "isakmp.messageid", "-e",
			"isakmp.typepayload")
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
		n += benchPackets
	}
	report(b, n)
}

// One pass must not allocate for a packet, whatever the file's size.
func TestReadingAllocatesNothingPerPacket(t *testing.T) {
	file := benchFile()
	few := testing.AllocsPerRun(1,
		func() { walked(t, bytes.NewReader(file[:24+100*(16+len(file[24:])/benchPackets-16)]), Options{}) })
	all := testing.AllocsPerRun(1, func() { walked(t, bytes.NewReader(file), Options{}) })
	if all > few+10 {
		t.Errorf("%v allocations for %d packets, %v for 100", all, benchPackets, few)
	}
}

// endless is a capture of any length that needs no memory itself.
type endless struct {
	head, record []byte
	at           int
	left         int64
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	if len(e.head) > 0 {
		n := copy(p, e.head)
		e.head = e.head[n:]
		return n, nil
	}
	n := 0
	for n < len(p) && e.left > 0 {
		c := copy(p[n:], e.record[e.at:])
		n += c
		if e.at += c; e.at == len(e.record) {
			e.at = 0
			e.left--
		}
	}
	return n, nil
}

func TestMemoryIsFlat(t *testing.T) {
	file := benchFile()
	record := file[24 : 24+len(file[24:])/benchPackets]
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n, _ := walked(t, &endless{head: file[:24], record: record, left: 500_000}, Options{NoHash: true})
	runtime.ReadMemStats(&after)
	if n != 500_000 {
		t.Fatalf("%d packets", n)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 4<<20 {
		t.Errorf("reading 250 MB allocated %d bytes", grown)
	}
}
