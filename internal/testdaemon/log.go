package testdaemon

import (
	"fmt"
	"io"
	"strings"
	"sync"
)

// A Log keeps what a daemon writes.
type Log struct {
	mu   sync.Mutex
	text strings.Builder
}

var _ io.Writer = (*Log)(nil)

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// faults are what no line of a log may hold: an answer 500, EIO from the mount, a panic, what the runtime ends a program with.
var faults = []string{`"status":500`, `"errno":"input/output error"`, `"msg":"panic`, "panic: ", "fatal error: ", "WARNING: DATA RACE"}

// Problem returns an error with the first line that tells of a fault of the daemon itself, whatever was asked of it.
func (l *Log) Problem() error {
	for line := range strings.Lines(l.String()) {
		for _, fault := range faults {
			if strings.Contains(line, fault) {
				return fmt.Errorf("the daemon logged: %s", strings.TrimSpace(line))
			}
		}
	}
	return nil
}
