package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	secretPart = "T0SECRET/B0SECRET/hunter2hunter2"
	routingKey = "R0123456789abcdef0123456789abcde"
)

// messages are one of each action, plain, and such as bad luck makes them.
func messages() map[string]Message {
	at := time.Date(2026, 11, 29, 2, 31, 7, 0, time.UTC)
	m := Message{
		ID: "0f0e", Key: "moncap/hq-branch/path-blocked", Action: Trigger, At: at, Since: at, Why: "changed",
		Severity: "critical",
		Title:    "Packets vanish between the two sides", Tunnel: "hq-branch", Site: "emea", Code: "path-blocked",
		Run:   "20261129-023000-abcdef",
		Cause: "schedule nightly@2026-11-29T01:30:00Z", Outcome: "failed", Before: "established",
		Findings: []Finding{{"path-blocked", "critical", "Packets vanish between the two sides"},
			{"clock-skew", "warning", "The clocks differ"}},
	}
	resolve := m
	resolve.Action, resolve.Outcome, resolve.Since, resolve.Findings = Resolve, "established", at.Add(-time.Hour), nil
	detailed := m
	detailed.Details = &Details{"192.0.2.1 never answered <site-a> & [x](y)", []string{"site-a", "site-b"},
		[]string{"192.0.2.1:22", "192.0.2.2:22"}, "site-a: a\nsite-b: b"}
	long := detailed
	long.Title, long.Findings = strings.Repeat("ä<&>", 2000), nil
	for i := range 400 {
		long.Findings = append(long.Findings, Finding{fmt.Sprint("code-", i), "warning", strings.Repeat("w&", 50)})
	}
	long.Key = "moncap/" + strings.Repeat("ü", 300)
	digest := Message{ID: "digest-noc-1", Key: "moncap/digest/noc", Action: Digest, At: at, Severity: "warning",
		Title: "1 of 2 tunnels established", Left: 3,
		Tunnels: []Line{{"a", "failed", "path-blocked", at}, {"b", "never run", "", time.Time{}}}}
	test := Message{ID: "t", Key: "moncap/test/noc", Action: Test, At: at, Severity: "info", Title: "a test", Code: "test"}
	return map[string]Message{"trigger": m, "resolve": resolve, "details": detailed, "long": long, "digest": digest,
		"test": test}
}

// received is what a receiver got.
type received struct {
	path   string
	header http.Header
	body   []byte
}

// receiver answers each message as told, and keeps it.
func receiver(t *testing.T, status int, header ...string) (address string, got *[]received) {
	t.Helper()
	got = &[]received{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		*got = append(*got, received{r.URL.Path, r.Header, b})
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		fmt.Fprintf(w, "you sent %s to http://%s%s", r.Header.Get("Authorization"), r.Host, r.URL.Path)
	}))
	t.Cleanup(s.Close)
	return s.URL, got
}

func target(kind, address string) Target {
	path := map[string]string{"slack": "/services/" + secretPart, "teams": "/workflows/" + secretPart,
		"ntfy": "/vpn-alerts", "webhook": "/hook"}[kind]
	t := Target{Name: "noc", Type: kind, URL: address + path}
	switch kind {
	case "pagerduty":
		t.Key = routingKey
	case "webhook":
		t.Secret = "hunter2hunter2"
	default:
		t.Token = "hunter2hunter2"
	}
	return t
}

// Each kind of receiver gets what its maker's documentation says that it takes; the schemas of
// testdata are written after it.
func TestBodiesAreWhatTheirReceiversTake(t *testing.T) {
	for _, kind := range []string{"webhook", "slack", "teams", "pagerduty", "alertmanager", "ntfy"} {
		schema, err := jsonschema.NewCompiler().Compile(filepath.Join("testdata", kind+".json"))
		if err != nil {
			t.Fatal(err)
		}
		for name, m := range messages() {
			address, got := receiver(t, http.StatusAccepted)
			to := target(kind, address)
			if err := Send(t.Context(), to, m); err != nil {
				t.Errorf("%s, %s: %v", kind, name, err)
				continue
			}
			r := (*got)[0]
			doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(r.body)))
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(doc); err != nil {
				t.Errorf("%s, %s: %v\n%.600s", kind, name, err, r.body)
			}
			if r.header.Get("Content-Type") != "application/json" {
				t.Errorf("%s: content type %q", kind, r.header.Get("Content-Type"))
			}
			if m.Details == nil && strings.Contains(string(r.body), "192.0.2.") {
				t.Errorf("%s, %s tells an address: %s", kind, name, r.body)
			}
			if name == "details" && !strings.Contains(string(r.body), "192.0.2.1:22") {
				t.Errorf("%s leaves out the details: %s", kind, r.body)
			}
			if kind == "teams" && len(r.body) > 28<<10 || kind == "ntfy" && len(r.body) > 6<<10 {
				t.Errorf("%s, %s: %d bytes", kind, name, len(r.body))
			}
			if kind != "pagerduty" && strings.Contains(string(r.body), "hunter2") {
				t.Errorf("%s, %s: a secret is in the body", kind, name)
			}
		}
	}
}

