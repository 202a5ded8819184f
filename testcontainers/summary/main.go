// Command summary runs the tests and says what they did. Its arguments are those
// of go test; it runs go test -json with them, shows what failed, and ends with
// a table of the brokers:
//
//	broker    version   tests  run  failed  not run
//	kafka1    4.3.1        61   61       0  -
//	redpanda  -            61    0       0  NOT RUN: docker engine not reachable (required: no)
//	RESULT: green with 1 broker NOT RUN
//
// A test belongs to the broker whose name is an element of its path
// (TestKill/before=record/kafka1). What the suites could not run they say on
// lines that begin with "broker-report: " followed by JSON (see Report).
//
// KSTREAM_TEST_REQUIRE names the brokers that must have run, by commas; a
// required broker that did not makes the result red.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

func main() {
	ok, err := run(os.Args[1:], os.Getenv("KSTREAM_TEST_REQUIRE"), os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "summary:", err)
	}
	if !ok {
		os.Exit(1)
	}
}

// run runs the tests and prints; ok is the verdict.
func run(args []string, require string, out io.Writer) (ok bool, err error) {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := cmd.Start(); err != nil {
		return false, fmt.Errorf("run go test: %w", err)
	}
	t := newTally()
	lines := bufio.NewScanner(pipe)
	lines.Buffer(make([]byte, 64<<10), 16<<20)
	for lines.Scan() {
		if text := t.line(lines.Bytes()); text != "" {
			fmt.Fprint(out, text)
		}
	}
	if err := lines.Err(); err != nil {
		return false, fmt.Errorf("read the output of go test: %w", err)
	}
	testErr := cmd.Wait()
	table, ok := t.table(splitNames(require))
	fmt.Fprint(out, table)
	return ok && testErr == nil, nil
}

func splitNames(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}
