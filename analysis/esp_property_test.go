package analysis_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/analysis/scene"
)

// lively is a healthy tunnel of random kind with ESP both ways: address family, encapsulation, rates, sizes, rekeys, whether there
// is any IKE, of which version, and how the clocks stand.
type lively struct {
	rnd      *rand.Rand
	udp, six bool
	ah       bool // AH instead of ESP
	by       cameUp
	every    [2]time.Duration // between two packets of a side
	rekeys   int
	mtu      int // bytes of IP payload in one piece; larger packets travel in fragments
	large    int // every so many packets are larger than that; 0: none
	duration time.Duration
	change   change
}

// cameUp is how the tunnel came up in the captures.
type cameUp uint8

const (
	byV2 cameUp = iota
	byV1
	before // not in them
)

// change is what goes wrong with one side's packets from a moment on.
type change struct {
	name string
	side int
	at   time.Duration
}

func newLively(seed uint64) *lively {
	rnd := rand.New(rand.NewPCG(seed, 23))
	l := &lively{rnd: rnd, udp: rnd.IntN(2) == 0, six: rnd.IntN(2) == 0, by: cameUp(rnd.IntN(3)), rekeys: rnd.IntN(4),
		mtu: 1448, duration: 90 * time.Second}
	if l.six {
		l.udp = l.udp && rnd.IntN(2) == 0
	}
	l.ah = !l.udp && rnd.IntN(4) == 0
	for s := range l.every {
		l.every[s] = time.Duration(60+rnd.IntN(400)) * time.Millisecond
	}
	if rnd.IntN(2) == 0 {
		l.large = 3 + rnd.IntN(4)
	}
	return l
}

// play sends the tunnel's packets; what the change concerns is lost, left out or altered.
func (l *lively) play(s *scene.Scene) {
	// Less than the time in which a side of a scene answers.
	s.Delay = time.Duration(1+l.rnd.IntN(8)) * time.Millisecond
	s.Ahead = []time.Duration{0, 0, 37 * time.Second, -2 * time.Hour}[l.rnd.IntN(4)]
	if l.six {
		s.Addr = [2]netip.Addr{netip.MustParseAddr("2001:db8:1::1"), netip.MustParseAddr("2001:db8:2::1")}
	} else if l.udp {
		s.Seen[0] = scene.NAT
	}
	var a *scene.SA
	var old *scene.V1
	switch l.by {
	case byV2:
		a = s.SA(0).Up()
	case byV1:
		old = s.V1(0).Phase1()
		old.QuickMode(3)
	}
	s.Wait(2 * s.Delay) // nobody sends before he has the answer
	generation := [2]uint32{}
	seq := [2]uint32{}
	if l.by == before {
		seq = [2]uint32{uint32(l.rnd.IntN(90_000)), uint32(l.rnd.IntN(90_000))}
	}
	start := s.Now
	next := [2]time.Duration{start, start + 7*time.Millisecond}
	for s.Now < start+l.duration {
		from := 0
		if next[1] < next[0] {
			from = 1
		}
		s.Now = max(s.Now, next[from])
		next[from] += l.every[from]/2 + time.Duration(l.rnd.Int64N(int64(l.every[from])))
		if due := uint32(int(s.Now-start) * (l.rekeys + 1) / int(l.duration)); due > generation[0] {
			switch {
			case a != nil && int(due)%3 == 2:
				a = a.Renewed(int(due) % 2)
			case a != nil:
				a.RekeyChild(int(due) % 2)
				if due%2 == 1 {
					a.Exchange(ike.Informational, int(due)%2, ike.PayloadD, 12, ike.PayloadD, 12)
				}
			case old != nil:
				old.Quick++
				old.QuickMode(3)
			}
			for side := range 2 {
				if generation[side] = due; l.has("keep an old SPI", side, s.Now-start) {
					generation[side] = 0
					continue
				}
				seq[side] = 0
			}
			generation[0] = due
		}
		l.send(s, from, s.Now-start, &generation, &seq)
	}
	if a != nil {
		a.DPD(0)
		a.DPD(1)
	}
}

func (l *lively) has(name string, side int, at time.Duration) bool {
	return l.change.name == name && l.change.side == side && at >= l.change.at
}

