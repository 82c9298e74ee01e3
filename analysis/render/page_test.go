package render_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/render"
	"github.com/moncap/moncap/analysis/report"
)

func page(t testing.TB, r *report.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := render.HTML(&b, r, render.HTMLOptions{Transcripts: map[report.Side]string{report.A: "hq-gw#show clock\n<b>"}}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var counted = regexp.MustCompile(`data-count="(\d+)"`)

// drawn sums the transmissions that a page shows, as arrows of their own or folded.
func drawn(t *testing.T, html string) int {
	n := 0
	for _, m := range counted.FindAllStringSubmatch(html, -1) {
		k, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		n += k
	}
	return n
}

func transmissions(r *report.Report) int {
	n := 0
	for _, c := range r.Conversations {
		for _, m := range c.Messages {
			n += len(m.Transmissions)
		}
	}
	return n
}

func TestPageDrawsEveryTransmission(t *testing.T) {
	for name, r := range fixtures() {
		html := page(t, r)
		if got, want := drawn(t, html), transmissions(r); got != want {
			t.Errorf("%s: %d transmissions are drawn, want %d", name, got, want)
		}
		if got, want := strings.Count(html, `class="arrow"`), transmissions(r)+len(r.Flows); got != want {
			t.Errorf("%s: %d arrows, want %d", name, got, want)
		}
	}
}

func TestPageIsClosed(t *testing.T) {
	outside := regexp.MustCompile(`(?i)<script|<link[^>]+href="[^d]|src=|@import|url\(|https?://|\son\w+=|[\x00-\x08\x0b-\x1f\x{202e}]`)
	for name, r := range fixtures() {
		if m := outside.FindString(page(t, r)); m != "" {
			t.Errorf("%s: the page holds %q", name, m)
		}
	}
}

func TestPageLinksLead(t *testing.T) {
	href, id := regexp.MustCompile(`href="#([^"]+)"`), regexp.MustCompile(`\bid="([^"]+)"`)
	for name, r := range fixtures() {
		html, ids := page(t, r), map[string]bool{}
		for _, m := range id.FindAllStringSubmatch(html, -1) {
			if ids[m[1]] {
				t.Errorf("%s: id %s twice", name, m[1])
			}
			ids[m[1]] = true
		}
		for _, m := range href.FindAllStringSubmatch(html, -1) {
			if !ids[m[1]] {
				t.Errorf("%s: link to #%s leads nowhere", name, m[1])
			}
		}
	}
}

func TestLongPageIsFolded(t *testing.T) {
	r := long(20000)
	html := page(t, r)
	if len(html) > 20<<20 {
		t.Errorf("%d bytes", len(html))
	}
	if got := drawn(t, html); got != 20000 {
		t.Errorf("%d transmissions are accounted for, want 20000", got)
	}
}

func BenchmarkHTML20000(b *testing.B) {
	r := long(20000)
	for b.Loop() {
		page(b, r)
	}
}

func chromium(t *testing.T, args ...string) string {
	t.Helper()
	bin, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	common := []string{"--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr", "--user-data-dir=" + t.TempDir()}
	cmd := exec.CommandContext(ctx, bin, append(common, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("chromium: %v\n%s", err, errs.String())
	}
	for line := range strings.Lines(errs.String()) {
		if strings.Contains(line, ":CONSOLE") {
			t.Errorf("console: %s", line)
		}
	}
	return out.String()
}

// probe is a script for the test alone: what a keyboard reaches, and what the page fetched.
const probe = `<script>
const r = {arrows: document.querySelectorAll('svg.arrow').length, findings: 0, fetched: performance.getEntriesByType('resource').length,
  wide: document.documentElement.scrollWidth > window.innerWidth, bg: getComputedStyle(document.body).backgroundColor};
for (const f of document.querySelectorAll('article.finding')) { f.focus(); if (document.activeElement === f) r.findings++; }
document.documentElement.innerHTML = 'PROBE' + JSON.stringify(r) + 'END';
</script></body>`

func TestBrowser(t *testing.T) {
	r := blocked()
	html := page(t, r)
	dir := t.TempDir()
	file := filepath.Join(dir, "report.html")
	plain := filepath.Join(dir, "plain.html")
	html2 := strings.Replace(html, "default-src 'none';", "default-src 'none'; script-src 'unsafe-inline';", 1)
	if err := os.WriteFile(file, []byte(strings.Replace(html2, "</body>", probe, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(plain, []byte(html), 0o600); err != nil {
		t.Fatal(err)
	}
	chromium(t, "--dump-dom", "file://"+plain)
	for _, dark := range []bool{false, true} {
		args := []string{"--window-size=500,900", "--dump-dom", "file://" + file}
		background := `"rgb(255, 255, 255)"`
		if dark {
			args = append([]string{"--blink-settings=preferredColorScheme=0"}, args...)
			background = `"rgb(18, 22, 27)"`
		}
		want := fmt.Sprintf(`"arrows":%d,"findings":%d,"fetched":0,"wide":false,"bg":%s`, transmissions(r), len(r.Findings), background)
		if got := chromium(t, args...); !strings.Contains(got, want) {
			t.Errorf("dark %v: %s\nwant %s", dark, got, want)
		}
	}
	if out := os.Getenv("MONCAP_SCREENSHOTS"); out != "" {
		for name, r := range fixtures() {
			shoot(t, out, name, page(t, r))
		}
	}
}

// shoot takes the pictures that are to be looked at.
func shoot(t *testing.T, dir, name, html string) {
	file := filepath.Join(dir, name+".html")
	if err := os.WriteFile(file, []byte(html), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, width := range []int{1280, 500} {
		chromium(t, fmt.Sprintf("--window-size=%d,2200", width), fmt.Sprintf("--screenshot=%s/%s-%d.png", dir, name, width), "file://"+file)
	}
}
