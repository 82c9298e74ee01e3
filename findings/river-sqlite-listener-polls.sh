#!/usr/bin/env bash
# An idle River client on SQLite asks its database some twenty times a second.
#
# github.com/riverqueue/river and riverdriver/riversqlite v0.51.2, modernc.org/sqlite v1.62.0; one
# queue, no job, the configuration's defaults, watched for five seconds after two to settle.
# One would guess: a fetch a second (FetchPollInterval is 1 s by default) and a little beside it,
# one or two statements a second, since SQLite cannot notify.
# Seen: 21 statements a second. SQLite's driver has a listener that reads a table of notifications
# every 50 ms; the option PollOnly, meant for databases without one, leaves two.
set -u
T=$(mktemp -d) || exit 2
trap 'chmod -R u+w "$T"; rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

command -v go >/dev/null || cannot "no go"
cd "$T" || exit 2
export GOFLAGS=-mod=mod GOWORK=off
go mod init try >log 2>&1 && go get github.com/riverqueue/river@v0.51.2 \
	github.com/riverqueue/river/riverdriver/riversqlite@v0.51.2 modernc.org/sqlite@v1.62.0 >log 2>&1 ||
	cannot "$(tail -1 log)"
cat >main.go <<'END'
package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"modernc.org/sqlite"
)

var asked atomic.Int64

// counting counts the statements that go to the database.
type counting struct{ driver.Driver }

func (d counting) Open(name string) (driver.Conn, error) {
	c, err := d.Driver.Open(name)
	return conn{c}, err
}

type conn struct{ driver.Conn }

func (c conn) QueryContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Rows, error) {
	asked.Add(1)
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, q, args)
}

func (c conn) ExecContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Result, error) {
	asked.Add(1)
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, q, args)
}

func (c conn) PrepareContext(ctx context.Context, q string) (driver.Stmt, error) {
	asked.Add(1)
	return c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, q)
}

func (c conn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
}

type nothing struct{}

func (nothing) Kind() string { return "nothing" }

func perSecond(pollOnly bool) int64 {
	ctx := context.Background()
	db, err := sql.Open("counting", "file:"+fmt.Sprint(pollOnly)+".db?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)")
	if err != nil {
		panic(err)
	}
	db.SetMaxOpenConns(1)
	m, err := rivermigrate.New(riversqlite.New(db), nil)
	if err != nil {
		panic(err)
	}
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		panic(err)
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, river.WorkFunc(func(context.Context, *river.Job[nothing]) error { return nil }))
	client, err := river.NewClient(riversqlite.New(db), &river.Config{
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 4}}, Workers: workers, PollOnly: pollOnly,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		panic(err)
	}
	if err := client.Start(ctx); err != nil {
		panic(err)
	}
	time.Sleep(2 * time.Second)
	before := asked.Load()
	time.Sleep(5 * time.Second)
	n := (asked.Load() - before) / 5
	_ = client.Stop(ctx)
	return n
}

func main() {
	sql.Register("counting", counting{&sqlite.Driver{}})
	fmt.Println("by default", perSecond(false))
	fmt.Println("PollOnly", perSecond(true))
}
END
go build -o try . >log 2>&1 || cannot "$(tail -1 log)"
./try | tee out
awk '{n[$1] = $NF} END {exit !(n["by"] >= 15 && n["PollOnly"] <= 6)}' out
