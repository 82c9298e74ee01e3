//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// window is a headless Chromium that is driven over its pipe by the DevTools protocol
// (https://chromedevtools.github.io/devtools-protocol/): messages of JSON, each
// behind with a zero byte.
type window struct {
	t       *testing.T
	in      *os.File
	out     *bufio.Reader
	id      int
	session string
	console []string
	loaded  int
}

func newWindow(t *testing.T) *window {
	t.Helper()
	bin, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("MONCAP_REFEREES") != "" {
			t.Fatal("chromium is not installed, and MONCAP_REFEREES wants it")
		}
		t.Skip("chromium is not installed")
	}
	profile, err := os.MkdirTemp("", "moncap-browser-")
	if err != nil {
		t.Fatal(err)
	}
	toChild, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, fromChild, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), bin, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
		"--no-first-run", "--disable-background-networking", "--remote-debugging-pipe", "--user-data-dir="+profile)
	cmd.ExtraFiles = []*os.File{toChild, fromChild}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close() // Chromium ends when its pipe does
		_ = cmd.Wait()
		out.Close()
		for range 50 { // some of its processes outlive the first one
			if os.RemoveAll(profile) == nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
	toChild.Close()
	fromChild.Close()
	if err := out.SetReadDeadline(time.Now().Add(tooLong)); err != nil {
		t.Fatal(err)
	}
	w := &window{t: t, in: in, out: bufio.NewReader(out)}
	var target struct{ TargetID string }
	w.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var session struct{ SessionID string }
	w.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &session)
	w.session = session.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		w.call(domain+".enable", nil, nil)
	}
	return w
}

// call sends a command and reads until its answer; what happens in between is noted.
func (w *window) call(method string, params, result any) {
	w.t.Helper()
	if problem := w.try(method, params, result); problem != "" {
		w.t.Fatalf("%s: %s", method, problem)
	}
}

// try is call for what a page may be gone under: it says what went wrong.
func (w *window) try(method string, params, result any) (problem string) {
	w.t.Helper()
	w.id++
	id := w.id
	message := map[string]any{"id": id, "method": method}
	if params != nil {
		message["params"] = params
	}
	if w.session != "" {
		message["sessionId"] = w.session
	}
	j, err := json.Marshal(message)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.in.Write(append(j, 0)); err != nil {
		w.t.Fatal(err)
	}
	for {
		var m struct {
			ID             int
			Method         string
			Params, Result json.RawMessage
			Error          *struct{ Message string }
		}
		b, err := w.out.ReadBytes(0)
		if err != nil {
			w.t.Fatalf("chromium: %v", err)
		}
		if err := json.Unmarshal(bytes.TrimSuffix(b, []byte{0}), &m); err != nil {
			w.t.Fatal(err)
		}
		switch m.Method {
		case "Page.loadEventFired":
			w.loaded++
		case "Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown":
			w.console = append(w.console, string(m.Params))
		}
		if m.ID != id {
			continue
		}
		if m.Error != nil {
			return m.Error.Message
		}
		if result != nil {
			if err := json.Unmarshal(m.Result, result); err != nil {
				w.t.Fatal(err)
			}
		}
		return ""
	}
}

func (w *window) eval(script string) string {
	w.t.Helper()
	var got struct {
		Result           struct{ Value any }
		ExceptionDetails json.RawMessage
	}
	w.call("Runtime.evaluate", map[string]any{"expression": script, "returnByValue": true, "awaitPromise": true}, &got)
	if len(got.ExceptionDetails) > 0 {
		w.t.Fatalf("%s: %s", script, got.ExceptionDetails)
	}
	return fmt.Sprint(got.Result.Value)
}

