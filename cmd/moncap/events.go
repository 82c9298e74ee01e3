package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/capture/event"
	"github.com/moncap/moncap/capture/fleet"
)

func (a *app) eventsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "events",
		Short: "What log lines and alerts start, and what they started",
		Long: fmt.Sprintf(
			`A worker (moncap serve) has runs made when log lines of routers (--syslog) or alerts (hooks in serve.yaml)
tell that a tunnel is in trouble. An event says at most which tunnel is meant; it carries no command and no
setting. What holds for everybody holds for events: approval, blackouts of the tunnel's schedules, one capture
a router. Brakes keep a storm small: a tunnel is started once in %s and %d times a day, all together %d
times an hour, over all workers.`, shortly(event.TunnelPause), event.TunnelPerDay, event.FleetPerHour),
		Example: "  moncap events rules\n  moncap events tail --follow",
	}
	c.AddCommand(a.eventRulesCommand(), a.eventTestCommand(), a.eventTailCommand())
	return c
}

// shortly is a duration without what is zero: 10m and not 10m0s.
func shortly(d time.Duration) string {
	return strings.TrimSuffix(strings.TrimSuffix(d.String(), "0s"), "0m")
}

// listedRule is a rule in the list, in JSON.
type listedRule struct {
	Facility string       `json:"facility"`
	Mnemonic string       `json:"mnemonic"`
	Kinds    []event.Kind `json:"kinds"`
	Starts   bool         `json:"starts"` // runs, unless events.on of serve.yaml says otherwise
	Example  string       `json:"example"`
}

func (a *app) eventRulesCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "rules",
		Short: "Which log lines are taken for events, and of what kind",
		Long: `The mnemonics that are taken for events, the kind of event that each is, whether that starts a run unless
events.on of serve.yaml chooses other kinds, and a line as a router logs it, or as its documentation has it.
` + plainStatusHelp,
		Example: "  moncap events rules",
		Args:    wants(0, 0),
		RunE: func(*cobra.Command, []string) error {
			listed := []listedRule{}
			w := a.newTable(a.stdout)
			fmt.Fprintln(w, "LINE\tEVENT\tSTARTS A RUN\tEXAMPLE")
			for _, r := range event.Rules() {
				facility, mnemonic, _ := strings.Cut(r.Code, " ")
				l := listedRule{facility, mnemonic, r.Kinds, slices.Contains(event.Trouble(), r.Kinds[0]), r.Example}
				listed = append(listed, l)
				var kinds []string
				for _, k := range r.Kinds {
					kinds = append(kinds, string(k))
				}
				starts := "no"
				if l.Starts {
					starts = string(r.Kinds[0])
				}
				fmt.Fprintf(w, "%%%s-n-%s\t%s\t%s\t%s\n", facility, mnemonic, strings.Join(kinds, ", "), starts, r.Example)
			}
			a.fact("rules", listed)
			return w.Flush()
		},
	}
	return a.withFormat(c)
}

// testedLine is what a log line is taken for, in JSON.
type testedLine struct {
	Code     string     `json:"code"`
	Text     string     `json:"text"`
	Format   string     `json:"format"`
	Host     string     `json:"host,omitempty"`
	Sequence uint64     `json:"sequence,omitempty"`
	Time     *time.Time `json:"time"`
	Unsure   bool       `json:"time_unsure,omitempty"`
	Kind     event.Kind `json:"kind,omitempty"`
	Tunnel   string     `json:"tunnel,omitempty"`
	Peer     string     `json:"peer,omitempty"`
	Why      string     `json:"why,omitempty"` // it is no event of a tunnel
}

func (a *app) eventTestCommand() *cobra.Command {
	from := ""
	c := &cobra.Command{
		Use:   "test LINE",
		Short: "What a log line would be taken for, and which tunnel it is about",
		Long: `Take a log line apart as a worker does, and say which event it is and which tunnel of the inventory it is
about. --from says which router sent it: a name of the inventory, or an address as the worker would see it.
Without it, only the line itself is judged. Nothing is started, and no database is asked.
` + plainStatusHelp,
		Example: `  moncap events test \
    '<189>8: %LINEPROTO-5-UPDOWN: Line protocol on Interface Tunnel46, changed state to down'
  moncap events test --from site-a \
    '%CRYPTO-5-SESSION_STATUS: Crypto tunnel is DOWN.  Peer 192.168.2.1:500  Id: 192.168.2.1'`,
		Args: wants(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.testLine(cmd.Context(), args[0], from) },
	}
	c.Flags().StringVar(&from, "from", "", "the router that sent it: a peer, or an address")
	return a.withFormat(c)
}

