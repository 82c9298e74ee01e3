package testdata

import "testing"

func TestIncidents(t *testing.T) {
	all, err := List()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Errorf("%d incidents, want at least 20", len(all))
	}
	translated, six := 0, 0
	for _, i := range all {
		if i.What == "" || len(i.A) < 24 || len(i.B) < 24 {
			t.Errorf("%s: what %q, %d and %d bytes", i.Name, i.What, len(i.A), len(i.B))
		}
		if i.Translated() {
			translated++
		}
		if i.IPv6() {
			six++
		}
	}
	if translated < 2 || six < 1 {
		t.Errorf("%d behind a NAT, %d of IPv6", translated, six)
	}
	if _, err := Load("no-such-incident"); err == nil {
		t.Error("no error for an incident that is not there")
	}
}
