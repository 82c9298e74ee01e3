package device

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moncap/moncap/device/inventory"
	"github.com/moncap/moncap/device/iosxe"
)

// turn is one step of a dialogue: what is typed, and what the router says to it.
type turn struct{ typed, says string }

// scripted is a terminal whose router says what was written down, cut into reads as the test wants,
// with a pause at each cut.
type scripted struct {
	turns  []turn
	cuts   []int // in all that the router says
	pauses []time.Duration

	mu    sync.Mutex
	typed string // all of it
	left  string // what no turn was found for yet
	said  int
	segs  chan segment
	reads chan string
	gone  chan struct{}
	once  sync.Once
	rest  string // of a read that was larger than asked for
}

type segment struct {
	text  string
	pause time.Duration // before it
}

func newScripted(turns []turn, cuts []int, pauses []time.Duration) *scripted {
	s := &scripted{turns: turns, cuts: cuts, pauses: pauses, segs: make(chan segment, 1024), reads: make(chan string),
		gone: make(chan struct{})}
	go s.pump()
	_, _ = s.Write(nil)
	return s
}

func (s *scripted) pump() {
	for {
		select {
		case seg := <-s.segs:
			select {
			case <-time.After(seg.pause):
			case <-s.gone:
				return
			}
			select {
			case s.reads <- seg.text:
			case <-s.gone:
				return
			}
		case <-s.gone:
			return
		}
	}
}

func (s *scripted) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.typed += string(b)
	s.left += string(b)
	for len(s.turns) > 0 && strings.HasPrefix(s.left, s.turns[0].typed) {
		s.left = s.left[len(s.turns[0].typed):]
		s.say(s.turns[0].says)
		s.turns = s.turns[1:]
	}
	return len(b), nil
}

// say hands text on, cut. A cut at the very beginning of it is a pause of the router's own.
func (s *scripted) say(text string) {
	pause := time.Duration(0)
	for i, cut := range s.cuts {
		at := cut - s.said
		if at < 0 || at >= len(text) {
			continue
		}
		if at > 0 {
			s.segs <- segment{text[:at], pause}
			text, pause, s.said = text[at:], 0, s.said+at
		}
		pause += s.pauses[i]
	}
	s.segs <- segment{text, pause}
	s.said += len(text)
}

