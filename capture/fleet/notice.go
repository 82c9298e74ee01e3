package fleet

import (
	"context"
	"database/sql"
	"strings"
	"time"
)

// Verdict is what a run came to, for whoever decides what is told of it, with what was told before.
type Verdict struct {
	Run    Run // as it is settled, with its findings, the first first
	Before *Run
	Open   []OpenNotice // what was told of the tunnel, and is not over
}

// OpenNotice is something that a target was told is wrong.
type OpenNotice struct {
	Target, About string
	Opened        time.Time
	Message       string // the last one
}

// The actions of a Notice that make it open, and end it; others do neither.
const (
	NoticeOpens = "trigger"
	NoticeEnds  = "resolve"
)

// Notice is a message on its way to a target. What it says is not the database's business.
type Notice struct {
	ID      string // whoever gets one twice has it once; made up when empty
	Target  string
	About   string // tunnel and code: what it is about, and in whose order it is sent
	Action  string
	Tunnel  string
	Run     string
	Message string // JSON
	Silent  bool   // it is not sent: what it opens or ends does so all the same
	// What became of it:
	State     string // NoticeDue, NoticeSent or NoticeFailed
	Created   time.Time
	Due, Sent time.Time
	Tries     int
	Error     string
}

// The states of a notice.
const (
	NoticeDue    = "due"
	NoticeSent   = "sent"
	NoticeFailed = "failed"
)

// NoticeTries is how often a notice is tried.
const NoticeTries = 5

// told are the runs that count as the verdict before another.
const told = "state IN ('done', 'failed', 'collected', 'dirty') AND outcome <> ''"

// tell writes what is to be told of a run that ended, in the transaction of its verdict: neither is
// there without the other.
func (v *service) tell(ctx context.Context, tx *sql.Tx, h *held, e ending) error {
	retried := e.state == Failed && e.clean && !e.final && h.Attempt < h.Attempts
	if v.o.Crew.Tell == nil || retried {
		return nil
	}
	return v.s.tell(ctx, tx, h.ID, e.report, v.o.Crew.Tell)
}

func (s *Store) tell(ctx context.Context, tx *sql.Tx, id string, report *Report, say func(Verdict) []Notice) error {
	all, err := s.runs(ctx, tx, "WHERE id = ?", id)
	if err != nil || len(all) == 0 {
		return err
	}
	verdict := Verdict{Run: all[0]}
	if report != nil {
		verdict.Run.Findings = report.Findings
	}
	before, err := s.runs(ctx, tx, "WHERE tunnel = ? AND id <> ? AND "+told+" ORDER BY ended DESC, id DESC LIMIT 1",
		all[0].Tunnel, id)
	if err != nil {
		return err
	}
	if len(before) > 0 {
		if err := s.query(ctx, tx, func(scan func(...any) error) error {
			var f Finding
			err := scan(&f.Code, &f.Severity)
			before[0].Findings = append(before[0].Findings, f)
			return err
		}, "SELECT code, severity FROM moncap_finding WHERE run = ? ORDER BY code", before[0].ID); err != nil {
			return err
		}
		verdict.Before = &before[0]
	}
	if verdict.Open, err = s.openNotices(ctx, tx, all[0].Tunnel); err != nil {
		return err
	}
	return s.putNotices(ctx, tx, say(verdict))
}

func (s *Store) openNotices(ctx context.Context, d doer, tunnel string) ([]OpenNotice, error) {
	var all []OpenNotice
	err := s.query(ctx, d, func(scan func(...any) error) error {
		var o OpenNotice
		var opened int64
		err := scan(&o.Target, &o.About, &opened, &o.Message)
		o.Opened = at(opened)
		all = append(all, o)
		return err
	}, "SELECT target, about, opened, message FROM moncap_alert WHERE tunnel = ? ORDER BY opened, target, about", tunnel)
	return all, err
}

// PutNotices asks for notices to be sent. One whose ID is there already is left out.
func (s *Store) PutNotices(ctx context.Context, all ...Notice) error {
	return s.locked(ctx, func(tx *sql.Tx) error { return s.putNotices(ctx, tx, all) })
}

