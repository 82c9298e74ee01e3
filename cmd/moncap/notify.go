package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/capture/fleet"
	"github.com/moncap/moncap/capture/fleet/notify"
	"github.com/moncap/moncap/device/inventory"
)

func (a *app) notifyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "notify",
		Short: "Who a fleet tells what it found, and what was told",
		Long: `A fleet (moncap serve) tells the targets that stand under notify in the inventory when the verdict of a
tunnel changes, when something is left on a router, when a tunnel is established again, and how all are once a
day. No packets are sent, and neither headlines, peers nor addresses unless the target has details: true.`,
		Example: "  moncap notify list\n  moncap notify test noc",
	}
	c.AddCommand(a.notifyListCommand(), a.notifyTestCommand())
	return c
}

// listedTarget is a target in the list, in JSON.
type listedTarget struct {
	Name    string   `json:"name"`
	Type    string   `json:"type"`
	On      []string `json:"on"`
	Details bool     `json:"details"`
	Tunnels int      `json:"tunnels"`
}

// listedNotice is a notice in the list, in JSON.
type listedNotice struct {
	ID      string     `json:"id"`
	Target  string     `json:"target"`
	About   string     `json:"about"`
	Action  string     `json:"action"`
	Run     string     `json:"run,omitempty"`
	State   string     `json:"state"`
	Created time.Time  `json:"created"`
	Sent    *time.Time `json:"sent"`
	Next    *time.Time `json:"next"` // when it is tried; null: it is not
	Tries   int        `json:"tries"`
	Error   string     `json:"error,omitempty"`
}

func (a *app) notifyListCommand() *cobra.Command {
	var f databaseFlags
	n := 20
	c := &cobra.Command{
		Use:     "list",
		Short:   "The targets of the inventory, and the last messages: which arrived, and which are still tried",
		Long:    "The targets of the inventory, and the last messages to them where there is a database.\n" + plainStatusHelp,
		Example: "  moncap notify list\n  moncap notify list -n 100 --format json",
		Args:    wants(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if n < 1 || n > 10_000 {
				return usageError(fmt.Errorf("-n %d: want 1 to 10000", n))
			}
			return a.listNotify(cmd.Context(), &f, n)
		},
	}
	f.register(c)
	c.Flags().IntVarP(&n, "number", "n", n, "how many messages")
	return a.withFormat(c)
}

func (a *app) listNotify(ctx context.Context, f *databaseFlags, n int) error {
	inv, err := a.loadInventory()
	if err != nil {
		return err
	}
	w := a.newTable(a.stdout)
	targets := []listedTarget{}
	for _, name := range inv.NotifyNames() {
		t := inv.Notify[name]
		l := listedTarget{name, t.Type, t.On, t.Details, 0}
		for _, tunnel := range digested(inv, name) {
			if slices.Contains(inv.Tunnels[tunnel].Notify, name) || scheduledFor(inv, tunnel, name) {
				l.Tunnels++
			}
		}
		if targets = append(targets, l); len(targets) == 1 {
			fmt.Fprintln(w, "TARGET\tTYPE\tTUNNELS\tTOLD OF")
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", printable(name), t.Type, l.Tunnels, printable(tellsWhat(t)))
	}
	if len(targets) == 0 {
		fmt.Fprintln(w, "there are no targets; inventory.example.yaml of the project shows some, under notify")
	}
	if err := w.Flush(); err != nil {
		return err
	}
	a.fact("targets", targets)
	a.fact("notices", []listedNotice{})
	settings, err := f.settings(a)
	if err != nil {
		return err
	}
	o, err := a.storeOptions(ctx, settings)
	if err != nil || !fleet.Exists(o) {
		return err
	}
	return a.withStore(ctx, f, func(s *fleet.Store) error { return a.listNotices(ctx, s, n) })
}

// scheduledFor says whether a schedule of a tunnel tells a target.
func scheduledFor(inv *inventory.Inventory, tunnel, target string) bool {
	for _, s := range inv.Schedules {
		if slices.Contains(s.Tunnels, tunnel) && slices.Contains(s.Notify, target) {
			return true
		}
	}
	return false
}

func (a *app) listNotices(ctx context.Context, s *fleet.Store, n int) error {
	all, err := s.Notices(ctx, n)
	if err != nil || len(all) == 0 {
		return err
	}
	listed := []listedNotice{}
	w := a.newTable(a.stdout)
	fmt.Fprintln(w, "\nWRITTEN\tTARGET\tABOUT\tWHAT\tSTATE\tTRIES\tERROR")
	for _, n := range all {
		l := listedNotice{
			ID: n.ID, Target: n.Target, About: n.About, Action: n.Action, Run: n.Run, State: n.State, Created: n.Created,
			Tries: n.Tries,
			Error: n.Error,
		}
		if !n.Sent.IsZero() {
			l.Sent = &n.Sent
		}
		if n.State == fleet.NoticeDue {
			l.Next = &n.Due
		}
		listed = append(listed, l)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", n.Created.Local().Format(withZone), printable(n.Target),
			printable(n.About), n.Action, n.State, n.Tries, printable(n.Error))
	}
	a.fact("notices", listed)
	return w.Flush()
}

func (a *app) notifyTestCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "test TARGET",
		Short: "Send a target a message now, and say what it answered",
		Long: `Send a target of the inventory a message that says it is a test, at once and once, without the database.
At PagerDuty it opens an incident and resolves it again; at Alertmanager it is an alert that ends by itself.
` + plainStatusHelp,
		Example: "  moncap notify test noc",
		Args:    wants(1, 1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			inv, err := a.inventoryForCompletion()
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return inv.NotifyNames(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.testNotify(cmd.Context(), args[0]) },
	}
	return a.withFormat(c)
}

func (a *app) testNotify(ctx context.Context, name string) error {
	inv, err := a.loadInventory()
	if err != nil {
		return err
	}
	t, ok := inv.Notify[name]
	if !ok {
		return usageError(fmt.Errorf("%s: no target %q under notify%s", inv.File, name, didYouMean(name, inv.NotifyNames())))
	}
	m := notify.Message{
		Schema: notify.Schema, ID: newRunID(time.Now()), Key: "moncap/test/" + name, Action: notify.Test, At: time.Now(),
		Severity: "info",
		Title:    "a test by " + a.who(), Code: "test",
	}
	actions := []notify.Action{notify.Test}
	if t.Type == inventory.TypePagerDuty {
		actions = append(actions, notify.Resolve)
	}
	for _, m.Action = range actions {
		text, err := json.Marshal(m)
		if err != nil {
			return err
		}
		if err := a.tellOnce(ctx, t, fleet.Notice{Message: string(text)}); err != nil {
			return &exitError{exitFailed, err}
		}
	}
	a.fact("target", name)
	a.fact("sent", true)
	_, err = fmt.Fprintf(a.stdout, "%s took the message\n", printable(name))
	return err
}
