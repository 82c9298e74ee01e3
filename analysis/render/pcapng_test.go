package render_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket/pcapgo"

	"github.com/moncap/moncap/analysis/packet"
	"github.com/moncap/moncap/analysis/render"
	"github.com/moncap/moncap/analysis/report"
)

// capture is a pcap file of n small UDP packets, a second apart.
func capture(n int, shift int64) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 0xa1b23c4d)
	b = append(b, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0)
	b = le.AppendUint32(b, 101) // raw IP
	ip := []byte{0x45, 0, 0, 29, 0, 0, 0, 0, 64, 17, 0, 0, 192, 168, 1, 1, 192, 168, 2, 1, 0x11, 0x94, 0x11, 0x94, 0, 9, 0,
		0, 0xff}
	for i := range n {
		at := epoch.UnixNano() + int64(i)*1e9 + shift
		b = le.AppendUint32(b, uint32(at/1e9))
		b = le.AppendUint32(b, uint32(at%1e9))
		b = le.AppendUint32(b, uint32(len(ip)))
		b = le.AppendUint32(b, uint32(len(ip)))
		b = append(b, ip...)
	}
	return b
}

func merged(t *testing.T, r *report.Report) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := render.PCAPNG(&b, r, bytes.NewReader(capture(6, 0)), bytes.NewReader(capture(2, 120_900_000))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPCAPNGReadsBackInOrder(t *testing.T) {
	in, err := packet.NewReader(bytes.NewReader(merged(t, blocked())), packet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var sides []int
	last := int64(0)
	for p, err := range packet.All(in) {
		if err != nil {
			t.Fatal(err)
		}
		if p.Nanos < last {
			t.Errorf("frame %d goes back in time", p.Frame)
		}
		last = p.Nanos
		sides = append(sides, p.Interface)
		if p.Frame == 2 && p.Nanos != epoch.UnixNano()+800_000 {
			t.Errorf("B's first packet is at %d", p.Nanos-epoch.UnixNano())
		}
	}
	if len(sides) != 8 {
		t.Fatalf("%d packets, want 8", len(sides))
	}
	if sides[0] != 0 || sides[1] != 1 || sides[2] != 0 || sides[3] != 1 {
		t.Errorf("interfaces %v", sides)
	}
}

func TestPCAPNGOneSide(t *testing.T) {
	var b bytes.Buffer
	if err := render.PCAPNG(&b, established(), bytes.NewReader(capture(3, 0)), nil); err != nil {
		t.Fatal(err)
	}
	if b.Len()%4 != 0 {
		t.Errorf("%d bytes are no whole number of words", b.Len())
	}
}

func TestGopacketReadsIt(t *testing.T) {
	r, err := pcapgo.NewNgReader(bytes.NewReader(merged(t, blocked())), pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		t.Fatal(err)
	}
	if c := r.SectionInfo().Comment; !strings.Contains(c, "failed: UDP 4500 from site-a never arrives") ||
		!strings.Contains(c, "120 ms ahead") {
		t.Errorf("section comment %q", c)
	}
	packets, last := map[int]int{}, time.Time{}
	for {
		data, ci, err := r.ReadPacketData()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if ci.Timestamp.Before(last) || len(data) != 29 || ci.Length != 29 {
			t.Errorf("%v after %v, %d of %d bytes", ci.Timestamp, last, len(data), ci.Length)
		}
		last = ci.Timestamp
		packets[ci.InterfaceIndex]++
	}
	if packets[0] != 6 || packets[1] != 2 || r.NInterfaces() != 2 {
		t.Errorf("packets by interface: %v", packets)
	}
	for k, want := range []string{"site-a GigabitEthernet1", "site-b GigabitEthernet1"} {
		i, err := r.Interface(k)
		if err != nil || i.Name != want || !strings.HasPrefix(i.Description, "side ") || i.SnapLength != 262144 ||
			i.TimestampResolution != 9 {
			t.Errorf("interface %d: %v %+v", k, err, i)
		}
	}
}

// Two captures of different link types, one of them empty, stay what they are.
func TestPCAPNGKeepsLinkTypes(t *testing.T) {
	empty := capture(0, 0)
	binary.LittleEndian.PutUint32(empty[20:], 1)
	var b bytes.Buffer
	if err := render.PCAPNG(&b, blocked(), bytes.NewReader(capture(2, 0)), bytes.NewReader(empty)); err != nil {
		t.Fatal(err)
	}
	r, err := pcapgo.NewNgReader(&b, pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, _, err := r.ReadPacketData(); err != nil {
			t.Fatal(err)
		}
	}
	if a, err := r.Interface(0); err != nil || a.LinkType != 101 {
		t.Errorf("A: %v %+v", err, a)
	}
	if i, err := r.Interface(1); err != nil || i.LinkType != 1 {
		t.Errorf("B: %v %+v", err, i)
	}
}

func TestTsharkReadsTheComments(t *testing.T) {
	bin, err := exec.LookPath("tshark")
	if err != nil {
		if os.Getenv("MONCAP_REFEREES") != "" {
			t.Fatal("tshark is not installed, and MONCAP_REFEREES wants it")
		}
		t.Skip("tshark is not installed")
	}
	file := filepath.Join(t.TempDir(), "merged.pcapng")
	if err := os.WriteFile(file, merged(t, blocked()), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), bin, "-r", file, "-T", "fields", "-e", "frame.number", "-e",
		"frame.interface_name", "-e", "frame.comment").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{"5\tsite-a GigabitEthernet1\tFINDING nat-t-blocked (critical)",
		"LOST: never arrived at site-b (transmission 1 of 4)",
		"2\tsite-b GigabitEthernet1"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is missing:\n%s", want, out)
		}
	}
	out, err = exec.CommandContext(t.Context(), bin, "-r", file, "-q", "-z", "expert").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "FINDING nat-t-blocked") {
		t.Errorf("expert information: %v\n%s", err, out)
	}
}
