package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kstream/codec"
	"kstream/expr"
	"kstream/record"
	"kstream/source"
	"kstream/topology"
)

// exprFlags are the flags of expr.
type exprFlags struct {
	records            []string
	in, format, schema string
	key, ts            string
}

func exprCommand() *cobra.Command {
	var f exprFlags
	cmd := &cobra.Command{
		Use: "expr EXPRESSION", Short: "Evaluate an expression on sample records",
		Long: `Checks an expression as the steps of a pipeline are checked, and prints its value
for each record: those of --record, or of --in, or one per line of standard input.
An expression that reads nothing of a record needs none.

Values are JSON, one per line, on standard output; the type of the expression and
records that fail go to standard error. With -o json both are in one object per
record.

Exit codes: 0 evaluated · 1 it failed for a record · 2 wrong usage · 3 the
expression or the schema is wrong`,
		Example: `  kstream expr 'amount > 100 and lower(city) == "paris"' --record '{"amount": 120, "city": "Paris"}'
  kstream expr 'date_trunc("hour", at)' --schema '{at: timestamp!}' --in sample.jsonl
  kstream expr 'extract($value, "^(\\S+)", 1)' --format string < access.log
  kstream expr '[$key, $ts]' --record '{}' --key paris --ts 2026-11-02T10:16:35Z -o json
  kstream expr '1_000 * 3'`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := jsonOutput(cmd)
			if err != nil {
				return err
			}
			quiet, _ := cmd.Flags().GetBool("quiet")
			return f.evaluate(args[0], cmd.Flags().Changed("key"), asJSON, quiet)
		},
	}
	fl := cmd.Flags()
	fl.StringArrayVar(&f.records, "record", nil, "a record; repeat for more")
	fl.StringVar(&f.in, "in", "", "file with a record per line; - is standard input")
	fl.StringVar(&f.format, "format", "json", "format of the records: json, string or bytes")
	fl.StringVar(&f.schema, "schema", "", "schema of the records, as in a pipeline: '{id: string!, at: timestamp}', or a file that holds it")
	fl.StringVar(&f.key, "key", "", "key of the records, for $key")
	fl.StringVar(&f.ts, "ts", "", "time of the records, for $ts: 2026-11-02T10:16:35Z; default: now")
	return cmd
}

func (f *exprFlags) evaluate(text string, keyed, asJSON, quiet bool) error {
	if !slices.Contains([]string{"json", "string", "bytes"}, f.format) {
		return &exitError{code: exitUsage, text: fmt.Sprintf("--format %s is not one of json, string, bytes", f.format)}
	}
	if len(f.records) > 0 && f.in != "" {
		return &exitError{code: exitUsage, text: "--record and --in exclude each other"}
	}
	now := time.Now().UnixNano()
	at := now
	if f.ts != "" {
		var ok bool
		if at, ok = record.ParseTimestampRFC3339(f.ts); !ok {
			return &exitError{code: exitUsage, text: fmt.Sprintf("--ts %s is not a time", f.ts), hint: "write it as 2026-11-02T10:16:35Z"}
		}
	}
	schema, err := f.schemaText()
	if err != nil {
		return err
	}
	sample, found := topology.CompileSample(text, f.format, schema, topology.Options{NoEnv: true, ReadFile: os.ReadFile})
	fmt.Fprint(os.Stderr, topology.RenderText(found, nil))
	if sample == nil {
		return &exitError{code: exitInvalid}
	}
	e := newEvaluator(sample, now)
	e.message.Time = record.TimestampNanos(at).Millis()
	if keyed {
		e.message.Key = []byte(f.key)
	}
	e.asJSON = asJSON
	if !asJSON && !quiet {
		fmt.Fprintln(os.Stderr, "type: "+sample.Program.Type.String())
	}
	if err := f.each(e); err != nil {
		return err
	}
	if e.failed > 0 {
		return &exitError{code: exitFailed, text: fmt.Sprintf("it failed for %d of %s", e.failed, count(e.n, "record"))}
	}
	return nil
}

// schemaText is --schema, or what the file of that name holds.
func (f *exprFlags) schemaText() (string, error) {
	if f.schema == "" || strings.ContainsAny(f.schema, "{\n") {
		return f.schema, nil
	}
	data, err := os.ReadFile(f.schema)
	if errors.Is(err, fs.ErrNotExist) {
		return "", &exitError{code: exitUsage, text: "--schema is neither a schema nor a file: " + f.schema, hint: "write it as {id: string!, at: timestamp}"}
	} else if err != nil {
		return "", &exitError{code: exitEnvironment, text: "read the schema: " + err.Error()}
	}
	return string(data), nil
}

