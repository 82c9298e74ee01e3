package analysis

import (
	"context"
	"strings"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/packet"
	"github.com/moncap/moncap/analysis/pair"
)

// One pcapng can hold both sides, an interface each: as mergecap joins two files, and as moncap writes a report in that form.

// onlyInterfaces are the packets of some interfaces of a capture.
type onlyInterfaces struct {
	*packet.Reader
	keep map[int]bool
}

func (o onlyInterfaces) Next(p *packet.Packet) error {
	for {
		if err := o.Reader.Next(p); err != nil || o.keep[p.Interface] {
			return err
		}
	}
}

// bothSides reads the two sides of a single capture; ok is false when it is of one side.
func bothSides(ctx context.Context, a *Side, story *exchange.Story, o *Options) (stories [2]*exchange.Story, ok bool, err error) {
	of := sidesOf(story)
	if of == nil {
		return stories, false, nil
	}
	var shared exchange.Contents
	for _, s := range pair.Both {
		if stories[s], err = read(ctx, a, &shared, of[s], o); err != nil {
			return stories, false, err
		}
	}
	return stories, true, nil
}

// sidesOf returns the interfaces of each side, or nil. What moncap wrote says whose an interface is. Elsewhere two interfaces are two sides
// when they hold the same messages, unless one is a copy of the other: on one router a packet keeps its TTL, or is copied at once.
func sidesOf(story *exchange.Story) *[2]map[int]bool {
	var named [2]map[int]bool
	for i, d := range story.Info.Interfaces {
		for s, prefix := range [2]string{"side A,", "side B,"} {
			if strings.HasPrefix(d, prefix) {
				if named[s] == nil {
					named[s] = map[int]bool{}
				}
				named[s][i] = true
			}
		}
	}
	if len(named[0]) > 0 && len(named[1]) > 0 {
		return &named
	}
	const atOnce = 50_000 // nanoseconds
	seen := map[int]int{}
	shared, moved := 0, 0
	for _, m := range story.Messages {
		first := &m.Sent()[0]
		mine, other := false, false
		for i := range m.Sent() {
			x := &m.Sent()[i]
			seen[int(x.Interface)]++
			mine = mine || x.Interface == first.Interface
			if x.Interface != first.Interface && !other {
				other = true
				if d := x.Nanos - first.Nanos; x.TTL != first.TTL || d > atOnce || d < -atOnce {
					moved++
				}
			}
		}
		if mine && other {
			shared++
		}
	}
	if len(seen) != 2 || shared*2 < len(story.Messages) || moved*2 < shared || shared == 0 {
		return nil
	}
	var of [2]map[int]bool
	for i := range seen {
		s := 0
		for o := range seen {
			if o < i {
				s = 1
			}
		}
		of[s] = map[int]bool{i: true}
	}
	return &of
}