// until waits until a script says true.
func (w *window) until(script string) {
	w.t.Helper()
	for deadline := time.Now().Add(tooLong); time.Now().Before(deadline); time.Sleep(
		50 * time.Millisecond) {
		var got struct{ Result struct{ Value bool } }
		expression := "Boolean(document.readyState === 'complete' && (" + script + "))"
		if w.try("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &got) == "" &&
			got.Result.Value {
			return
		}
	}
	w.t.Fatalf("never: %s\n%s", script, w.eval("location.href + '\\n' + document.body.innerText"))
}

func (w *window) open(url string) {
	w.t.Helper()
	n := w.loaded
	w.call("Page.navigate", map[string]any{"url": url}, nil)
	for w.loaded == n {
		w.try("Page.getNavigationHistory", nil, nil)
	}
}

func (w *window) look(width int, scheme string) {
	w.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1,
		"mobile": false}, nil)
	w.call("Emulation.setEmulatedMedia",
		map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

func (w *window) key(name string, code int, text string) {
	k := map[string]any{"type": "keyDown", "key": name, "code": name, "windowsVirtualKeyCode": code, "text": text}
	w.call("Input.dispatchKeyEvent", k, nil)
	w.call("Input.dispatchKeyEvent",
		map[string]any{"type": "keyUp", "key": name, "code": name, "windowsVirtualKeyCode": code}, nil)
}

func (w *window) write(text string) { w.call("Input.insertText", map[string]any{"text": text}, nil) }

// tabTo goes by the tab key alone to what a script says of document.activeElement.
func (w *window) tabTo(is string) {
	w.t.Helper()
	for range 120 {
		w.key("Tab", 9, "")
		if w.eval("(e => Boolean("+is+"))(document.activeElement)") == "true" {
			return
		}
	}
	w.t.Fatalf("by the keyboard one does not come to %s", is)
}

func (w *window) enter() { w.key("Enter", 13, "\r") }

// picture keeps how the page looks, where MONCAP_PICTURES names a folder.
func (w *window) picture(name string) {
	w.t.Helper()
	dir := os.Getenv("MONCAP_PICTURES")
	if dir == "" {
		return
	}
	var shot struct{ Data string }
	w.call("Page.captureScreenshot", map[string]any{"captureBeyondViewport": false}, &shot)
	raw, err := base64.StdEncoding.DecodeString(shot.Data)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), raw, 0o600)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// sound looks at a page in both widths and both colours: nothing is wider than the window, the
// console is silent, and axe-core finds nothing, where MONCAP_AXE names its file (npm pack
// axe-core: package/axe.min.js).
func (w *window) sound(name string) {
	w.t.Helper()
	for _, width := range []int{1280, 400} {
		for _, scheme := range []string{"light", "dark"} {
			w.look(width, scheme)
			if got := w.eval("document.documentElement.scrollWidth - document.documentElement.clientWidth"); got != "0" {
				w.t.Errorf("%s at %d: %s too wide", name, width, got)
			}
			w.picture(fmt.Sprintf("%s-%d-%s", name, width, scheme))
			w.axe(fmt.Sprintf("%s at %d, %s", name, width, scheme))
		}
	}
	w.look(1280, "light")
	if len(w.console) > 0 {
		w.t.Errorf("%s: the console says %s", name, strings.Join(w.console, "\n"))
		w.console = nil
	}
}

func (w *window) axe(what string) {
	w.t.Helper()
	file := os.Getenv("MONCAP_AXE")
	if file == "" {
		return
	}
	source, err := os.ReadFile(file)
	if err != nil {
		w.t.Fatal(err)
	}
	if w.eval("typeof axe") == "undefined" {
		w.eval(string(source) + "\n;0")
	}
	got := w.eval(`axe.run({resultTypes: ['violations']}).then(r => r.violations.map(v => v.id + ': ' + v.nodes.map(n => n.html + ' ' + n.failureSummary).slice(0, 3).join(' | ')).join('\n'))`)
	if got != "" {
		w.t.Errorf("%s: %s", what, got)
	}
}

// pagedFleet is a fleet whose worker serves a page.
func pagedFleet(t *testing.T) (l *fleetLab, w *workerProcess, at, operator string) {
	t.Helper()
	l = newFleetLab(t)
	l.must(t, "db", "init")
	operator = strings.TrimSpace(l.must(t, "token", "add", "ann", "--role", "admin"))
	w = l.serve(t, "--listen", "127.0.0.1:0")
	return l, w, "http://" + w.at(t, "the page is at http://"), operator
}

