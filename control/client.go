package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// Client asks one job.
type Client struct {
	url   string
	token string
	http  *http.Client
}

// NewClient is a client of the API at a URL: http://HOST:PORT or unix:PATH.
func NewClient(url, token string) *Client {
	transport := &http.Transport{}
	if path, ok := strings.CutPrefix(url, "unix:"); ok {
		url = "http://localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		}
	}
	return &Client{url: strings.TrimSuffix(url, "/"), token: token, http: &http.Client{Transport: transport}}
}

// ErrUnreachable says that nothing answers at the address.
var ErrUnreachable = errors.New("the control API does not answer")

// call sends in, if it is not nil, and reads the answer into out. An answer that
// is an error is an *Error.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if method != http.MethodGet {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, body)
	if err != nil {
		return NewError(2, "--api "+c.url+" is no URL", "http://127.0.0.1:7670 or unix:PATH")
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%w at %s: %w", ErrUnreachable, c.url, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.url, err)
	}
	if resp.StatusCode != http.StatusOK {
		e := &Error{}
		if json.Unmarshal(b, e) != nil || e.Kind != "Error" {
			return NewError(5, fmt.Sprintf("%s does not speak the control API: %s", c.url, resp.Status), "")
		}
		return e
	}
	if err := json.Unmarshal(b, out); err != nil {
		return NewError(5, fmt.Sprintf("%s does not speak the control API: %v", c.url, err), "")
	}
	return nil
}

// Status asks what the job is doing.
func (c *Client) Status(ctx context.Context) (*JobStatus, error) {
	s := &JobStatus{}
	err := c.call(ctx, http.MethodGet, "/v1/job", nil, s)
	if err == nil && (s.Kind != "JobStatus" || s.Version != 1) {
		err = NewError(5, fmt.Sprintf("%s speaks version %d of the control API, this kstream version 1", c.url, s.Version), "")
	}
	return s, err
}

// Checkpoints asks for the history.
func (c *Client) Checkpoints(ctx context.Context) (*CheckpointList, error) {
	l := &CheckpointList{}
	return l, c.call(ctx, http.MethodGet, "/v1/checkpoints", nil, l)
}

// Checkpoint takes one now.
func (c *Client) Checkpoint(ctx context.Context) (*CheckpointTaken, error) {
	t := &CheckpointTaken{}
	return t, c.call(ctx, http.MethodPost, "/v1/checkpoints", struct{}{}, t)
}

// Savepoint takes one while the job goes on.
func (c *Client) Savepoint(ctx context.Context, r SavepointRequest) (*Savepoint, error) {
	s := &Savepoint{}
	return s, c.call(ctx, http.MethodPost, "/v1/savepoints", r, s)
}

// Stop ends the job.
func (c *Client) Stop(ctx context.Context, r StopRequest) (*Stopped, error) {
	s := &Stopped{}
	return s, c.call(ctx, http.MethodPost, "/v1/stop", r, s)
}

// Restart goes back to the last checkpoint and on from there.
func (c *Client) Restart(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/v1/restart", struct{}{}, &Done{})
}

// Rescale restarts with other parallelism.
func (c *Client) Rescale(ctx context.Context, n int) error {
	return c.call(ctx, http.MethodPost, "/v1/rescale", RescaleRequest{n}, &Done{})
}
