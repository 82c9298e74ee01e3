package notify

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/moncap/moncap/internal/lazyregexp"
)

func encoded(address string, body any) (post, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // it is for no page, and bodies have limits
	err := e.Encode(body)
	return post{url: address, body: bytes.TrimSpace(b.Bytes())}, err
}

// webhook posts the message itself, signed.
func webhook(t Target, m Message) (post, error) {
	p, err := encoded(t.URL, m)
	p.header = map[string]string{"X-Moncap-Delivery": m.ID}
	if t.Secret != "" {
		p.header["X-Moncap-Signature"] = Sign(t.Secret, time.Now(), p.body)
	}
	return p, err
}

// The bounds of PagerDuty's Events API v2 ("Send an alert event").
const (
	maxDedupKey = 255
	maxSummary  = 1024
)

// pagerDuty writes an event of PagerDuty's Events API v2: trigger, or resolve by the dedup key.
func pagerDuty(t Target, m Message) (post, error) {
	type payload struct {
		Summary   string  `json:"summary"`
		Source    string  `json:"source"`
		Severity  string  `json:"severity"`
		Timestamp string  `json:"timestamp"`
		Component string  `json:"component,omitempty"`
		Group     string  `json:"group,omitempty"`
		Class     string  `json:"class,omitempty"`
		Custom    Message `json:"custom_details"`
	}
	event := struct {
		RoutingKey string   `json:"routing_key"`
		Action     string   `json:"event_action"`
		DedupKey   string   `json:"dedup_key"`
		Client     string   `json:"client,omitempty"`
		Payload    *payload `json:"payload,omitempty"`
	}{RoutingKey: t.Key, Action: "trigger", DedupKey: cutBytes(m.Key, maxDedupKey)}
	if m.Action == Resolve {
		event.Action = "resolve"
		return encoded(t.URL, event)
	}
	source := m.Tunnel
	if source == "" {
		source = "moncap"
	}
	event.Client = "moncap"
	event.Payload = &payload{
		Summary: m.Subject(maxSummary), Source: source, Severity: m.Severity, Timestamp: m.At.UTC().Format(time.RFC3339Nano),
		Component: m.Tunnel, Group: m.Site, Class: m.Code, Custom: m,
	}
	return encoded(t.URL, event)
}

// openAlert is how long Alertmanager keeps an alert that nobody ends. It is told of one once, and
// would take one without an end for resolved after its resolve_timeout, five minutes.
const openAlert = 30 * 24 * time.Hour

// alertmanager writes alerts of Alertmanager's API v2 (postableAlerts). The labels tell alerts
// apart, so they are of the tunnel and the finding alone, and those of the resolving one are those
// of the first.
func alertmanager(t Target, m Message) (post, error) {
	labels := map[string]string{"alertname": "MoncapTunnel", "tunnel": m.Tunnel, "code": m.Code, "severity": m.Severity,
		"site": m.Site}
	for k, v := range labels {
		if v == "" {
			delete(labels, k)
		}
	}
	since := m.Since
	if since.IsZero() {
		since = m.At
	}
	ends := m.At.Add(openAlert)
	switch m.Action {
	case Resolve:
		ends = time.Now()
	case Test:
		labels["alertname"], ends = "MoncapTest", m.At.Add(5*time.Minute)
	}
	alert := map[string]any{
		"labels": labels, "startsAt": since.UTC().Format(time.RFC3339Nano), "endsAt": ends.UTC().Format(time.RFC3339Nano),
		"annotations": map[string]string{"summary": m.Subject(200), "description": strings.TrimSpace(m.text())},
	}
	address := strings.TrimRight(t.URL, "/")
	if !strings.HasSuffix(address, "/api/v2/alerts") {
		address += "/api/v2/alerts"
	}
	return encoded(address, []any{alert})
}

// The bounds of Slack's Block Kit ("Blocks", "Text object").
const (
	maxSlackHeader  = 150
	maxSlackText    = 2900 // of 3000, before & < and > are escaped
	maxSlackFields  = 10
	maxSlackContext = 1900
)

