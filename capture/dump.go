package capture

import (
	"bytes"
	"context"
	"crypto/md5" // #nosec G501 -- only so that every intake is alike
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/iosxe"
)

// dumpRatio is about how much text a router prints for each byte of a packet, and dumpRate how much
// of it a second.
const (
	dumpRatio = 4.5
	dumpRate  = 250e3
)

// fetchDump rebuilds the capture file from the router's own listing of the buffer: the bytes from
// the dump, the times from the brief listing.
func (r *router) fetchDump(ctx context.Context, f *bundle.Partial) error {
	packets, err := r.readDump(ctx)
	if err != nil {
		return err
	}
	in := &intake{w: f, md5: md5.New(), sha: sha256.New()} // #nosec G401 -- see the import
	if err := bundle.WritePCAP(in, packets); err != nil {
		return &localError{err}
	}
	source := bundle.SourceDump
	if len(packets) == 0 {
		source = bundle.SourceEmpty
	}
	r.take(in, source)
	r.noteDump(len(packets))
	return nil
}

func (r *router) noteDump(n int) {
	why := r.dump
	if why == "" {
		why = "asked for without SCP"
	}
	if n == 0 {
		r.note(PhaseFetch, "the buffer was empty, so the capture file has no packet (%s)", why)
		return
	}
	r.info.TimesGoodToMS = float64(r.timesGoodTo().Milliseconds())
	r.note(PhaseFetch,
		"the capture was rebuilt from `buffer dump` (%s); times between its packets are exact, its absolute times are %s",
		why, r.timeBasis())
}

func (r *router) timeBasis() string {
	if r.first.from.IsZero() {
		return "only those of the whole capture's start"
	}
	return fmt.Sprintf("good to %s", r.timesGoodTo())
}

// timesGoodTo is how far from the truth base may be: the first packet came between two looks, or at
// any time since the capture's start.
func (r *router) timesGoodTo() time.Duration {
	doubt := r.first.to.Sub(r.first.from)
	if r.first.from.IsZero() {
		doubt = time.Since(r.info.StartDone)
	}
	return max(doubt.Round(time.Millisecond), time.Millisecond)
}

func (r *router) readDump(ctx context.Context) ([]bundle.Packet, error) {
	out, err := r.repeat(ctx, iosxe.ShowBuffer(r.plan.Name))
	if refusedAs(err, iosxe.Missing) {
		r.lost = true
		return nil, r.gone(ctx, err)
	}
	if err != nil {
		return nil, err
	}
	buffer, err := iosxe.ParseBuffer(out)
	if err != nil {
		return nil, err
	}
	if buffer.Packets == 0 && r.counted && r.info.Packets > 0 {
		return nil, fmt.Errorf("the buffer had %d packets when it was stopped, and none is left in it", r.info.Packets)
	}
	if buffer.Packets == 0 {
		return nil, nil
	}
	if buffer.UsedKB > r.u.o.MaxDumpMB<<10 {
		return nil, fmt.Errorf("the buffer holds %d KB, too much for `buffer dump` (%d MB at most)", buffer.UsedKB,
			r.u.o.MaxDumpMB)
	}
	rows, err := r.readBrief(ctx, buffer.Packets)
	if err != nil {
		return nil, err
	}
	data, err := r.readPackets(ctx, rows, buffer)
	if err != nil {
		return nil, err
	}
	var packets []bundle.Packet
	base := r.base()
	for i := range buffer.Packets {
		packets = append(packets, bundle.Packet{Time: base.Add(rows[i].Offset), Data: data[i], Length: rows[i].Size})
	}
	return packets, nil
}

// readings is how often a listing is read: a line of it can be lost to a message that the router
// prints in the middle, and hardly the same one twice.
const readings = 2

// readBrief lists the packets by their numbers, of as many readings as it takes to have them all.
func (r *router) readBrief(ctx context.Context, want int) (map[int]iosxe.BriefRow, error) {
	cmd := iosxe.ShowBrief(r.plan.Name)
	cmd.MaxOutput = r.most(want, 160)
	rows := map[int]iosxe.BriefRow{}
	for range readings {
		brief, err := r.repeat(ctx, cmd)
		if err != nil {
			return nil, err
		}
		for _, row := range iosxe.ParseBrief(brief) {
			if row.Index < want {
				rows[row.Index] = row
			}
		}
		if len(rows) == want {
			return rows, nil
		}
	}
	return nil, fmt.Errorf("the brief listing has %d packets, the buffer %d", len(rows), want)
}

