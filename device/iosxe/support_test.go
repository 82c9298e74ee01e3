package iosxe

import "testing"

func TestInterfaceSupport(t *testing.T) {
	for _, tt := range []struct {
		iface, release string
		good           bool
	}{
		{"Cellular0/2/0", "16.12.6", false}, {"Cellular0/2/0", "17.3.5", false}, {"Cellular0/2/0", "17.4.1a", true},
		{"Cellular0/2/0", "17.12.1", true},
		{"Cellular0/2/0", "26.1.1", true}, {"Virtual-Access3", "17.3.1", false}, {"Vi3", "17.3.1", false},
		{"Virtual-Access3", "17.9.4", true},
		{"GigabitEthernet1", "16.12.6", true}, {"Cellular0/2/0", "", true}, {"Ce0/2/0", "3.16.4", false},
	} {
		i, err := ParseInterface(tt.iface)
		if err != nil {
			t.Fatal(err)
		}
		if err := (Version{Software: tt.release}).InterfaceSupport(i); (err == nil) != tt.good {
			t.Errorf("%s on %s: %v", tt.iface, tt.release, err)
		}
	}
}
