package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/device"
	"github.com/moncap/moncap/device/inventory"
)

func (a *app) trustCommand() *cobra.Command {
	yes, dryRun := false, false
	c := &cobra.Command{
		Use:   "trust PEER",
		Short: "Look at a router's host key, and accept it",
		Long: `Show the host key that a router presents, its fingerprint, and whether it is known. Compare it with the router's own
before accepting it: ` + "`show ip ssh`" + ` on its console prints public keys in the form of authorized_keys; put the one of the
same algorithm in a file, and ` + "`ssh-keygen -l -f FILE`" + ` prints its fingerprint. A key that differs from the known one is never accepted
here: remove the old line from known_hosts first.`,
		Example:           "  moncap trust site-a\n  moncap trust site-a --yes",
		Args:              wants(1, 1),
		ValidArgsFunction: a.completePeers,
		RunE: func(cmd *cobra.Command, args []string) error {
			inv, err := a.loadInventory()
			if err != nil {
				return err
			}
			p, err := inv.Peer(args[0])
			if err != nil {
				return usageError(err)
			}
			return a.trust(cmd.Context(), p, yes, dryRun)
		},
	}
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only look at the key, and write nothing")
	c.Flags().BoolVar(&yes, "yes", false, "accept the key without asking")
	return c
}

func (a *app) trust(ctx context.Context, p *inventory.Peer, yes, dryRun bool) error {
	info, err := device.ScanHostKey(ctx, *p, device.Options{Ask: (&asker{app: a}).ask, Log: a.logger()})
	if err != nil {
		return &exitError{exitFailed, err}
	}
	a.fact("peer", p.Name)
	a.fact("key", map[string]any{"algorithm": info.Algorithm, "fingerprint": info.Fingerprint, "known": info.Known,
		"changed": info.Changed, "revoked": info.Revoked})
	fmt.Fprintf(a.stdout, "%s (%s): %s %s\n", p.Name, p.Address(), info.Algorithm, info.Fingerprint)
	switch {
	case info.Known:
		_, err = fmt.Fprintf(a.stdout, "it is in %s already\n", p.KnownHosts)
		return err
	case info.Revoked:
		return &exitError{exitFailed, &hinted{errors.New(p.Name + ": the key is marked @revoked in " + p.KnownHosts),
			"somebody may have the key: give the router a new one, and find out what answers there"}}
	case info.Changed:
		return &exitError{exitFailed, &hinted{errors.New(p.Name + ": the key differs from the one in " + p.KnownHosts),
			"if the router was replaced, remove its old line from the file and run this again"}}
	case dryRun:
		_, err = fmt.Fprintf(a.stdout, "it is not known; without --dry-run it would be added to %s\n", p.KnownHosts)
		return err
	}
	if !yes {
		if a.noInput || !a.asksOnTerminal() {
			return usageError(&hinted{errors.New(p.Name + ": nobody can be asked whether to accept the key"),
				"compare the fingerprint, then accept it with: moncap trust " + p.Name + " --yes"})
		}
		answer, err := a.readLine("accept it? [yes/no] ", true)
		if err != nil || !strings.EqualFold(strings.TrimSpace(answer), "yes") {
			return &exitError{exitFailed, errors.Join(errors.New(p.Name+": the key was not accepted"), err)}
		}
	}
	if err := device.AcceptHostKey(*p, info); err != nil {
		return &exitError{exitFailed, err}
	}
	a.done = &unsaid{exitFailed, "the key of " + p.Name + " is in " + p.KnownHosts + " now",
		"moncap trust " + p.Name + " shows it"}
	_, err = fmt.Fprintf(a.stdout, "added to %s\n", p.KnownHosts)
	return err
}
