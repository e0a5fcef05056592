package api

import (
	"log"
	"log/slog"
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
	}
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
