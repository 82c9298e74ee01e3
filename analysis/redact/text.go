package redact

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/moncap/moncap/internal/lazyregexp"
)

var (
	wordPattern = lazyregexp.New(`[A-Za-z0-9][A-Za-z0-9._-]*`)
	// Anything that may be an address: what ParseAddr does not take stays as it is.
	ip4Pattern = lazyregexp.New(`\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b`)
	ip6Pattern = lazyregexp.New(`(?i)[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?:\.\d{1,3}\.\d{1,3}\.\d{1,3})?`)
	macPattern = lazyregexp.New(`(?i)\b(?:[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}|[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5})\b`)
	// An identity, or a name of the DNS. Names of files are none.
	idPattern  = lazyregexp.New(`(?i)\b[A-Z0-9._%+-]+@[A-Z0-9-]+(?:\.[A-Z0-9-]+)*\b`)
	dnsPattern = lazyregexp.New(`(?i)\b(?:[A-Z0-9](?:[A-Z0-9-]*[A-Z0-9])?\.)+[A-Z]{2,}\b`)
	token      = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(strings.Join([]string{
			macPattern.Get().String(), idPattern.Get().String(), dnsPattern.Get().String(), ip4Pattern.Get().String(),
			ip6Pattern.Get().String(),
		}, "|"))
	})
	fileEnding = lazyregexp.New(
		`(?i)\.(?:pcapn?g?|cap|txt|log|bin|pkg|conf|cfg|json|jsonl|html|md|xml|zip|part|go|spa|smu|dat|pem|key)$`)
	vendor  = lazyregexp.New(`(?i)(?:^|\.)cisco\.com$`) // in every output of show version
	serial  = lazyregexp.New(`(?im)(^Processor board ID )\S+|(\bSN:\s*|\bserial number\s*:?\s*)[A-Z0-9]{6,}`)
	numeral = lazyregexp.New(`\b(?:0[xX])?[0-9A-Fa-f]{8}\b|\b\d{8,10}\b|\b(?:0[xX])?[0-9A-Fa-f]{32}\b`)
)

// learnt are the places of IOS XE output where a name stands that somebody chose.
var learnt = []*lazyregexp.Regexp{
	lazyregexp.New(`(?im)^\s*hostname (\S+)`),
	lazyregexp.New(`(?im)^\s*(?:IKEv2 profile|Keyring|Trustpoint(?:\(s\))?|Peer name|IKEv2 policy|IKEv2 proposal|IPSEC profile|ISAKMP profile)\s*:?\s+"?([A-Za-z0-9][^\s",:]*)`),
	lazyregexp.New(`(?i)\bcrypto (?:map|ikev2 (?:profile|keyring|policy|proposal)|isakmp profile|ipsec (?:profile|transform-set)|pki trustpoint|keyring) (?:tag: )?"?([A-Za-z0-9][^\s",:]*)`),
	lazyregexp.New(`(?i)\b(?:Crypto map tag|Transform set|Profile|profile name|vrf|ivrf|fvrf|protected vrf)\s*[:=]\s*\(?"?([A-Za-z0-9][^\s",:)]*)`),
	lazyregexp.New(`(?i)\b(?:profile|policy|keyring|trustpoint|trustpoints|map|proposal)\s+'([^'\n]{1,64})'`),
	lazyregexp.New(`(?i)\b(?:profile keyring|from keyring|using keyring|peer block|keyring name)\s+([A-Za-z0-9][^\s",:]*)`),
	lazyregexp.New(`(?i)\btransform set ([A-Za-z0-9][^\s",:]*):`),
	lazyregexp.New(`(?im)^\s*([A-Za-z0-9][\w.-]*):\s+\{ (?:esp|ah)-`),
	lazyregexp.New(`(?i)\bip access-list (?:extended|standard) (\S+)`),
	lazyregexp.New(`(?i)\b(?:Extended|Standard) IP access list (\S+)`),
	lazyregexp.New(`(?i)\b(?:user(?:name)?|logged in as)\s*[:= ]\s*"?([A-Za-z0-9][^\s",:\]]*)`),
	lazyregexp.New(`(?i)\bconfigured from \S+ by ([A-Za-z0-9]\S*) on`),
	lazyregexp.New(`(?im)^\*?\s*\d+ (?:vty|con|aux|tty) \d+\s+([A-Za-z][^\s,:]*)\s+(?:idle|\S*\b)`),
	lazyregexp.New(`(?i)\b(?:cn|ou|o)\s*=\s*([A-Za-z0-9][^,+"\n]*)`),
}

// identities are the places where IOS XE shows an identity of IKE.
var identities = lazyregexp.New(`(?i)\b(?:fqdn|key-id|user-fqdn|email|phase1_id)\s*:?\s+"?([A-Za-z0-9][^\s",:]*)`)

// inQuotes are the identities of debugs: identity 'X' of type 'FQDN'.
var inQuotes = lazyregexp.New(`(?i)\bidentity '([^'\n]{1,255})'`)

