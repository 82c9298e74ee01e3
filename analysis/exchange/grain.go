package exchange

// Grain is the unit of which all times of a capture are whole numbers, where that is coarser than a
// capture's times are: of those that a tool wrote in whole seconds, or in milliseconds; or of which
// those of a part are, as in a file of two readers. A packet of the time t was there at t or later,
// by less than Size. The zero value is that of fine times.
type Grain struct {
	Size int64 // nanoseconds, a power of ten; 0: fine
	Base int64 // what all times are by whole Sizes later or earlier than
}

// Floor is the time that the capture gives to what is from t.
func (g Grain) Floor(t int64) int64 {
	if g.Size == 0 {
		return t
	}
	past := (t - g.Base) % g.Size
	if past < 0 {
		past += g.Size
	}
	return t - past
}

// grains finds a grain out.
type grains struct {
	Grain
	several bool // there are two times at least
	n       int
	whole   [len(units)]int // how many times are whole units
	cut     int64           // the largest unit to which one must have been cut, as late as the one before it at most
	last    int64
	finer   int64 // the unit of all times, so far; at least 1
}

// units are those of which the times of a part of a capture may be.
var units = [...]int64{coarsest, coarsest / 10, coarsest / 100}

const (
	coarsest = 1_000_000_000
	// finest is the finest that is looked for: what is finer is less than any path takes.
	finest = 1_000_000
	// fewestInGrain are so many packets that their times are no whole milliseconds by chance.
	fewestInGrain = 4
)

// take takes a packet's time in.
func (g *grains) take(t int64) {
	g.count(t)
	if g.n++; g.n == 1 {
		g.Grain = Grain{coarsest, t}
		return
	}
	g.several = g.several || t != g.Base
	for g.Size > 0 && (t-g.Base)%g.Size != 0 {
		if g.Size /= 10; g.Size < finest {
			g.Size = 0
		}
	}
}

// count counts what t is a whole number of.
func (g *grains) count(t int64) {
	if g.n == 0 {
		g.finer = coarsest
	}
	for t%g.finer != 0 {
		g.finer /= 10
	}
	for i, unit := range units {
		if t%unit == 0 {
			g.whole[i]++
			if g.n > 0 && t <= g.last && g.last-t < unit {
				g.cut = max(g.cut, unit)
			}
		}
	}
	g.last = t
}

// found is the grain of all that was taken in; a capture of one time has none, but no times.
func (g *grains) found() Grain {
	if !g.several || g.n < fewestInGrain {
		return Grain{}
	}
	if g.Size == 0 {
		return g.ofPart()
	}
	return g.Grain
}

const (
	// fewestInPart are so many packets of a part that their times are no whole units by chance.
	fewestInPart = 2
	// finePart is the coarsest that the other times are then, and byChance how much more whole ones
	// there must be than by chance.
	finePart = 10_000
	byChance = 10
)

// ofPart is the grain of the times that are whole units, where there are more of them than those of
// a clock that counts in much finer ones can have, and one is not in the order of its packets.
func (g *grains) ofPart() Grain {
	if g.finer > finePart {
		return Grain{}
	}
	for i, unit := range units {
		if g.cut < unit {
			continue
		}
		next := g.whole[min(i+1, len(units)-1)] // whole units are whole tenths of them, too
		n := g.whole[i]
		if n >= fewestInPart && int64(n) > byChance*int64(g.n)*g.finer/unit && n*byChance > next*(byChance-1) {
			return Grain{Size: unit}
		}
	}
	return Grain{}
}
