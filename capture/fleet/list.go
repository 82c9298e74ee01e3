package fleet

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/moncap/moncap/capture/bundle"
)

// Jobs lists the runs that are not over, or those of a state, in the order in which they are
// served, and what each waits for.
func (s *Store) Jobs(ctx context.Context, state State) ([]Run, error) {
	var w where
	w.add(state != "", "state = ?", string(state))
	w.add(state == "", "state IN "+openStates)
	all, err := s.runs(ctx, s.db,
		w.String()+` ORDER BY CASE state WHEN 'recovering' THEN 0 WHEN 'cancelling' THEN 1 WHEN 'running' THEN 2
		WHEN 'granted' THEN 3 WHEN 'waiting' THEN 4 ELSE 5 END, priority, place, id`, w.args...)
	if err != nil {
		return nil, s.fail(err)
	}
	h, err := s.look(ctx, s.db)
	if err != nil {
		return nil, s.fail(err)
	}
	before := map[string]int{} // runs that want a router, of those served earlier
	for i := range all {
		if r := &all[i]; r.State == Waiting {
			r.Waits = h.waitsFor(*r, before)
			for _, router := range r.distinct() {
				before[router]++
			}
		}
	}
	return all, nil
}

// waitsFor says what a run waits for.
func (h *hall) waitsFor(r Run, before map[string]int) string {
	switch {
	case r.Approval == approvalWanted:
		return "approval"
	case ms(r.NotBefore) > h.now:
		return strings.TrimSpace("until " + r.NotBefore.UTC().Format(time.RFC3339) + " " + r.Headline)
	case h.workers[r.Site] == 0 && r.Site == "":
		return "no worker"
	case h.workers[r.Site] == 0:
		return "no worker for site " + r.Site
	}
	for i, router := range r.distinct() {
		if n := before[router]; len(h.taken[router]) >= r.runs[i] || n > 0 {
			return fmt.Sprintf("for %s (%d before it)", r.Peers[i], len(h.taken[router])+n)
		}
	}
	return "for a free worker"
}

// HistoryFilter chooses runs that have ended. What is zero does not choose.
type HistoryFilter struct {
	Tunnel  string
	Since   time.Time
	Changed bool // only those that came to something else than the tunnel's run before
	Limit   int
}

// History lists the runs that ended, the newest first.
func (s *Store) History(ctx context.Context, f HistoryFilter) ([]Run, error) {
	var w where
	w.add(true, "ended > 0")
	w.add(f.Tunnel != "", "tunnel = ?", f.Tunnel)
	w.add(!f.Since.IsZero(), "ended >= ?", ms(f.Since))
	n := f.Limit
	if f.Changed {
		n = 0
	}
	all, err := s.runs(ctx, s.db, w.String()+" ORDER BY ended DESC, id DESC"+limit(n), w.args...)
	if err == nil {
		err = s.addFindings(ctx, all)
	}
	if err != nil || !f.Changed {
		return all, s.fail(err)
	}
	return s.changed(ctx, all, f)
}

// changed keeps the runs with a verdict that is another one than the last before it of that tunnel
// between the same peers.
func (s *Store) changed(ctx context.Context, all []Run, f HistoryFilter) ([]Run, error) {
	last := map[[3]string]Run{}
	if !f.Since.IsZero() {
		var w where
		w.add(true, "ended > 0 AND exit BETWEEN 0 AND 3 AND ended < ?", ms(f.Since))
		w.add(f.Tunnel != "", "tunnel = ?", f.Tunnel)
		earlier, err := s.lastOf(ctx, w)
		if err != nil {
			return nil, s.fail(err)
		}
		for _, r := range earlier {
			last[r.ends()] = r
		}
	}
	var kept []Run
	for _, r := range slices.Backward(all) {
		if r.Exit < 0 || r.Exit > 3 { // it has no verdict
			continue
		}
		if before, ok := last[r.ends()]; !ok || !sameVerdict(before, r) {
			kept = append(kept, r)
		}
		last[r.ends()] = r
	}
	slices.Reverse(kept)
	if f.Limit > 0 && len(kept) > f.Limit {
		kept = kept[:f.Limit]
	}
	return kept, nil
}

