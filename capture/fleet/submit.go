package fleet

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/riverqueue/river"
)

// Submit asks for runs: all of them, or none. Those that can begin are handed to workers in the
// same transaction.
func (s *Store) Submit(ctx context.Context, reqs ...Request) error {
	return s.locked(ctx, func(tx *sql.Tx) error {
		if err := s.insertRuns(ctx, tx, reqs); err != nil {
			return err
		}
		if err := s.auditStarts(ctx, tx, reqs); err != nil {
			return err
		}
		return s.admit(ctx, tx)
	})
}

// auditStarts writes down who asked for runs.
func (s *Store) auditStarts(ctx context.Context, tx *sql.Tx, reqs []Request) error {
	now, err := s.now(ctx, tx)
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(reqs, 100) {
		var rows []any
		for _, q := range chunk {
			rows = append(rows, now, q.By, "submit", q.Plan.RunID, originOf(ctx))
		}
		if err := s.insertMany(ctx, tx, "moncap_audit (at, who, what, run, origin)", 5, rows); err != nil {
			return err
		}
	}
	return nil
}

// submitted are the columns that a request fills.
const submitted = `id, tunnel, a, b, router_a, router_b, runs_a, runs_b, site, state, priority, reason, change, cause, who, approval, attempt, attempts,
	retry_of, not_before, created, place`

func (s *Store) insertRuns(ctx context.Context, tx *sql.Tx, reqs []Request) error {
	now, err := s.now(ctx, tx)
	if err != nil {
		return err
	}
	for i, chunk := range slices.Collect(slices.Chunk(reqs, 100)) {
		var rows, plans []any
		for j, q := range chunk {
			row, plan, err := q.columns()
			if err != nil {
				return err
			}
			// They are served in the order in which they were asked for.
			rows, plans = append(append(rows, row...), now, now*10_000+int64(i*100+j)), append(plans, q.Plan.RunID, plan)
		}
		n := strings.Count(submitted, ",") + 1
		if err := s.insertMany(ctx, tx, "moncap_run ("+submitted+")", n, rows); err != nil {
			return err
		}
		if err := s.insertMany(ctx, tx, "moncap_plan (run, plan)", 2, plans); err != nil {
			return err
		}
	}
	return nil
}

// insertMany inserts rows of n values each.
func (s *Store) insertMany(ctx context.Context, d doer, into string, n int, values []any) error {
	if len(values) == 0 {
		return nil
	}
	row := "(" + questions(n) + ")"
	_, err := s.exec(ctx, d, "INSERT INTO "+into+" VALUES "+row+strings.Repeat(","+row, len(values)/n-1), values...)
	return err
}

// columns are the values of submitted, without the time of creation, and the plan.
func (q Request) columns() (row []any, plan string, err error) {
	if q.Plan == nil || q.A.Router == "" || q.B.Router == "" {
		return nil, "", errors.New("submit: want a plan and both routers")
	}
	if err := checkSite(q.Site); err != nil {
		return nil, "", err
	}
	if q.Plan.Settings.Keep {
		return nil, "", usagef("tunnel %s: --keep leaves on the routers what nobody may come back for: not in a job",
			q.Plan.Tunnel)
	}
	data, err := q.Plan.Encode()
	if err != nil {
		return nil, "", err
	}
	approval := ""
	if q.Approve {
		approval = approvalWanted
	}
	return []any{
		q.Plan.RunID, q.Plan.Tunnel, q.Plan.A.Endpoint.Name, q.Plan.B.Endpoint.Name, q.A.Router, q.B.Router, max(q.A.Runs, 1),
		max(q.B.Runs, 1), q.Site,
		string(Waiting), int(q.Priority), q.Reason, q.Change, q.Cause, q.By, approval, 1, max(q.Attempts, 1), "",
		ms(q.NotBefore),
	}, string(data), nil
}

// approvalWanted stands in the place of who approved while nobody has.
const approvalWanted = "wanted"

