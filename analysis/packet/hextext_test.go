package packet

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func readText(t *testing.T, text string) (all []*Packet, info FileInfo) {
	t.Helper()
	r, err := NewReader(strings.NewReader(text), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for {
		p := new(Packet)
		if err := r.Next(p); errors.Is(err, io.EOF) {
			return all, r.Info()
		} else if err != nil {
			t.Fatal(err)
		}
		p.Raw = bytes.Clone(p.Raw)
		all = append(all, p)
	}
}

// hexLines writes a packet as the tools do.
func hexLines(b []byte, address func(int) string) string {
	var out strings.Builder
	for at := 0; at < len(b); at += 16 {
		part := b[at:min(at+16, len(b))]
		var groups []string
		for i := 0; i < len(part); i += 2 {
			groups = append(groups, hex.EncodeToString(part[i:min(i+2, len(part))]))
		}
		shown := strings.Map(func(r rune) rune {
			if r < ' ' || r > '~' {
				return '.'
			}
			return r
		}, string(part))
		fmt.Fprintf(&out, "%s%-39s  %s\n", address(at), strings.Join(groups, " "), shown)
	}
	return out.String()
}

func TestHexTextsOfOtherGateways(t *testing.T) {
	file, err := os.Open(filepath.Join("..", "..", "testdata", "incidents", "healthy", "a.pcap"))
	if err != nil {
		t.Skip("the incident lies elsewhere: ", err)
	}
	defer file.Close()
	b, err := io.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := readText(t, string(b))
	at := time.Date(2026, 3, 1, 10, 20, 30, 123456000, time.UTC)
	for _, tt := range []struct {
		name, head string
		address    string
		link       bool
		time       time.Time
	}{
		{"FortiGate, level 6", "2026-03-01 10:20:30.123456 wan1 out 192.168.1.1.500 -> 192.168.2.1.500: udp 464",
			"0x%04x \t ", true, at},
		{"FortiGate, level 5, relative", "9.123456 wan1 in 192.168.1.1.500 -> 192.168.2.1.500: udp 464", "0x%04x\t", false,
			time.Unix(9, 123456000)},
		{"ASA", "   1: 10:20:30.123456       192.168.1.1.500 > 192.168.2.1.500:  udp 464 ", "0x%04x   ", true,
			time.Unix(10*3600+20*60+30, 123456000)},
		{"tcpdump -tttt -X", "2026-03-01 10:20:30.123456 IP 192.168.1.1.500 > 192.168.2.1.500: isakmp: parent_sa",
			"\t0x%04x:  ", false, at},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var text strings.Builder
			text.WriteString("gateway # a command\ninterfaces=[wan1]\n")
			for _, p := range want {
				data := p.Raw
				if !tt.link {
					data = data[14:]
				}
				text.WriteString(tt.head + "\n" + hexLines(data, func(at int) string { return fmt.Sprintf(tt.address, at) }) + "\n")
			}
			text.WriteString("\n12 packets received by filter\n0 packets dropped by kernel\n")
			got, info := readText(t, text.String())
			if len(got) != len(want) || info.Format != "hex text" || info.Damage != nil {
				t.Fatalf("%d packets, want %d; %s, %v", len(got), len(want), info.Format, info.Damage)
			}
			for i, p := range got {
				if p.Kind != want[i].Kind || p.Src != want[i].Src || p.SrcPort != want[i].SrcPort ||
					tt.link && !bytes.Equal(p.Raw, want[i].Raw) {
					t.Errorf("packet %d: %v %s, want %v %s", i+1, p.Kind, p.Src, want[i].Kind, want[i].Src)
				}
				if p.Nanos != tt.time.UnixNano() {
					t.Errorf("packet %d: at %d, want %d", i+1, p.Nanos, tt.time.UnixNano())
				}
			}
		})
	}
	// A line that is missing is damage, and never glued over.
	broken := tests500 + hexLines(want[0].Raw, func(at int) string { return fmt.Sprintf("0x%04x:  ", at) })
	broken = strings.Replace(broken, "0x0020:", "gone", 1)
	if got, info := readText(t, broken); len(got) != 1 || len(got[0].Raw) != 32 || info.Damage == nil {
		t.Errorf("%d packets, %v", len(got), info.Damage)
	}
}

const tests500 = "10:20:30.123456 IP 192.168.1.1.500 > 192.168.2.1.500: isakmp\n"

// TestTcpdumpTextIsRead has tcpdump print a capture, where it is installed, and reads that.
func TestTcpdumpTextIsRead(t *testing.T) {
	bin, err := exec.LookPath("tcpdump")
	if err != nil {
		t.Skip("tcpdump is not installed")
	}
	file := filepath.Join("..", "..", "testdata", "incidents", "healthy", "a.pcap")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Skip(err)
	}
	want, _ := readText(t, string(b))
	for _, how := range []string{"-XX", "-X", "-xx", "-x"} {
		out, err := exec.CommandContext(t.Context(), bin, "-n", "-tttt", how, "-r", file).Output()
		if err != nil {
			t.Fatal(err)
		}
		got, info := readText(t, string(out))
		if len(got) != len(want) || info.Damage != nil {
			t.Errorf("%s: %d packets, want %d, %v", how, len(got), len(want), info.Damage)
			continue
		}
		for i := range got {
			if got[i].Kind != want[i].Kind || got[i].Src != want[i].Src || len(got[i].Raw) == 0 {
				t.Errorf("%s: packet %d is %v from %s", how, i+1, got[i].Kind, got[i].Src)
			}
		}
	}
}

func TestOtherFormatsNameTheirConversion(t *testing.T) {
	for _, tt := range []struct{ head, want string }{
		{"snoop\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x04", "editcap -F pcap"}, {"GMBU\x00\x02", "another analyzer"},
		{"\x01\x02\x03\x04\x05\x06\x07\x08\x01\x00", "editcap -F pcap"},
	} {
		if _, err := NewReader(strings.NewReader(tt.head), Options{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v", tt.head, err)
		}
	}
}