// slack writes a message of Slack's incoming webhooks, in blocks, with a text for notifications.
func slack(t Target, m Message) (post, error) {
	plain := func(s string) map[string]any { return map[string]any{"type": "plain_text", "text": s} }
	marked := func(s string) map[string]any { return map[string]any{"type": "mrkdwn", "text": slackEscaped(s)} }
	blocks := []any{map[string]any{"type": "header", "text": plain(m.Subject(maxSlackHeader))}}
	var fields []any
	for _, f := range m.facts() {
		if len(fields) < maxSlackFields {
			fields = append(fields,
				map[string]any{"type": "mrkdwn", "text": "*" + f.name + "*\n" + slackEscaped(cut(f.value, 1000))})
		}
	}
	if len(fields) > 0 {
		blocks = append(blocks, map[string]any{"type": "section", "fields": fields})
	}
	if lines := m.lines(); len(lines) > 0 {
		text := ""
		for _, l := range lines {
			if len(slackEscaped(text+l))+2 > maxSlackText {
				break
			}
			text += "• " + l + "\n"
		}
		if text == "" {
			text = cut(lines[0], maxSlackText/2)
		}
		blocks = append(blocks, map[string]any{"type": "section", "text": marked(text)})
	}
	if m.Run != "" {
		blocks = append(blocks, map[string]any{
			"type": "context", "elements": []any{marked(cut("moncap report "+m.Run, maxSlackContext))},
		})
	}
	return encoded(t.URL, map[string]any{"text": slackEscaped(m.Subject(maxSlackText / 5)), "blocks": blocks})
}

// slackEscaped keeps a text from being a link, a mention or a format ("Formatting text
// for app surfaces").
func slackEscaped(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

// teams writes an Adaptive Card for a workflow of Teams ("Post to a channel when a webhook request
// is received").
func teams(t Target, m Message) (post, error) {
	color := map[string]string{"critical": "Attention", "warning": "Warning"}[m.Severity]
	if m.Action == Resolve {
		color = "Good"
	}
	if color == "" {
		color = "Default"
	}
	block := func(text string, more map[string]any) map[string]any {
		b := map[string]any{"type": "TextBlock", "text": text, "wrap": true}
		for k, v := range more {
			b[k] = v
		}
		return b
	}
	body := []any{block(plainCard(m.Subject(300)), map[string]any{"size": "Large", "weight": "Bolder", "color": color})}
	var facts []any
	for _, f := range m.facts() {
		facts = append(facts, map[string]any{"title": f.name, "value": plainCard(cut(f.value, 500))})
	}
	if len(facts) > 0 {
		body = append(body, map[string]any{"type": "FactSet", "facts": facts})
	}
	size := 0
	for _, l := range m.lines() {
		if size += len(l) + 80; size > 14_000 { // a message of Teams has at most 28 KB, and that is counted generously
			break
		}
		body = append(body, block(plainCard(l), map[string]any{"spacing": "Small"}))
	}
	if m.Run != "" {
		body = append(body,
			block(plainCard("moncap report "+m.Run), map[string]any{"isSubtle": true, "fontType": "Monospace"}))
	}
	return encoded(t.URL, map[string]any{"type": "message", "attachments": []any{map[string]any{
		"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": nil,
		"content": map[string]any{
			"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
			"body": body,
		},
	}}})
}

// plainCard keeps a text from being Markdown, which TextBlocks read.
func plainCard(s string) string {
	return strings.NewReplacer("[", "\\[", "]", "\\]", "*", "\\*", "_", "\\_").Replace(s)
}

var topicForm = lazyregexp.New(`^[-_A-Za-z0-9]{1,64}$`)

// ntfy publishes as JSON, to the topic that the URL ends with.
func ntfy(t Target, m Message) (post, error) {
	u, err := url.Parse(t.URL)
	if err != nil {
		return post{}, errors.New("its URL cannot be read")
	}
	at := strings.LastIndexByte(u.Path, '/')
	if at < 0 || !topicForm.Get().MatchString(u.Path[at+1:]) {
		return post{}, errors.New("want a URL that ends with the topic, such as https://ntfy.example.net/vpn")
	}
	topic := u.Path[at+1:]
	u.Path = u.Path[:at+1]
	priority, tag := 3, "information_source"
	switch {
	case m.Action == Resolve:
		tag = "white_check_mark"
	case m.Severity == "critical":
		priority, tag = 4, "rotating_light"
	case m.Severity == "warning":
		tag = "warning"
	}
	return encoded(u.String(), map[string]any{
		"topic": topic, "title": m.Subject(200), "message": cutBytes(strings.TrimSpace(m.text()), 4000), "priority": priority,
		"tags": []string{tag},
	})
}
