// Package events tells the world outside what happened: notifications with the names and payloads of Glance's, as lines
// of a file and as signed webhooks, and an audit log of its own.
//
// Start reading at Definitions (the 33 names), then Log.Emit and Log.Run, hook (webhooks, which follow the file at their
// own pace) and Audit. Nothing here makes a request wait or fail, except the audit log where an operator asks for that.
package events
