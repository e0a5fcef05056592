package api

import (
	"context"
	"crypto/tls"
	"log"
	"log/slog"
	"math"
	"net"
	"net/http"
	"syscall"
	"time"
)

// Bounds of a connection. Bodies have no deadline as a whole, since images are large: requestBody and response give the
// client time for each piece.
const (
	maxHeader     = 64 << 10 // bytes of request line and headers; tokens and service catalogs are long
	headerTimeout = 30 * time.Second
	idleTimeout   = 2 * time.Minute
)

// DefaultConnections is how many connections there may be unless the configuration says otherwise.
const DefaultConnections = 4096

// A Server answers on one or several listeners, which share a bound of connections.
type Server struct {
	*http.Server
	connections *connections
	cutOff      context.CancelFunc
}

// NewServer returns the server for the handler that New made, of at most so many connections at once; 0 or less
// is DefaultConnections, and in any case there are no more than the process has file descriptors for. What goes wrong on
// connections, clients' faults for the most part, goes to the logger as debug messages; nil discards it.
func NewServer(handler http.Handler, logger *slog.Logger, connections int) *Server {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	if connections <= 0 {
		connections = DefaultConnections
	}
	if most := affordable(); connections > most {
		logger.Warn("fewer connections than configured, since the limit of open files is low", "connections", most)
		connections = most
	}
	c := newConnections(connections, logger)
	closed, cutOff := context.WithCancel(context.Background())
	return &Server{connections: c, cutOff: cutOff, Server: &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          connectionLog(logger),
		Protocols:         protocols(),
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			if secure, ok := conn.(*tls.Conn); ok {
				conn = secure.NetConn()
			}
			return context.WithValue(ctx, presenceKey{}, presence{conn, closed})
		},
		ConnState: c.changed,
	}}
}

// Serve accepts connections until the server is closed, and returns http.ErrServerClosed then.
func (s *Server) Serve(l net.Listener) error {
	return s.Server.Serve(&listener{Listener: l, connections: s.connections, closed: make(chan struct{})})
}

// Close cuts all connections, and ends the contexts of the requests under way.
func (s *Server) Close() error {
	s.cutOff()
	return s.Server.Close()
}

// affordable returns the number of connections that leave enough file descriptors for the files they read and write.
func affordable() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return DefaultConnections
	}
	return int(min(max(limit.Cur/4, 16), math.MaxInt32))
}

func connectionLog(logger *slog.Logger) *log.Logger {
	return slog.NewLogLogger(logger.Handler(), slog.LevelDebug)
}

// protocols leaves HTTP/2 out: it puts on one connection what is fastest on several, and clients of the Image API speak
// HTTP/1.1.
func protocols() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	return p
}