// each evaluates every record there is.
func (f *exprFlags) each(e *evaluator) error {
	in := io.Reader(os.Stdin)
	switch {
	case len(f.records) > 0:
		for _, r := range f.records {
			if err := e.print([]byte(r)); err != nil {
				return err
			}
		}
		return nil
	case f.in != "" && f.in != "-":
		file, err := os.Open(f.in)
		if err != nil {
			return &exitError{code: exitEnvironment, text: err.Error()}
		}
		defer file.Close()
		in = file
	case f.in == "" && !e.sample.Reads:
		return e.print(nil)
	case isTerminal(os.Stdin):
		return &exitError{code: exitUsage, text: "the expression reads a record, and there is none", hint: "give --record, --in, or records on standard input"}
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		if f.format == "json" && len(strings.TrimSpace(lines.Text())) == 0 {
			continue
		}
		if err := e.print(lines.Bytes()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return &exitError{code: exitEnvironment, text: fmt.Sprintf("read record %d: %s", e.n+1, err)}
	}
	return nil
}

// evaluator computes one expression over records, one after the other.
type evaluator struct {
	sample  *topology.Sample
	decoder *source.Decoder
	env     *expr.Env
	row     record.Row
	message record.Message
	asJSON  bool
	out     []byte
	n       int
	failed  int
}

func newEvaluator(sample *topology.Sample, now int64) *evaluator {
	env := &expr.Env{Arena: &record.Arena{}, Now: now, Rand: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), Pipeline: "expr"}
	return &evaluator{
		sample: sample, env: env,
		decoder: source.NewDecoder(sample.Source, source.Options{Expr: env}),
		row:     record.Row{Slots: make([]record.Value, sample.Slots)},
	}
}

// value is the expression's value for a record as JSON; nil is no record.
func (e *evaluator) value(text []byte) ([]byte, error) {
	e.env.Arena.Reset()
	e.message.Value = text
	e.env.Begin(&e.row)
	if text != nil {
		if _, err := e.decoder.Decode(&e.message, &e.row); err != nil {
			return nil, err
		}
	}
	for _, a := range e.sample.Assign {
		e.row.Slots[a.Slot] = a.Program.Eval(e.env)
	}
	v := e.sample.Program.Eval(e.env)
	if err := e.env.Err(); err != nil {
		return nil, &record.Error{Code: err.Code, Message: err.Message}
	}
	out, err := codec.AppendJSON(e.out[:0], v, e.sample.Program.Type, codec.JSONWriteOptions{})
	if err != nil {
		return nil, &record.Error{Code: "encode-failed", Message: err.Error()}
	}
	e.out = out
	return out, nil
}

// exprResult is one value for programs.
type exprResult struct {
	Kind    string          `json:"kind"`
	Version int             `json:"version"`
	Record  int             `json:"record"` // from 1; 0 is an expression without a record
	Type    string          `json:"type"`
	Value   json.RawMessage `json:"value,omitempty"`
	Error   *exprError      `json:"error,omitempty"`
}

type exprError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// print evaluates one record and prints what came of it.
func (e *evaluator) print(text []byte) error {
	if text != nil {
		e.n++
	}
	r := exprResult{Kind: "ExprResult", Version: 1, Record: e.n, Type: e.sample.Program.Type.String()}
	value, err := e.value(text)
	if err != nil {
		e.failed++
		r.Error = &exprError{Code: "eval-failed", Message: err.Error()}
		if bad, ok := errors.AsType[*record.Error](err); ok {
			r.Error = &exprError{Code: bad.Code, Message: bad.Message}
		}
	}
	switch {
	case e.asJSON:
		r.Value = value
		w := json.NewEncoder(os.Stdout)
		w.SetEscapeHTML(false)
		err = w.Encode(r)
	case r.Error != nil && e.n == 0:
		_, err = fmt.Fprintf(os.Stderr, "[%s] %s\n", r.Error.Code, r.Error.Message)
	case r.Error != nil:
		_, err = fmt.Fprintf(os.Stderr, "record %d: [%s] %s\n", e.n, r.Error.Code, r.Error.Message)
	default:
		_, err = fmt.Printf("%s\n", value)
	}
	if err != nil {
		return &exitError{code: exitFailed, text: "write the value: " + err.Error()}
	}
	return nil
}