// plain are words that stand in those places and name nobody.
var plain = sync.OnceValue(func() map[string]bool {
	const words = `default none any global all local remote address match map profile policy proposal keyring tunnel transport crypto ipsec ikev1 ikev2
	isakmp interface gigabitethernet1 yes no enabled disabled name host idle location line user username type mode ios cisco udp esp tcp icmp permit deny
	entry empty not set is configured using the for and of with authentication encryption integrity pre-share rsa-sig psk moncap moncap-suggestion aes des 3des sha
	sha1 sha256 sha384 sha512 md5 prf integ group esp-aes esp-3des esp-gcm esp-sha-hmac esp-sha256-hmac aes-cbc-128 aes-cbc-256 aes-gcm-128 aes-gcm-256`
	set := map[string]bool{}
	for _, w := range strings.Fields(words) {
		set[w] = true
	}
	return set
})

// LearnText keeps the names that a router's output tells in places where operators choose them:
// profiles, key rings, access lists, VRFs, identities and users. All texts of a case must be learnt
// before the first Text.
func (r *Redactor) LearnText(s string) {
	s = recorded.Get().ReplaceAllString(s, "")
	r.learnUsers(s)
	for _, p := range learnt {
		for _, m := range p.Get().FindAllStringSubmatch(s, -1) {
			if n, ok := chosen(m[1]); ok {
				r.addName(n)
			}
		}
	}
	for _, p := range []*regexp.Regexp{identities.Get(), inQuotes.Get()} {
		for _, m := range p.FindAllStringSubmatch(s, -1) {
			r.addIdentity(m[1])
		}
	}
}

// recorded is what a transcript puts before each line.
var recorded = lazyregexp.New(`(?m)^\d{4}-\d\d-\d\dT\S+Z [<>#] ?`)

// session is a row of `show users`: line, user, host, idle time, location. Of these only the idle
// time has a form of its own; a user who has not logged in yet is not there.
var session = lazyregexp.New(
	`(?im)^[*\s]*\d+ (?:vty|con|aux|tty|hvc|idle) +\d+ +(.*?) +((?:\d+:\d\d:\d\d|\d+[ywdhm]\S*|never))(?: +(\S.*?))? *\r?$`)

// ppp is a row of its second table: interface, user, mode, idle time, peer.
var ppp = lazyregexp.New(`(?im)^ +(?:Vi|Virtual-Access|Se|Tu|PPP)\S* +(\S+) +\S+ +(?:\d+:\d\d:\d\d|never)`)

// learnUsers takes the names of those who were logged in, and where from. Nobody's name is too
// plain for that.
func (r *Redactor) learnUsers(s string) {
	for _, m := range session.Get().FindAllStringSubmatch(s, -1) {
		who := strings.Fields(m[1])
		if len(who) > 1 {
			r.addPerson(who[0])
		}
		if len(who) > 0 && !strings.EqualFold(who[len(who)-1], "idle") {
			r.addPerson(who[len(who)-1])
		}
		for _, from := range strings.Fields(m[3]) {
			r.addPerson(from)
		}
	}
	for _, m := range ppp.Get().FindAllStringSubmatch(s, -1) {
		r.addPerson(m[1])
	}
}

// addPerson takes a word that stands where only a name or an address can.
func (r *Redactor) addPerson(word string) {
	lower := strings.ToLower(word)
	if _, err := netip.ParseAddr(lower); err == nil || len(lower) < 2 || strings.Trim(lower, "0123456789.-") == "" {
		return
	}
	if _, known := r.names[lower]; !known {
		r.addName(lower)
	}
}

// described is what people write about an interface, a map or a peer: anything.
var described = lazyregexp.New(`(?im)((?:^|Z < )\s*(?:Description|Desc)\s*:\s*)\S.*$`)

// chosen says whether a word is a name that somebody chose, and returns it in lower case.
func chosen(n string) (string, bool) {
	lower := strings.ToLower(strings.Trim(strings.TrimSpace(n), `.'"`))
	_, err := netip.ParseAddr(lower)
	return lower, len(lower) >= 3 && !plain()[lower] && err != nil && strings.Trim(lower, "0123456789") != ""
}

// addIdentity makes an identity in texts what it becomes in the captures.
func (r *Redactor) addIdentity(id string) {
	n, ok := chosen(id)
	if _, known := r.names[n]; ok && !known {
		r.names[n] = r.identityText(n)
	}
}

// Text replaces addresses, the names that New was given and LearnText found, MAC
// addresses, identities, names of the DNS and serial numbers. An identity becomes what it
// becomes in a capture.
func (r *Redactor) Text(s string) string {
	s = described.Get().ReplaceAllString(s, "${1}REDACTED")
	s = token().ReplaceAllStringFunc(s, r.tokenText)
	s = serial.Get().ReplaceAllString(s, "${1}${2}REDACTED")
	if len(r.numerals) > 0 {
		s = numeral.Get().ReplaceAllStringFunc(s, r.numeralText)
	}
	if len(r.names) == 0 {
		return s
	}
	return wordPattern.Get().ReplaceAllStringFunc(s, r.nameText)
}

