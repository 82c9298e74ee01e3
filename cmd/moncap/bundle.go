package main

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/analysis"
	"github.com/moncap/moncap/analysis/redact"
	"github.com/moncap/moncap/analysis/render"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/capture/bundle"
)

func (a *app) bundleCommand() *cobra.Command {
	out, redacted := "", false
	c := &cobra.Command{
		Use:   "bundle RUN|TUNNEL",
		Short: "Pack a run into a zip for a support case",
		Long: `Pack captures, transcripts, observations and report of a run into a zip, with checksums. Secrets are in none of them.
--redact changes addresses, names and identities, consistently: the same address becomes the same other one everywhere,
prefixes are preserved, checksums and NAT detection are made right again, and it is checked that the changed captures
lead to the same findings.`,
		Example:           "  moncap bundle hq-branch --redact -o case.zip",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeTunnels,
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := a.findBundle(args[0])
			if err != nil {
				return err
			}
			if out == "" {
				out = filepath.Base(filepath.Clean(dir)) + ".zip"
			}
			files, err := a.packed(cmd.Context(), dir, redacted)
			if err != nil {
				return &exitError{exitFailed, err}
			}
			if err := a.writeTo(out, func(w io.Writer) error { return writeZip(w, files) }); err != nil {
				return &exitError{exitFailed, err}
			}
			_, err = fmt.Fprintf(a.stdout, "%s: %d files\n", out, len(files)+1)
			return err
		},
	}
	c.Flags().StringVarP(&out, "output", "o", "", "the zip (default: the bundle's name)")
	c.Flags().BoolVar(&redacted, "redact", false, "change addresses, names and identities")
	return c
}

// packedFile is one file of the zip.
type packedFile struct {
	name string
	data []byte
}

func (a *app) packed(ctx context.Context, dir string, redacted bool) ([]packedFile, error) {
	if redacted {
		return a.redactBundle(ctx, dir)
	}
	var files []packedFile
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !d.Type().IsRegular() || strings.HasPrefix(d.Name(), ".") || d.Name() == "lock" {
			return err
		}
		b, err := os.ReadFile(filepath.Join(dir, path))
		files = append(files, packedFile{path, b})
		return err
	})
	return files, err
}

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
	r, err := redact.New(key, []string{run.Tunnel, run.A.Peer, run.B.Peer, run.A.Hostname, run.B.Hostname, run.A.Serial, run.B.Serial})
	if err != nil {
		return nil, err
	}
	sides, files, err := redactCaptures(ctx, b, run, r)
	if err != nil {
		return nil, err
	}
	d, err := a.bundleDocument(ctx, dir, "", true)
	if err != nil {
		return nil, err
	}
	again, err := analysis.Compare(ctx, sides[0], second(sides), analysis.Options{Tunnel: r.Text(run.Tunnel), Version: versionString()})
	if err != nil {
		return nil, err
	}
	if err := sameFindings(d.report, again); err != nil {
		return nil, err
	}
	texts, err := redactTexts(b, r)
	if err != nil {
		return nil, err
	}
	files = append(files, texts...)
	var asJSON, asText bytes.Buffer
	err = errors.Join(again.Write(&asJSON), render.Text(&asText, again, render.Options{Unicode: true}))
	return append(files, packedFile{bundle.ReportJSON, asJSON.Bytes()}, packedFile{bundle.ReportText, asText.Bytes()}), err
}

func second(sides []analysis.Side) *analysis.Side {
	if len(sides) < 2 {
		return nil
	}
	return &sides[1]
}

// redactCaptures returns the redacted captures, as sides to compare and as files.
func redactCaptures(ctx context.Context, b *bundle.Bundle, run *bundle.Run, r *redact.Redactor) ([]analysis.Side, []packedFile, error) {
	paths := map[bundle.Side]string{}
	paths[bundle.A], paths[bundle.B] = b.Captures()
	known := []netip.Addr{run.A.Address, run.B.Address, run.A.NATAddress, run.B.NATAddress}
	for _, s := range bundle.Sides() {
		if err := withFile(paths[s], func(f io.Reader) error { return r.Learn(f, known...) }); err != nil {
			return nil, nil, err
		}
	}
	var sides []analysis.Side
	var files []packedFile
	for _, s := range bundle.Sides() {
		if paths[s] == "" {
			continue
		}
		var out bytes.Buffer
		if err := withFile(paths[s], func(f io.Reader) error { return r.PCAP(ctx, &out, f) }); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", bundle.CaptureFile(s), err)
		}
		side, err := bundleSide(b, run.Router(s), s, paths[s])
		if err != nil {
			return nil, nil, err
		}
		side.Name, side.Interface = r.Text(side.Name), r.Text(side.Interface)
		side.Address, side.NATAddress = r.Addr(side.Address), r.Addr(side.NATAddress)
		for k, v := range side.Config {
			side.Config[k] = r.Text(v)
		}
		side.Debug = []byte(r.Text(string(side.Debug)))
		side.Open = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(out.Bytes())), nil }
		sides = append(sides, *side)
		files = append(files, packedFile{bundle.CaptureFile(s), out.Bytes()})
	}
	if len(sides) == 0 {
		return nil, nil, fmt.Errorf("%s: it holds no capture", b.Dir())
	}
	return sides, files, nil
}

func withFile(path string, f func(io.Reader) error) error {
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

func redactTexts(b *bundle.Bundle, r *redact.Redactor) ([]packedFile, error) {
	var files []packedFile
	for _, s := range bundle.Sides() {
		transcript, err := b.Transcript(s)
		if err != nil {
			return nil, err
		}
		if transcript != "" {
			files = append(files, packedFile{bundle.TranscriptFile(s), []byte(r.Text(transcript))})
		}
		shows, err := b.Show(s)
		if err != nil {
			return nil, err
		}
		for name, text := range shows {
			files = append(files, packedFile{strings.ToLower(string(s)) + "/show/" + name + ".txt", []byte(r.Text(text))})
		}
	}
	slices.SortFunc(files, func(x, y packedFile) int { return strings.Compare(x.name, y.name) })
	return files, nil
}

// sameFindings checks that redaction changed nothing that matters.
func sameFindings(before, after *report.Report) error {
	codes := func(r *report.Report) []string {
		var all []string
		for _, f := range r.Findings {
			all = append(all, f.Code+" "+string(f.Severity))
		}
		slices.Sort(all)
		return all
	}
	b, a := codes(before), codes(after)
	if before.Verdict.Outcome == after.Verdict.Outcome && slices.Equal(b, a) {
		return nil
	}
	return fmt.Errorf("the redacted captures lead to other findings (%s), so they are not written; without redaction: %s",
		strings.Join(a, ", "), strings.Join(b, ", "))
}

// writeZip writes the files and SHA256SUMS, without times, so that the same files make the same zip.
func writeZip(w io.Writer, files []packedFile) error {
	z := zip.NewWriter(w)
	var sums strings.Builder
	for _, f := range files {
		sum := sha256.Sum256(f.data)
		fmt.Fprintf(&sums, "%s  %s\n", hex.EncodeToString(sum[:]), f.name)
	}
	for _, f := range append(files, packedFile{"SHA256SUMS", []byte(sums.String())}) {
		entry, err := z.CreateHeader(&zip.FileHeader{Name: filepath.ToSlash(f.name), Method: zip.Deflate, Modified: time.Unix(0, 0).UTC()})
		if err != nil {
			return err
		}
		if _, err := entry.Write(f.data); err != nil {
			return err
		}
	}
	return z.Close()
}
