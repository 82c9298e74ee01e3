package render_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/moncap/moncap/analysis/render"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/testdata"
)

func page(t testing.TB, r *report.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := render.HTML(&b, r,
		render.HTMLOptions{Transcripts: map[report.Side]string{report.A: "hq-gw#show clock\n<b>"}}); err != nil {
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
	outside := regexp.MustCompile(
		`(?i)<script|<link[^>]+href="[^d]|src=|@import|url\(|https?://|\son\w+=|[\x00-\x08\x0b-\x1f\x{202e}]`)
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

// pageState is what a script in the page sees of it.
type pageState struct {
	Arrows, Findings, Rows int
	Wide                   bool // something is broader than the window
	Background             string
	Low                    []string // texts without enough contrast
	Small                  []string // links of the ladder that a finger misses
	Broken                 []string // names that a line ends in the middle of
}

const pageScript = `(() => {
  const lum = c => { const [r, g, b] = c.match(/[\d.]+/g).slice(0, 3).map(v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4 });
    return .2126 * r + .7152 * g + .0722 * b };
  const back = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (c !== 'rgba(0, 0, 0, 0)') return c } return 'rgb(255,255,255)' };
  const low = [];
  for (const e of document.querySelectorAll('body *')) {
    if (!e.checkVisibility() || ![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    const a = lum(getComputedStyle(e).color), b = lum(back(e));
    if ((Math.max(a, b) + .05) / (Math.min(a, b) + .05) < 7) low.push(e.textContent.slice(0, 40));
  }
  const small = [...document.querySelectorAll('.refs a')].filter(e => e.checkVisibility() && Math.min(e.offsetWidth, e.offsetHeight) < 24).map(e => e.outerHTML);
  const broken = [...document.querySelectorAll('.w')].filter(e => e.textContent.length < 20 && e.offsetHeight > 1.9 * parseFloat(getComputedStyle(e).lineHeight)).map(e => e.textContent);
  return {small, broken, arrows: document.querySelectorAll('svg.arrow').length, findings: document.querySelectorAll('article.finding').length,
    rows: document.querySelectorAll('.row[tabindex]').length,
    wide: document.documentElement.scrollWidth > document.documentElement.clientWidth, background: getComputedStyle(document.body).backgroundColor, low};
})()`

func TestBrowser(t *testing.T) {
	b := newBrowser(t)
	for name, r := range pages(t) {
		html := page(t, r)
		for _, width := range []int{1280, 400} {
			for scheme, background := range map[string]string{"light": "rgb(255, 255, 255)", "dark": "rgb(18, 22, 27)"} {
				b.open(html, width, scheme)
				var s pageState
				b.eval(pageScript, &s)
				at := fmt.Sprintf("%s, %d pixels, %s", name, width, scheme)
				if want := transmissions(r) + len(r.Flows); s.Arrows != want || s.Findings != len(r.Findings) {
					t.Errorf("%s: %d arrows and %d findings, want %d and %d", at, s.Arrows, s.Findings, want, len(r.Findings))
				}
				if s.Wide || s.Background != background {
					t.Errorf("%s: too wide: %v; background %s, want %s", at, s.Wide, s.Background, background)
				}
				if len(s.Small) > 0 || len(s.Broken) > 0 {
					t.Errorf("%s: too small (WCAG 2.2, 2.5.8): %q; broken: %q", at, s.Small, s.Broken)
				}
				if len(s.Low) > 0 {
					t.Errorf("%s: not enough contrast (WCAG 2.2, 1.4.6): %q", at, s.Low)
				}
				if out := os.Getenv("MONCAP_SCREENSHOTS"); out != "" {
					b.picture(filepath.Join(out, fmt.Sprintf("%s-%d-%s.png", name, width, scheme)))
				}
			}
		}
		keyboard(t, b, name, len(r.Findings))
		screenReader(t, b, name)
		if len(b.console) > 0 {
			t.Errorf("%s: console: %s", name, b.console)
		}
		for _, url := range b.requests {
			if !strings.HasPrefix(url, "file://") && url != "data:," {
				t.Errorf("%s: the page asked for %s", name, url)
			}
		}
		if out := os.Getenv("MONCAP_SCREENSHOTS"); out != "" {
			b.print(filepath.Join(out, name+".pdf"))
		}
	}
}

// keyboard walks through the page with Tab: every row of the ladder and every finding must come by,
// with a visible outline, and a row must show its message's payloads, in a place of their own: what
// covers the next row could not be put away without a script (WCAG 2.2, 1.4.13).
func keyboard(t *testing.T, b *browser, name string, findings int) {
	t.Helper()
	type focus struct {
		ID, Outline string
		Tip         bool
	}
	reached := map[string]focus{}
	for range 3000 {
		b.tab()
		var f focus
		b.eval(`(e => { const s = getComputedStyle(e), t = e.querySelector(':scope > .tip'); return {id: e === document.body ? 'body' : e.id,
			outline: s.outlineStyle, tip: !t || getComputedStyle(t).display === 'block' && t.getBoundingClientRect().bottom <= e.getBoundingClientRect().bottom} })(document.activeElement)`, &f)
		if f.ID == "body" {
			break
		}
		reached[f.ID] = f
	}
	var rows []string
	b.eval(`[...document.querySelectorAll('.row[tabindex]')].map(e => e.id)`, &rows)
	for i := range findings {
		rows = append(rows, fmt.Sprintf("f%d", i+1))
	}
	for _, id := range rows {
		if f, ok := reached[id]; !ok || f.Outline == "none" || !f.Tip {
			t.Errorf("%s: #%s by keyboard: reached %v, %+v", name, id, ok, f)
		}
	}
}

// screenReader checks that the page has its landmarks, one title, and a table that says what the
// ladder draws.
func screenReader(t *testing.T, b *browser, name string) {
	t.Helper()
	var summaries int
	b.eval(`(l => { l.forEach(e => e.open = true); return l.length })(document.querySelectorAll('details'))`, &summaries)
	roles := b.roles()
	for _, want := range []string{"main", "banner", "navigation", "contentinfo", "table", "region", "list"} {
		if len(roles[want]) == 0 {
			t.Errorf("%s: a screen reader finds no %s", name, want)
		}
	}
	var unnamed []string
	b.eval(`[...document.querySelectorAll('a, [tabindex], summary')].filter(e => !(e.textContent.trim() || e.getAttribute('aria-label'))).map(e => e.outerHTML)`, &unnamed)
	var titles int
	b.eval(`document.querySelectorAll('h1').length`, &titles)
	if len(unnamed) > 0 || titles != 1 {
		t.Errorf("%s: without a name: %q; %d titles", name, unnamed, titles)
	}
}

// pages are the reports that a browser is to show: the made ones and some incidents, all of them
// for pictures.
func pages(t *testing.T) map[string]*report.Report {
	all := fixtures()
	for _, name := range []string{"nat-pat", "blocked-a-to-b", "ip-fragments-lost"} {
		all[name], _ = incident(t, name)
	}
	if os.Getenv("MONCAP_SCREENSHOTS") != "" {
		incidents, err := testdata.List()
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range incidents {
			all[i.Name], _ = incident(t, i.Name)
		}
	}
	return all
}

// TestWhatASmallScreenHidesIsCounted: of a row's findings a small screen shows two, and how many
// more there are.
func TestWhatASmallScreenHidesIsCounted(t *testing.T) {
	r := blocked()
	for len(r.Findings) < 5 {
		r.Findings = append(r.Findings, r.Findings[0])
	}
	for i := range r.Findings {
		r.Findings[i].Evidence = []report.Evidence{{Side: report.A, Frame: 1}}
	}
	if want := fmt.Sprintf(`<b class="more">+%d</b>`, len(r.Findings)-2); !strings.Contains(page(t, r), want) {
		t.Errorf("there is no %s", want)
	}
}