// One who has a keyboard alone logs in, starts a run at a router, watches it, ends it, and reads
// the report of another.
func TestPageInABrowser(t *testing.T) {
	t.Parallel()
	l, worker, at, token := pagedFleet(t)
	w := newWindow(t)
	w.look(1280, "light")
	w.open(at + "/tunnels/demo")
	w.until("document.querySelector('input[name=token]') === document.activeElement")
	w.sound("login")
	w.eval("document.querySelector('input[name=token]').focus()")
	w.write(token)
	w.enter()
	w.until("location.pathname === '/tunnels/demo'")
	if cookies := w.eval("document.cookie"); cookies != "" {
		t.Errorf("a script reads the cookie: %s", cookies)
	}

	// A run that is watched while it is taken back. The page is never asked for anew by hand.
	w.tabTo("e.name === 'until'")
	w.key("End", 35, "")
	w.tabTo("e.name === 'duration'")
	w.write("300s")
	w.tabTo("e.name === 'reason'")
	w.write("users complain")
	w.tabTo("e.textContent === 'Start'")
	w.enter()
	w.until("location.pathname.startsWith('/runs/') && " +
		"document.querySelector('[role=status]').innerText.includes('running')")
	w.until("document.querySelectorAll('[data-part=journal] tbody tr').length >= 8")
	w.sound("running")
	w.tabTo("e.id === 'cancel'")
	w.enter()
	w.until("document.querySelector('[role=status]').innerText.includes('not-run') && !document.getElementById('cancel')")
	if text := w.eval("document.body.innerText"); !strings.Contains(text, "users complain") ||
		!strings.Contains(text, "Cancelled by") {
		t.Errorf("the run that was cancelled:\n%s", text)
	}
	if dirty := l.dirty(); len(dirty) > 0 {
		t.Errorf("left on %v\n%s", dirty, worker.said.String())
	}

	// One that is decided, and its report.
	w.open(at + "/tunnels/demo")
	w.tabTo("e.textContent === 'Start'")
	w.enter()
	w.until("location.pathname.startsWith('/runs/') && " +
		"document.querySelector('[role=status]').innerText.includes('established')")
	w.sound("run")
	w.tabTo("e.id === 'report'")
	w.enter()
	w.until("location.pathname.endsWith('/report.html') && document.body.innerText.includes('IKE_SA_INIT')")
	if len(w.console) > 0 {
		t.Errorf("the report's console: %s", w.console)
	}
	l.must(t, "submit", "demo", "--until", "packets=2", "--wait")
	for _, page := range []string{"/", "/tunnels/demo", "/queue", "/schedules", "/audit", "/nosuch"} {
		w.console = nil
		w.open(at + page)
		if page == "/nosuch" {
			w.console = nil // Chromium says there that it is not found
		}
		w.sound("page" + strings.ReplaceAll(page, "/", "-"))
	}
	w.open(at + "/tunnels/demo")
	w.tabTo("e.textContent === 'diff'")
	w.enter()
	w.until("location.pathname.endsWith('/diff')")
	w.sound("diff")
	foreignOrigin(t, w, at)
	if strings.Contains(worker.said.String(), token) ||
		strings.Contains(w.eval("JSON.stringify(performance.getEntries())"), token) {
		t.Error("the token is in the log, or in an address")
	}
}

// foreignOrigin has a page of another origin try to start a run, with the login of who looks at it.
func foreignOrigin(t *testing.T, w *window, at string) {
	t.Helper()
	before := len(w.eval("document.title"))
	other := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(rw, `<!doctype html><title>x</title><form method="post" action="%s/tunnels/demo/runs"><button id="go">Win</button></form>`, at)
	}))
	defer other.Close()
	w.open(other.URL)
	w.eval("document.getElementById('go').click()")
	w.until("location.pathname === '/tunnels/demo/runs' && document.body.innerText.includes('another origin') && " +
		"document.body.innerText.includes('403')")
	w.open(at + "/queue")
	w.until("document.body.innerText.includes('Nothing waits, nothing runs')")
	if before == 0 {
		t.Error("there was no page before")
	}
}
