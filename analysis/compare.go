// Package analysis compares two captures of one IPsec tunnel and says what was lost, refused or changed, where and by whom. It is the
// pipeline in one page: packets, stories, case, findings, report; the work is in the packages below it.
package analysis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"

	"github.com/moncap/moncap/analysis/diagnose"
	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/packet"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// Side is one gateway, its capture, and what else is known of it. Only Open is needed.
type Side struct {
	Name       string
	File       string                        // what to call the capture in the report
	Open       func() (io.ReadCloser, error) // opens the capture
	Address    netip.Addr                    // VPN address, from the inventory; the zero Addr: not known
	NATAddress netip.Addr                    // how the other side sees it, from the inventory
	Interface  string                        // captured interface, for the actions
	Config     map[string]string             // outputs of show commands, by name: "show-crypto-ikev2-proposal"
	Debug      []byte                        // output of debug crypto ikev2
	// TransferHostKey is what was wrong with the host key of the connection that was to fetch the capture, while that of the
	// command line was the known one. Empty: nothing.
	TransferHostKey string
}

// Options are what a comparison may know beside the sides. The zero value is right without more knowledge.
type Options struct {
	Tunnel  string    // name of the tunnel, for the report
	Version string    // of the program, for the report
	Keys    *ike.Keys // opens encrypted messages
	NoSwap  bool      // trust the order of the files, even when the addresses say that they are the wrong way round
	Peer    *Side     // with one capture alone: names and addresses of the other side, which tell its tunnel from others; nil: not known
	// Progress is told how the work goes on, by any goroutine, often; nil: nobody wants to know.
	Progress func(Progress)
}

// Progress is how far a comparison has come.
type Progress struct {
	Doing    string // "reading FILE", "joining", "judging"
	Done, Of int    // packets, of a number that is not known, 0; else parts of the work
}

// tell is a way to tell the progress of one part of the work.
func (o *Options) tell(doing string) func(done, of int) {
	return func(done, of int) {
		if o.Progress != nil {
			o.Progress(Progress{doing, done, of})
		}
	}
}

// Compare reads both captures in parallel, joins and judges them. b is nil when there is but one: a pcapng with an interface
// for each side is both. An error means that a capture could not
// be opened or is no capture; a damaged, empty or unrelated one is a finding. When the inventory's addresses prove that the files were
// given the wrong way round, they are exchanged and the report's Sides name the files as they were used.
func Compare(ctx context.Context, a Side, b *Side, o Options) (*report.Report, error) {
	sides := [2]*Side{&a, b}
	stories, err := readBoth(ctx, sides, &o)
	if err != nil {
		return nil, err
	}
	if b == nil {
		if both, ok, err := bothSides(ctx, &a, stories[0], &o); err != nil {
			return nil, err
		} else if ok {
			stories, sides[1] = both, &Side{File: a.File, Open: a.Open}
		}
	}
	options := pair.Options{Keys: o.Keys, NoSwap: o.NoSwap, Progress: o.tell("joining")}
	judged := diagnose.Options{Progress: o.tell("judging")}
	for i, s := range sides {
		if s != nil {
			l := facts.LimitsOf(s.Config, stories[i])
			if short := l.Short(stories[i].Info); short != nil {
				stories[i].Info.Damage = short
			}
			options.Parties[i] = pair.Party{
				Name: s.Name, File: s.File, Interface: s.Interface, Known: s.Address, KnownNAT: s.NATAddress,
				FullAtEnd: l.Full && !l.Circular, FullAtStart: l.Full && l.Circular,
				Leaky: l.RateReached || l.Uncaptured > 0,
			}
			judged.TransferHostKey[i] = s.TransferHostKey
			judged.Config[i], judged.Debug[i] = s.Config, s.Debug
		}
	}
	if p := o.Peer; p != nil && sides[1] == nil {
		options.Parties[1] = pair.Party{Name: p.Name, Interface: p.Interface, Known: p.Address, KnownNAT: p.NATAddress}
	}
	c, err := pair.Join(ctx, stories[0], stories[1], options)
	if err != nil {
		return nil, err
	}
	if c.Renamed {
		slices.Reverse(judged.Config[:])
		slices.Reverse(judged.Debug[:])
		slices.Reverse(judged.TransferHostKey[:])
	}
	talks := facts.Talks(ctx, c, judged.Config)
	findings, err := diagnose.Judge(ctx, c, talks, judged)
	if err != nil {
		return nil, err
	}
	r := assemble(c, talks, findings)
	r.Tunnel = o.Tunnel
	r.Tool = report.Tool{Name: "moncap", Version: o.Version}
	r.Verdict = diagnose.Verdict(c, findings)
	return r, nil
}

// readBoth reads the captures at the same time; the first error stops both.
func readBoth(ctx context.Context, sides [2]*Side, o *Options) ([2]*exchange.Story, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var stories [2]*exchange.Story
	var failed [2]error
	var shared exchange.Contents
	var wait sync.WaitGroup
	for i, s := range sides {
		if s == nil {
			continue
		}
		wait.Go(func() {
			if stories[i], failed[i] = read(ctx, s, &shared, nil, o); failed[i] != nil {
				stop(failed[i])
			}
		})
	}
	wait.Wait()
	if failed[0] != nil && failed[1] != nil && failed[0] == failed[1] {
		return stories, failed[0]
	}
	return stories, errors.Join(failed[:]...)
}

// read reads the capture of a side, of some of its interfaces where these are given.
func read(ctx context.Context, s *Side, shared *exchange.Contents, of map[int]bool, o *Options) (*exchange.Story, error) {
	name := s.File
	if name == "" {
		name = s.Name
	}
	if s.Open == nil {
		return nil, fmt.Errorf("%s: no capture was given", name)
	}
	f, err := s.Open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := packet.NewReader(f, packet.Options{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var source exchange.Source = &told{r, 0, o.tell("reading " + name)}
	if of != nil {
		source = onlyInterfaces{r, of}
	}
	story, err := exchange.Read(ctx, source, shared)
	if err != nil {
		if err == context.Cause(ctx) {
			return nil, err
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return story, nil
}

// told is a capture whose reader tells how far it is.
type told struct {
	exchange.Source
	n    int
	tell func(done, of int)
}

// tellEvery is how many packets are read between two words about it.
const tellEvery = 1 << 16

func (r *told) Next(p *packet.Packet) error {
	if r.n++; r.n%tellEvery == 0 {
		r.tell(r.n, 0)
	}
	return r.Source.Next(p)
}
