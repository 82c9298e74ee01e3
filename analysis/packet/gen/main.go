// Gen writes captures of any size for benchmarks: IKE negotiations, ESP, or both, of one side or of two.
//
//	go run ./analysis/packet/gen -packets 1000000 -kind ike -a /tmp/ike.pcap
//	go run ./analysis/packet/gen -packets 1000000 -kind mixed -loss 0.001 -a /tmp/a.pcap -b /tmp/b.pcap
//
// With -b the same traffic is written as both gateways see it: each packet at the sender at once and at the receiver
// after the path's delay, unless it is lost. The same -seed gives the same files.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"time"
)

type settings struct {
	packets int
	kind    string
	tunnels int
	loss    float64
	delay   time.Duration
	offset  time.Duration
	seed    uint64
	a, b    string
}

func main() {
	var s settings
	flag.IntVar(&s.packets, "packets", 1_000_000, "packets that are sent, both directions together")
	flag.StringVar(&s.kind, "kind", "ike", "ike, esp or mixed")
	flag.IntVar(&s.tunnels, "tunnels", 100, "pairs of gateways")
	flag.Float64Var(&s.loss, "loss", 0, "share of packets that the path loses, 0 to 1 (only seen with -b)")
	flag.DurationVar(&s.delay, "delay", 5*time.Millisecond, "one-way delay of the path")
	flag.DurationVar(&s.offset, "offset", 0, "how far the clock of side B is ahead")
	flag.Uint64Var(&s.seed, "seed", 1, "of the random numbers")
	flag.StringVar(&s.a, "a", "", "capture of side A")
	flag.StringVar(&s.b, "b", "", "capture of side B, if wanted")
	flag.Parse()
	if err := s.run(); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func (s settings) check() error {
	switch {
	case s.a == "":
		return errors.New("-a: no file given")
	case s.kind != "ike" && s.kind != "esp" && s.kind != "mixed":
		return fmt.Errorf("-kind: want ike, esp or mixed, got %q", s.kind)
	case s.packets < 0 || s.tunnels < 1 || s.tunnels > 1<<16:
		return errors.New("-packets must not be negative, -tunnels from 1 to 65536")
	case s.loss < 0 || s.loss > 1:
		return errors.New("-loss: a share from 0 to 1")
	case s.delay < 0:
		return errors.New("-delay: must not be negative")
	}
	return nil
}

func (s settings) run() error {
	if err := s.check(); err != nil {
		return err
	}
	a, err := createPcap(s.a)
	if err != nil {
		return err
	}
	var b *pcapFile
	if s.b != "" {
		if b, err = createPcap(s.b); err != nil {
			return errors.Join(err, a.close())
		}
	}
	err = newTraffic(s).write(a, b)
	err = errors.Join(err, a.close())
	if b != nil {
		err = errors.Join(err, b.close())
	}
	return err
}
