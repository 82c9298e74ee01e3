// Package nearly sorts what is in order but for a few: packets in the order of a capture, of which
// those that were sent again come late.
package nearly

import "slices"

// doubted is how many in a row come late before it is taken that those in front of them come early.
const doubted = 8

// Sort sorts all by compare, as slices.SortFunc does: equal ones in any order. Where all but a few
// are in order, it takes little more than one walk.
func Sort[T any](all []T, compare func(a, b T) int) {
	kept, aside, few := part(all, compare, len(all)/8)
	if !few {
		slices.SortFunc(all, compare)
		return
	}
	slices.SortFunc(aside, compare)
	for to := len(all); len(aside) > 0; { // the largest ones first: there is room behind those that are kept
		to--
		last := len(aside) - 1
		if kept > 0 && compare(all[kept-1], aside[last]) > 0 {
			kept--
			all[to] = all[kept]
		} else {
			all[to], aside = aside[last], aside[:last]
		}
	}
}

// part moves those that ascend to the front, and says how many they are, and which are not among
// them. It is false where these are more than most: then all is still there, in some order.
func part[T any](all []T, compare func(a, b T) int, most int) (kept int, aside []T, few bool) {
	late := 0 // how many of aside came last, in a row
	for i, x := range all {
		if len(aside) > most {
			copy(all[kept:i], aside)
			return kept, aside, false
		}
		switch {
		case kept == 0 || compare(all[kept-1], x) <= 0:
			late = 0
		case kept > 1 && compare(all[kept-2], x) <= 0: // the one in front of x came early
			kept--
			aside, late = append(aside, all[kept]), 0
		case late+1 < doubted:
			aside, late = append(aside, x), late+1
			continue
		default:
			for late = 0; kept > 0 && compare(all[kept-1], x) > 0; kept-- {
				aside = append(aside, all[kept-1])
			}
		}
		all[kept] = x
		kept++
	}
	if len(aside) > most {
		copy(all[kept:], aside)
	}
	return kept, aside, len(aside) <= most
}
