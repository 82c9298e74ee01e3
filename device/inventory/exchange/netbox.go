package exchange

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// NetBox says how to ask a NetBox.
type NetBox struct {
	URL    string       // such as https://netbox.example.net
	Token  string       // of the API; "": anonymous
	Filter url.Values   // of /api/dcim/devices/, such as platform=iosxe or tag=vpn
	Limit  int          // devices at most
	Client *http.Client // nil: one that ends after 30 s a request and follows no redirection
}

const (
	netboxPage    = 250
	netboxMaxBody = 32 << 20
)

// netboxDevice is a device, as far as it is read (/api/dcim/devices/).
type netboxDevice struct {
	Name     string `json:"name"`
	Platform *struct {
		Slug string `json:"slug"`
	} `json:"platform"`
	PrimaryIP *struct {
		Address string `json:"address"`
	} `json:"primary_ip"`
}

// netboxTermination is an end of a VPN tunnel (/api/vpn/tunnel-terminations/,
// NetBox 3.7 and later).
type netboxTermination struct {
	Tunnel struct {
		Name string `json:"name"`
	} `json:"tunnel"`
	Role struct {
		Value string `json:"value"`
	} `json:"role"`
	Termination struct {
		Name   string `json:"name"`
		Device *struct {
			Name string `json:"name"`
		} `json:"device"`
	} `json:"termination"`
	OutsideIP *struct {
		Address string `json:"address"`
	} `json:"outside_ip"`
}

// ReadNetBox asks a NetBox for its routers and VPN tunnels. pairs is as for Read.
func ReadNetBox(ctx context.Context, nb NetBox, pairs []byte) (*Draft, error) {
	base, err := url.Parse(strings.TrimRight(nb.URL, "/"))
	if err != nil || base.Host == "" || base.User != nil || base.Scheme != "https" && base.Scheme != "http" {
		return nil, errors.New("NetBox: want its address, such as https://netbox.example.net, without a user or token in it")
	}
	if a, err := netip.ParseAddr(base.Hostname()); base.Scheme == "http" && nb.Token != "" &&
		(err != nil || !a.IsLoopback()) {
		return nil, errors.New("NetBox: a token is not sent in clear: want https://")
	}
	if nb.Client == nil {
		nb.Client = &http.Client{Timeout: 30 * time.Second}
	}
	client := *nb.Client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	nb.Client = &client
	d := &Draft{From: "netbox"}
	filter := nb.Filter
	if filter == nil {
		filter = url.Values{}
	}
	devices, err := netboxAll[netboxDevice](ctx, nb, base, "/api/dcim/devices/", filter, nb.Limit)
	if err != nil {
		return nil, err
	}
	for _, dev := range devices {
		p, platform := &Peer{Name: dev.Name}, ""
		if dev.Name == "" {
			continue // a device without a name cannot be meant
		}
		if dev.Platform != nil {
			platform = dev.Platform.Slug
		}
		if dev.PrimaryIP != nil {
			p.Host, _, _ = strings.Cut(dev.PrimaryIP.Address, "/")
		}
		d.take(p, platform, "platform")
	}
	ends, err := netboxAll[netboxTermination](ctx, nb, base, "/api/vpn/tunnel-terminations/", url.Values{}, 4*nb.Limit)
	switch gone := (*netboxError)(nil); {
	case errors.As(err, &gone) && gone.status == http.StatusNotFound:
		d.note(dropped, base.Host,
			"VPN tunnels: this NetBox has none in its API (3.7 and later do); name pairs with --tunnels")
	case err != nil:
		return nil, err
	}
	d.netboxTunnels(ends)
	return d, d.complete(pairs)
}

