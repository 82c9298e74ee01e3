package event

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// hooked serves hooks, and returns a function that posts, and what events they took.
func hooked(t *testing.T) (post func(path, body string, header ...string) (int, []Taken), events *[]Event) {
	t.Helper()
	events = &[]Event{}
	h := &Hooks{
		Alertmanager: Proof{Token: "am-token"}, Generic: Proof{Token: "g-token", Secret: "g-secret"}, Label: "tunnel",
		Tunnel: "event.tags.0", Key: "event.id", Book: testBook,
		Take: func(_ context.Context, e Event) Taken {
			*events = append(*events, e)
			return Taken{Tunnel: e.Tunnel, Kind: e.Kind, Outcome: "started"}
		},
	}
	mux := http.NewServeMux()
	h.Register(mux)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return func(path, body string, header ...string) (int, []Taken) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		answer, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		b, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "secret") || strings.Contains(string(b), "token\"") {
			t.Errorf("the answer tells %s", b)
		}
		var got struct{ Events []Taken }
		if err := json.Unmarshal(b, &got); err != nil {
			t.Errorf("%s: %s: %v", path, b, err)
		}
		return answer.StatusCode, got.Events
	}, events
}

// A message as Alertmanager's documentation of webhook_config has it.
const amMessage = `{"version":"4","groupKey":"{}:{alertname=\"TunnelDown\"}","truncatedAlerts":0,"status":"firing","receiver":"moncap",
"groupLabels":{"alertname":"TunnelDown"},"commonLabels":{},"commonAnnotations":{},"externalURL":"http://am.example","alerts":[
{"status":"firing","labels":{"alertname":"TunnelDown","tunnel":"hub-s1"},"annotations":{"summary":"no \u001b[31mtraffic"},
 "startsAt":"2026-11-29T11:00:00.5Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"","fingerprint":"e2e0ff"},
{"status":"firing","labels":{"alertname":"TunnelDown","instance":"192.0.2.12:9100"},"annotations":{},"startsAt":"2026-11-29T11:00:00Z","endsAt":"0001-01-01T00:00:00Z"},
{"status":"resolved","labels":{"alertname":"TunnelDown","tunnel":"hub-s2"},"annotations":{},"startsAt":"2026-11-29T11:00:00Z","endsAt":"2026-11-29T11:10:00Z","fingerprint":"a"},
{"status":"firing","labels":{"alertname":"MoncapTunnel","tunnel":"hub-s2"},"annotations":{},"startsAt":"2026-11-29T11:00:00Z","endsAt":"0001-01-01T00:00:00Z","fingerprint":"b"},
{"status":"firing","labels":{"alertname":"TunnelDown","tunnel":"nowhere","instance":"s1"},"annotations":{},"startsAt":"2026-11-29T11:00:00Z","endsAt":"0001-01-01T00:00:00Z","fingerprint":"c"},
{"status":"firing","labels":{"alertname":"TunnelDown","instance":"hub"},"annotations":{},"startsAt":"2026-11-29T11:00:00Z","endsAt":"0001-01-01T00:00:00Z","fingerprint":"d"}]}`

func TestAlertmanagersMessages(t *testing.T) {
	post, events := hooked(t)
	const path = "/api/v1/hooks/alertmanager"
	status, taken := post(path, amMessage, "Authorization", "Bearer am-token")
	if status != http.StatusAccepted || len(taken) != 6 || len(*events) != 2 {
		t.Fatalf("%d, %+v, %+v", status, taken, *events)
	}
	first, second := (*events)[0], (*events)[1]
	if first.Tunnel != "hub-s1" || first.Key != "alertmanager/e2e0ff/2026-11-29T11:00:00.5Z" || first.Kind != Alert ||
		first.Text != "TunnelDown no  [31mtraffic" {
		t.Errorf("%+v", first)
	}
	if second.Tunnel != "hub-s2" || !strings.HasPrefix(second.Key, "alertmanager/") ||
		second.Key == "alertmanager//2026-11-29T11:00:00Z" {
		t.Errorf("by its instance: %+v", second)
	}
	for i, want := range []string{"it is not firing", "it is moncap's own", "it names no tunnel", "it names no tunnel"} {
		if taken[i].Outcome != "ignored" || !strings.HasPrefix(taken[i].Why, want) {
			t.Errorf("%+v, want %s", taken[i], want)
		}
	}
	for body, want := range map[string]int{
		"{": 400, "[]": 400, `{"version":"3","alerts":[]}`: 400, `{"version":"4","alerts":[]}`: 202,
		`{"version":"4","alerts":[{"status":"firing"}]}`:                        202,
		`{"version":"4","alerts":[` + strings.Repeat(`{},`, maxAlerts) + `{}]}`: 400,
		`{"version":"4","alerts":[{"startsAt":"x"}]}`:                           400,
		`{"version":"4", "x":"` + strings.Repeat("a", maxBody) + `"}`:           413,
	} {
		if status, _ := post(path, body, "Authorization", "Bearer am-token"); status != want {
			t.Errorf("%.60s: %d, want %d", body, status, want)
		}
	}
	if len(*events) != 2 {
		t.Errorf("%d events", len(*events))
	}
}

