package dissect

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/packet"
)

// captureStats are the counts of one pass over a capture: headers and payload chains, nothing
// deeper, nothing allocated for a packet.
type captureStats struct {
	packets, bytes int
	first, last    int64
	kinds          [8]int
	exchanges      [2][256]int // of IKEv1 and IKEv2
	payloads       [2][256]int
	malformed      int
	truncated      int
	badSum         int
}

// Stats counts what a capture holds, and writes the counts as text, or as one JSON object.
func Stats(ctx context.Context, w io.Writer, r *packet.Reader, asJSON bool) error {
	var s captureStats
	if err := s.read(ctx, r); err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(w).Encode(s.object())
	}
	out := bufio.NewWriter(w)
	s.text(out)
	return out.Flush()
}

func (s *captureStats) read(ctx context.Context, r *packet.Reader) error {
	version := 0
	count := func(t ike.PayloadType, _ int, _ []byte) bool {
		s.payloads[version][t]++
		return true
	}
	for p, err := range packet.All(r) {
		if err != nil {
			return err
		}
		if s.packets%4096 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		s.add(p)
		if p.Kind != packet.IKE || p.Partial {
			continue
		}
		h, err := ike.ParseHeader(p.Payload)
		if err != nil || h.Major() != 1 && h.Major() != 2 {
			s.malformed++
			continue
		}
		version = h.Major() - 1
		s.exchanges[version][h.Exchange]++
		if _, fault := ike.Walk(p.Payload, count); fault != (ike.Fault{}) {
			s.malformed++
		}
	}
	return nil
}

func (s *captureStats) add(p *packet.Packet) {
	if p.Partial { // its datagram may be counted yet
		s.kinds[packet.Fragment]++
	} else {
		s.kinds[p.Kind]++
	}
	if p.Record > 0 {
		return // its frame is counted
	}
	if s.packets == 0 {
		s.first, s.last = p.Nanos, p.Nanos
	}
	s.first, s.last = min(s.first, p.Nanos), max(s.last, p.Nanos)
	s.packets++
	s.bytes += p.WireLen
	if p.Truncated {
		s.truncated++
	}
	if !p.ChecksumOK {
		s.badSum++
	}
}

// named is a count and what was counted.
type named struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

// table lists what was counted at all, the most frequent first.
func table(counts map[string]int) []named {
	all := []named{}
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		if counts[name] > 0 {
			all = append(all, named{name, counts[name]})
		}
	}
	slices.SortStableFunc(all, func(a, b named) int { return cmp.Compare(b.Count, a.Count) })
	return all
}

func (s *captureStats) tables() (kinds, exchanges, payloads []named) {
	k, e, p := map[string]int{}, map[string]int{}, map[string]int{}
	for kind := packet.Other; kind <= packet.Fragment; kind++ {
		k[kind.String()] += s.kinds[kind]
	}
	for v := range 2 {
		for n := range 256 {
			e[ike.ExchangeType(n).String()] += s.exchanges[v][n]
			p[ike.PayloadName(v+1, ike.PayloadType(n))+fmt.Sprintf(" (%d)", n)] += s.payloads[v][n]
		}
	}
	return table(k), table(e), table(p)
}

func (s *captureStats) text(w *bufio.Writer) {
	kinds, exchanges, payloads := s.tables()
	fmt.Fprintf(w, "%d packets, %d bytes", s.packets, s.bytes)
	if s.packets > 0 {
		fmt.Fprintf(w, ", %s to %s (%s)", time.Unix(0, s.first).UTC().Format(time.RFC3339Nano),
			time.Unix(0, s.last).UTC().Format(time.RFC3339Nano), time.Duration(s.last-s.first).Round(time.Microsecond))
	}
	fmt.Fprintln(w)
	for _, t := range []struct {
		title string
		rows  []named
	}{{"Packets", kinds}, {"IKE exchanges", exchanges}, {"IKE payloads", payloads}} {
		if len(t.rows) == 0 {
			continue
		}
		fmt.Fprintln(w, t.title)
		for _, r := range t.rows {
			fmt.Fprintf(w, "%12d  %s\n", r.Count, printable(r.Name))
		}
	}
	for _, r := range []named{{"malformed IKE messages", s.malformed}, {"cut packets", s.truncated},
		{"wrong UDP checksums", s.badSum}} {
		if r.Count > 0 {
			fmt.Fprintf(w, "%12d  %s\n", r.Count, r.Name)
		}
	}
}

func (s *captureStats) object() any {
	kinds, exchanges, payloads := s.tables()
	return struct {
		Packets   int     `json:"packets"`
		Bytes     int     `json:"bytes"`
		First     string  `json:"first,omitempty"`
		Last      string  `json:"last,omitempty"`
		Kinds     []named `json:"kinds"`
		Exchanges []named `json:"exchanges"`
		Payloads  []named `json:"payloads"`
		Malformed int     `json:"malformed"`
		Truncated int     `json:"truncated"`
		BadSum    int     `json:"checksum_wrong"`
	}{s.packets, s.bytes, rfc3339(s.packets, s.first), rfc3339(s.packets, s.last), kinds, exchanges, payloads, s.malformed,
		s.truncated, s.badSum}
}

func rfc3339(packets int, nanos int64) string {
	if packets == 0 {
		return ""
	}
	return time.Unix(0, nanos).UTC().Format(time.RFC3339Nano)
}
