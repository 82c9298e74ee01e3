package simulator

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"path"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// exportUpload pushes the packets of a capture point to an SCP server, as a real router does: it
// asks for the password and does not look at the server's host key.
func (s *session) exportUpload(c *capturePoint, target string) {
	to, err := url.Parse(target)
	if err != nil || to.Hostname() == "" || strings.Trim(to.Path, "/") == "" {
		s.put("%%Error opening %s (Invalid argument)\nFailed to Export\n", target)
		return
	}
	s.router.mu.Lock()
	data := c.buffer.pcap(s.router.config.Knobs)
	s.router.mu.Unlock()
	name := path.Base(to.Path)
	s.put("Writing %s \n", name)
	client, err := s.logIn(to)
	if err != nil {
		if s.abandoned == nil {
			s.put("%%Error opening %s (%s)\nFailed to Export\n", target, reason(err))
		}
		return
	}
	defer client.Close()
	s.put(" Sink: C0644 %d %s\n", len(data), name)
	if err := push(client, strings.TrimPrefix(to.Path, "/"), name, data); err != nil {
		s.put("%%Error writing %s (%s)\nFailed to Export\n", target, reason(err))
		return
	}
	s.put("!\nExported Successfully\n")
}

var errNoAnswer = errors.New("the question was not answered")

// reason is what stands in the parentheses of an error message.
func reason(err error) string {
	if strings.Contains(err.Error(), "unable to authenticate") {
		return "Authentication failed"
	}
	return "Undefined error"
}

// uploadTries is how often the password is asked for.
const uploadTries = 3

func (s *session) logIn(to *url.URL) (*ssh.Client, error) {
	port := to.Port()
	if port == "" {
		port = "22"
	}
	tries := 0
	ask := func() (string, error) {
		if tries++; tries > 1 {
			s.put("\n")
		}
		answer, ok := s.question("Password:", true)
		if !ok {
			return "", errNoAnswer
		}
		s.put("\n")
		return answer, nil
	}
	return ssh.Dial("tcp", net.JoinHostPort(to.Hostname(), port), &ssh.ClientConfig{
		User: to.User.Username(), Timeout: 10 * time.Second, ClientVersion: "SSH-2.0-Cisco-1.25",
		Auth: []ssh.AuthMethod{ssh.RetryableAuthMethod(ssh.PasswordCallback(ask), uploadTries)},
		// IOS XE checks no host key here; a simulation of it must not, either.
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), // #nosec G106 -- see above
	})
}

// push is the source's side of the legacy SCP protocol.
func push(client *ssh.Client, to, name string, data []byte) error {
	session, err := client.NewSession()
	if err != nil {
		return err
	}
	defer session.Close()
	in, err := session.StdinPipe()
	if err != nil {
		return err
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return err
	}
	if err := session.Start("scp -t " + to); err != nil {
		return err
	}
	acks := bufio.NewReader(out)
	for _, part := range []string{"", fmt.Sprintf("C0644 %d %s\n", len(data), name), string(data) + "\x00"} {
		if _, err := io.WriteString(in, part); err != nil {
			return err
		}
		if ack, err := acks.ReadByte(); err != nil || ack != 0 {
			return errors.Join(fmt.Errorf("scp -t %s: answer %d", to, ack), err)
		}
	}
	return in.Close()
}
