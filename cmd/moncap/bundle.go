package main

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/analysis/render"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/capture/bundle"
)

func (a *app) bundleCommand() *cobra.Command {
	out, redacted, force := "", false, false
	c := &cobra.Command{
		Use:   "bundle RUN|TUNNEL",
		Short: "Pack a run into a zip for a support case",
		Long: `Pack captures, transcripts, observations and report of a run into a zip, with checksums. Secrets are in none of them.
--redact changes addresses, names and identities, consistently: the same address becomes the same other one everywhere,
prefixes are preserved, checksums and NAT detection are made right again, and it is checked that the changed captures
lead to the same findings. All of the zip is in one folder, named as the zip is.`,
		Example:           "  moncap bundle hq-branch --redact -o case.zip",
		Args:              wants(1, 1),
		ValidArgsFunction: a.completeRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := a.findBundle(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if out == "" {
				out = packedName(dir, redacted)
			}
			if err := a.mayReplace(out, force); err != nil {
				return usageError(err)
			}
			files, err := a.packed(cmd.Context(), dir, redacted)
			if err != nil {
				return &exitError{exitFailed, err}
			}
			folder := zipFolder(out, packedName(dir, redacted))
			if err := a.writeTo(out, func(w io.Writer) error { return writeZip(w, files, folder, begunAt(dir)) }); err != nil {
				return &exitError{exitFailed, err}
			}
			a.fact("file", out)
			if d, err := a.destinationOf(out); err == nil && d.through == a.stdout { // nothing may stand behind the zip
				a.progress("%d files", len(files)+1)
				return nil
			}
			_, err = fmt.Fprintf(a.stdout, "%s: %d files\n", out, len(files)+1)
			return err
		},
	}
	a.registerOptional(c)
	c.Flags().StringVarP(&out, "output", "o", "", "the zip (default: the bundle's name)")
	c.Flags().BoolVar(&redacted, "redact", false, "change addresses, names and identities")
	c.Flags().BoolVar(&force, "force", false, "replace a file that is there already")
	return c
}

// mayReplace refuses a zip that would take the place of a file, which may be the evidence of
// another day.
func (a *app) mayReplace(out string, force bool) error {
	d, err := a.destinationOf(out)
	if a.facts != nil && err == nil && d.through == a.stdout {
		return errors.New("bundle: --format json writes to stdout: name a file with -o")
	}
	if err != nil || force || d.file == "" || !exists(d.file) {
		return err
	}
	return &hinted{fmt.Errorf("bundle: %s exists", out), "--force replaces it; -o names another"}
}

// zipFolder is the folder in which all of a zip is: named as the zip, when that has a name.
func zipFolder(out, byDefault string) string {
	name := filepath.Base(filepath.Clean(out))
	if !strings.HasSuffix(strings.ToLower(name), ".zip") || len(name) == len(".zip") {
		name = byDefault
	}
	return name[:len(name)-len(".zip")]
}

// begunAt is when the run of a bundle began. A zip's own time begins in 1980.
func begunAt(dir string) time.Time {
	if b, err := bundle.Open(dir); err == nil {
		defer b.Close()
		if r, err := b.Run(); err == nil && r.Started.Year() >= 1980 {
			return r.Started
		}
	}
	return time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
}

// packedName is the zip's name by default; a redacted one must not name the tunnel.
func packedName(dir string, redacted bool) string {
	if !redacted {
		return filepath.Base(filepath.Clean(dir)) + ".zip"
	}
	return "moncap-" + time.Now().UTC().Format("20060102-150405") + "-redacted.zip"
}

// packedFile is one file of the zip: what it holds, or where on this disk it lies,
// for it may be large.
type packedFile struct {
	name string
	data []byte
	path string
}

func (f packedFile) open() (io.ReadCloser, error) {
	if f.path == "" {
		return io.NopCloser(bytes.NewReader(f.data)), nil
	}
	return os.Open(f.path)
}

func (a *app) packed(ctx context.Context, dir string, redacted bool) ([]packedFile, error) {
	if redacted {
		return a.redactBundle(ctx, dir)
	}
	var files []packedFile
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !d.Type().IsRegular() || strings.HasPrefix(d.Name(), ".") || d.Name() == "lock" ||
			notPacked(path) {
			return err
		}
		files = append(files, packedFile{name: path, path: filepath.Join(dir, path)})
		return nil
	})
	if err != nil {
		return nil, err
	}
	d, err := a.bundleDocument(ctx, dir, "", false)
	if err != nil {
		return nil, err
	}
	transcripts, err := transcriptsOf(dir)
	if err != nil {
		return nil, err
	}
	return withReports(files, d.report, transcripts, false)
}

// transcriptsOf reads what was said with the routers, for the page that shows it.
func transcriptsOf(dir string) (map[report.Side]string, error) {
	b, err := bundle.Open(dir)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	said := map[report.Side]string{}
	for _, s := range bundle.Sides() {
		if said[report.Side(s)], err = b.Transcript(s); err != nil {
			return nil, err
		}
	}
	return said, nil
}

