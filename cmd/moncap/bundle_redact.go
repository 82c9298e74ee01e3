package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis"
	"github.com/moncap/moncap/analysis/redact"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/iosxe"
	"github.com/moncap/moncap/internal/lazyregexp"
)

// redactBundle makes the files of a bundle that name nobody.
func (a *app) redactBundle(ctx context.Context, dir string) ([]packedFile, error) {
	b, err := bundle.Open(dir)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	run, err := b.Run()
	if err != nil {
		return nil, err
	}
	key := make([]byte, redact.KeyLen)
	_, _ = rand.Read(key) // it never fails, as crypto/rand says
	r, err := redact.New(key, namesOf(run))
	if err != nil {
		return nil, err
	}
	texts, err := textsOf(b)
	if err != nil {
		return nil, err
	}
	for _, t := range texts {
		r.LearnText(string(t.data))
	}
	sides, peer, files, err := redactCaptures(ctx, b, run, r)
	if err != nil {
		return nil, err
	}
	again, err := a.redactReport(ctx, dir, sides, peer, r)
	if err != nil {
		return nil, err
	}
	document, err := redactRun(run, files, r)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(document.data, run); err != nil {
		return nil, err
	}
	again.Run = runOf(run)
	files = append(files, document)
	transcripts := map[report.Side]string{}
	for _, t := range texts {
		if path.Base(t.name) == iosxe.AtControlPlane("show-capture-dump")+".txt" {
			continue // packets in hexadecimal, in which nothing can be replaced
		}
		text := r.Text(withoutBanners(string(t.data)))
		files = append(files, packedFile{name: t.name, data: []byte(text)})
		for _, s := range bundle.Sides() {
			if t.name == bundle.TranscriptFile(s) {
				transcripts[report.Side(s)] = text
			}
		}
	}
	return withReports(files, again, transcripts, true)
}

// namesOf lists what somebody may be known by: the peers, the routers, and others that answered in
// their place.
func namesOf(run *bundle.Run) []string {
	names := []string{run.Tunnel}
	for _, s := range bundle.Sides() {
		r := run.Router(s)
		names = append(names, r.Peer, r.Hostname, r.Serial)
	}
	said := append([]string{run.Error, run.A.Failed, run.B.Failed}, run.Notes...)
	for _, l := range run.Left {
		said = append(said, l.Why)
	}
	for _, m := range identityInText.Get().FindAllStringSubmatch(strings.Join(said, "\n"), -1) {
		if m[1] != "the" { // of a router whose name is not known
			names = append(names, m[1])
		}
	}
	return names
}

var (
	// identityInText finds what capture.OtherRouterError, and the note of a new name, say of routers.
	identityInText = lazyregexp.New(`(?:expected is|this is|serial number|it calls itself|and was) ([^\s,()]+)`)
	fingerprint    = lazyregexp.New(`SHA256:[A-Za-z0-9+/]{43}`)
)

// withoutKeys takes the fingerprints of host keys out of a text.
func withoutKeys(s string) string { return fingerprint.Get().ReplaceAllString(s, "SHA256:redacted") }

// redactReport judges the redacted captures anew. Of a run without any it redacts
// what was said of that.
func (a *app) redactReport(ctx context.Context, dir string, sides []analysis.Side, peer *analysis.Side,
	r *redact.Redactor) (*report.Report, error) {
	d, err := a.bundleDocument(ctx, dir, "", len(sides) > 0)
	if err != nil {
		return nil, err
	}
	tunnel := r.Text(d.report.Tunnel)
	if len(sides) == 0 {
		v := d.report.Verdict
		v.Headline = r.Text(withoutPorts(withoutKeys(v.Headline)))
		return report.NewNotRun(tunnel, versionString(), v, nil), nil
	}
	again, err := analysis.Compare(ctx, sides[0], second(sides),
		analysis.Options{Tunnel: tunnel, Version: versionString(), Peer: peer})
	if err != nil {
		return nil, err
	}
	return again, sameVerdict(d.report, again)
}

// withoutBanners takes out of a transcript what a router says before it is asked anything, which
// may be whatever its owner wrote, and where it was reached.
func withoutBanners(transcript string) string {
	var b strings.Builder
	greeting := true
	for line := range strings.Lines(transcript) {
		at, said, _ := strings.Cut(line, " ")
		switch {
		case strings.HasPrefix(said, "# connected"):
			line = at + " # connected\n"
			greeting = true
		case strings.HasPrefix(said, "# banner: "):
			line = at + " # banner: (a line of it)\n"
		case strings.HasPrefix(said, "#"): // the session is another from here on
			greeting = true
		case strings.HasPrefix(said, ">"):
			greeting = false
		case bytesOfPacket.Get().MatchString(said):
			line = at + " < (bytes of a packet)\n"
		case greeting && strings.HasPrefix(said, "<"):
			line = at + " < (a line of the banner)\n"
		}
		b.WriteString(line)
	}
	return b.String()
}

// bytesOfPacket is a line of a dump, in which nothing can be replaced.
var bytesOfPacket = lazyregexp.New(`^<\s+[0-9A-F]{4,8}:\s+[0-9A-F]{2,8}(?:\s|$)`)

// reached is where a router was reached, in an error of the network.
var reached = lazyregexp.New(`([\w.\]-]):(\d{2,5})\b`)

