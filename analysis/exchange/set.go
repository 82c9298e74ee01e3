package exchange

import (
	"iter"
	"slices"
)

// Set is a set of sequence numbers as sorted intervals that neither touch nor overlap. Its memory grows with the gaps. The zero
// value is empty.
type Set struct {
	runs  []Interval
	count uint64
}

// Add puts n in and says whether it was not there before. Ascending numbers cost nothing to speak of.
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

// Len returns how many numbers are in the set.
func (s *Set) Len() uint64 { return s.count }

// Runs returns the intervals in ascending order; not to be changed.
func (s *Set) Runs() []Interval { return s.runs }

// Has says whether n is in the set.
func (s *Set) Has(n uint64) bool {
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
	all := append(slices.Clone(s.runs), o.runs...)
	slices.SortFunc(all, func(a, b Interval) int {
		if a.Low < b.Low {
			return -1
		}
		return 1
	})
	out := all[:1]
	for _, r := range all[1:] {
		last := &out[len(out)-1]
		if r.Low <= last.High+1 {
			last.High = max(last.High, r.High)
			continue
		}
		out = append(out, r)
	}
	s.runs, s.count = out, 0
	for _, r := range out {
		s.count += r.Len()
	}
}
