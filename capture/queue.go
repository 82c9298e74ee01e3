package capture

import (
	"context"
	"slices"
	"sync"
)

// Job is one tunnel of several.
type Job struct {
	Name  string
	Peers []string // on which it takes a slot each
	Run   func(ctx context.Context) error
}

// RunAll runs the jobs, at most parallel at a time, and at most perPeer(peer) at a time on one peer
// (1 when perPeer is nil or says less), so that the hub of many tunnels is not overloaded. The
// errors are in the order of the jobs; those that never began have the cause of ctx.
func RunAll(ctx context.Context, jobs []Job, parallel int, perPeer func(peer string) int) []error {
	q := &queue{perPeer: perPeer, busy: map[string]int{}, free: max(parallel, 1), errs: make([]error, len(jobs))}
	q.changed = sync.NewCond(&q.mu)
	defer context.AfterFunc(ctx, q.wake)()
	var wg sync.WaitGroup
	pending := make([]int, len(jobs))
	for i := range jobs {
		pending[i] = i
	}
	for len(pending) > 0 {
		n := q.next(ctx, jobs, pending)
		if n < 0 {
			break
		}
		i := pending[n]
		pending = slices.Delete(pending, n, n+1)
		wg.Go(func() {
			defer q.release(jobs[i])
			q.errs[i] = jobs[i].Run(ctx)
		})
	}
	wg.Wait()
	for _, i := range pending {
		q.errs[i] = context.Cause(ctx)
	}
	return q.errs
}

type queue struct {
	perPeer func(string) int
	mu      sync.Mutex
	changed *sync.Cond
	busy    map[string]int
	free    int
	errs    []error
}

// next waits for a job that can run and takes its slots. It returns its place in pending, or -1
// when ctx is over.
func (q *queue) next(ctx context.Context, jobs []Job, pending []int) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		if ctx.Err() != nil {
			return -1
		}
		n := slices.IndexFunc(pending, func(i int) bool { return q.free > 0 && q.fits(jobs[i]) })
		if n >= 0 {
			q.take(jobs[pending[n]], 1)
			return n
		}
		q.changed.Wait()
	}
}

func (q *queue) fits(j Job) bool {
	return !slices.ContainsFunc(j.Peers, func(p string) bool { return q.busy[p] >= q.limit(p) })
}

func (q *queue) limit(peer string) int {
	if q.perPeer == nil {
		return 1
	}
	return max(q.perPeer(peer), 1)
}

func (q *queue) take(j Job, n int) {
	q.free -= n
	for _, p := range j.Peers {
		q.busy[p] += n
	}
}

func (q *queue) release(j Job) {
	q.mu.Lock()
	q.take(j, -1)
	q.mu.Unlock()
	q.changed.Broadcast()
}

func (q *queue) wake() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.changed.Broadcast()
}