// readPackets reads the bytes of every packet, from as many readings of the dump as it takes to
// have each whole in one of them. A packet that is not as long as the listing says is believed when
// two readings agree on it.
func (r *router) readPackets(ctx context.Context, rows map[int]iosxe.BriefRow,
	buffer iosxe.Buffer) (map[int][]byte, error) {
	cmd := iosxe.ShowDump(r.plan.Name)
	used := min(buffer.UsedKB, r.plan.settings.BufferMB<<10+1024) << 10
	cmd.MaxOutput = r.most(buffer.Packets, 256) + 5*used
	whole, odd := map[int][]byte{}, map[int][]byte{}
	var errs []error
	for range readings {
		err := r.streamAgain(ctx, cmd, func(text io.Reader) {
			for p, err := range iosxe.ParseDump(text) {
				row, listed := rows[p.Index]
				switch {
				case err == nil && !listed:
					errs = append(errs, fmt.Errorf("packet %d of the dump is not in the brief listing", p.Index))
				case err != nil:
					errs = append(errs, err)
				case r.asLong(p.Data, row) || bytes.Equal(odd[p.Index], p.Data):
					whole[p.Index] = bytes.Clone(p.Data)
				default:
					odd[p.Index] = bytes.Clone(p.Data)
				}
				errs = errs[max(len(errs)-4, 0):]
			}
		})
		if err != nil {
			return nil, err
		}
		if len(whole) == buffer.Packets {
			return whole, nil
		}
	}
	errs = append(errs, fmt.Errorf("%d of %d packets are whole in the dump", len(whole), buffer.Packets))
	return nil, errors.Join(errs[max(len(errs)-4, 0):]...)
}

// streamAgain has read take what a command prints, as it comes, and again until the router answers
// to the end.
func (r *router) streamAgain(ctx context.Context, cmd iosxe.Command, read func(io.Reader)) error {
	for n := 1; ; n++ {
		err := r.stream(ctx, cmd, read)
		if err == nil || !r.worthRepeating(ctx, err) || r.tired(n, phaseAttempts) {
			return err
		}
		if err := r.pause(ctx, n); err != nil {
			return err
		}
	}
}

func (r *router) stream(ctx context.Context, cmd iosxe.Command, read func(io.Reader)) error {
	if r.host == nil || ctx.Err() != nil {
		_, err := r.exec(ctx, cmd)
		return err
	}
	if err := r.recognise(ctx); err != nil {
		return err
	}
	r.info.Commands = append(r.info.Commands, typed(cmd)...)
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := r.talk.Stream(ctx, cmd, in)
		_ = in.CloseWithError(err)
		done <- err
	}()
	read(out)
	_ = out.Close() // should read have left something
	err := <-done
	r.account(ctx, cmd, err)
	return err
}

// asLong says whether the dump has as many bytes of a packet as it should.
func (r *router) asLong(data []byte, row iosxe.BriefRow) bool {
	cut := r.plan.settings.PacketLen
	return len(data) == row.Size || cut > 0 && len(data) == min(cut, row.Size)
}

// most bounds a listing of so many packets, with so many characters each beside their bytes: no
// more than the capture was defined to hold.
func (r *router) most(packets, each int) int {
	return min(packets, r.plan.settings.Packets)*each + 64<<10
}

// base is the router's time of the first packet, as near as it is known.
func (r *router) base() time.Time {
	switch {
	case !r.first.from.IsZero():
		return r.routerTime(r.first.from.Add(r.first.to.Sub(r.first.from) / 2))
	case !r.info.StartDone.IsZero():
		return r.routerTime(r.info.StartDone)
	}
	return r.routerTime(time.Now())
}

// dumpTakes estimates how long a dump of that many megabytes takes.
func dumpTakes(mb int) time.Duration {
	return time.Duration(float64(mb) * 1e6 * dumpRatio / dumpRate * float64(time.Second)).Round(time.Second)
}
