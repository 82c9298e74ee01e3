package notify

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"testing"
	"time"
)

// mailServer speaks as much of SMTP as a submission server does with one sender: RFC 5321, 3207
// (STARTTLS), 4954 (AUTH).
type mailServer struct {
	noTLS, wrapped bool
	ways           string            // of AUTH
	refuse         map[string]string // answers to commands, by how these begin
	cert           tls.Certificate
	address        string

	said    []string // commands, in the order in which they came
	plain   []string // those that came before TLS
	letter  string
	over    chan struct{}
	encoded bool
}

func (s *mailServer) start(t *testing.T) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	own := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter:    time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, own, own, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	s.cert = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address, s.over = l.Addr().String(), make(chan struct{})
	go func() {
		defer close(s.over)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		if s.wrapped {
			c, s.encoded = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{s.cert}}), true
		}
		s.talk(c)
	}()
	t.Cleanup(func() {
		l.Close()
		<-s.over
	})
	return pool
}

func (s *mailServer) talk(c net.Conn) {
	r := bufio.NewReader(c)
	fmt.Fprint(c, "220 mail.example ESMTP\r\n")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		s.said = append(s.said, line)
		if !s.encoded {
			s.plain = append(s.plain, line)
		}
		answer := ""
		for begin, a := range s.refuse {
			if strings.HasPrefix(line, begin) {
				answer = a
			}
		}
		verb := strings.ToUpper(strings.Fields(line + " x")[0])
		switch {
		case answer != "":
			fmt.Fprintf(c, "%s\r\n", answer)
		case verb == "EHLO":
			fmt.Fprint(c, "250-mail.example\r\n")
			if !s.encoded && !s.noTLS {
				fmt.Fprint(c, "250-STARTTLS\r\n")
			}
			if s.ways != "" {
				fmt.Fprintf(c, "250-AUTH %s\r\n", s.ways)
			}
			fmt.Fprint(c, "250 8BITMIME\r\n")
		case verb == "STARTTLS":
			fmt.Fprint(c, "220 go ahead\r\n")
			c = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{s.cert}})
			r, s.encoded = bufio.NewReader(c), true
		case verb == "AUTH":
			s.auth(c, r, line)
		case verb == "DATA":
			fmt.Fprint(c, "354 go on\r\n")
			var b strings.Builder
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				b.WriteString(strings.TrimPrefix(line, "."))
			}
			s.letter = b.String()
			fmt.Fprint(c, "250 queued\r\n")
		case verb == "QUIT":
			fmt.Fprint(c, "221 bye\r\n")
			return
		default:
			fmt.Fprint(c, "250 fine\r\n")
		}
	}
}

func (s *mailServer) auth(c io.Writer, r *bufio.Reader, line string) {
	given := ""
	if words := strings.Fields(line); words[1] == "PLAIN" {
		b, _ := base64.StdEncoding.DecodeString(words[2])
		given = string(b)
	} else {
		for _, ask := range []string{"Username:", "Password:"} {
			fmt.Fprintf(c, "334 %s\r\n", base64.StdEncoding.EncodeToString([]byte(ask)))
			l, err := r.ReadString('\n')
			if err != nil {
				return
			}
			b, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(l))
			given += "\x00" + string(b)
		}
	}
	if given != "\x00moncap\x00hunter2" {
		fmt.Fprintf(c, "535 5.7.8 no: %q\r\n", given)
		return
	}
	fmt.Fprint(c, "235 welcome\r\n")
}

func mailTarget(scheme, address string) Target {
	return Target{
		Name: "mail", Type: "smtp", URL: scheme + "://" + address, From: "moncap@example.net",
		To:       []string{"noc@example.net", "boss@example.net"},
		Username: "moncap", Password: "hunter2",
	}
}

