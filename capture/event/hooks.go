package event

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The bounds of hooks.
const (
	maxBody     = 1 << 20
	maxAlerts   = 1000            // of one message
	maxSkew     = 5 * time.Minute // between the clock that signed and ours; a signature counts once for so long
	maxSeen     = 10_000          // signatures that are remembered
	maxWrong    = 5               // wrong proofs a minute from an address, before it is told to slow down
	maxOffender = 1000            // addresses that are remembered for them
)

// Proof says how a program proves that it may tell of events. One of the two at least is set;
// either will do.
type Proof struct {
	Token  string // Authorization: Bearer TOKEN
	Secret string // of X-Moncap-Signature: t=SECONDS,v1=HEX, the HMAC-SHA-256 of "SECONDS.BODY"
}

// Hooks take events over HTTP. They are safe for several goroutines.
type Hooks struct {
	Alertmanager, Generic Proof
	Label                 string // of Alertmanager's alerts: the one that names the tunnel
	Tunnel, Key           string // of generic messages: where the tunnel, and what tells two apart, are in the body
	Book                  func() *Book
	// Take does what is to be done for an event, and says what that was.
	Take func(ctx context.Context, e Event) Taken

	mu    sync.Mutex
	seen  map[string]time.Time // signatures, until when they are remembered
	wrong map[string]offender
}

type offender struct {
	since time.Time
	n     int
}

// Taken is what became of an event.
type Taken struct {
	Tunnel  string `json:"tunnel,omitempty"`
	Kind    Kind   `json:"kind,omitempty"`
	Outcome string `json:"outcome"` // started, held or ignored
	Run     string `json:"run,omitempty"`
	Why     string `json:"why,omitempty"`
}

// Register puts the hooks that have a proof into a mux.
func (h *Hooks) Register(mux *http.ServeMux) {
	if h.Alertmanager != (Proof{}) {
		mux.HandleFunc("POST /api/v1/hooks/alertmanager", h.serve(h.Alertmanager, h.alerts))
	}
	if h.Generic != (Proof{}) {
		mux.HandleFunc("POST /api/v1/hooks/generic", h.serve(h.Generic, h.generic))
	}
}

func (h *Hooks) serve(p Proof, read func(body []byte, now time.Time) ([]Event, []Taken, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		now := time.Now()
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			status := http.StatusBadRequest
			if _, large := errors.AsType[*http.MaxBytesError](err); large {
				status = http.StatusRequestEntityTooLarge
			}
			answer(w, status, map[string]any{"error": "the body cannot be read, or has more than 1 MB"})
			return
		}
		if !h.proved(p, r.Header, body, now) {
			status := http.StatusUnauthorized
			if h.offends(r.RemoteAddr, now) {
				w.Header().Set("Retry-After", "60")
				status = http.StatusTooManyRequests
			}
			answer(w, status, map[string]any{"error": "want Authorization: Bearer TOKEN, or a fresh X-Moncap-Signature"})
			return
		}
		events, taken, err := read(body, now)
		if err != nil {
			answer(w, http.StatusBadRequest, map[string]any{"error": err.Error()})
			return
		}
		for _, e := range events {
			taken = append(taken, h.Take(r.Context(), e))
		}
		if taken == nil {
			taken = []Taken{}
		}
		answer(w, http.StatusAccepted, map[string]any{"events": taken})
	}
}

func answer(w http.ResponseWriter, status int, what any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(what) // whoever asked may be gone
}

func (h *Hooks) proved(p Proof, header http.Header, body []byte, now time.Time) bool {
	if token, ok := strings.CutPrefix(header.Get("Authorization"), "Bearer "); ok && p.Token != "" {
		a, b := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(p.Token))
		return hmac.Equal(a[:], b[:])
	}
	return p.Secret != "" && h.signed(p.Secret, header.Get("X-Moncap-Signature"), body, now)
}

