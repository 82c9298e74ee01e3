package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/capture/fleet"
)

func (a *app) dbCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "db",
		Short:   "The fleet's database: make it, look at it, keep a copy, delete what is old",
		Example: "  moncap db check",
		Args:    wants(0, 0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(a.dbInitCommand(), a.dbCheckCommand(), a.dbBackupCommand(), a.dbPruneCommand())
	return c
}

func (a *app) dbInitCommand() *cobra.Command {
	var f databaseFlags
	c := &cobra.Command{
		Use:   "init",
		Short: "Make the database, or bring it up to this program's schema",
		Long: `Make the database, or bring it up to this program's schema, as moncap serve does when it starts.
A SQLite file is copied before its schema changes. A database of a newer moncap is refused.`,
		Example: "  moncap db init\n  moncap db init --db postgres://moncap@db.example.net/moncap",
		Args:    wants(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withNewStore(cmd.Context(), &f, func(s *fleet.Store) error {
				have, _, err := s.Schema(cmd.Context())
				if err != nil {
					return err
				}
				a.fact("database", s.Name())
				a.fact("schema", have)
				_, err = fmt.Fprintf(a.stdout, "%s: schema %d\n", printable(s.Name()), have)
				return err
			})
		},
	}
	f.register(c)
	return a.withFormat(c)
}

// withNewStore is withStore for what makes the database where there is none.
func (a *app) withNewStore(ctx context.Context, d *databaseFlags, f func(*fleet.Store) error) error {
	s, err := d.settings(a)
	if err != nil {
		return err
	}
	o, err := a.storeOptions(ctx, s)
	if err != nil {
		return err
	}
	store, err := fleet.Open(ctx, o)
	if err != nil {
		return storeError(err)
	}
	return errors.Join(storeError(f(store)), store.Close())
}

func (a *app) dbCheckCommand() *cobra.Command {
	var f databaseFlags
	c := &cobra.Command{
		Use:   "check",
		Short: "Look for what is wrong with the database, and with what it says of the fleet",
		Long: `Look at the schema, the integrity of a SQLite file, the clock, slots of routers without a run,
runs that left something on a router, and sites without a worker. Nothing is changed.

EXIT STATUS
  0   nothing is wrong; there may be warnings
  4   something is wrong, or the database cannot be reached
  64  wrong usage, or there is no database`,
		Example: "  moncap db check",
		Args:    wants(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withStore(cmd.Context(), &f, func(s *fleet.Store) error { return a.dbCheck(cmd.Context(), s) })
		},
	}
	f.register(c)
	return a.withFormat(c)
}

func (a *app) dbCheck(ctx context.Context, s *fleet.Store) error {
	problems, err := s.Check(ctx)
	if err != nil {
		return err
	}
	type jsonProblem struct {
		Severity string `json:"severity"`
		Text     string `json:"text"`
	}
	listed, wrong := []jsonProblem{}, 0
	for _, p := range problems {
		listed = append(listed, jsonProblem{p.Severity, p.Text})
		if p.Severity == "error" {
			wrong++
		}
		if _, err := fmt.Fprintf(a.stdout, "%s: %s\n", p.Severity, printable(p.Text)); err != nil {
			return err
		}
	}
	a.fact("database", s.Name())
	a.fact("problems", listed)
	if wrong > 0 {
		return &exitError{exitFailed, fmt.Errorf("%s: %s", s.Name(), counted(wrong, "error"))}
	}
	_, err = fmt.Fprintf(a.stdout, "%s: no errors\n", printable(s.Name()))
	return err
}

func (a *app) dbBackupCommand() *cobra.Command {
	var f databaseFlags
	c := &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy a SQLite database while it is in use",
		Long: `Copy a SQLite database into a file that is not there yet, while workers go on. PostgreSQL has
tools of its own for this, pg_dump for one.`,
		Example: "  moncap db backup /var/backups/moncap-$(date +%F).db",
		Args:    wants(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withStore(cmd.Context(), &f, func(s *fleet.Store) error {
				if err := s.Backup(cmd.Context(), args[0]); err != nil {
					return err
				}
				a.fact("file", args[0])
				_, err := fmt.Fprintf(a.stdout, "%s: a copy of %s\n", printable(args[0]), printable(s.Name()))
				return err
			})
		},
	}
	f.register(c)
	return a.withFormat(c)
}

func (a *app) dbPruneCommand() *cobra.Command {
	var f databaseFlags
	dryRun := false
	c := &cobra.Command{
		Use:   "prune",
		Short: "Delete what is old from the database",
		Long: `Delete runs and bundles that are older than retain in serve.yaml says: runs after 400 days and
bundles after 30, unless it says otherwise, but never the last 5 of a tunnel, nor a run that is not over or
that left something on a router. Bundles beyond 20 GB go too, the oldest first. moncap serve does the same
once a day. Bundles on disks are another matter: moncap runs prune.`,
		Example: "  moncap db prune --dry-run",
		Args:    wants(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings, err := f.settings(a)
			if err != nil {
				return err
			}
			return a.withStore(cmd.Context(), &f, func(s *fleet.Store) error {
				r := settings.Retain
				p, err := s.Prune(cmd.Context(), fleet.Retain{
					Runs: r.Runs, Bundles: r.Bundles, KeepLast: r.KeepLast, MaxGB: float64(r.MaxGB),
				}, dryRun)
				if err != nil {
					return err
				}
				word := "deleted"
				if dryRun {
					word = "would delete"
				}
				a.fact("runs", p.Runs)
				a.fact("bundles", p.Bundles)
				a.fact("bytes", p.Bytes)
				a.fact("dry_run", dryRun)
				_, err = fmt.Fprintf(a.stdout, "%s %s and %s, %s\n",
					word, counted(p.Runs, "run"), counted(p.Bundles, "bundle"), kilobytes(p.Bytes))
				return err
			})
		},
	}
	f.register(c)
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say how much would be deleted")
	return a.withFormat(c)
}
