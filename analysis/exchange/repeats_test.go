package exchange

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moncap/moncap/analysis/ike"
)

// What messages share is what each would have said alone.
func TestSharedPayloadsAreEqual(t *testing.T) {
	for _, incident := range []string{"lossy-path", "ike-proposal-mismatch", "ikev1-main-mode", "ke-group-retry"} {
		for _, m := range read(t, incident).Messages {
			alone, err := ike.Parse(m.Raw)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(alone, m.Parsed()); diff != "" {
				t.Errorf("%s: message %d:\n%s", incident, m.Index, diff)
			}
		}
	}
}

func TestEqualOffersAreKeptOnce(t *testing.T) {
	var offers []*ike.SA
	for _, m := range read(t, "cookie").Messages {
		if sa := m.SA(); sa != nil && m.Kind == Request {
			offers = append(offers, sa)
		}
	}
	if len(offers) < 2 || !cmp.Equal(offers[0], offers[1]) {
		t.Fatalf("%d offers %v, want two that are equal", len(offers), offers)
	}
	if offers[0] != offers[1] {
		t.Error("two equal offers are kept twice")
	}
}
