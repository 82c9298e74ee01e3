package capture

import (
	"context"
	"crypto/md5" // #nosec G501 -- what IOS XE computes; it finds transfer errors, it is no protection
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/moncap/moncap/capture/bundle"
)

// fetch brings the capture here: by SCP, or rebuilt from the dump. Once it is here, the router's
// copy is not the only one.
func (r *router) fetch(ctx context.Context) error {
	f, err := r.u.b.CreateCapture(r.side)
	if err != nil {
		return err
	}
	if err := r.fill(ctx, f); err != nil {
		return errors.Join(err, f.Abort())
	}
	if err := f.Commit(); err != nil {
		return err
	}
	r.done = true
	return nil
}

func (r *router) fill(ctx context.Context, f *bundle.Partial) error {
	r.settle()
	if !r.exported || r.dump != "" {
		return r.fetchDump(ctx, f)
	}
	var scpErr error
	for n := 1; ; n++ {
		err := r.fetchSCP(ctx, f)
		var local *localError
		if err == nil || errors.As(err, &local) || ctx.Err() != nil {
			return err
		}
		scpErr = err
		if err := f.Restart(); err != nil {
			return err
		}
		if _, r.short = errors.AsType[*shortFile](err); r.short || refusalOf(err) != nil || lasting(err) || r.tired(n, 2) {
			break
		}
		if n >= 2 && r.pause(ctx, n) != nil {
			return err
		}
	}
	r.dump = "SCP: " + scpErr.Error()
	if err := r.fetchDump(ctx, f); err != nil {
		return fmt.Errorf("%w; %w", scpErr, err)
	}
	r.short = false
	return nil
}

// shortFile is an exported file that lacks packets which the buffer had, although it is as the
// router says.
type shortFile struct {
	name    string
	has, of int
	other   bool // it is no capture file at all
}

func (e *shortFile) Error() string {
	if e.other {
		return e.name + ": the router wrote a file that is no capture file"
	}
	return fmt.Sprintf("%s: the router wrote a file with %d whole packets, and its buffer has %d", e.name, e.has, e.of)
}

// holds says whether the file that came has what the stopped capture had in its buffer.
func (r *router) holds(in *intake) error {
	n, ok := in.packets.Whole()
	if ok && (!r.counted || n >= r.info.Packets) {
		return nil
	}
	return &shortFile{r.plan.source(), n, r.info.Packets, !ok}
}

func (r *router) fetchSCP(ctx context.Context, f *bundle.Partial) error {
	in := &intake{w: f, md5: md5.New(), sha: sha256.New(), limit: r.size} // #nosec G401 -- see the import
	// the host may give its session up for the transfer
	r.broken++
	n, err := r.talk.Fetch(ctx, r.plan.source(), in, func(done, total int64) {
		r.u.o.Events(Event{Side: r.side, Phase: PhaseFetch, Kind: Progress, Done: done, Total: total})
	})
	if in.err != nil {
		return in.err
	}
	if err != nil {
		r.keyChanged(err)
		return err
	}
	if r.size > 0 && in.n != r.size || n != in.n {
		return fmt.Errorf("%s: the router says %d bytes, %d arrived", r.plan.source(), r.size, in.n)
	}
	if sum := hex.EncodeToString(in.md5.Sum(nil)); r.info.MD5 != "" && sum != r.info.MD5 {
		return fmt.Errorf("%s: MD5 is %s on the router, %s here", r.plan.source(), r.info.MD5, sum)
	}
	if err := r.holds(in); err != nil {
		return err
	}
	r.take(in, bundle.SourceSCP)
	return nil
}

func (r *router) take(in *intake, source string) {
	r.info.Bytes, r.info.SHA256, r.info.Source = in.n, hex.EncodeToString(in.sha.Sum(nil)), source
}

// localError is a failure of this machine, which no other way of fetching helps against.
type localError struct{ err error }

func (e *localError) Error() string { return e.err.Error() }
func (e *localError) Unwrap() error { return e.err }

// intake writes what arrives, counts and sums it, and does not take more than was announced.
type intake struct {
	w        io.Writer
	md5, sha hash.Hash
	packets  bundle.Tally
	n, limit int64
	err      error
}

// maxFile bounds a capture file whose size the router did not say: the largest buffer is 100 MB.
const maxFile = 256 << 20

func (in *intake) Write(p []byte) (int, error) {
	limit := in.limit
	if limit <= 0 {
		limit = maxFile
	}
	if in.n+int64(len(p)) > limit {
		in.err = fmt.Errorf("more than the announced %d bytes arrived", limit)
		return 0, in.err
	}
	n, err := in.w.Write(p)
	in.md5.Write(p[:n])
	in.sha.Write(p[:n])
	_, _ = in.packets.Write(p[:n]) // never fails
	in.n += int64(n)
	if err != nil {
		in.err = &localError{err}
	}
	return n, in.err
}
