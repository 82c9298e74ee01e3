package analysis_test

import (
	"context"
	"encoding/json"
	"os"
	"testing"

	"github.com/moncap/moncap/analysis"
	"github.com/moncap/moncap/analysis/scene"
)

// FuzzCompare: whatever two files hold, there is an error or a report that is valid
// JSON; never a panic.
func FuzzCompare(f *testing.F) {
	for _, name := range []string{"healthy", "nat-pat", "esp-blocked-a-to-b", "ip-fragments-lost", "ikev1-psk-mismatch",
		"icmp-admin-prohibited"} {
		a, errA := os.ReadFile(incident(name, "a.pcap"))
		b, errB := os.ReadFile(incident(name, "b.pcap"))
		if errA != nil || errB != nil {
			f.Fatal(errA, errB)
		}
		f.Add(a, b)
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if len(a) > 1<<16 || len(b) > 1<<16 {
			t.Skip("longer files show nothing new")
		}
		r, err := analysis.Compare(context.Background(), analysis.Side{Open: scene.Opener(a)},
			&analysis.Side{Open: scene.Opener(b)}, analysis.Options{})
		if err != nil {
			return
		}
		if _, err := json.Marshal(r); err != nil {
			t.Fatal(err)
		}
	})
}
