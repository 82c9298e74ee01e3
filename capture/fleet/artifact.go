package fleet

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/capture/bundle"
)

// errTooLarge says that a bundle is larger than what the database keeps.
var errTooLarge = errors.New("the bundle is larger than what the database keeps")

// bounded is a buffer that takes so much and no more.
type bounded struct {
	bytes.Buffer
	limit int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.limit {
		return 0, errTooLarge
	}
	return b.Buffer.Write(p)
}

// pack makes a tar.gz of a bundle, of limit bytes at most.
func pack(dir string, limit int) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	out := &bounded{limit: limit}
	z := gzip.NewWriter(out)
	t := tar.NewWriter(z)
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.HasPrefix(path.Base(name), ".") {
			return err
		}
		return packFile(t, root, name)
	})
	if err := errors.Join(err, t.Close(), z.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func packFile(t *tar.Writer, root *os.Root, name string) error {
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: info.Size(), ModTime: info.ModTime(),
		Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	_, err = io.Copy(t, io.LimitReader(f, info.Size()))
	return err
}

// keep puts the bundle of a run that is held into the database, where it is small enough. Without
// it, it is on this machine.
func (v *service) keep(ctx context.Context, h *held, b *bundle.Bundle) {
	if v.o.ArtifactsMB < 0 {
		return
	}
	data, err := pack(b.Dir(), v.o.ArtifactsMB<<20)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, 2*v.s.lease)
		defer cancel()
		err = v.s.putBundle(ctx, h.ID, h.Fence, data)
	}
	if err != nil {
		v.s.log.Info("a bundle is not kept in the database", "run", h.ID, "error", err.Error())
	}
}

func (s *Store) putBundle(ctx context.Context, run string, fence int64, data []byte) error {
	_, err := s.exec(ctx, s.db,
		`INSERT INTO moncap_artifact (run, part, bytes) SELECT id, 'bundle', CAST(? AS {blob}) FROM moncap_run WHERE id = ? AND fence = ?
		ON CONFLICT (run, part) DO UPDATE SET bytes = excluded.bytes`, data, run, fence)
	return err
}

