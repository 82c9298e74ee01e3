package main

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// metric is one family of the textfile collector's form (Prometheus, "Text-based format").
type metric struct {
	name, help string
	of         func(*tunnelState) (value float64, ok bool)
}

// tunnelState is what the runs on this disk tell of a tunnel.
type tunnelState struct {
	name    string
	latest  *pastRun // of those that ended
	judged  *pastRun // the latest with captures
	success *pastRun // the latest in which the tunnel was up
	runs    int
	open    int // things that are, or may be, on routers still
}

func asNumber(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1e3 }

var metrics = []metric{
	{"moncap_tunnel_up", "Whether the tunnel was established, degraded or not, in its latest run that has captures.",
		func(s *tunnelState) (float64, bool) {
			return asNumber(s.judged != nil && s.judged.up()), s.judged != nil
		}},
	{"moncap_last_run_timestamp_seconds", "When the tunnel's latest run began.",
		func(s *tunnelState) (float64, bool) {
			if s.latest == nil {
				return 0, false
			}
			return seconds(s.latest.Started), true
		}},
	{"moncap_last_success_timestamp_seconds",
		"When the latest run in which the tunnel was established began; 0 when there is none.",
		func(s *tunnelState) (float64, bool) {
			if s.success == nil {
				return 0, true
			}
			return seconds(s.success.Started), true
		}},
	{"moncap_last_run_exit_code", "Exit code of the tunnel's latest run: 0 established, 1 warnings, 2 critical, 3 " +
		"inconclusive, 4 failed, 5 something is left on a router.",
		func(s *tunnelState) (float64, bool) {
			if s.latest == nil {
				return 0, false
			}
			return float64(s.latest.ExitCode), true
		}},
	{"moncap_last_run_duration_seconds", "How long the tunnel's latest run took.",
		func(s *tunnelState) (float64, bool) {
			if s.latest == nil {
				return 0, false
			}
			return float64(s.latest.DurationMS) / 1e3, true
		}},
	{"moncap_handshake_seconds", "How long the negotiation took in the latest run in which it came to an end.",
		func(s *tunnelState) (float64, bool) {
			if s.judged == nil || s.judged.SetupMS == nil {
				return 0, false
			}
			return *s.judged.SetupMS / 1e3, true
		}},
	{"moncap_clock_offset_seconds", "The clock of router B minus that of router A, as the packets tell.",
		func(s *tunnelState) (float64, bool) {
			if s.judged == nil || s.judged.OffsetMS == nil {
				return 0, false
			}
			return *s.judged.OffsetMS / 1e3, true
		}},
	{"moncap_runs", "Runs of the tunnel on this disk.", func(s *tunnelState) (float64, bool) {
		return float64(s.runs), true
	}},
	{"moncap_left_on_routers", "Things that runs of the tunnel left, or may have left, on its routers.",
		func(s *tunnelState) (float64, bool) { return float64(s.open), true }},
}

// statesOf sums up runs by tunnel. Every tunnel of names is there, also one that never ran.
func statesOf(names []string, runs []*pastRun) []*tunnelState {
	states := map[string]*tunnelState{}
	state := func(name string) *tunnelState {
		if states[name] == nil {
			states[name] = &tunnelState{name: name}
		}
		return states[name]
	}
	for _, n := range names {
		state(n)
	}
	for _, p := range runs { // the latest first
		s := state(p.Tunnel)
		s.runs++
		s.open += len(p.Open)
		if s.latest == nil && p.Outcome != unfinished {
			s.latest = p
		}
		if s.judged == nil && p.judged() {
			s.judged = p
		}
		if s.success == nil && p.up() {
			s.success = p
		}
	}
	return slices.SortedFunc(maps.Values(states), func(x, y *tunnelState) int { return strings.Compare(x.name, y.name) })
}

// writeMetrics writes the state of every tunnel of the inventory, and of every other one that has
// runs, for the textfile collector of Prometheus' node exporter. The file is for others to read.
// more are further families.
func (a *app) writeMetrics(runs []*pastRun, file string, more ...byte) error {
	names, err := a.configured()
	if err != nil {
		return err
	}
	d, err := a.destinationOf(file)
	if err != nil {
		return usageError(err)
	}
	d.mode = 0o644
	if err := d.write(func(w io.Writer) error {
		if err := metricsText(w, statesOf(names, runs)); err != nil {
			return err
		}
		_, err := w.Write(more)
		return err
	}); err != nil {
		return &exitError{exitFailed, err}
	}
	return nil
}

// configured are the tunnels of the inventory; none when there is no inventory and none was named.
func (a *app) configured() ([]string, error) {
	if path := a.inventoryPath(); path == defaultInventory && !exists(path) {
		return nil, nil
	}
	inv, err := a.loadInventory()
	if err != nil {
		return nil, err
	}
	return inv.TunnelNames(), nil
}

func metricsText(w io.Writer, states []*tunnelState) error {
	b := bufio.NewWriter(w)
	for _, m := range metrics {
		fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s gauge\n", m.name, m.help, m.name)
		for _, s := range states {
			if v, ok := m.of(s); ok {
				fmt.Fprintf(b, "%s{tunnel=%s} %s\n", m.name, label(s.name), strconv.FormatFloat(v, 'f', -1, 64))
			}
		}
	}
	fmt.Fprint(b, "# HELP moncap_lost_packets Packets lost between the two routers in the latest run that has "+
		"captures.\n# TYPE moncap_lost_packets gauge\n")
	for _, s := range states {
		if s.judged != nil && s.judged.LostAtoB != nil {
			fmt.Fprintf(b, "moncap_lost_packets{tunnel=%s,direction=\"A->B\"} %d\n", label(s.name), *s.judged.LostAtoB)
			fmt.Fprintf(b, "moncap_lost_packets{tunnel=%s,direction=\"B->A\"} %d\n", label(s.name), *s.judged.LostBtoA)
		}
	}
	fmt.Fprint(b, "# HELP moncap_outcome What came of the tunnel's latest run.\n# TYPE moncap_outcome gauge\n")
	for _, s := range states {
		if s.latest != nil {
			fmt.Fprintf(b, "moncap_outcome{tunnel=%s,outcome=%s,reason=%s} 1\n", label(s.name), label(string(s.latest.Outcome)),
				label(string(s.latest.Reason)))
		}
	}
	return b.Flush()
}

// label quotes a label's value.
func label(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(printable(s)) + `"`
}
