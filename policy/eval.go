package policy

import (
	"context"

	"github.com/vitrine-image/vitrine/image"
)

// A node is a part of a rule. Nodes are made once, when rules are loaded, and never change afterwards.
type node struct {
	op        op
	nodes     []*node   // of opAnd, opOr, opNot
	name      string    // of opRule, the kind of opUnknown, the text of opLiteral
	rule      *rule     // of opRule, and of opAttribute when that is isAdmin
	attribute attribute // of opAttribute
	value     template  // of opRole, opAttribute, opLiteral, opHTTP: what it is compared with, or asked
}

type op int

const (
	opTrue op = iota
	opFalse
	opUnknown
	opAnd
	opOr
	opNot
	opRule
	opRole
	opAttribute
	opLiteral
	opHTTP
)

// An attribute is something that rules can ask of a caller.
type attribute int

const (
	userID attribute = iota
	userDomainID
	projectID
	projectDomainID
	domainID
	roles
	serviceRoles
	isAdmin
	never // known, but no caller has it here
)

// attributes are those of oslo.context, and the older names that policy files still have.
var attributes = map[string]attribute{
	"user_id": userID, "user": userID, "user_domain_id": userDomainID, "user_domain": userDomainID,
	"project_id": projectID, "tenant": projectID, "tenant_id": projectID,
	"project_domain_id": projectDomainID, "project_domain": projectDomainID, "domain_id": domainID, "domain": domainID,
	"roles": roles, "service_roles": serviceRoles, "is_admin": isAdmin, "system_scope": never,
}

// A question is one evaluation of a rule. It holds no pointers to what its asker has on the stack, which keeps all of it
// off the heap.
type question struct {
	ctx    context.Context
	caller image.Caller
	target Target
	rule   string // that was asked for
	remote *remote
	// negated is true within an odd number of negations. What cannot be found out is then true, so that it is never
	// what lets somebody in.
	negated bool
}

// allows evaluates the node. It ends because rules that refer to themselves are not loaded.
func (n *node) allows(q *question) bool {
	switch n.op {
	case opTrue:
		return true
	case opUnknown:
		return q.negated
	case opAnd:
		for _, part := range n.nodes {
			if !part.allows(q) {
				return false
			}
		}
		return true
	case opOr:
		for _, part := range n.nodes {
			if part.allows(q) {
				return true
			}
		}
		return false
	case opNot:
		q.negated = !q.negated
		allowed := n.nodes[0].allows(q)
		q.negated = !q.negated
		return !allowed
	case opRule:
		return n.rule.root.allows(q)
	case opRole:
		role, state := n.value.expand(&q.target, nil)
		return state == present && q.caller.HasRole(role)
	case opAttribute:
		want, state := n.value.expand(&q.target, nil)
		return state == present && n.compare(q, want)
	case opLiteral:
		value, state := n.value.expand(&q.target, nil)
		return state != absent && value == n.name
	case opHTTP:
		url, state := n.value.expand(&q.target, percentEncode)
		if state == absent {
			return q.negated
		}
		allowed, err := q.remote.ask(q.ctx, url, q.rule, q.caller, q.target)
		if err != nil {
			return q.negated
		}
		return allowed
	}
	return false
}

// compare reports whether the caller's attribute is the text. An attribute without a value equals nothing: a caller of no
// project does not own what nobody owns.
func (n *node) compare(q *question, want string) bool {
	switch n.attribute {
	case userID:
		return is(q.caller.UserID, want)
	case userDomainID:
		return is(q.caller.UserDomainID, want)
	case projectID:
		return is(q.caller.ProjectID, want)
	case projectDomainID:
		return is(q.caller.ProjectDomainID, want)
	case domainID:
		return is(q.caller.DomainID, want)
	case roles:
		return q.caller.HasRole(want)
	case serviceRoles:
		return q.caller.HasServiceRole(want)
	case isAdmin:
		if want != "True" && want != "False" {
			return false
		}
		return n.isAdmin(q, want == "True")
	}
	return false
}

// isAdmin reports whether the caller is an administrator, or is none. To be none is a negation too.
func (n *node) isAdmin(q *question, want bool) bool {
	if want {
		return n.rule.root.allows(q)
	}
	q.negated = !q.negated
	admin := n.rule.root.allows(q)
	q.negated = !q.negated
	return !admin
}

func is(value, want string) bool { return value != "" && value == want }
