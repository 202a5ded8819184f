// Package operator runs a chain of fused operators. A chain is a tree: a row
// enters at the roots and is handed from operator to operator by direct calls,
// without a channel, a lock, a copy or an allocation in between.
//
//	for each record:
//	    env.Expr.Arena.Reset(); env.Expr.Begin(row)
//	    chain.Process(row)               // may write to exchanges and sinks
//	when the watermark of the task rises:
//	    chain.Watermark(w)               // windows fire, top down
//	at barrier n:
//	    deltas := chain.Freeze(n)        // then epoch n+1 computes on
//	after epoch n was committed and applied:
//	    chain.Applied(n)
//
// An operator writes only its own slots of the register file. What it changes of
// the row itself (key, time, op, window, origin) it changes on a row of its own,
// or puts back before it returns, because the operators beside it see the same
// row.
//
// Nothing here knows goroutines, clocks, files or transactions: time comes as
// watermarks and as env.Expr.Now, state through state.Table, output through the
// functions of Env.
//
// # State
//
// NodeAggregate and NodeWindow keep their state in one table each, keyed by the
// encoded $key; the namespace is the start of the pane of the window, 0 without
// a window. The layout is described at the type accumulators.
//
// Which windows have fired is not stored. It follows from the watermark, which
// is part of the checkpoint: after a restore the runtime calls RestoreWatermark
// before the first row, and a window is due once the watermark passes from below
// its trigger to it or above. State of windows that are closed at the restored
// watermark does not exist, because it was dropped in the epoch they fired in.
package operator
