package page

import (
	"context"
	_ "embed" // the schema
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/moncap/moncap/capture/fleet"
)

// JSONSchema is the JSON Schema (draft 2020-12) of the API's answers.
//
//go:embed api.schema.json
var JSONSchema []byte

// look is something to see, for people at path and for programs below /api/v1.
type look struct {
	path string
	page string // its template; empty: programs alone
	role fleet.Role
	look func(context.Context, *http.Request) (any, error)
}

func (s *Server) looks() []look {
	return []look{
		{"/tunnels/{tunnel}", "tunnel", fleet.Viewer, func(ctx context.Context, r *http.Request) (any, error) {
			return orNil(s.tunnelOverTime(ctx, r.PathValue("tunnel")))
		}},
		{"/runs/{run}", "run", fleet.Viewer, func(ctx context.Context, r *http.Request) (any, error) {
			return orNil(s.oneRun(ctx, r.PathValue("run")))
		}},
		{"/runs/{run}/diff", "diff", fleet.Viewer, func(ctx context.Context, r *http.Request) (any, error) {
			return orNil(s.diff(ctx, r.PathValue("run"), ""))
		}},
		{"/runs/{run}/diff/{other}", "diff", fleet.Viewer, func(ctx context.Context, r *http.Request) (any, error) {
			return orNil(s.diff(ctx, r.PathValue("run"), r.PathValue("other")))
		}},
		{"/queue", "queue", fleet.Viewer, func(ctx context.Context, _ *http.Request) (any, error) {
			return orNil(s.queue(ctx))
		}},
		{"/schedules", "schedules", fleet.Viewer, func(ctx context.Context, _ *http.Request) (any, error) {
			return orNil(s.schedules(ctx))
		}},
		{"/audit", "audit", fleet.Admin, func(ctx context.Context, _ *http.Request) (any, error) {
			return orNil(s.audit(ctx))
		}},
	}
}

// orNil keeps a nil pointer from becoming an answer.
func orNil[T any](v *T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return v, nil
}

