package page

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/moncap/moncap/capture/fleet"
)

//go:embed templates/*.gohtml
var sources embed.FS

//go:embed static/page.css static/live.js
var statics embed.FS

// views are the parsed pages, each with the frame around it.
var views = sync.OnceValue(func() map[string]*template.Template {
	frame := template.Must(template.New("frame.gohtml").Funcs(template.FuncMap{
		"path": url.PathEscape, "sign": func(v string) string { return signs[v] }, "strip": strip, "when": when,
		"clock": func(t time.Time) string { return t.Local().Format(time.TimeOnly) }, "ago": ago, "lasted": lasted,
		"static": staticPath, "once": newKey, "zone": func() string { return time.Now().Format("UTC-07:00") },
		"minus": func(a, b int) int { return a - b }, "pad": func(n int) []struct{} { return make([]struct{}, max(0, n)) },
	}).ParseFS(sources, "templates/frame.gohtml"))
	all := map[string]*template.Template{}
	for _, name := range []string{"login", "fleet", "tunnel", "run", "queue", "schedules", "diff", "audit", "transcript",
		"problem"} {
		all[name] = template.Must(template.Must(frame.Clone()).ParseFS(sources, "templates/"+name+".gohtml"))
	}
	return all
})

// staticNames are the embedded files by the names under which they may be kept: another version has
// another name.
var staticNames = sync.OnceValue(func() map[string]string {
	names := map[string]string{}
	for _, file := range []string{"page.css", "live.js"} {
		b, err := statics.ReadFile("static/" + file)
		if err != nil {
			panic(err) // it is embedded
		}
		sum := sha256.Sum256(b)
		base, ext, _ := strings.Cut(file, ".")
		names[file] = base + "-" + hex.EncodeToString(sum[:6]) + "." + ext
	}
	return names
})

func staticPath(file string) string { return "/static/" + staticNames()[file] }

func static(w http.ResponseWriter, r *http.Request) {
	for file, name := range staticNames() {
		if name != r.PathValue("file") {
			continue
		}
		b, err := statics.ReadFile("static/" + file)
		if err != nil {
			break
		}
		kind := "text/css; charset=utf-8"
		if strings.HasSuffix(file, ".js") {
			kind = "text/javascript; charset=utf-8"
		}
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		_, _ = w.Write(b) // who asked may be gone
		return
	}
	http.NotFound(w, r)
}

// framed is what a page is made of.
type framed struct {
	Title, Here string
	Version     string
	Who         person
	Live        string // what it follows; empty: nothing
	Data        any
}

// Verdicts are those by which tunnels are chosen.
func (framed) Verdicts() []string { return ranks }

// Operates says whether who looks may start runs and have captures.
func (f framed) Operates() bool { return f.Who.Role.May(fleet.Operator) }

// Administers says whether who looks may pause schedules, and see who did what.
func (f framed) Administers() bool { return f.Who.Role.May(fleet.Admin) }

func (s *Server) showPage(w http.ResponseWriter, r *http.Request, status int, who person, name string, data any) {
	f := framed{Here: name, Version: s.o.Version, Who: who, Data: data}
	switch d := data.(type) {
	case *fleetView:
		f.Title, f.Live = "Tunnels", "/events"
	case *queueView:
		f.Title, f.Live = "Queue", "/events"
	case *tunnelView:
		f.Title, f.Live = d.Tunnel, "/events"
	case *runView:
		f.Title = d.Tunnel + " " + d.ID
		if !d.Over {
			f.Live = "/events?run=" + url.QueryEscape(d.ID)
		}
	case *schedulesView:
		f.Title, f.Live = "Schedules", "/events"
	default:
		f.Title = strings.ToUpper(name[:1]) + name[1:]
	}
	var b bytes.Buffer // so that an error leaves no half page
	if err := views()[name].Execute(&b, f); err != nil {
		s.log.Error("a page", "page", name, "error", err.Error())
		plain(w, http.StatusInternalServerError, "the page could not be made")
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = b.WriteTo(w) // who asked may be gone
	}
}

// pages are what browsers ask for.
func (s *Server) pages(m *http.ServeMux) {
	m.HandleFunc("GET /login", s.loginPage)
	m.HandleFunc("POST /login", soon(s.logIn))
	m.HandleFunc("POST /logout", soon(s.logOut))
	show := func(pattern, name string, role fleet.Role, look func(context.Context, *http.Request) (any, error)) {
		m.HandleFunc(pattern, s.soon(role, func(w http.ResponseWriter, r *http.Request, who person) {
			data, err := look(r.Context(), r)
			if err != nil {
				s.fail(w, r, err)
				return
			}
			s.showPage(w, r, http.StatusOK, who, name, data)
		}))
	}
	for _, v := range s.looks() {
		if v.page != "" {
			show("GET "+v.path, v.page, v.role, v.look)
		}
	}
	for _, a := range s.acts() {
		m.HandleFunc("POST "+a.path, s.soon(a.role, func(w http.ResponseWriter, r *http.Request, who person) {
			done, err := s.submitted(r, a, who)
			if err != nil {
				s.fail(w, r, err)
				return
			}
			http.Redirect(w, r, done.page, http.StatusSeeOther)
		}))
	}
	s.downloads(m, "")
	m.HandleFunc("GET /{$}", s.soon(fleet.Viewer, func(w http.ResponseWriter, r *http.Request, who person) {
		v, err := s.fleet(r.Context(), clean(r.FormValue("q")), r.FormValue("v"))
		if err != nil {
			s.fail(w, r, err)
			return
		}
		s.showPage(w, r, http.StatusOK, who, "fleet", v)
	}))
	m.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.deny(w, r, http.StatusNotFound, "there is no such page")
	})
}

