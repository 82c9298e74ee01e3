package page

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/moncap/moncap/analysis/render"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/capture/fleet"
)

// Who has what is in the packets is written down: reports, transcripts, captures and bundles are
// for operators.

// downloads are a run's documents, below prefix.
func (s *Server) downloads(m *http.ServeMux, prefix string) {
	get := func(name, what string, give func(http.ResponseWriter, *http.Request, person, fleet.Run) error) {
		m.HandleFunc("GET "+prefix+"/runs/{run}/"+name,
			s.only(fleet.Operator, func(w http.ResponseWriter, r *http.Request, who person) {
				if err := s.give(w, r, who, what, give); err != nil {
					s.fail(w, r, err)
				}
			}))
	}
	get("bundle.zip", "download bundle", s.giveBundle)
	get("both.pcapng", "download captures", s.givePCAPNG)
	if prefix == "" {
		get("report.html", "read report", s.giveReport)
		get("transcript", "read transcript", s.giveTranscript)
		return
	}
	get("report", "read report", s.giveReportJSON)
	get("transcript", "read transcript", s.giveTranscriptText)
}

// give writes down who has something, and gives it. An error is one before the first byte.
func (s *Server) give(
	w http.ResponseWriter, r *http.Request, who person, what string,
	give func(http.ResponseWriter, *http.Request, person, fleet.Run) error,
) error {
	select {
	case s.loads <- struct{}{}:
		defer func() { <-s.loads }()
	default:
		return problem{503, "others are downloading: try again in a moment"}
	}
	ctx, cancel := context.WithTimeout(r.Context(), loadTime)
	defer cancel()
	r = r.WithContext(ctx)
	asking, asked := context.WithTimeout(ctx, askTime)
	defer asked()
	run, err := s.o.Store.Run(asking, r.PathValue("run"))
	if err != nil {
		return err
	}
	c := http.NewResponseController(w)
	until := time.Now().Add(loadTime)
	_, _ = c.SetReadDeadline(until), c.SetWriteDeadline(until) // a recorder of a test has none
	if err := s.o.Store.Audit(fleet.WithOrigin(asking, callerOf(r).address), who.Name, what, run.ID, ""); err != nil {
		return err // what cannot be written down is not given
	}
	return give(w, r, who, run)
}

// begun ends a download that fails after its first byte so that it cannot be taken for whole.
func (s *Server) begun(r *http.Request, err error) {
	if err == nil {
		return
	}
	if r.Context().Err() == nil {
		s.log.Warn("a download failed", "path", r.URL.Path, "error", clean(err.Error()))
	}
	panic(http.ErrAbortHandler)
}

func attach(w http.ResponseWriter, kind, name string) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name))
}

// withBundle opens the bundle of a run: the folder on this machine, or what the database has of it.
func (s *Server) withBundle(ctx context.Context, r fleet.Run, f func(*bundle.Bundle) error) error {
	dir := r.Bundle
	if host, err := os.Hostname(); err != nil || host != r.Host || !s.ours(dir) {
		temporary, err := os.MkdirTemp("", "moncap-page-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(temporary)
		dir = filepath.Join(temporary, "bundle")
		if err := s.o.Store.FetchBundle(ctx, r.ID, dir); err != nil {
			if errors.Is(err, fleet.ErrNotFound) {
				return problem{404, "its bundle is not in the database; it was on " + clean(r.Host)}
			}
			return err
		}
	}
	b, err := bundle.Open(dir)
	if err != nil {
		s.log.Warn("a bundle cannot be opened", "run", r.ID, "error", clean(err.Error()))
		return problem{500, "its bundle cannot be read: the worker's log says why"}
	}
	return errors.Join(f(b), b.Close())
}

// ours says whether a folder is one of a run of this machine: what the database says is
// not obeyed further.
func (s *Server) ours(dir string) bool {
	if s.o.Folder == "" || filepath.Dir(filepath.Clean(dir)) != filepath.Clean(s.o.Folder) {
		return false
	}
	info, err := os.Lstat(dir)
	return err == nil && info.IsDir()
}

func (s *Server) giveBundle(w http.ResponseWriter, r *http.Request, _ person, run fleet.Run) error {
	return s.withBundle(r.Context(), run, func(b *bundle.Bundle) error {
		attach(w, "application/zip", run.ID+".zip")
		s.begun(r, zipped(w, b.Dir(), run.ID))
		return nil
	})
}

// zipped writes the regular files of a folder as a zip with one folder.
func zipped(w io.Writer, dir, name string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	z := zip.NewWriter(w)
	err = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		f, err := root.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		to, err := z.CreateHeader(&zip.FileHeader{Name: name + "/" + path, Method: zip.Deflate, Modified: info.ModTime()})
		if err != nil {
			return err
		}
		_, err = io.Copy(to, f)
		return err
	})
	return errors.Join(err, z.Close())
}

