//go:build unix

package page_test

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/capture/fleet"
	"github.com/moncap/moncap/capture/fleet/page"
)

// Two clicks on Start are one run, also when both are under way at once; another form, and one that
// failed, are others.
func TestTwoClicksAreOneRun(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var l *lab
	n, broken := 0, false
	l = newLab(t, func(o *page.Options) {
		o.Submit = func(ctx context.Context, q page.Start) (string, error) {
			mu.Lock()
			defer mu.Unlock()
			if broken {
				return "", errors.New("no database")
			}
			n++
			id := fmt.Sprintf("20261129-120000-%06d", n)
			return id, l.store.Submit(ctx, request(t, q.Tunnel, id, q.By))
		}
	})
	html := l.ask(t, fleet.Operator, "GET", "/tunnels/hq", "", nil).body
	_, after, ok := strings.Cut(html, `name="once" value="`)
	key, _, _ := strings.Cut(after, `"`)
	if !ok || len(key) < 16 {
		t.Fatalf("the form has no key: %s", html)
	}
	click := func(key, reason string) answer {
		return l.ask(t, fleet.Operator, "POST", "/tunnels/hq/runs",
			url.Values{"once": {key}, "until": {"decided"}, "reason": {reason}}.Encode(), func(r *http.Request) {
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			})
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if got := click(key, "a"); got.status != 303 || got.header.Get("Location") != "/runs/20261129-120000-000001" {
				t.Errorf("%d %s %s", got.status, got.header.Get("Location"), got.body)
			}
		})
	}
	wg.Wait()
	if got := click(key, "b"); got.header.Get("Location") != "/runs/20261129-120000-000002" {
		t.Errorf("with another reason: %d %s", got.status, got.header.Get("Location"))
	}
	broken = true
	if got := click("another", "a"); got.status != 503 {
		t.Errorf("without a database: %d", got.status)
	}
	broken = false
	if got := click("another", "a"); got.header.Get("Location") != "/runs/20261129-120000-000003" {
		t.Errorf("once more after an error: %d %s", got.status, got.header.Get("Location"))
	}
	api := func(role fleet.Role, key string) string {
		return l.ask(t, role, "POST", "/api/v1/tunnels/hq/runs", `{}`,
			func(r *http.Request) { r.Header.Set("Idempotency-Key", key) }).body
	}
	first, again, other := api(fleet.Operator, "k1"), api(fleet.Operator, "k1"), api(fleet.Admin, "k1")
	if first != again || first == other || !strings.Contains(first, "000004") {
		t.Errorf("%s %s %s", first, again, other)
	}
	if got := api(fleet.Operator, strings.Repeat("k", 300)); !strings.Contains(got, `"status":400`) {
		t.Error(got)
	}
}

