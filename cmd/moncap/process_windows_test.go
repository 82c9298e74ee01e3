package main

import "os"

// pageFaults are not told.
func pageFaults(*os.ProcessState) int64 { return 0 }