func (s *Store) putNotices(ctx context.Context, tx *sql.Tx, all []Notice) error {
	if len(all) == 0 {
		return nil
	}
	now, err := s.now(ctx, tx)
	if err != nil {
		return err
	}
	for i, n := range all {
		if n.ID == "" {
			n.ID = random(12)
		}
		if n.Silent {
			if err := s.keepOpen(ctx, tx, n, now); err != nil {
				return err
			}
			continue
		}
		// Notices are sent in the order in which they were written.
		if _, err := s.exec(ctx, tx,
			`INSERT INTO moncap_notice (id, seq, target, about, action, tunnel, run, message, created, due)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
			n.ID, now*10_000+int64(i), n.Target, n.About, n.Action, n.Tunnel, n.Run, n.Message, now, now); err != nil {
			return err
		}
		if err := s.keepOpen(ctx, tx, n, now); err != nil {
			return err
		}
	}
	return nil
}

// keepOpen keeps what a target was told is wrong, until it is told that it is over.
func (s *Store) keepOpen(ctx context.Context, tx *sql.Tx, n Notice, now int64) (err error) {
	switch n.Action {
	case NoticeOpens:
		_, err = s.exec(ctx, tx, `INSERT INTO moncap_alert (target, about, tunnel, opened, message) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (target, about) DO UPDATE SET message = excluded.message`, n.Target, n.About, n.Tunnel, now, n.Message)
	case NoticeEnds:
		_, err = s.exec(ctx, tx, "DELETE FROM moncap_alert WHERE target = ? AND about = ?", n.Target, n.About)
	}
	return err
}

const noticeColumns = "id, target, about, action, tunnel, run, message, state, created, due, sent, tries, error"

func scanNotice(scan func(...any) error) (Notice, error) {
	var n Notice
	var created, due, sent int64
	err := scan(&n.ID, &n.Target, &n.About, &n.Action, &n.Tunnel, &n.Run, &n.Message, &n.State, &created, &due, &sent,
		&n.Tries, &n.Error)
	n.Created, n.Due, n.Sent = at(created), at(due), at(sent)
	return n, err
}

// TakeNotice takes the first notice to one of some targets whose time has come, for as long as
// hold: nobody else has it until then, and somebody else takes it after, when this process is gone.
// What is about the same thing goes to a target in the order in which it was written. ok is false
// when there is none.
func (s *Store) TakeNotice(ctx context.Context, hold time.Duration,
	targets ...string) (n Notice, owner string, ok bool, err error) {
	if len(targets) == 0 {
		return n, "", false, nil
	}
	owner = random(8)
	args := append([]any{owner, hold.Milliseconds()}, anys(targets)...)
	err = s.query(ctx, s.db, func(scan func(...any) error) error {
		ok = true
		n, err = scanNotice(scan)
		return err
	}, `UPDATE moncap_notice SET owner = ?, until = {now} + ?, tries = tries + 1 WHERE state = 'due' AND until <= {now} AND due <= {now} AND id = (
		SELECT n.id FROM moncap_notice n WHERE n.state = 'due' AND n.due <= {now} AND n.until <= {now} AND n.target IN (`+questions(len(targets))+`)
		AND NOT EXISTS (SELECT 1 FROM moncap_notice e WHERE e.state = 'due' AND e.target = n.target AND e.about = n.about AND e.seq < n.seq)
		ORDER BY n.seq LIMIT 1) RETURNING `+noticeColumns, args...)
	return n, owner, ok && err == nil, s.fail(err)
}

// NoticeSent says that a notice that was taken arrived.
func (s *Store) NoticeSent(ctx context.Context, id, owner string) error {
	_, err := s.exec(ctx, s.db,
		"UPDATE moncap_notice SET state = 'sent', sent = {now}, error = '' WHERE id = ? AND owner = ? AND state = 'due'", id,
		owner)
	return s.fail(err)
}

// NoticeLater says that a notice that was taken did not arrive, and lets it be tried again after a
// while; never when last.
func (s *Store) NoticeLater(ctx context.Context, id, owner, why string, after time.Duration, last bool) error {
	state := NoticeDue
	if last {
		state = NoticeFailed
	}
	_, err := s.exec(ctx, s.db, "UPDATE moncap_notice SET state = ?, due = {now} + ?, until = 0, error = ? WHERE id = ? "+
		"AND owner = ? AND state = 'due'", state, after.Milliseconds(), oneLine(why), id, owner)
	return s.fail(err)
}

// Notices lists the last notices, the newest first.
func (s *Store) Notices(ctx context.Context, n int) ([]Notice, error) {
	var all []Notice
	err := s.query(ctx, s.db, func(scan func(...any) error) error {
		n, err := scanNotice(scan)
		all = append(all, n)
		return err
	}, "SELECT "+noticeColumns+" FROM moncap_notice ORDER BY seq DESC"+limit(n))
	return all, s.fail(err)
}

// LastVerdicts are the last ended run with a verdict of each tunnel, by name, with its findings.
func (s *Store) LastVerdicts(ctx context.Context) (map[string]Run, error) {
	all, err := s.runs(ctx, s.db,
		`WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY tunnel ORDER BY ended DESC, id DESC) AS place
		FROM moncap_run WHERE `+told+`) AS last WHERE place = 1)`)
	if err == nil {
		err = s.addFindings(ctx, all)
	}
	last := map[string]Run{}
	for _, r := range all {
		last[r.Tunnel] = r
	}
	return last, s.fail(err)
}

// PruneNotices deletes notices that are over, and events, that are older than an age.
func (s *Store) PruneNotices(ctx context.Context, age time.Duration) error {
	for _, q := range []string{
		"DELETE FROM moncap_notice WHERE created < {now} - ? AND state <> 'due'",
		"DELETE FROM moncap_event WHERE at < {now} - ?",
		// Of targets that no worker knows any more.
		"DELETE FROM moncap_notice WHERE created < {now} - ? AND tries = 0",
	} {
		if _, err := s.exec(ctx, s.db, q, age.Milliseconds()); err != nil {
			return s.fail(err)
		}
	}
	return nil
}

// EventStart is an event that may start a run.
type EventStart struct {
	Key    string // an event with one that is there already starts nothing; empty: it is compared with none
	Tunnel string
	Peer   string
	Kind   string
	Source string
	Text   string
}

// EventLimits bound what events start, over all workers.
type EventLimits struct {
	Pause        time.Duration // between two starts of a tunnel
	TunnelPerDay int
	FleetPerHour int
}

// StartByEvent asks for a run because of an event, unless the same event started one before, or too
// many were. held says why it was not asked for; the next events of the tunnel come to the same
// until then.
func (s *Store) StartByEvent(ctx context.Context, q Request, e EventStart,
	l EventLimits) (held string, until time.Time, err error) {
	err = s.locked(ctx, func(tx *sql.Tx) error {
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		var wait int64
		if held, wait, err = s.holdsEvent(ctx, tx, e, l, now); err != nil {
			return err
		}
		outcome, run := "started", ""
		if held != "" {
			outcome, until = "held", at(wait)
		} else {
			run = q.Plan.RunID
			if err := s.insertRuns(ctx, tx, []Request{q}); err != nil {
				return err
			}
		}
		if err := s.putEvent(ctx, tx, e, outcome, held, run); err != nil || held != "" {
			return err
		}
		return s.admit(ctx, tx)
	})
	return held, until, err
}

// holdsEvent says what keeps an event from starting a run, and until when that will hold at least.
func (s *Store) holdsEvent(ctx context.Context, tx *sql.Tx, e EventStart, l EventLimits,
	now int64) (why string, until int64, err error) {
	const moment, minute, hour, day = 10_000, 60_000, 3_600_000, 24 * 3_600_000
	var last, today, fleet, same int64
	var open string
	if _, err = s.row(ctx, tx, []any{&last, &today},
		`SELECT coalesce(max(at), 0), count(*) FROM moncap_event WHERE tunnel = ? AND outcome = 'started'
		AND at > ?`, e.Tunnel, now-day); err != nil {
		return "", 0, err
	}
	if _, err = s.row(ctx, tx, []any{&fleet}, "SELECT count(*) FROM moncap_event WHERE outcome = 'started' AND at > ?",
		now-hour); err != nil {
		return "", 0, err
	}
	if _, err = s.row(ctx, tx, []any{&same},
		"SELECT count(*) FROM moncap_event WHERE about = ? AND about <> '' AND outcome = 'started'", e.Key); err != nil {
		return "", 0, err
	}
	if _, err = s.row(ctx, tx, []any{&open},
		"SELECT id FROM moncap_run WHERE tunnel = ? AND substr(cause, 1, 6) = 'event ' AND state IN "+openStates+
			" ORDER BY id LIMIT 1", e.Tunnel); err != nil {
		return "", 0, err
	}
	switch {
	case same > 0:
		return "it started a run before", now + moment, nil
	case now-last < l.Pause.Milliseconds():
		return "the tunnel's last start was less than " + l.Pause.String() + " ago", last + l.Pause.Milliseconds(), nil
	case open != "":
		return "run " + open + ", which an event started, is not over", now + minute, nil
	case today >= int64(l.TunnelPerDay):
		return "as many starts of the tunnel in 24 hours as there may be", now + 10*minute, nil
	case fleet >= int64(l.FleetPerHour):
		return "as many starts of all tunnels in an hour as there may be", now + minute, nil
	}
	return "", 0, nil
}

// EventRow is an event as the database has it.
type EventRow struct {
	EventStart
	At      time.Time
	Outcome string // started or held
	Why     string // it was held
	Run     string // that it started
	More    int    // events of the tunnel that were held back after it, for the same reason or because of it
}

// PutEvent writes down an event that came to nothing.
func (s *Store) PutEvent(ctx context.Context, e EventStart, why string) error {
	return s.locked(ctx, func(tx *sql.Tx) error { return s.putEvent(ctx, tx, e, "held", why, "") })
}

func (s *Store) putEvent(ctx context.Context, tx *sql.Tx, e EventStart, outcome, why, run string) error {
	_, err := s.exec(ctx, tx,
		`INSERT INTO moncap_event (id, at, tunnel, peer, kind, source, about, text, outcome, why, run)
		VALUES (?, {now}, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, random(12), e.Tunnel, e.Peer, e.Kind, e.Source, e.Key, oneLine(e.Text), outcome, why, run)
	return err
}