// What is sent in the form of something else is not taken for a form that says nothing.
func TestFormsAreForms(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	if got := l.ask(t, fleet.Operator, "POST", "/tunnels/hq/runs", `{"until": "decided"}`, nil); got.status != 415 {
		t.Errorf("JSON to the page: %d", got.status)
	}
	if got := l.ask(t, fleet.Operator, "POST", "/tunnels/hq/runs", "reason=%ff%fe", func(r *http.Request) {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}); got.status != 400 {
		t.Errorf("bytes that are no text: %d", got.status)
	}
	for _, path := range []string{
		"/runs/%00/bundle.zip", "/tunnels/%ff", "/api/v1/runs/..%2f..%2fetc%2fpasswd/report", "/runs/..%2f..%2f/bundle.zip",
		"/tunnels/%2e%2e", "/tunnels/a%0d%0aSet-Cookie:x", "/static/..%2fpage.css", "/api/v1/schedules/%00",
	} {
		if got := l.ask(t, fleet.Operator, "GET", path, "", nil); got.status != 404 || got.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	for range 7 { // a form that is too large is no wrong token
		if got := l.ask(t, "", "POST", "/login", "token="+strings.Repeat("x", 2<<20), func(r *http.Request) {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}); got.status != 400 {
			t.Errorf("a form that is too large: %d", got.status)
		}
	}
	if len(l.asked) > 0 {
		t.Errorf("a run was started: %+v", l.asked)
	}
}

// Many wrong tokens at once are no more than one after the other, and an address with a
// port is an address.
func TestWrongTokensAtOnce(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(o *page.Options) { o.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	var mu sync.Mutex
	got := map[int]int{}
	var wg sync.WaitGroup
	for n := range 40 {
		wg.Go(func() {
			a := l.ask(t, "", "GET", "/api/v1/fleet", "", func(r *http.Request) {
				r.Header.Set("Authorization", "Bearer moncap_guess")
				r.Header.Set("X-Forwarded-For", fmt.Sprintf("10.1.1.%d, 198.51.100.7:%d", n, 40000+n))
			})
			mu.Lock()
			defer mu.Unlock()
			got[a.status]++
		})
	}
	wg.Wait()
	if got[401] != 5 || got[429] != 35 {
		t.Errorf("%v, want 5 times 401", got)
	}
	if a := l.ask(t, fleet.Viewer, "GET", "/api/v1/fleet", "",
		func(r *http.Request) { r.Header.Set("X-Forwarded-For", "[2001:db8::7]:443") }); a.status != 200 {
		t.Errorf("from another address: %d %s", a.status, a.body)
	}
	for path, want := range map[string]int{"/api/v1/fleet": 403, "/login": 403, "/healthz": 200,
		"/readyz": 200} { // read by others before the proxy
		if a := l.ask(t, fleet.Viewer, "GET", path, "",
			func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", "http") }); a.status != want {
			t.Errorf("%s in clear to the proxy: %d, want %d", path, a.status, want)
		}
	}
}

// follower is a page that follows, without a browser.
func follower(t *testing.T, at, token string) (lines <-chan string, end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "GET", at, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "text/event-stream" ||
		a.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%s %v", a.Status, a.Header)
	}
	out := make(chan string, 100)
	go func() {
		defer close(out)
		defer a.Body.Close()
		for sc := bufio.NewScanner(a.Body); sc.Scan(); {
			if sc.Text() != "" {
				out <- sc.Text()
			}
		}
	}()
	return out, cancel
}

// Who follows hears that something happened, no more than that; who comes later, what may have
// happened before; and the page ends in time with many who follow.
func TestFollow(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan error, 1)
	p := page.New(page.Options{Store: l.store})
	go func() { over <- p.Serve(ctx, listener) }()
	at := "http://" + listener.Addr().String() + "/events"
	next := func(lines <-chan string, want string) {
		t.Helper()
		for {
			select {
			case got, ok := <-lines:
				if !ok {
					t.Fatalf("it ended before %q", want)
				}
				if got == want {
					return
				}
				if got != "retry: 3000" && got != "data: changed" && got != ": alive" {
					t.Fatalf("it says %q", got)
				}
			case <-time.After(patience * time.Minute):
				t.Fatalf("nothing said %q", want)
			}
		}
	}
	first, end := follower(t, at, l.token[fleet.Viewer])
	defer end()
	next(first, "data: changed") // of what may have been before
	if err := l.store.Submit(t.Context(), request(t, "hq", "20261129-120000-000001", "bob")); err != nil {
		t.Fatal(err)
	}
	next(first, "data: changed")
	second, end := follower(t, at, l.token[fleet.Viewer])
	defer end()
	next(second, "data: changed")
	var ends []func()
	for range 98 {
		_, end := follower(t, at, l.token[fleet.Viewer])
		ends = append(ends, end)
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", at, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+l.token[fleet.Viewer])
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if a.Body.Close(); a.StatusCode != 503 {
		t.Errorf("one more than 100 of one token follows: %s", a.Status)
	}
	for range 100 {
		_, end := follower(t, at, l.token[fleet.Operator])
		ends = append(ends, end)
	}
	r.Header.Set("Authorization", "Bearer "+l.token[fleet.Admin])
	if a, err = http.DefaultClient.Do(r); err != nil {
		t.Fatal(err)
	}
	if a.Body.Close(); a.StatusCode != 503 {
		t.Errorf("one more than 200 follows: %s", a.Status)
	}
	stop()
	select {
	case err := <-over:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience * time.Minute):
		t.Error("it waits for those who follow")
	}
	for _, end := range ends {
		end()
	}
	if l.ask(t, "", "GET", "/events", "", nil).status != 401 {
		t.Error("a stranger follows")
	}
}