func (s *scripted) Read(p []byte) (int, error) {
	if s.rest == "" {
		select {
		case s.rest = <-s.reads:
		case <-s.gone:
			return 0, io.EOF
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *scripted) Close() error {
	s.once.Do(func() { close(s.gone) })
	return nil
}

// dialogue is a way of working with a session, and what the router says meanwhile.
type dialogue struct {
	name   string
	turns  []turn
	fresh  bool          // the session is not set up yet
	pause  time.Duration // the longest that makes no difference
	enable string
	do     func(ctx context.Context, s *session) string
}

// play runs a dialogue, and tells what was typed and what was read.
func (d *dialogue) play(t *testing.T, cuts []int, pauses []time.Duration) (typed, read string) {
	t.Helper()
	sc := newScripted(d.turns, cuts, pauses)
	read = d.playOn(t, sc)
	return sc.typed, read
}

func (d *dialogue) playOn(t *testing.T, sc *scripted) (read string) {
	t.Helper()
	sh := &shell{session: sc, in: sc, out: sc, queued: make(chan struct{}, 1), ended: make(chan struct{}),
		closed: make(chan struct{}), free: make(chan struct{}, 1)}
	term, err := newTerminal(sh)
	if err != nil {
		t.Fatal(err)
	}
	peer := inventory.Peer{Name: "site-a", Host: "192.0.2.1", Username: "moncap"}
	r := New(peer, Options{})
	if d.enable != "" {
		r.peer.Enable, err = inventory.ParseSecretRef("env:DEVICE_CUTS_ENABLE")
		if err != nil {
			t.Fatal(err)
		}
	}
	s := &session{router: r, conn: sc, term: term, prompt: iosxe.AnyPrompt.Get()}
	if !d.fresh {
		s.hostname, s.prompt = "R1", iosxe.Prompt("R1")
	}
	read = d.do(t.Context(), s)
	s.abandon()
	synctest.Wait()
	return read
}

func (d *dialogue) size() int {
	n := 0
	for _, t := range d.turns {
		n += len(t.says)
	}
	return n
}

// told runs commands and tells what each of them answers.
func told(cmds ...iosxe.Command) func(context.Context, *session) string {
	return func(ctx context.Context, s *session) string {
		var b strings.Builder
		for _, c := range cmds {
			out, err := s.run(ctx, c)
			fmt.Fprintf(&b, "%s: %q, %v\n", c.Name, out, err)
		}
		fmt.Fprintf(&b, "%s, %v", s.hostname, s.paged)
		return b.String()
	}
}

const message = "\r\n*Nov 23 2026 10:00:00.000 UTC: %SYS-5-CONFIG_I: Configured\r\n"

func dialogues(t *testing.T) []dialogue {
	const any, short = 4 * time.Second, 1400 * time.Millisecond
	t.Setenv("DEVICE_CUTS_ENABLE", "s3cret")
	line := func(l string) iosxe.Command { return iosxe.Command{Name: "show-" + l, Lines: []string{l}} }
	x, y, show, dump, clear := line("x"), line("y"), line("show"), line("d"), line("c")
	dump.Bulk, dump.Slow = true, true
	clear.Answers = iosxe.ClearCapture(name(t, "mc1")).Answers
	list := iosxe.Command{Name: "define-acl", Mode: iosxe.Config, Lines: []string{"l", "p"}}
	setUp := func(ctx context.Context, s *session) string {
		err := s.setUp(ctx)
		return fmt.Sprint(s.hostname, " ", s.paged, " ", err)
	}
	length, width := turn{"terminal length 0\n", "terminal length 0\r\nR1>"},
		turn{"terminal width 512\n", "terminal width 512\r\nR1>"}
	return []dialogue{
		{name: "login", fresh: true, pause: any, do: setUp,
			turns: []turn{{"", "\r\nR2#\r\nwelcome>\r\n\r\nR1>"}, length, width}},
		{name: "enable", fresh: true, pause: any, do: setUp, enable: "s3cret",
			turns: []turn{{"", "\r\nR1>"}, length, width,
				{"show privilege\n", "show privilege\r\nCurrent privilege level is 1\r\nR1>"},
				{"enable\n", "enable\r\nPassword: "}, {"s3cret\n", "\r\nR1#"},
				{"show privilege\n", "show privilege\r\nCurrent privilege level is 15\r\nR1#"}}},
		{name: "shows", pause: any, do: told(x, y),
			turns: []turn{{"x\n", "x\r\n10:00 UTC\r\n\r\nR1#"}, {"y\n", "y\r\nlevel 15\r\nR1# "}}},
		{name: "a refusal", pause: any, do: told(x, y),
			turns: []turn{{"x\n", "x\r\n  ^\r\n% Invalid input\r\n\r\nR1#"}, {"y\n", "y\r\n15\r\nR1#"}}},
		{name: "dump", pause: any, do: told(dump, y),
			turns: []turn{{"d\n", "d\r\n\r\n0\r\n  0000: 41\r\n\r\nR1#"}, {"\n", "\r\nR1#"}, {"y\n", "y\r\n15\r\nR1#"}}},
		{name: "dump, with messages", pause: any, do: told(dump),
			turns: []turn{{"d\n", "d\r\n0\r\nR1#" + message + "R1#"}, {"\n", message + "R1#\r\nR1#"}}},
		{name: "confirm", pause: any, do: told(clear, y),
			turns: []turn{{"c\n", "c\r\n[clear]?[confirm]"}, {"\n", "\r\ncleared\r\nR1#"}, {"y\n", "y\r\n15\r\nR1#"}}},
		{name: "pager", pause: any, do: told(x),
			turns: []turn{{"x\n", "x\r\na\r\n --More-- "},
				{" ", "\b\b\b\b\b\b\b\b\b\b          \b\b\b\b\b\b\b\b\b\bb\r\n --More-- "},
				{" ", "\b\b\b\b\b\b\b\b\b\b          \b\b\b\b\b\b\b\b\b\bR1#"}}},
		{name: "rename", pause: short, do: told(x, y),
			turns: []turn{{"x\n", "x\r\n10:00\r\nRX#"}, {"\n", "\r\nRX#"}, {"y\n", "y\r\n15\r\nRX#"}}},
		{name: "configuration", pause: any, do: told(list, y),
			turns: []turn{{"configure terminal\n", "configure terminal\r\nEnter.\r\nR1(config)#"},
				{"l\n", "l\r\nR1(config-ext-nacl)#"}, {"p\n", "p\r\nR1(config-ext-nacl)#"}, {"end\n", "end" + message + "\r\nR1#"},
				{"y\n", "y\r\n15\r\nR1#"}}},
		{name: "another name in configuration", pause: any, do: told(list),
			turns: []turn{{"configure terminal\n", "configure terminal\r\nEnter.\r\nhq(config)#"},
				{"l\n", "l\r\nhq(config-ext-nacl)#"},
				{"p\n", "p\r\n% Invalid input\r\nhq(config-ext-nacl)#"}, {"end\n", "end\r\nR1#"}}},
		{name: "end is denied", pause: any, do: told(list, y),
			turns: []turn{{"configure terminal\n", "configure terminal\r\nR1(config)#"}, {"l\n", "l\r\nR1(config)#"},
				{"p\n", "p\r\nR1(config)#"},
				{"end\n", "end\r\n% denied\r\nR1(config)#"}, {"exit\n", "exit\r\n% denied\r\nR1(config)#"},
				{"exit\n", "exit\r\n% denied\r\nR1(config)#"},
				{"\x1a", "^Z\r\nR1#"}, {"\n", "\r\nR1#"}, {"y\n", "y\r\n15\r\nR1#"}}},
		{name: "break-off", pause: short, do: told(x, y),
			turns: []turn{{"x\n", "x\r\nErase? [confirm]"}, {"\x03", "^C\r\nR1#"}, {"y\n", "y\r\n15\r\nR1#"}}},
		{name: "what looks like questions", pause: short, do: told(x),
			turns: []turn{{"x\n", "x\r\nR2#\r\n[no]? or\r\nPassword: no\r\n[yes/no]: or\r\nR1#"}}},
		{name: "messages", pause: any, do: told(x, show),
			turns: []turn{{"x\n", message + "R1#x\r\n10:00\r\nR1#" + message}, {"show\n", "sh" + message + "ow\r\n15\r\nR1#"}}},
		{name: "escapes", pause: any, do: told(x),
			turns: []turn{{"x\n", "x\r\n\x1b[1;31m10:00\x1b[0m\x00\r\n\x1b]0;R1#\a\x00R1#"}}},
	}
}

// Whatever pauses stand between the bytes of a router, and however they are cut into
// reads, the same is typed and the same is read: for every two cuts of short dialogues,
// and for many at random.
func TestCutsMakeNoDifference(t *testing.T) {
	const short = 48
	all := os.Getenv("MONCAP_ALL_CUTS") != "" // every two cuts of the long ones, too: two minutes
	for _, d := range dialogues(t) {
		t.Run(d.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				typed, read := d.play(t, nil, nil)
				wanted := ""
				for _, turn := range d.turns {
					wanted += turn.typed
				}
				if typed != wanted {
					t.Fatalf("typed %q, want %q\nread %s", typed, wanted, read)
				}
				check := func(cuts []int, pauses []time.Duration) {
					if got, said := d.play(t, cuts, pauses); got != typed || said != read {
						t.Fatalf("cuts %v, pauses %v:\ntyped %q\nwant  %q\nread %s\nwant %s", cuts, pauses, got, typed, said, read)
					}
				}
				rng := rand.New(rand.NewPCG(1, uint64(len(d.name))))
				for i := range d.size() {
					check([]int{i}, []time.Duration{d.pause})
					for j := i + 1; j < d.size(); j++ {
						if d.size() <= short || all || rng.IntN(d.size()*d.size()/2) < 100 {
							check([]int{i, j}, []time.Duration{d.pause, time.Millisecond})
						}
					}
				}
				for range 50 {
					cuts := make([]int, 1+rng.IntN(d.size()))
					pauses := make([]time.Duration, len(cuts))
					for i := range cuts {
						cuts[i] = rng.IntN(d.size())
						pauses[i] = time.Duration(rng.Int64N(int64(20 * time.Second / time.Duration(len(cuts)))))
						pauses[i] = min(pauses[i], d.pause/4)
					}
					slices.Sort(cuts)
					check(cuts, pauses)
				}
			})
		})
	}
}
