package capture

import (
	"context"
	"crypto/md5" // #nosec G501 -- only so that every intake is alike
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/iosxe"
)

// dumpRatio is about how much text a router prints for each byte of a packet, and dumpRate how much of it a second.
const (
	dumpRatio = 4.5
	dumpRate  = 250e3
)

// fetchDump rebuilds the capture file from the router's own listing of the buffer: the bytes from the dump, the times
// from the brief listing.
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
	r.note(PhaseFetch, "the capture was rebuilt from `buffer dump` (%s); times between its packets are exact, its absolute times are %s", why, r.timeBasis())
}

func (r *router) timeBasis() string {
	if r.first.from.IsZero() {
		return "only those of the whole capture's start"
	}
	return fmt.Sprintf("good to %s", r.first.to.Sub(r.first.from).Round(time.Millisecond))
}

func (r *router) readDump(ctx context.Context) ([]bundle.Packet, error) {
	out, err := r.repeat(ctx, iosxe.ShowBuffer(r.plan.Name))
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
		return nil, fmt.Errorf("the buffer holds %d KB, too much for `buffer dump` (%d MB at most)", buffer.UsedKB, r.u.o.MaxDumpMB)
	}
	brief, err := r.repeat(ctx, iosxe.ShowBrief(r.plan.Name))
	if err != nil {
		return nil, err
	}
	rows := iosxe.ParseBrief(brief)
	return r.dumpOnceMore(ctx, rows, buffer.Packets)
}

// dumpOnceMore reads the dump a second time when the first is not whole: a line of it can be lost to a message that the
// router prints in the middle.
func (r *router) dumpOnceMore(ctx context.Context, rows []iosxe.BriefRow, want int) ([]bundle.Packet, error) {
	var errs []error
	for range 2 {
		dump, err := r.repeat(ctx, iosxe.ShowDump(r.plan.Name))
		if err != nil {
			return nil, err
		}
		packets, err := rebuild(dump, rows, r.base())
		if err == nil && len(packets) != want {
			err = fmt.Errorf("buffer dump has %d packets, the buffer %d", len(packets), want)
		}
		if err == nil {
			return packets, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
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

// rebuild joins the bytes of a dump with the times of a brief listing.
func rebuild(dump string, rows []iosxe.BriefRow, base time.Time) ([]bundle.Packet, error) {
	times := map[int]iosxe.BriefRow{}
	for _, row := range rows {
		times[row.Index] = row
	}
	var packets []bundle.Packet
	for p, err := range iosxe.ParseDump(strings.NewReader(dump)) {
		if err != nil {
			return nil, err
		}
		row, ok := times[p.Index]
		if !ok {
			return nil, fmt.Errorf("packet %d of the dump is not in the brief listing", p.Index)
		}
		packets = append(packets, bundle.Packet{Time: base.Add(row.Offset), Data: p.Data, Length: row.Size})
	}
	return packets, nil
}

// dumpTakes estimates how long a dump of that many megabytes takes.
func dumpTakes(mb int) time.Duration {
	return time.Duration(float64(mb) * 1e6 * dumpRatio / dumpRate * float64(time.Second)).Round(time.Second)
}
