package pair

import (
	"math/rand/v2"
	"testing"
)

// Whatever is known of the moments of packets that came in order, what is taken for them is in that
// order, and within what their capture and the other one say.
func TestInOrderKeepsWhatIsKnown(t *testing.T) {
	const unit = 1_000_000_000
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var all []moment
		now := int64(0)
		known := map[int]int64{}
		for i := range 1 + rnd.IntN(40) {
			now += rnd.Int64N(300_000_000)
			m := moment{frame: i + 1, early: now - now%unit}
			m.late = m.early + unit - 1
			if rnd.IntN(3) == 0 { // the other capture has it, and fine times
				m.early, m.late, known[i] = now, now, now
			}
			all = append(all, m)
		}
		stamps := make([]int64, len(all))
		for i, m := range all {
			stamps[i] = m.early - m.early%unit
		}
		inOrder(all)
		for i, m := range all {
			if n, ok := known[i]; ok && m.at != n {
				t.Fatalf("the %d. is known to be of %d, and is taken to be of %d", i, n, m.at)
			}
			if m.at-m.at%unit != stamps[i] || m.at < m.early || m.at > m.late || i > 0 && m.at < all[i-1].at {
				t.Fatalf("the %d. of the time %d, between %d and %d, is taken to be of %d, behind %d", i, stamps[i], m.early,
					m.late, m.at, all[max(i-1, 0)].at)
			}
		}
	}
}
