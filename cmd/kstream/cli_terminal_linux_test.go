package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// openTerminal makes a pseudo terminal of 100 columns: what is written to user
// can be read from screen.
func openTerminal(t *testing.T) (screen, user *os.File) {
	t.Helper()
	// Without O_NONBLOCK the runtime would not poll it, and Close would not end a
	// read.
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { screen.Close() })
	control := func(request uintptr, arg unsafe.Pointer) {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, screen.Fd(), request, uintptr(arg)); errno != 0 {
			t.Fatal(errno)
		}
	}
	var unlock, number int32
	control(syscall.TIOCSPTLCK, unsafe.Pointer(&unlock))
	control(syscall.TIOCGPTN, unsafe.Pointer(&number))
	size := [4]uint16{24, 100}
	control(syscall.TIOCSWINSZ, unsafe.Pointer(&size))
	user, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return screen, user
}

// TestTerminal shows one live line on a terminal, below a log that is text.
func TestTerminal(t *testing.T) {
	u := newCounts(t)
	screen, user := openTerminal(t)
	job := u.startOn(user, "run", "p.yaml")
	user.Close()
	seen := make(chan string, 1)
	go func() {
		var all strings.Builder
		buf := make([]byte, 4096)
		for {
			n, err := screen.Read(buf)
			all.Write(buf[:n])
			if err != nil { // the process has ended
				seen <- all.String()
				return
			}
		}
	}()
	u.both(nil, nil)
	before := u.cluster.produced("kstream.counts.checkpoints")
	u.until("the line is shown", func() error {
		u.cluster.write("in", countRow("b", 1, 2000))
		if now := u.cluster.produced("kstream.counts.checkpoints"); now < before+60 {
			return fmt.Errorf("%d", now)
		}
		return nil
	})
	job.stop()
	text := <-seen
	live := regexp.MustCompile(`running  \d+ records/s  lag \d+  watermark 2026-01-01T00:00:\S+Z  checkpoint \d+ \S+ ago in \S+`)
	if n := len(live.FindAllString(text, -1)); n < 2 {
		t.Errorf("the live line is shown %d times", n)
	}
	if !strings.Contains(text, "\r\x1b[K") {
		t.Errorf("the live line is not taken away")
	}
	if !strings.Contains(text, "level=INFO msg=") || strings.Contains(text, `"level"`) {
		t.Errorf("the log is not text")
	}
	if t.Failed() {
		t.Logf("%q", text)
	}
}
