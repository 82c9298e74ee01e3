// Package capture is the two-sided playbook: both routers in step, every change journalled before
// it is made, and undone in reverse on every way out.
package capture

import (
	"context"
	"io"

	"github.com/moncap/moncap/device/iosxe"
)

// Host is a router as far as the playbook is concerned. It is used by one goroutine at a time.
type Host interface {
	// Exec runs one command and returns what the router printed. A rejected command is an
	// *iosxe.Refusal in the error's chain. When the session broke, the error has a method
	// SessionLost() bool that returns true, and whether the command was carried out is unknown; the
	// next Exec opens a new session.
	Exec(ctx context.Context, cmd iosxe.Command) (string, error)
	// ExecAll runs commands in order, as fast as the router takes them: the next ones may have been
	// sent when each tells of one. each is called once for every command, in order, with what Exec
	// would return for it; one that fails does not keep the next from being run. Only what reads is
	// sent twice.
	ExecAll(ctx context.Context, cmds []iosxe.Command, each func(i int, out string, err error))
	// Stream is Exec of a command that only reads and whose output is large: it is
	// written to w as it comes.
	Stream(ctx context.Context, cmd iosxe.Command, w io.Writer) error
	// Fetch copies the router's file to w by SCP, over a connection of its own. progress may be nil;
	// it is called with the bytes so far and the size that the router announced.
	Fetch(ctx context.Context, file string, w io.Writer, progress func(done, total int64)) (int64, error)
	// ProbeFile asks the router's SCP server for a file that does not exist yet. nil: the server
	// said so, so that Fetch will find server, privilege, authorization, a free line and the form
	// of the path. Otherwise an *iosxe.Refusal with the router's own words is in the error's
	// chain, or the connection failed; then the error's methods NoLine() bool and HostKeyChanged()
	// bool say how. With beside it begins when the session is logged in, may run beside Exec, and
	// is an error (NoLine) where the router has no line for it; otherwise the host may give its
	// session up to have one.
	ProbeFile(ctx context.Context, file string, beside bool) error
	// Prepare opens and logs in the connection of the next Fetch ahead of it. It may run beside Exec,
	// is undone after two minutes, and Fetch does without it.
	Prepare(ctx context.Context) error
}
