package events

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/vitrine-image/vitrine/image"
)

// An envelope is a line of the event log and the body of a webhook: a notification as oslo.messaging has it, with a
// number and the id of the request beside. The numbers grow by one; sequenceKey relies on their being first.
type envelope struct {
	Sequence    int64           `json:"sequence"`
	MessageID   image.ID        `json:"message_id"`
	PublisherID string          `json:"publisher_id"`
	EventType   Name            `json:"event_type"`
	Priority    Priority        `json:"priority"`
	Timestamp   string          `json:"timestamp"`
	RequestID   string          `json:"request_id"`
	Payload     json.RawMessage `json:"payload"`
}

// timestampLayout is how oslo.messaging writes when a message was made, in UTC.
const timestampLayout = "2006-01-02 15:04:05.000000"

// maxLine bounds a line in bytes.
const maxLine = 4 << 20

// maxSequence is the largest number that every reader of JSON can tell from its neighbours.
const maxSequence = 1 << 53

var sequenceKey = []byte(`{"sequence":`)

// sequenceOf returns the number of a line, of which the rest may be torn; 0 for what is no line of an event log.
func sequenceOf(line []byte) int64 {
	rest, ok := bytes.CutPrefix(line, sequenceKey)
	if !ok {
		return 0
	}
	digits, _, ok := bytes.Cut(rest[:min(len(rest), 32)], []byte(","))
	n, err := strconv.ParseInt(string(digits), 10, 64)
	if !ok || err != nil || n < 1 || n > maxSequence {
		return 0
	}
	return n
}

// parseEnvelope reads a line; ok is false for a torn or foreign one.
func parseEnvelope(line []byte) (e envelope, ok bool) {
	if sequenceOf(line) == 0 {
		return e, false
	}
	err := json.Unmarshal(line, &e)
	return e, err == nil && e.Sequence > 0 && e.EventType != "" && e.MessageID != ""
}

// encode writes a value as JSON in one line, without the newline and without escaping what matters in HTML only.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
