package exchange_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/packet"
	"github.com/moncap/moncap/analysis/scene"
)

// refusedAll is a capture with so many messages that were sent, one of them again and again, and an
// error about every eighth sending, of which the capture kept no more than the quoted IP header.
func refusedAll(t testing.TB, n int) []byte {
	s := scene.New(t)
	m := s.SA(0).Init(false, scene.Proposals(scene.GCM(19)))
	for i := range n {
		s.IKE(0, 500, m, scene.Lost)
		if i%8 == 0 {
			s.ICMP(0, "203.0.113.9", 3, 1, 0)
			last := &s.Rows[0][len(s.Rows[0])-1]
			last.Data = last.Data[:14+20+8+20]
		}
		s.Now -= 19 * time.Millisecond
	}
	return scene.Pcap(s.Sorted(0))
}

func readStory(t testing.TB, pcap []byte) *exchange.Story {
	t.Helper()
	src, err := packet.NewReader(bytes.NewReader(pcap), packet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := exchange.Read(t.Context(), src, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestQuotesAreFound(t *testing.T) {
	s := readStory(t, refusedAll(t, 200))
	for _, e := range s.ICMP {
		if e.Message == nil || !e.QuotesTunnel {
			t.Errorf("%+v is about no message", e)
		}
	}
	if len(s.ICMP) != 200/8 {
		t.Errorf("%d errors, want 25", len(s.ICMP))
	}
}

// BenchmarkQuotes tells what a sending costs, an error about every eighth of them included: that
// stays the same when there are more.
func BenchmarkQuotes(b *testing.B) {
	for _, n := range []int{4000, 32000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			pcap := refusedAll(b, n)
			for b.Loop() {
				readStory(b, pcap)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/sending")
		})
	}
}
