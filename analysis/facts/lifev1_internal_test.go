package facts

import "testing"

// What two sizes of Informationals were seen equally often is told the same way each time.
func TestChecksOfTwoSizes(t *testing.T) {
	for _, c := range []struct {
		sizes sizesV1
		pairs map[int]int
		want  int
	}{
		{sizesV1{}, map[int]int{68: 2, 84: 2}, 84},
		{sizesV1{}, map[int]int{68: 3, 84: 2}, 68},
		{sizesV1{}, map[int]int{68: 1, 84: 1}, 0},
		{sizesV1{probe: 84, deleteIKE: 68}, map[int]int{68: 3, 84: 1}, 84},
		{sizesV1{probe: 84, deleteIKE: 84}, map[int]int{84: 1, 100: 2}, 100},
		{sizesV1{probe: 84, deleteIKE: 84}, map[int]int{84: 1, 68: 2}, 84},
	} {
		for range 50 { // maps are read in another order each time
			if got := c.sizes.checks(c.pairs); got != c.want {
				t.Fatalf("%+v of %v: %d, want %d", c.sizes, c.pairs, got, c.want)
			}
		}
	}
}
