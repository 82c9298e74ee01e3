//go:build unix

package page_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/capture/fleet"
	"github.com/moncap/moncap/capture/fleet/page"
)

// lab is a page with a database of its own, three tokens, and a log that is kept.
type lab struct {
	store  *fleet.Store
	file   string
	server *httptest.Server
	token  map[fleet.Role]string
	log    lockedBuffer
	asked  []page.Start
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func newLab(t testing.TB, change func(*page.Options)) *lab {
	t.Helper()
	l := &lab{file: filepath.Join(t.TempDir(), "moncap.db"), token: map[fleet.Role]string{}}
	var err error
	if l.store, err = fleet.Open(t.Context(), fleet.Options{URL: "sqlite:" + l.file}); err != nil {
		t.Fatal(err)
	}
	for _, r := range fleet.Roles() {
		if l.token[r], err = l.store.AddToken(t.Context(), "test", string(r), r); err != nil {
			t.Fatal(err)
		}
	}
	o := page.Options{
		Store: l.store, Version: "test",
		Log: slog.New(slog.NewTextHandler(&l.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Tunnels: func() []page.Tunnel {
			return []page.Tunnel{{Name: "hq", Peers: [2]string{"site-a", "site-b"}, Tags: []string{"prod"}}, {Name: "new one"}}
		},
		Submit: func(ctx context.Context, q page.Start) (string, error) {
			l.asked = append(l.asked, q)
			id := fmt.Sprintf("20261129-120000-%06d", len(l.asked))
			return id, l.store.Submit(ctx, request(t, q.Tunnel, id, q.By))
		},
	}
	if change != nil {
		change(&o)
	}
	p := page.New(o)
	l.server = httptest.NewServer(p)
	t.Cleanup(func() {
		l.server.Close()
		if err := l.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func request(t testing.TB, tunnel, id, by string) fleet.Request {
	t.Helper()
	end := func(name, address string) capture.Endpoint {
		return capture.Endpoint{Name: name, Address: netip.MustParseAddr(address), Interface: "GigabitEthernet1",
			Platform: "cisco_iosxe"}
	}
	p, err := capture.NewPlan(tunnel, end("site-a", "192.0.2.1"), end("site-b", "192.0.2.2"),
		capture.Settings{Duration: time.Second}, id)
	if err != nil {
		t.Fatal(err)
	}
	return fleet.Request{Plan: p, A: fleet.Slot{Router: "a", Runs: 1}, B: fleet.Slot{Router: "b", Runs: 1}, By: by,
		Approve: tunnel == "hq", Priority: fleet.Normal}
}

func opened(t testing.TB, file string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// past puts runs that are over into the database: of n tunnels, each so many.
func (l *lab) past(t testing.TB, tunnels, runs int) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+l.file+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	fill(t, db, "?", tunnels, runs)
}

var outcomes = []struct {
	outcome, state string
	exit           int
}{
	{"established", "done", 0}, {"established", "done", 0}, {"established", "done", 0}, {"degraded", "done", 1},
	{"failed", "done", 2}, {"inconclusive", "done", 3},
	{"not-run", "failed", 4},
}

func fill(t testing.TB, db *sql.DB, mark string, tunnels, runs int) {
	t.Helper()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now().Add(-time.Duration(runs) * 24 * time.Hour)
	for n := range runs {
		var rows, found []string
		for i := range tunnels {
			o := outcomes[0]
			if i%4 == 0 || n == runs-1 && i%9 == 0 {
				o = outcomes[(n/3+i)%len(outcomes)]
			}
			id := fmt.Sprintf("20261129-%06d-%06d", n, i)
			ended := begin.Add(time.Duration(n)*24*time.Hour + time.Duration(i)*time.Second).UnixMilli()
			rows = append(rows, fmt.Sprintf("('%s', 'branch-%03d', 'hub', 'branch-%03d', '', '', 1, 1, '', '%s', 1, %d, %d, "+
				"%d, '%s', %d, '%s', 'schedule nightly@x', 'worker', 1)",
				id, i, i, o.state, ended-60000, ended-60000, ended, o.outcome, o.exit,
				"hub (192.0.2.1) and the branch: "+o.outcome+"; the responder refused the proposal, since its key exchange is "+
					"another one."))
			if o.exit > 0 && o.exit < 3 {
				found = append(found, fmt.Sprintf("('%s', 'no-proposal-chosen', 'critical'), ('%s', 'clock-offset', 'warning')", id,
					id))
			}
		}
		if _, err := tx.Exec(
			`INSERT INTO moncap_run (id, tunnel, a, b, router_a, router_b, runs_a, runs_b, site, state, priority, created, started, ended, outcome, exit, headline, cause, who, clean)
			VALUES ` + strings.Join(rows, ",")); err != nil {
			t.Fatal(err)
		}
		if len(found) > 0 {
			if _, err := tx.Exec("INSERT INTO moncap_finding (run, code, severity) VALUES " +
				strings.Join(found, ",")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

type answer struct {
	status int
	header http.Header
	body   string
}

// ask asks as somebody with a role; as nobody with none. change may change the request.
func (l *lab) ask(t testing.TB, role fleet.Role, method, path, body string, change func(*http.Request)) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, l.server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if role != "" {
		r.Header.Set("Authorization", "Bearer "+l.token[role])
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if change != nil {
		change(r)
	}
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	got, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	b, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{got.StatusCode, got.Header, string(b)}
}

// Every answer of the API is what the schema says, whatever is asked for by whom.
func TestAPI(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.past(t, 6, 30)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(page.JSONSchema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("api.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("api.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []struct {
		role   fleet.Role
		method string
		path   string
		body   string
		want   int
	}{
		{fleet.Viewer, "GET", "/fleet", "", 200}, {fleet.Viewer, "GET", "/fleet?verdict=failed&q=branch", "", 200},
		{fleet.Viewer, "GET", "/tunnels/hq", "", 200}, {fleet.Viewer, "GET", "/tunnels/new%20one", "", 200},
		{fleet.Viewer, "GET", "/tunnels/branch-000", "", 200},
		{fleet.Viewer, "GET", "/tunnels/nosuch", "", 404}, {fleet.Viewer, "GET", "/runs/nosuch", "", 404},
		{fleet.Viewer, "GET", "/runs/20261129-000029-000000", "", 200},
		{fleet.Viewer, "GET", "/queue", "", 200}, {fleet.Viewer, "GET", "/schedules", "", 200},
		{fleet.Viewer, "GET", "/audit", "", 403}, {fleet.Admin, "GET", "/audit", "", 200},
		{"", "GET", "/fleet", "", 401}, {fleet.Viewer, "GET", "/nosuch", "", 404},
		{fleet.Viewer, "POST", "/tunnels/hq/runs", "", 403},
		{fleet.Operator, "POST", "/tunnels/hq/runs",
			`{"until": "decided", "duration": "90s", "reason": "since nine", "change": "CHG1", "priority": "urgent"}`, 202},
		{fleet.Operator, "POST", "/tunnels/hq/runs", `{"trigger": "clear crypto session"}`, 400},
		{fleet.Operator, "POST", "/tunnels/hq/runs", `{"duration": "soon"}`, 400},
		{fleet.Operator, "POST", "/tunnels/hq/runs", `{"reason": "two\nlines"}`, 400},
		{fleet.Operator, "POST", "/tunnels/hq/runs", `{} {}`, 400},
		{fleet.Operator, "POST", "/tunnels/hq/runs", `{"reason": "` + strings.Repeat("x", 2<<20) + `"}`, 413},
		{fleet.Operator, "POST", "/tunnels/nosuch/runs", `{}`, 404},
		{fleet.Operator, "GET", "/queue", "", 200}, {fleet.Operator, "GET", "/runs/20261129-120000-000001", "", 200},
		{fleet.Operator, "POST", "/runs/20261129-120000-000001/approve", "", 409}, // who asked for it
		{fleet.Viewer, "POST", "/runs/20261129-120000-000001/approve", "", 403},
		{fleet.Admin, "POST", "/runs/20261129-120000-000001/approve", "", 202},
		{fleet.Admin, "POST", "/runs/20261129-120000-000001/approve", "", 409},
		{fleet.Viewer, "POST", "/runs/20261129-120000-000001/cancel", "", 403},
		{fleet.Operator, "POST", "/runs/20261129-120000-000001/cancel", "", 202},
		{fleet.Operator, "POST", "/runs/20261129-000029-000000/cancel", "", 409},
		{fleet.Operator, "POST", "/runs/20261129-120000-000001/clean", "", 409},
		{fleet.Operator, "POST", "/schedules/x/pause", "", 403},
		{fleet.Admin, "POST", "/schedules/x/pause", "", 404},
		{fleet.Operator, "GET", "/runs/20261129-000029-000000/bundle.zip", "", 404},
		{fleet.Viewer, "GET", "/runs/20261129-000029-000000/report", "", 403},
		{fleet.Viewer, "GET", "/runs/20261129-000029-000000/both.pcapng", "", 403},
		{fleet.Viewer, "GET", "/runs/20261129-000029-000000/transcript", "", 403},
		{fleet.Operator, "GET", "/runs/20261129-000029-000000/diff", "", 404},
	} {
		got := l.ask(t, q.role, q.method, "/api/v1"+q.path, q.body, nil)
		if got.status != q.want {
			t.Errorf("%s %s as %q: %d %s, want %d", q.method, q.path, q.role, got.status, got.body, q.want)
		}
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(got.body))
		if err != nil {
			t.Errorf("%s %s: %v\n%s", q.method, q.path, err, got.body)
			continue
		}
		if err := schema.Validate(v); err != nil {
			t.Errorf("%s %s: %v", q.method, q.path, err)
		}
	}
	if len(l.asked) != 1 || l.asked[0].By != "operator" || l.asked[0].Duration != 90*time.Second ||
		l.asked[0].Priority != fleet.Urgent || l.asked[0].Reason != "since nine" {
		t.Errorf("asked for %+v", l.asked)
	}
	rows, err := l.store.AuditRows(t.Context(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	var what []string
	for _, r := range rows {
		if r.Run == "20261129-120000-000001" && r.Origin != "127.0.0.1" {
			t.Errorf("written down without where it came from: %+v", r)
		}
		what = append(what, r.Who+" "+r.What)
	}
	if got := strings.Join(what, ", "); !strings.HasSuffix(got,
		"operator submit, admin approve, operator cancel, operator download bundle") {
		t.Errorf("written down: %s", got)
	}
}

// The worst come first, and one that never ran is there.
func TestWorstFirst(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.past(t, 20, 25)
	var v struct {
		Tunnels []struct {
			Tunnel, Verdict string
			Cells           []struct{ Ended time.Time }
		}
	}
	got := l.ask(t, fleet.Viewer, "GET", "/api/v1/fleet", "", nil)
	if err := json.Unmarshal([]byte(got.body), &v); err != nil || len(v.Tunnels) != 22 {
		t.Fatalf("%d tunnels, %v", len(v.Tunnels), err)
	}
	order := []string{"left", "failed", "not-run", "inconclusive", "degraded", "never", "established"}
	at := 0
	for _, r := range v.Tunnels {
		for at < len(order) && order[at] != r.Verdict {
			at++
		}
		if at == len(order) {
			t.Fatalf("%s is %s, behind better ones", r.Tunnel, r.Verdict)
		}
		for i := 1; i < len(r.Cells); i++ {
			if r.Cells[i].Ended.Before(r.Cells[i-1].Ended) {
				t.Errorf("%s: the newest is not the last", r.Tunnel)
			}
		}
	}
	html := l.ask(t, fleet.Viewer, "GET", "/", "", nil).body
	if strings.Index(html, ">new one<") < strings.Index(html, `data-sign="✘"`) ||
		!strings.Contains(html, `data-sign="·">never`) {
		t.Error("the page has another order, or leaves out what never ran")
	}
	if one := l.ask(t, fleet.Viewer, "GET", "/?v=never", "", nil).body; !strings.Contains(one, ">new one<") ||
		strings.Contains(one, ">branch-000<") {
		t.Error("chosen by verdict, others are there")
	}
}

// What a form of a stranger, a foreign name or another origin may not.
func TestGuards(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(o *page.Options) { o.Hosts = []string{"moncap.example.net"} })
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	for name, want := range map[string]int{
		"": 200, "localhost:8480": 200, "127.0.0.1": 200, "moncap.example.net": 200, "MONCAP.example.net.:443": 200,
		"evil.example": 421, "127.0.0.2": 421, "[::1]:8480": 421, "moncap.example.net.evil.example": 421,
		"localhost.evil.example": 421,
	} {
		if got := l.ask(t, "", "GET", "/healthz", "", host(name)); got.status != want {
			t.Errorf("Host %q: %d, want %d", name, got.status, want)
		}
	}
	for what, change := range map[string]func(*http.Request){
		"another site":     func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"another port":     func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
		"another origin":   func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
		"no origin at all": func(r *http.Request) { r.Header.Set("Origin", "null") },
	} {
		for _, path := range []string{"/api/v1/tunnels/hq/runs", "/tunnels/hq/runs", "/login", "/logout"} {
			if got := l.ask(t, fleet.Operator, "POST", path, "", change); got.status != 403 {
				t.Errorf("%s to %s: %d", what, path, got.status)
			}
		}
	}
	if len(l.asked) > 0 {
		t.Errorf("a run was started: %+v", l.asked)
	}
	for _, path := range []string{"/", "/login", "/api/v1/fleet", "/nosuch", "/healthz", "/metrics"} {
		h := l.ask(t, fleet.Viewer, "GET", path, "", nil).header
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" ||
			!strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %v", path, h)
		}
	}
	for _, path := range []string{"/", "/queue", "/runs/x", "/tunnels/hq"} {
		if got := l.ask(t, "", "GET", path, "", nil); got.status != 303 ||
			!strings.HasPrefix(got.header.Get("Location"), "/login?next=") {
			t.Errorf("%s to a stranger: %d %s", path, got.status, got.body)
		}
	}
	if got := l.ask(t, "", "GET", "/metrics", "", nil); got.status != 401 || got.header.Get("WWW-Authenticate") == "" {
		t.Errorf("metrics to a stranger: %d", got.status)
	}
}

// A login is a cookie that no script and no other site has, and tokens are in no
// log and no address.
func TestLogin(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(o *page.Options) { o.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	form := func(token, next string) string { return url.Values{"token": {token}, "next": {next}}.Encode() }
	posted := func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }
	behind := func(r *http.Request) {
		posted(r)
		r.Header.Set("X-Forwarded-Proto", "https")
		r.Header.Set("X-Forwarded-For", "203.0.113.9, 198.51.100.7")
	}
	got := l.ask(t, "", "POST", "/login", form(l.token[fleet.Operator], "/queue"), posted)
	cookie := got.header.Get("Set-Cookie")
	if got.status != 303 || got.header.Get("Location") != "/queue" || !strings.HasPrefix(cookie, "moncap=") ||
		strings.Contains(cookie, "Secure") ||
		!strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Strict") ||
		!strings.Contains(cookie, "Max-Age=43200") {
		t.Errorf("on loopback: %d %v", got.status, got.header)
	}
	got = l.ask(t, "", "POST", "/login", form(l.token[fleet.Operator], "//evil.example/x"), behind)
	secure := got.header.Get("Set-Cookie")
	if got.status != 303 || got.header.Get("Location") != "/" || !strings.HasPrefix(secure, "__Host-moncap=") ||
		!strings.Contains(secure, "; Secure") ||
		!strings.Contains(secure, "Path=/;") || strings.Contains(secure, "Domain") {
		t.Errorf("behind a proxy that encrypts: %d %v", got.status, got.header)
	}
	with := func(r *http.Request) { r.Header.Set("Cookie", strings.SplitN(cookie, ";", 2)[0]) }
	if got := l.ask(t, "", "GET", "/", "", with); got.status != 200 || !strings.Contains(got.body, "operator, operator") {
		t.Errorf("with the cookie: %d", got.status)
	}
	if got := l.ask(t, "", "POST", "/logout", "", with); got.status != 303 ||
		!strings.Contains(got.header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("log out: %d %v", got.status, got.header)
	}
	if got := l.ask(t, "", "GET", "/", "", with); got.status != 303 {
		t.Errorf("with the cookie of a login that is over: %d", got.status)
	}
	// Five wrong ones a minute from an address; others are let in all the same.
	for n, want := range []int{401, 401, 401, 401, 401, 429, 429} {
		if got := l.ask(t, "", "POST", "/login", form("moncap_wrong-secret", "/"), behind); got.status != want {
			t.Errorf("wrong token %d: %d, want %d", n+1, got.status, want)
		}
	}
	if got := l.ask(t, fleet.Viewer, "GET", "/api/v1/fleet", "",
		func(r *http.Request) { r.Header.Set("X-Forwarded-For", "198.51.100.7") }); got.status != 429 ||
		got.header.Get("Retry-After") == "" {
		t.Errorf("from the address of the wrong ones: %d", got.status)
	}
	if got := l.ask(t, fleet.Viewer, "GET", "/api/v1/fleet", "",
		func(r *http.Request) { r.Header.Set("X-Forwarded-For", "198.51.100.7, 198.51.100.8") }); got.status != 200 {
		t.Errorf("from another: %d", got.status)
	}
	log := l.log.String()
	for role, secret := range l.token {
		if strings.Contains(log, secret) {
			t.Errorf("the token of the %s is in the log", role)
		}
	}
	if strings.Contains(log, "wrong-secret") || !strings.Contains(log, "198.51.100.7") {
		t.Errorf("the log: %s", log)
	}
}

// A header that anybody can write counts from nobody but a proxy.
func TestStrangersHeadersDoNotCount(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	forged := func(r *http.Request) {
		r.Header.Set("X-Forwarded-For", "198.51.100.7")
		r.Header.Set("X-Forwarded-Proto", "https")
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	got := l.ask(t, "", "POST", "/login", url.Values{"token": {l.token[fleet.Viewer]}}.Encode(), forged)
	if !strings.HasPrefix(got.header.Get("Set-Cookie"), "moncap=") {
		t.Errorf("taken for encrypted: %v", got.header)
	}
	rows, err := l.store.AuditRows(t.Context(), time.Time{})
	if err != nil || rows[len(rows)-1].What != "log in" || rows[len(rows)-1].Origin != "127.0.0.1" {
		t.Errorf("%+v, %v", rows, err)
	}
}

// What routers and people write is text on the page, and nothing else.
func TestTextIsText(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	db, err := sql.Open("sqlite", "file:"+l.file+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const evil = "<script>alert(1)</script>\"'\u202e\x1b[31m"
	fill(t, db, "?", 1, 2)
	if _, err := db.Exec("UPDATE moncap_run SET headline = ?, reason = ?, who = ?, host = ?, error = ?, tunnel = "+
		"'a/b?c#d', state = 'dirty', remains = ?", evil, evil, evil, evil, evil, evil); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/tunnels/" + url.PathEscape("a/b?c#d"), "/runs/20261129-000001-000000"} {
		got := l.ask(t, fleet.Operator, "GET", path, "", nil)
		if got.status != 200 || strings.Contains(got.body, "<script>alert") || strings.ContainsAny(got.body, "\u202e\x1b") ||
			!strings.Contains(got.body, "alert(1)") {
			t.Errorf("%s: %d\n%s", path, got.status, got.body)
		}
	}
	if got := l.ask(t, fleet.Viewer, "GET", "/", "", nil).body; !strings.Contains(got, `href="/tunnels/a%2Fb%3Fc%23d"`) {
		t.Error("the link to a tunnel leads elsewhere")
	}
}

func TestDifferenceToTheLastOtherVerdict(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	db, err := sql.Open("sqlite", "file:"+l.file+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	fill(t, db, "?", 1, 30)
	for id, outcome := range map[string]report.Outcome{"20261129-000029-000000": report.Failed,
		"20261129-000020-000000": report.Established} {
		r := report.NewNotRun("branch-000", "test", report.Verdict{Headline: "It is " + string(outcome) + "."}, nil)
		r.Verdict.Outcome = outcome
		var b bytes.Buffer
		if err := r.Write(&b); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec("INSERT INTO moncap_report (run, gz) VALUES (?, ?)", id, packed(t, b.Bytes())); err != nil {
			t.Fatal(err)
		}
	}
	got := l.ask(t, fleet.Viewer, "GET", "/runs/20261129-000029-000000/diff/20261129-000020-000000", "", nil)
	if got.status != 200 || !strings.Contains(got.body, "It is failed.") || !strings.Contains(got.body, "outcome") {
		t.Errorf("%d\n%s", got.status, got.body)
	}
	var d struct{ Schema string }
	api := l.ask(t, fleet.Viewer, "GET", "/api/v1/runs/20261129-000029-000000/diff/20261129-000020-000000", "", nil)
	if err := json.Unmarshal([]byte(api.body), &d); err != nil || d.Schema != "moncap.diff/v1" {
		t.Errorf("%d %s", api.status, api.body)
	}
}