// notPacked says whether a file of a run's folder is none of a support case: keys that somebody put
// there, and zips.
func notPacked(path string) bool {
	name := strings.ToLower(filepath.Base(path))
	return strings.Contains(name, "decryption_table") || strings.HasSuffix(name, ".key") ||
		strings.HasSuffix(name, ".keys") || strings.HasSuffix(name, ".zip")
}

// textsOf are what the routers said in a run: transcripts, observations, debugs.
func textsOf(b *bundle.Bundle) ([]packedFile, error) {
	var files []packedFile
	for _, s := range bundle.Sides() {
		folder := strings.ToLower(string(s)) + "/"
		transcript, err1 := b.Transcript(s)
		debug, err2 := b.Debug(s)
		shows, err3 := b.Show(s)
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, err
		}
		if transcript != "" {
			files = append(files, packedFile{name: bundle.TranscriptFile(s), data: []byte(transcript)})
		}
		if debug != "" {
			files = append(files, packedFile{name: folder + "debug.txt", data: []byte(debug)})
		}
		for name, text := range shows {
			files = append(files, packedFile{name: folder + "show/" + name + ".txt", data: []byte(text)})
		}
	}
	slices.SortFunc(files, func(x, y packedFile) int { return strings.Compare(x.name, y.name) })
	return files, nil
}

// withReports adds the report in the forms that people and programs read, both captures in one
// file, and what is what.
func withReports(files []packedFile, r *report.Report, transcripts map[report.Side]string,
	redacted bool) ([]packedFile, error) {
	var captures [2]io.Reader
	for i, s := range bundle.Sides() {
		n := slices.IndexFunc(files, func(f packedFile) bool { return f.name == bundle.CaptureFile(s) })
		if n < 0 {
			continue
		}
		c, err := files[n].open()
		if err != nil {
			return nil, err
		}
		defer c.Close()
		captures[i] = c
	}
	for _, form := range []struct {
		name  string
		write func(io.Writer) error
	}{
		{bundle.ReportJSON, r.Write},
		{bundle.ReportText, func(w io.Writer) error { return render.Text(w, r, render.Options{Unicode: true}) }},
		{"report.html", func(w io.Writer) error { return render.HTML(w, r, render.HTMLOptions{Transcripts: transcripts}) }},
		{"both.pcapng", func(w io.Writer) error { return render.PCAPNG(w, r, captures[0], captures[1]) }},
		{"README.txt", func(w io.Writer) error { return writeReadMe(w, r, redacted) }},
	} {
		var b bytes.Buffer
		if err := form.write(&b); err != nil {
			return nil, fmt.Errorf("%s: %w", form.name, err)
		}
		if i := slices.IndexFunc(files, func(f packedFile) bool { return f.name == form.name }); i >= 0 {
			files[i] = packedFile{name: form.name, data: b.Bytes()}
			continue
		}
		files = append(files, packedFile{name: form.name, data: b.Bytes()})
	}
	return files, nil
}

func writeReadMe(w io.Writer, r *report.Report, redacted bool) error {
	when := ""
	if r.Run != nil {
		when = fmt.Sprintf("Run %s, begun %s.\n", r.Run.ID, r.Run.Started.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	privacy := "Nothing was anonymised: addresses, names and identities are the real ones. Secrets are masked."
	if redacted {
		privacy = "Addresses, names, identities and certificates were replaced, the same one by the same other one " +
			"everywhere;\nprefixes were kept, checksums and NAT detection made right again, and the changed captures lead to " +
			"the same findings."
	}
	_, err := fmt.Fprintf(w, `An IPsec tunnel's negotiation, captured on both gateways with moncap %s.
%s
%s: %s

%s

report.html    what happened, for a browser
report.txt     the same as text; report.json for programs
both.pcapng    both captures in one file on one clock, with the findings as packet comments, for Wireshark
a.pcap b.pcap  the captures of either side
a/ b/          what was sent to each router and what it answered
run.json       how the captures were taken
SHA256SUMS     check with: sha256sum -c SHA256SUMS
`, r.Tool.Version, when, strings.ToUpper(string(r.Verdict.Outcome)), r.Verdict.Headline, privacy)
	return err
}

// writeZip writes the files and SHA256SUMS into a folder of a zip. All have the time of the run, so
// that the same files make the same zip.
func writeZip(w io.Writer, files []packedFile, folder string, at time.Time) error {
	z := zip.NewWriter(w)
	var sums strings.Builder
	for _, f := range files {
		sum, err := zipFile(z, f, folder, at)
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%s  %s\n", sum, f.name)
	}
	if _, err := zipFile(z, packedFile{name: "SHA256SUMS", data: []byte(sums.String())}, folder, at); err != nil {
		return err
	}
	return z.Close()
}

// zipFile copies a file into the zip and returns the checksum of what went in.
func zipFile(z *zip.Writer, f packedFile, folder string, at time.Time) (sum string, err error) {
	name := folder + "/" + filepath.ToSlash(f.name)
	entry, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: at.UTC()})
	if err != nil {
		return "", err
	}
	from, err := f.open()
	if err != nil {
		return "", err
	}
	defer from.Close()
	h := sha256.New()
	if _, err := io.Copy(io.MultiWriter(entry, h), from); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