// netboxTunnels joins the ends: two peers, or a hub with each of its spokes.
func (d *Draft) netboxTunnels(ends []netboxTermination) {
	peers := map[string]*Peer{}
	for _, p := range d.Peers {
		peers[p.Name] = p
	}
	type tunnel struct{ hubs, others []string }
	all, order := map[string]*tunnel{}, []string{}
	for _, e := range ends {
		name := e.Tunnel.Name
		if all[name] == nil {
			all[name] = &tunnel{}
			order = append(order, name)
		}
		if e.Termination.Device == nil || peers[e.Termination.Device.Name] == nil {
			d.note(dropped, name, "an end of a tunnel that is at no router of the source")
			continue
		}
		p := peers[e.Termination.Device.Name]
		p.candidate(e.Termination.Name)
		if e.OutsideIP != nil {
			p.Address, _, _ = strings.Cut(e.OutsideIP.Address, "/")
		}
		if e.Role.Value == "hub" {
			all[name].hubs = append(all[name].hubs, p.Name)
		} else {
			all[name].others = append(all[name].others, p.Name)
		}
	}
	for _, name := range order {
		t := all[name]
		switch {
		case len(t.hubs) == 0 && len(t.others) == 2 && t.others[0] != t.others[1]:
			d.Tunnels = append(d.Tunnels, Tunnel{Name: goodName(name), A: goodName(t.others[0]), B: goodName(t.others[1])})
		case len(t.hubs) == 1 && len(t.others) > 0:
			for _, spoke := range t.others {
				d.Tunnels = append(d.Tunnels, Tunnel{Name: goodName(name + "-" + spoke), A: goodName(t.hubs[0]), B: goodName(spoke),
					Tags: []string{goodName(name)}})
			}
		default:
			d.note(dropped, name, "a tunnel that is neither two routers nor a hub with spokes")
		}
	}
}

// netboxError is an answer that is not what was asked for.
type netboxError struct {
	path   string
	status int
}

func (e *netboxError) Error() string {
	why := ""
	switch e.status {
	case http.StatusUnauthorized, http.StatusForbidden:
		why = ": the token is not good, or may not read this"
	case http.StatusNotFound:
		why = ": is this the address of a NetBox?"
	case http.StatusMovedPermanently, http.StatusFound, http.StatusPermanentRedirect, http.StatusTemporaryRedirect:
		why = ": it sends elsewhere, and a token is not taken there; give that address"
	}
	return fmt.Sprintf("NetBox: %s answers %d %s%s", e.path, e.status, http.StatusText(e.status), why)
}

// netboxAll reads all pages of a list. What the pages say is the next one is not followed: it is
// asked for by offset, so that an answer cannot send the token elsewhere.
func netboxAll[T any](ctx context.Context, nb NetBox, base *url.URL, path string, filter url.Values,
	limit int) ([]T, error) {
	var all []T
	for {
		q := url.Values{"limit": {strconv.Itoa(netboxPage)}, "offset": {strconv.Itoa(len(all))}}
		for k, v := range filter {
			q[k] = v
		}
		page, total, err := netboxGet[T](ctx, nb, base, path, q)
		if err != nil {
			return nil, err
		}
		if total > limit {
			return nil, fmt.Errorf("NetBox: %s has %d entries; choose fewer with --filter, or allow more with --limit", path,
				total)
		}
		all = append(all, page...)
		if len(page) == 0 || len(all) >= total {
			return all, nil
		}
	}
}

func netboxGet[T any](ctx context.Context, nb NetBox, base *url.URL, path string,
	q url.Values) (page []T, total int, err error) {
	at := base.JoinPath(path)
	at.Path = strings.TrimRight(at.Path, "/") + "/"
	at.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, 0, fmt.Errorf("NetBox: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	if nb.Token != "" {
		req.Header.Set("Authorization", "Token "+nb.Token)
	}
	resp, err := nb.Client.Do(req)
	if err != nil {
		return nil, 0, fmt.Errorf("NetBox: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, 0, &netboxError{path, resp.StatusCode}
	}
	var answer struct {
		Count   int `json:"count"`
		Results []T `json:"results"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, netboxMaxBody)).Decode(&answer); err != nil {
		return nil, 0, fmt.Errorf("NetBox: %s: want its JSON: %w", path, err)
	}
	return answer.Results, answer.Count, nil
}
