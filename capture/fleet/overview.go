package fleet

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Cell is what came of one run, as much of it as a row of many has room for.
type Cell struct {
	ID      string
	Ended   time.Time
	Exit    int
	Outcome string
	State   State
}

// Strips returns the last n runs of each tunnel that has some, the newest first. Runs that were
// cancelled before they began are none.
func (s *Store) Strips(ctx context.Context, n int) (map[string][]Cell, error) {
	strips := map[string][]Cell{}
	err := s.query(ctx, s.db, func(scan func(...any) error) error {
		var tunnel string
		var c Cell
		var ended int64
		err := scan(&tunnel, &c.ID, &ended, &c.Exit, &c.Outcome, &c.State)
		c.Ended = at(ended)
		strips[tunnel] = append(strips[tunnel], c)
		return err
	}, s.stripsQuery(), n)
	return strips, s.fail(err)
}

// stripsQuery finds the tunnels by jumps through the index, and the runs of each in it: most of
// what is there belongs to older runs. PostgreSQL does so for each tunnel when it is told to
// (LATERAL), and SQLite, which does not know that word, by itself.
func (s *Store) stripsQuery() string {
	const tunnels = `WITH RECURSIVE t (tunnel) AS (SELECT min(tunnel) FROM moncap_run UNION ALL
		SELECT (SELECT min(tunnel) FROM moncap_run WHERE tunnel > t.tunnel) FROM t WHERE t.tunnel IS NOT NULL)
		SELECT r.tunnel, r.id, r.ended, r.exit, r.outcome, r.state FROM t `
	const last = `FROM moncap_run x WHERE x.tunnel = t.tunnel AND x.ended > 0 AND x.state <> 'cancelled' ORDER BY x.ended DESC, x.id DESC LIMIT ?)`
	const order = ` ORDER BY r.tunnel, r.ended DESC, r.id DESC`
	if s.pool != nil {
		return tunnels + "JOIN LATERAL (SELECT x.* " + last + " r ON true" + order
	}
	return tunnels + "JOIN moncap_run r ON r.id IN (SELECT x.id " + last + order
}

// Named returns runs by their ids, without their findings. Those that are not there are left out.
func (s *Store) Named(ctx context.Context, ids ...string) (map[string]Run, error) {
	named := map[string]Run{}
	for chunk := range slices.Chunk(ids, 500) {
		some, err := s.runs(ctx, s.db, "WHERE id IN ("+questions(len(chunk))+")", anys(chunk)...)
		if err != nil {
			return nil, s.fail(err)
		}
		for _, r := range some {
			named[r.ID] = r
		}
	}
	return named, nil
}

// LastOther returns the last run before r, of its tunnel, that has a report and says something
// else; where all say the same, the last one. ok is false when there is none.
func (s *Store) LastOther(ctx context.Context, r Run) (other Run, ok bool, err error) {
	earlier, err := s.runs(ctx, s.db,
		`WHERE tunnel = ? AND ended > 0 AND exit BETWEEN 0 AND 3 AND (ended < ? OR ended = ? AND id < ?)
		ORDER BY ended DESC, id DESC LIMIT 400`, r.Tunnel, ms(r.Ended), ms(r.Ended), r.ID)
	if err == nil {
		err = s.addFindings(ctx, earlier)
	}
	if err != nil || len(earlier) == 0 {
		return Run{}, false, s.fail(err)
	}
	for _, e := range earlier {
		if !sameVerdict(e, r) {
			return e, true, nil
		}
	}
	return earlier[0], true, nil
}

// Counts are the figures of a fleet.
type Counts struct {
	Over     map[State]int // runs that are over, also those that were deleted since; none that are Dirty
	Open     map[State]int // runs that are not, and those that are Dirty
	Waiting  map[string]int
	Oldest   time.Duration            // how long the first of those that wait and may begin has waited
	StartGap map[string]time.Duration // between the two captures of a tunnel's last run that had both
}

// Counts counts runs.
func (s *Store) Counts(ctx context.Context) (Counts, error) {
	c := Counts{Over: map[State]int{}, Open: map[State]int{}, Waiting: map[string]int{},
		StartGap: map[string]time.Duration{}}
	err := s.query(ctx, s.db, func(scan func(...any) error) error {
		var state State
		n := 0
		err := scan(&state, &n)
		if into := c.Open; err == nil {
			if state.Over() && state != Dirty {
				into = c.Over
			}
			into[state] += n
		}
		return err
	}, "SELECT state, count(*) FROM moncap_run GROUP BY state UNION ALL SELECT state, n FROM moncap_pruned")
	if err != nil {
		return c, s.fail(err)
	}
	err = s.query(ctx, s.db, func(scan func(...any) error) error {
		site, n, oldest := "", 0, int64(0)
		err := scan(&site, &n, &oldest)
		c.Waiting[site] = n
		c.Oldest = max(c.Oldest, time.Duration(oldest)*time.Millisecond)
		return err
	}, `SELECT site, count(*), max(CASE WHEN approval = 'wanted' OR not_before > {now} THEN 0
			WHEN created > not_before THEN {now} - created ELSE {now} - not_before END)
		FROM moncap_run WHERE state = 'waiting' GROUP BY site`)
	if err != nil {
		return c, s.fail(err)
	}
	err = s.query(ctx, s.db, func(scan func(...any) error) error {
		tunnel, gap := "", int64(0)
		err := scan(&tunnel, &gap)
		c.StartGap[tunnel] = time.Duration(gap) * time.Microsecond
		return err
	}, "SELECT tunnel, us FROM moncap_gap")
	return c, s.fail(err)
}

// Pulse is a text for the fleet, by the empty name, and one for each run that is not over, which
// are others when something has happened that a page shows: a state, a line of the journal, a run
// that ended, a schedule.
func (s *Store) Pulse(ctx context.Context) (map[string]string, error) {
	pulse := map[string]string{}
	var all strings.Builder
	err := s.query(ctx, s.db, func(scan func(...any) error) error {
		var id, state, owner, approval string
		var seq int64
		err := scan(&id, &state, &owner, &approval, &seq)
		text := fmt.Sprintf("%s %s %s ", state, owner, approval)
		pulse[id] = fmt.Sprintf("%s%d", text, seq)
		all.WriteString(id + " " + text)
		return err
	}, `SELECT id, state, owner, approval, (SELECT count(*) FROM moncap_journal j WHERE j.run = r.id) FROM moncap_run r
		WHERE state IN `+openStates+` ORDER BY id`)
	if err != nil {
		return nil, s.fail(err)
	}
	var ended, paused, due int64
	if _, err := s.row(ctx, s.db, []any{&ended, &paused, &due}, `SELECT (SELECT coalesce(max(ended), 0) FROM moncap_run),
		(SELECT coalesce(sum(paused), 0) FROM moncap_schedule), (SELECT coalesce(sum(due), 0) FROM moncap_schedule)`); err != nil {
		return nil, s.fail(err)
	}
	fmt.Fprintf(&all, "%d %d %d", ended, paused, due)
	pulse[""] = all.String()
	return pulse, nil
}

type originKey struct{}

// WithOrigin has what is done with ctx written down as done from an address.
func WithOrigin(ctx context.Context, origin string) context.Context {
	return context.WithValue(ctx, originKey{}, origin)
}

func originOf(ctx context.Context) string {
	origin, _ := ctx.Value(originKey{}).(string)
	return origin
}
