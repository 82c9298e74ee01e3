package fleet

import (
	"syscall"
	"testing"
)

// The numbers are those of statfs(2) and linux/magic.h.
func TestNetworkFileSystems(t *testing.T) {
	t.Parallel()
	for magic, want := range map[int64]string{
		0x6969: "NFS", 0xff534d42: "CIFS", 0xfe534d42: "SMB2", 0x517b: "SMB", 0x01021997: "9P", 0x00c36400: "Ceph",
		0x5346414f: "AFS",
		0xef53:     "", 0x58465342: "", 0x9123683e: "", 0x01021994: "", 0x65735543: "", // ext4, XFS, btrfs, tmpfs, FUSE
	} {
		got := fileSystemOf("/x", func(dir string, s *syscall.Statfs_t) error {
			if dir != "/x" {
				t.Errorf("asked for %s", dir)
			}
			s.Type = magic
			return nil
		})
		if got != want {
			t.Errorf("%#x: %q, want %q", magic, got, want)
		}
	}
	if got := fileSystemOf("/x", func(string, *syscall.Statfs_t) error { return syscall.ENOENT }); got != "" {
		t.Errorf("one that is not there: %q", got)
	}
}
