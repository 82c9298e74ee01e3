package iosxe

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// Upload is a folder of an SCP server to which a router can push a capture itself. Only ParseUpload
// makes one that is not empty. It never has a password: that would end up in the router's history
// and in its accounting.
type Upload struct {
	User   string
	Host   string // a name or an address
	Port   int    // 22 unless the URL says otherwise
	Folder string // "" is the user's own; one that begins with a slash is absolute
}

const uploadScheme, uploadPort = "scp://", 22

var (
	uploadURL = lazyregexp.New(
		`^scp://([A-Za-z0-9._-]{1,32})@([A-Za-z0-9][A-Za-z0-9._-]{0,252}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?(/[A-Za-z0-9._/-]{0,160})?$`)
	uploadFolder = lazyregexp.New(`^/?(?:[A-Za-z0-9_][A-Za-z0-9._-]*/)*$`)

	// IOS XE asks again for what the URL says already.
	copyQuestions = lazyregexp.New(
		`(?i)(?:address or name of remote host|destination username|destination filename) \[[^\]\r\n]*\]\?\s*$`)
)

// ParseUpload reads scp://USER@HOST[:PORT][/FOLDER]. As in IOS XE's own URLs, a folder is the
// user's, and a second slash makes it absolute: scp://ops@192.0.2.5//var/captures. A URL with a
// password in it is refused.
func ParseUpload(s string) (Upload, error) {
	fail := func(why string) (Upload, error) {
		return Upload{}, fmt.Errorf("upload: %s; want scp://USER@HOST[:PORT][/FOLDER], of letters, digits, '.', '_' and '-'",
			why)
	}
	m := uploadURL.Get().FindStringSubmatch(s)
	if m == nil {
		if user, _, ok := strings.Cut(strings.TrimPrefix(s, uploadScheme), "@"); ok && strings.Contains(user, ":") {
			return fail("a password must not stand in the URL, for the router keeps what it is told") // and is not repeated here
		}
		return fail(strconv.Quote(s))
	}
	u := Upload{User: m[1], Host: strings.Trim(m[2], "[]"), Port: uploadPort}
	if m[2] != u.Host {
		if a, err := netip.ParseAddr(u.Host); err != nil || !a.Is6() {
			return fail(strconv.Quote(s))
		}
	}
	if m[3] != "" {
		if u.Port, _ = strconv.Atoi(m[3]); u.Port < 1 || u.Port > 65535 {
			return fail(strconv.Quote(s))
		}
	}
	if u.Folder = strings.TrimPrefix(m[4], "/"); u.Folder != "" && !strings.HasSuffix(u.Folder, "/") {
		u.Folder += "/"
	}
	if !uploadFolder.Get().MatchString(u.Folder) {
		return fail(strconv.Quote(s))
	}
	return u, nil
}

// IsZero says whether u names nothing.
func (u Upload) IsZero() bool { return u.Host == "" }

// Address returns host and port for dialling.
func (u Upload) Address() string { return net.JoinHostPort(u.Host, strconv.Itoa(u.Port)) }

// Path is where the server keeps the file f.
func (u Upload) Path(f File) string { return u.Folder + f.s }

// URL is what the router is told to write f to, and what ParseUploaded reads.
func (u Upload) URL(f File) string {
	host := u.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if u.Port != uploadPort {
		host += ":" + strconv.Itoa(u.Port)
	}
	return uploadScheme + u.User + "@" + host + "/" + u.Path(f)
}

// ParseUploaded reads a URL that Upload.URL made.
func ParseUploaded(url string) (Upload, File, error) {
	at := strings.LastIndexByte(url, '/')
	u, err := ParseUpload(url[:max(at, 0)])
	if err != nil {
		return Upload{}, File{}, err
	}
	f, err := ParseFile(url[at+1:])
	return u, f, err
}

// ExportUpload has the router push the packets of a stopped capture to a server. The router asks
// for the server's password, which the session knows, and for what the URL says already.
func ExportUpload(n Name, u Upload, f File) Command {
	c := exec("export-upload", "monitor capture "+n.s+" export "+u.URL(f))
	c.Slow, c.Password = true, true
	c.Answers = []Answer{answer(copyQuestions)}
	return c
}

var sink = lazyregexp.New(`(?m)^\s*Sink: C0[0-7]{3} (\d{1,12}) `)

// ParseUploadSize reads from the answer to ExportUpload how many bytes the router sent.
func ParseUploadSize(output string) (int64, error) {
	m := sink.Get().FindStringSubmatch(Clean(output))
	if m == nil {
		return 0, fmt.Errorf("export: the router does not say how much it sent")
	}
	return strconv.ParseInt(m[1], 10, 64)
}