func (s *Server) givePCAPNG(w http.ResponseWriter, r *http.Request, _ person, run fleet.Run) error {
	rep, err := s.report(r.Context(), run.ID)
	if err != nil {
		return err
	}
	return s.withBundle(r.Context(), run, func(b *bundle.Bundle) error {
		pathA, pathB := b.Captures()
		if pathA == "" && pathB == "" {
			return problem{404, "this run has no captures"}
		}
		var files [2]io.Reader
		for i, path := range []string{pathA, pathB} {
			if path == "" {
				continue
			}
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			files[i] = f
		}
		attach(w, "application/vnd.tcpdump.pcap", run.ID+".pcapng")
		s.begun(r, render.PCAPNG(w, rep, files[0], files[1]))
		return nil
	})
}

// giveReport shows a report as it is: a page of its own, which may do nothing.
func (s *Server) giveReport(w http.ResponseWriter, r *http.Request, _ person, run fleet.Run) error {
	rep, err := s.report(r.Context(), run.ID)
	if err != nil {
		return err
	}
	transcripts, err := s.transcripts(r.Context(), run)
	if err != nil {
		transcripts = nil // the report is there without
	}
	w.Header().Set("Content-Security-Policy", "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "+
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	s.begun(r, render.HTML(w, rep, render.HTMLOptions{Transcripts: transcripts}))
	return nil
}

func (s *Server) giveReportJSON(w http.ResponseWriter, r *http.Request, _ person, run fleet.Run) error {
	b, err := s.o.Store.Report(r.Context(), run.ID)
	if err != nil {
		return err
	}
	if len(b) == 0 {
		return problem{404, "this run has no report"}
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(b) // who asked may be gone
	return nil
}

func (s *Server) transcripts(ctx context.Context, run fleet.Run) (map[report.Side]string, error) {
	all := map[report.Side]string{}
	err := s.withBundle(ctx, run, func(b *bundle.Bundle) error {
		for _, side := range bundle.Sides() {
			text, err := b.Transcript(side)
			if err != nil {
				return err
			}
			all[report.Side(side)] = text
		}
		return nil
	})
	return all, err
}

type transcriptView struct {
	Run, Tunnel string
	Sides       []transcriptSide
}

type transcriptSide struct{ Peer, Text string }

func (s *Server) giveTranscript(w http.ResponseWriter, r *http.Request, who person, run fleet.Run) error {
	all, err := s.transcripts(r.Context(), run)
	if err != nil {
		return err
	}
	v := transcriptView{run.ID, run.Tunnel, nil}
	for i, side := range []report.Side{report.A, report.B} {
		v.Sides = append(v.Sides, transcriptSide{run.Peers[i], visible(all[side])})
	}
	s.showPage(w, r, http.StatusOK, who, "transcript", v)
	return nil
}

func (s *Server) giveTranscriptText(w http.ResponseWriter, r *http.Request, _ person, run fleet.Run) error {
	all, err := s.transcripts(r.Context(), run)
	if err != nil {
		return err
	}
	var b strings.Builder
	for i, side := range []report.Side{report.A, report.B} {
		fmt.Fprintf(&b, "== %s\n%s\n", clean(run.Peers[i]), visible(all[side]))
	}
	plain(w, http.StatusOK, b.String())
	return nil
}

// visible keeps the lines of a text from a router, and nothing that a terminal would obey.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return r
		case r < ' ', r == 0x7f, r >= 0x80 && r < 0xa0, r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069':
			return -1
		}
		return r
	}, text)
}
