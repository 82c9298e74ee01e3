package ike

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// Sound must agree with Parse, whatever becomes of a message; of those in clear it must know most.
func TestSoundAgreesWithParse(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	known, all := 0, 0
	check := func(b []byte) bool {
		h, sound := Sound(b)
		m, err := Parse(b)
		if sound && (err != nil || len(m.Faults) > 0 || m.Header != h) {
			t.Fatalf("sound, but %v %+v: %x", err, m, b)
		}
		return sound
	}
	for _, s := range messages(t) {
		m, err := Parse(s.b)
		if err != nil || m.Major() != 2 {
			continue
		}
		if sound := check(s.b); m.Exchange == IKESAInit && len(m.Faults) == 0 {
			all++
			if sound {
				known++
			}
		}
		for range 200 {
			b := slices.Clone(s.b)
			for range 1 + random.IntN(3) {
				b[random.IntN(len(b))] = byte(random.IntN(256) >> random.IntN(8))
			}
			check(b[:len(b)-random.IntN(2)*random.IntN(min(len(b), 20))])
		}
	}
	if known == 0 || known < all*8/10 {
		t.Errorf("%d of %d messages in clear are known to be sound", known, all)
	}
}
