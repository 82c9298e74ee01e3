package analysis_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/scene"
)

// lively is a healthy tunnel of random kind with ESP both ways: address family, encapsulation,
// NATs, rates, sizes, pauses, rekeys, liveness checks, whether there is any IKE, of which version,
// and how the clocks stand.
type lively struct {
	rnd      *rand.Rand
	udp, six bool
	ah       bool    // AH instead of ESP
	behind   [2]bool // a NAT
	by       cameUp
	every    [2]time.Duration // between two packets of a side
	rekeys   int
	mtu      int              // bytes of IP payload in one piece; larger packets travel in fragments
	large    int              // every so many packets are larger than that; 0: none
	probes   time.Duration    // between two liveness checks; 0: none but those at the end
	pause    [2]time.Duration // nobody has anything to send
	duration time.Duration
	change   change

	v2         *scene.SA
	v1         *scene.V1
	generation [2]uint32 // of SAs, by sender
	seq        [2]uint32
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

var changeNone = change{at: time.Hour}

func newLively(seed uint64) *lively {
	rnd := rand.New(rand.NewPCG(seed, 23))
	l := &lively{rnd: rnd, udp: rnd.IntN(2) == 0, six: rnd.IntN(2) == 0, by: cameUp(rnd.IntN(3)), rekeys: rnd.IntN(4),
		mtu: 1448, duration: 90 * time.Second}
	if l.six {
		l.udp = l.udp && rnd.IntN(2) == 0
	} else if l.udp {
		l.behind = [][2]bool{{true, false}, {false, true}, {true, true}}[rnd.IntN(3)]
	}
	l.ah = !l.udp && rnd.IntN(4) == 0
	for s := range l.every {
		l.every[s] = time.Duration(60+rnd.IntN(400)) * time.Millisecond
	}
	if rnd.IntN(4) == 0 {
		l.every[rnd.IntN(2)] *= 5 // a download
	}
	if rnd.IntN(2) == 0 {
		l.large = 3 + rnd.IntN(4)
	}
	if rnd.IntN(2) == 0 {
		l.probes = time.Duration(5+rnd.IntN(15)) * time.Second
	}
	if rnd.IntN(3) == 0 {
		from := time.Duration(5+rnd.IntN(5)) * time.Second
		l.pause = [2]time.Duration{from, from + time.Duration(rnd.IntN(8))*time.Second}
	}
	return l
}

func (l *lively) String() string {
	return fmt.Sprintf("UDP %v, behind %v, AH %v, IPv6 %v, IKE %d, every %v, %d rekeys, large %d, probes %v, pause %v",
		l.udp, l.behind, l.ah, l.six, l.by, l.every, l.rekeys, l.large, l.probes, l.pause)
}

// place gives the scene its addresses and clocks, and brings the tunnel up.
func (l *lively) place(s *scene.Scene) {
	// Less than the time in which a side of a scene answers.
	s.Delay = time.Duration(1+l.rnd.IntN(8)) * time.Millisecond
	s.Ahead = []time.Duration{0, 0, 37 * time.Second, -2 * time.Hour}[l.rnd.IntN(4)]
	if l.six {
		s.Addr = [2]netip.Addr{netip.MustParseAddr("2001:db8:1::1"), netip.MustParseAddr("2001:db8:2::1")}
	}
	for side, nat := range []netip.Addr{scene.NAT, netip.MustParseAddr("203.0.113.77")} {
		if l.behind[side] {
			s.Seen[side] = nat
		}
	}
	switch l.by {
	case byV2:
		l.v2 = s.SA(0).Up()
	case byV1:
		l.v1 = s.V1(0).Phase1()
		l.v1.QuickMode(3)
	case before:
		l.seq = [2]uint32{uint32(l.rnd.IntN(90_000)), uint32(l.rnd.IntN(90_000))}
	}
	s.Wait(2 * s.Delay) // nobody sends before he has the answer
}

// play sends the tunnel's packets; what the change concerns is lost, left out or altered.
func (l *lively) play(s *scene.Scene) {
	l.place(s)
	start := s.Now
	next := [2]time.Duration{start, start + 7*time.Millisecond}
	probe, probing := start+l.probes, 0
	for s.Now < start+l.duration {
		from := 0
		if next[1] < next[0] {
			from = 1
		}
		s.Now = max(s.Now, next[from])
		next[from] += l.every[from]/2 + time.Duration(l.rnd.Int64N(int64(l.every[from])))
		at := s.Now - start
		if at > l.pause[0] && at < l.pause[1] {
			continue
		}
		if due := uint32(min(l.rekeys, int(at)*(l.rekeys+1)/int(l.duration))); due > slices.Max(l.generation[:]) &&
			!l.broken(at) {
			l.rekey(due, at)
		}
		if l.probes > 0 && s.Now >= probe && !l.broken(at) {
			l.probe(s, probing%2, at)
			probe, probing = s.Now+l.probes, probing+1
		}
		l.send(s, from, at)
	}
	for side := range 2 {
		l.probe(s, side, s.Now-start)
		s.Wait(3 * time.Second) // whose check is whose answer, must be tellable
	}
}

// rekey makes the SAs of another generation; one whose beginning is lost with its side's messages
// never comes to be.
func (l *lively) rekey(due uint32, at time.Duration) {
	switch {
	case l.v2 != nil && due%3 == 2:
		l.v2 = l.v2.Renewed(int(due) % 2)
	case l.v2 != nil:
		l.v2.RekeyChild(int(due) % 2)
		if due%2 == 1 {
			l.v2.Exchange(ike.Informational, int(due)%2, ike.PayloadD, 12, ike.PayloadD, 12)
		}
	case l.v1 != nil:
		l.v1.Quick++
		l.v1.QuickMode(3)
	}
	for side := range 2 {
		if !l.has("keep an old SPI", side, at) {
			l.generation[side], l.seq[side] = due, 0
		}
	}
}

// probe is a liveness check; one that gets no answer is repeated.
func (l *lively) probe(s *scene.Scene, from int, at time.Duration) {
	if l.by == before || l.has("freeze", from, at) {
		return
	}
	fates := [2]scene.Fate{}
	for side := range 2 {
		fates[side].Lost = l.has("drop a direction", side, at)
	}
	answers := !l.has("freeze", 1-from, at) && !fates[from].Lost
	times := 1
	if !answers || fates[1-from].Lost {
		times = 5
	}
	for n := range times {
		if n > 0 {
			s.Wait(2 * time.Second)
		}
		request, answer := l.liveness(s, from, n)
		s.IKE(from, l.port(), request, fates[from])
		if answers {
			s.IKE(1-from, l.port(), answer, fates[1-from])
		}
	}
	if l.v2 != nil {
		l.v2.ID[from]++
	}
}

// liveness is the n-th sending of a check and its answer: in IKEv1 each is a message of its own
// (RFC 3706).
func (l *lively) liveness(s *scene.Scene, from, n int) (request, answer []byte) {
	if l.v2 != nil {
		id := l.v2.ID[from]
		return l.v2.Sealed(ike.Informational, from, id, false, ike.PayloadNone, 0),
			l.v2.Sealed(ike.Informational, 1-from, id, true, ike.PayloadNone, 0)
	}
	id := uint32(s.Now/time.Millisecond)*4 + uint32(from)*2
	return l.v1.SealedInfoOf(from, id, 80), l.v1.SealedInfoOf(1-from, id+1, 80)
}

func (l *lively) port() uint16 {
	if l.v2 != nil {
		return l.v2.Port
	}
	return l.v1.Port
}

func (l *lively) has(name string, side int, at time.Duration) bool {
	return l.change.name == name && l.change.side == side && at >= l.change.at
}

// broken says whether IKE gets through no more.
func (l *lively) broken(at time.Duration) bool {
	return at >= l.change.at && (l.change.name == "drop a direction" || l.change.name == "freeze")
}

func (l *lively) send(s *scene.Scene, from int, at time.Duration) {
	if l.has("silence", from, at) || l.has("freeze", from, at) {
		return
	}
	if l.has("restart a sequence", from, at) {
		l.change.at = time.Hour // once
		l.seq[from] = 0
	}
	l.seq[from]++
	spi := 0xa0000001 + s.SPI + uint32(from)<<28 + l.generation[from]
	f, size := scene.Fate{}, 80+l.rnd.IntN(900)
	if l.large > 0 && int(l.seq[from])%l.large == 0 {
		f.MTU, size = l.mtu, l.mtu+40+l.rnd.IntN(400)
	}
	switch {
	case l.has("block", from, at), l.has("drop a direction", from, at),
		l.has("lose an SPI", from, at) && l.generation[from] == uint32(l.rekeys)/2:
		f.Lost = true
	case l.has("lose some", from, at):
		f.Lost = l.seq[from]%7 == 3 || l.seq[from]%11 == 6
	case l.has("lose second fragments", from, at):
		f.Keep = 1
	case l.has("lose fragments", from, at) && f.MTU > 0:
		f.Lost = true
	}
	if l.ah {
		s.Ah(from, spi, l.seq[from], size, f)
		return
	}
	s.ESP(from, spi, l.seq[from], size, l.udp, f)
}

// changes are those that no healthy tunnel shows. Each begins in the middle, so that enough comes
// before and after it.
func (l *lively) changes() []string {
	all := []string{"block", "silence", "restart a sequence", "lose an SPI", "lose some", "drop a direction"}
	if l.by != before {
		all = append(all, "freeze")
	}
	if l.rekeys > 0 {
		all = append(all, "keep an old SPI")
	}
	if l.large > 0 {
		all = append(all, "lose second fragments", "lose fragments")
	}
	return all
}

// starts is when a change begins: for some seeds before everything.
func (l *lively) starts(name string, seed uint64) time.Duration {
	switch {
	case name == "keep an old SPI", name == "lose an SPI", name == "block" && seed%2 == 0,
		name == "silence" && seed%3 == 0:
		return 0
	case name == "restart a sequence": // in the middle of an SA's life: a new SA begins again as it should
		each := l.duration / time.Duration(l.rekeys+1)
		return time.Duration(seed%uint64(l.rekeys+1))*each + each/2
	}
	return time.Duration(20+seed%7*5) * time.Second
}

// visible says whether a change leaves a trace in the capture of side at alone.
func (l *lively) visible(name string, side, at int) bool {
	switch name {
	case "block", "lose an SPI", "lose some", "lose second fragments":
		return side != at // what a side sent left it
	case "lose fragments":
		return false // what never came was never seen
	case "drop a direction":
		return side != at || l.by != before
	}
	return true
}
