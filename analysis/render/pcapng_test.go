package render_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

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
	ip := []byte{0x45, 0, 0, 29, 0, 0, 0, 0, 64, 17, 0, 0, 192, 168, 1, 1, 192, 168, 2, 1, 0x11, 0x94, 0x11, 0x94, 0, 9, 0, 0, 0xff}
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

func TestTsharkReadsTheComments(t *testing.T) {
	bin, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed")
	}
	file := filepath.Join(t.TempDir(), "merged.pcapng")
	if err := os.WriteFile(file, merged(t, blocked()), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), bin, "-r", file, "-T", "fields", "-e", "frame.number", "-e", "frame.interface_name", "-e", "frame.comment").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{"5\tsite-a GigabitEthernet1\tFINDING nat-t-blocked (critical)", "LOST: never arrived at site-b (transmission 1 of 4)",
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
