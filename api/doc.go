// Package api is the Image API v2 over HTTP. Start reading at routes.go, the table of every operation; handler.go has what
// happens to a request before and after its operation, errors.go how an error becomes an answer. Each resource has a file
// of its own. What clients that are slow, or many, can take from each other is bounded in body.go, response.go, budget.go
// and connections.go.
package api
