package analysis

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// stream is n ESP packets of side from, each with the fate that f gives it.
func (s *scene) stream(from, n int, f func(i int) fate) {
	for i := range n {
		s.esp(from, 0xa0000001+uint32(from)<<28, uint32(i+1), 100, false, f(i))
	}
}

func arrives(int) fate { return fate{} }

func vanishes(int) fate { return lost }

// oneWay: A sends n packets over so long a time, B none.
func oneWay(n int, each time.Duration) func(*scene) {
	return func(s *scene) {
		a := s.sa(0).up()
		for i := range n {
			s.esp(0, 0xa0000001, uint32(i+1), 100, false)
			s.wait(each)
		}
		a.dpd(0)
	}
}

func espCases() []findingCase {
	return []findingCase{
		{"esp-blocked", hit, "A to B", func(s *scene) {
			a := s.sa(0).up()
			s.stream(0, 10, vanishes)
			s.stream(1, 10, arrives)
			a.dpd(0)
		}, map[string]any{"direction": "A->B", "spi": "0xa0000001", "encapsulation": "esp", "sent": 10, "confidence": "certain"}},
		{"esp-blocked", near, "some arrive", func(s *scene) {
			a := s.sa(0).up()
			s.stream(0, 10, func(i int) fate { return fate{lost: i > 5} })
			s.stream(1, 10, arrives)
			a.dpd(0)
		}, nil},
		{"esp-blocked", near, "the capture of B holds no ESP at all", func(s *scene) {
			a := s.sa(0).up()
			s.stream(0, 10, vanishes)
			s.stream(1, 10, func(int) fate { return fate{hidden: true} })
			a.dpd(0)
		}, nil},
		{"esp-blocked", none, "healthy", healthy, nil},

		{"esp-one-way", hit, "B sends none", oneWay(10, time.Second), map[string]any{"silent_side": "B", "spi": "0xa0000001", "confidence": "probable"}},
		{"esp-one-way", near, "three packets prove nothing", oneWay(3, time.Second), nil},
		{"esp-one-way", near, "B's are lost", func(s *scene) {
			a := s.sa(0).up()
			s.stream(0, 10, arrives)
			s.stream(1, 10, vanishes)
			a.dpd(0)
		}, nil},
		{"esp-one-way", none, "healthy", healthy, nil},

		{"esp-loss", hit, "two of twenty", func(s *scene) {
			s.sa(0).up()
			s.stream(0, 20, func(i int) fate { return fate{lost: i == 7 || i == 12} })
			s.stream(1, 20, arrives)
		}, map[string]any{"direction": "A->B", "spi": "0xa0000001", "lost": 2, "sent": 20, "loss_ratio": 0.1, "confidence": "certain"}},
		{"esp-loss", near, "B's capture ended earlier", func(s *scene) {
			s.sa(0).up()
			s.stream(0, 20, arrives)
			s.stream(1, 20, arrives)
			s.wait(30 * time.Second)
			for i := range 10 {
				s.esp(0, 0xa0000001, uint32(21+i), 100, false, lost)
			}
		}, nil},
		{"esp-loss", none, "healthy", healthy, nil},

		{"esp-replay-window-exceeded", hit, "a hundred behind", func(s *scene) {
			s.sa(0).up()
			s.stream(0, 200, func(i int) fate {
				if i == 50 {
					return fate{late: 100 * time.Millisecond}
				}
				return fate{}
			})
			s.stream(1, 20, arrives)
		}, map[string]any{"direction": "A->B", "confidence": "probable"}},
		{"esp-replay-window-exceeded", near, "ten behind", func(s *scene) {
			s.sa(0).up()
			s.stream(0, 200, func(i int) fate {
				if i == 50 {
					return fate{late: 10 * time.Millisecond}
				}
				return fate{}
			})
			s.stream(1, 20, arrives)
		}, nil},
		{"esp-replay-window-exceeded", none, "in order", healthy, nil},
	}
}

// ESP that a device begins to drop is not told as loss of so many in so many: the sentence says since when nothing passes.
func TestESPThatPassesNoMore(t *testing.T) {
	for name, c := range map[string]struct {
		udp  bool
		lost func(i int) bool
		ends bool
	}{
		"from the 51st on":         {false, func(i int) bool { return i >= 50 }, true},
		"from the 51st on, in UDP": {true, func(i int) bool { return i >= 50 }, true},
		"an outage in between":     {false, func(i int) bool { return i >= 50 && i < 150 }, false},
		"the last ten":             {false, func(i int) bool { return i >= 190 }, false},
		"every tenth":              {false, func(i int) bool { return i%10 == 9 }, false},
	} {
		s := newScene(t)
		s.sa(0).up()
		for i := range 200 {
			s.esp(0, 0xa0000001, uint32(i+1), 100, c.udp, fate{lost: c.lost(i)})
			s.esp(1, 0xb0000001, uint32(i+1), 100, c.udp)
			s.wait(100 * time.Millisecond)
		}
		found := flatten(t, s.compare()).of("esp-loss")
		if len(found) != 1 || strings.Contains(fmt.Sprint(found[0]["explanation"]), "up to number 50 and then no more: 150 sent") != c.ends {
			t.Errorf("%s: %v", name, found)
		}
	}
}
