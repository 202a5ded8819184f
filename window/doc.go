// Package window holds the arithmetic of event time: which windows a record
// belongs to, when a window ends and closes, and how far a watermark has come.
// Everything here is a pure function of times; it keeps no records and no
// state of keys.
//
// Times are whole milliseconds. A window is the span [start, end). It ends when
// the watermark reaches end-1, and closes when the watermark reaches end-1 plus
// the allowed lateness.
//
// Sliding windows are made of panes: spans of gcd(size, slide) that never cross
// the bound of a window. A record changes exactly one pane, and the result of a
// window is the merge of its panes, so the work per record does not grow with
// size/slide. A tumbling window is one pane.
//
//	       t ──────────────────────────────────────────▶
//	panes  │  0  │  1  │  2  │  3  │  4  │
//	       └───── window 0 ─────┘     │     │   size 3, slide 1
//	             └───── window 1 ─────┘     │
//	                   └───── window 2 ─────┘
package window
