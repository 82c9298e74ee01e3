package fleet

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// seldom is where River logs. It says the same many times a second when its database is
// away, and what it warns of is told in our own words: it is for who debugs, and each
// message once in a while.
type seldom struct {
	slog.Handler
	seen *seen
}

type seen struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// seldomEvery is the least time between two equal messages.
const seldomEvery = 30 * time.Second

func newSeldom(h slog.Handler) *seldom { return &seldom{h, &seen{last: map[string]time.Time{}}} }

// Enabled drops what is of no interest to who runs moncap.
func (h *seldom) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.Handler.Enabled(ctx, slog.LevelDebug)
}

// Handle passes a record on unless it was passed on a moment ago. That a job was cancelled is no
// news to who cancelled it.
func (h *seldom) Handle(ctx context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "job cancelled remotely") {
		return nil
	}
	h.seen.mu.Lock()
	last, again := h.seen.last[r.Message]
	fresh := !again || r.Time.Sub(last) >= seldomEvery
	if fresh && len(h.seen.last) < 1000 {
		h.seen.last[r.Message] = r.Time
	}
	h.seen.mu.Unlock()
	if !fresh {
		return nil
	}
	r.Level = slog.LevelDebug
	return h.Handler.Handle(ctx, r)
}

// WithAttrs shares what was seen.
func (h *seldom) WithAttrs(a []slog.Attr) slog.Handler {
	return &seldom{h.Handler.WithAttrs(a), h.seen}
}

// WithGroup shares what was seen.
func (h *seldom) WithGroup(name string) slog.Handler {
	return &seldom{h.Handler.WithGroup(name), h.seen}
}
