package dissect

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/moncap/moncap/analysis/packet"
)

// counting is where output goes whose bytes are only counted.
type counting int64

func (c *counting) Write(b []byte) (int, error) {
	*c += counting(len(b))
	return len(b), nil
}

// BenchmarkForms shows 40,000 packets of a negotiation in each form, with the speed of the output;
// "stats" is the reading alone.
func BenchmarkForms(b *testing.B) {
	file := many(b, 10_000)
	for name, show := range map[string]func(io.Writer, *packet.Reader) error{
		"list":   func(w io.Writer, r *packet.Reader) error { return Packets(b.Context(), w, r, Options{}) },
		"tree":   func(w io.Writer, r *packet.Reader) error { return Packets(b.Context(), w, r, Options{Form: Tree}) },
		"ndjson": func(w io.Writer, r *packet.Reader) error { return Packets(b.Context(), w, r, Options{Form: NDJSON}) },
		"stats":  func(w io.Writer, r *packet.Reader) error { return Stats(b.Context(), w, r, false) },
	} {
		b.Run(name, func(b *testing.B) {
			var out counting
			for b.Loop() {
				r, err := packet.NewReader(bytes.NewReader(file), packet.Options{NoHash: true})
				if err == nil {
					err = show(&out, r)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(out)/1e6/b.Elapsed().Seconds(), "MB-out/s")
			b.ReportAllocs()
		})
	}
}

// BenchmarkPeers are the same packets in the peers, their start included.
func BenchmarkPeers(b *testing.B) {
	path := filepath.Join(b.TempDir(), "bench.pcap")
	if err := os.WriteFile(path, many(b, 10_000), 0o600); err != nil {
		b.Fatal(err)
	}
	fields := []string{"tshark", "-n", "-r", path, "-T", "fields"}
	for _, f := range []string{"frame.number", "frame.time_epoch", "ip.src", "ip.dst", "udp.srcport", "udp.dstport",
		"frame.len", "isakmp.ispi", "isakmp.rspi",
		"isakmp.exchangetype", "isakmp.flags", "isakmp.messageid", "isakmp.length", "isakmp.typepayload",
		"isakmp.notify.msgtype"} {
		fields = append(fields, "-e", f)
	}
	for name, args := range map[string][]string{
		"list: tcpdump": {"tcpdump", "-nr", path}, "tree: tshark -V": {"tshark", "-n", "-V", "-r", path},
		"ndjson: tshark -T fields": fields,
	} {
		b.Run(name, func(b *testing.B) {
			if _, err := exec.LookPath(args[0]); err != nil {
				b.Skip(err)
			}
			for b.Loop() {
				if err := exec.CommandContext(b.Context(), args[0], args[1:]...).Run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
