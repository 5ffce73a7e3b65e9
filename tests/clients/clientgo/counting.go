package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"
)

// requests counts what one informer asks of the server, and what comes back in its watches.
type requests struct {
	lists, initials, watches, bookmarks, errors, refused, cut atomic.Int64

	lock  sync.Mutex
	conns map[net.Conn]struct{}
	// began is when the current watch was answered.
	began time.Time
}

// counted is a configuration whose requests go over connections of their own and are counted.
func counted(config *rest.Config) (*rest.Config, *requests) {
	counts := &requests{conns: map[net.Conn]struct{}{}}
	config = rest.CopyConfig(config)
	config.Dial = counts.dial
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) { return counts.ask(next, request) })
	})
	return config, counts
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

func (r *requests) ask(next http.RoundTripper, request *http.Request) (*http.Response, error) {
	query := request.URL.Query()
	watch := query.Get("watch") != ""
	switch {
	case watch && query.Get("sendInitialEvents") == "true":
		r.initials.Add(1)
	case watch:
		r.watches.Add(1)
	case query.Get("continue") == "":
		r.lists.Add(1)
	}
	response, err := next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= 400 {
		r.refused.Add(1)
	}
	if watch {
		r.lock.Lock()
		r.began = time.Now()
		r.lock.Unlock()
		response.Body = &watchBody{ReadCloser: response.Body, counts: r}
	}
	return response, nil
}

func (r *requests) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	r.lock.Lock()
	defer r.lock.Unlock()
	r.conns[conn] = struct{}{}
	return conn, nil
}

// cutOff closes the informer's connections, as a network would. Only in the middle of a watch: when a request fails, or a watch within its
// first second, client-go lists again by its own rules, whatever the server does.
func (r *requests) cutOff() {
	r.lock.Lock()
	defer r.lock.Unlock()
	if age := time.Since(r.began); age < 1100*time.Millisecond || age > 1800*time.Millisecond {
		return
	}
	r.cut.Add(1)
	for conn := range r.conns {
		_ = conn.Close()
		delete(r.conns, conn)
	}
}

// watchBody counts bookmarks and errors among a watch's events.
type watchBody struct {
	io.ReadCloser
	counts *requests
	// tail is the end of what was read before: a type may be cut in two.
	tail []byte
}

func (b *watchBody) Read(into []byte) (int, error) {
	n, err := b.ReadCloser.Read(into)
	read := append(b.tail, into[:n]...)
	count := func(kind string) int64 {
		found := 0
		// In JSON, and as the first field of a message in protobuf.
		for _, text := range []string{`"type":"` + kind + `"`, "\n" + string(rune(len(kind))) + kind} {
			found += bytes.Count(read, []byte(text)) - bytes.Count(b.tail, []byte(text))
		}
		return int64(found)
	}
	b.counts.bookmarks.Add(count("BOOKMARK"))
	b.counts.errors.Add(count("ERROR"))
	b.tail = append([]byte(nil), read[max(0, len(read)-24):]...)
	return n, err
}