// withoutPorts takes the management ports out of an error. Those of IKE stay.
func withoutPorts(s string) string {
	return reached.Get().ReplaceAllStringFunc(s, func(m string) string {
		if strings.HasSuffix(m, ":500") || strings.HasSuffix(m, ":4500") {
			return m
		}
		return m[:strings.LastIndexByte(m, ':')] + ":PORT"
	})
}

// redactRun makes the record of a run name nobody; its checksums become those of the redacted
// captures, and what only this machine needs to go on with the run is left out.
func redactRun(run *bundle.Run, captures []packedFile, r *redact.Redactor) (packedFile, error) {
	own := *run
	own.Plan, own.Proof = nil, ""
	for _, s := range bundle.Sides() {
		router := own.Router(s)
		router.MD5, router.SHA256, router.Bytes, router.Serial, router.HostKey = "", "", 0, "", ""
		for _, f := range captures {
			if f.name == bundle.CaptureFile(s) {
				sum := sha256.Sum256(f.data)
				router.SHA256, router.Bytes = hex.EncodeToString(sum[:]), int64(len(f.data))
			}
		}
	}
	b, err := json.Marshal(&own)
	if err != nil {
		return packedFile{}, err
	}
	var anonymous bundle.Run
	if err := json.Unmarshal([]byte(r.Text(withoutKeys(string(b)))), &anonymous); err != nil {
		return packedFile{}, err
	}
	for _, said := range errorsOf(&anonymous) {
		*said = withoutPorts(*said)
	}
	anonymous.Schema, anonymous.Tool = own.Schema, own.Tool // they read as names of the DNS
	b, err = json.MarshalIndent(&anonymous, "", "  ")
	return packedFile{name: "run.json", data: b}, err
}

// errorsOf are the places of a run's record where an error of the network may stand.
func errorsOf(run *bundle.Run) []*string {
	all := []*string{&run.Error, &run.A.Failed, &run.B.Failed}
	for i := range run.Notes {
		all = append(all, &run.Notes[i])
	}
	for i := range run.Phases {
		all = append(all, &run.Phases[i].Failed)
	}
	for i := range run.Left {
		all = append(all, &run.Left[i].Why)
	}
	return all
}

func second(sides []analysis.Side) *analysis.Side {
	if len(sides) < 2 {
		return nil
	}
	return &sides[1]
}

// redactCaptures returns the redacted captures, as sides to compare and as files.
func redactCaptures(ctx context.Context, b *bundle.Bundle, run *bundle.Run,
	r *redact.Redactor) (sides []analysis.Side, peer *analysis.Side, files []packedFile, err error) {
	paths := map[bundle.Side]string{}
	paths[bundle.A], paths[bundle.B] = b.Captures()
	known := []netip.Addr{run.A.Address, run.B.Address, run.A.NATAddress, run.B.NATAddress}
	for _, s := range bundle.Sides() {
		if err := withFile(paths[s], func(f io.ReadSeeker) error { return r.Learn(f, known...) }); err != nil {
			return nil, nil, nil, err
		}
	}
	for _, s := range bundle.Sides() {
		if paths[s] == "" {
			peer = peerOf(run.Router(s))
			redactSide(peer, r)
			continue
		}
		var out bytes.Buffer
		if err := withFile(paths[s], func(f io.ReadSeeker) error { return r.PCAP(ctx, &out, f) }); err != nil {
			return nil, nil, nil, fmt.Errorf("%s: %w", bundle.CaptureFile(s), err)
		}
		side, err := bundleSide(b, run.Router(s), s, paths[s])
		if err != nil {
			return nil, nil, nil, err
		}
		redactSide(side, r)
		for k, v := range side.Config {
			side.Config[k] = r.Text(v)
		}
		side.Debug = []byte(r.Text(string(side.Debug)))
		side.Open = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(out.Bytes())), nil }
		sides = append(sides, *side)
		files = append(files, packedFile{name: bundle.CaptureFile(s), data: out.Bytes()})
	}
	return sides, peer, files, nil
}

// redactSide redacts what is known of a side beside its capture.
func redactSide(s *analysis.Side, r *redact.Redactor) {
	s.Name, s.Interface = r.Text(s.Name), r.Text(s.Interface)
	s.Address, s.NATAddress = r.Addr(s.Address), r.Addr(s.NATAddress)
}

func withFile(path string, f func(io.ReadSeeker) error) error {
	if path == "" {
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return f(file)
}

func frames(f report.Finding) string {
	var list []string
	for _, e := range f.Evidence {
		list = append(list, fmt.Sprint(e.Side, e.Frame))
	}
	return strings.Join(list, " ")
}

// sameVerdict checks that redaction changed nothing that matters: the outcome, and every finding
// with its evidence.
func sameVerdict(before, after *report.Report) error {
	all := func(r *report.Report) []string {
		list := []string{fmt.Sprintf("%s %d", r.Verdict.Outcome, r.Verdict.ExitCode)}
		for _, f := range r.Findings {
			list = append(list, fmt.Sprint(f.Code, " ", f.Severity, " ", f.Confidence, " ", f.Fields["direction"],
				f.Fields["side"], " ", frames(f)))
		}
		slices.Sort(list[1:])
		return list
	}
	b, a := all(before), all(after)
	if slices.Equal(b, a) {
		return nil
	}
	return fmt.Errorf("the redacted captures lead to other findings (%s), so they are not written; without redaction: %s",
		strings.Join(a, ", "), strings.Join(b, ", "))
}
