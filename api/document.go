package api

import (
	"net/http"
	"slices"
	"strconv"
	"sync"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
)

const (
	// shortDocument is the size up to which a document counts as nothing: it fits what the kernel keeps for a connection.
	shortDocument = 32 << 10
	// documentPiece is how much of a document a client must take within the StallTimeout.
	documentPiece = 128 << 10
	// maxPooled keeps one long list from occupying memory for ever.
	maxPooled = 1 << 20
)

// buffers are for writing documents.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// A document is JSON that waits to be sent.
type document struct {
	text   []byte
	buffer *[]byte // that it lies in, nil if it has its memory for itself
}

// newDocument returns what write appends. A short one does not keep a large buffer from others, nor a long one the room
// behind it that append left.
func newDocument(write func([]byte) []byte) document {
	buffer := buffers.Get().(*[]byte)
	*buffer = write((*buffer)[:0])
	doc := document{*buffer, buffer}
	if len(doc.text) > maxPooled {
		return document{text: slices.Clone(doc.text)}
	}
	if len(doc.text) <= shortDocument && cap(doc.text) > shortDocument {
		short := document{text: slices.Clone(doc.text)}
		doc.release()
		return short
	}
	return doc
}

// size is what the document takes of a budget.
func (d document) size() int {
	if len(d.text) <= shortDocument {
		return 0
	}
	return cap(d.text)
}

// release gives the buffer back.
func (d document) release() {
	if d.buffer != nil {
		buffers.Put(d.buffer)
	}
}

// writeDocument answers with what load returns. A long document needs room among those that wait for slow clients. While
// there is none it is forgotten, and loaded once more afterwards, so that those who wait for room hold nothing.
func (s *server) writeDocument(w http.ResponseWriter, r *http.Request, code int, load func() (document, error)) error {
	var room *share
	defer func() { room.release() }()
	deadline := &w.(*response).deadline
	for {
		doc, err := load()
		if err != nil {
			return err
		}
		size := doc.size()
		if room == nil && size > 0 {
			room = s.answers.try(size, deadline)
		}
		if size == 0 || room != nil && room.covers(size) {
			writeJSON(w, code, doc.text)
			doc.release()
			return nil
		}
		doc.release()
		room.release()
		longest := s.patience(r)
		if r.Method != http.MethodGet {
			longest = 0 // a refusal would say that nothing was done
		}
		if room, err = s.answers.take(r.Context(), longest, size, deadline); err != nil {
			return err
		}
	}
}

// writeImage answers with an image; if there is no room for it at once, as it is later.
func (s *server) writeImage(w http.ResponseWriter, r *http.Request, code int, img *image.Image) error {
	id := img.ID
	return s.writeDocument(w, r, code, func() (document, error) {
		if img == nil {
			var err error
			if img, err = s.session(r).Get(r.Context(), id); err != nil {
				return document{}, err
			}
		}
		shown := img
		img = nil // those who wait for room hold nothing
		opts := s.documentsFor(r)
		return newDocument(func(dst []byte) []byte { return wire.AppendImage(dst, shown, opts) }), nil
	})
}

// answer answers 200 with what load returns, a document of package wire.
func (s *server) answer(w http.ResponseWriter, r *http.Request, load func() (any, error)) error {
	return s.writeDocument(w, r, http.StatusOK, func() (document, error) {
		doc, err := load()
		if err != nil {
			return document{}, err
		}
		return newDocument(func(dst []byte) []byte { return wire.Append(dst, doc) }), nil
	})
}

// writeJSON answers with a document.
func writeJSON(w http.ResponseWriter, code int, text []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(code)
	for piece := range slices.Chunk(text, documentPiece) {
		if _, err := w.Write(piece); err != nil {
			return // the connection is closed
		}
	}
}