// fields reads what a receiver got.
func fields[T any](t *testing.T, kind string, m Message) (T, received) {
	t.Helper()
	address, got := receiver(t, http.StatusOK)
	if err := Send(t.Context(), target(kind, address), m); err != nil {
		t.Fatal(err)
	}
	var v T
	if err := json.Unmarshal((*got)[0].body, &v); err != nil {
		t.Fatal(err)
	}
	return v, (*got)[0]
}

func TestWhatIsToldIsResolvedByTheSameKey(t *testing.T) {
	all := messages()
	type event struct {
		Action   string         `json:"event_action"`
		DedupKey string         `json:"dedup_key"`
		Payload  map[string]any `json:"payload"`
	}
	trigger, _ := fields[event](t, "pagerduty", all["trigger"])
	resolve, _ := fields[event](t, "pagerduty", all["resolve"])
	if trigger.Action != "trigger" || resolve.Action != "resolve" || trigger.DedupKey != resolve.DedupKey ||
		trigger.DedupKey != "moncap/hq-branch/path-blocked" ||
		trigger.Payload["severity"] != "critical" || trigger.Payload["source"] != "hq-branch" || resolve.Payload != nil {
		t.Errorf("%+v\n%+v", trigger, resolve)
	}
	type alerts []struct {
		Labels           map[string]string
		StartsAt, EndsAt time.Time
	}
	first, r := fields[alerts](t, "alertmanager", all["trigger"])
	second, _ := fields[alerts](t, "alertmanager", all["resolve"])
	if r.path != "/api/v2/alerts" || r.header.Get("Authorization") != "Bearer hunter2hunter2" {
		t.Errorf("%s, %v", r.path, r.header)
	}
	if fmt.Sprint(first[0].Labels) != fmt.Sprint(second[0].Labels) || first[0].Labels["tunnel"] != "hq-branch" ||
		first[0].Labels["code"] != "path-blocked" {
		t.Errorf("labels %v, then %v", first[0].Labels, second[0].Labels)
	}
	if first[0].EndsAt.Sub(first[0].StartsAt) < 24*time.Hour || second[0].EndsAt.After(time.Now()) ||
		!second[0].StartsAt.Before(first[0].StartsAt) {
		t.Errorf("%+v\n%+v", first, second)
	}
}

func TestWebhooksAreSigned(t *testing.T) {
	m := messages()["trigger"]
	_, r := fields[Message](t, "webhook", m)
	parts := strings.Split(r.header.Get("X-Moncap-Signature"), ",")
	stamp, sum := strings.TrimPrefix(parts[0], "t="), strings.TrimPrefix(parts[1], "v1=")
	h := hmac.New(sha256.New, []byte("hunter2hunter2"))
	h.Write([]byte(stamp + "." + string(r.body)))
	if sum != hex.EncodeToString(h.Sum(nil)) || r.header.Get("X-Moncap-Delivery") != m.ID ||
		r.header.Get("Authorization") != "" {
		t.Errorf("%v", r.header)
	}
}

func TestSlackAndTeamsReadNoMarkup(t *testing.T) {
	_, r := fields[map[string]any](t, "slack", messages()["details"])
	if s := string(r.body); strings.Contains(s, "<site-a>") || !strings.Contains(s, `&lt;site-a&gt; &amp; `) {
		t.Errorf("%s", s)
	}
	_, r = fields[map[string]any](t, "teams", messages()["details"])
	if s := string(r.body); strings.Contains(s, "[x](y)") {
		t.Errorf("%s", s)
	}
}