// AddHeld counts events of tunnels that were held back without a row of their own, with the newest
// that has one: of a millisecond that is the one that started something.
func (s *Store) AddHeld(ctx context.Context, held map[string]int) error {
	for tunnel, n := range held {
		if _, err := s.exec(ctx, s.db,
			`UPDATE moncap_event SET more = more + ? WHERE id = (SELECT id FROM moncap_event WHERE tunnel = ?
			ORDER BY at DESC, outcome DESC, id DESC LIMIT 1)`, n, tunnel); err != nil {
			return s.fail(err)
		}
	}
	return nil
}

// Events lists events since a time, the oldest first, and at most the last n of them.
func (s *Store) Events(ctx context.Context, since time.Time, n int) ([]EventRow, error) {
	var all []EventRow
	err := s.query(ctx, s.db, func(scan func(...any) error) error {
		var e EventRow
		var when int64
		err := scan(&when, &e.Tunnel, &e.Peer, &e.Kind, &e.Source, &e.Key, &e.Text, &e.Outcome, &e.Why, &e.Run, &e.More)
		e.At = at(when)
		all = append(all, e)
		return err
	}, strings.Join([]string{"SELECT at, tunnel, peer, kind, source, about, text, outcome, why, run, more FROM (SELECT " +
		"* FROM moncap_event WHERE at >= ?",
		"ORDER BY at DESC, outcome DESC, id DESC" + limit(n) + ") AS latest ORDER BY at, outcome, id"}, " "), ms(since))
	return all, s.fail(err)
}
