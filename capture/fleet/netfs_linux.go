package fleet

import "syscall"

// networkFileSystem names the network file system that a folder is on; empty: it is on none that is
// known (statfs(2)).
func networkFileSystem(dir string) string { return fileSystemOf(dir, syscall.Statfs) }

func fileSystemOf(dir string, statfs func(string, *syscall.Statfs_t) error) string {
	var s syscall.Statfs_t
	if err := statfs(dir, &s); err != nil {
		return ""
	}
	return map[uint32]string{
		0x6969: "NFS", 0x517b: "SMB", 0xff534d42: "CIFS", 0xfe534d42: "SMB2", 0x01021997: "9P", 0x00c36400: "Ceph",
		0x5346414f: "AFS",
		0x65735543: "", // FUSE may be either
	}[uint32(s.Type)]
}