func (a *app) testLine(ctx context.Context, line, from string) error {
	m, err := event.ParseSyslog([]byte(line), time.Now())
	if err != nil {
		return usageError(err)
	}
	t := testedLine{Code: m.Code(), Text: m.Text, Format: m.Format, Host: m.Host, Sequence: m.Sequence, Unsure: m.Unsure}
	if !m.Time.IsZero() {
		t.Time = &m.Time
	}
	f, known := event.Judge(m)
	switch {
	case !known:
		t.Why = event.ErrMeaningless.Error()
	case from == "":
		t.Kind, t.Why = f.Kind, "which tunnel it is about depends on the router: --from"
	default:
		e, err := a.eventFrom(from, []byte(line))
		if _, usage := errors.AsType[*exitError](err); usage {
			return err
		}
		t.Kind, t.Tunnel, t.Peer = f.Kind, e.Tunnel, e.Peer
		if err != nil {
			t.Why = err.Error()
		}
	}
	a.fact("line", t)
	w := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, printable(value))
		}
	}
	row("line", t.Code+": "+t.Text)
	row("form", t.Format)
	row("origin", t.Host)
	if t.Time != nil {
		when := t.Time.Format(time.RFC3339Nano)
		if t.Unsure {
			when += " (its clock, or its time zone, is not to be relied on)"
		}
		row("time", when)
	}
	row("event", string(t.Kind))
	row("tunnel", t.Tunnel)
	row("told by", t.Peer)
	row("note", t.Why)
	return w.Flush()
}

// eventFrom reads a line as one of a router of the inventory.
func (a *app) eventFrom(from string, line []byte) (event.Event, error) {
	inv, err := a.loadInventory()
	if err != nil {
		return event.Event{}, &exitError{exitUsage, err}
	}
	settings, err := (&databaseFlags{}).settings(a)
	if err != nil {
		return event.Event{}, &exitError{exitUsage, err}
	}
	address, err := netip.ParseAddr(from)
	if err != nil {
		p, ok := inv.Peers[from]
		if !ok {
			return event.Event{},
				usageError(fmt.Errorf("--from %s: want an address, or a peer of %s%s", from, inv.File,
					didYouMean(from, inv.PeerNames())))
		}
		address = p.WAN.Address
	}
	book := bookOf(inv, settings.Events.Relays, func(string) []netip.Addr { return nil })
	return book.Read(address, line, time.Now())
}

// listedEvent is an event in the list, in JSON.
type listedEvent struct {
	At      time.Time `json:"at"`
	Tunnel  string    `json:"tunnel"`
	Peer    string    `json:"peer,omitempty"`
	Kind    string    `json:"kind"`
	Source  string    `json:"source"`
	Outcome string    `json:"outcome"` // started or held
	Run     string    `json:"run,omitempty"`
	Why     string    `json:"why,omitempty"`
	More    int       `json:"more"` // events of the tunnel after it that were only counted
	Text    string    `json:"text"`
}

func (a *app) eventTailCommand() *cobra.Command {
	var f databaseFlags
	n, follow := 20, false
	c := &cobra.Command{
		Use:   "tail",
		Short: "The last events: what each started, or what held it back",
		Long: `The last events of the fleet's database: the tunnel, the run that it started or what held it back, and how
many events of the tunnel came after it that were only counted. With --follow, those that come, until Ctrl-C.
` + plainStatusHelp,
		Example: "  moncap events tail\n  moncap events tail --follow",
		Args:    wants(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if n < 1 || n > 10_000 {
				return usageError(fmt.Errorf("-n %d: want 1 to 10000", n))
			}
			if follow && a.facts != nil {
				return usageError(errors.New("events tail: --follow prints text alone"))
			}
			return a.withStore(cmd.Context(), &f,
				func(s *fleet.Store) error { return a.tailEvents(cmd.Context(), s, n, follow) })
		},
	}
	f.register(c)
	c.Flags().IntVarP(&n, "number", "n", n, "how many")
	c.Flags().BoolVar(&follow, "follow", false, "go on with those that come")
	return a.withFormat(c)
}

func (a *app) tailEvents(ctx context.Context, s *fleet.Store, n int, follow bool) error {
	rows, err := s.Events(ctx, time.Time{}, n)
	if err != nil {
		return err
	}
	listed := []listedEvent{}
	var last time.Time
	shown := map[string]bool{} // of the last moment
	for {
		for _, e := range rows {
			key := fmt.Sprint(e.At.UnixMilli(), e.Tunnel, e.Key, e.Run)
			if shown[key] {
				continue
			}
			if e.At.After(last) {
				last, shown = e.At, map[string]bool{}
			}
			shown[key] = true
			listed = append(listed, listedEvent{e.At, e.Tunnel, e.Peer, e.Kind, e.Source, e.Outcome, e.Run, e.Why, e.More,
				e.Text})
			fmt.Fprintln(a.stdout, printable(eventLine(e)))
		}
		if !follow {
			break
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
		if rows, err = s.Events(ctx, last, n); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
	a.fact("events", listed)
	if len(listed) == 0 {
		fmt.Fprintln(a.stdout, "there were no events; moncap serve --syslog listens to log lines, and hooks in serve.yaml "+
			"take alerts")
	}
	return nil
}

func eventLine(e fleet.EventRow) string {
	s := fmt.Sprintf("%s  %s  %s from %s", e.At.Local().Format(withZone), e.Tunnel, e.Kind, e.Source)
	if e.Peer != "" {
		s += " of " + e.Peer
	}
	switch {
	case e.Run != "":
		s += ": run " + e.Run
	default:
		s += ": held back: " + e.Why
	}
	if e.More > 0 {
		s += fmt.Sprintf(", and %d more", e.More)
	}
	return s + "  " + e.Text
}
