// Gen writes captures of any size for benchmarks: IKE negotiations, ESP, or both, of
// one side or of two.
//
//	go run ./analysis/packet/gen -packets 1000000 -kind ike -a /tmp/ike.pcap
//	go run ./analysis/packet/gen -packets 500000 -kind mixed -nat 0.5 -loss 0.02 -offset 2h -a /tmp/a.pcap -b /tmp/b.pcap
//
// With -b the same traffic is written as both gateways see it: each packet at the sender at once
// and at the receiver after the path's delay, unless it is lost. What was made goes to stdout as
// JSON: packets sent, and lost, by direction. IKE behaves as IKE does: what is not answered is sent
// again, byte for byte, and only what arrived is answered. The same -seed gives the same files.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

type settings struct {
	packets   int
	kind      string
	tunnels   int
	exchanges int
	nat       float64
	loss      float64
	delay     time.Duration
	offset    time.Duration
	drift     float64
	snap      int
	seed      uint64
	a, b      string
}

// totals are what was made: what a comparison of the two files must find.
type totals struct {
	Sent     [2]int `json:"sent"`
	LostAtoB int    `json:"lost_a_to_b"`
	LostBtoA int    `json:"lost_b_to_a"`
}

func main() {
	var s settings
	flag.IntVar(&s.packets, "packets", 1_000_000, "packets that are sent, both directions together")
	flag.StringVar(&s.kind, "kind", "ike", "ike, esp or mixed")
	flag.IntVar(&s.tunnels, "tunnels", 100, "pairs of gateways")
	flag.IntVar(&s.exchanges, "exchanges", 20, "IKE exchanges of an SA before the next one is negotiated")
	flag.Float64Var(&s.nat, "nat", 0, "share of tunnels, 0 to 1, whose side A is behind a port-translating NAT")
	flag.Float64Var(&s.loss, "loss", 0, "share of packets that the path loses, 0 to 1 (only seen with -b)")
	flag.DurationVar(&s.delay, "delay", 5*time.Millisecond, "one-way delay of the path")
	flag.DurationVar(&s.offset, "offset", 0, "how far the clock of side B is ahead")
	flag.Float64Var(&s.drift, "drift", 0, "parts per million by which the clock of side B runs faster")
	flag.IntVar(&s.snap, "snap", 0, "bytes of each packet that the captures keep; 0: all")
	flag.Uint64Var(&s.seed, "seed", 1, "of the random numbers")
	flag.StringVar(&s.a, "a", "", "capture of side A")
	flag.StringVar(&s.b, "b", "", "capture of side B, if wanted")
	flag.Parse()
	if err := s.run(os.Stdout); err != nil {
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
	case s.exchanges < 2:
		return errors.New("-exchanges: an SA takes 2 at least")
	case s.loss < 0 || s.loss > 1 || s.nat < 0 || s.nat > 1:
		return errors.New("-loss, -nat: a share from 0 to 1")
	case s.delay < 0 || s.snap < 0:
		return errors.New("-delay, -snap: must not be negative")
	}
	return nil
}

func (s settings) run(out io.Writer) error {
	if err := s.check(); err != nil {
		return err
	}
	a, err := createPcap(s.a, s.snap)
	if err != nil {
		return err
	}
	var b *pcapFile
	if s.b != "" {
		if b, err = createPcap(s.b, s.snap); err != nil {
			return errors.Join(err, a.close())
		}
	}
	t := newTraffic(s)
	err = t.write(a, b)
	err = errors.Join(err, a.close())
	if b != nil {
		err = errors.Join(err, b.close())
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(t.made)
}
