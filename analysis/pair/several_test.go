package pair

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// Who looks at a message of each way sees the addresses of all: those are the same where it is the
// same way, and be there many ways.
func TestEachWayTellsAllAddresses(t *testing.T) {
	seen := func(messages []*Message) map[string]bool {
		all := map[string]bool{}
		for _, m := range messages {
			ends := [2][2]netip.Addr{}
			for _, in := range Both {
				ends[in] = [2]netip.Addr{m.End(A, in), m.End(B, in)}
			}
			all[fmt.Sprint(m.Conversation.Between(), m.Conversation.Foreign, ends)] = true
		}
		return all
	}
	saved, ways := 0, 0
	for seed := range uint64(12) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		n := &path{
			rnd: rnd, loss: rnd.Float64() * 0.25, duplicate: rnd.Float64() * 0.1,
			delay: [2]int64{1e5 + rnd.Int64N(50e6), 1e5 + rnd.Int64N(50e6)}, jitter: 1e4 + rnd.Int64N(20e6), nat: seed%2 == 0,
		}
		n.play()
		c := mustJoin(t, n)
		for i, v := range c.Conversations { // with strangers, and from another address
			if v.Foreign = v.Foreign || i%3 == 1; i%4 == 2 {
				v.Ends[A] = netip.AddrPortFrom(v.Ends[A].Addr().Next(), v.Ends[A].Port())
			}
		}
		all := make([]*Message, 0)
		for m := range c.Messages() {
			all = append(all, m)
		}
		some := eachWay(c.Conversations)
		want, got := seen(all), seen(some)
		if len(got) != len(want) {
			t.Errorf("seed %d: a message of each way tells %d of %d addresses", seed, len(got), len(want))
		}
		for x := range want {
			if !got[x] {
				t.Errorf("seed %d: %s is not told", seed, x)
			}
		}
		saved, ways = saved+len(all)-len(some), ways+len(want)
	}
	if saved == 0 || ways < 24 {
		t.Errorf("%d messages less to look at, of %d ways; the paths are too plain", saved, ways)
	}
}
