package main

import (
	"bytes"
	"io"
	"slices"
	"testing"

	"github.com/moncap/moncap/testdata"
)

// BenchmarkDecode shows the negotiation of an incident, a thousand times over, in each
// form of the output.
func BenchmarkDecode(b *testing.B) {
	i, err := testdata.Load("healthy")
	if err != nil {
		b.Fatal(err)
	}
	file := slices.Concat(i.A[:24], bytes.Repeat(i.A[24:], 1000))
	for name, args := range map[string][]string{"list": nil, "tree": {"-V"}, "ndjson": {"--format", "ndjson"},
		"stats": {"--stats"}} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(file)))
			for b.Loop() {
				code := run(b.Context(), environment{
					args: append([]string{"decode", "-"}, args...), stdin: bytes.NewReader(file), stdout: io.Discard,
					stderr: io.Discard,
					getenv: func(string) string { return "" }, width: func() int { return 80 },
				})
				if code != exitOK {
					b.Fatal(code)
				}
			}
			b.ReportMetric(4000*float64(b.N)/b.Elapsed().Seconds(), "packets/s")
		})
	}
}