// form is what somebody sends with an act.
type form struct {
	Until    string `json:"until,omitempty"`
	Duration string `json:"duration,omitempty"`
	Priority string `json:"priority,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Change   string `json:"change,omitempty"`
}

func formOf(r *http.Request) form {
	v := func(name string) string { return strings.TrimSpace(r.PostFormValue(name)) }
	return form{v("until"), v("duration"), v("priority"), v("reason"), v("change")}
}

// done is what came of an act.
type done struct {
	page string // to see it
	runs []string
}

// act is something to do.
type act struct {
	path string
	role fleet.Role
	do   func(context.Context, *http.Request, person, form) (done, error)
}

func (s *Server) acts() []act {
	ofRun := func(do func(ctx context.Context, by, id string) error) func(context.Context, *http.Request, person,
		form) (done, error) {
		return func(ctx context.Context, r *http.Request, who person, _ form) (done, error) {
			id := r.PathValue("run")
			return done{"/runs/" + url.PathEscape(id), []string{id}}, do(ctx, who.Name, id)
		}
	}
	ofSchedule := func(pause bool) func(context.Context, *http.Request, person, form) (done, error) {
		return func(ctx context.Context, r *http.Request, who person, _ form) (done, error) {
			return done{page: "/schedules"}, s.o.Store.PauseSchedule(ctx, who.Name, r.PathValue("schedule"), pause)
		}
	}
	return []act{
		{"/tunnels/{tunnel}/runs", fleet.Operator, s.start},
		{"/runs/{run}/cancel", fleet.Operator, ofRun(s.cancel)},
		{"/runs/{run}/clean", fleet.Operator, ofRun(s.o.Store.Clean)},
		{"/runs/{run}/approve", fleet.Operator,
			ofRun(func(ctx context.Context, by, id string) error { return s.o.Store.Approve(ctx, id, by) })},
		{"/schedules/{schedule}/pause", fleet.Admin, ofSchedule(true)},
		{"/schedules/{schedule}/resume", fleet.Admin, ofSchedule(false)},
		{"/schedules/{schedule}/run", fleet.Operator, s.runSchedule},
	}
}

func (s *Server) cancel(ctx context.Context, by, id string) error {
	runs, err := s.o.Store.Cancel(ctx, by, id)
	if err == nil && runs[0].State != fleet.Cancelled && runs[0].State != fleet.Cancelling {
		err = problem{409, "it is " + string(runs[0].State) + ", and cannot be taken back any more"}
	}
	return err
}

// perform does an act, once for each key that comes with it.
func (s *Server) perform(r *http.Request, a act, who person, f form, key string) (done, error) {
	if len(key) > keyMost {
		return done{}, problem{400, fmt.Sprintf("Idempotency-Key: want at most %d bytes", keyMost)}
	}
	if !utf8.ValidString(f.Until + f.Duration + f.Priority + f.Reason + f.Change) {
		return done{}, problem{400, "want text in UTF-8"}
	}
	do := func() (done, error) { return a.do(fleet.WithOrigin(r.Context(), callerOf(r).address), r, who, f) }
	if key == "" {
		return do()
	}
	// A browser ends the request of the first click with the second.
	waits := r
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), askTime)
	defer cancel()
	r = r.WithContext(ctx)
	return s.once.do(waits.Context(), do, who.Name, r.URL.Path, key, f.Until, f.Duration, f.Priority, f.Reason, f.Change)
}

// start asks for a run.
func (s *Server) start(ctx context.Context, r *http.Request, who person, f form) (done, error) {
	name := r.PathValue("tunnel")
	if _, ok := s.tunnel(name); !ok {
		return done{}, problem{404, "the inventory has no such tunnel"}
	}
	q := Start{Tunnel: name, Until: f.Until, Reason: f.Reason, Change: f.Change, By: who.Name, Priority: fleet.Normal}
	var err error
	if f.Priority != "" {
		if q.Priority, err = fleet.ParsePriority(f.Priority); err != nil {
			return done{}, problem{400, err.Error()}
		}
	}
	if f.Duration != "" {
		if q.Duration, err = time.ParseDuration(f.Duration); err != nil || q.Duration < time.Second {
			return done{}, problem{400, "duration: want a time such as 60s or 5m"}
		}
	}
	for what, text := range map[string]string{"reason": f.Reason, "change": f.Change} {
		if len(text) > 500 || clean(text) != strings.Join(strings.Fields(text), " ") || strings.ContainsAny(text, "\r\n") {
			return done{}, problem{400, what + ": want a line of at most 500 characters"}
		}
	}
	id, err := s.o.Submit(ctx, q)
	if err != nil {
		if errors.Is(err, fleet.ErrUsage) {
			err = problem{400, clean(err.Error())}
		}
		return done{}, err
	}
	return done{"/runs/" + url.PathEscape(id), []string{id}}, nil
}

func (s *Server) runSchedule(ctx context.Context, r *http.Request, who person, f form) (done, error) {
	ids, err := s.o.RunSchedule(ctx, r.PathValue("schedule"), who.Name, f.Reason)
	return done{"/queue", ids}, err
}

type errorAnswer struct {
	Schema string    `json:"schema"`
	Error  errorText `json:"error"`
}

type errorText struct {
	Status int    `json:"status"`
	Text   string `json:"text"`
}

type doneAnswer struct {
	Schema string   `json:"schema"`
	Runs   []string `json:"runs"`
}

type runAnswer struct {
	Schema string   `json:"schema"`
	Run    *runView `json:"run"`
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // who asked may be gone
}

// api is what programs ask for.
func (s *Server) api(m *http.ServeMux) {
	const at = "/api/v1"
	get := func(path string, role fleet.Role, look func(context.Context, *http.Request) (any, error)) {
		m.HandleFunc("GET "+at+path, s.soon(role, func(w http.ResponseWriter, r *http.Request, _ person) {
			v, err := look(r.Context(), r)
			if err != nil {
				s.fail(w, r, err)
				return
			}
			if run, ok := v.(*runView); ok {
				v = runAnswer{Schema, run}
			}
			writeJSON(w, http.StatusOK, v)
		}))
	}
	for _, v := range s.looks() {
		get(v.path, v.role, v.look)
	}
	get("/fleet", fleet.Viewer, func(ctx context.Context, r *http.Request) (any, error) {
		return orNil(s.fleet(ctx, clean(r.FormValue("q")), r.FormValue("verdict")))
	})
	for _, a := range s.acts() {
		m.HandleFunc("POST "+at+a.path, s.soon(a.role, func(w http.ResponseWriter, r *http.Request, who person) {
			f, err := sent(r)
			var d done
			if err == nil {
				d, err = s.perform(r, a, who, f, r.Header.Get("Idempotency-Key"))
			}
			if err != nil {
				s.fail(w, r, err)
				return
			}
			if d.runs == nil {
				d.runs = []string{}
			}
			writeJSON(w, http.StatusAccepted, doneAnswer{Schema, d.runs})
		}))
	}
	s.downloads(m, at)
	m.HandleFunc("GET "+at+"/schema.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/schema+json")
		_, _ = w.Write(JSONSchema) // who asked may be gone
	})
	m.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		s.deny(w, r, http.StatusNotFound, "there is no such thing")
	})
}

// sent reads what a program sends with an act. A key that is not known may be meant as something
// that there is none of: it is refused.
func sent(r *http.Request) (form, error) {
	var f form
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Header.Get("Content-Type") != "" && (err != nil || kind != "application/json") {
		return f, problem{415, "want application/json"}
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	switch err := d.Decode(&f); {
	case errors.Is(err, io.EOF): // nothing is sent
		return f, nil
	case err != nil:
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			return f, problem{413, fmt.Sprintf("want at most %d bytes", bodyLimit)}
		}
		return f, problem{400, "want an object with until, duration, priority, reason, change: " + clean(err.Error())}
	case d.More():
		return f, problem{400, "want one object"}
	}
	return f, nil
}