// Approve lets a run go that waits for somebody else than who asked for it.
func (s *Store) Approve(ctx context.Context, id, by string) error {
	return s.locked(ctx, func(tx *sql.Tx) error {
		all, err := s.runs(ctx, tx, "WHERE id = ?", id)
		switch {
		case err != nil:
			return err
		case len(all) == 0:
			return notFound("run", id)
		case all[0].State != Waiting || all[0].Approval != approvalWanted:
			return usagef("run %s: it waits for no approval", id)
		case samePerson(all[0].By, by):
			return usagef("run %s: %s asked for it: somebody else must approve", id, by)
		}
		if _, err := s.exec(ctx, tx, "UPDATE moncap_run SET approval = ? WHERE id = ?", by, id); err != nil {
			return err
		}
		if err := s.audit(ctx, tx, by, "approve", id, ""); err != nil {
			return err
		}
		return s.admit(ctx, tx)
	})
}

// samePerson says whether two names are of one person, as far as names tell: accounts are ann@host,
// and tokens ann. The same account on two machines is one person: whoever has one of them mostly
// has the other.
func samePerson(x, y string) bool {
	person, _, _ := strings.Cut(x, "@")
	other, _, _ := strings.Cut(y, "@")
	return strings.EqualFold(person, other)
}

// runArgs is the job of a run.
type runArgs struct {
	Run string `json:"run"`
}

// Kind is River's name of it.
func (runArgs) Kind() string { return "moncap_run" }

// fairAfter is how long a run waits, in milliseconds, before younger ones must
// leave it its routers.
const fairAfter = 5 * 60 * 1000

// admit hands to workers the runs that have waited longest of those whose routers are free and
// whose site has a worker to spare.
func (s *Store) admit(ctx context.Context, tx *sql.Tx) error {
	some := false
	if _, err := s.row(ctx, tx, []any{&some}, "SELECT CASE WHEN EXISTS (SELECT 1 FROM moncap_run WHERE "+ready+
		") THEN 1 ELSE 0 END"); err != nil || !some {
		return err
	}
	h, err := s.look(ctx, tx)
	if err != nil {
		return err
	}
	if err := s.dropLapsed(ctx, tx, h); err != nil {
		return err
	}
	granted, err := s.choose(ctx, tx, h)
	if err != nil || len(granted) == 0 {
		return err
	}
	var jobs []river.InsertManyParams
	for _, r := range granted {
		jobs = append(jobs, river.InsertManyParams{
			Args: runArgs{r.ID}, InsertOpts: &river.InsertOpts{Queue: queueOf(r.Site), MaxAttempts: 1,
				Priority: int(r.Priority) + 1},
		})
	}
	if err := s.insertMany(ctx, tx, "moncap_slot (router, slot, run)", 3, h.slots); err != nil {
		return err
	}
	inserted, err := s.queue.InsertManyTx(ctx, tx, jobs)
	if err != nil {
		return err
	}
	for i, r := range granted {
		// The lease of a granted run is that of its job: one that nobody takes up is handed out anew.
		if _, err := s.exec(ctx, tx, "UPDATE moncap_run SET state = 'granted', job = ?, lease = {now} + ? WHERE id = ?",
			inserted[i].Job.ID, longestLease*s.lease.Milliseconds(), r.ID); err != nil {
			return err
		}
	}
	return nil
}

// ready are the runs that wait for nothing but their turn.
const ready = "state = 'waiting' AND approval <> 'wanted' AND not_before <= {now}"

// errFull ends the choice of runs when no worker has anything to spare: what waits may be long, and
// is not all read.
var errFull = errors.New("no worker has anything to spare")