// What a receiver answers says whether, and when, it is tried again; what opens it is in no error.
func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		status int
		header []string
		final  bool
		after  time.Duration
	}{
		{500, nil, false, 0}, {503, []string{"Retry-After", "120"}, false, 2 * time.Minute},
		{429, []string{"Retry-After", "7"}, false, 7 * time.Second},
		{429, []string{"Retry-After", time.Now().Add(2 * maxAfter).UTC().Format(http.TimeFormat)}, false, maxAfter},
		{429, []string{"Retry-After", "99999999"}, false, time.Hour}, {429, []string{"Retry-After", "soon"}, false, 0},
		{429, []string{"Retry-After", "-5"}, false, 0},
		{400, nil, true, 0}, {401, nil, false, 0}, {404, nil, false, 0}, {422, nil, true, 0}, {413, nil, true, 0},
		{307, []string{"Location", "http://203.0.113.1/"}, true, 0},
	} {
		for _, kind := range []string{"slack", "teams", "ntfy", "alertmanager", "webhook", "pagerduty"} {
			address, got := receiver(t, c.status, c.header...)
			err := Send(t.Context(), target(kind, address), messages()["trigger"])
			e, ok := errors.AsType[*Error](err)
			if !ok {
				t.Errorf("%s, %d: %v", kind, c.status, err)
				continue
			}
			if e.Final != c.final || e.After != c.after || len(*got) != 1 {
				t.Errorf("%s, %d %v: %+v, %d requests", kind, c.status, c.header, e, len(*got))
			}
			if s := err.Error(); strings.Contains(s, "hunter2") || strings.Contains(s, "SECRET") ||
				!strings.HasPrefix(s, "notify noc: ") {
				t.Errorf("%s: the error is %s", kind, s)
			}
		}
	}
}

func TestErrorsOfTheNetworkHaveNoSecrets(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	for _, kind := range []string{"slack", "teams", "ntfy", "alertmanager", "webhook", "pagerduty"} {
		to := target(kind, closed.URL)
		for _, address := range []string{to.URL, "http://127.0.0.1:1/" + secretPart, "http://[::1/" + secretPart,
			"http://moncap.invalid/" + secretPart, "https://hunter2hunter2@moncap.invalid/", "://" + secretPart} {
			to.URL = address
			err := Send(t.Context(), to, messages()["trigger"])
			if err == nil {
				t.Fatalf("%s to %s: no error", kind, address)
			}
			if s := err.Error() + fmt.Sprintf("%v %+v %#v", to, to, to); strings.Contains(s, "hunter2") ||
				strings.Contains(s, "SECRET") {
				t.Errorf("%s: %s", kind, s)
			}
		}
	}
}

func TestNothingSecretGoesInClear(t *testing.T) {
	for _, to := range []Target{
		{Name: "n", Type: "slack", URL: "http://hooks.example/x"}, {Name: "n", Type: "teams", URL: "http://hooks.example/x"},
		{Name: "n", Type: "pagerduty", URL: "http://pd.example/", Key: routingKey},
		{Name: "n", Type: "ntfy", URL: "http://ntfy.example/t", Token: "x"},
		{Name: "n", Type: "alertmanager", URL: "http://am.example", Token: "x"},
		{Name: "n", Type: "webhook", URL: "http://u:p@h.example/"},
		{Name: "n", Type: "webhook", URL: "ftp://h.example/"},
	} {
		e, ok := errors.AsType[*Error](Send(t.Context(), to, messages()["trigger"]))
		if !ok || !e.Final || !strings.Contains(e.What, "http") {
			t.Errorf("%s: %v", to.Type, e)
		}
	}
}

func TestASilentReceiverIsLeft(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err := Send(ctx, target("webhook", s.URL), messages()["trigger"])
	if e, ok := errors.AsType[*Error](err); !ok || e.Final || !strings.Contains(e.What, "no answer") {
		t.Errorf("%v", err)
	}
}

func TestRetryAfterIsReadAgainstTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := time.Now().Add(10 * time.Minute).UTC().Format(http.TimeFormat)
		if d := retryAfter(at, time.Now()); (d - 10*time.Minute).Abs() > time.Second {
			t.Errorf("%s", d)
		}
		time.Sleep(time.Hour)
		if d := retryAfter(at, time.Now()); d != 0 {
			t.Errorf("of the past: %s", d)
		}
	})
}

func TestAnUnknownTypeIsFinal(t *testing.T) {
	for _, to := range []Target{{Name: "n", Type: "fax"}, {Name: "n", Type: "ntfy", URL: "https://ntfy.example/"},
		{Name: "n", Type: "ntfy", URL: "https://ntfy.example/a b"}} {
		if e, ok := errors.AsType[*Error](Send(t.Context(), to, Message{})); !ok || !e.Final {
			t.Errorf("%+v", e)
		}
	}
}

// What a receiver says is cut for people, and what opens the target is taken out before: no part of
// it is left at the cut.
func TestACutLeavesNoPartOfASecret(t *testing.T) {
	const token = "0123456789abcdefghijklmnopqrstuvwxyz"
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, strings.Repeat("x", 100), " ", r.Header.Get("Authorization"))
	}))
	defer s.Close()
	err := Send(t.Context(), Target{Name: "noc", Type: "webhook", URL: s.URL, Token: token}, messages()["trigger"])
	if err == nil || strings.Contains(err.Error(), token[:4]) {
		t.Errorf("%v", err)
	}
}
