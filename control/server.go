package control

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Job is what the server offers of a job. Errors may be *Error.
type Job struct {
	Status     func() *JobStatus
	History    func() *CheckpointList
	Checkpoint func(context.Context) (*Checkpoint, error)
	Savepoint  func(context.Context, SavepointRequest) (*Savepoint, error)
	Stop       func(context.Context, StopRequest) (*Savepoint, error)
	Restart    func(context.Context) error
	Rescale    func(context.Context, int) error
	State      func(context.Context) (*StateList, error)
	StateRows  func(context.Context, StateQuery) (*StateRows, error)
}

// maxBody is the most a request may have to say.
const maxBody = 1 << 20

// Server serves the API of one job.
type Server struct {
	job      Job
	listener net.Listener
	http     *http.Server
	token    string
	done     chan struct{}
}

// Loopback reports whether an address can be reached from this machine only.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// DefaultListen is where a job listens that does not say.
const DefaultListen = "127.0.0.1:7670"

// Serve listens and serves until Close. When the default address is taken the
// next free one is used.
func Serve(listen, token string, job Job) (*Server, error) {
	if !Loopback(listen) && token == "" {
		return nil, NewError(5, "api.listen: "+listen+" can be reached from other machines and there is no token",
			"set api.token_file, or listen on 127.0.0.1")
	}
	l, err := net.Listen("tcp", listen)
	if err != nil && listen == DefaultListen {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, NewError(5, "api.listen: "+err.Error(), "name another address, or turn the API off with api: {listen: none}")
	}
	s := &Server{job: job, listener: l, token: token, done: make(chan struct{})}
	s.http = &http.Server{Handler: s.guard(s.routes()), ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(l) // ends with Close
	}()
	return s, nil
}

// URL is where clients find the server.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// Close ends the server; a request under way has a moment to be answered.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = s.http.Close()
	}
	<-s.done
	return err
}

// guard refuses what does not come from a command of ours. A page in a browser
// can make it send requests to loopback, but only with the page's Host, or with
// a content type that a form may have.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !s.ownHost(r.Host):
			answer(w, http.StatusForbidden, NewError(5, fmt.Sprintf("the host %.100q is not this job's", r.Host), ""))
		case s.token != "" && subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+s.token)) != 1:
			answer(w, http.StatusUnauthorized, NewError(5, "the token is missing or wrong", "--token-file names it"))
		case r.Method != http.MethodGet && !isJSON(r.Header.Get("Content-Type")):
			answer(w, http.StatusUnsupportedMediaType, NewError(5, "the request is not application/json", ""))
		default:
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			next.ServeHTTP(w, r)
		}
	})
}

func isJSON(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && t == "application/json"
}

// ownHost says that a Host header names this listener: its address, or a name of
// loopback. With a token any name will do, since whoever knows the token is no
// page in a browser.
func (s *Server) ownHost(host string) bool {
	if s.token != "" {
		return true
	}
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		return false
	}
	_, own, _ := net.SplitHostPort(s.listener.Addr().String())
	return port == own && slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, name)
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/job", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, s.job.Status()) })
	mux.HandleFunc("GET /v1/checkpoints", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, s.job.History()) })
	handle(mux, "POST /v1/checkpoints", func(ctx context.Context, _ struct{}) (any, error) {
		c, err := s.job.Checkpoint(ctx)
		if err != nil {
			return nil, err
		}
		return CheckpointTaken{head("Checkpoint"), *c}, nil
	})
	handle(mux, "POST /v1/savepoints", func(ctx context.Context, r SavepointRequest) (any, error) { return s.job.Savepoint(ctx, r) })
	handle(mux, "POST /v1/stop", func(ctx context.Context, r StopRequest) (any, error) {
		if !slices.Contains([]string{"finish", "drain", "now"}, r.Mode) {
			return nil, NewError(2, fmt.Sprintf("the mode %.40q is not one of finish, drain, now", r.Mode), "")
		}
		sp, err := s.job.Stop(ctx, r)
		return Stopped{head("Stopped"), sp}, err
	})
	handle(mux, "POST /v1/restart", func(ctx context.Context, _ struct{}) (any, error) {
		return Done{head("Done")}, s.job.Restart(ctx)
	})
	handle(mux, "POST /v1/rescale", func(ctx context.Context, r RescaleRequest) (any, error) {
		return Done{head("Done")}, s.job.Rescale(ctx, r.Parallelism)
	})
	s.stateRoutes(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusNotFound, NewError(2, fmt.Sprintf("there is no %s %.100s in this version of the API", r.Method, r.URL.Path), ""))
	})
	return mux
}

// handle answers requests that carry a T.
func handle[T any](mux *http.ServeMux, pattern string, fn func(context.Context, T) (any, error)) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		var in T
		d := json.NewDecoder(r.Body)
		d.DisallowUnknownFields()
		if err := d.Decode(&in); err != nil && !errors.Is(err, io.EOF) {
			answer(w, http.StatusBadRequest, NewError(2, "the request cannot be read: "+strings.TrimPrefix(err.Error(), "json: "), ""))
			return
		}
		out, err := fn(r.Context(), in)
		if err == nil {
			answer(w, http.StatusOK, out)
			return
		}
		var known *Error
		if !errors.As(err, &known) {
			known = NewError(1, err.Error(), "")
		}
		answer(w, http.StatusConflict, known)
	})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client is gone
}
