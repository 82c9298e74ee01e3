package facts

import (
	"strconv"

	"github.com/moncap/moncap/device/iosxe"
	"github.com/moncap/moncap/internal/lazyregexp"
)

var releaseNumbers = lazyregexp.New(`^(\d+)\.(\d+)`)

// RefusesWeak reads `show version` and says whether that release of IOS XE refuses weak IPsec
// algorithms by default, as 17.11.1 and later do (Cisco Field Notice 72510): DES, 3DES, MD5 and the
// groups 1, 2, 5 and 24.
func RefusesWeak(showVersion string) (release string, refuses bool) {
	v, err := iosxe.ParseVersion(showVersion)
	if err != nil {
		return "", false
	}
	m := releaseNumbers.Get().FindStringSubmatch(v.Software)
	if m == nil {
		return v.Software, false
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	return v.Software, major > 17 || major == 17 && minor >= 11
}
