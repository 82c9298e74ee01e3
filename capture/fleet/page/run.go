package page

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/moncap/moncap/analysis/render"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/capture/fleet"
)

// oneRun is a run, what it found, and what it did on its routers.
func (s *Server) oneRun(ctx context.Context, id string) (*runView, error) {
	r, err := s.o.Store.Run(ctx, id)
	if err != nil {
		return nil, err
	}
	if r.State == fleet.Waiting { // what it waits for the list knows
		jobs, err := s.o.Store.Jobs(ctx, "")
		if err != nil {
			return nil, err
		}
		for _, j := range jobs {
			if j.ID == id {
				r.Waits = j.Waits
			}
		}
	}
	v := runOf(r)
	journal, err := s.o.Store.Journal(ctx, id)
	if err != nil {
		return nil, err
	}
	v.Journal = entries(journal)
	if !v.Over || len(v.Findings) == 0 {
		return v, nil
	}
	rep, err := s.report(ctx, id)
	if err != nil {
		return v, nil //nolint:nilerr // the codes are there; a report that cannot be read is told when it is asked for
	}
	v.Findings = nil
	for _, f := range rep.Findings {
		v.Findings = append(v.Findings, findingView{f.Code, string(f.Severity), clean(f.Title), clean(f.Explanation)})
	}
	return v, nil
}

// report is the report of a run.
func (s *Server) report(ctx context.Context, id string) (*report.Report, error) {
	b, err := s.o.Store.Report(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(b) == 0 {
		return nil, problem{status: 404, text: "this run has no report"}
	}
	return report.Read(bytes.NewReader(b))
}

// diff compares a run with another one; without, with the last before it that says something else.
func (s *Server) diff(ctx context.Context, id, other string) (*render.Difference, error) {
	r, err := s.o.Store.Run(ctx, id)
	if err != nil {
		return nil, err
	}
	if other == "" {
		o, ok, err := s.o.Store.LastOther(ctx, r)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, problem{status: 404, text: "there is no run before it to compare with"}
		}
		other = o.ID
	}
	before, err := s.report(ctx, other)
	if err != nil {
		return nil, err
	}
	after, err := s.report(ctx, id)
	if err != nil {
		return nil, err
	}
	return render.Compare(before, after), nil
}

// queueView is what waits and what runs, and who does it.
type queueView struct {
	Schema  string       `json:"schema"`
	Time    time.Time    `json:"time"`
	Runs    []runView    `json:"runs"` // in the order in which they are served
	Left    []runView    `json:"left"` // that left something on a router
	Workers []workerView `json:"workers"`
}

type workerView struct {
	ID       string    `json:"id"`
	Host     string    `json:"host"`
	Version  string    `json:"version"`
	Sites    []string  `json:"sites"`
	Capacity int       `json:"capacity"`
	Busy     int       `json:"busy"`
	Alive    bool      `json:"alive"`
	Draining bool      `json:"draining"`
	Beat     time.Time `json:"beat"`
}

func (s *Server) queue(ctx context.Context) (*queueView, error) {
	v := &queueView{Schema: Schema, Runs: []runView{}, Left: []runView{}, Workers: []workerView{}}
	var err error
	if v.Time, err = s.o.Store.Now(ctx); err != nil {
		return nil, err
	}
	jobs, err := s.o.Store.Jobs(ctx, "")
	if err != nil {
		return nil, err
	}
	for _, j := range jobs {
		v.Runs = append(v.Runs, *runOf(j))
	}
	left, err := s.o.Store.Jobs(ctx, fleet.Dirty)
	if err != nil {
		return nil, err
	}
	for _, j := range left {
		v.Left = append(v.Left, *runOf(j))
	}
	workers, err := s.o.Store.Workers(ctx)
	for _, w := range workers {
		v.Workers = append(v.Workers, workerView{w.ID, clean(w.Host), clean(w.Version), w.Sites, w.Capacity, w.Busy, w.Alive,
			w.Draining, w.Beat})
	}
	return v, err
}

// schedulesView is when runs are asked for by themselves.
type schedulesView struct {
	Schema    string         `json:"schema"`
	Schedules []scheduleView `json:"schedules"`
}

type scheduleView struct {
	Name   string     `json:"name"`
	Next   *time.Time `json:"next,omitempty"`
	Last   *time.Time `json:"last,omitempty"`
	Paused bool       `json:"paused"`
	Missed int        `json:"missed"`
	Served bool       `json:"served"` // a worker that lives has it
}

func (s *Server) schedules(ctx context.Context) (*schedulesView, error) {
	v := &schedulesView{Schema: Schema, Schedules: []scheduleView{}}
	rows, err := s.o.Store.ScheduleRows(ctx)
	if err != nil {
		return nil, err
	}
	workers, err := s.o.Store.Workers(ctx)
	for _, r := range rows {
		c := scheduleView{Name: r.Name, Next: moment(r.Due), Last: moment(r.Last), Paused: r.Paused, Missed: r.Missed}
		for _, w := range workers {
			c.Served = c.Served || w.Alive && w.Inventory == r.Digest
		}
		v.Schedules = append(v.Schedules, c)
	}
	return v, err
}

// auditView is who did what.
type auditView struct {
	Schema string      `json:"schema"`
	Rows   []auditLine `json:"rows"` // the newest first
}

type auditLine struct {
	Time   time.Time `json:"time"`
	Who    string    `json:"who"`
	What   string    `json:"what"`
	Run    string    `json:"run,omitempty"`
	Origin string    `json:"origin,omitempty"`
}

// auditedFor is how far back the page shows who did what, and how many lines.
const (
	auditedFor  = 30 * 24 * time.Hour
	auditedRows = 1000
)

func (s *Server) audit(ctx context.Context) (*auditView, error) {
	v := &auditView{Schema: Schema, Rows: []auditLine{}}
	rows, err := s.o.Store.AuditRows(ctx, time.Now().Add(-auditedFor))
	for i := len(rows) - 1; i >= 0 && len(v.Rows) < auditedRows; i-- {
		r := rows[i]
		v.Rows = append(v.Rows, auditLine{r.At, clean(r.Who), clean(r.What), r.Run, clean(r.Origin)})
	}
	return v, err
}

// problem is an error with its answer.
type problem struct {
	status int
	text   string
}

func (p problem) Error() string { return p.text }

// answerOf is what an error is answered with. What went wrong within is for the log.
func answerOf(err error) problem {
	if p, ok := errors.AsType[problem](err); ok {
		return p
	}
	switch {
	case errors.Is(err, fleet.ErrNotFound):
		return problem{404, "it is not there"}
	case errors.Is(err, fleet.ErrUsage):
		return problem{409, clean(err.Error())}
	case errors.Is(err, errStranger), errors.Is(err, fleet.ErrNoToken):
		return problem{401, "log in first, or send a token: Authorization: Bearer TOKEN"}
	case errors.Is(err, errTooMany):
		return problem{429, errTooMany.Error()}
	}
	return problem{503, "the database cannot be asked now"}
}
