// Package policy decides who may do what: built-in rules that an operator's policy.yaml overrides one by one, written in
// the language of oslo.policy, and property protections, which say who may create, read, update and delete which custom
// properties. It answers allowed or not; whether a refusal becomes 403 or 404 is the caller's decision.
//
// Start reading at Enforcer, then parse (the language), node.allows (what it means) and Protections. The built-in rules
// are the tables in defaults.go and metadefs.go.
package policy
