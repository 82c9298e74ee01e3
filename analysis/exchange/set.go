package exchange

import (
	"cmp"
	"iter"
	"slices"
)

// Set is a set of sequence numbers as sorted intervals that neither touch nor overlap. Its memory
// grows with the gaps. The zero value is empty.
type Set struct {
	runs []Interval
	// numbers that belong between far older runs, until there are enough to sort them in together
	late  map[uint64]struct{}
	count uint64
}

// near is how many runs are moved for one late number. Farther back it waits in late, so that
// numbers in no order at all, as a forger may send them, do not take quadratic time.
const near = 512

// Add puts n in and says whether it was not there before. Ascending numbers cost
// nothing to speak of.
func (s *Set) Add(n uint64) bool {
	last := len(s.runs) - 1
	switch {
	case last < 0 || n > s.runs[last].High+1:
		s.runs = append(s.runs, Interval{n, n})
	case n == s.runs[last].High+1:
		s.runs[last].High = n
	case n >= s.runs[last].Low:
		return false
	default:
		if !s.insert(n) {
			return false
		}
	}
	s.count++
	return true
}

// insert puts n before the last run's end.
func (s *Set) insert(n uint64) bool {
	i, _ := slices.BinarySearchFunc(s.runs, n, func(r Interval, n uint64) int {
		if r.High < n {
			return -1
		}
		return 1
	})
	if s.runs[i].Low <= n { // runs[i] is the first that ends at n or behind it
		return false
	}
	joinsNext := s.runs[i].Low == n+1
	joinsPrev := i > 0 && s.runs[i-1].High+1 == n
	if len(s.runs)-i > near && joinsNext == joinsPrev {
		return s.wait(n)
	}
	if _, ok := s.late[n]; ok {
		return false
	}
	switch {
	case joinsNext && joinsPrev:
		s.runs[i-1].High = s.runs[i].High
		s.runs = slices.Delete(s.runs, i, i+1)
	case joinsNext:
		s.runs[i].Low = n
	case joinsPrev:
		s.runs[i-1].High = n
	default:
		s.runs = slices.Insert(s.runs, i, Interval{n, n})
	}
	return true
}

// wait puts n aside and says whether it is new.
func (s *Set) wait(n uint64) bool {
	if _, ok := s.late[n]; ok {
		return false
	}
	if s.late == nil {
		s.late = map[uint64]struct{}{}
	}
	s.late[n] = struct{}{}
	if len(s.late) > near+len(s.runs)/4 {
		s.settle()
	}
	return true
}

// settle sorts in what waits.
func (s *Set) settle() {
	if len(s.late) == 0 {
		return
	}
	more := make([]Interval, 0, len(s.late))
	for n := range s.late {
		more = append(more, Interval{n, n})
	}
	slices.SortFunc(more, func(a, b Interval) int { return cmp.Compare(a.Low, b.Low) })
	s.runs, s.late = union(s.runs, more), nil
}

// union joins two ascending lists of runs.
func union(a, b []Interval) []Interval {
	out := make([]Interval, 0, len(a)+len(b))
	for len(a)+len(b) > 0 {
		from := &a
		if len(a) == 0 || len(b) > 0 && b[0].Low < a[0].Low {
			from = &b
		}
		r := (*from)[0]
		*from = (*from)[1:]
		if last := len(out) - 1; last >= 0 && r.Low <= out[last].High+1 {
			out[last].High = max(out[last].High, r.High)
			continue
		}
		out = append(out, r)
	}
	return out
}

// Len returns how many numbers are in the set.
func (s *Set) Len() uint64 { return s.count }

// Runs returns the intervals in ascending order; not to be changed.
func (s *Set) Runs() []Interval {
	s.settle()
	return s.runs
}

// Has says whether n is in the set.
func (s *Set) Has(n uint64) bool {
	s.settle()
	i, _ := slices.BinarySearchFunc(s.runs, n, func(r Interval, n uint64) int {
		if r.High < n {
			return -1
		}
		return 1
	})
	return i < len(s.runs) && s.runs[i].Low <= n
}

// Min and Max return the ends of the set; 0 for an empty one.
func (s *Set) Min() uint64 {
	s.settle()
	if len(s.runs) == 0 {
		return 0
	}
	return s.runs[0].Low
}

// Max returns the largest number in the set, 0 for an empty one.
func (s *Set) Max() uint64 {
	if len(s.runs) == 0 {
		return 0
	}
	return s.runs[len(s.runs)-1].High
}

// Minus yields the runs of numbers that are in s and not in o, ascending.
func (s *Set) Minus(o *Set) iter.Seq[Interval] {
	s.settle()
	o.settle()
	return func(yield func(Interval) bool) {
		j := 0
		for _, r := range s.runs {
			low := r.Low
			for ; j < len(o.runs) && o.runs[j].Low <= r.High; j++ {
				if o.runs[j].High < low {
					continue
				}
				if o.runs[j].Low > low && !yield(Interval{low, o.runs[j].Low - 1}) {
					return
				}
				low = o.runs[j].High + 1
				if low > r.High {
					break // o.runs[j] may reach into the next run too
				}
			}
			if low <= r.High && !yield(Interval{low, r.High}) {
				return
			}
		}
	}
}

// Merge puts all of o in.
func (s *Set) Merge(o *Set) {
	if o.count == 0 {
		return
	}
	s.settle()
	o.settle()
	out := union(s.runs, o.runs)
	s.runs, s.count = out, 0
	for _, r := range out {
		s.count += r.Len()
	}
}
