// Package analysis compares two captures of one IPsec tunnel and says what was lost, refused or
// changed, where and by whom. It is the pipeline in one page: packets, stories, case, findings,
// report; the work is in the packages below it.
package analysis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

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
	Once       bool                          // Open works once, as of a pipe
	Address    netip.Addr                    // VPN address, from the inventory; the zero Addr: not known
	NATAddress netip.Addr                    // how the other side sees it, from the inventory
	Interface  string                        // captured interface, for the actions
	Config     map[string]string             // outputs of show commands, by name: "show-crypto-ikev2-proposal"
	Debug      []byte                        // output of debug crypto ikev2
	// TimesGoodTo is by how much all times of the capture may be wrong alike, as those of one that
	// was rebuilt from a listing; 0: they are the router's own.
	TimesGoodTo time.Duration
	// TransferHostKey is what was wrong with the host key of the connection that was to fetch the
	// capture, while that of the command line was the known one. Empty: nothing.
	TransferHostKey string
}

// Options are what a comparison may know beside the sides. The zero value is right
// without more knowledge.
type Options struct {
	Tunnel  string    // name of the tunnel, for the report
	Version string    // of the program, for the report
	Keys    *ike.Keys // opens encrypted messages
	NoSwap  bool      // trust the order of the files, even when the addresses say that they are the wrong way round
	NoHash  bool      // leave the SHA-256 of the captures out of the report, for speed
	// with one capture alone: names and addresses of the other side, which tell its tunnel from
	// others; nil: not known
	Peer *Side
	// Progress is told how the work goes on, by any goroutine, often; nil: nobody wants to know.
	Progress func(Progress)

	missed func() // see exchange.Contents
}

// Progress is how far a comparison has come.
type Progress struct {
	Part     Part
	Doing    string // the part in words: "reading FILE"
	Done, Of int    // packets, of a number that is not known, 0; else parts of the work
}

// Part is a part of the work.
type Part string

// The parts, in their order. Both captures are read at the same time, and again where that shows to
// be needed.
const (
	Reading Part = "reading"
	Joining Part = "joining"
	Judging Part = "judging"
	Alone   Part = "judging each tunnel alone" // of captures that hold several
)

// tell is a way to tell the progress of one part of the work, on some file or on all there is.
func (o *Options) tell(part Part, file string) func(done, of int) {
	doing := strings.TrimSpace(string(part) + " " + file)
	return func(done, of int) {
		if o.Progress != nil {
			o.Progress(Progress{part, doing, done, of})
		}
	}
}

// Compare reads both captures in parallel, joins and judges them. b is nil when there is but one: a
// pcapng with an interface for each side is both. An error means that a capture could not be opened
// or is no capture; a damaged, empty or unrelated one is a finding. When the inventory's addresses
// prove that the files were given the wrong way round, they are exchanged and the report's Sides
// name the files as they were used.
func Compare(ctx context.Context, a Side, b *Side, o Options) (*report.Report, error) {
	if o.Keys.Len() > 0 || a.Once || b != nil && b.Once {
		return compare(ctx, a, b, o)
	}
	spared, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	sparing := o
	sparing.missed = func() { stop(errMissed) }
	r, err := compare(spared, a, b, sparing)
	if context.Cause(spared) == errMissed {
		return compare(ctx, a, b, o)
	}
	return r, err
}

// errMissed says that the bytes of sealed messages are needed, which most comparisons can do
// without. That shows when they are asked for, and then all is done again with them: captures that
// somebody changed meanwhile are judged by what is in them now.
var errMissed = errors.New("the bytes of sealed messages were not kept")

func compare(ctx context.Context, a Side, b *Side, o Options) (*report.Report, error) {
	sides := [2]*Side{&a, b}
	stories, err := readBoth(ctx, sides, &o)
	if err != nil {
		return nil, err
	}
	var one parts
	if b == nil {
		if one, err = parted(ctx, &a, stories[0], &o); err != nil {
			return nil, err
		}
		if one.sides {
			stories, sides[1] = [2]*exchange.Story(one.of), &Side{File: a.File, Open: a.Open}
		} else if len(one.of) > 0 {
			stories[0] = one.of[0]
		}
	}
	x := comparison{Options: &o, judged: diagnose.Options{Progress: o.tell(Judging, "")},
		join: pair.Options{Keys: o.Keys, NoSwap: o.NoSwap, Progress: o.tell(Joining, "")}}
	for i, s := range sides {
		if s != nil {
			l := facts.LimitsOf(s.Config, stories[i])
			if short := l.Short(stories[i].Info); short != nil {
				stories[i].Info.Damage = short
			}
			x.join.Parties[i] = pair.Party{
				Name: s.Name, File: s.File, Interface: s.Interface, Known: s.Address, KnownNAT: s.NATAddress,
				FullAtEnd: l.Full && !l.Circular, FullAtStart: l.Full && l.Circular,
				Leaky: l.RateReached || l.Uncaptured > 0, TimesGoodTo: int64(s.TimesGoodTo),
			}
			x.judged.TransferHostKey[i] = s.TransferHostKey
			x.judged.Config[i], x.judged.Debug[i] = s.Config, s.Debug
		}
	}
	if p := o.Peer; p != nil && sides[1] == nil {
		x.join.Parties[1] = pair.Party{Name: p.Name, Interface: p.Interface, Known: p.Address, KnownNAT: p.NATAddress}
	}
	told, notes, err := x.told(ctx, stories)
	if err != nil {
		return nil, err
	}
	if !one.sides && len(one.of) > 0 {
		if told, notes, err = x.places(ctx, &a, told, notes, one); err != nil {
			return nil, err
		}
	}
	r := x.report(told)
	r.Notes = append(r.Notes, notes...)
	return r, nil
}

