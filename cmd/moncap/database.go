package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/capture/fleet"
	"github.com/moncap/moncap/device/inventory"
)

// databaseFlags say which database holds the runs of the fleet, and how to log in to it.
type databaseFlags struct {
	url      string
	password secretFlag
	config   string
}

func (f *databaseFlags) register(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.url, "db", "", "the fleet's database, sqlite:PATH or postgres://USER@HOST/NAME "+
		"(default $MONCAP_DB, then db in serve.yaml, then moncap.db in the state folder)")
	fl.Var(&f.password, "db-password",
		"where PostgreSQL's password is kept: env:VAR, file:PATH, cmd:COMMAND, keyring:NAME or ask (default: PGPASSFILE)")
	fl.StringVar(&f.config, "config", "",
		"the file of settings (default: serve.yaml beside the inventory, where it is there)")
}

// settings are those of serve.yaml, with what the flags and the environment change.
func (f *databaseFlags) settings(a *app) (*inventory.Service, error) {
	if f.password.err != nil {
		return nil, usageError(fmt.Errorf("--db-password: %w", f.password.err))
	}
	s := inventory.DefaultService()
	file := f.config
	if beside := inventory.ServiceBeside(a.inventoryPath()); file == "" && a.inventoryPath() != "-" && exists(beside) {
		file = beside
	}
	if file != "" {
		var err error
		if s, err = inventory.LoadService(file); err != nil {
			return nil, usageError(err)
		}
	}
	if url := orDefault(f.url, a.getenv("MONCAP_DB")); url != "" {
		s.DB = url
	}
	if !f.password.ref.IsZero() {
		s.DBPassword = f.password.ref
	}
	if s.DB != "" {
		if err := fleet.ParseURL(s.DB); err != nil {
			return nil, usageError(err)
		}
	}
	return s, nil
}

// storeOptions are what the database is opened with.
func (a *app) storeOptions(ctx context.Context, s *inventory.Service) (fleet.Options, error) {
	state, err := a.stateDir()
	if err != nil {
		return fleet.Options{}, &exitError{exitFailed, err}
	}
	o := fleet.Options{URL: s.DB, State: state, Log: a.logger(), Lease: s.Lease}
	if ref := s.DBPassword; !ref.IsZero() {
		o.Password = func() (string, error) {
			secret, err := ref.Resolve(ctx, "Password of the database", func(prompt string) (inventory.Secret, error) {
				typed, err := a.readLine(prompt+": ", false)
				return inventory.NewSecret(typed), err
			})
			return secret.Reveal(), err
		}
	}
	return o, nil
}

// withStore opens the database that there is for f, and closes it again.
func (a *app) withStore(ctx context.Context, d *databaseFlags, f func(*fleet.Store) error) error {
	s, err := d.settings(a)
	if err != nil {
		return err
	}
	o, err := a.storeOptions(ctx, s)
	if err != nil {
		return err
	}
	if !fleet.Exists(o) {
		return noDatabase(o)
	}
	store, err := fleet.Open(ctx, o)
	if err != nil {
		return storeError(err)
	}
	return errors.Join(storeError(f(store)), store.Close())
}

func noDatabase(o fleet.Options) error {
	where := o.URL
	if where == "" {
		where = "sqlite:" + filepath.Join(o.State, "moncap.db")
	}
	return usageError(&hinted{fmt.Errorf("there is no database yet at %s", where),
		"moncap serve makes it, and so does moncap db init; --db or $MONCAP_DB names another"})
}

// storeError gives an error of the database its exit code.
func storeError(err error) error {
	if _, known := errors.AsType[*exitError](err); known || err == nil {
		return err
	}
	if errors.Is(err, fleet.ErrUsage) || errors.Is(err, fleet.ErrNotFound) {
		return usageError(err)
	}
	if text := err.Error(); strings.Contains(text, "SQLSTATE 28") || strings.Contains(text, "no password supplied") {
		return &exitError{exitFailed, &hinted{oneLine{err},
			"say where its password is kept: --db-password, db_password in serve.yaml, or the file that PGPASSFILE names"}}
	}
	return &exitError{exitFailed, oneLine{err}}
}

// who is the operator as the history names them: the account and the machine.
func (a *app) who() string {
	if a.operator != "" {
		return a.operator
	}
	name := "unknown"
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil && host != "" {
		name += "@" + host
	}
	return name
}

// databaseLimit is how long a command waits for a database that it can do without.
const databaseLimit = 10 * time.Second

// registerOptional offers the database to a command that can do without.
func (a *app) registerOptional(c *cobra.Command) {
	f := &databaseFlags{}
	c.PreRun = func(*cobra.Command, []string) { a.database = f }
	fl := c.Flags()
	fl.StringVar(&f.url, "db", "",
		"the fleet's database (default $MONCAP_DB, then db in serve.yaml, then moncap.db in the state folder; none will do)")
	fl.Var(&f.password, "db-password",
		"where PostgreSQL's password is kept: env:VAR, file:PATH, cmd:COMMAND, keyring:NAME or ask (default: PGPASSFILE)")
}
