package broker

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// process is a broker in a process of its own. It can be started again with the
// same command line, which is how a broker restart is made.
type process struct {
	// configuration
	argv []string
	env  []string // beside the environment of the test
	log  string   // file that takes stdout and stderr, appended to

	// volatile
	cmd  *exec.Cmd
	done chan error // the result of Wait, once
}

func (p *process) start() error {
	if p.cmd != nil {
		return errors.New("it is running")
	}
	f, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	defer f.Close()
	cmd := exec.Command(p.argv[0], p.argv[1:]...)
	cmd.Env = append(os.Environ(), p.env...)
	cmd.Stdout, cmd.Stderr = f, f
	cmd.SysProcAttr = childAttr()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("run %s: %w", p.argv[0], err)
	}
	p.cmd, p.done = cmd, make(chan error, 1)
	go func(done chan<- error) { done <- cmd.Wait() }(p.done)
	return nil
}

// alive reports whether the process still runs; the error has the end of its log.
func (p *process) alive() error {
	select {
	case err := <-p.done:
		p.done <- err
		return fmt.Errorf("it ended: %v\n%s", err, p.tail())
	default:
		return nil
	}
}

// stop sends SIGTERM and waits; a process that does not end is killed and that
// is an error.
func (p *process) stop() error {
	if p.cmd == nil {
		return nil
	}
	cmd, done := p.cmd, p.done
	p.cmd = nil
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send SIGTERM: %w", err)
	}
	limit := time.NewTimer(stopTimeout)
	defer limit.Stop()
	select {
	case <-done:
		return nil
	case <-limit.C:
		err := cmd.Process.Kill()
		<-done
		return errors.Join(fmt.Errorf("it did not end within %s\n%s", stopTimeout, p.tail()), err)
	}
}

func (p *process) pause() error  { return p.signal(syscall.SIGSTOP) }
func (p *process) resume() error { return p.signal(syscall.SIGCONT) }
func (p *process) close() error  { return p.stop() }

func (p *process) signal(s syscall.Signal) error {
	if p.cmd == nil {
		return errors.New("it is not running")
	}
	return p.cmd.Process.Signal(s)
}

// tail is the end of the log, for messages.
func (p *process) tail() string {
	const most = 4 << 10
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	if len(b) > most {
		b = b[len(b)-most:]
	}
	return string(b)
}