// signed checks a signature, which counts once.
func (h *Hooks) signed(secret, signature string, body []byte, now time.Time) bool {
	var stamp, sum string
	for part := range strings.SplitSeq(signature, ",") {
		switch name, value, _ := strings.Cut(strings.TrimSpace(part), "="); name {
		case "t":
			stamp = value
		case "v1":
			sum = value
		}
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	got, wrong := hex.DecodeString(sum)
	if err != nil || wrong != nil || now.Sub(time.Unix(seconds, 0)).Abs() > maxSkew {
		return false
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(stamp + "."))
	mac.Write(body)
	if !hmac.Equal(got, mac.Sum(nil)) {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.seen == nil {
		h.seen = map[string]time.Time{}
	}
	key := string(got)
	if until, again := h.seen[key]; again && now.Before(until) {
		return false
	}
	if len(h.seen) >= maxSeen {
		for k, until := range h.seen {
			if !now.Before(until) {
				delete(h.seen, k)
			}
		}
	}
	if len(h.seen) >= maxSeen { // more are not taken than can be told apart
		return false
	}
	h.seen[key] = now.Add(2*maxSkew + time.Second)
	return true
}

// offends counts a wrong proof of an address, and says whether they are too many.
func (h *Hooks) offends(remote string, now time.Time) bool {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.wrong) >= maxOffender || h.wrong == nil {
		h.wrong = map[string]offender{}
	}
	o := h.wrong[host]
	if now.Sub(o.since) > time.Minute {
		o = offender{since: now}
	}
	o.n++
	h.wrong[host] = o
	return o.n > maxWrong
}

// webhook is what Alertmanager posts ("Configuration", <webhook_config>), version 4.
type webhook struct {
	Version string  `json:"version"`
	Alerts  []alert `json:"alerts"`
}

type alert struct {
	Status      string            `json:"status"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt"`
	Fingerprint string            `json:"fingerprint"`
}

// ownAlerts begin the names of the alerts that moncap itself sends: one that came back would have
// each run start another.
const ownAlerts = "Moncap"

func (h *Hooks) alerts(body []byte, now time.Time) (events []Event, taken []Taken, err error) {
	var w webhook
	if err := json.Unmarshal(body, &w); err != nil {
		return nil, nil, fmt.Errorf("it is no message of Alertmanager: %w", err)
	}
	switch {
	case w.Version != "4":
		return nil, nil, errors.New(`it is no message of Alertmanager: want "version": "4"`)
	case len(w.Alerts) > maxAlerts:
		return nil, nil, fmt.Errorf("more than %d alerts in one message", maxAlerts)
	}
	for _, a := range w.Alerts {
		e, why := h.alertOf(a, now)
		if why != "" {
			taken = append(taken, Taken{Tunnel: printable(a.Labels[h.Label], 63), Kind: Alert, Outcome: "ignored", Why: why})
			continue
		}
		events = append(events, e)
	}
	return events, taken, nil
}

func (h *Hooks) alertOf(a alert, now time.Time) (e Event, why string) {
	if a.Status != "firing" {
		return e, "it is not firing"
	}
	name := a.Labels["alertname"]
	if strings.HasPrefix(name, ownAlerts) {
		return e, "it is moncap's own"
	}
	tunnel := h.tunnelOf(a.Labels[h.Label])
	if tunnel == "" && a.Labels[h.Label] == "" {
		instance := a.Labels["instance"]
		if host, _, err := net.SplitHostPort(instance); err == nil {
			instance = host
		}
		tunnel, _ = h.Book().TunnelOf(instance)
	}
	if tunnel == "" {
		return e, "it names no tunnel of the inventory, in the label " + h.Label +
			", and no router with one tunnel alone, in instance"
	}
	if a.Fingerprint == "" {
		labels, _ := json.Marshal(a.Labels) // of strings
		sum := sha256.Sum256(labels)
		a.Fingerprint = hex.EncodeToString(sum[:8])
	}
	return Event{
		Tunnel: tunnel, Kind: Alert, At: now, Source: FromAlertmanager,
		Text: printable(name+" "+a.Annotations["summary"], MaxText),
		// An alert that goes on firing is told again and again.
		Key: printable("alertmanager/"+a.Fingerprint+"/"+a.StartsAt.UTC().Format(time.RFC3339Nano), 200),
	}, ""
}

// tunnelOf is a name that a tunnel of the book has, else that of the one tunnel of a router.
func (h *Hooks) tunnelOf(name string) string {
	if name == "" {
		return ""
	}
	b := h.Book()
	if b.Has(name) {
		return name
	}
	t, _ := b.TunnelOf(name)
	return t
}

func (h *Hooks) generic(body []byte, now time.Time) (events []Event, taken []Taken, err error) {
	if !json.Valid(body) {
		return nil, nil, errors.New("the body is no JSON")
	}
	var doc any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber() // ids of 64 bits, of which a float makes one of two
	if err := d.Decode(&doc); err != nil {
		return nil, nil, fmt.Errorf("the body is no JSON: %w", err)
	}
	name, ok := at(doc, h.Tunnel).(string)
	if !ok {
		return nil, nil, fmt.Errorf("the body has no text at %s", h.Tunnel)
	}
	tunnel := h.tunnelOf(name)
	if tunnel == "" {
		return nil, []Taken{{Tunnel: printable(name, 63), Kind: Alert, Outcome: "ignored",
			Why: "the inventory has no such tunnel, and no router with one tunnel alone"}}, nil
	}
	e := Event{Tunnel: tunnel, Kind: Alert, At: now, Source: FromGeneric, Text: printable("told of "+name, MaxText)}
	if h.Key != "" {
		switch v := at(doc, h.Key).(type) {
		case string:
			e.Key = v
		case json.Number, bool:
			e.Key = fmt.Sprint(v)
		}
		if e.Key == "" {
			return nil, nil, fmt.Errorf("the body has nothing at %s", h.Key)
		}
		e.Key = printable("generic/"+e.Key, 200)
	}
	return []Event{e}, nil, nil
}

// at is what a document has at a path such as event.tags.0; nil: nothing.
func at(doc any, path string) any {
	for part := range strings.SplitSeq(path, ".") {
		switch v := doc.(type) {
		case map[string]any:
			doc = v[part]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(v) {
				return nil
			}
			doc = v[i]
		default:
			return nil
		}
	}
	return doc
}
