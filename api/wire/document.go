package wire

import (
	"bytes"
	"encoding/json"
)

// FormatHeader tells, beside data, to which format it was converted; a server that converts nothing sends none.
const FormatHeader = "Vitrine-Format"

// Append appends a document of this package as JSON.
func Append(dst []byte, doc any) []byte {
	b := bytes.NewBuffer(dst)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false) // operators are called <in>
	if err := e.Encode(doc); err != nil {
		panic(err) // it is made of texts, and of what came out of JSON
	}
	return b.Bytes()[:b.Len()-1] // without the line's end
}