// putReport replaces the report and the findings of a run.
func (s *Store) putReport(ctx context.Context, tx *sql.Tx, run string, r *Report) error {
	for _, table := range []string{"moncap_report", "moncap_finding"} {
		if err := s.deleteOf(ctx, tx, []string{run}, table, "run"); err != nil {
			return err
		}
	}
	for _, f := range r.Findings {
		if _, err := s.exec(ctx, tx,
			"INSERT INTO moncap_finding (run, code, severity) VALUES (?, ?, ?) ON CONFLICT (run, code) DO NOTHING", run, f.Code,
			f.Severity); err != nil {
			return err
		}
	}
	if r.StartGap != nil {
		if _, err := s.exec(ctx, tx,
			`INSERT INTO moncap_gap (tunnel, us) SELECT tunnel, CAST(? AS BIGINT) FROM moncap_run WHERE id = ?
			ON CONFLICT (tunnel) DO UPDATE SET us = excluded.us`, r.StartGap.Microseconds(), run); err != nil {
			return err
		}
	}
	if len(r.JSON) == 0 {
		return nil
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := z.Write(r.JSON)
	if err := errors.Join(err, z.Close()); err != nil {
		return err
	}
	_, err = s.exec(ctx, tx, "INSERT INTO moncap_report (run, gz) VALUES (?, ?)", run, packed.Bytes())
	return err
}

// The most that a bundle of the database may unpack to.
const maxBundle = 2 << 30

// FetchBundle unpacks the bundle of a run into a folder that is not there yet. It is ErrNotFound
// when the database does not keep it.
func (s *Store) FetchBundle(ctx context.Context, id, dir string) error {
	var data []byte
	ok, err := s.row(ctx, s.db, []any{&data}, "SELECT bytes FROM moncap_artifact WHERE run = ? AND part = 'bundle'", id)
	if err == nil && !ok {
		err = notFound("bundle of run", id)
	}
	if err != nil {
		return s.fail(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if err := unpack(data, dir); err != nil {
		return errors.Join(fmt.Errorf("bundle of run %s: %w", id, err), os.RemoveAll(dir))
	}
	return nil
}

// unpack writes nothing but regular files, and nothing outside dir.
func unpack(data []byte, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return err
	}
	t := tar.NewReader(io.LimitReader(z, maxBundle))
	for {
		h, err := t.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case h.Typeflag != tar.TypeReg:
			return fmt.Errorf("%q is no regular file", h.Name)
		}
		if err := unpackFile(root, h.Name, t); err != nil {
			return err
		}
	}
}

func unpackFile(root *os.Root, name string, from io.Reader) error {
	if folder := path.Dir(name); folder != "." {
		if err := root.MkdirAll(folder, 0o700); err != nil {
			return err
		}
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from) // bounded by who reads the archive
	return errors.Join(err, f.Close())
}

// Record writes a run into the history that no worker did: what its bundle says, and what came of
// it. Written again, it is replaced. err is that of the run.
func (s *Store) Record(ctx context.Context, b *bundle.Bundle, r *Report, by string, runErr error) error {
	run, err := b.Run()
	if err != nil {
		return err
	}
	entries, err := b.Journal()
	if err != nil { // what can be read of it is kept
		s.log.Warn("journal", "error", err.Error())
	}
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	if r == nil {
		r = &Report{Exit: -1}
	}
	doc, err := json.Marshal(run)
	if err != nil {
		return err
	}
	err = s.locked(ctx, func(tx *sql.Tx) error {
		if err := s.recordRow(ctx, tx, b, run, r, by, host, runErr); err != nil {
			return err
		}
		for _, table := range []string{"moncap_plan", "moncap_journal"} {
			if err := s.deleteOf(ctx, tx, []string{run.ID}, table, "run"); err != nil {
				return err
			}
		}
		if _, err := s.exec(ctx, tx, "INSERT INTO moncap_plan (run, plan, doc) VALUES (?, ?, ?)", run.ID, string(run.Plan),
			string(doc)); err != nil {
			return err
		}
		l := ledger{run: run.ID}
		var lines []*line
		for _, e := range entries {
			lines = append(lines, &line{seq: int64(e.Seq), entry: e})
		}
		if err := s.insertMany(ctx, tx, journalColumns, 8, l.values(lines)); err != nil {
			return err
		}
		return s.putReport(ctx, tx, run.ID, r)
	})
	if err != nil {
		return err
	}
	if data, err := pack(b.Dir(), 8<<20); err == nil {
		return s.fail(s.putBundle(ctx, run.ID, 0, data))
	}
	return nil
}

func (s *Store) recordRow(ctx context.Context, tx *sql.Tx, b *bundle.Bundle, run *bundle.Run, r *Report, by,
	host string, runErr error) error {
	e := ending{state: Done, err: runErr, clean: run.Clean, report: r}
	_, dirty := errors.AsType[*capture.DirtyError](runErr)
	switch {
	case dirty:
		e.state = Dirty
	case runErr != nil:
		e.state = Failed
	}
	failure, headline := "", r.Headline
	if runErr != nil {
		failure = oneLine(runErr.Error())
	}
	if headline == "" {
		headline = failure
	}
	if _, err := s.exec(ctx, tx,
		"DELETE FROM moncap_run WHERE id = ? AND fence = 0 AND state IN ('done', 'failed', 'dirty')", run.ID); err != nil {
		return err
	}
	_, err := s.exec(ctx, tx,
		`INSERT INTO moncap_run (id, tunnel, a, b, router_a, router_b, runs_a, runs_b, site, state, priority, host, cause, who, created, started, ended,
		outcome, exit, headline, clean, error, remains, bundle) VALUES (?, ?, ?, ?, '', '', 1, 1, '', ?, 1, ?, 'manual', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		run.ID, run.Tunnel, run.A.Peer, run.B.Peer, string(e.state), host, by, ms(run.Started), ms(run.Started),
		ms(run.Ended), r.Outcome, exitOf(e), headline, number(e.clean), failure, remains(runErr), b.Dir())
	return err
}
