package page

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"
)

// policy is what a page of ours may load and do: its own style, script and pictures, and nothing of
// anybody else.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// guard is what every request passes: how long and how much, for which name, and from which page.
func (s *Server) guard(next http.Handler) http.Handler {
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.deny(w, r, http.StatusForbidden, "a page of another origin asked for it")
	}))
	protected := origin.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		r = s.withCaller(r)
		if encrypted(r) {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		if c := callerOf(r); c.inClear && !strings.HasPrefix(r.URL.Path, "/healthz") &&
			!strings.HasPrefix(r.URL.Path, "/readyz") {
			s.deny(w, r, http.StatusForbidden, "tokens do not travel in clear: ask for it by the proxy that encrypts")
			return
		}
		if !s.knowsHost(r) {
			s.deny(w, r, http.StatusMisdirectedRequest, "this is not the name of this page: moncap serve --host names it")
			return
		}
		if !utf8.ValidString(r.URL.Path) || strings.ContainsRune(r.URL.Path, 0) { // nothing is called so
			s.deny(w, r, http.StatusNotFound, "there is no such page")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, bodyLimit)
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTime)) // a recorder of a test has none
		protected.ServeHTTP(w, r)
	})
}

// caller is from where a request comes, as far as who brings it may say so.
type caller struct {
	address   string
	encrypted bool
	socket    bool
	inClear   bool // others on the way read it: past the proxy, or over a proxy that says so
}

type callerKey struct{}

func callerOf(r *http.Request) caller {
	c, _ := r.Context().Value(callerKey{}).(caller)
	return c
}

func encrypted(r *http.Request) bool { return callerOf(r).encrypted }

// withCaller finds out from where a request comes. A proxy that is trusted says for whom it asks:
// the last address that it was not itself is taken, which it added itself; what stands before that
// anybody can write.
func (s *Server) withCaller(r *http.Request) *http.Request {
	c := caller{address: r.RemoteAddr, encrypted: r.TLS != nil}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		c.address = host
	}
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && local.Network() == "unix" {
		c.address, c.socket = "unix socket", true
	}
	c.inClear = !c.encrypted && !c.socket && !onLoopback(r)
	if c.socket && s.o.ProxySocket || s.trusts(c.address) {
		proto := r.Header.Get("X-Forwarded-Proto")
		c.encrypted = c.encrypted || strings.EqualFold(proto, "https")
		c.inClear = strings.EqualFold(proto, "http")
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for i := len(hops) - 1; i >= 0; i-- {
			hop, ok := hopOf(hops[i])
			if !ok {
				break
			}
			c.address = hop.Unmap().String()
			if !s.trusts(c.address) {
				break
			}
		}
	}
	ctx := context.WithValue(r.Context(), callerKey{}, c)
	return r.WithContext(ctx)
}

// hopOf is an address of X-Forwarded-For; some proxies put the port behind it.
func hopOf(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	if at, err := netip.ParseAddrPort(text); err == nil {
		return at.Addr(), true
	}
	a, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return a, err == nil
}

// onLoopback says whether a connection arrived at an address that this machine alone reaches. What
// came over none, as in a test, did so.
func onLoopback(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return true
	}
	at, err := netip.ParseAddrPort(local.String())
	return err == nil && at.Addr().Unmap().IsLoopback()
}

func (s *Server) trusts(address string) bool {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	for _, p := range s.o.Proxies {
		if p.Contains(a.Unmap().WithZone("")) {
			return true
		}
	}
	return false
}

// knowsHost keeps a name that somebody points at this address from being one of this page (DNS
// rebinding). The address itself, at which the connection arrived, is no such name.
func (s *Server) knowsHost(r *http.Request) bool {
	name := r.Host
	if host, _, err := net.SplitHostPort(r.Host); err == nil {
		name = host
	}
	name = strings.TrimSuffix(strings.ToLower(strings.Trim(name, "[]")), ".")
	for _, h := range s.o.Hosts {
		// A certificate may be for all names of a domain, of one more part (RFC 9525, Section 6.3).
		if _, domain, ok := strings.Cut(name, "."); strings.EqualFold(h, name) || ok && strings.EqualFold(h, "*."+domain) {
			return true
		}
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	if local.Network() == "unix" {
		return name == "localhost" || name == "moncap"
	}
	at, err := netip.ParseAddrPort(local.String())
	if err != nil {
		return false
	}
	own := at.Addr().Unmap().WithZone("")
	if name == "localhost" {
		return own.IsLoopback()
	}
	asked, err := netip.ParseAddr(name)
	return err == nil && asked.Unmap() == own
}