func (l *lively) send(s *scene.Scene, from int, at time.Duration, generation, seq *[2]uint32) {
	if l.has("silence", from, at) {
		return
	}
	if l.has("restart a sequence", from, at) {
		l.change.at = time.Hour // once
		seq[from] = 0
	}
	seq[from]++
	spi := 0xa0000001 + uint32(from)<<28 + generation[from]
	if from == l.change.side && l.has("keep an old SPI", from, at) {
		spi = 0xa0000001 + uint32(from)<<28
	}
	f, size := scene.Fate{}, 80+l.rnd.IntN(900)
	if l.large > 0 && int(seq[from])%l.large == 0 {
		f.MTU, size = l.mtu, l.mtu+40+l.rnd.IntN(400)
	}
	switch {
	case l.has("block", from, at):
		f.Lost = true
	case l.has("lose second fragments", from, at):
		f.Keep = 1
	case l.has("lose fragments", from, at) && f.MTU > 0:
		f.Lost = true
	}
	if l.ah {
		s.Ah(from, spi, seq[from], size, f)
		return
	}
	s.ESP(from, spi, seq[from], size, l.udp, f)
}

// changes are those that no healthy tunnel shows. Each begins in the middle, so that enough comes before and after it.
func (l *lively) changes() []string {
	all := []string{"block", "silence"}
	if l.rekeys > 0 {
		all = append(all, "keep an old SPI")
	}
	all = append(all, "restart a sequence")
	if l.large > 0 {
		all = append(all, "lose second fragments", "lose fragments")
	}
	return all
}

func espSeeds(t *testing.T) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(os.Getenv("MONCAP_SEEDS"), 10, 32)
	if err != nil {
		return 10
	}
	return n
}

// A healthy tunnel is never accused, also when a capture begins later or ends earlier than the other one, or is alone; and no single thing
// that goes wrong with its traffic passes for health.
func TestNothingWrongWithESPPassesForHealth(t *testing.T) {
	for seed := range espSeeds(t) {
		play := func(c change) *scene.Scene {
			l := newLively(seed)
			l.change = c
			s := scene.New(t)
			l.play(s)
			return s
		}
		for look, change := range healthyLooks(seed) {
			s := play(changeNone)
			change(s)
			r := s.Compare()
			for _, f := range r.Findings {
				if f.Severity != report.Info && f.Code != "clock-offset" && f.Code != "capture-filter-incomplete" {
					t.Errorf("seed %d, %s: %s: %s", seed, look, f.Code, f.Explanation)
				}
			}
		}
		l := newLively(seed)
		for _, name := range l.changes() {
			for side := range 2 {
				c := change{name, side, 0}
				if c.at = 20 * time.Second; name == "block" && seed%2 == 0 || name == "silence" && seed%3 == 0 {
					c.at = 0
				}
				if name == "keep an old SPI" {
					c.at = 0
				}
				for look, change := range looksAt(seed) {
					s := play(c)
					change(s)
					r := s.Compare()
					scene.Sound(t, r)
					if r.Verdict.ExitCode == 0 {
						t.Errorf("seed %d (%+v): %s of side %d, %s: %s", seed, describe(l), name, side, look, r.Verdict.Headline)
					}
				}
			}
		}
	}
}

var changeNone = change{at: time.Hour}

func describe(l *lively) string {
	return fmt.Sprintf("UDP %v, AH %v, IPv6 %v, IKE %d, every %v, %d rekeys, large %d", l.udp, l.ah, l.six, l.by, l.every, l.rekeys, l.large)
}

// looksAt are those of them that leave a fault in sight, of which each seed has one beside the plain one.
func looksAt(seed uint64) map[string]func(*scene.Scene) {
	all := healthyLooks(seed)
	name := []string{"ends earlier", "begins later", "swapped", "doubled"}[seed%4]
	return map[string]func(*scene.Scene){"as it is": all["as it is"], name: all[name]}
}

// healthyLooks are ways in which captures of a healthy tunnel differ.
func healthyLooks(seed uint64) map[string]func(*scene.Scene) {
	rnd := rand.New(rand.NewPCG(seed, 29))
	side := rnd.IntN(2)
	part := 4 + rnd.IntN(8)
	return map[string]func(*scene.Scene){
		"as it is": func(*scene.Scene) {},
		"ends earlier": func(s *scene.Scene) {
			all := s.Sorted(side)
			s.Rows[side] = all[:len(all)-len(all)/part]
		},
		"begins later": func(s *scene.Scene) {
			all := s.Sorted(side)
			s.Rows[side] = all[len(all)/part:]
		},
		"swapped": func(s *scene.Scene) { s.Rows[0], s.Rows[1] = s.Rows[1], s.Rows[0] },
		"alone":   func(s *scene.Scene) { s.Alone = true },
		"doubled": func(s *scene.Scene) { s.Rows[side] = doubled(s.Sorted(side)) },
	}
}
