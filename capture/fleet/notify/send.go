package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Target is where messages go, with the secrets that open it. However it is printed, it shows its
// name alone.
type Target struct {
	Name, Type string
	URL        string
	Key        string // of PagerDuty
	Secret     string // that signs webhooks
	Token      string // Authorization: Bearer
	From       string
	To         []string
	Username   string
	Password   string
	Roots      *x509.CertPool // nil: the system's
}

// String returns the name.
func (t Target) String() string { return t.Name + " (" + t.Type + ")" }

// GoString returns the name.
func (t Target) GoString() string { return t.String() }

// Error says why a message did not arrive. It holds no secret.
type Error struct {
	Target string
	What   string
	// After is how long the receiver wants to be left alone; 0: it did not say.
	After time.Duration
	// Final says that trying again comes to the same.
	Final bool
}

func (e *Error) Error() string { return "notify " + e.Target + ": " + e.What }

// limit is how long a message may take.
const limit = 20 * time.Second

// maxAfter bounds how long a receiver can put us off.
const maxAfter = time.Hour

// Send tells a target once. The error is an *Error.
func Send(ctx context.Context, t Target, m Message) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	m.Schema = Schema
	if t.Type == "smtp" {
		return sendMail(ctx, t, m)
	}
	write, ok := posts[t.Type]
	if !ok {
		return &Error{Target: t.Name, What: "there are no targets of type " + t.Type, Final: true}
	}
	p, err := write(t, m)
	if err != nil {
		return &Error{Target: t.Name, What: t.masked(err.Error()), Final: true}
	}
	return t.post(ctx, p)
}

// post is a message as one kind of receiver takes it.
type post struct {
	url    string
	body   []byte
	header map[string]string
}

// posts write messages for each type of target.
var posts = map[string]func(Target, Message) (post, error){
	"webhook": webhook, "slack": slack, "teams": teams, "pagerduty": pagerDuty, "alertmanager": alertmanager, "ntfy": ntfy,
}

func (t Target) post(ctx context.Context, p post) error {
	if why := t.unsafe(p.url); why != "" {
		return &Error{Target: t.Name, What: why, Final: true}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(p.body))
	if err != nil {
		return &Error{Target: t.Name, What: "its URL cannot be read", Final: true}
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "moncap")
	if t.Token != "" {
		r.Header.Set("Authorization", "Bearer "+t.Token)
	}
	for k, v := range p.header {
		r.Header.Set(k, v)
	}
	tr := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, TLSHandshakeTimeout: limit / 2,
		TLSClientConfig: &tls.Config{RootCAs: t.Roots, MinVersion: tls.VersionTLS12},
	}
	client := &http.Client{
		Transport: tr,
		// A redirect would take what opens this target to another one.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Do(r)
	if err != nil {
		return &Error{Target: t.Name, What: t.masked(withoutURL(err))}
	}
	defer answer.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(answer.Body, 4<<10)) // it is for people, and may be cut
	if answer.StatusCode >= 200 && answer.StatusCode < 300 {
		return nil
	}
	return &Error{
		Target: t.Name, What: strings.TrimRight(t.masked(answer.Status)+": "+t.excerpt(said), ": "),
		After: retryAfter(answer.Header.Get("Retry-After"), time.Now()), Final: final(answer.StatusCode),
	}
}

// final says whether the same message meets the same answer: it is what the receiver cannot read.
// One that is not let in, or not found, may be when somebody has mended that.
func final(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity,
		http.StatusUnsupportedMediaType:
		return true
	}
	return status >= 300 && status < 400
}

// retryAfter reads Retry-After: seconds, or a date (RFC 9110, Section 10.2.3).
func retryAfter(s string, now time.Time) time.Duration {
	if s == "" {
		return 0
	}
	d := time.Duration(0)
	if n, err := strconv.ParseInt(s, 10, 32); err == nil {
		d = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(s); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), maxAfter)
}

// unsafe says why something secret must not go to a URL: it would go in clear.
func (t Target) unsafe(address string) string {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Hostname() == "":
		return "its URL cannot be read"
	case u.Scheme == "https" || loopback(u.Hostname()):
		return ""
	case u.Scheme != "http":
		return "its URL is neither https:// nor http://"
	case t.Token != "" || t.Key != "" || t.Type == "slack" || t.Type == "teams" || u.User != nil:
		return "its URL is http://, and what opens the target would pass in clear: use https://"
	}
	return ""
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// withoutURL is an error of a client without the URL, which may be a secret, but for what could not
// be reached.
func withoutURL(err error) string {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("no answer in %s", limit)
	case errors.Is(err, context.Canceled):
		return "moncap ends"
	}
	if d, ok := errors.AsType[*net.DNSError](err); ok {
		return "its host's name is not found: " + d.Err
	}
	return err.Error()
}

// masked is a text without what opens the target, whole or as parts of its URL.
func (t Target) masked(s string) string {
	hidden := []string{t.Key, t.Secret, t.Token, t.Password, t.URL}
	if u, err := url.Parse(t.URL); err == nil {
		if p, set := u.User.Password(); set {
			hidden = append(hidden, p)
		}
		hidden = append(hidden, u.RequestURI(), u.RawQuery)
		for _, part := range strings.Split(u.Path, "/") {
			if len(part) >= 8 {
				hidden = append(hidden, part)
			}
		}
	}
	for _, h := range hidden {
		if len(h) > 3 {
			s = strings.ReplaceAll(s, h, "***")
		}
	}
	return s
}

// excerpt is the beginning of what a receiver answered, on one line. What opens the target is taken
// out before the cut, which would leave a part of it.
func (t Target) excerpt(b []byte) string {
	s := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, t.masked(strings.ToValidUTF8(string(b), " ")))
	return cut(strings.Join(strings.Fields(s), " "), 120)
}

// Sign signs a body, as X-Moncap-Signature has it: "t=SECONDS,v1=HEX", the HMAC-SHA-256
// of "SECONDS.BODY".
func Sign(secret string, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(t + "."))
	h.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(h.Sum(nil))
}
