package diagnose_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/moncap/moncap/analysis/diagnose"
	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/packet"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/scene"
)

// Rules that look at conversations in which something went wrong find what they would find in all:
// of no scene and no incident is anything else said where every conversation counts as troubled.
func TestSmoothConversationsSayNothing(t *testing.T) {
	smooth, troubled, judged := 0, 0, 0
	say := func(c *pair.Case) string {
		found, err := diagnose.Judge(t.Context(), c, facts.Talks(t.Context(), c, [2]facts.Config{}), diagnose.Options{})
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(struct {
			Found  any
			Copies [2]int
		}{found, [2]int{c.Copies(pair.A), c.Copies(pair.B)}})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	check := func(name string, stories func() [2]*exchange.Story) {
		var told [2]string
		for i := range told {
			both := stories()
			c, err := pair.Join(t.Context(), both[0], both[1], pair.Options{})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, v := range c.Conversations {
				if v.Troubled() {
					troubled++
				} else {
					smooth++
				}
				v.Smooth = v.Smooth && i == 0
			}
			told[i] = say(c)
		}
		if judged++; told[0] != told[1] {
			t.Errorf("%s: smooth conversations are left out wrongly:\n%s\nwith them:\n%s", name, told[0], told[1])
		}
	}
	read := func(r *packet.Reader, err error) *exchange.Story {
		if err != nil {
			t.Fatal(err)
		}
		s, err := exchange.Read(t.Context(), r, nil)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for _, x := range findingCases() {
		s := scene.New(t)
		x.play(s)
		if s.Alone {
			continue
		}
		check(x.code+"/"+x.kind+"/"+x.name, func() (both [2]*exchange.Story) {
			for i, side := range s.Sides() {
				in, err := side.Open()
				if err != nil {
					t.Fatal(err)
				}
				defer in.Close()
				both[i] = read(packet.NewReader(in, packet.Options{}))
			}
			return both
		})
	}
	incidents, err := filepath.Glob("../../testdata/incidents/*/a.pcap")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range incidents {
		b := filepath.Join(filepath.Dir(a), "b.pcap")
		if _, err := os.Stat(b); err != nil {
			continue
		}
		check(filepath.Dir(a), func() (both [2]*exchange.Story) {
			for i, file := range []string{a, b} {
				in, err := os.Open(file)
				if err != nil {
					t.Fatal(err)
				}
				defer in.Close()
				both[i] = read(packet.NewReader(in, packet.Options{}))
			}
			return both
		})
	}
	if judged < 500 || smooth < judged/4 || troubled < judged/4 {
		t.Errorf("%d judged, of %d smooth and %d troubled conversations", judged, smooth, troubled)
	}
}
