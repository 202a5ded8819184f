package control

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
)

// TestState carries queries to the job and rows back, and refuses what is not a
// query.
func TestState(t *testing.T) {
	var asked []StateQuery
	s, err := Serve("127.0.0.1:0", "", Job{
		State: func(context.Context) (*StateList, error) {
			l := NewStateList(7)
			l.Items = append(l.Items, StoredState{UID: "a/aggregate", Keys: 3})
			return l, nil
		},
		StateRows: func(_ context.Context, q StateQuery) (*StateRows, error) {
			asked = append(asked, q)
			if q.UID == "none" {
				return nil, NewError(7, "no such step", "a/aggregate")
			}
			r := NewStateRows(7)
			r.Rows, r.More = append(r.Rows, json.RawMessage(`{"key":1}`)), true
			return r, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, ctx := NewClient(s.URL(), ""), context.Background()
	if l, err := c.State(ctx); err != nil || l.Kind != "StateList" || l.Epoch != 7 || len(l.Items) != 1 || l.Items[0].Keys != 3 {
		t.Errorf("list %+v, %v", l, err)
	}
	key := "a&b=c/ü"
	for _, q := range []StateQuery{
		{UID: "a/aggregate", Key: &key, Window: "2026-11-02T10:16:00+01:00", Limit: MaxStateRows},
		{UID: "a/aggregate", Prefix: "/x?", Where: `n > 1 and key != "&"`, Limit: 7},
	} {
		r, err := c.StateRows(ctx, q)
		if err != nil || r.Kind != "StateRows" || r.Epoch != 7 || !r.More || len(r.Rows) != 1 || string(r.Rows[0]) != `{"key":1}` {
			t.Fatalf("rows %+v, %v", r, err)
		}
		got := asked[len(asked)-1]
		if (got.Key == nil) != (q.Key == nil) || got.Key != nil && *got.Key != key {
			t.Errorf("the key of %+v arrived as %+v", q, got)
		}
		got.Key, q.Key = nil, nil
		if got != q {
			t.Errorf("%+v arrived as %+v", q, got)
		}
	}
	var known *Error
	if _, err := c.StateRows(ctx, StateQuery{UID: "none"}); !errors.As(err, &known) || known.Exit != 7 || known.Hint != "a/aggregate" {
		t.Errorf("no such step: %v", err)
	}
	before := len(asked)
	for _, path := range []string{
		"/v1/state?x=1", "/v1/state/scan", "/v1/state/scan?uid=", "/v1/state/scan?uid=a&uid=b", "/v1/state/scan?uid=a&limit=0", "/v1/state/scan?uid=a&limit=10001",
		"/v1/state/scan?uid=a&limit=x", "/v1/state/scan?uid=a&key=b", "/v1/state/scan?uid=a&%zz", "/v1/state/scan?uid=a;b", "/v1/state/entry?uid=a", "/v1/state/entry?key=a",
	} {
		resp, err := http.Get(s.URL() + path)
		if err != nil {
			t.Fatal(err)
		}
		e := &Error{}
		if err := json.NewDecoder(resp.Body).Decode(e); err != nil || resp.StatusCode != http.StatusBadRequest || e.Exit != 2 {
			t.Errorf("%s: %s, %+v, %v", path, resp.Status, e, err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(asked) != before {
		t.Errorf("the job was asked: %+v", asked[before:])
	}
}