func signature(secret, body string, at time.Time) string {
	m := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(m, "%d.%s", at.Unix(), body)
	return fmt.Sprintf("t=%d,v1=%s", at.Unix(), hex.EncodeToString(m.Sum(nil)))
}

func TestHooksBelieveOnlyWhatIsProved(t *testing.T) {
	post, events := hooked(t)
	const path, header = "/api/v1/hooks/generic", "X-Moncap-Signature"
	body := `{"event":{"id":7,"tags":["hub-s2"]}}`
	right := signature("g-secret", body, time.Now())
	for what, c := range map[string]struct {
		header []string
		body   string
	}{
		"nothing":           {nil, body},
		"a wrong token":     {[]string{"Authorization", "Bearer am-token"}, body},
		"a wrong secret":    {[]string{header, signature("am-token", body, time.Now())}, body},
		"another body":      {[]string{header, right}, strings.Replace(body, "s2", "s1", 1)},
		"an old one":        {[]string{header, signature("g-secret", body, time.Now().Add(-6*time.Minute))}, body},
		"one of the future": {[]string{header, signature("g-secret", body, time.Now().Add(6*time.Minute))}, body},
		"no time":           {[]string{header, "v1=" + strings.SplitN(right, "v1=", 2)[1]}, body},
		"no sum":            {[]string{header, strings.SplitN(right, ",", 2)[0]}, body},
		"an empty token":    {[]string{"Authorization", "Bearer "}, body},
	} {
		if status, _ := post(path, c.body, c.header...); status != http.StatusUnauthorized &&
			status != http.StatusTooManyRequests {
			t.Errorf("%s: %d", what, status)
		}
	}
	if len(*events) != 0 {
		t.Fatalf("taken: %+v", *events)
	}
	if status, _ := post(path, body); status != http.StatusTooManyRequests {
		t.Errorf("after many wrong ones: %d", status)
	}
	if status, taken := post(path, body, header, right); status != http.StatusAccepted || len(taken) != 1 {
		t.Errorf("the right one, after them: %d, %+v", status, taken)
	}
	if status, _ := post(path, body, header, right); status != http.StatusTooManyRequests {
		t.Errorf("the same one again: %d", status)
	}
	if status, _ := post(path, body, "Authorization", "Bearer g-token"); status != http.StatusAccepted {
		t.Errorf("a token: %d", status)
	}
	if len(*events) != 2 || (*events)[0].Tunnel != "hub-s2" || (*events)[0].Key != "generic/7" {
		t.Errorf("%+v", *events)
	}
	for body, want := range map[string]int{
		`{"event":{"id":"x","tags":["nowhere"]}}`: 202, `{"event":{"id":"x","tags":[]}}`: 400,
		`{"event":{"id":"x","tags":[7]}}`: 400,
		`{"event":{"tags":["hub-s2"]}}`:   400, `null`: 400, `"hub-s2"`: 400, `{`: 400,
	} {
		if status, _ := post(path, body, "Authorization", "Bearer g-token"); status != want {
			t.Errorf("%s: %d, want %d", body, status, want)
		}
	}
	if len(*events) != 2 {
		t.Errorf("%+v", *events)
	}
}

func TestAHookWithoutAProofIsNotThere(t *testing.T) {
	mux := http.NewServeMux()
	(&Hooks{Alertmanager: Proof{Token: "x"}}).Register(mux)
	for path, want := range map[string]int{"/api/v1/hooks/generic": http.StatusNotFound,
		"/api/v1/hooks/alertmanager": http.StatusUnauthorized} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, strings.NewReader("{}")))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
}

func TestSignaturesThatAreRememberedAreBounded(t *testing.T) {
	h, at := &Hooks{}, time.Unix(1_800_000_000, 0)
	n := 0
	for i := range maxSeen + 100 {
		body := fmt.Sprint(i)
		if h.signed("s", signature("s", body, at), []byte(body), at) {
			n++
		}
	}
	if n != maxSeen || len(h.seen) != maxSeen {
		t.Errorf("%d are taken, %d remembered", n, len(h.seen))
	}
	at = at.Add(time.Hour)
	if !h.signed("s", signature("s", "new", at), []byte("new"), at) || len(h.seen) != 1 {
		t.Errorf("an hour later %d are remembered", len(h.seen))
	}
	for i := range 5000 {
		h.offends(fmt.Sprintf("192.0.2.1%d:1", i), at)
	}
	if len(h.wrong) > maxOffender {
		t.Errorf("%d addresses are remembered", len(h.wrong))
	}
}

// Ids of 64 bits that a float could not tell apart are of two events.
func TestLargeKeysAreToldApart(t *testing.T) {
	post, events := hooked(t)
	for _, id := range []string{"9007199254740993", "9007199254740992"} {
		if status, _ := post("/api/v1/hooks/generic", `{"event":{"id":`+id+`,"tags":["hub-s2"]}}`, "Authorization",
			"Bearer g-token"); status != http.StatusAccepted {
			t.Errorf("%s: %d", id, status)
		}
	}
	if len(*events) != 2 || (*events)[0].Key == (*events)[1].Key {
		t.Errorf("%+v", *events)
	}
}