// told joins and judges two stories, and says what is to be told of the tunnels that they hold.
func (x *comparison) told(ctx context.Context, stories [2]*exchange.Story) (told *judgement, notes []report.Note,
	err error) {
	whole, err := x.judge(ctx, stories)
	if err != nil {
		return nil, nil, err
	}
	// One capture tells of all its peers: each alone is of interest where all seem well together.
	tunnels, all := whole.c.Tunnels()
	if len(tunnels) == 0 || !whole.c.TwoSided() && !whole.up() {
		return whole, nil, nil
	}
	alone := *x
	for s := range pair.Both {
		p, known := &alone.join.Parties[s], &whole.c.Parties[s]
		p.Untimed, p.Stamp, p.Set = known.Untimed, known.Stamp, known.Set
	}
	told, note, err := alone.worst(ctx, whole, tunnels, all, stories)
	if note != "" {
		notes = append(notes, report.Note{Code: report.NoteOneOfSome, Text: note})
	}
	return told, notes, err
}

// places judges each place of a capture by itself, of which told is what the first one shows, and
// returns the worst. Where all is well at two that are far from each other, something may be lost
// or changed between them.
func (x *comparison) places(ctx context.Context, a *Side, told *judgement, notes []report.Note,
	p parts) (*judgement, []report.Note, error) {
	worse := func(x *comparison, stories [2]*exchange.Story) error {
		other, its, err := x.told(ctx, stories)
		if err == nil && other.bad() > told.bad() && !(other.up() && other.lacksOwn()) {
			told, notes = other, its
		}
		return err
	}
	for _, place := range p.of[1:] {
		place.Info.Damage = p.of[0].Info.Damage
		if err := worse(x, [2]*exchange.Story{place}); err != nil {
			return nil, nil, err
		}
	}
	if len(p.of) == 2 && p.far && told.bad() == 0 {
		both := *x
		both.join.Parties[1].File = both.join.Parties[0].File
		stories, err := readParts(ctx, a, p.each, x.Options) // those that were judged alone have lost their twins
		if err != nil {
			return nil, nil, err
		}
		if err := worse(&both, [2]*exchange.Story(stories)); err != nil {
			return nil, nil, err
		}
	}
	return told, append(notes, report.Note{Code: report.NotePlaces, Text: fmt.Sprintf("the capture holds the same "+
		"packets as of %d places, and nothing tells whose these are; captures of two routers are better given as two files",
		len(p.of))}), nil
}

// lacksOwn says whether a capture of the two lacks what its own side sent: it may be of the same
// router as the other one, at a place where only some of the packets pass, as where IKE is handled.
func (j *judgement) lacksOwn() bool {
	return j.c.TwoSided() && j.c.Parties[pair.A].Coverage.Hidden+j.c.Parties[pair.B].Coverage.Hidden > 0
}

// comparison is what is known of two captures before they are joined and judged.
type comparison struct {
	*Options
	join   pair.Options
	judged diagnose.Options
}

// judgement is what came of two stories.
type judgement struct {
	c        *pair.Case
	talks    []*facts.Talk
	findings []report.Finding
	verdict  report.Verdict
	judged   diagnose.Options
}

// up says whether a tunnel is established, and nothing critical is said.
func (j *judgement) up() bool { return j.verdict.ExitCode == 0 || j.verdict.ExitCode == 1 }

// judge joins and judges two stories.
func (x *comparison) judge(ctx context.Context, stories [2]*exchange.Story) (*judgement, error) {
	c, err := pair.Join(ctx, stories[0], stories[1], x.join)
	if err != nil {
		return nil, err
	}
	j := judgement{c: c, judged: x.judged}
	if c.Renamed {
		slices.Reverse(j.judged.Config[:])
		slices.Reverse(j.judged.Debug[:])
		slices.Reverse(j.judged.TransferHostKey[:])
	}
	j.talks = facts.Talks(ctx, c, j.judged.Config)
	if j.findings, err = diagnose.Judge(ctx, c, j.talks, j.judged); err != nil {
		return nil, err
	}
	j.verdict = diagnose.Verdict(c, j.findings)
	return &j, nil
}

func (x *comparison) report(j *judgement) *report.Report {
	r := assemble(j.c, j.talks, j.findings)
	r.Notes = beside(j.c, x.Keys, j.judged.Config, j.judged.Debug)
	r.Tunnel = x.Tunnel
	r.Tool = report.Tool{Name: "moncap", Version: x.Version}
	r.Verdict = j.verdict
	return r
}

// readBoth reads the captures at the same time; the first error stops both.
func readBoth(ctx context.Context, sides [2]*Side, o *Options) ([2]*exchange.Story, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var stories [2]*exchange.Story
	var failed [2]error
	shared := exchange.Contents{Missed: o.missed}
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

// read reads the capture of a side, some of its packets where these are given.
func read(ctx context.Context, s *Side, shared *exchange.Contents, of some, o *Options) (
	*exchange.Story, error) {
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
	r, err := packet.NewReader(f, packet.Options{NoHash: o.NoHash, Here: of})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var source exchange.Source = &told{r, 0, o.tell(Reading, name)}
	if of != nil {
		source = only{r, of}
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