// submitted does what a form asks for. What is sent in another way would be taken for a form that
// says nothing.
func (s *Server) submitted(r *http.Request, a act, who person) (done, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Header.Get("Content-Type") != "" && (err != nil || kind != "application/x-www-form-urlencoded") {
		return done{}, problem{415, "want a form; programs ask below /api/v1"}
	}
	if err := r.ParseForm(); err != nil {
		return done{}, problem{400, "the form cannot be read"}
	}
	return s.perform(r, a, who, formOf(r), r.PostFormValue("once"))
}

// soon lets through who may, for what has to be answered soon, also when the database says nothing.
func (s *Server) soon(role fleet.Role, next func(http.ResponseWriter, *http.Request, person)) http.HandlerFunc {
	return soon(s.only(role, next))
}

func soon(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), askTime)
		defer cancel()
		next(w, r.WithContext(ctx))
	}
}

// only lets through who may.
func (s *Server) only(role fleet.Role, next func(http.ResponseWriter, *http.Request, person)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who, err := s.who(r)
		switch {
		case err != nil:
			s.fail(w, r, err)
		case !who.Role.May(role):
			s.deny(w, r, http.StatusForbidden, "this needs the role "+string(role)+", and "+who.Name+" is "+string(who.Role))
		default:
			next(w, r, who)
		}
	}
}

// fail answers with an error.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := answerOf(err)
	if p.status >= 500 && !errors.Is(r.Context().Err(), context.Canceled) {
		s.log.Warn("a request failed", "path", r.URL.Path, "error", clean(err.Error()))
	}
	if p.status == http.StatusUnauthorized && (r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		!forPrograms(r) {
		http.Redirect(w, r, "/login?next="+url.QueryEscape(localPath(r.URL.RequestURI())), http.StatusSeeOther)
		return
	}
	s.deny(w, r, p.status, p.text)
}

func forPrograms(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/api/") || r.URL.Path == "/metrics" || r.URL.Path == "/events"
}

type problemView struct {
	Status int
	Text   string
}

// deny says why there is no other answer.
func (s *Server) deny(w http.ResponseWriter, r *http.Request, status int, text string) {
	switch status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="moncap"`)
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", "60")
	}
	if forPrograms(r) {
		writeJSON(w, status, errorAnswer{Schema, errorText{status, text}})
		return
	}
	s.showPage(w, r, status, person{}, "problem", problemView{status, text})
}

// strip draws the last verdicts of a tunnel: a mark each, the newest last. It is made by hand,
// since a page has thousands.
func strip(all []cellView) template.HTML {
	var b strings.Builder
	b.WriteString(`<span class="strip" role="img" aria-label="`)
	b.WriteString(template.HTMLEscapeString(inWords(all)))
	b.WriteString(`">`)
	for range cells - len(all) {
		b.WriteString("<i></i>")
	}
	for _, c := range all {
		fmt.Fprintf(&b, `<i class=%s>%s</i>`, c.Verdict[:1], signs[c.Verdict]) // the verdicts are our own words
	}
	b.WriteString("</span>")
	return template.HTML(b.String()) // #nosec G203 -- of our own words, and what is escaped above
}

// inWords is a strip for who does not see it.
func inWords(all []cellView) string {
	if len(all) == 0 {
		return "no run"
	}
	var parts []string
	for i := len(all) - 1; i >= 0; {
		n := 1
		for i-n >= 0 && all[i-n].Verdict == all[i].Verdict {
			n++
		}
		part := all[i].Verdict
		if n > 1 {
			part = fmt.Sprintf("%d %s", n, part)
		}
		parts, i = append(parts, part), i-n
	}
	return "the newest first: " + strings.Join(parts, ", ")
}

func when(t any) string {
	switch t := t.(type) {
	case time.Time:
		return t.Local().Format("2006-01-02 15:04:05")
	case *time.Time:
		if t != nil {
			return t.Local().Format("2006-01-02 15:04:05")
		}
	}
	return "–"
}

// ago is how long something is ago, as people say it.
func ago(t *time.Time) string {
	if t == nil {
		return ""
	}
	d := time.Since(*t)
	if d < 0 {
		return "in " + roughly(-d)
	}
	return roughly(d) + " ago"
}

func roughly(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 72*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

func lasted(ms int64) string {
	if ms < 10_000 {
		return fmt.Sprintf("%.1f s", float64(ms)/1000)
	}
	return roughly(time.Duration(ms) * time.Millisecond)
}
