package pair

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/packet"
)

const incidents = "../../testdata/incidents"

func readStory(t *testing.T, path string) *exchange.Story {
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
	s, err := exchange.Read(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDump(t *testing.T) {
	dirs, _ := filepath.Glob(incidents + "/*")
	for _, d := range dirs {
		c, err := Join(context.Background(), readStory(t, d+"/a.pcap"), readStory(t, d+"/b.pcap"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("=== %s", filepath.Base(d))
		for _, s := range Both {
			p := c.Parties[s]
			t.Logf("%s own=%v translated=%v cover=%d..%d counts=%+v", s, p.Addresses, p.Translated, p.Coverage.From, p.Coverage.To, p.Story.Counts)
		}
		if c.Clock != nil {
			t.Logf("clock %+v", *c.Clock)
		}
		for _, v := range c.Conversations {
			t.Logf("conv %s v%d init=%s %s %s ends=%v complete=%v prev=%v rekeyed=%v", v.ID, v.Version, v.Initiator, v.SPIi, v.SPIr, v.Ends, v.Complete, v.Previous != nil, v.Rekeyed != nil)
			for _, m := range v.Messages {
				s := ""
				for _, x := range m.Transmissions {
					s += " " + x.Fate.String()
					if x.Duplicate {
						s += "(dup)"
					}
					if x.At[A] != nil && x.At[B] != nil {
						d, _ := c.Delay(x, m.From)
						s += "(" + string(rune('0'+d/1e6)) + ")"
					}
				}
				t.Logf("   %s x%d id=%d %s %s alt=%v ans=%v: %s", m.From, m.Exchange, m.MessageID, m.Kind, m.Role, m.Altered, m.Answers != nil, s)
			}
		}
		for _, f := range c.Flows {
			t.Logf("flow %08x %s sent=%d lost=%d missing=%d hidden=%d", f.SPI, f.From.Direction(), f.Sent, f.Lost, f.Missing, f.Hidden)
		}
		for _, m := range c.NAT {
			t.Logf("nat %s %s -> %s (%d)", m.Side, m.Original, m.Translated, m.Packets)
		}
		for _, e := range c.ICMP {
			t.Logf("icmp in %s quoted %s %d/%d from %s msg=%v", e.Side, e.Quoted, e.Type, e.Code, e.Sight.Src, e.Message != nil)
		}
		t.Logf("counts %+v", c.Counts)
	}
}
