//go:build unix

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A program that waits for a pipe hears the first SIGTERM.
func TestAPipeThatIsSilentKeepsNobody(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	begun := make([]byte, 150_000) // more than fits in a pipe: who wrote it knows that somebody reads
	for i, word := range []uint32{0xa1b2c3d4, 2 | 4<<16, 0, 0, 262144, 1, 0, 0, 200_000, 200_000} {
		binary.LittleEndian.PutUint32(begun[4*i:], word)
	}
	for _, args := range []string{"decode FIFO", "decode --stats FIFO", "analyze FIFO", "decode -", "analyze -"} {
		t.Run(args, func(t *testing.T) {
			fifo := filepath.Join(t.TempDir(), "fifo")
			if err := mkfifo(fifo); err != nil {
				t.Fatal(err)
			}
			said := &lockedBuffer{}
			c := exec.CommandContext(t.Context(), exe, strings.Fields(strings.ReplaceAll(args, "FIFO", fifo))...)
			c.Env, c.Stderr = append(os.Environ(), "MONCAP_TEST_AS_PROGRAM=1"), said
			in, err := c.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			var writer io.Writer = in
			if strings.HasSuffix(args, "FIFO") {
				f, err := os.OpenFile(fifo, os.O_WRONLY, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				writer = f
			}
			if _, err := writer.Write(begun); err != nil {
				t.Fatalf("%v\n%s", err, said)
			}
			if err := c.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			err = c.Wait()
			if code := c.ProcessState.ExitCode(); code < 0 || !strings.Contains(said.String(), "interrupted (SIGTERM)") {
				t.Errorf("exit status %d, %v\n%s", code, err, fmt.Sprint(said))
			}
		})
	}
}

// What was never opened by a writer does not wait for one when the command is over.
func TestAPipeWithoutAWriterKeepsNobody(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := mkfifo(fifo); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // who is let go is in the opening, or comes to it, until somebody writes
		for began := time.Now(); time.Since(began) < tooLong; time.Sleep(time.Millisecond) {
			if f, err := os.OpenFile(fifo, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
				_ = f.Close()
				return
			}
		}
		t.Error("nobody opened the pipe")
	})
	info, err := os.Stat(fifo)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(&interrupted{syscall.SIGTERM})
	in, err := heedFile(ctx, fifo, info)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := in.Read(make([]byte, 10)); err == nil || err.Error() != "interrupted (SIGTERM)" {
		t.Error(err)
	}
}
