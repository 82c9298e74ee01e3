package page

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/moncap/moncap/capture/fleet"
)

// loginLasts is how long somebody is logged in.
const loginLasts = 12 * time.Hour

// cookieName is the cookie's, which holds the secret of a login. Browsers take one that begins with
// __Host- over encrypted connections alone, and send it to nobody else; on loopback without
// encryption there is no such thing (RFC 6265bis, Section 4.1.3.2).
func cookieName(r *http.Request) string {
	if encrypted(r) {
		return "__Host-moncap"
	}
	return "moncap"
}

func cookie(r *http.Request, value string, age time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: cookieName(r), Value: value, Path: "/", MaxAge: int(age.Seconds()),
		HttpOnly: true, Secure: encrypted(r), SameSite: http.SameSiteStrictMode,
	}
}

// person is who asks.
type person struct {
	fleet.Token
	byCookie bool
}

var (
	errStranger = errors.New("log in first")
	errTooMany  = errors.New("too many wrong tokens from this address: wait a minute")
)

// who finds out who asks: by the token of the request, or by the cookie of a login.
func (s *Server) who(r *http.Request) (person, error) {
	ctx, cancel := context.WithTimeout(r.Context(), askTime)
	defer cancel()
	r = r.WithContext(ctx)
	if header := r.Header.Get("Authorization"); header != "" {
		kind, secret, _ := strings.Cut(header, " ")
		if !strings.EqualFold(kind, "Bearer") {
			return person{}, errStranger
		}
		t, err := s.show(r, strings.TrimSpace(secret))
		return person{Token: t}, err
	}
	c, err := r.Cookie(cookieName(r))
	if err != nil || c.Value == "" {
		return person{}, errStranger
	}
	t, err := s.o.Store.LoggedIn(r.Context(), c.Value)
	if errors.Is(err, fleet.ErrNoToken) {
		err = errStranger
	}
	return person{Token: t, byCookie: true}, err
}

// show takes a token that somebody shows, unless too many wrong ones came from there.
func (s *Server) show(r *http.Request, secret string) (fleet.Token, error) {
	from := callerOf(r).address
	if !s.wrong.may(from, time.Now()) {
		return fleet.Token{}, errTooMany
	}
	t, err := s.o.Store.Authenticate(r.Context(), secret)
	if errors.Is(err, fleet.ErrNoToken) {
		s.log.Warn("a wrong token", "from", from)
		if !s.wrong.note(from, time.Now()) { // of many at once
			err = errTooMany
		}
	}
	return t, err
}

// failures counts wrong tokens by where they come from.
type failures struct {
	mu   sync.Mutex
	from map[string][]time.Time
}

// The limit of wrong tokens, and of addresses that are kept in mind.
const (
	wrongTokens = 5
	wrongWithin = time.Minute
	wrongKept   = 10_000
)

func newFailures() *failures { return &failures{from: map[string][]time.Time{}} }

// source is what is counted as one: an address, or the network of an IPv6 one, of which a customer
// has all.
func source(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil || a.Is4() {
		return address
	}
	p, err := a.WithZone("").Prefix(64)
	if err != nil {
		return address
	}
	return p.String()
}

func (f *failures) may(address string, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(recent(f.from[source(address)], now)) < wrongTokens
}

// note counts a wrong one in, unless it is one too many.
func (f *failures) note(address string, now time.Time) (may bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.from) >= wrongKept {
		for k, times := range f.from {
			if len(recent(times, now)) == 0 {
				delete(f.from, k)
			}
		}
		if len(f.from) >= wrongKept { // from everywhere at once: then nobody's are counted from before
			clear(f.from)
		}
	}
	k := source(address)
	before := recent(f.from[k], now)
	if len(before) >= wrongTokens {
		return false
	}
	f.from[k] = append(before, now)
	return true
}

func recent(times []time.Time, now time.Time) []time.Time {
	for len(times) > 0 && now.Sub(times[0]) > wrongWithin {
		times = times[1:]
	}
	return times
}

// localPath is where a login leads to: a page of ours, whatever the address says.
func localPath(next string) string {
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") ||
		strings.HasPrefix(next, "/login") || strings.HasPrefix(next, "/logout") {
		return "/"
	}
	return next
}

func (s *Server) loginPage(w http.ResponseWriter, r *http.Request) {
	s.showPage(w, r, http.StatusOK, person{}, "login", loginView{Next: localPath(r.FormValue("next"))})
}

type loginView struct{ Next, Problem string }

func (s *Server) logIn(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil { // no wrong token, but none: too much was sent, or too slowly
		s.fail(w, r, problem{400, "the form cannot be read"})
		return
	}
	next := localPath(r.PostFormValue("next"))
	secret, err := "", error(nil)
	t, err := s.show(r, strings.TrimSpace(r.PostFormValue("token")))
	if err == nil {
		secret, err = s.o.Store.LogIn(fleet.WithOrigin(r.Context(), callerOf(r).address), t.Name, loginLasts)
	}
	switch {
	case errors.Is(err, fleet.ErrNoToken):
		s.showPage(w, r, http.StatusUnauthorized, person{}, "login",
			loginView{next, "There is no such token. It may have been removed."})
	case errors.Is(err, errTooMany):
		w.Header().Set("Retry-After", "60")
		s.showPage(w, r, http.StatusTooManyRequests, person{}, "login",
			loginView{next, "Too many wrong tokens came from your address. Try again in a minute."})
	case err != nil:
		s.fail(w, r, err)
	default:
		http.SetCookie(w, cookie(r, secret, loginLasts))
		http.Redirect(w, r, next, http.StatusSeeOther)
	}
}

func (s *Server) logOut(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(cookieName(r)); err == nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), askTime)
		defer cancel()
		if err := s.o.Store.LogOut(ctx, c.Value); err != nil {
			s.fail(w, r, err)
			return
		}
	}
	http.SetCookie(w, cookie(r, "", -time.Second))
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}