// ends are what a tunnel is told apart by: two inventories may have given two the same name.
func (r Run) ends() [3]string { return [3]string{r.Tunnel, r.Peers[0], r.Peers[1]} }

func sameVerdict(x, y Run) bool {
	return x.Outcome == y.Outcome && slices.Equal(x.Findings, y.Findings)
}

// Last returns the last run with a verdict of each tunnel; of tunnels of one name, the later.
func (s *Store) Last(ctx context.Context) (map[string]Run, error) {
	var w where
	w.add(true, "ended > 0 AND exit BETWEEN 0 AND 3")
	all, err := s.lastOf(ctx, w)
	last := map[string]Run{}
	for _, r := range all {
		last[r.Tunnel] = r
	}
	return last, s.fail(err)
}

// lastOf is the last run of each tunnel between the same peers.
func (s *Store) lastOf(ctx context.Context, w where) ([]Run, error) {
	all, err := s.runs(ctx, s.db,
		`WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY tunnel, a, b ORDER BY ended DESC, id DESC) AS n
		FROM moncap_run `+w.String()+`) AS ranked WHERE n = 1) ORDER BY ended, id`, w.args...)
	if err == nil {
		err = s.addFindings(ctx, all)
	}
	return all, err
}

// Journal returns what a run did on its routers, as the database has it.
func (s *Store) Journal(ctx context.Context, id string) ([]bundle.Entry, error) {
	all, err := s.journal(ctx, s.db, id)
	return all, s.fail(err)
}

func (s *Store) journal(ctx context.Context, d doer, id string) ([]bundle.Entry, error) {
	var all []bundle.Entry
	err := s.query(ctx, d, func(scan func(...any) error) error {
		var e bundle.Entry
		var when int64
		err := scan(&e.Seq, &when, &e.Side, &e.Peer, &e.Kind, &e.Name, &e.State)
		e.Time = at(when)
		all = append(all, e)
		return err
	}, "SELECT seq, at, side, peer, kind, name, state FROM moncap_journal WHERE run = ? ORDER BY seq", id)
	return all, err
}

// maxReport bounds a report that is unpacked.
const maxReport = 256 << 20

// Report returns the report of a run, as JSON; nil when it has none.
func (s *Store) Report(ctx context.Context, id string) ([]byte, error) {
	var packed []byte
	ok, err := s.row(ctx, s.db, []any{&packed}, "SELECT gz FROM moncap_report WHERE run = ?", id)
	if err != nil || !ok {
		return nil, s.fail(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("run %s: report: %w", id, err)
	}
	data, err := io.ReadAll(io.LimitReader(z, maxReport+1))
	if err != nil || len(data) > maxReport {
		return nil, fmt.Errorf("run %s: report: it cannot be unpacked, or is longer than %d MB: %w", id, maxReport>>20, err)
	}
	return data, nil
}

// Wait waits until runs are over. each is told of every change; it may be nil. The end of ctx
// leaves the runs alone.
func (s *Store) Wait(ctx context.Context, each func(Run), ids ...string) ([]Run, error) {
	known := map[string]Run{}
	for {
		var now []Run
		for chunk := range slices.Chunk(ids, 500) {
			some, err := s.runs(ctx, s.db, "WHERE id IN ("+questions(len(chunk))+")", anys(chunk)...)
			if err != nil {
				return nil, s.fail(err)
			}
			now = append(now, some...)
		}
		if gone := missing(ids, now); gone != "" {
			return nil, s.fail(fmt.Errorf("%w: it was deleted while it was waited for", notFound("run", gone)))
		}
		over := 0
		for _, r := range now {
			if k, ok := known[r.ID]; each != nil && (!ok || k.State != r.State) {
				each(r)
			}
			known[r.ID] = r
			if r.State.Over() {
				over++
			}
		}
		if over == len(now) {
			return now, s.fail(s.addFindings(ctx, now))
		}
		select {
		case <-ctx.Done():
			return now, context.Cause(ctx)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// missing is one of the ids that has no run; empty: all have.
func missing(ids []string, runs []Run) string {
	for _, id := range ids {
		if !slices.ContainsFunc(runs, func(r Run) bool { return r.ID == id }) {
			return id
		}
	}
	return ""
}

func anys[T any](list []T) []any {
	all := make([]any, len(list))
	for i, v := range list {
		all[i] = v
	}
	return all
}
