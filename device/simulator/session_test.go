package simulator_test

import (
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/moncap/moncap/device/simulator"
)

// sessionOf runs single commands, each over a connection of its own.
func sessionOf(t *testing.T, r *simulator.Router) func(string) string {
	return func(line string) string {
		t.Helper()
		near, far := simulator.Pipe()
		r.Serve(far)
		conn, channels, requests,
			err := ssh.NewClientConn(near, "pipe",
			&ssh.ClientConfig{User: "moncap", Auth: []ssh.AuthMethod{ssh.Password("moncap")},
				HostKeyCallback: ssh.FixedHostKey(r.HostKey())})
		if err != nil {
			t.Fatal(err)
		}
		client := ssh.NewClient(conn, channels, requests)
		defer client.Close()
		s, err := client.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		out, err := s.Output(line)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
}
