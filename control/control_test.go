package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// served is a server of a job that counts what it was told.
func served(t *testing.T, token string) (*Server, *[]string) {
	t.Helper()
	var told []string
	s, err := Serve("127.0.0.1:0", token, Job{
		Status:  func() *JobStatus { j := NewJobStatus(); j.Name = "orders"; return j },
		History: NewCheckpointList,
		Checkpoint: func(context.Context) (*Checkpoint, error) {
			told = append(told, "checkpoint")
			return &Checkpoint{ID: 7}, nil
		},
		Savepoint: func(_ context.Context, r SavepointRequest) (*Savepoint, error) {
			told = append(told, "savepoint "+r.Path)
			return nil, NewError(5, "no space", "make some")
		},
		Stop: func(_ context.Context, r StopRequest) (*Savepoint, error) {
			told = append(told, "stop "+r.Mode)
			return nil, nil
		},
		Restart: func(context.Context) error { told = append(told, "restart"); return errors.New("broken") },
		Rescale: func(_ context.Context, n int) error { told = append(told, "rescale"); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, &told
}

func TestClientAndServer(t *testing.T) {
	s, told := served(t, "")
	c := NewClient(s.URL(), "")
	ctx := context.Background()
	if j, err := c.Status(ctx); err != nil || j.Name != "orders" {
		t.Errorf("status %+v, %v", j, err)
	}
	if k, err := c.Checkpoint(ctx); err != nil || k.ID != 7 || k.Kind != "Checkpoint" {
		t.Errorf("checkpoint %+v, %v", k, err)
	}
	var known *Error
	if _, err := c.Savepoint(ctx, SavepointRequest{Path: "/x"}); !errors.As(err, &known) || known.Exit != 5 || known.Hint != "make some" {
		t.Errorf("savepoint: %v", err)
	}
	if _, err := c.Stop(ctx, StopRequest{Mode: "drain"}); err != nil {
		t.Error(err)
	}
	if _, err := c.Stop(ctx, StopRequest{Mode: "soon"}); !errors.As(err, &known) || known.Exit != 2 {
		t.Errorf("stop soon: %v", err)
	}
	if err := c.Restart(ctx); !errors.As(err, &known) || known.Exit != 1 || known.Text != "broken" {
		t.Errorf("restart: %v", err)
	}
	if err := c.Rescale(ctx, 4); err != nil {
		t.Error(err)
	}
	if got := strings.Join(*told, ", "); got != "checkpoint, savepoint /x, stop drain, restart, rescale" {
		t.Errorf("the job was told %s", got)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := c.Status(ctx); !errors.Is(err, ErrUnreachable) {
		t.Errorf("a server that is gone: %v", err)
	}
}

// TestOnlyCommandsAreAnswered: a page in a browser of the same machine cannot
// make the job do anything.
func TestOnlyCommandsAreAnswered(t *testing.T) {
	for name, c := range map[string]struct {
		token, host, contentType, authorization, body string
		status                                        int
	}{
		"a command":            {contentType: "application/json", status: 200},
		"by name":              {host: "localhost:PORT", contentType: "application/json; charset=utf-8", status: 200},
		"another name":         {host: "evil.example:PORT", contentType: "application/json", status: 403},
		"another port":         {host: "127.0.0.1:1", contentType: "application/json", status: 403},
		"no port":              {host: "127.0.0.1", contentType: "application/json", status: 403},
		"a form":               {contentType: "application/x-www-form-urlencoded", status: 415},
		"plain text":           {contentType: "text/plain", status: 415},
		"nothing":              {status: 415},
		"a field too many":     {contentType: "application/json", body: `{"mode":"now","more":1}`, status: 400},
		"no JSON":              {contentType: "application/json", body: `mode=now`, status: 400},
		"the token":            {token: "s3cret", host: "kstream.example:PORT", authorization: "Bearer s3cret", contentType: "application/json", status: 200},
		"no token":             {token: "s3cret", contentType: "application/json", status: 401},
		"another token":        {token: "s3cret", authorization: "Bearer s3cre", contentType: "application/json", status: 401},
		"the token as a basic": {token: "s3cret", authorization: "Basic s3cret", contentType: "application/json", status: 401},
	} {
		t.Run(name, func(t *testing.T) {
			s, told := served(t, c.token)
			body := c.body
			if body == "" {
				body = `{"mode":"now"}`
			}
			req, err := http.NewRequest(http.MethodPost, s.URL()+"/v1/stop", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if c.host != "" {
				req.Host = strings.ReplaceAll(c.host, "PORT", s.URL()[strings.LastIndexByte(s.URL(), ':')+1:])
			}
			if c.contentType != "" {
				req.Header.Set("Content-Type", c.contentType)
			}
			req.Header.Set("Authorization", c.authorization)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != c.status || (len(*told) == 1) != (c.status == 200) {
				t.Errorf("status %d, told %q; want %d", resp.StatusCode, *told, c.status)
			}
			var e Error
			if c.status != 200 && (json.Unmarshal(b, &e) != nil || e.Kind != "Error" || e.Text == "") {
				t.Errorf("the answer is no error: %s", b)
			}
		})
	}
}

func TestOthersNeedAToken(t *testing.T) {
	for address, loopback := range map[string]bool{"127.0.0.1:1": true, "localhost:1": true, "[::1]:1": true, "0.0.0.0:1": false, ":1": false, "10.0.0.1:1": false} {
		if Loopback(address) != loopback {
			t.Errorf("%s is loopback: %v", address, !loopback)
		}
	}
	if _, err := Serve("0.0.0.0:0", "", Job{}); err == nil || !strings.Contains(err.Error(), "there is no token") {
		t.Errorf("served to everybody: %v", err)
	}
}

func TestRunFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	if files, err := RunFiles(dir); err != nil || len(files) > 0 {
		t.Errorf("%v, %v of nothing", files, err)
	}
	remove, err := WriteRunFile(dir, RunFile{Name: "orders", PID: 12, URL: "http://127.0.0.1:1", Started: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := WriteRunFile(dir, RunFile{Name: "clicks", PID: 13}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "broken.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := RunFiles(dir)
	if err != nil || len(files) != 2 || files[0].Name != "clicks" || files[1].URL != "http://127.0.0.1:1" {
		t.Errorf("%+v, %v", files, err)
	}
	remove()
	files[0].Forget()
	if files, err := RunFiles(dir); err != nil || len(files) != 0 {
		t.Errorf("%+v, %v after all are gone", files, err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := RunFiles(dir); err == nil {
		t.Error("a directory that everybody may write to is believed")
	}
	if _, err := WriteRunFile(dir, RunFile{Name: "orders", PID: 12}); err == nil {
		t.Error("a directory that everybody may write to is used")
	}
}