// choose takes the places of those that go in.
func (s *Store) choose(ctx context.Context, tx *sql.Tx, h *hall) (granted []Run, err error) {
	spare, sites := 0, []any{}
	for site, n := range h.capacity {
		spare, sites = spare+max(n, 0), append(sites, site)
	}
	if spare == 0 {
		return nil, nil
	}
	err = s.query(ctx, tx, func(scan func(...any) error) error {
		var r Run
		var created, notBefore int64
		if err := scan(&r.ID, &r.Site, &r.Priority, &r.Routers[0], &r.Routers[1], &r.runs[0], &r.runs[1], &created,
			&notBefore); err != nil {
			return err
		}
		r.Created, r.NotBefore = at(created), at(notBefore)
		if !h.fits(r) {
			return nil
		}
		for _, router := range r.distinct() {
			h.slots = append(h.slots, router, h.take(router), r.ID)
		}
		h.capacity[r.Site]--
		granted = append(granted, r)
		if spare--; spare == 0 {
			return errFull
		}
		return nil
	}, `SELECT id, site, priority, router_a, router_b, runs_a, runs_b, created, not_before FROM moncap_run
		WHERE `+ready+` AND site IN (`+questions(len(sites))+`) ORDER BY priority, place, id`, sites...)
	if errors.Is(err, errFull) {
		err = nil
	}
	return granted, err
}

// distinct are the routers of a run, each once.
func (r Run) distinct() []string {
	if r.Routers[0] == r.Routers[1] {
		return r.Routers[:1]
	}
	return r.Routers[:]
}

// hall is what decides who may go in.
type hall struct {
	now      int64
	taken    map[string][]int // slots, by router
	capacity map[string]int   // of the live workers of a site, less what they have to do
	workers  map[string]int   // live ones, by site
	reserved map[string]bool  // routers that a run has waited for too long
	lapsed   bool             // there are slots of runs that are silent, and no worker's
	slots    []any            // the rows of those that are taken
}

func (s *Store) look(ctx context.Context, d doer) (*hall, error) {
	h := &hall{taken: map[string][]int{}, capacity: map[string]int{}, workers: map[string]int{},
		reserved: map[string]bool{}}
	var err error
	if h.now, err = s.now(ctx, d); err != nil {
		return nil, err
	}
	if err := s.lookAtSlots(ctx, d, h); err != nil {
		return nil, err
	}
	return h, s.spare(ctx, d, h)
}

// spare counts what the live workers of each site can take beside what they have and what is on its
// way to them.
func (s *Store) spare(ctx context.Context, d doer, h *hall) error {
	workers, err := s.workers(ctx, d)
	if err != nil {
		return err
	}
	for _, w := range workers {
		if !w.Alive || w.Draining {
			continue
		}
		for _, site := range w.Sites {
			h.capacity[site] += w.Capacity - w.Busy
			h.workers[site]++
		}
	}
	granted := map[string]int{}
	if err := s.query(ctx, d, func(scan func(...any) error) error {
		var site string
		var n int
		err := scan(&site, &n)
		granted[site] = n
		return err
	}, "SELECT site, count(*) FROM moncap_run WHERE state = 'granted' GROUP BY site"); err != nil {
		return err
	}
	for site := range h.capacity {
		for other, n := range granted {
			if site == other || slices.ContainsFunc(workers, func(w Worker) bool { // who serves both has less for either
				return w.Alive && slices.Contains(w.Sites, site) && slices.Contains(w.Sites, other)
			}) {
				h.capacity[site] -= n
			}
		}
	}
	return nil
}

// fits says whether a run may go in now. One that has waited long keeps its routers for itself.
func (h *hall) fits(r Run) bool {
	free := h.capacity[r.Site] > 0
	for i, router := range r.distinct() {
		free = free && !h.reserved[router] && len(h.taken[router]) < r.runs[i]
	}
	if !free && h.workers[r.Site] > 0 && h.now-max(ms(r.Created), ms(r.NotBefore)) > fairAfter {
		for _, router := range r.distinct() {
			h.reserved[router] = true
		}
	}
	return free
}

// take takes the first free slot of a router.
func (h *hall) take(router string) int {
	n := 0
	for slices.Contains(h.taken[router], n) {
		n++
	}
	h.taken[router] = append(h.taken[router], n)
	return n
}