// Captures, bundles, transcripts and reports are for operators: whole, and written down.
func TestDownloads(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l := newLab(t, func(o *page.Options) { o.Folder = folder })
	l.past(t, 1, 2)
	const id = "20261129-000001-000000"
	rep := bundled(t, filepath.Join(folder, "branch-"+id))
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	l.exec(t, "UPDATE moncap_run SET bundle = ?, host = ? WHERE id = ?", filepath.Join(folder, "branch-"+id), host, id)
	l.exec(t, "INSERT INTO moncap_report (run, gz) VALUES (?, ?)", id, packed(t, rep))
	for path, kind := range map[string]string{
		"/bundle.zip": "application/zip", "/both.pcapng": "application/vnd.tcpdump.pcap", "/transcript": "text/",
		"/report": "application/json", "/report.html": "text/html",
	} {
		for _, prefix := range []string{"", "/api/v1"} {
			if prefix == "" && path == "/report" || prefix != "" && path == "/report.html" {
				continue
			}
			at := prefix + "/runs/" + id + path
			for role, want := range map[fleet.Role]int{"": 401, fleet.Viewer: 403, fleet.Operator: 200, fleet.Admin: 200} {
				got := l.ask(t, role, "GET", at, "", nil)
				if role == "" && prefix == "" {
					want = 303 // to the login
				}
				if got.status != want || want == 200 && !strings.HasPrefix(got.header.Get("Content-Type"), kind) {
					t.Errorf("%s as %q: %d %v, want %d", at, role, got.status, got.header, want)
				}
				if want != 200 && (strings.Contains(got.body, "show clock") || len(got.body) > 2000) {
					t.Errorf("%s as %q has it", at, role)
				}
			}
			if got := l.ask(t, fleet.Viewer, "POST", at, "", nil); got.status/100 != 4 {
				t.Errorf("POST %s: %d", at, got.status)
			}
		}
	}
	got := l.ask(t, fleet.Operator, "GET", "/runs/"+id+"/bundle.zip", "", nil)
	z, err := zip.NewReader(strings.NewReader(got.body), int64(len(got.body)))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, f := range z.File {
		names[f.Name] = true
	}
	for _, side := range bundle.Sides() {
		if !names[id+"/"+bundle.CaptureFile(side)] {
			t.Errorf("the zip has no %s: %v", bundle.CaptureFile(side), names)
		}
	}
	if got := l.ask(t, fleet.Operator, "GET", "/runs/"+id+"/both.pcapng", "", nil); !strings.HasPrefix(got.body,
		"\x0a\x0d\x0d\x0a") || got.header.Get("Content-Disposition") != `attachment; filename="`+id+`.pcapng"` {
		t.Errorf("pcapng: %q %v", got.body[:min(len(got.body), 20)], got.header)
	}
	// A folder that is none of this worker's runs is not given, whatever the database says.
	other := filepath.Join(t.TempDir(), "elsewhere")
	bundled(t, other)
	l.exec(t, "UPDATE moncap_run SET bundle = ? WHERE id = ?", other, id)
	if got := l.ask(t, fleet.Operator, "GET", "/runs/"+id+"/bundle.zip", "", nil); got.status != 404 {
		t.Errorf("a folder elsewhere: %d", got.status)
	}
}

func (l *lab) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	db := opened(t, l.file)
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
}

// bundled makes a bundle with both captures and transcripts, and returns its report.
func bundled(t *testing.T, dir string) []byte {
	t.Helper()
	b, err := bundle.Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.SaveRun(&bundle.Run{}); err != nil {
		t.Fatal(err)
	}
	for _, side := range bundle.Sides() {
		p, err := b.CreateCapture(side)
		if err != nil {
			t.Fatal(err)
		}
		var file bytes.Buffer
		if err := bundle.WritePCAP(&file,
			[]bundle.Packet{{Time: time.Unix(1700000000, 0), Data: make([]byte, 60)}}); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Write(file.Bytes()); err != nil {
			t.Fatal(err)
		}
		if err := p.Commit(); err != nil {
			t.Fatal(err)
		}
		f, err := b.AppendTranscript(side)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, "site-a#show clock\n"); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	r := report.NewNotRun("branch-000", "test", report.Verdict{Headline: "It is."}, nil)
	var text bytes.Buffer
	if err := r.Write(&text); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}
