package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// StateList is what the steps of a job have stored, as of a checkpoint.
type StateList struct {
	Head
	Epoch uint64        `json:"epoch"`
	Items []StoredState `json:"items"`
}

// StoredState is what one step has stored.
type StoredState struct {
	UID       string  `json:"uid"`
	Operator  string  `json:"operator"`
	KeyType   string  `json:"key_type"`
	Window    string  `json:"window,omitempty"`
	Keys      int64   `json:"keys"` // of windows each key of each window
	Entries   int64   `json:"entries"`
	Bytes     int64   `json:"bytes"`
	Estimated bool    `json:"estimated,omitempty"` // from a part of the key groups
	TTL       *string `json:"ttl"`
}

// StateQuery asks for rows of a step. What is empty does not limit.
type StateQuery struct {
	UID    string
	Key    *string
	Window string
	Prefix string
	Where  string
	Limit  int
}

// StateRows are rows of a step, as of a checkpoint; More says that the limit left
// some out.
type StateRows struct {
	Head
	Epoch uint64            `json:"epoch"`
	Rows  []json.RawMessage `json:"rows"`
	More  bool              `json:"more,omitempty"`
}

// MaxStateRows is the most rows of one answer, MaxStateBytes about their size.
const (
	MaxStateRows  = 10_000
	MaxStateBytes = 32 << 20
)

// NewStateList makes one that is empty.
func NewStateList(epoch uint64) *StateList {
	return &StateList{Head: head("StateList"), Epoch: epoch, Items: []StoredState{}}
}

// NewStateRows makes one that is empty.
func NewStateRows(epoch uint64) *StateRows {
	return &StateRows{Head: head("StateRows"), Epoch: epoch, Rows: []json.RawMessage{}}
}

// stateRoutes serve what a job remembers.
func (s *Server) stateRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/state", func(w http.ResponseWriter, r *http.Request) {
		if _, err := known(r.URL); err != nil {
			answer(w, http.StatusBadRequest, err)
			return
		}
		l, err := s.job.State(r.Context())
		respond(w, l, err)
	})
	mux.HandleFunc("GET /v1/state/entry", func(w http.ResponseWriter, r *http.Request) {
		q, err := stateQuery(r.URL, "uid", "key", "window")
		if err == nil && q.Key == nil {
			err = NewError(2, "the key is missing", "")
		}
		s.rows(w, r, q, err)
	})
	mux.HandleFunc("GET /v1/state/scan", func(w http.ResponseWriter, r *http.Request) {
		q, err := stateQuery(r.URL, "uid", "prefix", "where", "limit", "window")
		s.rows(w, r, q, err)
	})
}

func (s *Server) rows(w http.ResponseWriter, r *http.Request, q StateQuery, bad *Error) {
	if bad != nil {
		answer(w, http.StatusBadRequest, bad)
		return
	}
	rows, err := s.job.StateRows(r.Context(), q)
	respond(w, rows, err)
}

// respond answers with a value, or with why there is none.
func respond(w http.ResponseWriter, v any, err error) {
	if err == nil {
		answer(w, http.StatusOK, v)
		return
	}
	var known *Error
	if !errors.As(err, &known) {
		known = NewError(1, err.Error(), "")
	}
	answer(w, http.StatusConflict, known)
}

// known takes a query that may have the names given, each once.
func known(u *url.URL, names ...string) (url.Values, *Error) {
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, NewError(2, "the query cannot be read", "")
	}
	left := len(values)
	for _, name := range names {
		if n := len(values[name]); n > 1 {
			return nil, NewError(2, name+" is given more than once", "")
		} else if n == 1 {
			left--
		}
	}
	if left > 0 {
		return nil, NewError(2, "the query has a name that this version of the API does not know", "")
	}
	return values, nil
}

func stateQuery(u *url.URL, names ...string) (StateQuery, *Error) {
	values, bad := known(u, names...)
	if bad != nil {
		return StateQuery{}, bad
	}
	q := StateQuery{UID: values.Get("uid"), Window: values.Get("window"), Prefix: values.Get("prefix"), Where: values.Get("where"), Limit: 100}
	if values.Has("key") {
		key := values.Get("key")
		q.Key, q.Limit = &key, MaxStateRows
	}
	if text := values.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > MaxStateRows {
			return q, NewError(2, fmt.Sprintf("a limit is 1 to %d", MaxStateRows), "take a savepoint, and export it")
		}
		q.Limit = n
	}
	if q.UID == "" {
		return q, NewError(2, "the uid of the step is missing", "")
	}
	return q, nil
}

// State asks what the steps have stored.
func (c *Client) State(ctx context.Context) (*StateList, error) {
	l := &StateList{}
	return l, c.call(ctx, http.MethodGet, "/v1/state", nil, l)
}

// StateRows asks for rows of a step: those of a key, or all.
func (c *Client) StateRows(ctx context.Context, q StateQuery) (*StateRows, error) {
	values, path := url.Values{"uid": {q.UID}}, "/v1/state/scan"
	if q.Key != nil {
		values.Set("key", *q.Key)
		path = "/v1/state/entry"
	} else if q.Limit > 0 {
		values.Set("limit", strconv.Itoa(q.Limit))
	}
	for name, v := range map[string]string{"window": q.Window, "prefix": q.Prefix, "where": q.Where} {
		if v != "" {
			values.Set(name, v)
		}
	}
	rows := &StateRows{}
	return rows, c.call(ctx, http.MethodGet, path+"?"+values.Encode(), nil, rows)
}
