package operator

import (
	"kstream/expr"
	"kstream/record"
)

// codeEval is the code of records that an operator could not compute with.
const codeEval = "eval-failed"

// logLine writes a line for a row, at most one every so often. The clock is the
// time of the batch.
type logLine struct {
	*base
	text  []string
	holes []func(*expr.Env) record.Value
	every int64
	last  int64
	any   bool
	buf   []byte
}

func newLog(b *base) *logLine {
	l := &logLine{base: b, text: b.node.Log.Text, every: int64(b.node.Log.Every)}
	for _, p := range b.node.Log.Holes {
		l.holes = append(l.holes, p.Eval)
	}
	return l
}

func (l *logLine) process(row *record.Row) error {
	l.stats.In++
	if row.Bare {
		return l.emit(row)
	}
	if l.node.When != nil {
		ok, err := l.holds(l.node.When)
		if err != nil {
			return l.lost(row)
		}
		if !ok {
			return l.emit(row)
		}
	}
	if now := l.expr.Now; !l.any || now-l.last >= l.every {
		l.line()
		if l.expr.Err() != nil {
			return l.lost(row)
		}
		l.any, l.last = true, now
		if l.env.Log != nil {
			l.env.Log(l.node.Log.Level, l.node.UID, string(l.buf))
		}
	}
	return l.emit(row)
}

// lost deals with a row whose line cannot be made. The row it updates goes, if
// this one is skipped.
func (l *logLine) lost(row *record.Row) error {
	if err := l.failed(row, l.evalError()); err != nil {
		return err
	}
	return l.emitImages(row, row.Before != nil, false)
}

// line puts the text together; a null hole is an empty text.
func (l *logLine) line() {
	l.buf = append(l.buf[:0], l.text[0]...)
	for i, hole := range l.holes {
		if v := hole(l.expr); !v.IsNull() {
			l.buf = record.AppendText(l.buf, v)
		}
		l.buf = append(l.buf, l.text[i+1]...)
	}
}
