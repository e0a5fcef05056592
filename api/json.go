package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"unicode/utf8"

	"github.com/vitrine-image/vitrine/image"
)

// What a document may hold at most. The deepest one that the API knows has four levels.
const (
	maxDepth  = 16
	maxValues = 10_000
)

// bodyMemory is what a body needs in memory, as a multiple of its length: twice itself while its buffer grows, and the
// values made of it.
const bodyMemory = 4

// readJSON reads the body of a request as a document: nil, bool, string, json.Number, []any or map[string]any. Release the
// room when the document is not needed any more.
func (s *server) readJSON(r *http.Request) (value any, room *share, err error) {
	limit := s.cfg.Limits.JSONBody
	if r.ContentLength > limit {
		return nil, nil, tooLong(limit)
	}
	var data bytes.Buffer
	data.Grow(int(min(max(r.ContentLength, 0), shortDocument)) + bytes.MinRead)
	if _, err := data.ReadFrom(io.LimitReader(r.Body, shortDocument)); err != nil {
		return nil, nil, err
	}
	if data.Len() == shortDocument {
		size := r.ContentLength
		if size < 0 {
			size = limit
		}
		if room, err = s.bodies.take(r.Context(), s.patience(r), bodyMemory*int(size), &r.Body.(*requestBody).deadline); err != nil {
			return nil, nil, err
		}
		if _, err := data.ReadFrom(io.LimitReader(r.Body, limit+1-shortDocument)); err != nil {
			return nil, room, err
		}
	}
	if int64(data.Len()) > limit {
		return nil, room, tooLong(limit)
	}
	if len(bytes.TrimSpace(data.Bytes())) == 0 {
		return nil, room, image.Errorf(image.ErrInvalid, "Body expected in request.")
	}
	value, err = parseJSON(data.Bytes())
	return value, room, err
}

func tooLong(limit int64) error {
	return image.Errorf(image.ErrTooLarge, "The request body is longer than %d bytes.", limit)
}

// parseJSON is stricter than encoding/json: it refuses names that appear twice in an object, since readers differ in
// which one they believe, deep nesting, and characters that no image can hold, however they are written.
func parseJSON(data []byte) (any, error) {
	if err := checkJSONText(data); err != nil {
		return nil, err
	}
	p := &jsonParser{dec: json.NewDecoder(bytes.NewReader(data))}
	p.dec.UseNumber()
	value, err := p.value(0)
	if err == nil {
		if _, more := p.dec.Token(); more != io.EOF {
			err = errors.New("there is more after the document")
		}
	}
	if err != nil && !errors.Is(err, image.ErrInvalid) {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			err = errors.New("the document is cut short")
		}
		err = image.Errorf(image.ErrInvalid, "Malformed JSON in the request body: %s.", err)
	}
	return value, err
}

type jsonParser struct {
	dec    *json.Decoder
	values int
}

func (p *jsonParser) value(depth int) (any, error) {
	if depth > maxDepth {
		return nil, image.Errorf(image.ErrInvalid, "The JSON in the request body has more than %d levels.", maxDepth)
	}
	if p.values++; p.values > maxValues {
		return nil, image.Errorf(image.ErrInvalid, "The JSON in the request body has more than %d values.", maxValues)
	}
	token, err := p.dec.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('['):
		return p.array(depth)
	case json.Delim('{'):
		return p.object(depth)
	}
	return token, nil
}

func (p *jsonParser) array(depth int) (any, error) {
	list := []any{}
	for p.dec.More() {
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := p.dec.Token() // the closing bracket
	return list, err
}

func (p *jsonParser) object(depth int) (any, error) {
	members := map[string]any{}
	for p.dec.More() {
		token, err := p.dec.Token()
		if err != nil {
			return nil, err
		}
		name := token.(string) // the decoder lets nothing else stand there
		if _, twice := members[name]; twice {
			return nil, image.Errorf(image.ErrInvalid, "The JSON in the request body names %q twice.", name)
		}
		if members[name], err = p.value(depth + 1); err != nil {
			return nil, err
		}
	}
	_, err := p.dec.Token()
	return members, err
}

// checkJSONText looks at the document as it was sent: the decoder would silently replace what is no UTF-8, and halves of
// surrogate pairs.
func checkJSONText(data []byte) error {
	if !utf8.Valid(data) {
		return image.Errorf(image.ErrInvalid, "The request body is not valid UTF-8.")
	}
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case c >= 0xf0: // begins a character of four bytes
			return fourBytes()
		case c == '\\' && i+1 < len(data):
			if data[i+1] == 'u' && i+6 <= len(data) {
				code, err := strconv.ParseUint(string(data[i+2:i+6]), 16, 16)
				if err == nil && code >= 0xd800 && code <= 0xdfff {
					return fourBytes()
				}
			}
			i++ // what is escaped escapes nothing
		}
	}
	return nil
}

func fourBytes() error {
	return image.Errorf(image.ErrInvalid, "The request body contains a character of four bytes in UTF-8, which is not allowed.")
}
