package notify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/smtp"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"
)

// sendMail hands a message to a mail server (RFC 5321): smtp:// with STARTTLS (RFC 3207), smtps://
// with TLS from the beginning. Nothing secret goes over a connection without TLS, and nothing at
// all to another machine without it.
func sendMail(ctx context.Context, t Target, m Message) error {
	err := t.mail(ctx, m)
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		e.Target, e.What = t.Name, t.masked(e.What)
		return e
	}
	e := &Error{Target: t.Name, What: t.masked(withoutURL(err))}
	if said, ok := errors.AsType[*textproto.Error](err); ok {
		e.What = fmt.Sprintf("the mail server says %d %s", said.Code, t.excerpt([]byte(said.Msg)))
		e.Final = said.Code >= 500
	}
	return e
}

func (t Target) mail(ctx context.Context, m Message) error {
	u, err := url.Parse(t.URL)
	if err != nil || u.Hostname() == "" || u.Scheme != "smtp" && u.Scheme != "smtps" {
		return &Error{What: "want a URL such as smtp://HOST:587", Final: true}
	}
	host, port := u.Hostname(), u.Port()
	if port == "" {
		port = map[string]string{"smtp": "587", "smtps": "465"}[u.Scheme]
	}
	secure := &tls.Config{ServerName: host, RootCAs: t.Roots, MinVersion: tls.VersionTLS12}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) }) // the dialogue returns with an error
	defer stop()
	if u.Scheme == "smtps" {
		conn = tls.Client(conn, secure)
	}
	c, err := smtp.NewClient(conn, host)
	if err == nil {
		err = t.dialogue(c, secure, u.Scheme == "smtps", m)
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (t Target) dialogue(c *smtp.Client, secure *tls.Config, encrypted bool, m Message) error {
	defer c.Close()
	if err := c.Hello("localhost"); err != nil { // the name of this machine is nobody's business
		return err
	}
	if !encrypted {
		starts, _ := c.Extension("STARTTLS")
		switch {
		case starts:
			if err := c.StartTLS(secure); err != nil {
				return err
			}
		case t.Username != "" || !loopback(secure.ServerName):
			return &Error{What: "the mail server offers no STARTTLS, and nothing is sent in clear", Final: true}
		}
	}
	if t.Username != "" {
		if err := t.login(c, secure.ServerName); err != nil {
			return err
		}
	}
	if err := c.Mail(t.From); err != nil {
		return err
	}
	var refused []string
	var last error
	for _, to := range t.To {
		if err := c.Rcpt(to); err != nil {
			refused, last = append(refused, to), err
		}
	}
	if len(refused) == len(t.To) {
		return last
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(t.letter(m)); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	_ = c.Quit() // it was taken already
	if len(refused) > 0 {
		return &Error{What: "sent, but the mail server refuses " + strings.Join(refused, ", "), Final: true}
	}
	return nil
}

// login logs in with PLAIN, or with LOGIN where the server knows nothing else.
func (t Target) login(c *smtp.Client, host string) error {
	if _, encrypted := c.TLSConnectionState(); !encrypted {
		return &Error{What: "a password is not sent without TLS", Final: true}
	}
	_, offered := c.Extension("AUTH")
	ways := strings.Fields(strings.ToUpper(offered))
	switch {
	case slices.Contains(ways, "PLAIN"):
		return c.Auth(smtp.PlainAuth("", t.Username, t.Password, host))
	case slices.Contains(ways, "LOGIN"):
		return c.Auth(&loginAuth{t.Username, t.Password})
	}
	return &Error{What: "the mail server offers neither AUTH PLAIN nor LOGIN", Final: true}
}

// loginAuth answers the questions of AUTH LOGIN, which come in clear words.
type loginAuth struct{ user, password string }

func (a *loginAuth) Start(s *smtp.ServerInfo) (string, []byte, error) {
	if !s.TLS {
		return "", nil, errors.New("a password is not sent without TLS")
	}
	return "LOGIN", nil, nil
}

func (a *loginAuth) Next(asked []byte, more bool) ([]byte, error) {
	switch {
	case !more:
		return nil, nil
	case strings.HasPrefix(strings.ToLower(string(asked)), "user"):
		return []byte(a.user), nil
	case strings.HasPrefix(strings.ToLower(string(asked)), "pass"):
		return []byte(a.password), nil
	}
	return nil, errors.New("the mail server asks what AUTH LOGIN does not")
}

// letter is the message as mail (RFC 5322). All that is about one thing is one thread.
func (t Target) letter(m Message) []byte {
	var b bytes.Buffer
	head := func(name, value string) {
		value = strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f {
				return ' '
			}
			return r
		}, value)
		fmt.Fprintf(&b, "%s: %s\r\n", name, value)
	}
	head("From", "<"+t.From+">")
	head("To", "<"+strings.Join(t.To, ">, <")+">")
	head("Subject", mime.QEncoding.Encode("utf-8", m.Subject(150)))
	head("Date", time.Now().Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	domain := t.From[strings.LastIndexByte(t.From, '@')+1:]
	head("Message-ID", "<"+hashed(m.ID)+"@"+domain+">")
	head("References", "<"+hashed(m.Key)+"@"+domain+">")
	head("Auto-Submitted", "auto-generated")
	head("MIME-Version", "1.0")
	head("Content-Type", "text/plain; charset=utf-8")
	head("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write([]byte(strings.ReplaceAll(m.text(), "\n", "\r\n"))) // a buffer takes everything
	_ = w.Close()
	return b.Bytes()
}

func hashed(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:12])
}
