package testdaemon

import (
	"fmt"
	"strings"
	"testing"
)

func TestProblem(t *testing.T) {
	for line, fault := range map[string]bool{
		`{"level":"INFO","msg":"request","path":"/v2/images","status":500,"bytes":5}`:               true,
		`{"level":"ERROR","msg":"mount operation failed","op":"read","errno":"input/output error"}`: true,
		`{"level":"ERROR","msg":"panic in a mount operation","panic":"lost"}`:                       true,
		"panic: lost [recovered]":                true,
		"WARNING: DATA RACE":                     true,
		"fatal error: all goroutines are asleep": true,
		`{"level":"INFO","msg":"request","path":"/v2/images","status":503,"bytes":500}`:            false,
		`{"level":"ERROR","msg":"mount operation failed","op":"read","errno":"no data available"}`: false,
		`{"level":"ERROR","msg":"Keystone cannot validate tokens","error":"connection refused"}`:   false,
	} {
		log := new(Log)
		fmt.Fprintf(log, "{\"msg\":\"listening\"}\n%s\n{\"msg\":\"stopping\"}\n", line)
		if err := log.Problem(); fault != (err != nil) || fault && !strings.Contains(err.Error(), line) {
			t.Errorf("a log with %s: %v", line, err)
		}
	}
}
