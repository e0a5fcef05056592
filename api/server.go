package api

import (
	"context"
	"log"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Bounds of a connection. Bodies have no deadline as a whole, since images are large: requestBody and response give the
// client time for each piece.
const (
	maxHeader     = 64 << 10 // bytes of request line and headers; tokens and service catalogs are long
	headerTimeout = 30 * time.Second
	idleTimeout   = 2 * time.Minute
)

// NewServer returns the server for the handler that New made. What goes wrong on connections, clients' faults for the
// most part, goes to the logger as debug messages; nil discards it.
func NewServer(handler http.Handler, logger *slog.Logger) *http.Server {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          connectionLog(logger),
		Protocols:         protocols(),
		ConnContext:       tuneConn,
	}
}

// loopbackBuffer is the send buffer of connections within the machine, in bytes (the kernel doubles it). There is no
// latency to hide, and a small buffer stays in the processor's cache: downloads are a third faster than with the
// megabytes that the kernel would grow it to, for less work.
const loopbackBuffer = 256 << 10

func tuneConn(ctx context.Context, c net.Conn) context.Context {
	if conn, ok := c.(*net.TCPConn); ok {
		if peer, ok := conn.RemoteAddr().(*net.TCPAddr); ok && peer.IP.IsLoopback() {
			_ = conn.SetWriteBuffer(loopbackBuffer) // slower without
		}
	}
	return ctx
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
