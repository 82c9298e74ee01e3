package render_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// browser is a headless Chromium that is driven over its pipe by the DevTools
// protocol (https://chromedevtools.github.io/devtools-protocol/): messages of JSON,
// each behind with a zero byte.
type browser struct {
	t       testing.TB
	in      *os.File
	out     *bufio.Reader
	id      int
	session string
	// What the page did since it was opened.
	console  []string
	requests []string
	loaded   bool
}

type protocolMessage struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// newBrowser starts Chromium, or skips the test where there is none and none is asked for.
func newBrowser(t testing.TB) *browser {
	t.Helper()
	bin, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("MONCAP_REFEREES") != "" {
			t.Fatal("chromium is not installed, and MONCAP_REFEREES wants it")
		}
		t.Skip("chromium is not installed")
	}
	profile := browserProfile(t)
	toChild, in := pipe(t)
	out, fromChild := pipe(t)
	cmd := exec.CommandContext(t.Context(), bin, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
		"--no-first-run", "--disable-background-networking", "--remote-debugging-pipe", "--user-data-dir="+profile)
	cmd.ExtraFiles = []*os.File{toChild, fromChild}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, in: in, out: bufio.NewReader(out)}
	t.Cleanup(func() {
		in.Close() // Chromium ends when its pipe does
		_ = cmd.Wait()
		out.Close()
	})
	toChild.Close()
	fromChild.Close()
	if err := out.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var session struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &session)
	b.session = session.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network", "Accessibility"} {
		b.call(domain+".enable", nil, nil)
	}
	return b
}

// browserProfile is a folder that is removed when Chromium's last process has left it: some outlive
// the first one.
func browserProfile(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "moncap-browser-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 50 {
			if err = os.RemoveAll(dir); err == nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Error(err)
	})
	return dir
}

func pipe(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

// call sends a command and reads until its answer; what happens in between is noted.
func (b *browser) call(method string, params, result any) {
	b.t.Helper()
	b.id++
	id := b.id
	message := map[string]any{"id": id, "method": method}
	if params != nil {
		message["params"] = params
	}
	if b.session != "" {
		message["sessionId"] = b.session
	}
	j, err := json.Marshal(message)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.in.Write(append(j, 0)); err != nil {
		b.t.Fatal(err)
	}
	for {
		m := b.read()
		if m.ID != id {
			continue
		}
		if m.Error != nil {
			b.t.Fatalf("%s: %s", method, m.Error.Message)
		}
		if result != nil {
			if err := json.Unmarshal(m.Result, result); err != nil {
				b.t.Fatal(err)
			}
		}
		return
	}
}

func (b *browser) read() protocolMessage {
	b.t.Helper()
	j, err := b.out.ReadBytes(0)
	if err != nil {
		b.t.Fatalf("chromium: %v", err)
	}
	var m protocolMessage
	if err := json.Unmarshal(bytes.TrimSuffix(j, []byte{0}), &m); err != nil {
		b.t.Fatal(err)
	}
	switch m.Method {
	case "Page.loadEventFired":
		b.loaded = true
	case "Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown":
		b.console = append(b.console, string(m.Params))
	case "Network.requestWillBeSent":
		var p struct {
			Request struct{ URL string }
		}
		if err := json.Unmarshal(m.Params, &p); err != nil {
			b.t.Fatal(err)
		}
		b.requests = append(b.requests, p.Request.URL)
	}
	return m
}

// open shows a page in a window of the width, in light or dark.
func (b *browser) open(html string, width int, scheme string) {
	b.t.Helper()
	file := filepath.Join(b.t.(interface{ TempDir() string }).TempDir(), "report.html")
	if err := os.WriteFile(file, []byte(html), 0o600); err != nil {
		b.t.Fatal(err)
	}
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1,
		"mobile": false}, nil)
	b.call("Emulation.setEmulatedMedia",
		map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	b.console, b.requests, b.loaded = nil, nil, false
	b.call("Page.navigate", map[string]any{"url": "file://" + file}, nil)
	for !b.loaded {
		b.read()
	}
}

// eval runs a script in the page and decodes what it returns.
func (b *browser) eval(script string, result any) {
	b.t.Helper()
	var answer struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	b.call("Runtime.evaluate", map[string]any{"expression": script, "returnByValue": true}, &answer)
	if len(answer.ExceptionDetails) > 0 {
		b.t.Fatalf("%s: %s", script, answer.ExceptionDetails)
	}
	if err := json.Unmarshal(answer.Result.Value, result); err != nil {
		b.t.Fatalf("%s: %v: %s", script, err, answer.Result.Value)
	}
}

func (b *browser) tab() {
	key := map[string]any{"type": "keyDown", "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}
	b.call("Input.dispatchKeyEvent", key, nil)
	key["type"] = "keyUp"
	b.call("Input.dispatchKeyEvent", key, nil)
}

// picture writes a screenshot of the whole page.
func (b *browser) picture(file string) {
	b.t.Helper()
	var shot struct{ Data string }
	b.call("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true}, &shot)
	b.save(file, shot.Data)
}

// print writes the page as it is printed.
func (b *browser) print(file string) {
	b.t.Helper()
	var pdf struct{ Data string }
	b.call("Page.printToPDF", map[string]any{"printBackground": false, "paperWidth": 8.27, "paperHeight": 11.69}, &pdf)
	b.save(file, pdf.Data)
}

func (b *browser) save(file, data string) {
	b.t.Helper()
	raw, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// roles are the roles and names of what a screen reader finds in the page.
func (b *browser) roles() map[string][]string {
	b.t.Helper()
	var tree struct {
		Nodes []struct {
			Ignored    bool
			Role, Name struct{ Value any }
		}
	}
	b.call("Accessibility.getFullAXTree", nil, &tree)
	out := map[string][]string{}
	for _, n := range tree.Nodes {
		if !n.Ignored {
			role := fmt.Sprint(n.Role.Value)
			name, _ := n.Name.Value.(string)
			out[role] = append(out[role], strings.TrimSpace(name))
		}
	}
	return out
}