// tokenText replaces what the patterns find, by the first that takes all of it.
func (r *Redactor) tokenText(m string) string {
	switch {
	case whole(macPattern.Get(), m):
		return r.macText(m)
	case whole(idPattern.Get(), m):
		return r.identityText(m)
	case whole(dnsPattern.Get(), m):
		if fileEnding.Get().MatchString(m) || vendor.Get().MatchString(m) || r.named(m) {
			return m
		}
		return r.identityText(m)
	}
	return r.addressText(m)
}

func whole(p *regexp.Regexp, m string) bool {
	at := p.FindStringIndex(m)
	return at != nil && at[0] == 0 && at[1] == len(m)
}

func (r *Redactor) identityText(m string) string {
	b := []byte(m)
	r.disguise(b)
	return string(b)
}

// macText replaces a MAC address as the captures do, in the form in which it is written.
func (r *Redactor) macText(m string) string {
	digits := strings.NewReplacer(".", "", ":", "", "-", "").Replace(m)
	b, err := hex.DecodeString(digits)
	if err != nil {
		return m
	}
	r.mac(b)
	out, fresh := []byte(m), hex.EncodeToString(b)
	k := 0
	for i, c := range out {
		if c != '.' && c != ':' && c != '-' {
			out[i] = fresh[k]
			k++
		}
	}
	return string(out)
}

// prepareNumerals lists how else the addresses of the case may be written: as one number, decimal
// or hexadecimal. An SPI may be such a number too, and becomes what it becomes in a capture.
func (r *Redactor) prepareNumerals() {
	r.numerals = map[string]string{}
	for a := range r.seen.addresses {
		if !a.Is4() {
			r.numerals[hex.EncodeToString(a.AsSlice())] = hex.EncodeToString(r.Addr(a).AsSlice())
			continue
		}
		from, to := a.As4(), r.spiOf(a)
		r.numerals[hex.EncodeToString(from[:])] = hex.EncodeToString(to)
		r.numerals[strconv.FormatUint(uint64(binary.BigEndian.Uint32(from[:])),
			10)] = strconv.FormatUint(uint64(binary.BigEndian.Uint32(to)), 10)
	}
}

func (r *Redactor) numeralText(m string) string {
	digits, prefix := m, ""
	if len(m) > 2 && (m[1] == 'x' || m[1] == 'X') {
		prefix, digits = m[:2], m[2:]
	}
	to, ok := r.numerals[strings.ToLower(digits)]
	switch {
	case !ok:
		return m
	case digits != strings.ToLower(digits):
		to = strings.ToUpper(to)
	}
	return prefix + to
}

func (r *Redactor) addressText(m string) string {
	if a, port, ok := r.withPort(m); ok {
		return r.Addr(a).String() + port
	}
	a, err := netip.ParseAddr(m)
	if err != nil {
		return m
	}
	if bits := maskBits(a); bits {
		return m
	}
	return r.Addr(a).String()
}

// withPort takes a port off an IPv6 address: debugs of IOS write both with a colon between and no
// brackets, as in [To FC00::2:500/From FC00::1:500/VRF i0:f0].
func (r *Redactor) withPort(m string) (a netip.Addr, port string, ok bool) {
	at := strings.LastIndexByte(m, ':')
	if at < 0 || strings.Count(m, ":") < 2 {
		return a, "", false
	}
	a, err := netip.ParseAddr(m[:at])
	port = m[at:]
	return a, port, err == nil && a.Is6() && (port == ":500" || port == ":4500" || port == ":848" ||
		r.seen.addresses[a] && strings.Trim(port[1:], "0123456789") == "")
}

// maskBits says whether a is a netmask or a wildcard mask, which is no address.
func maskBits(a netip.Addr) bool {
	if !a.Is4() {
		return false
	}
	b := a.As4()
	v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	return ^v&(^v+1) == 0 || v&(v+1) == 0
}

// nameText replaces a name, also as the beginning of a file's name or with a
// router's prompt behind it.
func (r *Redactor) nameText(word string) string {
	lower := strings.ToLower(word)
	if to, ok := r.names[lower]; ok {
		return to
	}
	for i := len(lower) - 1; i > 0; i-- { // the longest name first
		if to, ok := r.names[lower[:i]]; ok && strings.ContainsRune("._-", rune(lower[i])) {
			return to + r.nameRest(word[i:])
		}
	}
	return r.nameRest(word)
}

// nameRest replaces names behind a separator, as in the folder of a tunnel or in the name of a
// side's file.
func (r *Redactor) nameRest(word string) string {
	for i := range len(word) - 1 {
		if strings.ContainsRune("._-", rune(word[i])) {
			if to := r.nameText(word[i+1:]); to != word[i+1:] {
				return word[:i+1] + to
			}
		}
	}
	return word
}

// named says whether a word is one of the names that have a replacement of their own.
func (r *Redactor) named(word string) bool {
	_, ok := r.names[strings.ToLower(word)]
	return ok
}