func TestMail(t *testing.T) {
	for name, s := range map[string]*mailServer{
		"STARTTLS": {ways: "PLAIN LOGIN"}, "LOGIN alone": {ways: "LOGIN"},
		"TLS from the beginning": {ways: "PLAIN", wrapped: true},
	} {
		t.Run(name, func(t *testing.T) {
			pool := s.start(t)
			scheme := "smtp"
			if s.wrapped {
				scheme = "smtps"
			}
			to := mailTarget(scheme, s.address)
			to.Roots = pool
			m := messages()["details"]
			m.Title = "größer\r\nBcc: all@example.net"
			if err := Send(t.Context(), to, m); err != nil {
				t.Fatal(err)
			}
			<-s.over
			for _, line := range s.plain {
				if !strings.HasPrefix(line, "EHLO") && line != "STARTTLS" {
					t.Errorf("in clear: %s", line)
				}
			}
			if all := strings.Join(s.said, "\n"); !strings.Contains(all, "MAIL FROM:<moncap@example.net>") ||
				!strings.Contains(all, "RCPT TO:<boss@example.net>") {
				t.Errorf("it says %s", all)
			}
			letter, err := mail.ReadMessage(strings.NewReader(s.letter))
			if err != nil {
				t.Fatal(err)
			}
			subject, err := (&mime.WordDecoder{}).DecodeHeader(letter.Header.Get("Subject"))
			if err != nil || !strings.Contains(subject, "größer") || letter.Header.Get("Bcc") != "" ||
				letter.Header.Get("Auto-Submitted") != "auto-generated" {
				t.Errorf("subject %q, %v, %v", subject, err, letter.Header)
			}
			if list, err := letter.Header.AddressList("To"); err != nil || len(list) != 2 {
				t.Errorf("to %v, %v", list, err)
			}
			if _, err := letter.Header.Date(); err != nil {
				t.Error(err)
			}
			body, err := io.ReadAll(quotedprintable.NewReader(letter.Body))
			if err != nil || !strings.Contains(string(body), "Tunnel: hq-branch") ||
				!strings.Contains(string(body), "192.0.2.1 never answered") {
				t.Errorf("%v\n%s", err, body)
			}
		})
	}
}

func TestMailThatIsNotTaken(t *testing.T) {
	for name, c := range map[string]struct {
		server *mailServer
		change func(*Target)
		want   string
		final  bool
	}{
		"no STARTTLS": {&mailServer{noTLS: true, ways: "PLAIN"}, nil, "no STARTTLS", true},
		"STARTTLS is refused": {&mailServer{refuse: map[string]string{"STARTTLS": "454 not now"}}, nil, "454 not now",
			false},
		"a foreign certificate": {&mailServer{}, func(t *Target) { t.Roots = x509.NewCertPool() }, "certificate", false},
		"no way to log in":      {&mailServer{ways: "CRAM-MD5"}, nil, "neither AUTH PLAIN nor LOGIN", true},
		"a wrong password":      {&mailServer{ways: "PLAIN"}, func(t *Target) { t.Password = "hunter2hunter2" }, "535", true},
		"greylisting": {&mailServer{ways: "PLAIN", refuse: map[string]string{"RCPT": "451 4.7.1 later"}}, nil,
			"451 4.7.1 later", false},
		"nobody of that name": {&mailServer{ways: "PLAIN", refuse: map[string]string{"RCPT": "550 5.1.1 who?"}}, nil,
			"550 5.1.1 who?", true},
		"one is not known": {&mailServer{ways: "PLAIN", refuse: map[string]string{"RCPT TO:<boss": "550 5.1.1 who?"}},
			nil, "sent, but the mail server refuses boss@example.net", true},
		"the letter is refused": {&mailServer{ways: "PLAIN", refuse: map[string]string{"DATA": "552 too much"}}, nil,
			"552 too much", true},
	} {
		t.Run(name, func(t *testing.T) {
			pool := c.server.start(t)
			to := mailTarget("smtp", c.server.address)
			to.Roots = pool
			if c.change != nil {
				c.change(&to)
			}
			err := Send(t.Context(), to, messages()["trigger"])
			<-c.server.over
			e, ok := errors.AsType[*Error](err)
			if !ok || !strings.Contains(e.What, c.want) || e.Final != c.final {
				t.Errorf("%v, final %v; want %s", err, ok && e.Final, c.want)
			}
			if ok && strings.Contains(e.Error(), "hunter2") {
				t.Errorf("a secret is in the error: %v", e)
			}
			if one := name == "one is not known"; one != strings.Contains(c.server.letter, "hq-branch") {
				t.Errorf("a letter was sent: %v", !one)
			}
			for _, line := range c.server.plain {
				if strings.HasPrefix(line, "AUTH") || strings.HasPrefix(line, "MAIL") {
					t.Errorf("in clear: %s", line)
				}
			}
		})
	}
	for _, address := range []string{"smtp://", "https://127.0.0.1/", "smtp://127.0.0.1:1"} {
		to := mailTarget("smtp", "")
		to.URL = address
		if err := Send(t.Context(), to, messages()["trigger"]); err == nil {
			t.Errorf("%s: sent", address)
		}
	}
}

// A relay of this machine needs no password, and no TLS.
func TestMailToALocalRelay(t *testing.T) {
	s := &mailServer{noTLS: true}
	s.start(t)
	to := mailTarget("smtp", s.address)
	to.Username, to.Password = "", ""
	if err := Send(t.Context(), to, messages()["digest"]); err != nil {
		t.Fatal(err)
	}
	<-s.over
	if !strings.Contains(s.letter, "1 of 2 tunnels established") {
		t.Errorf("%s", s.letter)
	}
}
